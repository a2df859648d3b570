"""The stops and targets that lie at the broker beside what is held: wanted, there, lacking, or in the way.

They last (GTC), so that they protect whoever dies:

1. What is opened by one strategy alone is sent with its stop and its target as one bracket: none works before all are
   there, and what fills is protected from its first share.
2. Everything else (orders of several strategies netted, another size, a holding found without) gets a stop and a
   target of which one fills, an OCA group, for each strategy's own shares once they are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from workbench.live.book import Book, Tracked
from workbench.live.decision import Decision, Leg, Line
from workbench.live.exits import legs_of
from workbench.live.gate import Asked
from workbench.live.gate.facts import Origin
from workbench.live.session import Desk
from workbench.live.splits import before_split
from workbench.live.wishes import held_by, rest_of
from workbench.trading import Order, OrderStatus, OrderType, Side, Working

# A status may come before its executions. What has not come by then was corrected away: the positions tell.
ON_ITS_WAY = timedelta(minutes=5)
# A target that filled in part has ended its stop at the broker: the rest of it is waited for so long, and no longer.
FILLING = timedelta(seconds=30)
# What the broker ends again and again is put back so often in a session, this far apart; then a person looks.
PUT_BACK_AT_MOST = 3
PUT_BACK_EVERY = timedelta(minutes=1)
# An end is told when it was heard this lately: a runner that connects before the open hears of the night's.
TAKEN_LATELY = timedelta(minutes=15)


@dataclass(frozen=True)
class Protection:
    """The stop and the target that one strategy's shares should have; ``shares`` are signed as they are held.

    ``group`` names the orders of which one fills, where one of them lies at the broker already.
    """

    strategy: str
    pack: str
    symbol: str
    shares: int
    stop: float | None
    target: float | None
    group: str = ""

    def without(self, types: Iterable[OrderType]) -> Protection:
        """Return it without its stop or its target."""
        left = set(types)
        return replace(
            self, stop=None if OrderType.STOP in left else self.stop,
            target=None if OrderType.LIMIT in left else self.target,
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether nothing is wanted."""
        return self.stop is None and self.target is None

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
            Asked(_lasting(order, self.group or key, parent), Origin.PROTECTION, shares, packs) for order in found
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
    """Return the orders that ended filled, whole or in part, by their status, and of which not all is counted yet."""
    return tuple(
        one for one in book.orders.values()
        if one.filled < {OrderStatus.FILLED: one.order.quantity, OrderStatus.CANCELLED: one.told}.get(one.status, 0)
        and one.ended is not None and now - one.ended < ON_ITS_WAY
    )  # fmt: skip


def lacking(desk: Desk, waiting: Collection[str] = ()) -> tuple[tuple[Protection, ...], frozenset[str]]:
    """Return what is held without its stop or target, and the symbols where other ones must be taken back first.

    What an order is still at work on, or has just traded, is left alone until all of that is counted; where it is at
    work for longer than patience lasts, what it cannot take away has a stop meanwhile. The order of symbols in
    ``waiting`` has not left yet: what it is to close keeps its stop and target.
    """
    book = desk.journal.book
    busy = {one.order.symbol for one in (*entering(book), *arriving(book, desk.clock()))}
    missing: list[Protection] = []
    stale: set[str] = set()
    kept: set[str] = set()
    for seat in desk.seats:
        for symbol, leg in legs_of(seat.name, book).items():
            shares = book.books.get(seat.name, {}).get(symbol, 0)
            wanted = Protection(seat.name, seat.pack, symbol, shares, leg.stop, leg.target)
            if shares * leg.side <= 0 or wanted.empty:
                continue
            family = [one for one in protecting(book, [symbol]) if seat.name in one.intent.asked.shares]
            if before_split(seat.name, symbol, leg, book):  # left as it is: a person sees to it
                kept |= {one.order.key for one in family}
                continue
            if symbol in busy:
                meanwhile = _meanwhile(wanted, family, desk)
                missing += [meanwhile] if meanwhile else []
                continue
            filling = any(_filling(one, book, desk.clock()) for one in family)
            left = None if filling else _beside(wanted, family)
            if filling or left is not None:
                kept |= {one.order.key for one in family}
            if left is not None and not left.empty:
                missing.append(left)
    here = {seat.name for seat in desk.seats}
    for one in protecting(book):
        ours = here & one.intent.asked.shares.keys()
        stays = one.order.symbol in busy or one.order.key in kept
        if ours and not (stays or (one.order.symbol in waiting and _within(one, book))):
            stale.add(one.order.symbol)  # of another size or level, or what it protected is gone
    return tuple(missing), frozenset(stale)


def bare(desk: Desk) -> frozenset[str]:
    """Return the symbols of which something is held and not all of its stop and target stays at the broker."""
    book = desk.journal.book
    found = set()
    for seat in desk.seats:
        for symbol, leg in legs_of(seat.name, book).items():
            shares = book.books.get(seat.name, {}).get(symbol, 0)
            wanted = Protection(seat.name, seat.pack, symbol, shares, leg.stop, leg.target)
            stays = [one for one in protecting(book, [symbol]) if not one.cancel_asked]
            left = _beside(wanted, (one for one in stays if seat.name in one.intent.asked.shares))
            if shares * leg.side > 0 and (left is None or not left.empty):
                found.add(symbol)
    return frozenset(found)


def guarded(desk: Desk) -> bool:
    """Whether what lacks is put there now: while the market is open, and not while trading is halted."""
    return desk.hours.opens <= desk.clock() < desk.hours.closes and not desk.journal.halted


def to_put(desk: Desk) -> tuple[tuple[Protection, ...], Mapping[str, str]]:
    """Return what is put beside holdings now, and why something else is not, by symbol."""
    missing, book = lacking(desk)[0], desk.journal.book
    alive = _alive(book, desk.broker.open_orders()) if missing else {}
    found: list[Protection] = []
    why = dict[str, str]()
    for wanted in missing:
        lost = _lost(book, wanted)
        tries = Counter(one.order.type for one in lost)
        allowed = wanted.without(kind for kind, count in tries.items() if count >= PUT_BACK_AT_MOST)
        if wanted.symbol in alive:
            why[wanted.symbol] = alive[wanted.symbol]
            continue
        if allowed != wanted:
            why[wanted.symbol] = f"the broker has ended what was put back {PUT_BACK_AT_MOST} times in this session"
        if not allowed.empty and all(desk.clock() - one.at >= PUT_BACK_EVERY for one in lost):
            group = allowed.group or _refused_group(book, wanted, desk.clock())
            found.append(replace(allowed, group=group))
    return tuple(found), why


def refused(book: Book, wanted: Protection) -> tuple[Tracked, ...]:
    """Return the orders beside a holding that the broker had, and then called refused: one may come alive again."""
    return tuple(
        one for one in book.orders.values()
        if one.protects and one.order.symbol == wanted.symbol and wanted.strategy in one.intent.asked.shares
        and one.status is OrderStatus.REJECTED and one.permanent_id > 0
    )  # fmt: skip


def _refused_group(book: Book, wanted: Protection, now: datetime) -> str:
    """Return the group of what was refused within a day: of it and a new order only one fills. Once more is enough."""
    groups = [one.order.oca for one in refused(book, wanted) if one.ended and now - one.ended < timedelta(days=1)]
    group = groups[-1] if groups else ""
    members = [one for one in book.orders.values() if group and one.order.oca == group]
    again = len({one.order.type for one in members}) < len(members)
    return "" if again or any(one.filled for one in members) else group


def taken_away(desk: Desk) -> tuple[Tracked, ...]:
    """Return the orders that the broker ended lately, not we and not a fill, beside what is bare now."""
    book, since = desk.journal.book, desk.clock() - TAKEN_LATELY
    bare = {one.symbol for one in lacking(desk)[0]}
    found = [
        one for one in book.orders.values()
        if one.protects and one.order.symbol in bare and one.ended is not None and one.ended >= since
        and _by_broker(one)
        and book.positions.get(one.order.symbol, 0) * one.order.signed < 0
    ]  # fmt: skip
    alive = _alive(book, desk.broker.open_orders()) if found else {}
    return tuple(one for one in found if one.order.symbol not in alive)


def pointless(book: Book, positions: Mapping[str, int], now: datetime) -> tuple[Tracked, ...]:
    """Return the orders beside shares that the journal has and the broker does not hold: sold by hand.

    Filled, such an order would open a position that nobody wants.
    """
    busy = {one.order.symbol for one in (*entering(book), *arriving(book, now))}
    return tuple(
        one for one in protecting(book)
        if one.order.symbol not in busy
        and book.positions.get(one.order.symbol, 0) * one.order.signed < 0
        and (positions.get(one.order.symbol, 0) - book.against(one.order.symbol)) * one.order.signed >= 0
    )  # fmt: skip


def still_held(asked: Asked, book: Book) -> bool:
    """Whether a strategy still has the shares that an order is to protect; of any other order it is not asked."""
    return asked.origin is not Origin.PROTECTION or all(
        book.books.get(name, {}).get(asked.order.symbol, 0) * shares < 0 for name, shares in asked.shares.items()
    )


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


def _meanwhile(wanted: Protection, family: Collection[Tracked], desk: Desk) -> Protection | None:
    """Return the stop beside what orders that hang cannot take away; a target would meet them at the broker.

    What such an order buys gets one of its own, each minute: to change the one that is there would leave all bare.
    """
    book, now = desk.journal.book, desk.clock()
    if not all(one.order.type is OrderType.STOP and now - one.at >= PUT_BACK_EVERY for one in family):
        return None
    at_work = [one for one in entering(book) if one.order.symbol == wanted.symbol]
    counted = wanted.symbol not in {one.order.symbol for one in arriving(book, now)}
    rests = [rest_of(one, wanted.strategy) for one in at_work]
    there = [rest_of(one, wanted.strategy) for one in family]
    left = wanted.shares + sum(rest for rest in (*rests, *there) if rest * wanted.shares < 0)
    hangs = counted and all((now - one.at).total_seconds() > desk.patience for one in at_work)
    stays = left * wanted.shares > 0 and wanted.stop is not None
    return replace(wanted, shares=left, target=None) if hangs and stays else None


def _beside(wanted: Protection, family: Iterable[Tracked]) -> Protection | None:
    """Return what is wanted beside these orders, of their group; None where one of them is not what is wanted."""
    orders = list(family)
    if not orders:
        return wanted
    asked = {OrderType.STOP: wanted.stop, OrderType.LIMIT: wanted.target}
    filled = sum(one.filled for one in orders)
    fit = all(
        (one.order.stop or one.order.limit) == asked[one.order.type]
        and one.order.quantity - filled == abs(wanted.shares)
        for one in orders
    )  # fmt: skip
    types, groups = {one.order.type for one in orders}, {one.order.oca for one in orders}
    left = replace(wanted.without(types), group=orders[0].order.oca)
    if not fit or len(types) < len(orders) or len(groups) > 1 or (filled and not left.empty):
        return None  # a group that began to fill takes no other order in
    return left


def _alive(book: Book, open_orders: Iterable[Working]) -> dict[str, str]:
    """Return by symbol which order of ours ended in the journal and works at the broker: that was no end."""
    found: dict[str, str] = {}
    for one in open_orders:
        tracked = book.orders.get(one.order.key)
        if tracked is not None and tracked.status.terminal and tracked.intent.order_id == one.order_id:
            found[one.order.symbol] = f"order {one.order.key} was told to be {tracked.status} and works at the broker"
    return found


def _within(one: Tracked, book: Book) -> bool:
    """Whether an order that protects sells no more than its strategy holds."""
    parts = [
        (book.books.get(name, {}).get(one.order.symbol, 0), rest_of(one, name)) for name in one.intent.asked.shares
    ]
    return all(held * rest < 0 and abs(rest) <= abs(held) for held, rest in parts)


def _lost(book: Book, wanted: Protection) -> tuple[Tracked, ...]:
    """Return what was put beside a holding in this session and was ended by the broker."""
    ours = [
        one for one in (book.orders[key] for key in book.past.today)
        if one.protects and one.order.symbol == wanted.symbol and wanted.strategy in one.intent.asked.shares
    ]  # fmt: skip
    traded = {one.order.oca for one in ours if one.filled or one.status is OrderStatus.FILLED}
    return tuple(one for one in ours if not one.order.parent and _by_broker(one) and one.order.oca not in traded)


def _by_broker(one: Tracked) -> bool:
    """Whether the broker ended an order: not we, not a fill, and not before it had it."""
    cancelled = one.status is OrderStatus.CANCELLED and one.permanent_id > 0 and not one.cancel_asked
    return (cancelled or one.status is OrderStatus.REJECTED) and not one.filled


def _filling(one: Tracked, book: Book, now: datetime) -> bool:
    """Whether an open order is in the middle of filling: a stop that began to fill is for sale at any price."""
    if not one.filled:
        return False
    return one.order.type is OrderType.STOP or now - max(fill.at for fill in book.of_order(one.order.key)) < FILLING


def _lasting(order: Order, group: str, parent: str) -> Order:
    return Order(
        order.key, order.symbol, order.side, order.quantity, order.type, order.limit, order.stop, "GTC", parent, group
    )
