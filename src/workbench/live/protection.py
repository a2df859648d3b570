"""The stops and targets that lie at the broker beside what is held: wanted, there, lacking, or in the way.

They last (GTC), so that they protect whoever dies:

1. What is opened by one strategy alone is sent with its stop and its target as one bracket: none works before all are
   there, and what fills is protected from its first share.
2. Everything else (orders of several strategies netted, another size, a holding found without) gets a stop and a
   target of which one fills, an OCA group, for each strategy's own shares once they are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from workbench.live.book import Book, Tracked
from workbench.live.decision import Decision, Leg, Line
from workbench.live.exits import legs_of
from workbench.live.gate import Asked
from workbench.live.gate.facts import Origin
from workbench.live.session import Desk
from workbench.live.wishes import held_by
from workbench.trading import Order, OrderStatus, OrderType, Side

# A status may come before its executions. What has not come by then was corrected away: the positions tell.
ON_ITS_WAY = timedelta(minutes=5)
# A target that filled in part has ended its stop at the broker: the rest of it is waited for so long, and no longer.
FILLING = timedelta(seconds=30)


@dataclass(frozen=True)
class Protection:
    """The stop and the target that one strategy's shares should have; ``shares`` are signed as they are held."""

    strategy: str
    pack: str
    symbol: str
    shares: int
    stop: float | None
    target: float | None

    def orders(self, next_key: Callable[[], str], parent: str = "") -> tuple[Asked, ...]:
        """Return the orders: of one group, the stop first."""
        key = next_key()
        side, quantity = Side.of(-self.shares), abs(self.shares)
        found = []
        if self.stop is not None:
            found.append(Order(key, self.symbol, side, quantity, OrderType.STOP, stop=self.stop))
        if self.target is not None:
            own = next_key() if found else key
            found.append(Order(own, self.symbol, side, quantity, OrderType.LIMIT, limit=self.target))
        shares, packs = {self.strategy: -self.shares}, {self.strategy: self.pack}
        return tuple(
            Asked(_lasting(order, key, parent), Origin.PROTECTION, shares, packs) for order in found
        )  # fmt: skip


def protecting(book: Book, symbols: Iterable[str] | None = None) -> tuple[Tracked, ...]:
    """Return the open orders that protect, of some symbols or of all."""
    wanted = None if symbols is None else set(symbols)
    return tuple(
        one for one in book.open_orders
        if one.protects and (wanted is None or one.order.symbol in wanted)
    )  # fmt: skip


def entering(book: Book) -> tuple[Tracked, ...]:
    """Return the open orders that are waited for: all but those that protect."""
    return tuple(one for one in book.open_orders if not one.protects)


def arriving(book: Book, now: datetime) -> tuple[Tracked, ...]:
    """Return the orders that are filled by their status, and whose executions are not all counted yet."""
    return tuple(
        one for one in book.orders.values()
        if one.status is OrderStatus.FILLED and one.filled < one.order.quantity
        and one.ended is not None and now - one.ended < ON_ITS_WAY
    )  # fmt: skip


def lacking(desk: Desk) -> tuple[tuple[Protection, ...], frozenset[str]]:
    """Return what is held without its stop or target, and the symbols where other ones must be taken back first.

    What an order is still at work on, or has just traded, is left alone until all of that is counted.
    """
    book = desk.journal.book
    busy = {one.order.symbol for one in (*entering(book), *arriving(book, desk.clock()))}
    missing: list[Protection] = []
    stale: set[str] = set()
    kept: set[str] = set()
    for seat in desk.seats:
        for symbol, leg in legs_of(seat.name, book).items():
            shares = book.books.get(seat.name, {}).get(symbol, 0)
            if symbol in busy or shares * leg.side <= 0 or (leg.stop is None and leg.target is None):
                continue
            wanted = Protection(seat.name, seat.pack, symbol, shares, leg.stop, leg.target)
            family = [one for one in protecting(book, [symbol]) if seat.name in one.intent.asked.shares]
            if not family:
                missing.append(wanted)
            elif _whole(wanted, family) or any(_filling(one, book, desk.clock()) for one in family):
                kept |= {one.order.key for one in family}
    here = {seat.name for seat in desk.seats}
    for one in protecting(book):
        ours = here & one.intent.asked.shares.keys()
        if ours and one.order.symbol not in busy and one.order.key not in kept:
            stale.add(one.order.symbol)  # of another size or level, or what it protected is gone
    return tuple(missing), frozenset(stale)


def taken_away(book: Book, since: datetime, symbols: Iterable[str]) -> tuple[Tracked, ...]:
    """Return the orders that protected some symbols and that the broker ended since a moment: not we, not a fill."""
    wanted = set(symbols)
    return tuple(
        one for one in book.orders.values()
        if one.protects and one.order.symbol in wanted and one.ended is not None and one.ended >= since
        and not (one.cancel_asked or one.filled or one.status is OrderStatus.FILLED)
        and book.positions.get(one.order.symbol, 0) * one.order.signed < 0
    )  # fmt: skip


def family_of(decision: Decision, line: Line, next_key: Callable[[], str]) -> tuple[Asked, ...]:
    """Return an order of a decision, and with it, where one strategy alone opens, the two that protect it."""
    asked = decision.asked(line)
    if len(line.shares) != 1:
        return (asked,)
    (strategy,) = line.shares
    wanted = decision.of(strategy)
    leg = wanted.legs.get(line.symbol, Leg()) if wanted else Leg()
    begins = leg.side * line.signed > 0 and not line.held and not (wanted and wanted.held.get(line.symbol))
    if wanted is None or not begins or (leg.stop is None and leg.target is None):
        return (asked,)
    around = Protection(strategy, wanted.pack, line.symbol, line.signed, leg.stop, leg.target)
    return (asked, *around.orders(next_key, line.key))


def outdated(decision: Decision, line: Line, book: Book, stuck: frozenset[str]) -> str:
    """Say why an order that was decided is not sent any more: a stop or target traded meanwhile, or still may."""
    if line.symbol in stuck:
        return f"PROTECTION_AT_WORK: symbol={line.symbol}; what protects it is not taken back yet"
    for strategy in line.shares:
        wanted = decision.of(strategy)
        if wanted is None or not wanted.legs:
            continue
        decided, now = wanted.held.get(line.symbol, 0), held_by(strategy, book).get(line.symbol, 0)
        if now != decided:
            return f"HOLDING_CHANGED: strategy={strategy}, decided={decided}, held={now}"
    return ""


def _whole(wanted: Protection, family: Iterable[Tracked]) -> bool:
    """Whether these orders are the very ones that are wanted, for all that is held."""
    orders = list(family)
    filled = sum(one.filled for one in orders)
    there = {(one.order.type, one.order.stop or one.order.limit) for one in orders}
    asked = {(OrderType.STOP, wanted.stop), (OrderType.LIMIT, wanted.target)}
    rest = {one.order.quantity - filled for one in orders}
    groups = {one.order.oca for one in orders}
    return (
        there == {one for one in asked if one[1] is not None} and len(orders) == len(there) and len(groups) == 1
        and rest == {abs(wanted.shares)}
    )  # fmt: skip


def _filling(one: Tracked, book: Book, now: datetime) -> bool:
    """Whether an open order is in the middle of filling: a stop that began to fill is for sale at any price."""
    if not one.filled:
        return False
    return one.order.type is OrderType.STOP or now - max(fill.at for fill in book.of_order(one.order.key)) < FILLING


def _lasting(order: Order, group: str, parent: str) -> Order:
    return Order(
        order.key, order.symbol, order.side, order.quantity, order.type, order.limit, order.stop, "GTC", parent, group
    )
