"""Decisions within the session: by the 5-minute bars that had ended, on the paper broker, flat before the close."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pandas as pd
import polars as pl
import pytest

from tests.data.by_hand import put
from tests.live.test_runner import FREE, WIDE
from workbench.data.lake import Lake
from workbench.data.sample import generate
from workbench.errors import InputRefused, StaleData
from workbench.live import feed
from workbench.live.gate import Hours
from workbench.live.journal.event import Kind
from workbench.live.paper import PaperBroker
from workbench.live.rehearsal import SessionMarket
from workbench.live.runner import run_session
from workbench.live.session import Data, Desk, Seat
from workbench.params import DataParams, SampleParams
from workbench.sessions import Calendar
from workbench.strategies.exits import Exits
from workbench.types import Bars

NAMES = ("TEC01", "FIN01")
EVERY = timedelta(minutes=30)
FLAT = Exits(stop_atr=4.0, minutes_before_close=10)


@dataclass(frozen=True)
class Cross:
    """Long while the mean of three 5-minute closes is above that of twelve; flat ten minutes before the close."""

    symbols: tuple[str, ...] = NAMES
    lookback: int = 12
    exits: Exits | None = FLAT
    name: ClassVar[str] = "cross"
    dataset: ClassVar[str] = "prices_5min"

    def weights(self, bars: Bars) -> pd.DataFrame:
        close = bars.close
        return (close.rolling(3).mean() > close.rolling(12).mean()).astype(float) * 0.2


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = generate(SampleParams(years=2, symbols_per_sector=2, intraday_sessions=3))
    lake = Lake(tmp_path_factory.mktemp("lake") / "lake", "sample")
    for name in ("symbols", "actions", "prices_daily", "prices_5min"):
        put(lake, name, getattr(made, name).with_columns(source=pl.lit("sample")))
    return lake


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-12-{text}").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        ("31 14:30", "30 20:55"),  # the open of the last session: nothing of it has ended
        ("31 14:34", "30 20:55"),
        ("31 14:35", "31 14:30"),
        ("31 17:02", "31 16:55"),
        ("31 21:00", "31 20:55"),
        ("31 23:30", "31 20:55"),
        ("29 12:00", "27 20:55"),  # a Sunday
    ],
)
def test_the_newest_bar_is_the_last_one_that_had_ended(lake, moment, last):
    found = feed.newest(Calendar(), utc(moment), "prices_5min")
    assert found == utc(last)
    known = feed.known(lake, (Seat(Cross(), "pack"),), Calendar(), utc(moment))
    assert known.bars.index[-1] == pd.Timestamp(utc(last))


def test_a_day_is_still_a_day_for_who_decides_by_days():
    assert feed.newest(Calendar(), utc("31 17:02")) == date(2024, 12, 30)


def test_two_kinds_of_bars_on_one_account_are_refused_and_a_rehearsal_knows_days_only(lake):
    class Daily(Cross):
        name: ClassVar[str] = "daily"
        dataset: ClassVar[str] = "prices_daily"

    seats = (Seat(Cross(), "pack"), Seat(Daily(), "pack"))
    told = "cross by prices_5min, daily by prices_daily: one account decides by one kind of bars"
    with pytest.raises(InputRefused, match=told):
        feed.dataset_of(seats)
    with pytest.raises(InputRefused, match="rehearsed on daily bars only"):
        feed.history(lake, seats[:1], DataParams())


def test_rows_in_quarantine_are_those_of_the_very_bar(lake, tmp_path):
    bar = utc("31 16:55")
    away = Lake(tmp_path / "lake", "sample")
    rows = pl.DataFrame({"symbol": ["TEC01"], "ts": [bar]}).cast({"ts": pl.Datetime("us", "UTC")})
    contract = lake.quarantine("prices_5min").schema
    missing = {name: pl.lit(None, kind) for name, kind in contract.items() if name not in rows.columns}
    away.add_to_quarantine("prices_5min", rows.with_columns(**missing).select(list(contract)))
    assert feed.bad_rows(away, bar, 2, "prices_5min") == 0.5
    assert feed.bad_rows(away, bar + timedelta(minutes=5), 2, "prices_5min") == 0.0


def desk_of(project, lake: Lake, session: date, limits=WIDE, data=None) -> Desk:
    calendar, seats = Calendar(), (Seat(Cross(), "pack of cross", 1),)
    hours = Hours(calendar.opens(session), calendar.closes(session))
    whole = lake.bars(NAMES, dataset="prices_5min")

    def wait(moment: datetime) -> bool:
        project.clock.set(max(moment, project.clock()))
        return False

    wait(hours.opens - timedelta(minutes=10))
    broker = PaperBroker(
        project.paths.root / "paper.db", SessionMarket(whole, project.clock), cash=100_000.0, costs=FREE,
        participation=1.0,
    )  # fmt: skip
    broker.connect()
    project._opened.append(broker.close)
    moments = tuple(hours.opens + number * EVERY for number in range(1, 13))
    return Desk(
        broker, project.journal(project.lease()), project.outbox(), seats, session, hours, moments,
        data or (lambda moment: feed.known(lake, seats, calendar, moment)),
        lambda moment: feed.newest(calendar, moment, feed.dataset_of(seats)),
        lambda: limits, project.clock, wait, lambda seconds: wait(project.clock() + timedelta(seconds=seconds)),
    )  # fmt: skip


def test_a_strategy_on_five_minute_bars_trades_a_session_and_is_flat_at_its_end(project, lake):
    desk = desk_of(project, lake, date(2024, 12, 31))
    report = run_session(desk)
    whole = Cross().weights(lake.bars(NAMES, dataset="prices_5min"))
    decisions = [event.data for event in desk.journal.events() if event.kind is Kind.DECISION]
    assert len(decisions) == 13  # twelve by its moments, one by the clock
    for made in decisions[:12]:
        moment = datetime.fromisoformat(made["id"].replace("Z", "+00:00"))
        assert pd.Timestamp(made["inputs"]["until"]) == pd.Timestamp(moment) - pd.Timedelta(minutes=5)
        row = whole.loc[pd.Timestamp(moment) - pd.Timedelta(minutes=5)]
        (wanted,) = made["wanted"]
        out = {name for name, leg in wanted["legs"].items() if not leg["side"]}
        assert wanted["weights"] == {name: value for name, value in row.items() if value and name not in out}
    assert len(desk.journal.book.fills) >= 4
    assert (decisions[12]["id"], decisions[12]["ending"]) == ("2024-12-31T20:50Z", True)
    assert report.results[0].held == {}
    assert desk.broker.positions() == ()
    assert desk.broker.open_orders() == ()
    assert report.results[0].equal
    assert report.differences == ()


def test_a_bar_that_is_missing_stops_the_decision_of_its_moment(project, lake):
    def late(moment: datetime) -> Data:
        found = feed.known(lake, (Seat(Cross(), "pack"),), Calendar(), moment)
        return replace(found, bars=found.bars.until(found.bars.index[-2]))

    desk = desk_of(project, lake, date(2024, 12, 31), data=late)
    with pytest.raises(StaleData, match=r"the newest is of 2024-12-31 14:50:00.*2024-12-31 14:55:00"):
        run_session(desk)
    assert desk.journal.book.past.decision is None
