"""The real runner over history: the same decisions, gate, journal and broker protocol as live, held against vectorbt.

The only way from the backtest to what trades. A decision on a close is traded at the next open by both, sized by the
equity at that open, so that they should differ in nothing but the last digits::

    found = compare(strategy, bars, settings, date(2024, 1, 2), date(2024, 12, 31), folder)
    found.require()                # raises, and names the first order or session that differs
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pandas as pd

from workbench.backtest.engine import simulate
from workbench.backtest.result import Simulation
from workbench.errors import DataRefused, InputRefused
from workbench.live.limits import Limits
from workbench.live.rehearsal import Rehearsal
from workbench.live.report import SessionReport
from workbench.live.session import Data, Seat
from workbench.params import CostParams, Paths, PortfolioParams, Settings
from workbench.strategies.exits import exits_of
from workbench.strategies.protocol import Strategy
from workbench.types import Bars

# Both add up the same floating-point numbers in another order. One share too many of a price of 100 in an account of
# 1,000,000 that moves by 1 % a day is 0.01 bp; so what is allowed for digits hides no order.
TOLERANCE_BPS = 0.001
# The gate is asked about every order and has nothing to say: what it denies is tested elsewhere, not replayed.
OPEN_LIMITS = Limits(
    max_order_value=1e12, confirm_above=1e12, max_order_quantity=10**9, max_gap=10.0, max_quote_age_seconds=1e9,
    max_account_age_seconds=1e9, max_minutes_before_open=1_440, min_minutes_before_close=0, max_orders_per_second=10**6,
    max_orders_per_minute=10**6, max_orders_per_day=10**6, max_repeats=10**6, max_position=1e6, max_position_value=1e12,
    max_positions=10**6, max_gross=10.0, max_net=10.0, max_sector=10.0, max_correlation=1.0,
    min_correlation_sessions=20, min_free_equity=0.0, max_daily_loss=1.0, max_daily_loss_value=1e12, max_drawdown=1.0,
)  # fmt: skip
ORDER = ["session", "symbol", "side", "shares"]


@dataclass(frozen=True)
class Replay:
    """What the runner traded: orders as in ``Simulation.orders``, and the equity at each close."""

    orders: pd.DataFrame
    equity: pd.Series
    reports: tuple[SessionReport, ...]


@dataclass(frozen=True)
class Agreement:
    """Runner and simulation side by side. ``apart`` has the orders that only one has; ``bps`` by session, of equity."""

    replay: Replay
    simulation: Simulation
    apart: pd.DataFrame
    bps: pd.Series

    @property
    def worst_bps(self) -> float:
        """The largest difference of the two equities, in basis points of the simulated one."""
        return float(self.bps.abs().max())

    def require(self, tolerance_bps: float = TOLERANCE_BPS) -> None:
        """Raise where an order differs, or the equity by more than the tolerance."""
        if len(self.apart):
            one = self.apart.iloc[0]
            raise DataRefused(
                f"replay: {len(self.apart)} orders differ; the first is {one['side']} {one['shares']:,.0f} "
                f"{one['symbol']} of {one['session'].date()}, which only the {one['only']} has"
            )
        if not self.worst_bps <= tolerance_bps:
            first = self.bps.index[int((self.bps.abs() > tolerance_bps).to_numpy().argmax())]
            raise DataRefused(
                f"replay: the equity differs by {self.worst_bps:.4f} bp, at most {tolerance_bps:g} is digits; first on "
                f"{first.date()}; look at the costs of that session"
            )


def compare(
    strategy: Strategy, bars: Bars, settings: Settings, start: date, end: date, folder: Path, rebalance: str = ""
) -> Agreement:
    """Return a replay and the simulation of the same weights over the same sessions; the account lies in ``folder``."""
    known = as_traded(bars.select(strategy.symbols).until(end))
    first = _first(known, strategy, start)
    settings = comparable(settings, rebalance)
    played = replay(strategy, known, settings, first, folder)
    weights = strategy.weights(known).iloc[first - 1 :]
    simulation = simulate(weights, known, settings.portfolio, settings.costs, exits_of(strategy))
    equity = simulation.equity.iloc[1:]
    return Agreement(played, simulation, _apart(played.orders, simulation.orders), (played.equity / equity - 1.0) * 1e4)


def replay(strategy: Strategy, bars: Bars, settings: Settings, first: int, folder: Path) -> Replay:
    """Return what the runner trades from bar ``first`` to the last one, from cash, on the embedded account."""
    paths = copy.copy(Paths(folder))
    paths.state = folder / "state"
    seat = Seat(strategy, "replay", 1, rebalance=settings.portfolio.rebalance)
    rehearsal = Rehearsal.open(settings, paths, (seat,), Data(bars), len(bars) - first, OPEN_LIMITS)
    try:
        if [session for session in bars.index[first:].date if session not in rehearsal.sessions]:
            raise InputRefused(f"replay: {folder} holds an account that has traded before; name an empty folder")
        reports = tuple(rehearsal.trade(session) for session in rehearsal.sessions)
        orders = _orders(rehearsal)
    finally:
        rehearsal.close()
    days = pd.DatetimeIndex([report.session for report in reports])
    if denied := [one for report in reports for one in report.denied]:
        raise DataRefused(f"replay: {denied[0].symbol} {denied[0].signed:+,} was denied: {denied[0].reason}")
    return Replay(orders, pd.Series([report.equity for report in reports], index=days, name="equity"), reports)


def as_traded(bars: Bars) -> Bars:
    """Return bars whose prices are taken for those on the tape: an account of the past buys whole shares at them.

    A symbol without a sector gets one of its own, which the gate asks for.
    """
    sectors = {symbol: bars.sectors.get(symbol, symbol) for symbol in bars.symbols}
    return replace(bars, traded_close=bars.close, sectors=sectors)


def comparable(settings: Settings, rebalance: str = "") -> Settings:
    """Return settings under which both sides charge the same: the paper account knows neither impact nor borrow."""
    portfolio, costs = settings.portfolio, settings.costs
    if (portfolio.fill, portfolio.lag_bars) != ("open", 1):
        raise InputRefused(
            f"replay: portfolio.fill {portfolio.fill} with lag_bars {portfolio.lag_bars}; the runner trades the open "
            "after a decision: --set portfolio.fill=open --set portfolio.lag_bars=1"
        )
    same: dict[str, object] = {"whole_shares": True, "rebalance": rebalance or portfolio.rebalance}
    # Large orders are cut at the broker; the simulation only reports them, so they are let through here.
    free = {"impact": 0.0, "borrow_bps_per_year": 0.0, "max_participation": 1.0}
    return settings.model_copy(
        update={
            "portfolio": PortfolioParams(**{**portfolio.model_dump(), **same}),
            "costs": CostParams(**{**costs.model_dump(), **free}),
        }
    )


def _first(bars: Bars, strategy: Strategy, start: date) -> int:
    first = int(bars.index.searchsorted(pd.Timestamp(start)))
    if first < max(strategy.lookback, 1) or first >= len(bars):
        raise InputRefused(
            f"replay: from {start} there are {max(len(bars) - first, 0)} sessions, and {first} before them; "
            f"{strategy.name} looks back {strategy.lookback}"
        )
    return first


def _orders(rehearsal: Rehearsal) -> pd.DataFrame:
    book, rows = rehearsal.journal.whole(), []
    for key, tracked in book.orders.items():
        for fill in book.of_order(key):
            day = pd.Timestamp(fill.at).tz_convert("America/New_York").normalize().tz_localize(None)
            side = "buy" if fill.signed > 0 else "sell"
            fee = book.commissions.get(fill.id, 0.0)
            rows.append((day, tracked.order.symbol, side, float(fill.quantity), fill.price, fee))
    frame = pd.DataFrame(rows, columns=[*ORDER, "price", "commission"])
    return frame.astype({"session": "datetime64[ns]", "symbol": str, "side": str, "shares": float})


def _apart(traded: pd.DataFrame, simulated: pd.DataFrame) -> pd.DataFrame:
    """Return the orders, whole shares of one symbol and session, that are in one of both only."""
    sides = [frame[ORDER].assign(shares=frame["shares"].round(6)) for frame in (traded, simulated)]
    merged = sides[0].merge(sides[1], how="outer", on=ORDER, indicator="only")
    apart = merged[merged["only"] != "both"]
    names = {"left_only": "runner", "right_only": "simulation"}
    return apart.assign(only=apart["only"].astype(str).map(names)).sort_values(["session", "symbol"], ignore_index=True)
