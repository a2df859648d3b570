"""What undoes a promotion: rollback, retirement, demotion by hand and by the rules; what stands is in status."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from workbench.errors import CannotWrite, InputRefused, PackRefused, PromotionRefused
from workbench.registry import store as store_module
from workbench.registry.gates.track_record import EXPLAINED, Break, SessionRecord, TrackRecord
from workbench.registry.lifecycle import rollback
from workbench.registry.lifecycle.breaches import beyond_band, drawdown, drifted, not_equal
from workbench.registry.lifecycle.demote import check, demote
from workbench.registry.lifecycle.evaluation import evaluate
from workbench.registry.lifecycle.promote import approve, commit, propose, rule
from workbench.registry.lifecycle.rollback import plan_rollback, retire, roll_back
from workbench.registry.lifecycle.status import status
from workbench.registry.packs.code import installed_code

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = ("strategy", "sma_cross")


def put_in_production(project, version: int, **facts: object):
    pack = project.candidate(**facts)
    project.promote(signers=("alice",))
    project.track(pack, version, "paper")
    project.promote(signers=("alice", "bob"))
    project.track(pack, version, "staged_live")
    project.promote(signers=("alice", "bob"))
    return pack


def test_a_rollback_returns_to_the_pack_that_was_approved_before(staffed):
    first = put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    desk = staffed.desk()
    plan = plan_rollback(desk, desk.state(*NAME), positions="flatten")
    assert (plan.version, plan.instead_of, plan.pack.digest, plan.mode) == (1, 2, first.digest, "active")
    assert plan.names == ("alice", "bob")
    done = roll_back(desk, plan, "version 2 trades a wrong symbol")
    assert (done.action, done.version, done.replaces, done.positions) == ("rollback", 1, 2, "flatten")
    model = desk.models.find(*NAME)
    assert model.aliases == {"production": 1}
    assert (model.versions[1].tags["stage"], model.versions[2].tags["stage"]) == ("production", "retired")
    standing = desk.record.current(*NAME, "production")
    assert (standing.version, standing.positions) == (1, "flatten")
    with pytest.raises(PromotionRefused, match="nothing to return to at production: version 1 is the first"):
        plan_rollback(desk, desk.state(*NAME))


def test_reduce_only_after_a_rollback_is_lifted_by_a_new_approval(staffed):
    pack = put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    desk = staffed.desk()
    roll_back(desk, plan_rollback(desk, desk.state(*NAME), positions="reduce_only"))
    assert desk.record.current(*NAME, "production").mode == "reduce_only"
    staffed.track(pack, 1, "staged_live")
    later = staffed.desk(now=desk.now + timedelta(hours=1))
    found = evaluate(later, later.state(*NAME), 1)
    assert (found.step.action, found.step.from_stage, found.step.to_stage) == ("restore", "production", "production")
    assert "waits for 2 approvals more of 2" in rule(found).refusal  # the old ones were for another step
    propose(later, rule(found))
    for name in ("alice", "bob"):
        approve(later, evaluate(later, later.state(*NAME), 1), name, "", "")
    commit(later, rule(evaluate(later, later.state(*NAME), 1)))
    assert later.record.current(*NAME, "production").mode == "active"


def test_a_version_that_was_reduce_only_comes_back_reduce_only(staffed):
    put_in_production(staffed, 1)
    desk = staffed.desk()
    demote(desk, desk.state(*NAME), 1, "its drift is not explained")
    put_in_production(staffed, 2)
    assert plan_rollback(desk, desk.state(*NAME)).mode == "reduce_only"


def test_a_rollback_checks_its_evidence_in_full(staffed):
    first = put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    file = staffed.run_folder(first) / "pack" / "parts" / "statistics.json"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(bytes(content))
    desk = staffed.desk()
    with pytest.raises(Exception, match=r"sma_cross version 1/pack/parts/statistics.json: was changed"):
        plan_rollback(desk, desk.state(*NAME))


def spoil(project, pack) -> None:
    (project.run_folder(pack) / "pack" / "parts" / "data.json").write_text("{}")


def test_an_unsound_new_pack_does_not_stand_in_the_way_of_a_rollback(staffed):
    put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    spoil(staffed, staffed.candidate())
    desk = staffed.desk()
    with pytest.raises(PackRefused, match=r"data.json: has 2 bytes instead of"):
        desk.state(*NAME)
    assert roll_back(desk, plan_rollback(desk, desk.known(*NAME))).version == 1


def test_an_unsound_pack_is_passed_over_once_a_sound_one_was_made_after_it(staffed):
    unsound, sound = staffed.candidate(), staffed.candidate()
    spoil(staffed, unsound)
    state = staffed.desk().state(*NAME)
    assert [version.pack for version in state.versions.values()] == [sound.digest]


def test_a_demotion_holds_while_mlflow_is_locked(staffed, monkeypatch):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.2)
    desk = staffed.desk()
    with closing(sqlite3.connect(staffed.root / "mlruns" / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match=r"to reduce-only at .*: that is recorded and holds, MLflow"):
            demote(desk, desk.known(*NAME), 1, "its fills are odd")
    assert staffed.desk().record.current(*NAME, "paper").mode == "reduce_only"
    later = staffed.desk()
    later.finish(*NAME)
    assert later.models.find(*NAME).versions[1].tags["mode"] == "reduce_only"


def test_a_rollback_to_signatures_that_count_no_more_is_refused(staffed):
    put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    del staffed.people["bob"]
    staffed.write_approvers()
    desk = staffed.desk()
    with pytest.raises(PromotionRefused, match=r"no longer holds: 1 approval more of 2 \(bob: not in params"):
        plan_rollback(desk, desk.state(*NAME))


def test_a_rollback_to_expired_evidence_is_refused(staffed):
    put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    late = staffed.desk(now=staffed.desk().now + timedelta(days=120))
    with pytest.raises(PromotionRefused, match="its evidence expired on 2026-06-10; stop what trades now instead"):
        plan_rollback(late, late.state(*NAME))


def test_a_rollback_to_other_code_is_refused_with_the_commit_to_check_out(staffed):
    put_in_production(staffed, 1)
    put_in_production(staffed, 2)
    desk = staffed.desk()
    state = desk.state(*NAME)
    code = installed_code("sma_cross", "c" * 40)
    older = replace(code, files={**code.files, "types.py": "0" * 64})
    pack = replace(desk.candidate(state, 1).pack, code=older)
    with pytest.raises(
        PromotionRefused, match=r"\(types.py was edited .*\); git checkout cccccccccccc, then roll back"
    ):
        rollback._require_code(pack, "sma_cross: rollback of production to version 1")


@pytest.mark.parametrize(
    ("words", "why"),
    [({"stage": "backtest"}, "--stage 'backtest'.*Known: paper"), ({"positions": "hold"}, "--positions 'hold'")],
)
def test_wrong_words_are_refused_before_anything_is_read(staffed, words, why):
    staffed.candidate()
    desk = staffed.desk()
    with pytest.raises(InputRefused, match=why):
        plan_rollback(desk, desk.state(*NAME), **words)


def test_nothing_to_return_to(staffed):
    staffed.candidate()
    desk = staffed.desk()
    with pytest.raises(PromotionRefused, match="no version ever stood there"):
        plan_rollback(desk, desk.state(*NAME))


def test_a_retired_version_stands_nowhere_and_its_alias_is_gone(staffed):
    put_in_production(staffed, 1)
    desk = staffed.desk()
    retire(desk, desk.state(*NAME), 1, "the edge is gone since May", "flatten")
    assert desk.record.current(*NAME, "production") is None
    assert desk.models.find(*NAME).aliases == {}
    assert desk.models.find(*NAME).versions[1].tags["stage"] == "retired"


def test_a_reason_is_asked_for(staffed):
    put_in_production(staffed, 1)
    desk = staffed.desk()
    with pytest.raises(InputRefused, match="--reason 'bad': say why in at least 10 letters"):
        retire(desk, desk.state(*NAME), 1, "bad")
    with pytest.raises(InputRefused, match="--reason ''"):
        demote(desk, desk.state(*NAME), 1, "")


def test_what_is_not_traded_cannot_be_demoted(staffed):
    staffed.candidate()
    desk = staffed.desk()
    with pytest.raises(PromotionRefused, match="stands at backtest, where nothing is traded"):
        demote(desk, desk.state(*NAME), 1, "just in case of a fall")


def track(*sessions: tuple[float, float], **facts: object) -> TrackRecord:
    """A record of sessions (equity at the end, profit)."""
    made = tuple(
        SessionRecord(
            date=date(2026, 2, 2) + timedelta(days=number), equity=equity, pnl=pnl, trades=1,
            capital=max(equity - pnl, 0.0), positions_equal=True,
        )
        for number, (equity, pnl) in enumerate(sessions)
    )  # fmt: skip
    known: dict[str, object] = {
        "strategy": "sma_cross", "version": 1, "pack": "a" * 64, "stage": "paper", "account_mode": "paper",
        "market": "sample", "sessions": made, "fills": 3, "slippage_bps": 2.0, "slippage_model_bps": 2.0,
        "journal_head": "j",
    }  # fmt: skip
    return TrackRecord(**{**known, **facts})  # type: ignore[arg-type]


def test_a_drawdown_is_of_returns_not_of_capital():
    # 1000 → 1100 (+10 %) → 990 (-10 %); then 1,000 is paid in: 1,990 → 1,791 (-10 %). 0.9 × 0.9 - 1 = -19 %
    assert drawdown(track((1100.0, 100.0), (990.0, -110.0), (1791.0, -199.0))) == pytest.approx(-0.19)
    assert drawdown(track((1010.0, 10.0), (1020.0, 10.0))) == 0.0
    assert drawdown(track((900.0, -100.0))) == pytest.approx(-0.10)  # the start counts as a high
    assert drawdown(track((-50.0, -1050.0))) == -1.0


def test_the_band_of_the_horizon_that_holds_all_sessions_decides(staffed):
    pack = staffed.candidate()
    within = track((930.0, -70.0))
    beyond = track((910.0, -90.0))
    assert beyond_band(pack, within) == []
    # the band of 20 sessions at 99 % is -8 % in the fixture
    assert beyond_band(pack, beyond) == ["drawdown 9.0% in 1 sessions, 99 % of paths of 20 sessions stay within 8.0%"]
    longer = track(*[(1000.0, 0.0)] * 20, (910.0, -90.0))  # 21 sessions: the band of 60 sessions is -12 %
    assert beyond_band(pack, longer) == []


def test_a_pack_without_a_band_does_not_go_unjudged(staffed):
    pack = staffed.candidate(spoil=lambda parts: parts["statistics.json"].pop("drawdown_band"))
    assert beyond_band(pack, track((1000.0, 1.0))) == ["the pack has no drawdown band to hold its drawdown against"]


def test_drift_and_disagreement_are_named():
    assert drifted(track((1.0, 0.0), drift={"rsi": 0.31, "gap": 0.1, "vol": 0.2}), 0.2) == [
        "drift of rsi 0.31, vol 0.20, the bound is 0.2"
    ]
    odd = SessionRecord(
        date=date(2026, 2, 2), equity=1.0, pnl=0.0, trades=0, capital=1.0, positions_equal=False,
        breaks=(Break("minor", "a cent"), Break("severe", "100 shares more than in the journal")),
    )  # fmt: skip
    assert not_equal(track(sessions=(odd,))) == [
        "positions other than research computes on 2026-02-02",
        "severe break on 2026-02-02 100 shares more than in the journal",
    ]


def test_positions_that_differ_by_what_the_limits_denied_are_no_disagreement():
    facts = {"equity": 1.0, "pnl": 0.0, "trades": 0, "capital": 1.0, "positions_equal": False}
    denied = SessionRecord(date=date(2026, 2, 2), breaks=(EXPLAINED,), **facts)
    other = SessionRecord(date=date(2026, 2, 3), **facts)
    assert not_equal(track(sessions=(denied,))) == []
    assert not_equal(track(sessions=(denied, other))) == ["positions other than research computes on 2026-02-03"]


def test_the_rules_demote_once_and_say_why(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper", drift={"rsi": 0.31})
    desk = staffed.desk()
    (one,) = check(desk, desk.state(*NAME))
    assert one.wrong == ("drift of rsi 0.31, the bound is 0.2",)
    assert (one.demoted.who, one.demoted.mode) == ("workbench demote --check", "reduce_only")
    (again,) = check(desk, desk.state(*NAME))
    assert again.wrong == one.wrong
    assert again.demoted is None
    assert desk.record.current(*NAME, "paper").mode == "reduce_only"
    assert desk.models.find(*NAME).versions[1].tags["mode"] == "reduce_only"


def test_the_rules_leave_alone_what_is_well(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    desk = staffed.desk()
    (before,) = check(desk, desk.state(*NAME))
    assert (before.wrong, before.seen) == ((), "its evidence; no paper record yet")
    staffed.track(pack, 1, "paper")
    (after,) = check(desk, desk.state(*NAME))
    assert after.wrong == ()
    assert after.seen.startswith("28 sessions to ")


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        ("expiry", "the evidence expired on 2026-06-10"),
        ("other", "its record is of version 7"),
        ("damaged", "its record cannot be read"),
        ("pipe", "its record cannot be read: data/state/records/strategy/sma_cross/1/paper.json: cannot be read; it"),
        ("changed", "its evidence cannot be verified"),
    ],
)
def test_what_cannot_be_judged_or_is_too_old_may_only_reduce(staffed, request, harm, why):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    desk = staffed.desk()
    if harm == "expiry":
        desk = staffed.desk(now=desk.now + timedelta(days=120))
    elif harm == "other":
        staffed.track(pack, 1, "paper", version=7)
    elif harm == "damaged":
        staffed.track(pack, 1, "paper")
        file = desk.paths.state / "records/strategy/sma_cross/1/paper.json"
        file.write_bytes(file.read_bytes()[:-20])
    elif harm == "pipe":
        folder = desk.paths.state / "records/strategy/sma_cross/1"
        folder.mkdir(parents=True)
        os.mkfifo(folder / "paper.json")
        before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for somebody who writes"))
        request.addfinalizer(lambda: (signal.alarm(0), signal.signal(signal.SIGALRM, before)))
        signal.alarm(5)
    else:
        (staffed.run_folder(pack) / "pack" / "parts" / "data.json").write_text("{}")
    (one,) = check(desk, desk.record.state(*NAME))
    assert why in one.wrong[0]
    assert one.demoted is not None


def test_status_shows_everything_at_one_look(staffed):
    put_in_production(staffed, 1)
    staffed.candidate()
    staffed.candidate("xs_momentum", spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.5))
    staffed.promote("xs_momentum", signers=("bob",), force="to measure its fills")
    staffed.candidate("house", "risk")
    found = status(staffed.desk())
    table = {(line.name, line.stage): line for line in found.lines}
    line = table["sma_cross", "production"]
    assert (line.version, line.mode, line.market, line.trials, line.dsr) == (1, "active", "sample", 24, 0.97)
    assert (line.names, line.age_days, line.expires) == (("alice", "bob"), 39, "2026-06-10")
    assert table["xs_momentum", "paper"].forced == "to measure its fills"
    assert table["mean_reversion", "research"].version == 0
    assert "sma_cross: 1 new pack: make promote STRATEGY=sma_cross" in found.notes
    assert "house: 1 new pack: workbench promote house --kind risk" in found.notes
    assert "xs_momentum version 1: FORCED into paper: to measure its fills" in found.notes
    assert found.broken == ()


@pytest.mark.parametrize(("days_left", "told"), [(74, True), (75, False), (14, True), (0, False)])
def test_status_says_in_time_that_the_evidence_of_production_ends(staffed, days_left, told):
    put_in_production(staffed, 1)
    ends = datetime(2026, 6, 10, 15, tzinfo=UTC)  # two months of records, and a fortnight, before it
    notes = status(staffed.desk(now=ends - timedelta(days=days_left))).notes
    said = "sma_cross version 1: the evidence expires on 2026-06-10, and from then on it may only reduce"
    assert any(note.startswith(said) for note in notes) is told
    again = ": workbench evidence sma_cross --fresh, then for that version: make promote STRATEGY=sma_cross"
    assert any(note.endswith(again) for note in notes) is told


def test_gates_that_cannot_be_read_take_neither_status_nor_a_verdict_away(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    (staffed.root / "params" / "gates.yaml").write_text("profile: [")
    desk = staffed.desk()
    found = status(desk)
    assert ("sma_cross", "paper", 1) in [(line.name, line.stage, line.version) for line in found.lines]
    said = "whether its evidence ends before new evidence could take its place, is not known: params/gates.yaml"
    assert [note for note in found.notes if note.startswith(f"sma_cross version 1: {said}")]
    (one,) = check(desk, desk.record.state(*NAME))
    assert (one.wrong, one.failed, one.seen) == ((), "", "its evidence; no paper record yet")
    assert one.soon.startswith(said)


def test_status_of_a_project_without_anything_writes_nothing(project):
    (project.root / "mlruns" / "mlflow.db").unlink()
    found = status(project.desk())
    assert {line.stage for line in found.lines} == {"research"}
    assert found.notes == ()
    assert sorted(path.name for path in project.root.iterdir()) == ["mlruns", "params"]
    assert list((project.root / "mlruns").iterdir()) == []


def test_status_of_a_record_that_is_gone_is_no_all_clear(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    shown = staffed.desk().record.transitions()[-1].head
    for file in staffed.paths.state.glob("workbench.db*"):
        file.unlink()
    found = status(staffed.desk())
    assert found.broken[0].startswith(
        f"data/state/workbench.db: transition {shown[:12]} that version 1 of sma_cross shows is gone, the last of 0 is"
    )


def test_status_without_mlflows_database_says_so(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    (staffed.root / "mlruns" / "mlflow.db").rename(staffed.root / "mlruns" / "away.db")
    found = status(staffed.desk())
    assert [line.stage for line in found.lines if line.name == "sma_cross"] == ["paper"]
    assert any(
        note.startswith("MLflow: mlruns/mlflow.db is gone, this is what the record says") for note in found.notes
    )


def test_status_of_a_kind_that_there_is_not_is_refused(project):
    with pytest.raises(InputRefused, match=r"--kind 'stratgy': there is none of that name. Did you mean 'strategy'"):
        status(project.desk(), "stratgy")
