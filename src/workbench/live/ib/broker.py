"""The broker protocol over Interactive Brokers' gateway: synchronous, every wait bounded, nothing assumed.

    broker = IBBroker(settings.live)
    broker.connect()                      # the same client id, again and again until it is let in
    broker.place(order, broker.next_order_id(floor=journal.last_order_id + 1))

It never connects again by itself: after ``Disconnected`` the runner connects and reconciles before it sends anything.
"""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from ib_async import Contract

from workbench.errors import BrokerError, DataRefused, Disconnected, InputRefused, OrderRejected, Unanswered
from workbench.live.broker import Update, nothing
from workbench.live.ib.book import Book
from workbench.live.ib.connection import NotAllowed, code_in
from workbench.live.ib.ears import LINES_AT_ONCE, Ears
from workbench.live.ib.history import NEW_YORK, Candle, read_history
from workbench.live.ib.loop import LoopThread
from workbench.live.ib.quotes import Board
from workbench.live.ib.translation import ACCOUNT_TAGS, account_of, instrument_of, position_of, require_paper, stock
from workbench.live.ib.wire import LAST_ORDER
from workbench.params import LiveParams
from workbench.trading import Account, Fill, Instrument, Margin, Order, OrderStatus, Position, Quote, Working

_Result = TypeVar("_Result")
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between two tries to connect
NOT_FOUND, CANNOT_CANCEL = 10147, 10148


class IBBroker:
    """One account at Interactive Brokers through a gateway; ``client_id`` is the runner's, or the stop's own."""

    def __init__(self, params: LiveParams, client_id: int = 0) -> None:
        self.params = params
        self.client_id = client_id or params.client_id
        self.board = Board()
        self._book: Book | None = None
        self._ears: Ears | None = None
        self._loop: LoopThread | None = None
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._instruments: dict[str, tuple[Instrument, Contract]] = {}
        self._next_id = 0

    @property
    def account_id(self) -> str:
        """The account's name; known once connected."""
        return self._known_book().account

    @property
    def embedded(self) -> bool:
        """Never: a gateway is another program, and what it does is real to the broker."""
        return False

    @property
    def connected(self) -> bool:
        """Whether orders can be sent now: a socket, and a broker behind the gateway."""
        ears = self._ears
        return ears is not None and ears.connection.alive and not ears.connection.away

    def connect(self) -> None:
        """Connect as the same client, with back-off; then ask for what happened meanwhile.

        One that has lasted into another day is kept; what its last day left is forgotten, and the rest asked for.
        """
        if self.connected:
            if self.client_id != self.params.kill_client_id:
                self._run(self._new_day, 2 * self.params.answer_seconds)
            return
        if self._loop is None:
            self._loop = LoopThread(f"ib-{self.client_id}")
        self._loop.run(self._connect(), self.params.connect_seconds + 5 * self.params.answer_seconds)

    def close(self) -> None:
        """Disconnect and end the thread; orders stay where they are."""
        if self._loop is None:
            return
        if self._ears is not None:
            with suppress(BrokerError):
                self._loop.run(self._ears.connection.leave(), 5.0)
        self._loop.close()
        self._loop = self._ears = None

    def now(self) -> datetime:
        """Return the broker's own time."""
        return self._run(lambda ears: ears.now(), self.params.heartbeat_answer_seconds)

    def account(self) -> Account:
        """Return what the account is worth; a value that is missing is an error, never zero."""
        return self._run(self._account, 2 * self.params.answer_seconds)

    def positions(self) -> tuple[Position, ...]:
        """Return what is held on the account, trades by hand included."""
        return self._run(self._positions)

    def open_orders(self) -> tuple[Working, ...]:
        """Return every order of the account that may still fill."""
        return self._run(lambda ears: ears.open_orders())

    def completed_orders(self) -> tuple[Working, ...]:
        """Return today's orders that are done, with fills and ids joined from executions where the broker has none."""
        return self._run(self._completed, 2 * self.params.answer_seconds)

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        """Return today's executions since a moment, each as last corrected."""
        return self._run(lambda ears: self._fills(ears, since))

    def instrument(self, symbol: str) -> Instrument:
        """Return the one instrument of a symbol; it is remembered."""
        if symbol not in self._instruments:
            self._instruments[symbol] = self._run(lambda ears: self._look_up(ears, symbol))
        return self._instruments[symbol][0]

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the last prices; symbols seen for the first time are subscribed and waited for a moment.

        What the broker has no contract for has no price: one symbol that was struck off keeps no other from trading.
        """
        wanted = tuple(dict.fromkeys(symbols))
        for symbol in wanted:
            with suppress(OrderRejected):
                self.instrument(symbol)
        seconds = self.params.quote_seconds + len(wanted) / LINES_AT_ONCE + self.params.heartbeat_answer_seconds
        return self._run(lambda ears: self._quotes(ears, wanted), seconds)

    def history(self, symbol: str, duration: str = "30 D", size: str = "1 day") -> tuple[Candle, ...]:
        """Return past bars of trades in regular hours, oldest first; both words as the broker has them."""
        self.instrument(symbol)
        contract = self._instruments[symbol][1]
        seconds = self.params.history_seconds
        return self._run(lambda ears: read_history(ears.connection, contract, duration, size, seconds), seconds)

    def next_order_id(self, floor: int) -> int:
        """Return an id that no order has had; a gateway that forgot the last ones does not lower it."""
        found = max(self._run(lambda ears: ears.next_id()), floor, self._next_id)
        if found > LAST_ORDER:
            raise InputRefused(
                f"client {self.client_id}: its next order id is {found}, and {LAST_ORDER} is the last one used here; "
                "nothing is sent. Let the gateway count anew (Settings → API → Reset API order ID sequence), "
                "or give it another client id in params/base.yaml"
            )
        self._next_id = found + 1
        return found

    def what_if(self, order: Order) -> Margin:
        """Return what an order would change, by the broker's own rules."""
        self.instrument(order.symbol)
        order_id = self.next_order_id(1)  # a what-if uses up an id
        tool = self._instruments[order.symbol]
        return self._run(lambda ears: ears.desk.what_if(order, order_id, *tool), self.params.order_seconds)

    def make_room(self, orders: int) -> None:
        """Wait until so many orders fit into the pace that the gateway allows."""
        self._run(lambda ears: ears.connection.room(orders + 1))  # a bracket asks for the time as well

    def place(self, order: Order, order_id: int) -> Working:
        """Send an order and return it as acknowledged; ``Unanswered`` means that it may be there."""
        self.instrument(order.symbol)
        tool = self._instruments[order.symbol]
        self._next_id = max(self._next_id, order_id + 1)
        return self._run(lambda ears: ears.desk.place(order, order_id, *tool), self.params.order_seconds)

    def place_bracket(
        self, orders: Iterable[tuple[Order, int]], require: Callable[[], None] = nothing
    ) -> tuple[Working, ...]:
        """Send a parent and its children: none works before all are there, and none where ``require`` raises then."""
        family = tuple(orders)
        if not family or any(child.parent != family[0][0].key for child, _ in family[1:]):
            raise InputRefused("bracket: a parent first, then its children, each naming the parent's key")
        if len(family) == 1:
            return (self.place(*family[0]),)
        for order, order_id in family:
            self.instrument(order.symbol)
            self._next_id = max(self._next_id, order_id + 1)
        tools = [self._instruments[order.symbol] for order, _ in family]
        seconds = self.params.order_seconds * len(family) + self.params.heartbeat_answer_seconds
        return self._run(lambda ears: ears.desk.place_bracket(family, tools, require), seconds)

    def cancel(self, key: str) -> None:
        """Ask for the cancel of every living incarnation of an order."""
        self._run(lambda ears: self._cancel(ears, key), 2 * self.params.answer_seconds)

    def cancel_all(self) -> None:
        """Ask for the cancel of every order of the login, at once."""
        self._run(lambda ears: ears.cancel_all())

    def updates(self, timeout: float) -> tuple[Update, ...]:
        """Return what happened since the last call; ``Disconnected`` once all is told and the connection is gone."""
        found: list[Update] = []
        deadline = time.monotonic() + timeout
        while not found:
            left = deadline - time.monotonic()
            with suppress(queue.Empty):
                found.append(self._updates.get(timeout=min(max(left, 0.001), 0.1)))
            if not found and not self.connected:
                self._require().connection.require()
            if left <= 0:
                break
        with suppress(queue.Empty):
            while True:
                found.append(self._updates.get_nowait())
        return tuple(found)

    def cut(self) -> None:
        """Cut the socket without a word, as a network that fails does; orders stay where they are."""
        self._run(lambda ears: ears.cut())

    # In the loop's thread.

    async def _connect(self) -> None:
        deadline = time.monotonic() + self.params.connect_seconds
        wait = FIRST_WAIT
        if self._ears is not None and self._ears.connection.alive:
            await self._ears.connection.back_by(deadline)
            await self._ears.resync()
            return
        while True:
            try:
                await self._open()
                return
            except NotAllowed:
                raise
            except (Disconnected, Unanswered) as error:
                if time.monotonic() + wait > deadline:
                    raise Disconnected(
                        f"{error}; tried for {self.params.connect_seconds:g} s. Is the gateway up, its API port "
                        f"{self.params.port} open, and no other session on client id {self.client_id}? docs/live.md"
                    ) from error
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)

    async def _open(self) -> None:
        if self._ears is not None:
            await self._ears.connection.leave()
        self.board.clear()
        ears = Ears(self.params, self.client_id, self.board, self._updates)
        accounts = await ears.connection.open()
        try:
            account = require_paper(self.params.mode, self.params.account, accounts)
            if self._book is not None and self._book.account != account:
                raise Disconnected(f"the login manages {account} now, and it was {self._book.account}; start again")
            if self._book is None:
                self._book = Book(account, self.client_id, (self.params.client_id, self.params.kill_client_id))
            ears.attend(self._book)
            if self.client_id != self.params.kill_client_id:  # the stop asks only what it needs
                self._book.begin((await ears.now()).astimezone(NEW_YORK).date())
                await ears.resync()
        except DataRefused as error:
            await ears.connection.leave()
            raise Disconnected(str(error)) from error  # damaged once, it is whole the next time
        except BaseException:
            await ears.connection.leave()
            raise
        self._book.take()  # what happened before is asked for, not told
        while not self._updates.empty():
            self._updates.get_nowait()
        self._ears = ears
        ears.publish()

    async def _new_day(self, ears: Ears) -> None:
        if self._known_book().begin((await ears.now()).astimezone(NEW_YORK).date()):
            await ears.resync()

    async def _account(self, ears: Ears) -> Account:
        return account_of(self.account_id, await ears.summary(ACCOUNT_TAGS), await ears.now())

    async def _positions(self, ears: Ears) -> tuple[Position, ...]:
        held = await self._held(ears)
        # Parts of a share are told twice: a message that was damaged is not damaged again in the same place.
        return await self._held(ears) if any(one.part for one in held) else held

    async def _held(self, ears: Ears) -> tuple[Position, ...]:
        found: dict[int, Position] = {}
        for one in await ears.connection.ask_alone("reqPositions", ears.connection.ib.reqPositionsAsync):
            if one.account != self.account_id:
                continue
            found[one.contract.conId] = position_of(one)
        return tuple(one for one in found.values() if one.quantity or one.part)

    async def _completed(self, ears: Ears) -> tuple[Working, ...]:
        await ears.executions()
        return await ears.completed_orders()

    async def _fills(self, ears: Ears, since: datetime) -> tuple[Fill, ...]:
        fills = await ears.executions()
        return tuple(sorted((fill for fill in fills if fill.at >= since), key=lambda fill: fill.at))

    async def _look_up(self, ears: Ears, symbol: str) -> tuple[Instrument, Contract]:
        ib, wanted = ears.connection.ib, stock(symbol)
        try:
            found = await ears.connection.ask(f"contract {symbol}", lambda: ib.reqContractDetailsAsync(wanted))
        except (Disconnected, Unanswered):
            raise
        except BrokerError as error:
            text = f"{symbol}: the broker has no such contract ({error}); take it out of the universe"
            raise OrderRejected(text, code_in(error)) from error
        return instrument_of(symbol, found)

    async def _quotes(self, ears: Ears, symbols: tuple[str, ...]) -> dict[str, Quote]:
        ears.connection.require()
        known = self.board.known()
        new = [symbol for symbol in symbols if symbol not in known and symbol in self._instruments]
        await ears.watch({symbol: self._instruments[symbol][1] for symbol in new})
        while self.board.waits(symbols, self.params.quote_seconds):
            ears.connection.require()
            await asyncio.sleep(0.005)
        now = await ears.now()
        return {symbol: self.board.quote(symbol, now) for symbol in symbols}

    async def _cancel(self, ears: Ears, key: str) -> None:
        book = self._known_book()
        if not book.of_key(key):
            await ears.resync()
        known = book.of_key(key)
        if not known:
            text = f"cancel {key}: client {self.client_id} has no such order at the broker; reconcile"
            raise OrderRejected(text, NOT_FOUND)
        # One that is called inactive, which counts as rejected, may come alive again.
        living = {one.order_id for one in known if not one.status.terminal or one.status is OrderStatus.REJECTED}
        if not living:
            raise OrderRejected(f"cancel {key}: the broker has it as {known[-1].status}", CANNOT_CANCEL)
        for order_id in living:
            ears.desk.cancel_id(order_id)

    # Between the threads.

    def _require(self) -> Ears:
        if self._ears is None or self._loop is None:
            raise Disconnected(
                f"{self.params.host}:{self.params.port} as client {self.client_id}: not connected; connect first"
            )
        return self._ears

    def _known_book(self) -> Book:
        if self._book is None:
            self._require()
            raise Disconnected("the account is not known yet; connect first")
        return self._book

    def _run(self, work: Callable[[Ears], Awaitable[_Result]], seconds: float = 0.0) -> _Result:
        ears = self._require()
        assert self._loop is not None

        async def whole() -> _Result:
            return await work(ears)

        running: Coroutine[Any, Any, _Result] = whole()
        # The work has limits of its own; this one is for a loop that hangs.
        return self._loop.run(running, 2.0 + (seconds or self.params.answer_seconds) * 2)
