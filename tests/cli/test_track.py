"""The record that the gates of the next stage read: one session longer after each, and of one account and pack only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import pytest

from workbench.cli.track import write_records
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.reconcile import Difference, Of
from workbench.live.report import Result, SessionReport
from workbench.live.session import Seat
from workbench.params import Paths, Settings
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
        return json.loads((tmp_path / RECORD).read_bytes())

    return write


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
