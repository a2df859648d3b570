"""A split after a stop and a target were laid: they are of another price, so a person looks first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.data.by_hand import put
from tests.live.test_exits import make, resting, seat  # noqa: F401 (make: the fixture)
from tests.live.test_runner import Stage, last_days
from workbench.data.datasets import dataset
from workbench.data.lake import Lake
from workbench.live import feed
from workbench.live.dispatch import record
from workbench.live.journal.event import Draft, Kind
from workbench.live.rehearsal import Rehearsal
from workbench.live.runner import guard, run_session
from workbench.live.session import Desk
from workbench.trading import OrderType

NOTHING = "nothing of it is sent, nor put back; close it by hand"


@pytest.fixture
def held(tmp_path, make) -> Iterator[Rehearsal]:  # noqa: F811
    """500 AAA bought in the first session of three, of which the broker ended the stop and the target over night."""
    bars = make()
    rehearsal = Stage(tmp_path, bars, (seat("one", {last_days(bars, 4)[0]: {"AAA": 0.5}}),)).open()
    rehearsal.trade(rehearsal.sessions[0])
    for one in rehearsal.journal.book.open_orders:
        rehearsal.broker.cancel(one.order.key)
    record(rehearsal.journal, rehearsal.outbox, rehearsal.broker.updates(0.0))
    yield rehearsal
    rehearsal.close()


def day_after(rehearsal: Rehearsal, split: date) -> Desk:
    """Return the second session's desk, at which the lake knows of a split."""
    rehearsal._wait(rehearsal.calendar.opens(rehearsal.sessions[1]))
    rehearsal.broker.connect()
    desk = rehearsal.desk(rehearsal.sessions[1])
    data = desk.data
    desk.data = lambda moment: replace(data(moment), splits={"AAA": split, "BBB": split})
    return desk


def test_what_was_laid_before_a_split_is_not_put_back_and_its_symbol_is_locked_and_told(held):
    desk = day_after(held, held.sessions[1])
    report = run_session(desk)
    assert (resting(held), report.orders, report.results[0].held) == ({}, (), {"AAA": 500})
    text = f"AAA: it was split on {held.sessions[1]}, after the stop or target of one was laid: {NOTHING}"
    assert held.journal.book.locked["AAA"].startswith(text)
    (alert,) = [one for one in held.outbox.all() if one.kind == "split"]
    assert (alert.severity, alert.text) == ("critical", held.journal.book.locked["AAA"])
    assert alert.text.endswith('then workbench reconcile AAA --adopt --strategy one --reason "…"')


def test_a_person_who_adopts_the_new_shares_does_not_bring_the_old_levels_back(held):
    desk = day_after(held, held.sessions[1])
    run_session(desk)
    held.journal.append(Draft(Kind.OPERATOR, {"unlocked": True, "who": "ada", "reason": "2:1"}, "", "AAA"))
    desk.clock = lambda: desk.hours.opens
    guard(desk)
    assert (held.journal.book.locked, resting(held)) == ({}, {})


def test_what_was_laid_on_the_day_of_a_split_or_later_is_put_back(held):
    run_session(day_after(held, held.sessions[0]))
    assert {kind for _, kind in resting(held)} == {OrderType.STOP, OrderType.LIMIT}
    assert held.journal.book.locked == {}


def test_the_last_split_is_known_on_its_day_and_not_before_and_a_dividend_is_none(tmp_path):
    lake, known = Lake(tmp_path / "lake", "sample"), datetime(2024, 2, 1, tzinfo=UTC)
    rows = [
        ("AAA", date(2024, 2, 6), "split", 2.0, known, "hand"),
        ("AAA", date(2024, 2, 27), "split", 3.0, known, "hand"),
        ("BBB", date(2024, 2, 26), "dividend", 0.5, known, "hand"),
    ]
    put(lake, "actions", pl.DataFrame(rows, schema=dataset("actions").schema, orient="row"))
    both = ("AAA", "BBB")
    assert feed.splits(lake, both, datetime(2024, 2, 5, 15, tzinfo=UTC)) == {}
    assert feed.splits(lake, both, datetime(2024, 2, 27, 3, tzinfo=UTC)) == {"AAA": date(2024, 2, 6)}  # evening before
    assert feed.splits(lake, both, datetime(2024, 2, 27, 13, tzinfo=UTC)) == {"AAA": date(2024, 2, 27)}
    assert feed.splits(lake, ("BBB",), datetime(2024, 2, 27, 13, tzinfo=UTC)) == {}
