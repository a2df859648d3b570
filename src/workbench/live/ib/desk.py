"""Orders over one connection: sent, acknowledged or looked up, cancelled, tried out. Runs in the connection's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ib_async import Contract

from workbench.errors import BrokerError, Disconnected, InputRefused, OrderRejected, Unanswered, WorkbenchError
from workbench.live.codes import CodeClass, code_of
from workbench.live.ib.book import Book
from workbench.live.ib.connection import Connection, code_in
from workbench.live.ib.translation import margin_of, wire_order
from workbench.live.ib.wire import FIRST_REQUEST
from workbench.trading import Instrument, Margin, Order, OrderStatus, Working

NO_PARENT = 135
Resync = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Ticket:
    """An order on its way, until the broker has said something about it."""

    order: Order
    heard: asyncio.Future[Working]
    doubt: str = ""  # what an error said that does not decide by itself
    code: int = 0


class Desk:
    """Sends orders and knows which of them wait for a word of the broker."""

    def __init__(self, connection: Connection, book: Book, resync: Resync) -> None:
        self.connection, self.book, self._resync = connection, book, resync
        self._tickets: dict[int, Ticket] = {}

    async def place(self, order: Order, order_id: int, tool: Instrument, contract: Contract) -> Working:
        """Send one order and wait for the broker's word; a child is tied to the parent that is there already."""
        parent_id = self._parent_id(order)
        ticket = self._send(order, order_id, tool, contract, transmit=True, parent_id=parent_id)
        try:
            return await self._word(ticket, order_id)
        finally:
            self._tickets.pop(order_id, None)

    async def place_bracket(
        self,
        orders: Sequence[tuple[Order, int]],
        tools: Sequence[tuple[Instrument, Contract]],
        require: Callable[[], None],
    ) -> tuple[Working, ...]:
        """Send a family: all but the last wait at the broker, and where one of them is refused, none is let go.

        Neither is one where ``require`` raises once they wait there: the broker's answer may have taken seconds.
        """
        for (order, _), (tool, _) in zip(orders, tools, strict=True):
            wire_order(order, tool.tick, self.book.account)  # what we refuse ourselves is refused before any is sent
        parent_id = orders[0][1]
        tickets: dict[int, Ticket] = {}
        try:
            for (order, order_id), (tool, contract) in zip(orders[:-1], tools[:-1], strict=True):
                above = 0 if order_id == parent_id else parent_id
                tickets[order_id] = self._send(order, order_id, tool, contract, transmit=False, parent_id=above)
            await self.connection.time()  # what was refused so far is known by now
            self._refuse_family(tickets)
            await asyncio.to_thread(require)  # it reads files, and this loop does not wait for a disk
            order, order_id = orders[-1]
            tickets[order_id] = self._send(order, order_id, *tools[-1], transmit=True, parent_id=parent_id)
            for one, ticket in tickets.items():
                await self._word(ticket, one, tickets)
            return tuple(self._stands(ticket, one) for one, ticket in tickets.items())
        except Unanswered:
            raise
        except Disconnected as error:
            if not tickets:
                raise
            raise Unanswered(f"{error}; the bracket of {orders[0][0].key} may be there: look it up") from error
        except WorkbenchError as error:  # refused, or halted
            await self._take_back(tickets, error)
            raise
        finally:
            for _, order_id in orders:
                self._tickets.pop(order_id, None)

    async def what_if(self, order: Order, order_id: int, tool: Instrument, contract: Contract) -> Margin:
        """Ask what an order would change; the broker's silence ends with the time for it."""
        wire = wire_order(order, tool.tick, self.book.account)
        wire.whatIf = True
        client, wrapper = self.connection.client, self.connection.ib.wrapper

        def start() -> asyncio.Future[object]:
            future: asyncio.Future[object] = wrapper.startReq(order_id, contract)
            with self.connection.at_once():
                client.placeOrder(order_id, contract, wire)
            return future

        try:
            state = await self.connection.ask(f"what-if of {order.key}", start, self.connection.params.order_seconds)
        except (Disconnected, Unanswered):
            raise
        except BrokerError as error:
            raise OrderRejected(str(error), code_in(error)) from error
        return margin_of(order, state)  # type: ignore[arg-type]

    def cancel_id(self, order_id: int) -> None:
        """Ask for the cancel of an order of this client, also while the gateway has no broker."""
        self._require_socket()
        self.connection.send_now(4, 1, order_id, *([""] if self.connection.client.serverVersion() >= 169 else []))

    def cancel_all(self) -> None:
        """Ask for the cancel of everything; no order waits here for its turn, so none follows it."""
        self._require_socket()
        self.connection.send_now(58, 1)

    def _require_socket(self) -> None:
        if not self.connection.alive:
            self.connection.require()

    def heard(self, working: Working | None) -> None:
        """Take what the broker said of an order."""
        ticket = None if working is None else self._tickets.get(working.order_id)
        if ticket is None or working is None or working.client_id != self.book.client_id or ticket.heard.done():
            return
        if working.status is OrderStatus.REJECTED:
            why = ticket.doubt or "the broker called it inactive"
            ticket.heard.set_exception(OrderRejected(f"order {ticket.order.key}: {why}", ticket.code))
        elif working.order.key == ticket.order.key:
            ticket.heard.set_result(working)

    def told(self, request: int, number: int, text: str) -> None:
        """Take an error that names an order."""
        kind = code_of(number).kind
        ticket = self._tickets.get(request)
        said = f"{number} {' '.join(text.split())}"
        if kind is CodeClass.NOT_CANCELLED and ticket is None:
            self.connection.begin(self._resync())
            return
        if ticket is None or ticket.heard.done():
            return
        if kind is CodeClass.REJECTS:
            ticket.heard.set_exception(OrderRejected(f"order {ticket.order.key}: {said}", number))
        elif kind not in (CodeClass.WARNING, CodeClass.INFO, CodeClass.DATA_LOST, CodeClass.DATA_BACK):
            ticket.doubt, ticket.code = said, number
            self.connection.begin(self._settle(ticket, request))

    def _stands(self, ticket: Ticket, order_id: int) -> Working:
        """Return an order of a family as it stands by now; it may have been refused after it was taken."""
        now = self.book.of_id(order_id) or ticket.heard.result()
        if now.status is OrderStatus.REJECTED:
            raise OrderRejected(
                f"order {ticket.order.key}: {ticket.doubt or 'refused after it was taken'}", ticket.code
            )
        return now

    async def _take_back(self, tickets: Mapping[int, Ticket], error: WorkbenchError) -> None:
        """Cancel what is left of a family; where some of it has filled, it was not simply refused."""
        try:
            for order_id in tickets:
                self.cancel_id(order_id)
            await self._resync()
        except WorkbenchError as failed:
            raise Unanswered(f"{error}; what is left of its bracket is not known ({failed}): look it up") from error
        for ticket in tickets.values():
            filled = sum(one.filled for one in self.book.of_key(ticket.order.key))
            if filled:
                text = f"{error}, and {filled} shares of {ticket.order.key} are filled: look it up"
                raise Unanswered(text) from error

    def _parent_id(self, order: Order) -> int:
        """Return the id of the parent that must fill first; 0 where there is none, or it has filled."""
        if not order.parent:
            return 0
        known = self.book.of_key(order.parent)
        if known and (not known[-1].status.terminal or known[-1].status is OrderStatus.FILLED):
            return 0 if known[-1].status.terminal else known[-1].order_id
        what = f"is {known[-1].status}" if known else "is not known to the broker"
        raise OrderRejected(f"order {order.key}: its parent {order.parent} {what}", NO_PARENT)

    def _send(
        self, order: Order, order_id: int, tool: Instrument, contract: Contract, *, transmit: bool, parent_id: int
    ) -> Ticket:
        self.connection.require()
        if not 0 < order_id < FIRST_REQUEST:
            raise InputRefused(f"order id {order_id} of {order.key}: it must lie from 1 to {FIRST_REQUEST - 1}")
        wire = wire_order(order, tool.tick, self.book.account, transmit=transmit, parent_id=parent_id)
        ticket = Ticket(order, asyncio.get_running_loop().create_future())
        ticket.heard.add_done_callback(lambda heard: heard.cancelled() or heard.exception())  # seen, whoever waits
        self._tickets[order_id] = ticket
        self.book.sending(order, order_id)
        with self.connection.at_once():
            self.connection.client.placeOrder(order_id, contract, wire)
        return ticket

    async def _word(self, ticket: Ticket, order_id: int, family: Mapping[int, Ticket] | None = None) -> Working:
        """Wait for the broker's word on an order; a refusal of another one of its family is one as well."""
        seconds = self.connection.params.order_seconds
        end = asyncio.get_running_loop().time() + seconds
        others = {one.heard for one in (family or {}).values()} - {ticket.heard}
        while not ticket.heard.done() and not self.connection.closed.done():
            left = end - asyncio.get_running_loop().time()
            waiting: set[asyncio.Future[Any]] = {ticket.heard, self.connection.closed}
            waiting |= {one for one in others if not one.done()}
            done, _ = await asyncio.wait(waiting, timeout=left, return_when="FIRST_COMPLETED")
            for one in done & others:
                one.result()
            if not done:
                break
        if ticket.heard.done():
            return ticket.heard.result()
        why = self.connection.closed.result() if self.connection.closed.done() else f"no word within {seconds:g} s"
        raise Unanswered(f"order {ticket.order.key} (id {order_id}): {ticket.doubt or why}; look it up by its key")

    async def _settle(self, ticket: Ticket, order_id: int) -> None:
        """Ask the broker what became of an order that a code is about: what it does not know now was refused.

        Requests are answered in the order they came, so the order was seen before the question was.
        """
        try:
            await self._resync()
        except WorkbenchError:
            return  # it stays unanswered, which the waiting caller will tell
        if not ticket.heard.done():
            self.heard(next(iter(self.book.of_key(ticket.order.key)[::-1]), None))
        if not ticket.heard.done():
            said = f"order {ticket.order.key} (id {order_id}): {ticket.doubt}"
            ticket.heard.set_exception(OrderRejected(said, ticket.code))

    @staticmethod
    def _refuse_family(tickets: dict[int, Ticket]) -> None:
        for ticket in tickets.values():
            if ticket.heard.done():
                ticket.heard.result()
            if ticket.doubt:
                raise OrderRejected(f"order {ticket.order.key}: {ticket.doubt}", ticket.code)
