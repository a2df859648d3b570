"""What is decided at one moment: the data that counts, what each strategy wants of it, and the orders that follow.

Nothing here writes or sends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pandas as pd

from workbench.errors import DataRefused, StaleData
from workbench.live import exits
from workbench.live.book import Book
from workbench.live.decision import Decision, Line, Wanted
from workbench.live.session import Data, Desk, Seat
from workbench.live.wishes import wishes_of
from workbench.orders import plan


def make_decision(
    desk: Desk, moment: datetime, data: Data, next_key: Callable[[], str], without: frozenset[str] = frozenset()
) -> Decision:
    """Return what every strategy wants now and the orders that follow, netted; nothing is written or sent.

    Symbols in ``without`` are left as they are, as if there were no price of them.
    """
    book, account, ending = desk.journal.book, desk.broker.account(), is_ending(desk, moment)
    closing = {seat.name: book.past.closes(seat.name, seat.flatten, book) for seat in desk.seats}
    left = {seat.name for seat in desk.seats if ending and not exits.ends(seat, desk.hours, moment)}
    said = {
        seat.name: {}
        if closing[seat.name]
        else book.past.reached(seat.name, book)
        if ending
        else weights_of(seat, data)
        for seat in desk.seats
    }
    weights, legs = dict(said), {seat.name: exits.legs_of(seat.name, book) for seat in desk.seats}
    prices = prices_of(desk, {name for own in (*said.values(), *legs.values()) for name in own})
    prices = {name: price for name, price in prices.items() if name not in without}
    for seat in desk.seats:
        if seat.name not in left:
            weights[seat.name], legs[seat.name] = exits.bound(desk, seat, said[seat.name], data, prices, moment)
    seats = [replace(seat, rebalance="on_change") for seat in desk.seats] if ending else desk.seats
    wishes = wishes_of(seats, weights, book, prices, account.equity)
    made = plan([wish.clipped for wish in wishes], prices)
    wanted = tuple(
        Wanted(seat.name, seat.pack, seat.version, seat.stage, seat.mode, seat.money(account.equity),
               wish.weights, wish.before, wish.held, closing[seat.name], 0 if closing[seat.name] else seat.flatten,
               legs[seat.name])
        for seat, wish in zip(desk.seats, wishes, strict=True)
    )  # fmt: skip
    lines = tuple(
        Line(next_key(), one.symbol, one.signed, one.price, one.shares, book.positions.get(one.symbol, 0))
        for one in made.orders
    )
    unpriced = sorted({name for wish in wishes for name in wish.unpriced})
    inputs = {
        "bars": data.digest(max(seat.strategy.lookback for seat in desk.seats)), "until": str(data.bars.index[-1]),
        "versions": dict(data.versions), "equity": account.equity, "limits": desk.limits().digest,
    }  # fmt: skip
    return Decision(name_of(moment), desk.session, wanted, lines, made.crossings, tuple(unpriced), inputs, ending)


def require_fresh(desk: Desk, moment: datetime) -> Data:
    """Return the data of a moment; what is not the newest, or is largely in quarantine, is not traded by."""
    data, wanted, most = desk.data(moment), desk.newest(moment), desk.limits().max_bad_rows
    newest = data.bars.index[-1]
    if newest < pd.Timestamp(wanted):
        raise StaleData(f"bars: the newest is of {newest}, the last one that closed is of {wanted}; nothing was "
                        "decided; ingest newer data: make data")  # fmt: skip
    if not data.bad_rows <= most:
        raise DataRefused(f"bars of {newest}: {data.bad_rows:.0%} of the rows are in quarantine, max_bad_rows "
                          f"{most:.0%}; nothing was decided; see: make validate")  # fmt: skip
    return data


def weights_of(seat: Seat, data: Data) -> dict[str, float]:
    """Return what a strategy wants now: the same line as in the backtest, and of it the last row."""
    weights = seat.strategy.weights(data.bars.select(seat.strategy.symbols))
    row = weights.iloc[-1]
    if weights.index[-1] != data.bars.index[-1]:
        raise DataRefused(f"{seat.name}: its weights end at {weights.index[-1]}, the bars at {data.bars.index[-1]}")
    return {str(name): float(value) for name, value in row.items() if value != 0.0}


def prices_of(desk: Desk, symbols: set[str]) -> dict[str, float]:
    """Return the price of each symbol, and of all that is held, as far as there is one."""
    quotes = desk.broker.quotes(sorted(symbols | held_by_anybody(desk.journal.book)))
    found = {name: quote.mid for name, quote in quotes.items()}
    return {name: mid for name, mid in found.items() if mid is not None and math.isfinite(mid) and mid > 0}


def held_by_anybody(book: Book) -> set[str]:
    """Return what anybody holds: what strategies hold against each other is no position of the account."""
    return {*book.positions, *(symbol for shares in book.books.values() for symbol in shares)}


def is_ending(desk: Desk, moment: datetime) -> bool:
    """Whether it is the clock that asks at this moment: something ends before the session does."""
    return moment in exits.ending_moments(desk.seats, desk.hours)


def name_of(moment: datetime) -> str:
    """Return the name of the decision of a moment."""
    return f"{moment:%Y-%m-%dT%H:%MZ}"
