"""Our books held against the broker's: positions, orders, executions, cash. A difference locks its symbol.

Cash differs by dividends, interest and fees every month, so a little of it is only told; beyond ``max_cash`` of the
equity it is as if a trade had been missed, and until a person has looked, only what shrinks a position is sent.

A person ends it: ``explain`` says that it is known and may stay, ``adopt`` takes the broker's side into the books,
``resolve`` says what became of a missing order.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import AlreadyRunning, InputRefused, NoData
from workbench.live.book import CASH, NOBODY, Book
from workbench.live.broker import Broker
from workbench.live.difference import (
    PART,
    Difference,
    Of,
    Seen,
    brought_by,
    by_others,
    differences_of,
    execution_of,
    gap_of,
    gone_order,
    traded_by,
    unexplained_fills,
    unnoticed_keys,
    unseen_orders,
)
from workbench.live.dispatch import record
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import fill_data
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.owners import all_there, owners, still_explained, within
from workbench.trading import Fill, OrderStatus

CASH_TOLERANCE = 1.0  # commissions are rounded
MAX_CASH = Limits().max_cash_difference
LOOKS = 3  # until nothing fills between the first question and the last


@dataclass(frozen=True)
class Reconciled:
    """All differences, and those of them that nobody has explained.

    ``unseen`` are the keys of orders that the broker had accepted and does not tell of now. An end on its way looks
    the same, so it takes two looks: then ``recover`` finds out. ``gap`` is the cash that the broker has beyond the
    books, what trades by others brought or cost and what was explained left out; None while something fills.
    """

    at: datetime
    differences: tuple[Difference, ...]
    unexplained: tuple[Difference, ...]
    unseen: frozenset[str] = frozenset()
    gap: float | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.unexplained

    @property
    def missing_cash(self) -> float:
        """The cash that the broker has less than the journal, where all shares and trades agree; else zero.

        Trades are in the journal, so what is missing beside them was taken out, or charged, and is no loss of theirs.
        """
        return max(0.0, -self._cash)

    @property
    def paid_in(self) -> float:
        """The cash that the broker has more than the journal, where all shares and trades agree; else zero."""
        return max(0.0, self._cash)

    @property
    def _cash(self) -> float:
        if any(one.of is Of.POSITION for one in self.unexplained):  # beside a trade that is told now it is not compared
            return 0.0
        return sum(one.broker - one.journal for one in self.unexplained if one.of is Of.CASH)


def compare(journal: Journal, broker: Broker, *, max_cash: float = MAX_CASH) -> Reconciled:
    """Return what differs, and write nothing: for who looks beside the runner."""
    seen, book = _steady(journal, broker, still=False), journal.book
    differences = (*differences_of(book, seen, CASH_TOLERANCE, max_cash), *map(gone_order, unseen_orders(book, seen)))
    left = _left(book, differences)
    return Reconciled(seen.at, differences, left, unnoticed_keys(book, seen), gap_of(book, seen))


def reconcile(journal: Journal, broker: Broker, outbox: Outbox, *, max_cash: float = MAX_CASH) -> Reconciled:
    """Compare both sides, after ``recover``; write what changed, lock what differs, and tell a person."""
    journal.sync()
    seen = _look(broker)
    if not journal.book.opened:
        foreign = [execution_of(fill).id for fill in by_others(journal.book, seen)]
        journal.append(Draft(Kind.RECONCILE, {"opening": {"cash": seen.cash}, "accepted": foreign}))
    record(journal, outbox, seen.fills)
    if new := _told_newly(journal.book, seen):
        journal.append(Draft(Kind.RECONCILE, {"by_others": [fill_data(fill) for fill in new]}))
    if journal.book.past.measuring and not seen.moving:  # only now do the books know what filled unheard
        journal.append(Draft(Kind.RECONCILE, {"gap_at_open": gap_of(journal.book, seen)}))
    differences = tuple(differences_of(journal.book, seen, CASH_TOLERANCE, max_cash))
    left = _left(journal.book, differences)
    if {one.id for one in left} != journal.book.differences or journal.book.past.stopped:
        told = [{**asdict(one), "of": one.of.value, "id": one.id} for one in left]
        locked = {one.symbol: one.text for one in left if one.symbol != CASH or one.ours}
        journal.append(Draft(Kind.RECONCILE, {"differences": told, "locked": locked}))
    for one in left:
        severity = Severity.CRITICAL if one.ours else Severity.WARNING
        outbox.post(severity, f"reconcile_{one.of}", one.text, cooldown=one.id, symbol=one.symbol)
    return Reconciled(seen.at, differences, left, unnoticed_keys(journal.book, seen), gap_of(journal.book, seen))


def explain(journal: Journal, broker: Broker, symbol: str, who: str, reason: str) -> tuple[Difference, ...]:
    """Let the differences of a symbol stay as they are now, and unlock it; the empty symbol is the cash."""
    seen = _steady(journal, broker)
    found = _of_symbol(journal, seen, symbol)
    beside = all_there(journal.book, symbol, seen.positions.get(symbol, 0))
    for one in found if symbol else ():
        if _of_shares(one) and not beside:
            why = "shares that are gone are adopted, not explained, or what protects them trades them a second time"
            raise InputRefused(f"{why}; {one.text}")
    # Cash and shares by their amount: both sides go on changing with every trade.
    facts: dict[str, Any] = {"action": "explain"}
    if symbol == CASH:
        facts |= {"cash_explained": sum(one.broker - one.journal for one in found), "flow": _flow(found, seen)}
    else:
        facts["accepted"] = [one.id for one in found if not _of_shares(one)]
        paid = [fill for fill in unexplained_fills(journal.book, seen) if fill.symbol == symbol]
        facts["cash_explained"] = sum(brought_by(journal.book, fill) for fill in paid)
        facts["explained_fills"] = [fill_data(fill) for fill in paid]  # a correction of them brings what differs
        facts["beside"] = beside  # and what is traded from now on is ours
        facts["shares_explained"] = int(sum(one.broker - one.journal for one in found if _of_shares(one)))
    _operate(journal, Draft(Kind.OPERATOR, facts, symbol=symbol), who, reason)
    return found


def adopt(
    journal: Journal, broker: Broker, symbol: str, who: str, reason: str, strategy: str = NOBODY
) -> tuple[Difference, ...]:
    """Take the broker's side of a symbol into our books, and unlock it.

    The shares are those of a strategy that is named; without a name the broker's shares that nobody ordered are
    nobody's, and those that are gone are taken from who held them.
    """
    seen = _steady(journal, broker)
    found = _of_symbol(journal, seen, symbol)
    if not found:
        raise NoData(f"{symbol or 'cash'}: nothing differs at the broker, so there is nothing to adopt; explain it")
    unseen = unexplained_fills(journal.book, seen)
    fills = [fill for fill in unseen if fill.symbol == symbol and symbol]
    forgotten = [fill for fill in fills if fill.id in journal.book.settled]  # in the position as it was: not once more
    corrected = [fill for fill in fills if fill.id in journal.book.explained_fills]  # stays explained, as it is now
    fills = [fill for fill in fills if fill not in forgotten and fill not in corrected]
    traded, held = sum(traded_by(journal.book, fill) for fill in fills), seen.positions.get(symbol, 0)
    explained = still_explained(journal.book, symbol, held)  # stays with whoever has it
    shares = held - journal.book.positions.get(symbol, 0) - explained - traded if symbol else 0
    cash = 0.0 if symbol else seen.cash - journal.book.cash - sum(brought_by(journal.book, fill) for fill in unseen)
    parts = owners(journal.book, symbol, shares + traded, strategy, explained) if symbol else {}
    adopted = {
        "fills": [fill_data(fill) for fill in fills], "shares": shares, "given": shares + traded, "cash": cash,
        "strategy": strategy, "parts": parts, "explained": explained,
    }  # fmt: skip
    staying = [one.id for one in found if one.of is Of.ORDER or one.number == PART]  # the books have no place for it
    staying += [execution_of(fill).id for fill in (*forgotten, *corrected)]
    data: dict[str, Any] = {"action": "adopt", "adopted": adopted, "accepted": staying}
    if corrected:
        data["cash_explained"] = sum(brought_by(journal.book, fill) for fill in corrected)
        data["explained_fills"] = [fill_data(fill) for fill in corrected]
    if symbol == CASH:
        data["flow"] = _flow(found, seen)
    _operate(journal, Draft(Kind.OPERATOR, data, symbol=symbol), who, reason)
    whose = ", ".join(f"{name or 'nobody'} {count:+d}" for name, count in parts.items() if count)
    return tuple(
        replace(one, text=f"{one.text}; given: {whose}") if whose and _of_shares(one) else one for one in found
    )


def resolve(journal: Journal, key: str, status: OrderStatus, who: str, reason: str) -> None:
    """Say what became of a missing order: that it was cancelled or rejected; its fills come by ``adopt``."""
    tracked = journal.sync().orders.get(key)
    if tracked is None or tracked.status is not OrderStatus.MISSING:
        stands = "no such order" if tracked is None else f"it is {tracked.status}"
        hint = "" if tracked is None or tracked.status.terminal else "; a runner calls it so at its second look"
        raise InputRefused(f"order {key}: {stands}; only a missing order is resolved{hint}")
    if status not in (OrderStatus.CANCELLED, OrderStatus.REJECTED):
        raise InputRefused(f"order {key}: cannot be resolved as {status}; cancelled or rejected")
    data = {"action": "resolve", "status": status.value}
    _operate(journal, Draft(Kind.OPERATOR, data, key, tracked.order.symbol), who, reason)


def _told_newly(book: Book, seen: Seen) -> list[Fill]:
    """Return the executions by others that are told as they were not before, and nobody has seen to."""
    facts = {one.id: (one.revision, one.signed, one.price, one.commission) for one in book.by_others.values()}
    return [
        fill for fill in unexplained_fills(book, seen)
        if facts.get(fill.id) != (fill.revision, fill.signed, fill.price, fill.commission)
    ]  # fmt: skip


def _left(book: Book, differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return the differences that nobody has explained."""
    return tuple(one for one in differences if not _explained(book, one))


def _explained(book: Book, one: Difference) -> bool:
    accepted = one.id in book.accepted
    if not _of_shares(one):
        return accepted
    return one.journal == one.broker or (accepted and within(int(one.journal), int(one.broker)))


def _of_shares(one: Difference) -> bool:
    return one.of is Of.POSITION and one.number != PART


def _operate(journal: Journal, draft: Draft, who: str, reason: str) -> None:
    if not (who.strip() and reason.strip()):
        raise InputRefused(f"{draft.symbol or 'cash'}: who and why are not both given; both stay in the journal")
    data: dict[str, Any] = {**draft.data, "who": who, "reason": reason, "unlocked": True}
    journal.append(Draft(Kind.OPERATOR, data, draft.key, draft.symbol))


def _flow(found: Iterable[Difference], seen: Seen) -> dict[str, float]:
    """Return what a person says came or went, and what the account is worth with it: losses are counted from there."""
    return {"cash": sum(one.broker - one.journal for one in found), "equity": seen.equity}


def _of_symbol(journal: Journal, seen: Seen, symbol: str) -> tuple[Difference, ...]:
    found = differences_of(journal.book, seen, 0.0 if symbol == CASH else CASH_TOLERANCE, MAX_CASH)
    return tuple(one for one in _left(journal.book, found) if one.symbol == symbol)


def _steady(journal: Journal, broker: Broker, *, still: bool = True) -> Seen:
    """Return the broker's side at a moment at which the journal, which a runner may be writing, knows all its fills.

    ``still``: and at which nothing filled, so that no fill is taken for a difference.
    """
    found: Seen | None = None
    for wait in (0.0, 0.5, 1.0, 2.0):
        time.sleep(wait)
        before = journal.sync().last
        seen = _look(broker)
        book = journal.sync()
        told = all(book.has(fill) for fill in seen.fills if fill.key in book.orders)
        if told and (book.last.number if book.last else 0) == (before.number if before else 0):
            found = seen
            if not (seen.moving or unnoticed_keys(book, seen)):  # else its end may be on its way to the journal
                return found
    if found is not None and not (still and found.moving):
        return found
    raise AlreadyRunning(
        f"account {journal.account}: an execution of our own is not in the journal, or something fills or is "
        "written at every look; again in a minute, when the runner has heard of it"
    )


def _look(broker: Broker) -> Seen:
    """Return the broker's side, asked again where something filled meanwhile."""
    for _ in range(LOOKS):
        now = broker.now()
        since = now - timedelta(days=1)
        before = broker.fills(since)
        held = broker.positions()
        orders, account, fills = broker.open_orders(), broker.account(), broker.fills(since)
        if {(one.id, one.revision) for one in before} == {(one.id, one.revision) for one in fills}:
            break
    positions = {one.symbol: one.quantity for one in held if one.quantity}
    parts = {one.symbol: one.part for one in held if one.part}
    known = {one.id for one in before}
    moving = tuple(one for one in fills if one.id not in known)
    return Seen(fills, positions, parts, orders, account.cash, account.equity, now, moving)
