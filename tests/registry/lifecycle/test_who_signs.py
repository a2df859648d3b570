"""What people read before they sign a lifting: why it may only reduce, and what it broke since the last one."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.registry.conftest import NOW
from tests.registry.lifecycle.test_commands import candidate, run  # noqa: F401 - a fixture
from tests.registry.lifecycle.test_undo import NAME
from tests.registry.lifecycle.test_undo_late import demoted_on_paper, session
from tests.registry.loader.conftest import complete
from workbench.errors import PromotionRefused
from workbench.registry.lifecycle.demote import demote
from workbench.registry.lifecycle.evaluation import evaluate, proposed
from workbench.registry.lifecycle.promote import approve, commit, propose, rule

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
FALLEN = {"pnl": -25_000.0, "capital": 100_000.0}
FELL = "drawdown 25.0% in 1 sessions, 99 % of paths of 20 sessions stay within 8.0%"


def test_promote_and_approve_say_why_it_may_only_reduce_and_what_it_broke(staffed, run):  # noqa: F811
    pack, now = candidate(staffed), datetime.now(UTC)
    staffed.promote(signers=("alice",), now=now)
    staffed.track(pack, 1, "paper", sessions=(session(now.date() - timedelta(days=1), **FALLEN),))
    code, _, _ = run("demote", "--check")
    assert code == 4
    for words in (("promote", "sma_cross"), ("approve", "sma_cross", "--as", "bob")):
        _, out, _ = run(*words)
        assert f"! it may only reduce since {now:%Y-%m-%d}: {FELL}" in out, words
        assert f"! it broke, and who signs accepts: {FELL}" in out, words
    code, out, _ = run("promote", "sma_cross", "--yes")
    assert code == 0
    assert "restored version 1 at paper" in out


def test_a_lifting_proposed_before_the_break_is_not_signed_after_it(staffed):
    pack, late = staffed.candidate(spoil=complete), NOW + timedelta(days=3)
    staffed.promote(signers=("alice",))
    desk = staffed.desk(now=NOW + timedelta(days=1))
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    propose(desk, rule(evaluate(desk, desk.state(*NAME), 1)))
    staffed.track(pack, 1, "paper", sessions=(session(date(2026, 3, 4), **FALLEN),))
    desk = staffed.desk(now=late)
    with pytest.raises(PromotionRefused, match="no longer stands: since it was proposed on 2026-03-03: draw"):
        approve(desk, proposed(desk, desk.state(*NAME), 1), "alice", "", "")


def test_where_no_record_lies_the_proposal_says_what_broke(staffed):
    pack, late = demoted_on_paper(staffed, NOW), NOW + timedelta(days=3)
    staffed.track(pack, 1, "paper", sessions=(session(date(2026, 3, 4), **FALLEN),))
    desk = staffed.desk(now=late)
    propose(desk, rule(evaluate(desk, desk.state(*NAME), 1)))
    shutil.rmtree(staffed.paths.state / "records")  # as on the machine of who signs
    found = proposed(desk, desk.state(*NAME), 1)
    assert found.told == (
        "it may only reduce since 2026-03-02: an operator's mistake, by hand",
        f"it broke, and who signs accepts: {FELL}",
    )
    assert approve(desk, found, "bob", "", "").approver == "bob"


def test_a_lifting_proposed_where_nobody_knew_what_broke_counts_no_more_where_it_is_known(staffed):
    pack, late = demoted_on_paper(staffed, NOW + timedelta(days=3)), NOW + timedelta(days=3)
    staffed.track(pack, 1, "paper", sessions=(session(date(2026, 3, 4), **FALLEN),))
    desk = staffed.desk(now=late)
    found = evaluate(desk, desk.state(*NAME), 1)
    assert found.outdated == f"it did not say what the version broke: {FELL}"
    assert found.signed.names == ()
    with pytest.raises(PromotionRefused, match="waits for 1 approval more of 1"):
        commit(desk, rule(found))


def test_a_record_that_nobody_can_read_asks_nobody_to_sign_and_says_what_to_do(staffed):
    pack = demoted_on_paper(staffed, NOW)
    staffed.track(pack, 1, "paper")
    file = staffed.paths.state / "records/strategy/sma_cross/1/paper.json"
    whole = file.read_bytes()
    file.write_text("{")
    desk = staffed.desk()
    refused = rule(evaluate(desk, desk.state(*NAME), 1))
    assert not refused.waits
    assert (
        "refused: what it did at paper is not known: data/state/records/strategy/sma_cross/1/paper.json"
        in refused.refusal
    )
    assert refused.refusal.endswith("; the next session makes a damaged record again from the journal")
    with pytest.raises(PromotionRefused, match="nothing to approve: what it did at paper is not known: data"):
        approve(desk, proposed(desk, desk.state(*NAME), 1), "alice", "", "")
    file.write_bytes(whole)
    assert rule(evaluate(desk, desk.state(*NAME), 1)).refusal == ""  # what was signed before stands again
