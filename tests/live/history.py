"""Holds a history of trading against what must be true of every one: the journal's events, and the broker's own file.

It trusts neither side: what the journal says is folded event by event, what the broker has is read from its database.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.live.book import Book
from workbench.live.journal.event import Event, Kind
from workbench.trading import OrderStatus
from workbench.tws import Simulator

CENT = 0.01
KEY = re.compile(r"\d{6}-[0-9a-z]+-[0-9a-f]{4}-\d+|kill-\d+-\d+")


@dataclass(frozen=True)
class Order:
    """An order as the broker has it, or a message that asked for one."""

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
    sent: tuple[Order, ...] = ()  # every message that asked for an order, where the broker kept them


def read_gateway(sim: Simulator, at: Callable[[float], datetime]) -> BrokerSide:
    """Return what a simulated gateway knows; ``at`` gives the journal's time for one of the machine's steady clock."""
    orders, asked = sim.orders(), [one for one in sim.log() if one["kind"] == "placeOrder"]
    arrived = {(one["client_id"], one["order_id"]): at(one["monotonic"]) for one in reversed(asked)}
    return BrokerSide(
        tuple(Order(one["ref"], one["order_id"], arrived[one["client_id"], one["order_id"]]) for one in orders),
        frozenset(
            (root, int(number)) for root, _, number in (one["exec_id"].rpartition(".") for one in sim.executions())
        ),
        dict(sim.positions()),
        sim.account()["cash"],
        tuple(Order(_key_in(one["body"]), one["order_id"], at(one["monotonic"])) for one in asked),
    )


def _key_in(fields: Iterable[str]) -> str:
    return next((one for one in fields if KEY.fullmatch(one)), "")


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
    book, forgetful = Book(remembers=None), Book()
    for event in events:
        forgetful.apply(event)
    found = list(_transitions(events, book))
    if (forgetful.positions, forgetful.books) != (book.positions, book.books) or abs(forgetful.cash - book.cash) > CENT:
        found.append("the book that forgets what ended long ago differs from the whole one")
    found += _sent(events, broker)
    found += _halts(events, broker)
    ours = _newest((event.data["id"], event.data["revision"]) for event in events if event.kind is Kind.FILL)
    theirs = _newest(broker.executions)
    found += [f"execution {one} is not in the journal" for one in sorted(theirs - ours)]
    found += [f"execution {one} is not at the broker" for one in sorted(ours - theirs)]
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


def _newest(executions: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return each execution as last corrected: who was away is told of that one only."""
    return set(dict(sorted(executions)).items())


def _transitions(events: Iterable[Event], book: Book) -> Iterable[str]:
    """Fold, and look whether an order leaves a state that is for ever: at every step, and once more at the end."""
    ended: dict[str, OrderStatus] = {}
    for event in events:
        book.apply(event)
        for key in {event.key} & book.orders.keys():
            status = book.orders[key].status
            if status.terminal:
                ended.setdefault(key, status)
            if ended.get(key, status) is not status:
                yield f"order {key}: {status} after {ended[key]}, event {event.number}"
    for key, status in ended.items():
        if not book.orders[key].status.terminal:
            yield f"order {key}: {book.orders[key].status} at the end, and it was {status}"


def _sent(events: Iterable[Event], broker: BrokerSide) -> Iterable[str]:
    intents = {event.key: event for event in events if event.kind is Kind.INTENT}
    for key, count in Counter(order.key for order in broker.orders).items():
        if count > 1:
            yield f"order {key}: {count} times at the broker"
    for order in broker.orders:
        if order.key not in intents:
            yield f"order {order.key}: at the broker without an intent"
    for order in _messages(intents, broker):
        intent = intents.get(order.key)
        if intent is None:
            continue
        if intent.at > order.accepted:
            yield f"order {order.key}: accepted at {order.accepted} before its intent at {intent.at}"
        elif intent.data["order_id"] != order.order_id:
            yield f"order {order.key}: number {order.order_id} at the broker, {intent.data['order_id']} in its intent"


def _messages(intents: Mapping[str, Event], broker: BrokerSide) -> list[Order]:
    """Return what was sent; a what-if, which uses up a number of its own, asks for no order."""
    known = {(order.key, order.order_id) for order in broker.orders}
    known |= {(key, event.data["order_id"]) for key, event in intents.items()}
    return [order for order in broker.sent or broker.orders if (order.key, order.order_id) in known]


def _halts(events: Iterable[Event], broker: BrokerSide) -> Iterable[str]:
    intents = {event.key: event for event in events if event.kind is Kind.INTENT}
    emergency = {key for key, event in intents.items() if event.data["origin"] == "emergency"}
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
    for order in _messages(intents, broker):
        for begin, end in halts:
            if begin <= order.accepted < end and order.key not in emergency:
                yield f"order {order.key}: sent at {order.accepted} while halted since {begin}"


def lose_order(file: Path) -> None:
    """Let the broker forget an order that it had accepted and not filled."""
    with closing(sqlite3.connect(file)) as database, database:
        chosen = "SELECT permanent FROM orders WHERE status = 'working' AND filled = 0 LIMIT 1"
        database.execute(f"DELETE FROM orders WHERE permanent = ({chosen})")
