"""The one way from a decision to the broker and back: journaled, then sent, then what was answered is journaled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import BrokerError, OrderRejected, TradingHalted
from workbench.live.book import Book
from workbench.live.broker import Broker, Update
from workbench.live.gate.facts import Asked, Origin
from workbench.live.journal.event import Draft, Event, Kind
from workbench.live.journal.facts import Intent, fill_data, rejected_data, working_data
from workbench.live.journal.journal import Journal
from workbench.trading import Fill, Order, OrderStatus, Working

# Orders of a day end with it at the broker, whose clock is not ours.
AROUND_CLOSE = timedelta(minutes=1)


@dataclass(frozen=True)
class Placed:
    """What became of one order: ``working`` is None where the broker refused it, by ``code`` and in its ``text``."""

    intent: Intent
    working: Working | None
    text: str = ""
    code: int = 0


def send(journal: Journal, broker: Broker, asked: Sequence[Asked]) -> tuple[Placed, ...]:
    """Write orders that the gate let pass as intents, send them one by one, and write what was answered.

    ``Disconnected`` and ``Unanswered`` stop it: what was not answered is looked up by ``recovery.recover``. A halt
    between two orders stops it too, and what was not sent yet never is.
    """
    intents = journal.intend(asked, broker.next_order_id(journal.book.highest_order_id + 1))
    return tuple(_send(journal, broker, intents, place) for place in range(len(intents)))


def send_bracket(journal: Journal, broker: Broker, asked: Sequence[Asked]) -> tuple[Placed, ...]:
    """Write and send a parent and its children, so that none works before all are there."""
    intents = journal.intend(asked, broker.next_order_id(journal.book.highest_order_id + 1))
    try:
        return place_bracket(journal, broker, intents)
    except TradingHalted as error:
        journal.append(*(never_sent(one, f"never sent: {error}") for one in intents))
        raise


def cancel(journal: Journal, broker: Broker, key: str, reason: str) -> None:
    """Write that a cancel is asked for, and ask for it; a cancel always may, and is asked for where writing fails."""
    try:
        journal.append(Draft(Kind.CANCEL, {"reason": reason}, key))
    finally:
        broker.cancel(key)


def record(journal: Journal, outbox: Outbox, updates: Iterable[Update]) -> tuple[Event, ...]:
    """Write what the broker told of our orders; what was known already, and what is not ours, is left out."""
    flags, events = len(journal.book.flags), list[Event]()
    drafts: list[Draft] = []
    ending: set[str] = set()  # keys of orders that what is not written yet may end
    for update in updates:
        ends = isinstance(update, Fill) or update.status.terminal
        key = update.key if isinstance(update, Fill) else update.order.key
        if not ends and key in ending:  # whether it comes too late, the book knows once that is written
            events += journal.append(*drafts)
            drafts, ending = [], set()
        drafts += drafts_of(journal.book, update)
        if ends:
            ending.add(key)
    events += journal.append(*drafts)
    for flag in journal.book.flags[flags:]:
        text = f"order {flag.key}: {flag.text}; look at the broker: workbench reconcile"
        outbox.post(Severity.CRITICAL, "odd_fill", text, key=flag.key, event=flag.number)
    return tuple(events)


def tell_ends(journal: Journal, outbox: Outbox, keys: Iterable[str], left: timedelta) -> None:
    """Tell which of these orders the broker refused, or cancelled by itself with some of the session ``left``.

    What protects a holding is told by who puts it back; that a halt ends all orders a person knows.
    """
    book = journal.book
    today = set(book.past.today)
    expected = left <= AROUND_CLOSE or bool(journal.halted) or book.past.stopped is not None
    for one in (book.orders[key] for key in keys if key in book.orders):
        asked = expected or one.cancel_asked
        if one.protects or one.emergency:
            continue
        if one.status is OrderStatus.REJECTED:
            why = "the broker refused it"
        elif one.status is OrderStatus.CANCELLED and one.order.key in today and one.permanent_id and not asked:
            filled = max(one.filled, one.told) or "nothing"
            why = f"the broker cancelled it, {filled} filled; this runner did not ask for it"
        else:
            continue
        order = one.order
        text, cooldown = f"{order.side} {order.quantity} {order.symbol}: {why}", f"rejected {order.symbol}"
        outbox.post(Severity.WARNING, "rejected", text, cooldown=cooldown, key=order.key)


def drafts_of(book: Book, update: Update) -> list[Draft]:
    """Return what an update adds to the book."""
    if isinstance(update, Fill):
        adopted = update.id in book.fills and book.has(update)  # of an order that was not ours
        if update.key not in book.orders and not adopted:
            return []
        if not book.has(update):
            return [Draft(Kind.FILL, fill_data(update), update.key, update.symbol)]
        if update.commission is None:
            return []
        told = {"execution": update.id, "commission": update.commission}
        return [Draft(Kind.COMMISSION, told, update.key, update.symbol)]
    tracked = book.orders.get(update.order.key)
    if tracked is None or update.order_id not in (0, tracked.intent.order_id):
        return []
    if update.status is tracked.status and update.permanent_id == tracked.permanent_id:
        return []
    unfilled = (OrderStatus.REJECTED, OrderStatus.CANCELLED)
    if tracked.status in unfilled and update.status in unfilled and not update.filled:
        return []  # two words for one end: of a bracket one is refused, and the others are taken back for it
    if tracked.status.terminal and not update.status.terminal:
        return []  # a word that came late; where the broker does work on it still, the reconciliation sees it
    if tracked.status is OrderStatus.WORKING and update.status is OrderStatus.ACCEPTED:
        return []  # this one too
    return [Draft(Kind.ACKNOWLEDGED, working_data(update), update.order.key, update.order.symbol)]


def make_ready(broker: Broker, orders: Sequence[Order]) -> None:
    """Wait for all that orders need before they can leave: while a halt is held off, nothing is waited for."""
    for symbol in {order.symbol for order in orders}:
        broker.instrument(symbol)
    broker.make_room(len(orders))


def place(journal: Journal, broker: Broker, intent: Intent) -> Placed:
    """Send one intent, and write what was answered."""
    order = intent.order
    try:
        make_ready(broker, [order])
    except OrderRejected as error:
        return _refused(journal, [intent], error)[0]
    with journal.sending(emergency=intent.asked.origin is Origin.EMERGENCY):
        try:
            working = broker.place(order, intent.order_id)
        except OrderRejected as error:
            return _refused(journal, [intent], error)[0]
        except BrokerError as error:
            journal.append(_unanswered(intent, error))
            raise
        journal.append(Draft(Kind.ACKNOWLEDGED, working_data(working), order.key, order.symbol))
        return Placed(intent, working)


def place_bracket(journal: Journal, broker: Broker, intents: Sequence[Intent]) -> tuple[Placed, ...]:
    """Send the intents of one bracket, and write what was answered; a halt before it is let go takes it back."""
    try:
        make_ready(broker, [one.order for one in intents])
    except OrderRejected as error:
        return _refused(journal, intents, error)
    with journal.sending(emergency=intents[0].asked.origin is Origin.EMERGENCY) as require:
        try:
            found = broker.place_bracket([(one.order, one.order_id) for one in intents], require)
        except OrderRejected as error:
            return _refused(journal, intents, error)
        except BrokerError as error:
            journal.append(*(_unanswered(one, error) for one in intents))
            raise
        journal.append(*(Draft(Kind.ACKNOWLEDGED, working_data(one), one.order.key, one.order.symbol) for one in found))
        return tuple(Placed(one, working) for one, working in zip(intents, found, strict=True))


def never_sent(intent: Intent, why: str) -> Draft:
    """Return what is written of an intent of which it is certain that the broker never had it."""
    order = intent.order
    return Draft(
        Kind.RECONCILE, {"outcome": "abandon", "status": OrderStatus.CANCELLED.value, "text": why}, order.key,
        order.symbol,
    )  # fmt: skip


def _send(journal: Journal, broker: Broker, intents: Sequence[Intent], number: int) -> Placed:
    try:
        return place(journal, broker, intents[number])
    except TradingHalted as error:
        journal.append(*(never_sent(one, f"never sent: {error}") for one in intents[number:]))
        raise


def _refused(journal: Journal, intents: Sequence[Intent], error: OrderRejected) -> tuple[Placed, ...]:
    refused = rejected_data(str(error))
    journal.append(*(Draft(Kind.ACKNOWLEDGED, refused, one.order.key, one.order.symbol) for one in intents))
    return tuple(Placed(one, None, str(error), error.code) for one in intents)


def _unanswered(intent: Intent, error: BrokerError) -> Draft:
    return Draft(Kind.SENT, {"text": str(error)}, intent.order.key, intent.order.symbol)
