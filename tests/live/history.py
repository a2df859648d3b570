"""Holds a history of trading against what must be true of every one: the journal's events, and the broker's own file.

It trusts neither side: what the journal says is folded event by event, what the broker has is read from its database.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.live.book import Book
from workbench.live.journal.event import Event, Kind

CENT = 0.01


@dataclass(frozen=True)
class Order:
    """An order as the broker has it."""

    key: str
    order_id: int
    accepted: datetime


@dataclass(frozen=True)
class BrokerSide:
    """What the broker's file says."""

    orders: tuple[Order, ...]
    executions: frozenset[tuple[str, int]]
    positions: dict[str, int]
    cash: float


def read_paper(file: Path) -> BrokerSide:
    """Return what a paper broker's file says."""
    with closing(sqlite3.connect(file)) as database:
        orders = database.execute("SELECT key, order_id, accepted FROM orders ORDER BY permanent").fetchall()
        return BrokerSide(
            tuple(Order(key, number, datetime.fromisoformat(at)) for key, number, at in orders),
            frozenset(database.execute("SELECT execution, revision FROM fills").fetchall()),
            dict(database.execute("SELECT symbol, quantity FROM positions").fetchall()),
            database.execute("SELECT value FROM facts WHERE name = 'cash'").fetchone()[0],
        )


def violations(events: Sequence[Event], broker: BrokerSide) -> list[str]:
    """Return everything that is wrong, one line each."""
    book = Book()
    found = list(_transitions(events, book))
    found += _sent(events, broker)
    found += _halts(events, broker)
    ours = {(event.data["id"], event.data["revision"]) for event in events if event.kind is Kind.FILL}
    found += [f"execution {one} is not in the journal" for one in sorted(broker.executions - ours)]
    found += [f"execution {one} is not at the broker" for one in sorted(ours - broker.executions)]
    if book.positions != broker.positions:
        found.append(f"positions: {book.positions} in the journal, {broker.positions} at the broker")
    if abs(book.cash - broker.cash) > CENT:
        found.append(f"cash: {book.cash:.2f} in the journal, {broker.cash:.2f} at the broker")
    owned: Counter[str] = Counter()
    for shares in book.books.values():
        owned.update(shares)
    if {symbol: count for symbol, count in owned.items() if count} != book.positions:
        found.append(f"the strategies own {dict(owned)} of {book.positions}")
    return found


def _transitions(events: Iterable[Event], book: Book) -> Iterable[str]:
    """Fold, and look at every step whether an order leaves a state that is for ever."""
    for event in events:
        before = {key: one.status for key, one in book.orders.items() if one.status.terminal}
        book.apply(event)
        for key, status in before.items():
            if book.orders[key].status is not status:
                yield f"order {key}: {book.orders[key].status} after {status}, event {event.number}"


def _sent(events: Iterable[Event], broker: BrokerSide) -> Iterable[str]:
    intents = {event.key: event for event in events if event.kind is Kind.INTENT}
    for key, count in Counter(order.key for order in broker.orders).items():
        if count > 1:
            yield f"order {key}: {count} times at the broker"
    for order in broker.orders:
        intent = intents.get(order.key)
        if intent is None:
            yield f"order {order.key}: at the broker without an intent"
        elif intent.at > order.accepted:
            yield f"order {order.key}: accepted at {order.accepted} before its intent at {intent.at}"
        elif intent.data["order_id"] != order.order_id:
            yield f"order {order.key}: number {order.order_id} at the broker, {intent.data['order_id']} in its intent"


def _halts(events: Iterable[Event], broker: BrokerSide) -> Iterable[str]:
    emergency = {
        event.key for event in events if event.kind is Kind.INTENT and event.data["origin"] == "emergency"
    }  # fmt: skip
    since: datetime | None = None
    halts: list[tuple[datetime, datetime]] = []
    for event in events:
        if event.kind is Kind.STATE:
            if event.data["state"] == "halted":
                since = since or event.at
            elif since is not None:
                halts.append((since, event.at))
                since = None
    if since is not None:
        halts.append((since, datetime.max.replace(tzinfo=since.tzinfo)))
    for order in broker.orders:
        for begin, end in halts:
            if begin <= order.accepted < end and order.key not in emergency:
                yield f"order {order.key}: sent at {order.accepted} while halted since {begin}"


def lose_order(file: Path) -> None:
    """Let the broker forget an order that it had accepted and not filled."""
    with closing(sqlite3.connect(file)) as database, database:
        chosen = "SELECT permanent FROM orders WHERE status = 'working' AND filled = 0 LIMIT 1"
        database.execute(f"DELETE FROM orders WHERE permanent = ({chosen})")
