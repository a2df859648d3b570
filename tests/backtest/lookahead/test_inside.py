"""A lake opened inside compute(bars): while it is examined it answers as of the last bar, and a finding names it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth
from workbench.backtest.lookahead.dates import decided_at
from workbench.data.lake import Lake
from workbench.data.watch import watched
from workbench.sessions import Calendar
from workbench.types import Bars

FEW = Depth(cuts=8, combs=1, windows=2, cold=1)
SYMBOLS = ("TEC01", "FIN02", "HLT03")
CALENDAR = Calendar()


@pytest.fixture(scope="module")
def bars(lake) -> Bars:
    return lake.bars(SYMBOLS)


def cpi_by_period(lake: Lake, index: pd.DatetimeIndex) -> pd.Series:
    """Return the last revision of the CPI from the first day of its month on."""
    rows = lake.read("macro", ["CPI"])
    found = pd.Series(rows["value"].to_list(), pd.DatetimeIndex(rows["period"].to_list()))
    return found.pct_change(12).reindex(index, method="ffill")


@dataclass(frozen=True)
class Macro:
    """Holds what trends while the inflation of the month, as it is known today, falls."""

    symbols: tuple[str, ...]
    root: str
    lookback: int = 20
    name: ClassVar[str] = "macro"

    def weights(self, bars: Bars) -> pd.DataFrame:
        falls = cpi_by_period(Lake(self.root, "sample"), bars.index).diff(20) < 0
        return (bars.close > bars.close.rolling(20).mean()).mul(falls, axis=0).astype(float) / 3


def found(thing, data):
    """Return the one finding, which must be a read of the lake."""
    report = lookahead.examine(thing, data, depth=FEW, name="mine")
    assert report.reads_ahead
    assert [finding.kind for finding in report.findings] == ["used before known"], str(report)
    return report.findings[0]


def test_tomorrows_close_read_of_the_lake_is_caught_and_its_dataset_is_named(lake, bars):
    def peek(b: Bars) -> pd.DataFrame:
        tomorrow = lake.bars(list(b.symbols)).close.pct_change(fill_method=None).shift(-1).reindex(b.index)
        return b.close.pct_change(5, fill_method=None) + tomorrow

    finding = found(peek, bars)
    assert finding.field == "prices_daily"
    moment = CALENDAR.closes(finding.date)
    assert finding.text == (
        f"{finding.column} on {finding.date} reads prices_daily from the lake without as_of, and is another one on the "
        f"lake as of {moment:%Y-%m-%dT%H:%MZ}: it uses what became known later; read as_of the close of each row's "
        "session"
    )


def test_the_newest_revision_joined_on_its_period_is_caught_in_a_feature(lake, bars):
    finding = found(lambda b: b.close.pct_change(20, fill_method=None).sub(cpi_by_period(lake, b.index), axis=0), bars)
    assert finding.field == "macro"
    assert "reads macro from the lake without as_of" in finding.text


def test_a_macro_strategy_that_opens_the_lake_in_weights_is_caught_on_bars_and_on_the_lake(lake, bars):
    strategy = Macro(SYMBOLS, str(lake.root))
    assert found(strategy, bars).field == "macro"
    assert found(strategy, lake).field == "macro"


def test_an_as_of_that_lies_later_is_said(lake, bars):
    end = CALENDAR.closes(bars.index[-1])

    def late(b: Bars) -> pd.Series:
        rows = lake.read("macro", ["CPI"], as_of=end)
        return pd.Series(rows["value"].to_list(), pd.DatetimeIndex(rows["period"].to_list())).reindex(b.index).ffill()

    assert "reads macro from the lake with a later as_of" in found(late, bars).text


def test_reads_of_what_was_known_are_honest(lake, bars):
    def as_of_the_last_bar(b: Bars) -> pd.DataFrame:
        known = lake.bars(list(b.symbols), as_of=CALENDAR.closes(b.index[-1]))
        return known.close.pct_change(5, fill_method=None).reindex(b.index)

    def without_as_of_but_of_the_past_only(b: Bars) -> pd.DataFrame:
        return lake.bars(list(b.symbols)).traded_close.shift(1).reindex(b.index)

    def each_month_as_of_its_day(b: Bars) -> pd.Series:
        months = pd.Series(np.nan, b.index)
        for at in np.flatnonzero(b.index.month[1:] != b.index.month[:-1])[6:] + 1:
            months.iloc[at] = lake.read("macro", ["CPI"], as_of=CALENDAR.closes(b.index[at]))["value"][-1]
        return months.ffill()

    for honest in (as_of_the_last_bar, without_as_of_but_of_the_past_only, each_month_as_of_its_day):
        report = lookahead.examine(honest, bars, depth=FEW)
        assert report.clean, str(report)


def test_a_lake_in_which_nothing_was_known_yet_is_no_fault(lake, bars):
    """The CPI of March 2021 is known from April on: live would have had to wait for it too."""

    @dataclass(frozen=True)
    class Waits:
        name: str = "waits"
        inputs: tuple[str, ...] = ("close",)
        lookback: int = 2

        def compute(self, b: Bars) -> pd.DataFrame:
            lake.read("macro", ["CPI"], start="2021-03-01", as_of=CALENDAR.closes(b.index[-1]))
            return b.close.pct_change(fill_method=None)

    report = lookahead.examine(Waits(), bars, depth=FEW)
    assert report.clean, str(report)
    assert any("shorter histories it raised" in note for note in report.notes)


def test_a_lake_that_is_held_answers_as_it_did_then_and_tells_what_was_read(lake):
    moment = datetime(2023, 5, 1, 21, 0, tzinfo=UTC)
    then = lake.read("macro", ["CPI"], as_of=moment)
    with watched(lambda name: moment) as reads:
        assert lake.read("macro", ["CPI"]).equals(then)
        assert lake.read("macro", ["CPI"], as_of="2024-05-01T21:00:00Z").equals(then)
        earlier = lake.read("macro", ["CPI"], as_of="2022-05-01T21:00:00Z")
        assert lake.bars(["TEC01"]).index[-1] == pd.Timestamp("2023-05-01")
        assert str(lake.newest("prices_daily")) == "2023-05-01"
    assert earlier.equals(lake.read("macro", ["CPI"], as_of="2022-05-01T21:00:00Z"))
    assert reads == {"macro": False, "prices_daily": False, "actions": False, "symbols": False}
    with watched(lambda name: moment if name == "macro" else None) as reads:
        assert lake.read("macro", ["CPI"], as_of=moment).equals(then)
        assert lake.newest("prices_daily") > moment.date()
    assert reads["macro"]
    assert len(lake.read("macro", ["CPI"])) > len(then)


def test_a_row_is_decided_at_its_sessions_close_or_at_its_bars_end():
    days = pd.DatetimeIndex(["1950-07-03", "2024-07-03", "2024-07-04", "2024-07-05"])
    assert decided_at(days, 1) == datetime(2024, 7, 3, 17, 0, tzinfo=UTC)  # a half day ends at 13:00 in New York
    assert decided_at(days, 2) == datetime(2024, 7, 4, 21, 0, tzinfo=UTC)
    assert decided_at(days, 3) == datetime(2024, 7, 5, 20, 0, tzinfo=UTC)
    assert decided_at(days, 0) == datetime(1950, 7, 3, 21, 0, tzinfo=UTC)  # before the calendar begins
    five = pd.date_range("2024-07-03T13:30Z", periods=3, freq="5min")
    assert decided_at(five, 1) == datetime(2024, 7, 3, 13, 40, tzinfo=UTC)
