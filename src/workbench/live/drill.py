"""A drill on the user's own gateway: one order far from the market, the connection cut, found again, cancelled.

It goes the way of every order: journaled, asked of the gate, sent, recovered, reconciled. Each step is timed, and says
what was seen. Whatever happens on the way, what it placed is cancelled, and the broker asked until it is gone.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeVar

import pandas as pd

from workbench.alerts.outbox import Outbox
from workbench.errors import BrokerError, Disconnected, NoData, Unanswered, WorkbenchError
from workbench.live import dispatch
from workbench.live.broker import Broker
from workbench.live.gate import Asked, Day, GateState, Hours, Origin, decide
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.reconcile import reconcile
from workbench.live.recovery import recover
from workbench.live.trading_state import TradingState
from workbench.orders import round_to_tick
from workbench.sessions import Calendar
from workbench.trading import Order, OrderStatus, OrderType, Side, Working

DRILL = "paper-drill"  # the decision that its orders are of: an order of a drill that was killed is known by it
PAPER = "DU"
# How far below the market: nearer, where the gateway's own precautions refuse what is that far.
AWAY = (0.10, 0.05, 0.025)
TOO_FAR = (109, 163)
_Found = TypeVar("_Found")
LEAVE_SECONDS = 60.0
LOOK_SECONDS = 0.2
CANCEL_AGAIN_SECONDS = 2.0


class Bar(Protocol):
    """A bar of the past."""

    @property
    def close(self) -> float:
        """Its last price."""
        ...


class Gateway(Broker, Protocol):
    """A broker behind a gateway, whose connection can be cut."""

    def cut(self) -> None:
        """Cut the socket without a word."""
        ...

    def history(self, symbol: str, duration: str = ..., size: str = ...) -> Sequence[Bar]:
        """Return past bars, oldest first."""
        ...


@dataclass(frozen=True)
class Step:
    """One step: whether it went well, how long it took, and what was seen."""

    name: str
    ok: bool
    seconds: float
    text: str


@dataclass
class Steps:
    """The steps of a drill, told as they are done; the first that fails is raised."""

    tell: Callable[[Step], object] = lambda _: None
    done: list[Step] = field(default_factory=list)

    def take(self, name: str, work: Callable[[], str]) -> None:
        """Do one step, and time it."""
        began = time.monotonic()
        try:
            text = work()
        except (WorkbenchError, KeyboardInterrupt) as error:
            said = " ".join(str(error).split()) or "stopped by hand"
            self._keep(Step(name, False, time.monotonic() - began, said))
            raise
        self._keep(Step(name, True, time.monotonic() - began, text))

    def _keep(self, step: Step) -> None:
        self.done.append(step)
        self.tell(step)

    @property
    def passed(self) -> bool:
        """Whether every step went well."""
        return bool(self.done) and all(step.ok for step in self.done)


def require_paper_account(broker: Broker) -> str:
    """Connect, and return the account, which must be one of play money."""
    broker.connect()
    if not broker.account_id.startswith(PAPER):
        raise NoData(f"account {broker.account_id}: a drill is for paper accounts, which begin with {PAPER}")
    return f"account {broker.account_id}, the broker's time is {broker.now():%F %T}Z"


@dataclass
class Drill:
    """One drill on one account; nothing else may trade it meanwhile."""

    broker: Gateway
    journal: Journal
    outbox: Outbox
    limits: Limits
    steps: Steps
    symbol: str = "SPY"
    patience: float = 15.0  # until the broker shows an order, or that it is gone
    leave_seconds: float = LEAVE_SECONDS
    calendar: Calendar = field(default_factory=Calendar)
    _order: Order | None = None
    _price: float = 0.0
    _close: float = 0.0
    _held: int = 0
    _placed: Working | None = None
    _asked: float = -math.inf  # when a cancel was asked for

    def run(self) -> None:
        """Take every step; what fails is raised after the order is gone."""
        self.steps.take("put in order", self._put_in_order)
        self.steps.take("price", self._look)
        try:
            self.steps.take("gate and order", self._place)
            self.steps.take("at work", self._at_work)
            self.steps.take("cut", self._cut)
            self.steps.take("reconnect", self._reconnect)
            self.steps.take("found again", self._find)
            self.steps.take("cancel", self._cancel)
            self.steps.take("cancelled", self._cancelled)
        finally:
            if self._order is not None:
                with undisturbed():
                    self.steps.take("nothing left", self._leave)

    def _put_in_order(self) -> str:
        """Find out what became of every order, and take back what a drill that was killed left."""
        self._recover()
        left = [one.order.key for one in self.journal.book.open_orders if one.intent.asked.decision == DRILL]
        for key in left:
            self._until(partial(self._gone, key), f"order {key} of an earlier drill is still there")
        told = reconcile(self.journal, self.broker, self.outbox)
        locked = self.journal.book.locked.get(self.symbol)
        if locked:
            raise WorkbenchError(f"{self.symbol} is locked: {locked}; first: workbench reconcile {self.symbol}")
        self._held = self._position()
        earlier = f", {len(left)} orders of an earlier drill cancelled" if left else ""
        return f"{len(told.unexplained)} differences{earlier}, {self._held:+,} {self.symbol} held"

    def _look(self) -> str:
        quote = self.broker.quotes([self.symbol])[self.symbol]
        bars = self.broker.history(self.symbol, "10 D")
        if quote.mid is None or not bars:
            what = "price" if quote.mid is None else "past"
            raise NoData(
                f"{self.symbol}: the broker tells no {what}; drill while the market is open, with a subscription to "
                "its prices, or another symbol: --symbol"
            )
        self._price, self._close = quote.mid, bars[-1].close
        return f"{self.symbol} {self._price:,.2f}, last close {self._close:,.2f}"

    def _place(self) -> str:
        """Ask the gate and send one share, so far below the market that it does not fill."""
        for away in AWAY:
            tick = self.broker.instrument(self.symbol).tick
            limit = round_to_tick(self._price * (1.0 - away), tick, Side.BUY)
            order = Order(self.journal.next_key(), self.symbol, Side.BUY, 1, OrderType.LIMIT, limit=limit)
            asked = Asked(order, Origin.OPERATOR, decision=DRILL, planned=1)
            verdict = decide(asked, self._state(order))
            if not verdict.passes:
                raise WorkbenchError(f"the gate denies it: {verdict.reason}; nothing was sent")
            self._order = order
            (placed,) = dispatch.send(self.journal, self.broker, [asked])
            if placed.working is not None:
                self._placed = placed.working
                return (
                    f"BUY 1 {self.symbol} at {limit:,.2f}, {away:.1%} below, key {order.key}: {placed.working.status}"
                )
            if placed.code not in TOO_FAR:
                raise BrokerError(placed.text)
        raise BrokerError(f"{placed.text}; even {AWAY[-1]:.1%} below the market is too far for the gateway")

    def _at_work(self) -> str:
        found = self._until(self._seen, f"order {self._key} is not among the broker's open orders")
        return f"the broker shows it: {found.status}, number {found.order_id}, permanent id {found.permanent_id}"

    def _cut(self) -> str:
        """Cut the connection, and see that nothing can be asked then."""
        self.broker.cut()
        try:
            self.broker.now()
        except (Disconnected, Unanswered) as error:
            return str(error)
        raise BrokerError("the connection was cut, and the broker answers all the same")

    def _reconnect(self) -> str:
        self.broker.connect()
        return f"as the same client, the broker's time is {self.broker.now():%T}Z"

    def _find(self) -> str:
        """Recover and reconcile as after a crash: the order is known by its key, and is the same one."""
        self._recover()
        told = reconcile(self.journal, self.broker, self.outbox)
        found, before = self._seen(), self._placed
        if found is None or before is None:
            raise BrokerError(f"order {self._key} is not at the broker any more")
        if before.permanent_id and found.permanent_id != before.permanent_id:
            raise BrokerError(
                f"order {self._key} has permanent id {found.permanent_id}, it was {before.permanent_id}: there are two"
            )
        ours = [one.text for one in told.unexplained if one.symbol == self.symbol]
        if ours:
            raise BrokerError(f"the books and the broker differ: {ours[0]}")
        return f"key {self._key} is number {found.order_id} again, and the books agree on {self.symbol}"

    def _cancel(self) -> str:
        self._asked = time.monotonic()
        dispatch.cancel(self.journal, self.broker, self._key, DRILL)
        return "asked for"

    def _cancelled(self) -> str:
        """Wait for the broker's own word: not open any more, cancelled among those that are done, nothing filled."""
        ended = self._until(self._ended, f"the broker does not say that order {self._key} is cancelled")
        self._recover()
        status = self.journal.book.orders[self._key].status
        if (ended.status, ended.filled, status) != (OrderStatus.CANCELLED, 0, OrderStatus.CANCELLED):
            raise BrokerError(f"order {self._key} is {ended.status}, {ended.filled} filled; the journal has {status}")
        return "the broker says so, and the journal"

    def _leave(self) -> str:
        """Cancel what the drill placed until the broker has nothing of it."""
        key = self._key
        self._until(
            lambda: self._gone(key), f"order {key} may still work at the broker: cancel it there", self.leave_seconds,
            stubborn=True,
        )  # fmt: skip
        bought = sum(fill.signed for fill in self.journal.book.of_order(key))
        if bought:
            raise BrokerError(f"{bought:+} {self.symbol} was filled: sell it at the broker, then: workbench reconcile")
        if (held := self._position()) != self._held:
            raise BrokerError(f"{held:+,} {self.symbol} held, before the drill {self._held:+,}: workbench reconcile")
        return f"no order of the drill at the broker, {held:+,} {self.symbol} held as before"

    @property
    def _key(self) -> str:
        return self._order.key if self._order else ""

    def _seen(self) -> Working | None:
        return next((one for one in self.broker.open_orders() if one.order.key == self._key and one.remaining), None)

    def _ended(self) -> Working | None:
        if self._seen() is not None:
            return None
        return next((one for one in self.broker.completed_orders() if one.order.key == self._key), None)

    def _gone(self, key: str) -> bool:
        """Whether the broker has nothing of an order any more; else its cancel is asked for, connected again before."""
        with suppress(BrokerError):
            self.broker.now()
        self.broker.connect()
        tracked = self.journal.book.orders.get(key)
        if tracked is None:  # not even an intent: nothing of it left
            return True
        if any(one.order.key == key for one in self.broker.open_orders()):
            if time.monotonic() - self._asked > CANCEL_AGAIN_SECONDS:
                self._asked = time.monotonic()
                dispatch.cancel(self.journal, self.broker, key, DRILL)
            return False
        self._recover()
        return self.journal.book.orders[key].status.terminal

    def _recover(self) -> None:
        """Bring the journal to what the broker knows; nothing is sent again, whosever it is."""
        dispatch.record(self.journal, self.outbox, self.broker.updates(0.0))
        recover(self.journal, self.broker, self.outbox, permit=lambda _: "a drill sends nothing again")

    def _position(self) -> int:
        return sum(one.quantity for one in self.broker.positions() if one.symbol == self.symbol)

    def _state(self, order: Order) -> GateState:
        """Return what the gate looks at: the order by itself; what else the account holds is not the drill's doing."""
        broker, symbol = self.broker, self.symbol
        now, account = broker.now(), broker.account()
        today = pd.Timestamp(now).tz_convert("America/New_York").date()
        session = today if self.calendar.is_session(today) else self.calendar.next(today).date()
        halted = self.journal.halted
        return GateState(
            now=now, limits=self.limits, trading=TradingState.HALTED if halted else self.journal.book.state,
            halted_because=halted, reconciled=True, connected=True, verified={},
            whitelist=frozenset({symbol}), instruments={symbol: broker.instrument(symbol)},
            hours=Hours(self.calendar.opens(session), self.calendar.closes(session)), quotes=broker.quotes([symbol]),
            closes={symbol: self._close}, account=account, positions={}, open_orders=(), books={},
            sectors={symbol: DRILL}, returns={}, day=Day(account.equity, 0.0), sent=(), fills=(), worked={},
            what_if=broker.what_if(order),
        )  # fmt: skip

    def _until(
        self, look: Callable[[], _Found | None], otherwise: str, seconds: float = 0.0, *, stubborn: bool = False
    ) -> _Found:
        """Look until something is found; a ``stubborn`` look is not ended by an error, but by the time."""
        seconds = seconds or self.patience
        end, trouble = time.monotonic() + seconds, ""
        while True:
            try:
                if found := look():
                    return found
            except WorkbenchError as error:
                if not stubborn:
                    raise
                trouble = f" ({' '.join(str(error).split())})"
            if time.monotonic() > end:
                raise Unanswered(f"{otherwise}, after {seconds:.0f} s{trouble}")
            time.sleep(LOOK_SECONDS)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let neither Ctrl-C nor SIGTERM end what must be finished; in the main thread, where signals arrive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
