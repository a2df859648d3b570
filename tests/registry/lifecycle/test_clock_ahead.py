"""A clock that ran ahead once: what it dated is told, reduces meanwhile, and is lifted by people who sign anew."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.registry.conftest import NOW, Project
from tests.registry.lifecycle.test_undo import NAME
from tests.registry.lifecycle.test_undo_late import loaded, session
from tests.registry.loader.conftest import complete
from workbench.errors import PackRefused, PromotionRefused
from workbench.registry.lifecycle.demote import check, demote
from workbench.registry.lifecycle.evaluation import Evaluation, evaluate, proposed
from workbench.registry.lifecycle.promote import approve, commit, propose, rule
from workbench.registry.packs.pack import Pack

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
FAR = NOW + timedelta(days=3650)
NEAR = NOW + timedelta(days=50)


def look(project: Project, now: datetime) -> Evaluation:
    desk = project.desk(now=now)
    return evaluate(desk, desk.state(*NAME), 1)


def proposal(project: Project, now: datetime, *signers: str) -> Evaluation:
    """Propose the next step of version 1, and have it signed as people do, each at a desk of their own."""
    desk = project.desk(now=now)
    propose(desk, rule(look(project, now)))
    for who in signers:
        approve(desk, proposed(desk, desk.state(*NAME), 1), who, "", "")
    return look(project, now)


def on_paper(project: Project, now: datetime = NOW) -> Pack:
    pack = project.candidate(spoil=complete)
    project.promote(signers=("alice",), now=now)
    return pack


def demoted_by_a_clock_that_ran_ahead(project: Project, ahead: datetime = FAR) -> Pack:
    pack = on_paper(project)
    desk = project.desk(now=ahead)
    if ahead == FAR:
        (one,) = check(desk, desk.state(*NAME))
        assert one.demoted is not None
    else:
        demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    return pack


@pytest.mark.parametrize("days", [1, 30])
def test_what_a_clock_that_ran_ahead_demoted_is_lifted_by_new_approvals(staffed, days):
    demoted_by_a_clock_that_ran_ahead(staffed)
    now = NOW + timedelta(days=days)
    found = look(staffed, now)
    assert found.told == (
        f"the last step of version 1 is dated 2036-02-28 15:00 UTC, and it is {now:%Y-%m-%d %H:%M} UTC here: set the "
        "clock right; where it is, that step's was wrong, and what is proposed and signed now counts",
        "it may only reduce since 2036-02-28: the evidence expired on 2026-06-10",
    )
    found = proposal(staffed, now, "alice")
    assert (found.proposal.made_at, found.signed.names) == (now, ("alice",))
    done = commit(staffed.desk(now=now), rule(found))
    assert (done.action, done.at) == ("restore", now)
    assert loaded(staffed, "paper", now + timedelta(hours=1)).mode == "active"
    proposal(staffed, now)  # and so the next step, to staged live
    assert look(staffed, now).told == ()


def test_what_a_clock_that_ran_ahead_demoted_reduces_meanwhile_and_says_what_lifts_it(staffed):
    demoted_by_a_clock_that_ran_ahead(staffed)
    found = loaded(staffed, "paper", NOW + timedelta(days=1))
    assert found.mode == "reduce_only"
    assert found.warnings == (
        "sma_cross version 1 at paper: it was moved here at 2036-02-28T15:00:00Z, and the clock says "
        "2026-03-03T15:00:00Z; set the clock right; where it is, that step's was wrong: it may only reduce until "
        'make promote STRATEGY=sma_cross ARGS="--version 1"',
    )


def test_what_a_clock_that_ran_ahead_promoted_is_demoted_and_signed_anew(staffed):
    staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",), now=NEAR)
    now = NOW + timedelta(days=1)
    with pytest.raises(
        PackRefused,
        match="set the clock right; where it is, that step's was wrong: sign anew: workbench demote sma_cross "
        "--version 1 --reason …, then: make promote STRATEGY=sma_cross",
    ):
        loaded(staffed, "paper", now)
    desk = staffed.desk(now=now)
    demote(desk, desk.state(*NAME), 1, "it was promoted by a wrong clock")
    assert loaded(staffed, "paper", now).mode == "reduce_only"
    found = proposal(staffed, now, "alice")
    commit(staffed.desk(now=now), rule(found))
    assert loaded(staffed, "paper", now + timedelta(hours=1)).mode == "active"


def test_a_proposal_of_a_clock_that_ran_ahead_stands_in_no_ones_way(staffed):
    staffed.candidate(spoil=complete)
    proposal(staffed, NEAR, "alice")
    found = look(staffed, NOW)
    assert found.outdated == "it was made at 2026-04-21 15:00 UTC, in the future: check this machine's clock"
    found = proposal(staffed, NOW, "bob")
    assert (found.outdated, found.signed.names) == ("", ("bob",))
    assert commit(staffed.desk(), rule(found)).to_stage == "paper"


def test_what_was_signed_by_a_clock_that_ran_ahead_lifts_nothing_that_was_demoted_after_it(staffed):
    ahead, now = NOW + timedelta(days=1), NOW + timedelta(hours=2)
    demoted_by_a_clock_that_ran_ahead(staffed, ahead)
    early = proposal(staffed, ahead + timedelta(hours=1), "alice", "bob").proposal
    commit(staffed.desk(now=now), rule(proposal(staffed, now, "alice")))
    desk = staffed.desk(now=now)
    demote(desk, desk.state(*NAME), 1, "positions other than research computes")
    then = early.made_at + timedelta(hours=1)  # the day that was signed for has come
    found = look(staffed, then)
    assert (found.signed.names, found.stored) == ((), False)
    with pytest.raises(PromotionRefused, match="waits for 1 approval more of 1"):
        commit(staffed.desk(now=then), rule(found))


def test_a_clock_set_back_between_two_demotions_makes_no_signature_young(staffed):
    day = NOW + timedelta(hours=1)
    on_paper(staffed)
    desk = staffed.desk(now=day)
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    first = proposal(staffed, day, "alice", "bob")
    commit(staffed.desk(now=day), rule(first))
    back = staffed.desk(now=NOW)  # a clock set back by an hour, which demotes and could make the proposal young again
    demote(back, back.state(*NAME), 1, "positions other than research computes")
    assert look(staffed, day).signed.names == ()
    assert "waits for 1 approval more of 1" in rule(look(staffed, day)).refusal


def test_a_clock_set_back_behind_what_was_loaded_lifts_nothing(staffed):
    late = NOW + timedelta(days=3)
    on_paper(staffed)
    desk = staffed.desk(now=late)
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    loaded(staffed, "paper", late)
    now = NOW + timedelta(days=1)
    desk = staffed.desk(now=now)
    (void,) = look(staffed, now).voids
    assert void == (
        "clock: it is 2026-03-03T15:00:00Z, and at 2026-03-05T15:00:00Z something was loaded already; set the clock "
        "right, or where it was wrong then, remove data/state/loader/seen.json"
    )
    with pytest.raises(PromotionRefused, match="nothing to approve: clock: it is 2026-03-03"):
        approve(desk, proposed(desk, desk.state(*NAME), 1), "alice", "", "")


def test_of_a_lifting_dated_ahead_nobody_has_seen_any_session(staffed):
    pack = on_paper(staffed)
    desk = staffed.desk(now=NOW + timedelta(days=1))
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    ahead = NOW + timedelta(days=60)
    staffed.promote(signers=("alice",), now=ahead)
    staffed.track(pack, 1, "paper", sessions=(session(date(2026, 3, 4), positions_equal=False),))
    desk = staffed.desk(now=NOW + timedelta(days=3))
    (one,) = check(desk, desk.state(*NAME))
    assert one.wrong == ("positions other than research computes on 2026-03-04",)
    assert one.demoted is not None
