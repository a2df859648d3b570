"""Exits while trading: what a strategy stays out of, and when the clock closes what it holds.

The rule is ``strategies.exits.hold``, the backtest's own, called with one row: what the books say is held, and what the
last decision remembered of it (its ``Leg``). What it leaves at the broker is in ``protection``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from workbench.errors import DataRefused, InputRefused, OrderRejected
from workbench.live.book import Book
from workbench.live.decision import Leg
from workbench.live.gate import Hours
from workbench.live.limits import Limits
from workbench.live.session import Data, Desk, Seat
from workbench.live.splits import before_split
from workbench.strategies.exits import (
    AGE,
    OUT,
    SIDE,
    STOP,
    TARGET,
    TICK,
    Exits,
    average_true_range,
    exits_of,
    hold,
    nothing_held,
)

ZONE = ZoneInfo("America/New_York")


def ending_moments(seats: Iterable[Seat], hours: Hours) -> tuple[datetime, ...]:
    """Return when the clock closes what some seat holds, so many minutes before the session's end."""
    return tuple(sorted({at for seat in seats if (at := _ends_at(seat, hours)) is not None and at > hours.opens}))


def ends(seat: Seat, hours: Hours, moment: datetime) -> bool:
    """Whether a seat holds nothing from this moment to the session's end."""
    at = _ends_at(seat, hours)
    return at is not None and at <= moment < hours.closes


def require_time(seats: Iterable[Seat], limits: Limits) -> None:
    """Refuse seats that would be closed when the gate lets nothing pass any more."""
    for seat in seats:
        exits = exits_of(seat.strategy)
        minutes = None if exits is None else exits.minutes_before_close
        if minutes is not None and minutes <= limits.min_minutes_before_close:
            raise InputRefused(
                f"{seat.name}: minutes_before_close {minutes:g} is not above min_minutes_before_close "
                f"{limits.min_minutes_before_close:g}: its closing orders would be denied; close earlier, or change "
                "the limit (params/risk)"
            )


def bound(
    desk: Desk, seat: Seat, weights: Mapping[str, float], data: Data, prices: Mapping[str, float], moment: datetime
) -> tuple[dict[str, float], dict[str, Leg]]:
    """Return a seat's weights as its exits leave them, and what is to be remembered of each symbol."""
    exits = exits_of(seat.strategy)
    if exits is None:
        return dict(weights), {}
    book = desk.journal.book
    before, held, left = legs_of(seat.name, book), book.books.get(seat.name, {}), _last_exits(seat.name, book)
    ranges = _ranges(exits, data, seat.strategy.symbols)
    found: dict[str, float] = {}
    legs: dict[str, Leg] = {}
    for symbol in sorted({*weights, *before, *held}):
        leg, shares, wish = before.get(symbol, Leg()), held.get(symbol, 0), weights.get(symbol, 0.0)
        day = left.get(symbol)
        closed = bool(leg.side and not shares and day and str(day) >= leg.opened)
        leg = Leg(out=leg.side) if closed else leg
        if ends(seat, desk.hours, moment) or (closed and day == desk.session):
            weight, leg = 0.0, Leg(out=leg.out)
        elif symbol in prices and not before_split(seat.name, symbol, leg, book):
            steps = round(1.0 / _tick(desk, symbol)) if exits.bracket else 1
            row = (wish, prices[symbol], ranges.get(symbol, np.nan), float(steps))
            weight, leg = _step(exits, leg, shares, row, _sessions(data, leg.opened, desk), desk)
        else:  # it cannot be traded now, so nothing is decided of it
            weight = 0.0 if leg.out else wish
        if weight:
            found[symbol] = weight
        if leg != Leg() or wish != weight:
            legs[symbol] = leg
    return found, legs


def obeyed(weights: Mapping[str, float], legs: Mapping[str, Leg]) -> dict[str, float]:
    """Return weights without those that a strategy stayed out of: what a decision that left these legs wanted."""
    return {name: weight for name, weight in weights.items() if name not in legs or legs[name].side}


def legs_of(strategy: str, book: Book) -> Mapping[str, Leg]:
    """Return what the last decision remembered of a strategy's symbols."""
    wanted = book.past.decision.of(strategy) if book.past.decision else None
    return wanted.legs if wanted else {}


def _ends_at(seat: Seat, hours: Hours) -> datetime | None:
    exits = exits_of(seat.strategy)
    minutes = None if exits is None else exits.minutes_before_close
    return None if minutes is None else max(hours.closes - timedelta(minutes=minutes), hours.opens)


def _step(
    exits: Exits, leg: Leg, shares: int, row: tuple[float, float, float, float], sessions: int, desk: Desk
) -> tuple[float, Leg]:
    """Return the weight that the rule leaves of a wish, and the leg after it."""
    wish, price, unit, steps = row
    side = (shares > 0) - (shares < 0)
    known = side in (leg.side, leg.out)  # else what is held was never told of: it begins now
    state = nothing_held(1)
    state[SIDE], state[AGE], state[OUT] = side if known else 0, sessions - 1, leg.out
    state[STOP] = np.nan if leg.stop is None else leg.stop
    one = np.full((1, 1), np.nan)  # of this session nothing is known but the price: the broker watches the levels
    weights, prices = np.zeros((2, 1)), np.zeros((2, 1))
    rule = np.array([[*exits.rule[:3], 0.0]])
    hold(
        np.array([[wish]]), np.array([[price]]), one, one, one, np.array([[unit]]), np.array([[steps]]), rule, 0.0,
        state, weights, prices,
    )  # fmt: skip
    after, out = int(state[SIDE, 0]), int(state[OUT, 0])
    if after == 0:
        return 0.0, Leg(out=out)
    if known and after == side:
        return float(weights[0, 0]), Leg(after, leg.opened, leg.stop, leg.target, out)
    return float(weights[0, 0]), Leg(
        after, str(desk.session), _or_none(state[STOP, 0]), _or_none(state[TARGET, 0]), out
    )


def _ranges(exits: Exits, data: Data, symbols: Iterable[str]) -> dict[str, float]:
    if not exits.bracket:
        return {}
    last = average_true_range(data.bars.select(symbols), exits.atr_sessions).iloc[-1]
    return {str(name): float(value) for name, value in last.items()}


def _sessions(data: Data, opened: str, desk: Desk) -> int:
    """Return how many sessions have ended since a holding was opened: those that the data has."""
    if not opened:
        return 0
    days = pd.DatetimeIndex(data.bars.index).tz_localize(None).normalize().unique()
    return int(((days >= pd.Timestamp(opened)) & (days < pd.Timestamp(desk.session))).sum())


def _last_exits(strategy: str, book: Book) -> dict[str, date]:
    """Return the day on which a stop or a target last filled, by symbol."""
    found: dict[str, date] = {}
    for key, one in book.orders.items():
        if one.protects and one.filled and strategy in one.intent.asked.shares:
            day = max(fill.at for fill in book.of_order(key)).astimezone(ZONE).date()
            found[one.order.symbol] = max(day, found.get(one.order.symbol, day))
    return found


def _tick(desk: Desk, symbol: str) -> float:
    try:
        return desk.instrument(symbol).tick
    except (OrderRejected, DataRefused):  # no such contract, or a damaged one: the gate says so
        return TICK


def _or_none(price: float) -> float | None:
    return None if np.isnan(price) else float(price)
