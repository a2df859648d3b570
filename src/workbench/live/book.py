"""What stands after the events of the journal: orders, fills, positions, cash, and whose the shares are.

Nothing here looks at a clock, a disk or a broker: the same events give the same book. Facts are never refused: what
should not have happened (a fill of a cancelled order, more filled than was ordered) is applied and flagged.

Of orders that ended long ago a book keeps what they left (positions, cash, costs) and the names of their executions,
so that a runner's memory does not grow with its past. ``Journal.whole`` is the book that forgets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from workbench.errors import DataRefused
from workbench.live.gate.facts import Origin
from workbench.live.journal.event import Event, Kind
from workbench.live.journal.facts import Intent, read_fill, read_intent
from workbench.live.past import Past
from workbench.live.trading_state import TradingState
from workbench.orders import attribute
from workbench.trading import Fill, Order, OrderStatus

NOBODY = ""  # whose shares are that no strategy of ours ordered
CASH = ""  # what is locked where it is no symbol but the cash that differs
# How long an order that ended is kept whole: a broker tells of the last week at most, corrections included.
REMEMBERED = timedelta(days=10)
_UNREADABLE = (KeyError, IndexError, TypeError, ValueError, AttributeError, DataRefused)


@dataclass(frozen=True)
class Tracked:
    """One order of ours as the journal has it; ``filled`` counts executions, not what a status says."""

    intent: Intent
    at: datetime
    session: str
    status: OrderStatus = OrderStatus.INTENDED
    filled: int = 0
    told: int = 0  # shares that the broker's last status called filled
    permanent_id: int = 0
    sent: int = 0  # times
    sent_at: datetime | None = None
    cancel_asked: bool = False
    ended: datetime | None = None  # or when something was last told of it after its end
    text: str = ""  # what the broker said with the last status

    @property
    def order(self) -> Order:
        """What was asked for."""
        return self.intent.order

    @property
    def protects(self) -> bool:
        """Whether it is the stop or the target beside something that is held."""
        return self.intent.asked.origin is Origin.PROTECTION

    @property
    def emergency(self) -> bool:
        """Whether the emergency stop closes with it."""
        return self.intent.asked.origin is Origin.EMERGENCY


@dataclass(frozen=True)
class Flag:
    """What should not have happened, and in which event."""

    number: int
    key: str
    text: str


@dataclass
class Book:
    """The fold. ``apply`` is the only thing that changes it, and takes every event that a journal may hold."""

    orders: dict[str, Tracked] = field(default_factory=dict)
    fills: dict[str, Fill] = field(default_factory=dict)  # by execution, as last corrected
    commissions: dict[str, float] = field(default_factory=dict)  # by execution
    positions: dict[str, int] = field(default_factory=dict)
    books: dict[str, dict[str, int]] = field(default_factory=dict)  # strategy -> symbol -> shares
    cash: float = 0.0
    cash_explained: float = 0.0  # that the broker may have more than this: a person said why
    explained: dict[str, int] = field(default_factory=dict)  # shares of which it may, by symbol
    beside: set[str] = field(default_factory=set)  # symbols of which all of ours was there when they were explained
    by_others: dict[str, Fill] = field(default_factory=dict)  # executions that nobody has seen to, as last told
    explained_fills: dict[str, Fill] = field(default_factory=dict)  # by execution, as a person explained them
    opened: bool = False  # whether the account's cash at the beginning is known
    state: TradingState = TradingState.ACTIVE
    because: str = ""
    locked: dict[str, str] = field(default_factory=dict)  # symbol -> why
    accepted: set[str] = field(default_factory=set)  # differences that a person explained
    differences: set[str] = field(default_factory=set)  # at the last reconciliation
    differs: str = ""  # the first of them that is of shares or orders and ours: until it ends, nothing new is sent
    splits: dict[str, str] = field(default_factory=dict)  # symbol -> the last one's date, where levels lay before it
    flags: list[Flag] = field(default_factory=list)
    last: Event | None = None
    session: str = ""
    sessions: int = 0
    seats: set[str] = field(default_factory=set)  # every strategy that ever sat there
    root: str = ""  # of the first event: tells this journal's keys from those of one that was deleted
    highest_order_id: int = 0
    past: Past = field(default_factory=Past)  # what the runner remembers
    remembers: timedelta | None = REMEMBERED  # None: for ever
    settled: dict[str, int] = field(default_factory=dict)  # executions of orders that are not kept any more -> revision
    _open: set[str] = field(default_factory=set)
    _of_order: dict[str, list[str]] = field(default_factory=dict)  # key -> executions
    _parts: dict[str, dict[str, int]] = field(default_factory=dict)  # key -> strategy -> shares

    @property
    def open_orders(self) -> tuple[Tracked, ...]:
        """Every order that may still fill or whose end is not known, in the order of the journal."""
        return tuple(sorted((self.orders[key] for key in self._open), key=lambda one: one.intent.order_id))

    @property
    def halted(self) -> bool:
        """Whether nothing may be sent but what the emergency stop closes with."""
        return self.state is TradingState.HALTED

    def of_order(self, key: str) -> tuple[Fill, ...]:
        """Return the executions of one order."""
        return tuple(self.fills[execution] for execution in self._of_order.get(key, ()))

    def has(self, fill: Fill) -> bool:
        """Return whether this execution, or a later correction of it, is known."""
        return self.revision(fill.id) >= fill.revision

    def revision(self, execution: str) -> int:
        """Return the newest revision of an execution that is known, -1 where it is not."""
        known = self.fills.get(execution)
        return known.revision if known else self.settled.get(execution, -1)

    def against(self, symbol: str) -> int:
        """Return the shares that a person explained on the other side of ours: by these the account has less of ours.

        Only of those that were seen beside all of ours: what was traded since then was ours.
        """
        explained = self.explained.get(symbol, 0) if symbol in self.beside else 0
        return explained if explained * self.positions.get(symbol, 0) < 0 else 0

    def apply(self, event: Event) -> None:
        """Bring the book to where it stands after an event; what cannot be read is flagged."""
        self.last = event
        self.root = self.root or event.head[:4]
        try:
            if change := _CHANGES.get(event.kind):
                change(self, event)
            self.past.apply(self, event)
        except _UNREADABLE as error:
            said = f"{type(error).__name__} {' '.join(str(error).split())}".rstrip()
            self._flag(event, f"event {event.number}, {event.kind}, cannot be read ({said}); what it said is left out")

    def _session(self, event: Event) -> None:
        self.session, self.sessions = event.session, self.sessions + 1
        if self.remembers is not None:
            long_ago = event.at - self.remembers
            self._settle(min(long_ago, self.past.asked_at or long_ago))  # the next decision asks what came of the last
            self.explained_fills = {name: fill for name, fill in self.explained_fills.items() if fill.at >= long_ago}
        self.seats |= dict(event.data.get("seats", {})).keys()

    def _settle(self, before: datetime) -> None:
        """Forget the orders that ended before a moment, but for what they left and the names of their executions."""
        needed = {*self.past.today, *self.past.exited}
        for key, one in list(self.orders.items()):
            executions = self._of_order.get(key, [])
            ended = one.status.terminal and one.ended is not None and one.ended < before
            if not ended or key in needed or any(name not in self.commissions for name in executions):
                continue
            self.past.settle(self, one)
            for name in executions:
                self.settled[name] = self.fills.pop(name).revision
                del self.commissions[name]
            del self.orders[key]
            self._of_order.pop(key, None)
            self._parts.pop(key, None)

    def _decision(self, event: Event) -> None:
        for crossing in event.data.get("crossings", ()):
            for strategy, shares in crossing["shares"].items():
                self._own(strategy, crossing["symbol"], shares)

    def _intent(self, event: Event) -> None:
        intent = read_intent(event.data)
        if intent.asked.origin is Origin.EMERGENCY and not intent.asked.shares:
            intent = replace(intent, asked=replace(intent.asked, shares=self._closing(intent.order)))
        self.orders[event.key] = Tracked(intent, event.at, event.session)
        self._open.add(event.key)
        self.highest_order_id = max(self.highest_order_id, intent.order_id)

    def _closing(self, order: Order) -> dict[str, int]:
        """Return whose shares the emergency stop closes: everybody's own, or it would be sold again."""
        own = {name: -book[order.symbol] for name, book in self.books.items() if order.symbol in book}
        if against := self.against(order.symbol):
            own[NOBODY] = own.get(NOBODY, 0) - against
        total = sum(own.values())
        if total * order.signed > 0 and abs(order.signed) <= abs(total):
            own = attribute(own, order.signed)  # the second try closes what the first left, told or not
        else:
            own[NOBODY] = own.get(NOBODY, 0) + order.signed - total
        return {name: count for name, count in own.items() if count}

    def _sent(self, event: Event) -> None:
        if tracked := self.orders.get(event.key):
            self.orders[event.key] = replace(tracked, sent=tracked.sent + 1, sent_at=event.at)

    def _cancel(self, event: Event) -> None:
        if tracked := self.orders.get(event.key):
            self.orders[event.key] = replace(tracked, cancel_asked=True)

    def _acknowledged(self, event: Event) -> None:
        if tracked := self.orders.get(event.key):
            permanent = event.data.get("permanent_id") or tracked.permanent_id
            told, text = event.data.get("filled", tracked.told), event.data.get("text", "")
            self.orders[event.key] = replace(tracked, permanent_id=permanent, told=told, text=text)
            self._move(event, OrderStatus(event.data["status"]))

    def _move(self, event: Event, status: OrderStatus) -> None:
        tracked = self.orders[event.key]
        if tracked.status.terminal:
            if status is not tracked.status:
                self._flag(event, f"said to be {status} when it was {tracked.status}")
            return
        self.orders[event.key] = replace(tracked, status=status, ended=event.at if status.terminal else None)
        if status.terminal:
            self._open.discard(event.key)

    def _fill(self, event: Event) -> None:
        self._take(event, read_fill(event.data))

    def _take(self, event: Event, fill: Fill) -> None:
        if self.has(fill):
            return
        if fill.id in self.settled:
            self._flag(event, f"execution {fill.id} is corrected long after its end; left to the reconciliation")
            return
        before = self.fills.get(fill.id)
        if before is None:
            self._of_order.setdefault(fill.key, []).append(fill.id)
        self.fills[fill.id] = fill
        self._hold(fill.symbol, fill.signed - (before.signed if before else 0))
        self.cash -= fill.signed * fill.price - (before.signed * before.price if before else 0.0)
        if fill.commission is not None:
            self._charge(fill.id, fill.commission)
        if fill.key in self.orders:
            self._fill_order(event, fill, before)
        else:  # nobody's, until an order of that key is known
            change, parts = fill.signed - (before.signed if before else 0), self._parts.setdefault(fill.key, {})
            parts[NOBODY] = parts.get(NOBODY, 0) + change
            self._own(NOBODY, fill.symbol, change)

    def _fill_order(self, event: Event, fill: Fill, before: Fill | None) -> None:
        tracked = self.orders[fill.key]
        order, filled = tracked.order, sum(one.signed for one in self.of_order(fill.key)) * tracked.order.side.sign
        self.orders[fill.key] = replace(
            tracked, filled=filled, permanent_id=fill.permanent_id or tracked.permanent_id,
            ended=event.at if tracked.status.terminal else None,
        )  # fmt: skip
        if tracked.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED) and filled > tracked.told:
            self._flag(event, f"{fill.quantity} shares filled when it was {tracked.status}")
        elif before is not None and tracked.status.terminal and filled != tracked.filled:
            self._flag(event, f"corrected from {tracked.filled} to {filled} shares when it was {tracked.status}")
        if filled > order.quantity:
            self._flag(event, f"{filled} of {order.quantity} shares filled")
        if not tracked.status.terminal:
            self._move(event, OrderStatus.FILLED if filled >= order.quantity else OrderStatus.WORKING)
        self._attribute(fill.key, filled)
        if tracked.emergency and order.symbol in self.beside:
            self._close_explained(order.symbol)

    def _close_explained(self, symbol: str) -> None:
        """Take what the emergency stop closed beyond everybody's own from what a person explained: it was that."""
        explained, nobodys = self.explained.get(symbol, 0), self.books.get(NOBODY, {}).get(symbol, 0)
        if explained * nobodys < 0:
            closed = min(abs(explained), abs(nobodys)) * (1 if explained > 0 else -1)
            self._own(NOBODY, symbol, closed)
            self._hold(symbol, closed)
            self._explain(symbol, -closed)

    def _attribute(self, key: str, filled: int) -> None:
        """Give each strategy its part of all that an order filled; what is beyond the order is nobody's."""
        order, shares = self.orders[key].order, self.orders[key].intent.asked.shares
        within = min(max(filled, 0), order.quantity) * order.side.sign
        whole = sum(shares.values()) == order.signed
        parts = attribute(shares, within) if whole else {}
        parts[NOBODY] = parts.get(NOBODY, 0) + filled * order.side.sign - sum(parts.values())
        before = self._parts.get(key, {})
        for strategy in parts.keys() | before.keys():
            self._own(strategy, order.symbol, parts.get(strategy, 0) - before.get(strategy, 0))
        self._parts[key] = parts

    def _commission(self, event: Event) -> None:
        self._charge(event.data["execution"], event.data["commission"])

    def _charge(self, execution: str, commission: float) -> None:
        if execution in self.settled:
            return  # its commission is part of the cash
        self.cash -= commission - self.commissions.get(execution, 0.0)
        self.commissions[execution] = commission

    def _reconcile(self, event: Event) -> None:
        data = event.data
        if "opening" in data:
            self.cash, self.opened = data["opening"]["cash"], True
        if "status" in data and event.key in self.orders:
            self._move(event, OrderStatus(data["status"]))
        self.accepted.update(data.get("accepted", ()))
        for fill in map(read_fill, data.get("by_others", ())):
            self.by_others[fill.id] = fill
        if "differences" in data:
            self.differences = {one["id"] for one in data["differences"]}
            told = (one["text"] for one in data["differences"] if one.get("ours") and one.get("symbol"))
            self.differs = next(told, "")
        self.splits |= data.get("splits", {})
        for symbol, why in data.get("locked", {}).items():
            self.locked.setdefault(symbol, why)

    def _operator(self, event: Event) -> None:
        data: Mapping[str, Any] = event.data
        if "status" in data and event.key in self.orders:
            self._move(event, OrderStatus(data["status"]))
        if adopted := data.get("adopted"):
            for fill in adopted["fills"]:
                self._take(event, read_fill(fill))
            self._hold(event.symbol, adopted["shares"])
            self._own(NOBODY, event.symbol, adopted["shares"] - adopted["given"])
            for strategy, shares in adopted.get("parts", {adopted["strategy"]: adopted["given"]}).items():
                self._own(strategy, event.symbol, shares)
            self.cash += adopted["cash"]
            self.cash_explained = 0.0 if event.symbol == CASH else self.cash_explained
            left = adopted.get("explained", 0)  # it says how many are there still
            self._explain(event.symbol, left - self.explained.get(event.symbol, 0))
        self.cash_explained += data.get("cash_explained", 0.0)
        self._explain(event.symbol, data.get("shares_explained", 0))
        self.explained_fills |= {fill.id: fill for fill in map(read_fill, data.get("explained_fills", ()))}
        if data.get("action") in ("explain", "adopt"):
            self.by_others = {name: fill for name, fill in self.by_others.items() if fill.symbol != event.symbol}
        if "shares_explained" in data:  # where it is not said, as in journals of earlier, it is not known
            self.beside.discard(event.symbol)
            if data.get("beside") and event.symbol in self.explained:
                self.beside.add(event.symbol)
        self.accepted.update(data.get("accepted", ()))
        if data.get("unlocked"):
            self.locked.pop(event.symbol, None)

    def _state(self, event: Event) -> None:
        said = event.data.get("state", "")
        if said in list(TradingState):
            self.state, self.because = TradingState(said), event.data.get("reason", "")
        else:  # what cannot be read allows nothing
            self.state, self.because = TradingState.HALTED, f"event {event.number} says '{said}'"

    def _explain(self, symbol: str, shares: int) -> None:
        _add(self.explained, symbol, shares)
        if symbol not in self.explained:
            self.beside.discard(symbol)

    def _hold(self, symbol: str, shares: int) -> None:
        _add(self.positions, symbol, shares)

    def _own(self, strategy: str, symbol: str, shares: int) -> None:
        own = self.books.setdefault(strategy, {})
        _add(own, symbol, shares)
        if not own:
            del self.books[strategy]

    def _flag(self, event: Event, text: str) -> None:
        self.flags.append(Flag(event.number, event.key, text))


def _add(shares: dict[str, int], symbol: str, more: int) -> None:
    shares[symbol] = shares.get(symbol, 0) + more
    if not shares[symbol]:
        del shares[symbol]


_CHANGES: dict[Kind, Callable[[Book, Event], None]] = {
    Kind.SESSION: Book._session,
    Kind.DECISION: Book._decision,
    Kind.INTENT: Book._intent,
    Kind.SENT: Book._sent,
    Kind.CANCEL: Book._cancel,
    Kind.ACKNOWLEDGED: Book._acknowledged,
    Kind.FILL: Book._fill,
    Kind.COMMISSION: Book._commission,
    Kind.RECONCILE: Book._reconcile,
    Kind.OPERATOR: Book._operator,
    Kind.STATE: Book._state,
}
