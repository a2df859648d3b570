"""Two accounts that trade one version at a stage: each has a record of its own, and every one of them is judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.registry.conftest import NOW
from workbench.registry.gates.track_record import Break, TrackRecord, read_track_record
from workbench.registry.lifecycle.demote import check
from workbench.registry.lifecycle.evaluation import evaluate

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = ("strategy", "sma_cross")


@pytest.fixture
def record(staffed) -> TrackRecord:
    """The record of the first account; with it the version stands at paper."""
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    file = staffed.paths.state / "records/strategy/sma_cross/1/paper.json"
    return read_track_record(file.read_bytes(), "paper.json", NOW)


def beside(staffed, record: TrackRecord, account: str) -> None:
    file = staffed.paths.state / f"records/strategy/sma_cross/1/paper.{account}.json"
    file.write_bytes(replace(record, account=account).bytes())


def test_the_rules_judge_the_record_of_every_account(staffed, record):
    desk = staffed.desk()
    few = replace(record, sessions=record.sessions[:3])
    beside(staffed, few, "DU1")
    (sound,) = check(desk, desk.state(*NAME))
    assert sound.wrong == ()
    assert sound.seen == f"28 sessions to 2026-03-02 (account {record.account}); 3 sessions to 2026-01-26 (account DU1)"
    severe = replace(few.sessions[1], breaks=(Break("severe", "AAA: +5 in the journal, +6 at the broker"),))
    beside(staffed, replace(few, sessions=(few.sessions[0], severe)), "DU1")
    (broken,) = check(desk, desk.state(*NAME))
    assert broken.wrong == ("severe break on 2026-01-23 AAA: +5 in the journal, +6 at the broker (account DU1)",)
    assert desk.record.current(*NAME, "paper").mode == "reduce_only"


def test_the_gates_ask_the_account_that_traded_last_and_never_several_together(staffed, record):
    desk = staffed.desk()
    state = desk.state(*NAME)
    beside(staffed, replace(record, sessions=record.sessions[:5]), "DU1")
    assert desk.track_record(state, 1, "paper") == record
    beside(staffed, replace(record, sessions=record.sessions[-5:]), "DU1")
    assert desk.track_record(state, 1, "paper") == record  # of two that traded the same last session the longer
    beside(staffed, record, "DU1")
    (staffed.paths.state / "records/strategy/sma_cross/1/paper.json").write_bytes(
        replace(record, sessions=record.sessions[:-1]).bytes()
    )
    assert desk.track_record(state, 1, "paper").account == "DU1"


def test_a_file_that_somebody_set_aside_beside_a_record_is_none_and_one_that_does_not_say_so_is_told(staffed, record):
    folder = staffed.paths.state / "records/strategy/sma_cross/1"
    cut = (folder / "paper.json").read_bytes()[:-20]
    (folder / "paper.broken.json").write_bytes(cut)
    (folder / "paper.old.json").write_bytes(replace(record, sessions=record.sessions[:3]).bytes())
    desk = staffed.desk()
    assert desk.track_records(desk.state(*NAME), 1, "paper") == (record,)
    (sound,) = check(desk, desk.state(*NAME))
    assert (sound.wrong, sound.seen) == ((), "28 sessions to 2026-03-02")
    beside(staffed, record, "DU1")
    own = folder / "paper.DU1.json"
    own.write_bytes(own.read_bytes()[:-20])  # this one is damaged where it belongs
    told = "where it is no record of account {}, put it out of data/state/records/strategy/sma_cross/1"
    (broken,) = check(desk, desk.state(*NAME))
    assert broken.wrong[0].startswith("its record cannot be read: data/state/records/strategy/sma_cross/1/paper.DU1.js")
    assert broken.wrong[0].endswith(told.format("DU1"))
    own.unlink()
    (folder / "paper.cut.json").write_bytes(b"{")  # whose it was, nobody knows
    (unknown,) = check(desk, desk.state(*NAME))
    assert unknown.wrong[0].endswith(told.format("cut"))


def test_the_gates_say_whose_record_they_read_where_several_accounts_have_one(staffed, record):
    desk = staffed.desk()
    state = desk.state(*NAME)
    alone = {one.gate: one.measured for one in evaluate(desk, state, 1).verdicts}
    assert alone["live_trades"] == "56 trades in 28 sessions"
    beside(staffed, replace(record, sessions=record.sessions[-1:]), "PAPER")
    beside(staffed, replace(record, sessions=record.sessions[:3]), "DU1")
    several = {one.gate: one.measured for one in evaluate(desk, state, 1).verdicts}
    whose = f"; account {record.account}, of 3 that traded it"
    changed = {gate for gate, measured in several.items() if measured != alone[gate]}
    assert several == {gate: said + whose * (gate in changed) for gate, said in alone.items()}
    assert changed == {"live_days", "live_trades", "positions_equal", "slippage", "no_severe_breaks", "drift"}
    (staffed.paths.state / "records/strategy/sma_cross/1/paper.json").unlink()
    found = {one.gate: one for one in evaluate(desk, state, 1).verdicts}
    assert found["live_trades"].measured == "2 trades in 1 session; account PAPER, of 2 that traded it"
    assert "0 calendar days (2026-03-02 to 2026-03-02)" in found["live_days"].measured
    assert found["live_days"].measured.endswith("; account PAPER, of 2 that traded it")
