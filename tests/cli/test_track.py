"""The record that the gates of the next stage read: one session longer after each, and of one account and pack only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from workbench.cli.track import write_records
from workbench.errors import CannotWrite, PackRefused
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.reconcile import Difference, Of
from workbench.live.report import Result, SessionReport
from workbench.live.session import Seat
from workbench.params import Paths, Settings
from workbench.parity.compare import Parity
from workbench.parity.period import Period
from workbench.parity.record import note_parity
from workbench.registry.packs.canonical import sha256

RECORD = "data/state/records/strategy/one/3/paper.json"
MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)
SEAT = Seat(SimpleNamespace(name="one"), "p1", 3, "paper", model_bps=1.0)  # type: ignore[arg-type]


def report(session: date, pnl: float, **facts: object) -> SessionReport:
    result = Result("one", 3, "p1", "paper", 50_000.0, pnl, 2, {"AAA": 5}, True)
    made = SessionReport("PAPER", session, 100_000.0, pnl, (), (), 0, (result,), (), "", "head")
    return replace(made, **facts)  # type: ignore[arg-type]


@pytest.fixture
def written(tmp_path):
    paths = Paths(tmp_path)

    def write(made: SessionReport, seat: Seat = SEAT, began: date = MONDAY) -> dict:
        with trading(paths, made.account) as journal:
            journal.book.past.began = began
            write_records(paths, (seat,), made, journal, Settings())
        return kept(paths, made.account)

    return write


def kept(paths: Paths, account: str = "PAPER") -> dict:
    """What is kept of an account, whichever of the files it lies in."""
    found = [json.loads(file.read_bytes()) for file in (paths.root / RECORD).parent.glob("paper*.json")]
    return next(record for record in found if record["account"] == account)


def days(record: dict) -> list[int]:
    return [date.fromisoformat(row["date"]).day for row in record["sessions"]]


@pytest.fixture
def traded(tmp_path):
    """A session that the journal has closed, as the runner closes it; one that was killed then writes no record."""
    paths = Paths(tmp_path)

    def close(made: SessionReport, *seats: Seat, killed: bool = False) -> dict:
        seats = seats or (SEAT,)
        told = {seat.name: {"pack": seat.pack, "stage": seat.stage, "share": 0.5, "capital": None} for seat in seats}
        with trading(paths, made.account) as journal:
            before = journal.book.past.closing
            worth = {seat.name: made.pnl + (before.worth[seat.name] if before else 0.0) for seat in seats}
            journal.begin(date=str(made.session), equity=100_000.0, seats=told)
            found = [{"id": one.symbol, "text": one.text, "ours": one.ours} for one in made.differences]
            end = {"date": str(made.session), "equity": 100_000.0, "marks": {}, "worth": worth}
            journal.append(Draft(Kind.RECONCILE, {"differences": found}), Draft(Kind.RECONCILE, {"closing": end}))
            if not killed:
                write_records(paths, seats, made, journal, Settings())
        return {} if killed else kept(paths, made.account)

    return close


@contextmanager
def trading(paths: Paths, account: str) -> Iterator[Journal]:
    lease = Lease.acquire(Settings(), paths, account, "a test")
    journal = Journal.open(Settings(), paths, account, lease=lease)
    try:
        yield journal
    finally:
        journal.close()
        lease.release()


def test_each_session_is_added_and_equity_goes_on_from_the_one_before(written):
    written(report(MONDAY, 100.0))
    record = written(report(TUESDAY, -40.0))
    assert [(row["date"], row["equity"], row["pnl"]) for row in record["sessions"]] == [
        ("2024-03-04", 50_100.0, 100.0),
        ("2024-03-05", 50_060.0, -40.0),
    ]
    assert (record["strategy"], record["version"], record["pack"], record["stage"]) == ("one", 3, "p1", "paper")
    assert (record["account_mode"], record["market"], record["slippage_model_bps"]) == ("embedded", "sample", 1.0)


def test_what_the_limits_denied_is_noted_beside_positions_that_differ(written):
    made = report(MONDAY, 100.0)
    (result,) = made.results
    record = written(replace(made, results=(replace(result, equal=False, explained=True),)))
    (row,) = record["sessions"]
    assert row["positions_equal"] is False
    assert row["breaks"] == [
        {"severity": "note", "text": "positions differ by what the limits denied or nobody filled"}
    ]


def test_a_session_that_is_closed_again_replaces_itself(written):
    written(report(MONDAY, 100.0))
    record = written(report(MONDAY, 70.0))
    assert [row["equity"] for row in record["sessions"]] == [50_070.0]


def test_another_pack_and_another_account_begin_a_record_of_their_own(written):
    written(report(MONDAY, 100.0))
    assert len(written(report(TUESDAY, 1.0), began=TUESDAY)["sessions"]) == 1
    written(report(MONDAY, 100.0))
    assert len(written(report(TUESDAY, 1.0), replace(SEAT, pack="p2"))["sessions"]) == 1
    written(report(MONDAY, 100.0))
    moved = written(report(TUESDAY, 1.0, account="DU1234567"))  # whose journal began on Monday, too
    assert (moved["account"], [row["date"] for row in moved["sessions"]]) == ("DU1234567", ["2024-03-05"])


def test_two_accounts_that_trade_in_turn_take_nothing_from_each_others_record(traded, tmp_path):
    for number, account in enumerate(("PAPER", "DU1", "PAPER", "DU1", "PAPER")):
        traded(report(MONDAY + timedelta(days=number), -10.0, account=account))
    first, second = (
        json.loads((tmp_path / RECORD).with_name(name).read_bytes()) for name in ("paper.json", "paper.DU1.json")
    )
    assert (first["account"], days(first), second["account"], days(second)) == ("PAPER", [4, 6, 8], "DU1", [5, 7])
    assert second["sessions"][-1]["equity"] == 50_000.0 - 10.0 - 10.0


def test_a_record_that_was_taken_away_comes_again_from_the_journal_with_what_speaks_against_it(traded, tmp_path):
    ours = Difference(Of.POSITION, "AAA", 5, 6, "AAA: +5 in the journal, +6 at the broker")
    (result,) = report(MONDAY, 5.0).results
    traded(report(MONDAY, 5.0, differences=(ours,), results=(replace(result, equal=False),)))
    traded(report(TUESDAY, 5.0))
    (tmp_path / RECORD).unlink()
    record = traded(report(TUESDAY + timedelta(days=1), 5.0))
    assert days(record) == [4, 5, 6]
    assert [row["positions_equal"] for row in record["sessions"]] == [False, True, True]
    assert record["sessions"][0]["breaks"] == [{"severity": "severe", "text": ours.text}]


@pytest.mark.parametrize("stage", ["retired", "no stage here"])
def test_what_only_closes_what_is_held_makes_no_record(traded, tmp_path, stage):
    with pytest.raises(StopIteration):
        traded(report(MONDAY, 5.0), replace(SEAT, stage=stage))
    assert not (tmp_path / RECORD).parent.exists()


def test_parity_in_an_account_without_a_record_leaves_that_of_another_alone(traded, tmp_path):
    traded(report(MONDAY, 5.0, account="DU1"))
    before = (tmp_path / RECORD).read_bytes()
    found = Parity(Period("PAPER", "one", (), "head"), (), (), 0, None, 1.0)
    with trading(Paths(tmp_path), "PAPER") as journal:
        assert note_parity(Paths(tmp_path), 3, "paper", found, (), journal, datetime.now(UTC)) is None
    assert (tmp_path / RECORD).read_bytes() == before


def test_what_nobody_else_traded_is_a_severe_break(written):
    ours = Difference(Of.POSITION, "AAA", 5, 6, "AAA: +5 in the journal, +6 at the broker")
    theirs = Difference(Of.EXECUTION, "BBB", 0, 9, "BBB: not ordered by this runner", ours=False)
    (session,) = written(report(MONDAY, 0.0, differences=(ours, theirs)))["sessions"]
    assert [(one["severity"], one["text"][:3]) for one in session["breaks"]] == [("severe", "AAA"), ("minor", "BBB")]


def test_the_journal_says_what_was_written_each_time(written, tmp_path):
    for made in (report(MONDAY, 100.0), report(TUESDAY, -40.0), report(TUESDAY, -50.0)):
        written(made)
        with trading(Paths(tmp_path), "PAPER") as journal:
            last = journal.book.last
        assert (last.kind, last.key, last.data["record"]) == (
            "reconcile", "record one/3/paper", sha256((tmp_path / RECORD).read_bytes()),
        )  # fmt: skip
        assert [row["date"] for row in last.data["sessions"]] == [str(made.session)]
    assert written(report(TUESDAY, 1.0))["account"] == "PAPER"


def test_a_record_edited_by_hand_is_not_gone_on_from(written, tmp_path):
    written(report(MONDAY, 100.0))
    file = tmp_path / RECORD
    file.write_bytes(file.read_bytes().replace(b'"trades":2', b'"trades":99'))
    assert [row["date"] for row in written(report(TUESDAY, 1.0))["sessions"]] == ["2024-03-05"]  # no closing of Monday


TWO = Seat(SimpleNamespace(name="two"), "p2", 1, "paper", model_bps=1.0)  # type: ignore[arg-type]


def both(session: date) -> SessionReport:
    made = report(session, 1.0)
    return replace(made, results=(*made.results, Result("two", 1, "p2", "paper", 50_000.0, 1.0, 2, {}, True)))


def test_a_record_that_cannot_be_read_is_made_again_from_the_journal(traded, tmp_path):
    file = tmp_path / RECORD
    for spoil in (lambda whole: whole + b"\n", lambda whole: whole[:40], lambda whole: b"\xff"):
        traded(report(MONDAY, 5.0))
        file.write_bytes(spoil(file.read_bytes()))
        record = traded(report(TUESDAY, 5.0))
        assert days(record) == [4, 5]
        assert [row["positions_equal"] for row in record["sessions"]] == [True, True]


def test_a_record_that_cannot_be_written_keeps_back_no_others_and_gets_its_sessions_with_the_next(traded, tmp_path):
    file = tmp_path / RECORD
    other = file.parents[2] / "two/1/paper.json"
    traded(both(MONDAY), SEAT, TWO)
    whole = file.read_bytes()
    file.unlink()
    file.mkdir()  # nothing can be written in its place
    for number in (1, 2):
        with pytest.raises(CannotWrite, match=r"strategy/one/3/paper\.json"):
            traded(both(MONDAY + timedelta(days=number)), SEAT, TWO)
    assert days(json.loads(other.read_bytes())) == [4, 5, 6]
    file.rmdir()
    file.write_bytes(whole)
    assert days(traded(both(MONDAY + timedelta(days=3)), SEAT, TWO)) == [4, 5, 6, 7]


def test_a_session_that_was_closed_when_its_runner_was_killed_comes_with_the_next(traded):
    traded(report(MONDAY, 5.0))
    traded(report(TUESDAY, 7.0), killed=True)
    record = traded(report(TUESDAY + timedelta(days=1), 5.0))
    assert [(row["pnl"], row["equity"], row["positions_equal"]) for row in record["sessions"]] == [
        (5.0, 50_005.0, True), (7.0, 50_012.0, None), (5.0, 50_017.0, True),
    ]  # fmt: skip


def test_what_no_journal_has_written_is_left_where_it_lies_with_what_to_do(traded, tmp_path):
    file = tmp_path / RECORD
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{ cut off")
    with pytest.raises(
        PackRefused, match=r"paper\.json: not JSON .*; take it away: the next session makes it from the"
    ):
        traded(report(MONDAY, 5.0))
    assert file.read_bytes() == b"{ cut off"
    file.unlink()
    assert days(traded(report(TUESDAY, 5.0))) == [4, 5]
