"""What the runner must remember of what it did: its last decision, what was denied or confirmed, days and closings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from workbench.live.decision import Decision
from workbench.live.journal.event import Event, Kind
from workbench.live.journal.facts import read_order
from workbench.live.trading_state import TradingState
from workbench.orders import attribute
from workbench.trading import Fill, OrderStatus

if TYPE_CHECKING:
    from workbench.live.book import Book, Tracked


@dataclass(frozen=True)
class Closing:
    """A session's end: the account, the price of each symbol, and what each strategy has made since it began."""

    session: date
    equity: float
    marks: Mapping[str, float]
    worth: Mapping[str, float]


@dataclass(frozen=True)
class Denied:
    """An order that the gate did not let pass; one that ``waits`` may still be confirmed by a person."""

    key: str
    symbol: str
    signed: int
    waits: bool
    reason: str
    at: datetime


@dataclass(frozen=True)
class Stopped:
    """What an emergency stop reached: until the books are held against the broker's, they are of before it."""

    at: datetime
    text: str

    @classmethod
    def read(cls, facts: Mapping[str, Any], at: datetime | None = None) -> Stopped | None:
        """Return what was written down of a stop, in the journal or beside it; None where it is something else."""
        if facts.get("emergency") != "stopped":
            return None
        return cls(at or datetime.fromisoformat(facts["at"]), str(facts.get("text", "")))


@dataclass(frozen=True)
class Slipped:
    """How many fills there were, what they cost beside the price that was decided on, and their value at it."""

    fills: int = 0
    cost: float = 0.0
    value: float = 0.0

    def with_fills(self, fills: Iterable[Fill], price: float) -> Slipped:
        """Return it with the fills of one order that was decided at a price."""
        found = self
        for fill in fills:
            cost, value = (fill.price - price) * fill.signed, price * fill.quantity
            found = Slipped(found.fills + 1, found.cost + cost, found.value + value)
        return found


@dataclass
class Past:
    """A fold over the journal, kept by the book; nothing else changes it."""

    decision: Decision | None = None
    signal: Decision | None = None  # the last one that strategies were asked for: not by the clock
    asked_at: datetime | None = None  # when that was written
    exited: dict[str, int] = field(default_factory=dict)  # key -> what a stop or target had filled at the decision
    today: list[str] = field(default_factory=list)  # keys of the orders intended since the session's day began
    denied: dict[str, Denied] = field(default_factory=dict)  # of that day, by key
    confirmed: set[str] = field(default_factory=set)
    waiting: dict[str, Denied] = field(default_factory=dict)  # orders for a person, of whichever day, by key
    flattened: dict[str, int] = field(default_factory=dict)  # strategy -> the last rollback that closed what it held
    stopped: Stopped | None = None  # the last emergency stop, until a reconciliation
    halts: list[str] = field(default_factory=list)  # why trading was halted, each time since it was active
    reducing: set[str] = field(default_factory=set)  # keys of orders that could only shrink a position
    prices: dict[str, float] = field(default_factory=dict)  # key -> the price that the order was decided at
    began: date | None = None  # the first session of the account
    session: date | None = None
    seats: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # of the last session at which anybody sat
    seated: bool = False  # whether that is this session
    equity_at_open: float | None = None
    peak_equity: float = 0.0
    measuring: bool = False  # whether the cash of a session's open is yet to be held against the books
    gap_at_open: float | None = None  # cash that the broker had then beyond the books; None: not known
    gap_at_peak: float | None = None  # when the account was worth most
    closing: Closing | None = None
    records: dict[str, str] = field(default_factory=dict)  # record -> its digest as it was written last
    cash: dict[str, float] = field(default_factory=dict)  # strategy -> what its trades have brought, costs included
    slipped: dict[tuple[str, str], Slipped] = field(default_factory=dict)  # strategy, pack -> of orders not kept
    _of_order: dict[str, dict[str, float]] = field(default_factory=dict)

    def apply(self, book: Book, event: Event) -> None:
        """Take in an event that the book has taken in."""
        match event.kind:
            case Kind.SESSION if "date" in event.data:
                self._open(book, event.data)
            case Kind.DECISION if "lines" in event.data:
                self._decide(book, Decision.read(event.data), event.at)
            case Kind.INTENT:
                self.today.append(event.key)
                if book.orders[event.key].protects:
                    self.reducing.add(event.key)
                self.waiting.pop(event.key, None)
            case Kind.DENIAL:
                self._deny(event)
            case Kind.RECONCILE | Kind.OPERATOR if digest := event.data.get("record"):
                self.records[event.key] = digest
            case Kind.OPERATOR if event.data.get("confirmed"):
                self.confirmed.add(event.key)
            case Kind.OPERATOR if (flow := event.data.get("flow")) and flow["cash"]:
                self._flow(flow["cash"], flow["equity"])
            case Kind.OPERATOR if event.data.get("new_peak"):
                self.peak_equity, self.gap_at_peak = 0.0, None  # until the next look
            case Kind.OPERATOR if stopped := Stopped.read(event.data.get("noted") or event.data, event.at):
                self.stopped = stopped
            case Kind.STATE if book.state is TradingState.ACTIVE:
                self.halts = []
            case Kind.STATE if book.halted:
                self.halts.append(book.because)
            case Kind.FILL:
                self._count(book, event.key)
            case Kind.COMMISSION if event.data["execution"] in book.fills:
                self._count(book, book.fills[event.data["execution"]].key)
            case Kind.RECONCILE if "gap_at_open" in event.data:
                self._measure(event.data["gap_at_open"])
            case Kind.RECONCILE if "closing" in event.data:
                self._close(event.data["closing"])
            case Kind.RECONCILE if "differences" in event.data:
                self.stopped = None

    def settle(self, book: Book, one: Tracked) -> None:
        """Forget an order that is not kept any more, but for what its fills cost."""
        key = one.order.key
        if key in self.prices:
            for who in one.intent.asked.packs.items():
                self.slipped[who] = self.slipped.get(who, Slipped()).with_fills(book.of_order(key), self.prices[key])
        self._of_order.pop(key, None)
        self._forget(key)

    def _forget(self, key: str) -> None:
        self.prices.pop(key, None)
        self.reducing.discard(key)
        self.confirmed.discard(key)

    def slippage(self, strategy: str, pack: str, book: Book) -> Slipped:
        """Return what the fills of a strategy under a pack cost so far beside the prices that were decided on."""
        found = self.slipped.get((strategy, pack), Slipped())
        for key, price in self.prices.items():
            tracked = book.orders.get(key)
            if tracked is not None and tracked.intent.asked.packs.get(strategy) == pack:
                found = found.with_fills(book.of_order(key), price)
        return found

    def closes(self, strategy: str, flatten: int, book: Book) -> bool:
        """Whether a rollback asked for what a strategy holds to be closed, and some is still held or on its way."""
        held = book.books.get(strategy) or any(strategy in one.intent.asked.shares for one in book.open_orders)
        return flatten > self.flattened.get(strategy, 0) and bool(held)

    def reached(self, strategy: str, book: Book) -> dict[str, float]:
        """Return the weights that a strategy has reached: what was not carried out in full is still to be done."""
        decision = self.decision
        wanted = decision.of(strategy) if decision else None
        if decision is None or wanted is None:
            return {}
        undone = {line.symbol for line in decision.lines if strategy in line.shares and not _done(book, line.key)}
        undone |= set(decision.unpriced)
        symbols = wanted.weights.keys() | wanted.before.keys()
        weights = {name: (wanted.before if name in undone else wanted.weights).get(name, 0.0) for name in symbols}
        return {name: weight for name, weight in weights.items() if weight}

    def exits_since(self, strategy: str, book: Book) -> dict[str, int]:
        """Return the shares that stops and targets of a strategy have traded since the last decision, by symbol."""
        found: dict[str, int] = {}
        for key in {*self.exited, *self.today} & book.orders.keys():
            one = book.orders[key]
            if one.protects and strategy in one.intent.asked.shares:
                more = one.order.side.sign * (one.filled - self.exited.get(key, 0))
                found[one.order.symbol] = found.get(one.order.symbol, 0) + more
        return found

    def worth(self, book: Book, marks: Mapping[str, float]) -> dict[str, float]:
        """Return what each strategy has made so far: what its trades brought, and its shares at these prices."""
        found = dict(self.cash)
        for strategy, shares in book.books.items():
            held = sum(count * marks.get(symbol, 0.0) for symbol, count in shares.items())
            found[strategy] = found.get(strategy, 0.0) + held
        return found

    def _open(self, book: Book, data: Mapping[str, Any]) -> None:
        session = date.fromisoformat(data["date"])
        self.began = self.began or session
        if session != self.session:
            lines = self.decision.lines if self.decision else ()
            for key in self.prices.keys() - book.orders.keys() - self.waiting.keys() - {line.key for line in lines}:
                self._forget(key)  # never sent, and never will be
            self.session, self.equity_at_open, self.today, self.denied = session, data["equity"], [], {}
            self.gap_at_open, self.measuring, self.seated = None, "cash" in data, False
        if seats := data.get("seats"):  # who left the desk later in the session has sat there
            self.seats, self.seated = {**(self.seats if self.seated else {}), **seats}, True
        self._peak(data["equity"], None)

    def _deny(self, event: Event) -> None:
        order, before = event.data.get("order"), self.waiting.pop(event.key, None)
        if not (order or before):
            return  # of no order that is known
        signed = read_order(order).signed if order else before.signed if before else 0
        waits, reasons = event.data.get("outcome") == "waits", event.data.get("reasons") or ("no reason is given",)
        denied = Denied(event.key, event.symbol, signed, waits, str(reasons[0]), event.at)
        self.denied[event.key] = denied
        if waits:
            self.waiting[event.key] = denied

    def _decide(self, book: Book, decision: Decision, at: datetime) -> None:
        self.decision = decision
        if not decision.ending:
            self.signal, self.asked_at = decision, at
        open_orders = [one.order.key for one in book.open_orders]
        self.exited = {key: book.orders[key].filled for key in (*self.today, *open_orders) if book.orders[key].protects}
        self.flattened |= {one.strategy: one.flatten for one in decision.wanted if one.flatten}
        self.reducing |= {line.key for line in decision.lines if line.reducing}
        self.prices |= {line.key: line.price for line in decision.lines}
        for crossing in decision.crossings:
            for strategy, shares in crossing.shares.items():
                self.cash[strategy] = self.cash.get(strategy, 0.0) - shares * crossing.price

    def _flow(self, cash: float, equity: float) -> None:
        """Move what losses are counted from by the money that came or went, where that was not before it."""
        self.peak_equity, self.gap_at_peak = _moved(self.peak_equity, self.gap_at_peak, cash, equity)
        if self.equity_at_open is not None:
            self.equity_at_open, self.gap_at_open = _moved(self.equity_at_open, self.gap_at_open, cash, equity)

    def _close(self, data: Mapping[str, Any]) -> None:
        self.closing = Closing(date.fromisoformat(data["date"]), data["equity"], data["marks"], data["worth"])
        self._peak(data["equity"], data.get("gap"))

    def _peak(self, equity: float, gap: float | None) -> None:
        if equity > self.peak_equity:
            self.peak_equity, self.gap_at_peak = equity, gap

    def _measure(self, gap: float) -> None:
        """Take in how much more cash the broker had at the open than the books that had caught up with it."""
        self.gap_at_open, self.measuring = gap, False
        if self.gap_at_peak is None and self.peak_equity == self.equity_at_open:
            self.gap_at_peak = gap

    def _count(self, book: Book, key: str) -> None:
        """Count an order's money again, of all its fills as they are corrected and charged by now."""
        if key not in book.orders:
            return
        brought: dict[str, float] = {}
        shares, order, filled = book.orders[key].intent.asked.shares, book.orders[key].order, 0
        for fill in book.of_order(key) if sum(shares.values()) == order.signed else ():
            if not 0 <= (filled + fill.signed) * order.side.sign <= order.quantity:
                break  # beyond what was ordered, or against it, it is nobody's
            before, after = (attribute(shares, some) for some in (filled, filled + fill.signed))
            filled += fill.signed
            parts = {name: after[name] - before[name] for name in shares}
            charged = parts if fill.signed else shares  # a fill that was taken back has cost its fee all the same
            whole, fee = sum(map(abs, charged.values())), book.commissions.get(fill.id, 0.0)
            for name, part in parts.items():
                cost = fee * abs(charged[name]) / whole
                brought[name] = brought.get(name, 0.0) - part * fill.price - cost
        last = self._of_order.get(key, {})
        for name in brought.keys() | last.keys():
            self.cash[name] = self.cash.get(name, 0.0) + brought.get(name, 0.0) - last.get(name, 0.0)
        self._of_order[key] = brought


def _moved(equity: float, gap: float | None, cash: float, now: float) -> tuple[float, float | None]:
    """Return an equity of some time ago, moved by cash that came or went since, and the gap to the books by now.

    What the broker had beyond the books at that time was in it. Where that is not known, it is moved towards what the
    account is worth now, and not past it.
    """
    since, gap_then = (now - equity, None) if gap is None else (cash - gap, 0.0)
    return equity + min(max(since, min(cash, 0.0)), max(cash, 0.0)), gap_then


def _done(book: Book, key: str) -> bool:
    tracked = book.orders.get(key)
    return tracked is not None and (tracked.status is OrderStatus.FILLED or not tracked.status.terminal)
