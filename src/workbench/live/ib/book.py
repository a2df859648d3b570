"""Orders and executions as the broker told them, folded by its permanent ids; it outlives the connections.

ib_async's own ``Trade`` objects are not used: they are wiped by a reconnect, count corrections twice, and call orders
cancelled that the broker still works. Here only the broker's own words change an order::

    book.opened(contract, wire, "Submitted")      # openOrder
    book.moved(order_id, status, ...)             # orderStatus
    book.executed(contract, execution, live=True) # execDetails
    book.take()                                   # what changed since the last call

An execution counts once a second message names it as well: its commission, or the same told again. One message alone
may be damaged, and an execution that never was is worse than one that is known half a second later.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from ib_async import Contract, Execution
from ib_async import Order as WireOrder

from workbench.errors import DataRefused
from workbench.live.broker import Update
from workbench.live.ib.translation import amount, fill_of, own_order, status_of
from workbench.trading import Fill, Order, OrderStatus, Working

# An order's name: the broker's permanent id, or client and order id as long as it has none.
Name = int | tuple[int, int]
logger = logging.getLogger(__name__)
TENTH_OF_A_CENT = 0.001  # a share: how well an average price must agree with the executions that made it


@dataclass(frozen=True)
class Told:
    """An execution as one message told it, with what the message says of its whole order so far."""

    fill: Fill  # without its commission
    client_id: int
    shares: float
    average: float


class Book:
    """What is known of one account's orders and executions; only the connection's thread touches it."""

    def __init__(self, account: str, client_id: int, own_clients: Iterable[int]) -> None:
        self.account = account
        self.client_id = client_id
        self.own_clients = frozenset(own_clients) | {client_id}
        self.orders: dict[Name, Working] = {}
        self.fills: dict[str, Fill] = {}
        self.doubts: list[str] = []  # messages that do not fit: the broker must be asked
        self.missing: set[int] = set()  # permanent ids of which more is told as filled than executions have come for
        self._fills_of: dict[int, dict[str, Fill]] = {}  # by permanent id of their order
        self._client_of: dict[int, int] = {}  # permanent id -> client, from executions: completed orders do not say
        self._names: dict[tuple[int, int], Name] = {}  # client and order id -> the newest incarnation
        self._sent: dict[int, Order] = {}
        self._fees: dict[str, float] = {}  # by execution id, revision included
        self._day: date | None = None
        self._ended: set[int] = set()  # orders that had ended when that day began
        self._once: dict[str, Told] = {}  # by the same: told by one message, and named by no other yet
        self._left_out: set[str] = set()  # executions of others that have no words here
        self._changes: list[Update] = []

    def take(self) -> tuple[Update, ...]:
        """Return what changed since the last call, in order."""
        changes, self._changes = self._changes, []
        return tuple(changes)

    def begin(self, day: date) -> bool:
        """Forget, on a new day, the orders that had ended when the last one began: the broker tells of a day only."""
        if day == self._day:
            return False
        self._day = day
        self._left_out.clear()
        for name in (self._ended & self.orders.keys()) - self.missing:
            order = self.orders.pop(name)
            self._names.pop((order.client_id, order.order_id), None)
            self._sent.pop(order.order_id, None)
            self._client_of.pop(name, None)
            for fill in self._fills_of.pop(name, {}).values():
                self.fills.pop(fill.id, None)
                self._fees.pop(f"{fill.id}.{fill.revision:02d}", None)
        self._ended = {name for name, one in self.orders.items() if one.status.terminal and isinstance(name, int)}
        return True

    def sending(self, order: Order, order_id: int) -> None:
        """Remember what is about to leave under this id."""
        self._sent[order_id] = order

    def opened(self, contract: Contract, wire: WireOrder, status: str) -> Working | None:
        """Take an openOrder; None where it belongs to another account."""
        if wire.account not in ("", self.account):
            return None
        name = self._name(wire.permId, wire.clientId, wire.orderId)
        known = self.orders.get(name)
        order = own_order(wire, contract, self._parent_key(wire.clientId, wire.parentId))
        now = Working(
            order=order if known is None or order.parent else replace(order, parent=known.order.parent),
            order_id=wire.orderId,
            permanent_id=wire.permId,
            status=status_of(status),
            filled=known.filled if known else 0,
            average_price=known.average_price if known else 0.0,
            client_id=wire.clientId,
            ours=wire.clientId in self.own_clients,
        )
        return self._keep(name, now)

    def moved(
        self, order_id: int, status: str, filled: float, average: float, permanent_id: int, client_id: int
    ) -> Working | None:
        """Take an orderStatus; None where nothing is known of its order."""
        name = self._name(permanent_id, client_id, order_id)
        known = self.orders.get(name)
        if known is None:
            order = self._sent.get(order_id) if client_id == self.client_id else None
            if order is None:
                self.doubts.append(f"status {status} of order {order_id} of client {client_id}, which is not known")
                return None
            known = Working(order, order_id, permanent_id, OrderStatus.ACCEPTED, 0, 0.0, client_id)
        if not 0 <= filled <= known.order.quantity:
            key, quantity = known.order.key, known.order.quantity
            self.doubts.append(f"status {status} of order {key}: {filled:g} of {quantity} filled")
            return None
        now = replace(
            known,
            permanent_id=permanent_id or known.permanent_id,
            status=status_of(status),
            filled=max(int(filled), known.filled),
            average_price=average if filled else known.average_price,
        )
        return self._keep(name, now)

    def completed(self, contract: Contract, wire: WireOrder, status: str) -> Working | None:
        """Take a completedOrder: it has neither order id nor client, so what is known of its permanent id is kept."""
        if wire.account not in ("", self.account):
            return None
        known = self.orders.get(wire.permId)
        fills = list(self._fills_of.get(wire.permId, {}).values())
        if known is None:
            # Without an execution nobody says whose it was: a reference is taken for one of ours.
            client_id = self._client_of.get(wire.permId, self.client_id if wire.orderRef else 0)
            order_id, ours = fills[0].order_id if fills else 0, client_id in self.own_clients
            order = own_order(wire, contract)
            known = Working(order, order_id, wire.permId, OrderStatus.ACCEPTED, 0, 0.0, client_id, ours)
        shares = sum(fill.quantity for fill in fills)
        average = sum(fill.quantity * fill.price for fill in fills) / shares if shares else known.average_price
        told = amount(wire.filledQuantity) or 0.0
        final = status_of(status)
        now = replace(
            known,
            status=final if final.terminal else OrderStatus.CANCELLED,
            filled=max(known.filled, int(told), shares),
            average_price=average,
        )
        return self._keep(wire.permId, now)

    def executed(self, contract: Contract, execution: Execution, *, live: bool) -> Fill | None:
        """Take an execution; one that nobody asked for must fit an order that is known, else the broker is asked."""
        if execution.acctNumber != self.account:
            if live:
                self.doubts.append(f"execution {execution.execId} names account '{execution.acctNumber}'")
            return None
        ours = execution.clientId in self.own_clients and execution.orderId > 0
        try:
            fill = fill_of(
                contract, execution, execution.orderRef if ours else "", amount(self._fees.get(execution.execId))
            )
        except DataRefused as error:
            known_order = self.orders.get(execution.permId)
            if not (ours or (known_order is not None and known_order.ours)):
                self._leave_out(execution.execId, error)
                return None
            if not live:
                raise
            self.doubts.append(str(error))
            return None
        if live and not self._fits(fill):
            self.doubts.append(f"execution {execution.execId} of {fill.quantity} {fill.symbol} fits no known order")
            return None
        known = self.fills.get(fill.id)
        late = known is not None and (fill.revision < known.revision or (live and fill.revision == known.revision))
        if known is not None and (late or known == replace(fill, commission=known.commission)):
            self._once.pop(execution.execId, None)  # what a damaged message said of it
            return known  # a duplicate, or a correction that was overtaken
        told = Told(replace(fill, commission=None), execution.clientId, execution.cumQty, execution.avgPrice)
        if self._once.get(execution.execId) == told:
            self._count_fill(execution.execId, told)
        else:
            self._once[execution.execId] = told
            self._settle(fill.permanent_id)
        return self.fills.get(fill.id)

    def _leave_out(self, name: str, error: DataRefused) -> None:
        """Do without an execution of somebody else: parts of a share, a combination that was paid for being taken."""
        if name not in self._left_out:
            self._left_out.add(name)
            logger.warning("%s; not ours, and left out: what it changed shows in the positions", error)

    @property
    def unsure(self) -> frozenset[str]:
        """The ids of executions that one message alone has told."""
        return frozenset(self._once)

    def drop(self, names: Iterable[str]) -> None:
        """Forget what one message alone told, and what the broker does not say when it is asked."""
        for name in names:
            self._once.pop(name, None)

    def paid(self, execution_id: str, commission: float) -> None:
        """Take a commission report, which may come before or long after its execution."""
        fee = amount(commission)
        if fee is None:
            return
        self._fees[execution_id] = fee
        if execution_id in self._once:
            self._settle(self._once[execution_id].fill.permanent_id)
        root, _, revision = execution_id.rpartition(".")
        fill = self.fills.get(root)
        if fill is not None and revision.isdigit() and fill.revision == int(revision) and fill.commission != fee:
            self.fills[root] = self._fills_of[fill.permanent_id][root] = replace(fill, commission=fee)
            self._changes.append(self.fills[root])

    def of_key(self, key: str) -> tuple[Working, ...]:
        """Return every incarnation of an order of this client, those that live last."""
        found = [one for one in self.orders.values() if one.order.key == key and one.client_id == self.client_id]
        return tuple(sorted(found, key=lambda one: not one.status.terminal))

    def of_id(self, order_id: int) -> Working | None:
        """Return the order of this client with an id, its newest incarnation."""
        name = self._names.get((self.client_id, order_id))
        return None if name is None else self.orders.get(name)

    def _settle(self, permanent_id: int) -> None:
        """Count the executions of an order that their commissions name; one may be what another one waited for."""
        waiting = [one for one in self._once.items() if one[1].fill.permanent_id == permanent_id]
        for name, told in waiting:
            if name in self._fees and self._follows(told):
                self._count_fill(name, told)
                self._settle(permanent_id)
                return

    def _follows(self, told: Told) -> bool:
        """Whether an execution corrects one that is known, or makes its order's total what it says it is."""
        known = self.fills.get(told.fill.id)
        if known is not None:
            return told.fill.revision > known.revision
        fills = [*self._fills_of.get(told.fill.permanent_id, {}).values(), told.fill]
        shares = sum(fill.quantity for fill in fills)
        value = sum(fill.quantity * fill.price for fill in fills)
        return shares == told.shares and abs(value - told.average * shares) <= TENTH_OF_A_CENT * shares

    def _count_fill(self, name: str, told: Told) -> None:
        """Let an execution count, instead of what it corrects."""
        self._once.pop(name, None)
        fill, known = replace(told.fill, commission=self._fees.get(name)), self.fills.get(told.fill.id)
        self.fills[fill.id] = fill
        self._changes.append(fill)
        if known is not None:
            self._fills_of[known.permanent_id].pop(known.id, None)
        self._fills_of.setdefault(fill.permanent_id, {})[fill.id] = fill
        self._client_of[fill.permanent_id] = told.client_id
        self._count(fill.permanent_id)

    def _keep(self, name: Name, now: Working) -> Working:
        known = self.orders.get(name)
        if known is not None and known.status.terminal:
            now = replace(now, status=known.status)  # from a terminal status there is no way back
        if known != now:
            self.orders[name] = now
            self._changes.append(now)
            self._count(now.permanent_id)
        return now

    def _count(self, permanent_id: int) -> None:
        order = self.orders.get(permanent_id)
        held = sum(fill.quantity for fill in self._fills_of.get(permanent_id, {}).values())
        if order is not None and order.ours and order.filled > held:
            self.missing.add(permanent_id)
        else:
            self.missing.discard(permanent_id)

    def _name(self, permanent_id: int, client_id: int, order_id: int) -> Name:
        if order_id <= 0:  # made by hand
            return permanent_id
        pair = (client_id, order_id)
        if not permanent_id:
            return self._names.get(pair, pair)
        if pair in self.orders:  # it had no permanent id before
            self.orders[permanent_id] = self.orders.pop(pair)
        self._names[pair] = permanent_id
        return permanent_id

    def _parent_key(self, client_id: int, parent_id: int) -> str:
        if not parent_id:
            return ""
        parent = self.orders.get(self._names.get((client_id, parent_id), 0))
        if parent is not None:
            return parent.order.key
        sent = self._sent.get(parent_id) if client_id == self.client_id else None
        return sent.key if sent else ""

    def _fits(self, fill: Fill) -> bool:
        order = self.orders.get(fill.permanent_id)
        if order is None:
            sent = self._sent.get(fill.order_id)
            return sent is not None and self._fits_order(fill, sent)
        return order.order_id == fill.order_id and self._fits_order(fill, order.order)

    @staticmethod
    def _fits_order(fill: Fill, order: Order) -> bool:
        return (fill.key, fill.symbol, fill.side) == (order.key, order.symbol, order.side) and (
            fill.quantity <= order.quantity
        )
