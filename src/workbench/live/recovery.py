"""What became of orders whose end the journal does not know: the same at the start, after a crash, on a reconnect.

1. The broker is asked for open orders, completed orders and executions, in this order: what leaves one of them
   meanwhile is in the next.
2. Each open intent is looked up by its key: executions say more than open orders, completed ones more than open ones.
3. Found: what the broker says is adopted. Proven absent: sent again, same number, same key. The broker had accepted
   it, or it is not of today, and there is no trace: a person decides.

Being connected as the same client is the barrier: nothing of the old connection is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import OrderRejected
from workbench.live.book import Tracked
from workbench.live.broker import Broker
from workbench.live.dispatch import drafts_of, make_ready, never_sent, record
from workbench.live.gate.facts import Asked
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import rejected_data, working_data
from workbench.live.journal.journal import Journal
from workbench.trading import OrderStatus, Working

ZONE = ZoneInfo("America/New_York")
# A decision is old after this; what was never sent until then is not sent any more.
RESEND_WITHIN = timedelta(minutes=15)
# The broker says that the number is taken: the order was there after all.
KNOWN_NUMBER = (103, 104)


class Outcome(StrEnum):
    """What was found, and done."""

    ADOPT = "adopt"  # the broker has it, or had it and it ended unfilled
    FILLED = "filled"
    RESEND = "resend"
    MISSING = "missing"  # its symbol is locked until a person decides
    ABANDON = "abandon"  # never sent, and not to be sent any more


@dataclass(frozen=True)
class Recovered:
    """One order, and what became of it."""

    key: str
    symbol: str
    outcome: Outcome
    text: str


def recover(
    journal: Journal,
    broker: Broker,
    outbox: Outbox,
    *,
    permit: Callable[[Sequence[Asked]], str] | None = lambda _: "",
    resend_within: timedelta = RESEND_WITHIN,
) -> tuple[Recovered, ...]:
    """Bring the journal to what the broker knows.

    ``permit`` is the gate: it is asked about an order, or a bracket as a whole, and returns why not for what it denies.
    Without it nothing is sent: what never arrived, and still may be sent, is left for later.
    """
    journal.sync()
    working = {(one.order.key, one.order_id): one for one in broker.open_orders()}
    ended = {one.order.key: one for one in broker.completed_orders()}
    now = broker.now()
    before = {one.order.key: one for one in journal.book.open_orders}
    record(journal, outbox, broker.fills(_begin(before.values(), now)))
    found: list[Recovered] = []
    drafts: list[Draft] = []
    absent: list[Tracked] = []
    for key, known in before.items():
        tracked = journal.book.orders[key]
        seen = ended.get(key) or working.get((key, tracked.intent.order_id))
        if tracked.status is OrderStatus.FILLED:
            found.append(_told(tracked, Outcome.FILLED, "its executions fill it"))
        elif seen is not None:
            told = drafts_of(journal.book, seen)
            drafts += told
            if told or known.status is OrderStatus.INTENDED:
                found.append(_told(tracked, Outcome.ADOPT, f"{seen.status} at the broker"))
        elif tracked.status is not OrderStatus.MISSING:
            absent.append(tracked)
    unsent: list[Tracked] = []
    for tracked in absent:
        if lost := _lost(tracked, now):
            drafts.append(_missing(tracked, lost))
            found.append(_told(tracked, Outcome.MISSING, lost))
        else:
            unsent.append(tracked)
    journal.append(*drafts)
    _alert(outbox, found)
    for group in _groups(unsent):
        why = next(filter(None, (_too_late(journal, one, now, resend_within) for one in group)), "")
        if permit is not None:  # all of a bracket or none
            why = why or permit([one.intent.asked for one in group])
        if why:
            journal.append(*(never_sent(one.intent, f"never sent: {why}") for one in group))
            found += [_told(one, Outcome.ABANDON, why) for one in group]
        elif permit is not None:
            sent = _resend(journal, broker, group)
            _alert(outbox, sent)
            found += sent
    return tuple(found)


def _alert(outbox: Outbox, found: Iterable[Recovered]) -> None:
    for one in found:
        if one.outcome is Outcome.MISSING:
            text = f"{one.symbol}: order {one.key} is missing: {one.text}; locked until: workbench reconcile"
            outbox.post(Severity.CRITICAL, "missing_order", text, cooldown=f"missing {one.key}", key=one.key)


def _begin(open_orders: Iterable[Tracked], now: datetime) -> datetime:
    """Return since when executions are asked for: the whole day, and from the oldest open intent on."""
    return min([now - timedelta(days=1), *(one.at - timedelta(minutes=1) for one in open_orders)])


def _lost(tracked: Tracked, now: datetime) -> str:
    """Say why an order without a trace cannot be taken for one that was never there, or nothing."""
    if tracked.filled:
        return f"{tracked.filled} of {tracked.order.quantity} filled, and no trace of the rest at the broker"
    if tracked.status is not OrderStatus.INTENDED:
        return f"{tracked.status} before, and no trace at the broker"
    if tracked.at.astimezone(ZONE).date() != now.astimezone(ZONE).date():
        return f"of {tracked.at:%Y-%m-%d}, and the broker tells of today only"
    return ""


def _too_late(journal: Journal, tracked: Tracked, now: datetime, within: timedelta) -> str:
    if tracked.emergency:  # it was for what was held then; the stop itself looks again, and sends anew
        return "it was the emergency stop's; make flatten closes what is still held"
    if journal.halted:
        return f"trading is halted ({journal.halted})"
    if now - tracked.at > within:
        return f"decided {now - tracked.at} ago, more than {within}"
    return ""


def _groups(again: Sequence[Tracked]) -> list[list[Tracked]]:
    """Return brackets whose parent is to be sent too as one, everything else by itself."""
    parents = {one.order.key: [one] for one in again if not one.order.parent}
    groups = list(parents.values())
    for one in again:
        if one.order.parent in parents:
            parents[one.order.parent].append(one)
        elif one.order.parent:
            groups.append([one])
    return groups


def _resend(journal: Journal, broker: Broker, group: Sequence[Tracked]) -> list[Recovered]:
    """Send again under the same numbers; the broker's 'number is taken' means that one was there after all."""
    try:
        make_ready(broker, [one.order for one in group])
    except OrderRejected as error:
        return _refused(journal, group, error)
    with journal.sending(emergency=group[0].emergency) as require:
        journal.append(*(Draft(Kind.SENT, {"again": True}, one.order.key, one.order.symbol) for one in group))
        try:
            pairs = [(one.order, one.intent.order_id) for one in group]
            seen = broker.place_bracket(pairs, require) if len(pairs) > 1 else (broker.place(*pairs[0]),)
        except OrderRejected as error:
            return _refused(journal, group, error)
        journal.append(*(_acknowledged(one) for one in seen))
    return [_told(one, Outcome.RESEND, "the broker never had it") for one in group]


def _refused(journal: Journal, group: Sequence[Tracked], error: OrderRejected) -> list[Recovered]:
    if error.code in KNOWN_NUMBER:
        why = f"the broker knows its number but shows no order ({error})"
        journal.append(*(_missing(one, why) for one in group))
        return [_told(one, Outcome.MISSING, why) for one in group]
    refused = rejected_data(str(error))
    journal.append(*(Draft(Kind.ACKNOWLEDGED, refused, one.order.key, one.order.symbol) for one in group))
    return [_told(one, Outcome.RESEND, f"refused: {error}") for one in group]


def _missing(tracked: Tracked, why: str) -> Draft:
    order = tracked.order
    facts = {
        "outcome": Outcome.MISSING.value, "status": OrderStatus.MISSING.value, "text": why,
        "locked": {order.symbol: f"order {order.key}: {why}"},
    }  # fmt: skip
    return Draft(Kind.RECONCILE, facts, order.key, order.symbol)


def _acknowledged(working: Working) -> Draft:
    return Draft(Kind.ACKNOWLEDGED, working_data(working), working.order.key, working.order.symbol)


def _told(tracked: Tracked, outcome: Outcome, text: str) -> Recovered:
    return Recovered(tracked.order.key, tracked.order.symbol, outcome, text)
