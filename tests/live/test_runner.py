"""The whole session on the paper broker: what is traded, what is not, and what stands in the journal afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import AlreadyRunning, DataRefused, StaleData
from workbench.live.journal.event import Kind
from workbench.live.limits import Limits
from workbench.live.paper import PaperBroker, SteppedClock
from workbench.live.rehearsal import Rehearsal
from workbench.live.session import Data, Seat
from workbench.live.trading_state import TradingState
from workbench.params import CostParams, Paths, PortfolioParams, Settings
from workbench.trading import Side
from workbench.types import Bars

FREE = CostParams(schedule="none", spread_bps=0.0)
WIDE = Limits(
    max_order_value=1e6, confirm_above=1e6, max_order_quantity=100_000, max_gap=1.0, max_quote_age_seconds=345_600,
    max_account_age_seconds=345_600, max_minutes_before_open=1_440, min_minutes_before_close=0,
    max_orders_per_second=200, max_orders_per_minute=1_000, max_orders_per_day=1_000, max_repeats=20, max_position=1.0,
    max_position_value=1e6, max_positions=70, max_gross=3.0, max_net=3.0, max_sector=3.0, max_correlation=1.0,
    min_free_equity=0.0, max_daily_loss=1.0, max_daily_loss_value=1e6, max_drawdown=1.0,
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A strategy that wants what is written down: weights by session, the last ones hold."""

    name: str
    symbols: tuple[str, ...]
    wanted: Mapping[str, Mapping[str, float]]
    lookback: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        frame = pd.DataFrame(np.nan, index=bars.index, columns=list(self.symbols))
        for day, weights in self.wanted.items():
            if pd.Timestamp(day) in frame.index:
                frame.loc[pd.Timestamp(day)] = [weights.get(symbol, 0.0) for symbol in self.symbols]
        return frame.ffill().fillna(0.0)


def seat(name: str, wanted: Mapping[str, Mapping[str, float]], **facts: object) -> Seat:
    symbols = ("AAA", "BBB")
    return Seat(Written(name, symbols, wanted), f"pack of {name}", 1, **facts)  # type: ignore[arg-type]


@pytest.fixture
def bars(bars_of: Callable[..., Bars]) -> Bars:
    """150 sessions of two symbols that swing apart, so that they are not one concentration; no spread, no gaps."""
    step = np.arange(150)
    close = np.column_stack([100.0 + (step % 7), 50.0 + (step % 5)])
    return bars_of(close, ["AAA", "BBB"], start="2024-01-02", sectors={"AAA": "Alpha", "BBB": "Beta"})


@dataclass
class Stage:
    """A folder with an embedded account, opened again and again as a person would start the program."""

    folder: Path
    bars: Bars
    seats: tuple[Seat, ...]
    limits: Limits = WIDE
    count: int = 3

    @property
    def settings(self) -> Settings:
        return Settings(portfolio=PortfolioParams(cash=100_000.0), costs=FREE)

    @property
    def paths(self) -> Paths:
        (self.folder / "params").mkdir(exist_ok=True)
        return Paths(self.folder)

    def open(self, **facts: object) -> Rehearsal:
        return Rehearsal.open(
            self.settings, self.paths, self.seats, Data(self.bars), self.count, self.limits, **facts
        )  # type: ignore[arg-type]

    def run(self) -> list:
        rehearsal = self.open()
        try:
            return [rehearsal.trade(session) for session in rehearsal.sessions]
        finally:
            rehearsal.close()


def last_days(bars: Bars, count: int) -> list[str]:
    return [str(day.date()) for day in bars.index[-count:]]


def test_a_decision_on_a_close_is_traded_at_the_next_open_in_whole_shares(tmp_path, bars):
    before, first, *_ = last_days(bars, 4)
    stage = Stage(tmp_path, bars, (seat("one", {before: {"AAA": 0.5}}),))
    reports = stage.run()
    opened = float(bars.open.loc[first, "AAA"])
    wanted = int(50_000.0 // opened)
    (order,) = reports[0].orders
    assert (order.symbol, order.signed, order.filled, order.average) == ("AAA", wanted, wanted, opened)
    assert [len(report.orders) for report in reports] == [1, 0, 0]  # the weight did not change: nothing is traded
    close = float(bars.close.loc[first, "AAA"])
    assert reports[0].equity == pytest.approx(100_000.0 + wanted * (close - opened))
    assert reports[0].results[0].held == {"AAA": wanted}
    assert reports[0].results[0].pnl == pytest.approx(wanted * (close - opened))
    assert all(report.results[0].equal for report in reports)
