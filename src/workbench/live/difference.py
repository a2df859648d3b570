"""What differs between our books and what is seen at the broker at one moment, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from workbench.live.book import CASH, Book, Tracked
from workbench.live.owners import all_there, still_explained, what_to_type
from workbench.trading import Fill, OrderStatus, Working

CHARGED_WITHIN = timedelta(days=1)  # what the broker has not told of a commission by then, it never tells
MOST_COMMISSION = 0.01  # of an execution's value, and at least a dollar
PART = "part"  # the number of a difference in parts of a share


class Of(StrEnum):
    """What differs."""

    POSITION = "position"
    ORDER = "order"
    EXECUTION = "execution"
    CASH = "cash"


@dataclass(frozen=True)
class Difference:
    """One difference; ``ours`` False where it was traded by somebody else on the account, or is a little cash."""

    of: Of
    symbol: str  # empty for cash
    journal: float
    broker: float
    text: str
    ours: bool = True
    number: str = ""  # of the order or the execution

    @property
    def id(self) -> str:
        """What it is explained by: the same difference again has the same; cash changes with every trade."""
        if self.of is Of.CASH:
            return f"{self.of}::{self.broker - self.journal:.0f}"
        return f"{self.of}:{self.symbol}:{self.number}:{self.journal:.2f}:{self.broker:.2f}"


@dataclass(frozen=True)
class Seen:
    """The broker's side at one moment."""

    fills: tuple[Fill, ...]
    positions: dict[str, int]
    parts: dict[str, float]  # of a share, held by whoever trades them: not this runner
    orders: tuple[Working, ...]
    cash: float
    equity: float
    at: datetime
    moving: tuple[Fill, ...]  # what filled between the first question and the last: told of by some answers only


def _moved(fills: Iterable[Fill], cash: float) -> float:
    """Return how much of what the broker's cash lacks may be of these fills, some of which came after it was told."""
    flows = [-fill.signed * fill.price for fill in fills]
    return min(max(cash, sum(one for one in flows if one < 0)), sum(one for one in flows if one > 0))


def _between(fills: Iterable[Fill], symbol: str, shares: int) -> bool:
    """Whether the broker's positions lack so many shares by these fills, some of which came after they were told."""
    moved = [fill.signed for fill in fills if fill.symbol == symbol]
    return sum(one for one in moved if one < 0) <= shares <= sum(one for one in moved if one > 0)


def by_others(book: Book, seen: Seen) -> list[Fill]:
    """Return executions that no order of ours made and that are not in the books.

    The broker tells of the last day only. What it told before, and nobody has seen to, is among them, unless the
    positions are as they are without it: then it was taken back.
    """
    told = [fill for fill in seen.fills if fill.key not in book.orders and not book.has(fill)]
    names = {fill.id for fill in seen.fills}
    earlier = dict[str, list[Fill]]()
    for fill in book.by_others.values():
        if fill.id not in names and not book.has(fill):
            earlier.setdefault(fill.symbol, []).append(fill)
    for symbol, fills in earlier.items():
        ours = book.positions.get(symbol, 0) + book.explained.get(symbol, 0)
        newer = sum(traded_by(book, fill) for fill in told if fill.symbol == symbol and not seen_to(book, fill))
        if seen.positions.get(symbol, 0) != ours + newer or not sum(traded_by(book, fill) for fill in fills):
            told += fills
    return told


def seen_to(book: Book, fill: Fill) -> bool:
    """Whether a person has explained an execution by somebody else, as it is told now."""
    explained = book.explained_fills.get(fill.id)
    return explained.signed == fill.signed if explained else execution_of(fill).id in book.accepted


def traded_by(book: Book, fill: Fill) -> int:
    """Return the shares of an execution, signed, beyond what the books or a person's word have of it."""
    known = _known(book, fill)
    return fill.signed - (known.signed if known else 0)


def execution_of(fill: Fill) -> Difference:
    """Return an execution by somebody else as a difference."""
    text = f"{fill.symbol}: {fill.side} {fill.quantity} at {fill.price:g} was not ordered by this runner ({fill.id})"
    return Difference(Of.EXECUTION, fill.symbol, 0, fill.signed, text, ours=False, number=fill.id)


def differences_of(book: Book, seen: Seen, cash_tolerance: float, max_cash: float) -> list[Difference]:
    """Return all that differs, whether a person explained it or not."""
    foreign = by_others(book, seen)
    found = [execution_of(fill) for fill in foreign]
    numbers = {key: tracked.intent.order_id for key, tracked in book.orders.items()}
    for one in seen.orders:
        if (ended := _ended(book, one)) is not None:
            text = f"{one.order.symbol}: order {one.order.key} is open at the broker, and {ended} in the journal"
            number = str(one.permanent_id)
            found.append(Difference(Of.ORDER, one.order.symbol, 0, one.order.signed, text, number=number))
        elif numbers.get(one.order.key) != one.order_id:
            twice = "is there a second time under" if one.order.key in numbers else "was not sent by this runner:"
            text = f"{one.order.symbol}: open order {one.order.key or 'without a key'} {twice} number {one.order_id}"
            number = str(one.permanent_id)
            found.append(
                Difference(Of.ORDER, one.order.symbol, 0, one.order.signed, text, one.order.key in numbers, number)
            )
    own = [fill for fill in seen.moving if fill.key in book.orders]
    for symbol in sorted(book.positions.keys() | seen.positions.keys() | book.explained.keys()):
        ours, theirs, more = book.positions.get(symbol, 0), seen.positions.get(symbol, 0), book.explained.get(symbol, 0)
        if ours != theirs or more:
            others = [fill for fill in foreign if fill.symbol == symbol]
            newer = sum(traded_by(book, fill) for fill in others if not seen_to(book, fill))
            traded = {sum(fill.signed for fill in others), newer}
            here = f"{ours:+d} shares in the journal" + (f" and {more:+d} explained" if more else "")
            gone = not all_there(book, symbol, theirs)  # no word of a person puts shares there, not even an earlier one
            more = still_explained(book, symbol, theirs) if gone else more
            lack = ours + more - theirs
            if lack and symbol not in book.locked and _between(own, symbol, lack):
                continue
            known = symbol in seen.parts or any(_between(seen.moving, symbol, lack + one) for one in traded)
            why = "trades that are not ours explain it" if known else "nothing explains it"
            text = f"{symbol}: {here}, {theirs:+d} at the broker; {why}"
            text += f": {what_to_type(book, symbol, theirs - ours - more)}" if gone else ""
            booked = ours if gone else ours + more
            found.append(Difference(Of.POSITION, symbol, booked, theirs, text, ours=not known))
    for symbol, part in seen.parts.items():
        told = f"{part:+g} shares" if (known := math.isfinite(part)) else "a position that cannot be read"
        text = f"{symbol}: {told} at the broker beyond whole shares, which is all that this runner trades"
        found.append(Difference(Of.POSITION, symbol, 0, part if known else 0.0, text, ours=False, number=PART))
    unseen = unexplained_fills(book, seen)
    cash = book.cash + book.cash_explained + sum(brought_by(book, fill) for fill in unseen)
    lacks = cash - seen.cash - (0.0 if CASH in book.locked else _moved(own, cash - seen.cash))
    told_now = {fill.id for fill in seen.fills}  # their cash may be on its way
    if told_now.isdisjoint(fill.id for fill in unseen) and abs(lacks) > cash_tolerance + _uncharged(book, seen):
        text = f"cash: {cash:,.2f} in the journal, {seen.cash:,.2f} at the broker; dividends, interest or fees?"
        most = max_cash * max(seen.equity, 0.0)
        if much := not abs(cash - seen.cash) <= most:
            text += f" More than {most:,.2f}: only what shrinks a position is sent until it is explained"
        found.append(Difference(Of.CASH, CASH, cash, seen.cash, text, ours=much))
    return found


def gap_of(book: Book, seen: Seen) -> float | None:
    """Return the cash that the broker has beyond the books and what others traded; None while something fills."""
    if seen.moving:
        return None
    brought = sum(brought_by(book, fill) for fill in unexplained_fills(book, seen))
    return seen.cash - book.cash - book.cash_explained - brought


def unexplained_fills(book: Book, seen: Seen) -> list[Fill]:
    """Return the executions by others of which nobody has said anything: nor is their cash in the books."""
    return [fill for fill in by_others(book, seen) if not seen_to(book, fill)]


def brought_by(book: Book, fill: Fill) -> float:
    """Return the cash that an execution brought beyond what the books or a person's word have of it, all fees paid."""
    known, paid = _known(book, fill), book.commissions.get(fill.id, 0.0)
    if known and fill.id in book.explained_fills:
        paid = known.commission or 0.0
    before = known.signed * known.price if known else 0.0
    charged = 0.0 if fill.commission is None else fill.commission - paid
    return before - fill.signed * fill.price - charged


def _known(book: Book, fill: Fill) -> Fill | None:
    return book.explained_fills.get(fill.id) or book.fills.get(fill.id)


def _uncharged(book: Book, seen: Seen) -> float:
    """Return what the commissions may come to that are still on their way."""
    waiting = [fill for fill in book.fills.values() if fill.id not in book.commissions]
    waiting += [fill for fill in by_others(book, seen) if fill.commission is None]
    return sum(
        max(1.0, MOST_COMMISSION * fill.quantity * fill.price) for fill in waiting
        if seen.at - fill.at < CHARGED_WITHIN
    )  # fmt: skip


def unseen_orders(book: Book, seen: Seen) -> tuple[Tracked, ...]:
    """Return the orders that the broker had accepted, by our books, and that are not open there."""
    there = {(one.order.key, one.order_id) for one in seen.orders}
    return tuple(
        one for one in book.open_orders
        if one.status is not OrderStatus.INTENDED and (one.order.key, one.intent.order_id) not in there
    )  # fmt: skip


def unnoticed_keys(book: Book, seen: Seen) -> frozenset[str]:
    """Return the keys of those whose end nobody knows of yet."""
    return frozenset(one.order.key for one in unseen_orders(book, seen) if one.status is not OrderStatus.MISSING)


def gone_order(one: Tracked) -> Difference:
    """Return an order that is not open at the broker any more as a difference."""
    order = one.order
    text = (
        f"{order.symbol}: order {order.key} is {one.status} in the journal, and not open at the broker; did it end? "
        f'workbench reconcile --cancelled {order.key} --reason "…"'
    )
    return Difference(Of.ORDER, order.symbol, order.signed, 0, text, number=order.key)


def _ended(book: Book, one: Working) -> OrderStatus | None:
    """Return how an order ended by our books that the broker still works; it was said to be refused, and was not."""
    tracked = book.orders.get(one.order.key)
    if tracked is None or tracked.intent.order_id != one.order_id:
        return None
    return tracked.status if tracked.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED) else None
