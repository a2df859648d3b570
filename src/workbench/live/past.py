"""What the runner must remember of what it did: its last decision, what was denied or confirmed, days and closings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from workbench.live.decision import Decision
from workbench.live.journal.event import Event, Kind
from workbench.live.journal.facts import read_order
from workbench.orders import attribute
from workbench.trading import OrderStatus

if TYPE_CHECKING:
    from workbench.live.book import Book


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


@dataclass
class Past:
    """A fold over the journal, kept by the book; nothing else changes it."""

    decision: Decision | None = None
    today: list[str] = field(default_factory=list)  # keys of the orders intended since the session's day began
    denied: dict[str, Denied] = field(default_factory=dict)  # of that day, by key
    confirmed: set[str] = field(default_factory=set)
    reducing: set[str] = field(default_factory=set)  # keys of orders that could only shrink a position
    prices: dict[str, float] = field(default_factory=dict)  # key -> the price that the order was decided at
    began: date | None = None  # the first session of the account
    session: date | None = None
    equity_at_open: float | None = None
    peak_equity: float = 0.0
    closing: Closing | None = None
    cash: dict[str, float] = field(default_factory=dict)  # strategy -> what its trades have brought, costs included
    _of_order: dict[str, dict[str, float]] = field(default_factory=dict)

    def apply(self, book: Book, event: Event) -> None:
        """Take in an event that the book has taken in."""
        match event.kind:
            case Kind.SESSION if "date" in event.data:
                self._open(event.data)
            case Kind.DECISION if "lines" in event.data:
                self._decide(Decision.read(event.data))
            case Kind.INTENT:
                self.today.append(event.key)
            case Kind.DENIAL if "order" in event.data:
                order = read_order(event.data["order"])
                waits, reason = event.data["outcome"] == "waits", event.data["reasons"][0]
                self.denied[event.key] = Denied(event.key, event.symbol, order.signed, waits, reason)
            case Kind.OPERATOR if event.data.get("confirmed"):
                self.confirmed.add(event.key)
            case Kind.FILL:
                self._count(book, event.key)
            case Kind.COMMISSION if event.data["execution"] in book.fills:
                self._count(book, book.fills[event.data["execution"]].key)
            case Kind.RECONCILE if "closing" in event.data:
                self._close(event.data["closing"])

    def reached(self, strategy: str, book: Book) -> dict[str, float]:
        """Return the weights that a strategy has reached: what was not carried out in full is still to be done."""
        decision = self.decision
        wanted = next((one for one in decision.wanted if one.strategy == strategy), None) if decision else None
        if decision is None or wanted is None:
            return {}
        undone = {line.symbol for line in decision.lines if strategy in line.shares and not _done(book, line.key)}
        undone |= set(decision.unpriced)
        symbols = wanted.weights.keys() | wanted.before.keys()
        weights = {name: (wanted.before if name in undone else wanted.weights).get(name, 0.0) for name in symbols}
        return {name: weight for name, weight in weights.items() if weight}

    def worth(self, book: Book, marks: Mapping[str, float]) -> dict[str, float]:
        """Return what each strategy has made so far: what its trades brought, and its shares at these prices."""
        found = dict(self.cash)
        for strategy, shares in book.books.items():
            held = sum(count * marks.get(symbol, 0.0) for symbol, count in shares.items())
            found[strategy] = found.get(strategy, 0.0) + held
        return found

    def _open(self, data: Mapping[str, Any]) -> None:
        session = date.fromisoformat(data["date"])
        self.began = self.began or session
        if session != self.session:
            self.session, self.equity_at_open, self.today, self.denied = session, data["equity"], [], {}
        self.peak_equity = max(self.peak_equity, data["equity"])

    def _decide(self, decision: Decision) -> None:
        self.decision = decision
        self.reducing |= {line.key for line in decision.lines if line.reducing}
        self.prices |= {line.key: line.price for line in decision.lines}
        for crossing in decision.crossings:
            for strategy, shares in crossing.shares.items():
                self.cash[strategy] = self.cash.get(strategy, 0.0) - shares * crossing.price

    def _close(self, data: Mapping[str, Any]) -> None:
        self.closing = Closing(date.fromisoformat(data["date"]), data["equity"], data["marks"], data["worth"])
        self.peak_equity = max(self.peak_equity, data["equity"])

    def _count(self, book: Book, key: str) -> None:
        """Count an order's money again, of all its fills as they are corrected and charged by now."""
        if key not in book.orders:
            return
        brought: dict[str, float] = {}
        shares, order, filled = book.orders[key].intent.asked.shares, book.orders[key].order, 0
        for fill in book.of_order(key) if sum(shares.values()) == order.signed else ():
            if abs(filled + fill.signed) > order.quantity:
                break  # beyond what was ordered it is nobody's
            before, after = (attribute(shares, some) for some in (filled, filled + fill.signed))
            filled += fill.signed
            parts = {name: after[name] - before[name] for name in shares}
            whole = sum(map(abs, parts.values()))
            fee = book.commissions.get(fill.id, 0.0)
            for name, part in parts.items():
                cost = fee * abs(part) / whole if whole else 0.0
                brought[name] = brought.get(name, 0.0) - part * fill.price - cost
        last = self._of_order.get(key, {})
        for name in brought.keys() | last.keys():
            self.cash[name] = self.cash.get(name, 0.0) + brought.get(name, 0.0) - last.get(name, 0.0)
        self._of_order[key] = brought


def _done(book: Book, key: str) -> bool:
    tracked = book.orders.get(key)
    return tracked is not None and (tracked.status is OrderStatus.FILLED or not tracked.status.terminal)
