"""Where everything the gateway says comes in: it goes to the book, the quotes, the waiting orders, the connection."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from ib_async import Contract, Execution, ExecutionFilter
from ib_async import Order as WireOrder

from workbench.errors import DataRefused
from workbench.live.broker import Update
from workbench.live.codes import CodeClass, code_of
from workbench.live.ib.book import Book
from workbench.live.ib.connection import Connection
from workbench.live.ib.desk import Desk
from workbench.live.ib.quotes import Board
from workbench.live.ib.translation import status_of
from workbench.params import LiveParams
from workbench.trading import Fill, Working

ASKED_AT_MOST = 3  # for executions, until a second message names each
DOUBT_SECONDS = 0.5  # an execution may come after its status; after this the broker is asked
LINES_AT_ONCE = 15  # new market data lines in half a second, of 45 messages a second
RESUBSCRIBE_SECONDS = 0.5  # farms come and go together: one new subscription for all of their notices
FARM_LOST, FARM_BACK = 2103, 2104
MARKET_DATA = {"live": 1, "delayed": 3}
logger = logging.getLogger(__name__)


class Ears:
    """One connection with all that listens to it; runs in the connection's loop."""

    desk: Desk

    def __init__(self, params: LiveParams, client_id: int, board: Board, updates: queue.SimpleQueue[Update]) -> None:
        self.params, self.board, self._updates = params, board, updates
        self.connection = Connection(params, client_id, self)
        self.book: Book | None = None
        self._public = False
        self._healing: asyncio.TimerHandle | None = None
        self._watching: asyncio.TimerHandle | None = None
        self._blank = False
        self._doubted = False
        self._asked_for: set[int] = set()  # permanent ids that an answer did not explain: reconciling will tell
        self._numbers: list[asyncio.Future[int]] = []
        self._sums: dict[int, dict[str, tuple[str, str]]] = {}
        self._contracts: dict[str, Contract] = {}

    def attend(self, book: Book) -> None:
        """Begin to fold what is heard into a book."""
        self.book = book
        self.desk = Desk(self.connection, book, self.resync)

    def publish(self) -> None:
        """Pass on what changed, from now on as it happens."""
        self._public = True
        self._pass_on()

    # Questions.

    async def now(self) -> datetime:
        """Return the broker's time, where there is a broker."""
        self.connection.require()
        return await self.connection.time()

    async def resync(self) -> None:
        """Ask for open orders, executions and completed orders, in this order: what was missed comes as an update."""
        await self.open_orders()
        await self.executions()
        await self.completed_orders()

    async def open_orders(self) -> tuple[Working, ...]:
        """Return what lives, of all clients; what the broker calls alive when asked is, whatever was heard before."""
        ib = self.connection.ib
        told: list[tuple[int, str]] = await self.connection.ask_alone(
            "reqAllOpenOrders", lambda: cast(Awaitable[Any], ib.reqAllOpenOrdersAsync())
        )
        found = []
        for name, status in dict(told).items():
            for known in self._of([name]):
                said = status_of(status)
                alive = known.status.terminal and not said.terminal and known.filled < known.order.quantity
                found.append(replace(known, status=said) if alive else known)
        return tuple(one for one in found if not one.status.terminal)

    async def completed_orders(self) -> tuple[Working, ...]:
        """Return what is done today."""
        ib = self.connection.ib
        names = await self.connection.ask_alone("reqCompletedOrders", lambda: ib.reqCompletedOrdersAsync(False))
        return self._of(names)

    async def executions(self) -> tuple[Fill, ...]:
        """Return today's executions of the account."""
        assert self.book is not None
        ib, book = self.connection.ib, self.book
        which = ExecutionFilter(acctCode=book.account)
        before = book.unsure
        for _ in range(ASKED_AT_MOST):
            found = await self.connection.ask("reqExecutions", lambda: ib.reqExecutionsAsync(which))
            told = [book.executed(one.contract, one.execution, live=False) for one in found]
            if not book.unsure.intersection(one.execution.execId for one in found):
                break
        else:
            raise DataRefused("the broker tells of executions differently each time; ask again")
        book.drop(before)
        fills = {fill.id: book.fills[fill.id] for fill in told if fill is not None}
        self._pass_on()
        return tuple(fills.values())

    async def next_id(self) -> int:
        """Return the broker's next order id."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def start() -> asyncio.Future[int]:
            self._numbers.append(future)
            self.connection.client.reqIds(1)
            return future

        return await self.connection.ask_alone("reqIds", start)

    async def summary(self, tags: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return values of the account by tag, with their currency; the subscription is given back."""
        client, wrapper = self.connection.client, self.connection.ib.wrapper
        self.connection.require()
        request = client.getReqId()
        self._sums[request] = {}

        def start() -> asyncio.Future[object]:
            future: asyncio.Future[object] = wrapper.startReq(request)
            client.reqAccountSummary(request, "All", ",".join(tags))
            return future

        try:
            await self.connection.ask("reqAccountSummary", start)
            return self._sums[request]
        finally:
            self._sums.pop(request, None)
            if self.connection.alive:
                client.cancelAccountSummary(request)

    async def watch(self, contracts: Mapping[str, Contract]) -> None:
        """Subscribe to prices, a few symbols at a time: orders share the messages of each second with them."""
        for number, (symbol, contract) in enumerate(contracts.items()):
            if number and number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0.5)
                self.connection.require()
            self._contracts[symbol] = contract
            self._subscribe(symbol)

    async def cut(self) -> None:
        """Cut the socket."""
        self.connection.drop("cut by hand")

    async def cancel_all(self) -> None:
        """Ask for the cancel of everything."""
        self.desk.cancel_all()

    # What is heard.

    def opened(self, contract: Contract, order: WireOrder, status: str) -> None:
        if self.book is not None:
            self._after(self.book.opened(contract, order, status))

    def moved(
        self, order_id: int, status: str, filled: float, average: float, permanent_id: int, client_id: int
    ) -> None:
        if self.book is not None:
            self._after(self.book.moved(order_id, status, filled, average, permanent_id, client_id))

    def completed(self, contract: Contract, order: WireOrder, status: str) -> None:
        if self.book is not None:
            self._after(self.book.completed(contract, order, status))

    def executed(self, contract: Contract, execution: Execution, live: bool) -> None:
        if self.book is not None:
            self.book.executed(contract, execution, live=live)
            self._after(None)

    def paid(self, execution_id: str, commission: float) -> None:
        if self.book is not None:
            self.book.paid(execution_id, commission)
            self._after(None)

    def ticked(self, request: int, kind: int, value: float) -> None:
        self.board.ticked(request, kind, value)

    def sized(self, request: int, kind: int, size: float) -> None:
        self.board.sized(request, kind, size)

    def stamped(self, request: int, seconds: int) -> None:
        self.board.stamped(request, seconds)

    def summed(self, request: int, account: str, tag: str, value: str, currency: str) -> None:
        if request in self._sums and self.book is not None and account == self.book.account:
            self._sums[request][tag] = (value, currency)

    def numbered(self, order_id: int) -> None:
        waiting, self._numbers = self._numbers, []
        for future in waiting:
            if not future.done():
                future.set_result(order_id)

    def doubted(self, text: str) -> None:
        if self.book is not None:
            self.book.doubts.append(text)
            self._after(None)

    def told(self, request: int, number: int, text: str) -> None:
        kind = code_of(number).kind
        if request in self.board.lines:
            if kind not in (CodeClass.WARNING, CodeClass.INFO):
                self.board.refused(request, f"{number} {text}")
            return
        if request > 0 and self.book is not None:
            self.desk.told(request, number, text)
            return
        self.connection.noticed(number, text)
        if kind is CodeClass.LOST or number == FARM_LOST:
            self.board.blank()
            self._blank = True
        elif kind is CodeClass.BACK_EMPTY or (number == FARM_BACK and self._blank):
            self._watch_soon()
        if kind in (CodeClass.BACK, CodeClass.BACK_EMPTY) and self._public:
            self.connection.begin(self.resync())

    # What follows.

    def _of(self, names: Iterable[object]) -> tuple[Working, ...]:
        assert self.book is not None
        self._pass_on()
        return tuple(self.book.orders[name] for name in dict.fromkeys(names) if name in self.book.orders)

    def _after(self, working: Working | None) -> None:
        assert self.book is not None
        self.desk.heard(working)
        self._pass_on()
        doubts, self.book.doubts = self.book.doubts, []
        for doubt in doubts:
            logger.warning("%s; the broker is asked", doubt)
        open_ends = self.book.unsure or self.book.missing - self._asked_for
        if self._public and self._healing is None and (doubts or open_ends):
            self._doubted = bool(doubts)
            self._healing = asyncio.get_running_loop().call_later(DOUBT_SECONDS, self._heal)

    def _heal(self) -> None:
        assert self.book is not None
        self._healing = None
        if self._doubted or self.book.missing or self.book.unsure:  # mostly what was missing has come meanwhile
            self._asked_for |= self.book.missing
            self._doubted = False
            self.connection.begin(self.resync())

    def _watch_soon(self) -> None:
        self._blank = False
        if self._watching is None:
            again = self._watch_again
            self._watching = asyncio.get_running_loop().call_later(
                RESUBSCRIBE_SECONDS, lambda: self.connection.begin(again())
            )

    async def _watch_again(self) -> None:
        self._watching = None
        for number, (request, line) in enumerate(list(self.board.lines.items())):
            if number and number % (LINES_AT_ONCE // 2) == 0:  # two messages each
                await asyncio.sleep(0.5)
            self.connection.require()
            self.connection.client.cancelMktData(request)
            self.board.lines.pop(request, None)
            self._subscribe(line.symbol)

    def _subscribe(self, symbol: str) -> None:
        client = self.connection.client
        if not self.board.lines:
            client.reqMarketDataType(MARKET_DATA[self.params.market_data])
        request = client.getReqId()
        self.board.add(request, symbol)
        client.reqMktData(request, self._contracts[symbol], "", False, False, [])

    def _pass_on(self) -> None:
        if self._public and self.book is not None:
            for change in self.book.take():
                self._updates.put(change)
