"""One connection's life: opened, listened to, kept honest by a heartbeat, and dropped when in doubt.

Everything here runs in the connection's own event loop. A connection that was dropped never comes back; the next one
is another object with the same client id.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

from ib_async.wrapper import RequestError

from workbench.errors import BrokerError, Disconnected, Unanswered, WorkbenchError
from workbench.live.codes import CodeClass, code_of
from workbench.live.ib.wire import FIRST_REQUEST, Gateway, Listener
from workbench.params import LiveParams

_Answer = TypeVar("_Answer")
logger = logging.getLogger(__name__)


def code_in(error: BaseException) -> int:
    """Return the broker's number behind an error of a request, 0 where it gave none."""
    return error.__cause__.code if isinstance(error.__cause__, RequestError) else 0


class ClientIdInUse(Disconnected):
    """Another session has the client id, or one has died so lately that it still counts."""


class NotAllowed(BrokerError):
    """The gateway says that this connection can never be."""


class Connection:
    """One socket with its client id."""

    def __init__(self, params: LiveParams, client_id: int, listener: Listener) -> None:
        self.params, self.client_id = params, client_id
        self.ib = Gateway(listener, params.answer_seconds)
        self.client: Any = self.ib.client  # ib_async's own is not typed
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.away = ""  # why the gateway has no broker behind it, as long as it has none
        self._why = ""
        self._fate = CodeClass.UNKNOWN  # of the code that ended it
        self._alone: dict[str, asyncio.Lock] = {}
        self._beating: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.client.conn.disconnected += self._on_closed

    @property
    def alive(self) -> bool:
        """Whether there is a socket that can be used."""
        return not self.closed.done() and bool(self.client.isReady())

    async def open(self) -> list[str]:
        """Connect once and return the accounts; every way to fail is an error.

        What ``IB.connectAsync`` asks at the start, and by default ignores if it stays unanswered, the broker asks
        itself, with an error for each answer that is missing. The emergency stop must get in without any of them.
        """
        params = self.params
        self.ib.wrapper.clientId = self.client_id
        connecting = asyncio.ensure_future(
            self.client.connectAsync(params.host, params.port, self.client_id, params.answer_seconds)
        )
        waiting: set[asyncio.Future[Any]] = {connecting, self.closed}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise self._refusal(self.closed.result())
            await connecting
        except (OSError, TimeoutError) as error:  # ConnectionError is an OSError
            raise self._refusal(str(error) or "no greeting in time") from error
        finally:
            if not connecting.done() or connecting.cancelled() or connecting.exception() is not None:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
                self.drop("it was never whole")
        self.client.updateReqId(FIRST_REQUEST)
        self._beating = asyncio.ensure_future(self._beat())
        return list(self.client.getAccounts())

    def drop(self, why: str) -> None:
        """Cut the socket now, without waiting for the other side."""
        self._why = self._why or why
        transport = self.client.conn.transport
        if transport is not None:
            transport.abort()
        elif not self.closed.done():
            self.closed.set_result(why)
        if self._beating is not None and self._beating is not asyncio.current_task(self.closed.get_loop()):
            self._beating.cancel()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something run beside; what the broker does not answer is told in the log."""

        async def whole() -> None:
            try:
                await work
            except WorkbenchError as error:
                logger.warning("%s", error)

        task = asyncio.ensure_future(whole())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def back_by(self, deadline: float) -> None:
        """Wait for the gateway to have its broker back: a new socket would hide that it has none."""
        while self.away and self.alive:
            if monotonic() > deadline:
                self.drop(self.away)  # perhaps its word of being back was lost: the next one is a new socket
                break
            await asyncio.sleep(0.02)
        self.require()

    async def leave(self) -> None:
        """Close in order, and wait until the socket is gone."""
        if self._beating is not None:
            self._beating.cancel()
        self._why = self._why or "closed"
        transport = self.client.conn.transport
        if transport is not None:
            transport.close()
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.closed), 1.0)
        self.drop("closed")

    def noticed(self, number: int, text: str) -> None:
        """Take what a notice says about the connection itself."""
        kind = code_of(number).kind
        if kind is CodeClass.LOST:
            self.away = f"{number} {text}"
        elif kind in (CodeClass.BACK, CodeClass.BACK_EMPTY):
            self.away = ""
        elif kind in (CodeClass.IN_USE, CodeClass.FATAL, CodeClass.RESET):
            self._why, self._fate = f"{number} {text}", kind
            self.drop(self._why)

    def require(self) -> None:
        """Raise where nothing may be asked: no socket, or nothing behind it."""
        if not self.alive:
            raise Disconnected(f"{self.name}: {self._why or 'not connected'}; connect again, then reconcile")
        if self.away:
            raise Disconnected(f"{self.name}: {self.away}; wait until the gateway has the broker back")

    @property
    def name(self) -> str:
        """Where it goes to."""
        return f"{self.params.host}:{self.params.port} as client {self.client_id}"

    async def ask(self, what: str, start: Callable[[], Awaitable[_Answer]], seconds: float = 0.0) -> _Answer:
        """Send a request that has a number, and return its answer."""
        self.require()
        return await self._answer(what, start, seconds or self.params.answer_seconds)

    async def ask_alone(self, what: str, start: Callable[[], Awaitable[_Answer]], seconds: float = 0.0) -> _Answer:
        """Send a request whose answer names no number, one at a time.

        ib_async would end the second question with a late answer to the first: no answer in time ends the connection.
        """
        self.require()
        return await self._alone_answer(what, start, seconds or self.params.answer_seconds)

    async def time(self) -> datetime:
        """Return the gateway's time; it answers also while it has no broker behind it."""
        seconds = self.params.heartbeat_answer_seconds

        def start() -> Awaitable[datetime]:
            future: asyncio.Future[datetime] = self.ib.wrapper.startReq("currentTime")
            self.send_now(49, 1)
            return future

        at = await self._alone_answer("reqCurrentTime", start, seconds)
        return at.astimezone(UTC)

    def send_now(self, *fields: object) -> None:
        """Send a message past the queue in which ib_async holds back what is more than 45 a second."""
        text = "".join(f"{field}\0" for field in fields)
        self.client.conn.sendMsg(self.client._prefix(text.encode()))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let what is sent within pass that queue too: an order leaves while a halt is held off, not from a queue."""
        client = self.client
        waiting, pace = tuple(client._msgQ), client.MaxRequests
        client._msgQ.clear()
        client.MaxRequests = 0
        try:
            yield
        finally:
            client.MaxRequests = pace
            client._msgQ.extend(waiting)

    async def room(self, messages: int) -> None:
        """Wait until so many messages may be sent at once without being faster than that."""
        client, clock = self.client, asyncio.get_running_loop().time
        while True:
            self.require()
            lately = sum(at > clock() - client.RequestsInterval for at in client._timeQ) + len(client._msgQ)
            if lately + messages <= client.MaxRequests or not lately:
                return
            await asyncio.sleep(0.01)

    async def _alone_answer(self, what: str, start: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
        async with self._alone.setdefault(what, asyncio.Lock()):
            try:
                return await self._answer(what, start, seconds)
            except Unanswered:
                self.drop(f"{what} was not answered within {seconds:g} s")
                raise

    async def _answer(self, what: str, start: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
        try:
            return await asyncio.wait_for(start(), seconds)
        except TimeoutError as error:
            raise Unanswered(f"{self.name}: {what} was not answered within {seconds:g} s; ask again") from error
        except ConnectionError as error:
            raise Disconnected(f"{self.name}: {self._why or error}; connect again, then reconcile") from error
        except RequestError as error:
            raise BrokerError(f"{what}: {error.code} {' '.join(error.message.split())}") from error

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self.params.heartbeat_seconds)
            try:
                await self.time()
            except BrokerError as error:
                logger.warning("heartbeat: %s", error)
                return  # it has dropped the connection

    def _on_closed(self, message: str) -> None:
        self._why = self._why or message or "the gateway closed the connection"
        if not self.closed.done():
            self.closed.set_result(self._why)
        if self._beating is not None:
            self._beating.cancel()

    def _refusal(self, why: str) -> BrokerError:
        said = self._why or why
        if self._fate is CodeClass.IN_USE:
            return ClientIdInUse(f"{self.name}: {said}")
        if self._fate is CodeClass.FATAL:
            return NotAllowed(f"{self.name}: {said}; see docs/live.md")
        return Disconnected(f"{self.name}: {said}")
