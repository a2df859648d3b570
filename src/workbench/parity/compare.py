"""Each session computed again from what was held before it, and each difference put down to its first cause.

Between the trade that research makes and the one that was made lie four steps. Each is valued by what the trade was
worth at that session's close, so the money of all causes sums to the whole difference::

    research: today's weights, sized and filled at the open, costs of the model
      data, signal  the weights of then       (data: other bars were seen then; signal: the same bars, other weights)
      timing        sized and priced when it was decided, not at the open
      gate, fill    what was filled, at which price: denied, cut short, slippage
      cost          the commission that was charged
    what was traded
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from workbench import commissions
from workbench.live.exits import obeyed
from workbench.live.session import Data, Seat
from workbench.orders import Wish, plan
from workbench.params import CostParams
from workbench.parity.period import Decided, Period, Trade
from workbench.types import Bars

CAUSES = ("data", "signal", "timing", "gate", "fill", "cost")
CENT = 0.005  # money below it is no difference


@dataclass(frozen=True)
class Difference:
    """One cause in one symbol of one session: the shares before and after that step, and what it made or lost."""

    session: date
    symbol: str
    cause: str
    expected: int
    traded: int
    money: float
    text: str


@dataclass(frozen=True)
class SessionParity:
    """One session; ``equal``: research, run again on its data, holds what was held.

    ``explained``: it does not, only because orders were denied or not filled; the weights are the same.
    """

    session: date
    same_data: bool
    equal: bool
    expected: int  # orders
    traded: int
    money: Mapping[str, float]  # by cause
    explained: bool = False


@dataclass(frozen=True)
class Parity:
    """A period beside its recomputation; ``slippage_bps`` is beside the price decided on, weighted by value."""

    period: Period
    sessions: tuple[SessionParity, ...]
    differences: tuple[Difference, ...]
    fills: int
    slippage_bps: float | None
    model_bps: float

    def money(self, cause: str) -> float:
        """Return what a cause made or lost in all sessions."""
        return sum(session.money[cause] for session in self.sessions)

    @property
    def apart(self) -> tuple[date, ...]:
        """The sessions whose positions differ."""
        return tuple(session.session for session in self.sessions if not session.equal)


def compare(
    period: Period,
    seat: Seat,
    data: Callable[[datetime], Data],
    lookback: int,
    tape: Bars,
    costs: CostParams,
) -> Parity:
    """Return how a period differs from research.

    ``data`` gives what is known of a moment today, ``lookback`` is the longest of all strategies of the account (the
    digest of then covers so many rows), ``tape`` has the open and close of each session as the account saw them.
    """
    model = _Model(costs)
    sessions, differences = [], []
    by_session: dict[date, list[Decided]] = {}
    for decided in period.decisions:
        by_session.setdefault(decided.session, []).append(decided)
    for session, decisions in by_session.items():
        found = [_decision(one, seat, data(one.moment), lookback, _prices(tape, session), model) for one in decisions]
        rows = [row for one in found for row in one.differences]
        money = {cause: sum(row.money for row in rows if row.cause == cause) for cause in CAUSES}
        same, equal = all(one.same_data for one in found), all(one.equal for one in found)
        expected, traded = sum(one.expected for one in found), sum(one.traded for one in found)
        explained = not equal and all(one.agreed for one in found)
        sessions.append(SessionParity(session, same, equal, expected, traded, money, explained))
        differences += [row for row in rows if row.expected != row.traded or abs(row.money) >= CENT]
    trades = [trade for decided in period.decisions for trade in decided.trades if trade.fills]
    value = sum(abs(trade.filled) * trade.price for trade in trades)
    lost = sum(trade.paid - trade.filled * trade.price for trade in trades)
    return Parity(
        period, tuple(sessions), tuple(differences), sum(trade.fills for trade in trades),
        lost / value * 1e4 if value else None, model.half * 1e4,
    )  # fmt: skip


@dataclass(frozen=True)
class _Price:
    open: Mapping[str, float]
    close: Mapping[str, float]


@dataclass(frozen=True)
class _Found:
    same_data: bool
    equal: bool
    agreed: bool  # the weights are the same, whatever became of the orders
    expected: int
    traded: int
    differences: tuple[Difference, ...]


class _Model:
    """What the simulation takes a trade for: half the spread, and the schedule's commission."""

    def __init__(self, costs: CostParams) -> None:
        self.half = commissions.half_spread(costs)
        self._commission = commissions.commission(costs)

    def commission(self, signed: int, price: float) -> float:
        if not signed:
            return 0.0
        paid = abs(signed) * price
        one = commissions.Fills(np.array([float(abs(signed))]), np.array([paid]), np.array([signed < 0]), np.array([0]))
        return float(self._commission(one)[0])

    def worth(self, signed: int, price: float, close: float) -> float:
        """Return what shares bought at a price are worth at the close, less the costs of buying them."""
        paid = price * (1.0 + np.sign(signed) * self.half)
        return float(signed * (close - paid) - self.commission(signed, paid))


def _decision(decided: Decided, seat: Seat, data: Data, lookback: int, price: _Price, model: _Model) -> _Found:
    wanted, trades = decided.wanted, {trade.symbol: trade for trade in decided.trades}
    # Where a rollback asked for everything to be closed, nothing else was wanted.
    again = {} if wanted.closing else obeyed(_weights(seat, data), wanted.legs)
    same_data = data.digest(lookback) == decided.digest
    now, then = (_planned(decided, seat, weights, price.open) for weights in (again, wanted.weights))
    rows: list[Difference] = []
    for symbol in sorted(now.keys() | then.keys() | trades.keys()):
        trade = trades.get(symbol) or Trade(symbol, 0, price.open.get(symbol, np.nan), 0, 0.0, 0.0, 0, False)
        at = price.open.get(symbol, trade.price)
        steps = (now.get(symbol, 0), then.get(symbol, 0), trade, at, price.close.get(symbol, at))
        rows += _steps(decided, same_data, *steps, model)
    whole = all(trade.filled == trade.planned for trade in decided.trades)
    agreed = again == dict(wanted.weights)
    return _Found(
        same_data, whole and agreed, agreed, len(now), sum(trade.filled != 0 for trade in decided.trades), tuple(rows)
    )


def _steps(
    decided: Decided, same_data: bool, now: int, then: int, trade: Trade, at: float, close: float, model: _Model
) -> list[Difference]:
    """Return the four steps from the trade of research to the one that was made."""
    shares = (now, then, trade.planned, trade.filled, trade.filled)
    charged = model.commission(trade.filled, abs(trade.paid / trade.filled)) if trade.filled else 0.0
    worth = (
        model.worth(now, at, close),
        model.worth(then, at, close),
        model.worth(trade.planned, trade.price, close),
        trade.filled * close - trade.paid - charged,
        trade.filled * close - trade.paid - trade.commission,
    )
    clipped = decided.wanted.mode != "active" and then != trade.planned
    causes = (
        ("signal", "other weights than research computes now on the same bars")
        if same_data
        else ("data", "the bars of then are not those of now"),
        ("gate", f"mode {decided.wanted.mode}: nothing new is opened")
        if clipped
        else ("timing", f"decided at {trade.price:,.4f}, the session opened at {at:,.4f}"),
        ("gate", trade.why) if trade.denied else ("fill", trade.why or "paid otherwise than half the spread"),
        ("cost", f"commission {trade.commission:,.2f}, the model says {charged:,.2f}"),
    )
    return [
        Difference(decided.session, trade.symbol, cause, shares[step], shares[step + 1],
                   worth[step + 1] - worth[step], text)
        for step, (cause, text) in enumerate(causes)
    ]  # fmt: skip


def _weights(seat: Seat, data: Data) -> dict[str, float]:
    row = seat.strategy.weights(data.bars.select(seat.strategy.symbols)).iloc[-1]
    return {str(name): float(value) for name, value in row.items() if value != 0.0}


def _planned(decided: Decided, seat: Seat, weights: Mapping[str, float], opens: Mapping[str, float]) -> dict[str, int]:
    """Return the orders that follow from weights at the opens; what did not open is not traded."""
    wanted = decided.wanted
    before = {name: weight for name, weight in wanted.before.items() if name in opens}
    held = {name: count for name, count in wanted.held.items() if name in opens}
    priced = {name: weight for name, weight in weights.items() if name in opens}
    wish = Wish(wanted.strategy, wanted.capital, priced, before, held, seat.rebalance)
    return {order.symbol: order.signed for order in plan([wish], opens).orders}


def _prices(tape: Bars, session: date) -> _Price:
    stamp = pd.Timestamp(session)
    rows = []
    for frame in (tape.open, tape.close):
        row = frame.loc[stamp].dropna() if stamp in frame.index else pd.Series(dtype=float)
        rows.append(dict(zip(map(str, row.index), row.to_numpy(dtype=float).tolist(), strict=True)))
    return _Price(rows[0], rows[1])
