"""What undoes a promotion long after it: a proposal's days are over then, and what stands must still trade."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from tests.registry.conftest import NOW, Project
from tests.registry.lifecycle.test_undo import NAME, put_in_production
from tests.registry.loader.conftest import complete
from workbench.errors import PromotionRefused
from workbench.registry.gates.track_record import Break, SessionRecord, TrackRecord
from workbench.registry.lifecycle.breaches import beyond_band, drawdown
from workbench.registry.lifecycle.demote import check, demote
from workbench.registry.lifecycle.evaluation import Evaluation, evaluate
from workbench.registry.lifecycle.promote import approve, commit, propose, rule
from workbench.registry.lifecycle.rollback import plan_rollback, roll_back
from workbench.registry.loader import AccountMode, Loaded, load
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.pack import Pack

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def loaded(project: Project, stage: str, now: datetime) -> Loaded:
    approvers = Approvers.read(project.root / "params" / "approvers.yaml", project.paths)
    return load("sma_cross", stage, account=AccountMode.EMBEDDED, settings=project.settings, paths=project.paths,
                approvers=approvers, now=now)  # fmt: skip


@pytest.mark.parametrize("days", [10, 90])
def test_what_was_rolled_back_or_demoted_days_after_its_proposal_ended_is_loaded(staffed, days):
    put_in_production(staffed, 1, spoil=complete)
    put_in_production(staffed, 2, spoil=complete)
    late = NOW + timedelta(days=days)
    desk = staffed.desk(now=late)
    roll_back(desk, plan_rollback(desk, desk.state(*NAME)), "version 2 trades odd")
    found = loaded(staffed, "production", late + timedelta(hours=1))
    assert (found.version, found.mode, found.approved_by) == (1, "active", ("alice", "bob"))
    demote(desk, desk.state(*NAME), 1, "its drift is not explained")
    found = loaded(staffed, "production", late + timedelta(hours=1))
    assert (found.version, found.mode) == (1, "reduce_only")


def test_what_the_rules_demote_late_can_still_be_unwound(staffed):
    pack = staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper", drift={"rsi": 0.31})
    late = NOW + timedelta(days=10)
    desk = staffed.desk(now=late)
    (one,) = check(desk, desk.state(*NAME))
    assert one.demoted is not None
    assert loaded(staffed, "paper", late + timedelta(hours=1)).reduce_only


def test_a_demoted_version_is_lifted_by_new_approvals_a_month_later(staffed):
    put_in_production(staffed, 1, spoil=complete)
    late = NOW + timedelta(days=30)
    desk = staffed.desk(now=late)
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    found = evaluate(desk, desk.state(*NAME), 1)
    assert "waits for 2 approvals more of 2" in rule(found).refusal
    (days,) = [verdict for verdict in found.verdicts if verdict.gate == "live_days"]
    assert days.measured.endswith("; of a restoration no age is asked")
    assert staffed.promote(signers=("alice", "bob"), now=late).action == "restore"
    assert loaded(staffed, "production", late + timedelta(hours=1)).mode == "active"


def test_a_second_demotion_is_not_lifted_by_what_was_signed_for_the_first(staffed):
    put_in_production(staffed, 1, spoil=complete)
    day = NOW + timedelta(days=1)
    desk = staffed.desk(now=day)
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    first = staffed.promote(signers=("alice", "bob"), now=day)
    desk = staffed.desk(now=day)  # simulated time stands still between the two
    demote(desk, desk.state(*NAME), 1, "positions other than research computes")
    found = evaluate(desk, desk.state(*NAME), 1)
    assert found.outdated == "it was taken already, and what was signed for it holds for that one step"
    assert (found.signed.names, found.stored, found.proposal.digest == first.proposal) == ((), False, False)
    assert "waits for 2 approvals more of 2" in rule(found).refusal
    state = desk.record.state(*NAME)
    with pytest.raises(PromotionRefused, match=r"cannot restore: proposal .* was used already; propose and sign anew"):
        desk.record.append(replace(first, at=desk.now), after=state)
    assert loaded(staffed, "production", day + timedelta(hours=1)).reduce_only
    assert staffed.promote(signers=("alice", "bob"), now=day).action == "restore"
    assert loaded(staffed, "production", day + timedelta(hours=1)).mode == "active"


def test_the_rules_judge_what_was_restored_by_the_sessions_after_that(staffed):
    pack = staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    odd = session(NOW.date() + timedelta(days=1), positions_equal=False)
    staffed.track(pack, 1, "paper", sessions=(odd,))
    late = NOW + timedelta(days=1, hours=8)  # 23:00 UTC: that session is closed
    desk = staffed.desk(now=late)
    (one,) = check(desk, desk.state(*NAME))
    assert one.wrong == ("positions other than research computes on 2026-03-03",)
    staffed.promote(signers=("alice",), now=late)
    (one,) = check(desk, desk.state(*NAME))
    assert (one.wrong, one.seen) == ((), "its evidence; no session since it was restored on 2026-03-03")
    well, again = (
        session(NOW.date() + timedelta(days=2)),
        session(NOW.date() + timedelta(days=3), positions_equal=False),
    )
    staffed.track(pack, 1, "paper", sessions=(odd, well))
    desk = staffed.desk(now=NOW + timedelta(days=4))
    (one,) = check(desk, desk.state(*NAME))
    assert (one.wrong, one.seen) == ((), "1 sessions to 2026-03-04")
    staffed.track(pack, 1, "paper", sessions=(odd, well, again))
    (one,) = check(desk, desk.state(*NAME))
    assert one.wrong == ("positions other than research computes on 2026-03-05",)
    assert one.demoted is not None


def signed_by_both(project: Project, now: datetime) -> None:
    """Propose the next step of version 1, and have both sign it; nobody takes it yet."""
    desk = project.desk(now=now)
    propose(desk, rule(evaluate(desk, desk.state(*NAME), 1)))
    for who in ("alice", "bob"):
        approve(desk, evaluate(desk, desk.state(*NAME), 1), who, "", "")


def demoted_on_paper(project: Project, now: datetime) -> Pack:
    """A version that was demoted by hand, whose lifting both have signed."""
    pack = project.candidate(spoil=complete)
    project.promote(signers=("alice",))
    desk = project.desk(now=now)
    demote(desk, desk.state(*NAME), 1, "an operator's mistake, by hand")
    signed_by_both(project, now)
    return pack


def test_a_lifting_signed_before_the_break_lifts_nothing_that_broke_after_it(staffed):
    day, late = NOW + timedelta(days=1), NOW + timedelta(days=3)
    pack = demoted_on_paper(staffed, day)
    well = session(date(2026, 3, 3))

    def found(facts: dict[str, object], **of_record: object) -> Evaluation:
        staffed.track(pack, 1, "paper", sessions=(well, session(date(2026, 3, 4), **facts)), **of_record)
        desk = staffed.desk(now=late)
        return evaluate(desk, desk.state(*NAME), 1)

    assert rule(found({})).refusal == ""
    severe = Break("severe", "AAA00: 10 in the journal, 0 at the broker")
    for facts, of_record, why in (
        ({"pnl": -25_000.0, "capital": 100_000.0}, {}, "drawdown 25.0% in 2 sessions, 99 % of paths of 20 sessions"),
        ({"positions_equal": False}, {}, "positions other than research computes on 2026-03-04"),
        ({"breaks": (severe,)}, {}, "severe break on 2026-03-04 AAA00: 10 in the journal, 0 at the broker"),
        ({}, {"drift": {"rsi": 0.31}}, "drift of rsi 0.31, the bound is 0.2"),
    ):
        one = found(facts, **of_record)
        assert one.outdated.startswith(f"since it was proposed on 2026-03-03: {why}")
        assert (one.signed.names, one.stored) == ((), False)
        assert "waits for 1 approval more of 1" in rule(one).refusal
    signed_by_both(staffed, late)  # who signs now has seen it
    desk = staffed.desk(now=late)
    assert commit(desk, rule(evaluate(desk, desk.state(*NAME), 1))).action == "restore"


def test_a_record_that_nobody_can_read_since_a_lifting_was_signed_lifts_nothing(staffed):
    pack = demoted_on_paper(staffed, NOW)
    staffed.track(pack, 1, "paper")
    (staffed.paths.state / "records/strategy/sma_cross/1/paper.json").write_text("{")
    desk = staffed.desk()
    found = evaluate(desk, desk.state(*NAME), 1)  # at the very moment of the proposal
    assert found.outdated.startswith("what came since it was proposed is not known: data/state/records/strategy/")
    assert (found.signed.names, found.stored) == ((), False)
    with pytest.raises(PromotionRefused, match="refused: what it did at paper is not known: data/state/records/"):
        commit(desk, rule(found))


def test_the_rules_judge_what_came_between_the_signing_and_the_lifting(staffed):
    late = NOW + timedelta(days=3)
    pack = demoted_on_paper(staffed, NOW + timedelta(days=1))
    desk = staffed.desk(now=late)
    commit(desk, rule(evaluate(desk, desk.state(*NAME), 1)))  # its record was not there yet
    before, odd = (session(date(2026, 3, day), positions_equal=False) for day in (2, 4))
    staffed.track(pack, 1, "paper", sessions=(before, odd))
    (one,) = check(desk, desk.state(*NAME))
    assert one.seen == "1 sessions to 2026-03-04"
    assert one.wrong == ("positions other than research computes on 2026-03-04",)


def test_signatures_for_money_do_not_survive_a_demotion(staffed):
    pack = staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    signed_by_both(staffed, NOW)  # for staged live
    desk = staffed.desk()  # simulated time stands still
    demote(desk, desk.state(*NAME), 1, "drawdown 25.0% in 28 sessions, beyond the band")
    assert staffed.promote(signers=("alice",)).action == "restore"
    later = NOW + timedelta(hours=1)
    desk = staffed.desk(now=later)
    found = evaluate(desk, desk.state(*NAME), 1)
    assert found.step.to_stage == "staged_live"
    assert found.outdated == "the last step of version 1 came after it, at 2026-03-02 15:00 UTC"
    assert (found.signed.names, found.stored) == ((), False)
    with pytest.raises(PromotionRefused, match="waits for 2 approvals more of 2"):
        commit(desk, rule(found))
    assert staffed.promote(signers=("alice", "bob"), now=later).to_stage == "staged_live"


def test_a_lifting_signed_before_a_rollback_says_what_came_after_it(staffed):
    day = NOW + timedelta(days=1)
    demoted_on_paper(staffed, day)
    staffed.candidate(spoil=complete)
    staffed.promote(version=2, signers=("alice",), now=day)
    desk = staffed.desk(now=day + timedelta(hours=1))
    roll_back(desk, plan_rollback(desk, desk.state(*NAME), "paper"), "version 2 trades odd")
    found = evaluate(desk, desk.state(*NAME), 1)
    assert found.outdated == "the last step of version 1 came after it, at 2026-03-03 16:00 UTC (version 2 trades odd)"


def session(day: date, capital: float = 1_000.0, pnl: float = 0.0, **facts: object) -> SessionRecord:
    made = {"date": day, "equity": capital + pnl, "pnl": pnl, "trades": 1, "capital": capital, "positions_equal": True}
    return SessionRecord(**{**made, **facts})  # type: ignore[arg-type]


def steps(*sessions: tuple[float, float]) -> TrackRecord:
    """A record of sessions (capital, return on it), its equity carried on from the first capital as a runner does."""
    rows: list[SessionRecord] = []
    for number, (capital, made) in enumerate(sessions):
        before = rows[-1].equity if rows else capital
        rows.append(session(date(2026, 1, 5) + timedelta(days=number), capital, made * capital,
                            equity=before + made * capital))  # fmt: skip
    return TrackRecord("sma_cross", 1, "a" * 64, "staged_live", "embedded", "sample", tuple(rows), 3, 2.0, 2.0, "j")


def test_the_drawdown_of_staged_live_is_of_the_capital_at_work(staffed):
    calm = [(capital, 0.0002) for capital in (1_000.0, 2_500.0, 5_000.0) for _ in range(10)]
    fallen = steps(*calm, *[(10_000.0, -0.004)] * 6, (10_000.0, 0.0002))
    assert drawdown(fallen) == pytest.approx(0.996**6 - 1.0)  # 2.4 %
    assert beyond_band(staffed.candidate(), fallen) == []


def test_a_session_after_capital_was_taken_out_still_holds_what_was_held(staffed):
    assert drawdown(steps((10_000.0, 0.0), (1_000.0, -0.1))) == pytest.approx(-0.01)
    assert drawdown(steps((1_000.0, 0.0), (0.0, 0.0))) == 0.0
    assert drawdown(steps((1_000.0, -0.1), (900.0, -0.1))) == pytest.approx(-0.19)


def moved_without_mlflow(project: Project, place: Path) -> Project:
    """The project's folder where MLflow's database is gone, in which no connection of this process was open."""
    shutil.copytree(project.root, place, ignore=shutil.ignore_patterns("mlflow.db*"))
    return Project(place, people=project.people)


def test_without_mlflow_the_rules_judge_the_verified_copy_and_make_no_empty_database(staffed, tmp_path):
    pack = staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    loaded(staffed, "paper", NOW + timedelta(hours=1))  # the copy is kept
    staffed.track(pack, 1, "paper")
    away = moved_without_mlflow(staffed, tmp_path / "away")
    desk = away.desk()
    (one,) = check(desk, desk.record.state(*NAME))
    assert (one.wrong, one.demoted, one.failed) == ((), None, "")
    assert one.seen.startswith("28 sessions to ")
    away.track(pack, 1, "paper", drift={"rsi": 0.31})
    (one,) = check(desk, desk.record.state(*NAME))
    assert one.wrong == ("drift of rsi 0.31, the bound is 0.2",)
    assert one.demoted is not None
    assert "that is recorded and holds, MLflow does not show it yet: mlruns/mlflow.db is gone; restore" in one.failed
    assert away.desk().record.current(*NAME, "paper").mode == "reduce_only"
    assert not (away.root / "mlruns" / "mlflow.db").exists()


def test_without_mlflow_and_without_a_copy_there_is_no_verdict_and_the_others_are_judged(staffed, tmp_path):
    for name in ("mean_reversion", "sma_cross", "xs_momentum"):
        pack = staffed.candidate(name, spoil=complete)
        staffed.promote(name, signers=("alice",))
        if name == "sma_cross":
            loaded(staffed, "paper", NOW + timedelta(hours=1))
            staffed.track(pack, 1, "paper", drift={"rsi": 0.31})
    away = moved_without_mlflow(staffed, tmp_path / "away")
    desk = away.desk()
    found = {state.name: check(desk, state)[0] for state in desk.record.states().values()}
    assert found["sma_cross"].demoted is not None
    for name in ("mean_reversion", "xs_momentum"):
        assert (found[name].wrong, found[name].demoted) == ((), None)
        assert found[name].failed == (
            f"{name} version 1 at paper: not judged: MLflow: mlruns/mlflow.db is gone; "
            "and no verified copy is kept here"
        )
        assert desk.record.current("strategy", name, "paper").mode == "active"
