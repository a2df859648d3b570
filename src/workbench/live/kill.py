"""The emergency stop: halt, cancel everything, close everything, and look at the broker until it is so.

It needs no runner and no lease: it works from a process, a connection and a client id of its own. Halting is a file on
disk before anything else happens; the journal is written beside it, and where it does not answer, nothing waits for it.

1. halt: no order begins to be sent                     4. close what two looks say is held
2. cancel all, within a second                          5. flat twice in a row: done; else go on until the time is up
3. write down, halt and fence off the runner            6. tell a person; only a person resumes

What fails for one symbol keeps no other from being closed. Parts of a share cannot be sold here: they are named, and
the account is not called flat.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import BrokerError, CannotWrite, Disconnected, InputRefused, OrderRejected, WorkbenchError
from workbench.live.broker import Broker
from workbench.live.emergency import Record
from workbench.live.gate import Asked, GateState, Origin, check
from workbench.live.halt import HaltFile
from workbench.live.limits import Limits
from workbench.params import Paths, Settings
from workbench.trading import Order, Side, Working

TIMEOUT_SECONDS = 60.0
LOOK_SECONDS = 0.5
FLAT_LOOKS = 2
STALE_LOOKS = 4  # after so many looks that agree, positions are believed even if fills say otherwise
MOST_TRIES = 5  # closing orders for one symbol


class Log(Protocol):
    """Where the stop writes down what it does."""

    def halt(self, reason: str, who: str) -> None:
        """Halt, durably, before this returns."""
        ...

    def key(self) -> str:
        """Return a key that no order has had."""
        ...

    def intend(self, asked: Asked, order_id: int) -> int:
        """Write an order down before it is sent, and return its number."""
        ...

    def note(self, facts: Mapping[str, Any]) -> None:
        """Write down what happened."""
        ...


@dataclass(frozen=True)
class Stopped:
    """What the stop reached: ``flat`` only where the broker said twice that nothing is held and nothing is open."""

    flat: bool
    positions: Mapping[str, float]
    open_orders: tuple[str, ...]
    closing_orders: int
    seconds: float
    troubles: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.flat:
            return f"flat: no position and no open order at the broker, {self.closing_orders} closing orders"
        held = ", ".join(f"{symbol} {shares:+.12g}" for symbol, shares in self.positions.items()) or "none seen"
        return (
            f"NOT FLAT after {self.seconds:.0f} s: positions {held}; {len(self.open_orders)} open orders; look into "
            f"the broker's own terminal, then: make flatten. {'; '.join(self.troubles[-3:])}"
        ).rstrip()


@dataclass
class Stop:
    """One emergency stop of one account."""

    broker: Broker
    log: Log
    alert: Callable[[str], object]
    timeout: float = TIMEOUT_SECONDS
    look_every: float = LOOK_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _closing: dict[str, _Closing] = field(default_factory=dict)
    _before: Mapping[str, int] = field(default_factory=dict)  # positions at the look before
    _troubles: list[str] = field(default_factory=list)

    def run(self, reason: str, who: str, *, close: bool = True) -> Stopped:
        """Stop and return what was reached; a full disk or a silent journal keeps nothing from being closed."""
        _require(reason, who)
        started = self.clock()
        self._written(lambda: self.log.halt(reason, who))
        stopped = self._until_flat(started, close)
        facts = {"emergency": "stopped", "reason": reason, "who": who, "flat": stopped.flat, "text": str(stopped)}
        self._written(lambda: self.log.note(facts))
        self._written(lambda: self.alert(f"{reason} ({who}): {stopped}"))
        return replace(stopped, troubles=tuple(self._troubles))

    def _until_flat(self, started: float, close: bool) -> Stopped:
        done, cancelled, look = 0, False, _Look({}, {}, ())
        while True:
            try:
                if not cancelled:
                    self._connect()
                    self.broker.cancel_all()
                    cancelled = True
                look = self._look()
                done = done + 1 if look.done(close) else 0
                if done >= FLAT_LOOKS:
                    return self._stopped(not (close and look.parts), look, started)
                if self._strangers(look):
                    self.broker.cancel_all()  # sent by the runner while the halt was on its way, or by hand
                elif close:
                    self._close(look)
                self._before = look.positions
            except Exception as error:  # noqa: BLE001 (whatever fails, the next look may not)
                done, cancelled = 0, False
                self._trouble(_said(error))
            if self.clock() - started >= self.timeout:
                return self._stopped(False, look, started)
            self.sleep(self.look_every)

    def _connect(self) -> None:
        try:
            self.broker.now()
        except BrokerError:
            self.broker.connect()

    def _look(self) -> _Look:
        orders = tuple(one for one in self.broker.open_orders() if one.remaining > 0)
        held = self.broker.positions()
        parts = {one.symbol: one.part for one in held if one.part}
        for symbol, part in parts.items():
            left = f"{part:+g} shares are left" if math.isfinite(part) else "what is held of it cannot be read"
            self._trouble(f"{symbol}: {left}; only whole shares can be closed here")
        return _Look({one.symbol: one.quantity for one in held if one.quantity}, parts, orders)

    def _strangers(self, look: _Look) -> bool:
        ours = {closing.key for closing in self._closing.values()}
        return any(one.order.key not in ours for one in look.orders)

    def _close(self, look: _Look) -> None:
        for symbol, held in look.positions.items():
            if any(one.order.symbol == symbol for one in look.orders):
                continue  # our own order is at work
            try:
                before = self._closing.get(symbol)
                if before is not None and self._ready(before, held):
                    self._send(symbol, held, look, before.tries + 1)
                elif before is None and self._before.get(symbol) == held:  # what filled during the cancel has shown
                    self._send(symbol, held, look, 1)
            except Disconnected:
                raise
            except Exception as error:  # noqa: BLE001 (whatever fails for one symbol, the others are closed)
                self._trouble(f"{symbol}: {_said(error)}")

    def _ready(self, before: _Closing, held: int) -> bool:
        """Whether a position may be acted upon again: it shows what the last order did, or has stood still."""
        if before.tries >= MOST_TRIES:
            self._trouble(f"{before.symbol}: {MOST_TRIES} closing orders did not close it")
            return False
        if before.pause > 0:
            before.pause -= 1
            return False
        filled = sum(fill.signed for fill in self.broker.fills(before.at) if fill.key == before.key)
        before.looks = before.looks + 1 if held == before.seen else 1
        before.seen = held
        return held == before.held + filled or before.looks >= STALE_LOOKS

    def _send(self, symbol: str, held: int, look: _Look, tries: int) -> None:
        """Send an order that closes a position; whatever fails before it leaves is no try."""
        self.broker.instrument(symbol)
        self.broker.make_room(1)
        order = Order(self.log.key(), symbol, Side.of(-held), abs(held))
        asked = Asked(order, Origin.EMERGENCY)
        now = self.broker.now()
        state = GateState(now, Limits(), connected=True, positions=look.positions, open_orders=look.orders)
        if denial := check(asked, state):
            self._trouble(f"{symbol}: {denial}")
            return
        order_id = self.broker.next_order_id(1)
        try:
            order_id = self.log.intend(asked, order_id)
        except WorkbenchError as error:  # its key is at the broker; to hold what should be closed is worse
            self._troubles.append(f"{order.key}: sent without a record ({error})")
        closing = self._closing[symbol] = _Closing(symbol, order.key, held, now, tries, held)
        try:
            self.broker.place(order, order_id)
        except (Disconnected, InputRefused) as error:  # it did not leave
            closing.tries -= 1
            self._trouble(f"{symbol}: {error}")
        except OrderRejected as error:  # what is refused now may be taken later
            closing.pause = 2**tries
            self._trouble(f"{symbol}: {error}")
        except BrokerError as error:  # unanswered: it may be there, the next look tells
            self._trouble(f"{symbol}: {error}")

    def _stopped(self, flat: bool, look: _Look, started: float) -> Stopped:
        keys = tuple(one.order.key or f"#{one.order_id} (not ours)" for one in look.orders)
        count = sum(closing.tries for closing in self._closing.values())
        held = {symbol: look.positions.get(symbol, 0) + part for symbol, part in look.parts.items()}
        return Stopped(flat, {**look.positions, **held}, keys, count, self.clock() - started, tuple(self._troubles))

    def _trouble(self, text: str) -> None:
        if text not in self._troubles:
            self._troubles.append(text)
            self._written(lambda: self.log.note({"emergency": "trouble", "text": text}))

    def _written(self, write: Callable[[], object]) -> None:
        try:
            write()
        except WorkbenchError as error:
            if str(error) not in self._troubles:
                self._troubles.append(str(error))


@dataclass(frozen=True)
class _Look:
    positions: Mapping[str, int]
    parts: Mapping[str, float]  # of a share
    orders: tuple[Working, ...]

    def done(self, close: bool) -> bool:
        """Whether nothing is left that can be closed."""
        return not self.orders and not (close and self.positions)


@dataclass
class _Closing:
    """The last closing order of a symbol, the position it was made for, and how long another one has been seen."""

    symbol: str
    key: str
    held: int
    at: datetime
    tries: int
    seen: int
    looks: int = 0
    pause: int = 0  # looks until it is tried again


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"


def emergency_stop(
    settings: Settings,
    paths: Paths,
    broker: Broker,
    *,
    reason: str,
    who: str,
    close: bool = True,
    timeout: float = TIMEOUT_SECONDS,
    account: str = "",
) -> Stopped:
    """Stop the account behind a connection that nothing else uses, journaled and told as far as anything answers.

    A runner knows its ``account`` though the settings do not name it: that is halted by itself as well, so that the
    halt outlasts a broker that is away with what it was for.
    """
    _require(reason, who)
    mine, account = account, settings.live.account or (broker.account_id if broker.embedded else "")
    if not account:  # only the broker knows it: every account is halted until it is asked
        every, halt = HaltFile(paths), (reason, who, datetime.now(UTC))
        before: str | None = ""  # what cannot be read halts, also when it is put back
        with suppress(CannotWrite):
            before = every.text
        with suppress(CannotWrite):
            every.write(*halt)
        if mine:
            with suppress(CannotWrite):
                HaltFile(paths, mine).write(*halt)
        try:
            broker.connect()
        except WorkbenchError as error:
            text = f"every account is halted, but the broker cannot be reached: {error}; close by its own terminal"
            with suppress(WorkbenchError):
                Outbox.open(settings, paths).post(Severity.CRITICAL, "emergency_stop", text)
            raise Disconnected(text) from error
        account = broker.account_id
        with suppress(CannotWrite):
            HaltFile(paths, account).write(*halt)
            every.withdraw(*halt, before)
    record = Record(settings, paths, account)

    def tell(text: str) -> None:
        Outbox.open(settings, paths).post(Severity.CRITICAL, "emergency_stop", " ".join(text.split()))

    try:
        return Stop(broker, record, tell, timeout).run(reason, who, close=close)
    finally:
        record.close()


def _require(reason: str, who: str) -> None:
    if not reason.strip() or not who.strip():
        raise InputRefused('kill: say why and who: make kill REASON="…"')
