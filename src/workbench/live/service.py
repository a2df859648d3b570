"""The process that trades day by day: it waits for each session's moments, watches meanwhile, and finds its way back.

A lost connection is taken up again as the same client, and the account put in order before anything is sent. What ends
the process leaves orders at the broker and everything that was done in the journal.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Event

import pandas as pd

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import BrokerError, DataRefused, PackRefused
from workbench.live.broker import Broker
from workbench.live.desk import AccountDesk
from workbench.live.gate import Day, Hours
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Watch
from workbench.live.monitor import EVERY_SECONDS, Monitor, Snapshot
from workbench.live.operator import keep_limits
from workbench.live.reconcile import reconcile
from workbench.live.report import SessionReport
from workbench.live.runner import LATE, hear, run_session
from workbench.live.session import Data, Desk, Seat
from workbench.live.trading_state import TradingState
from workbench.params import LiveParams
from workbench.sessions import Calendar

EARLY = timedelta(minutes=10)  # before the first moment of a session the broker is connected
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 5.0


class Ended(Exception):
    """Somebody told the process to end."""


@dataclass
class Service:
    """One account, traded until told to end; ``seats`` is asked before every session: evidence is verified then."""

    live: LiveParams
    profile: str
    broker: Broker
    journal: Journal
    outbox: Outbox
    lease: Lease
    limits: Watch
    seats: Callable[[], tuple[Seat, ...]]
    data: Callable[[datetime], Data]
    newest: Callable[[datetime], date]
    stopping: Callable[[str], object]
    clock: Callable[[], datetime]
    calendar: Calendar = field(default_factory=Calendar)
    ending: Event = field(default_factory=Event)
    look_seconds: float = LOOK_SECONDS
    again_seconds: float = AGAIN_SECONDS
    seated: tuple[Seat, ...] = ()  # of the last session
    _desk: Desk | None = None
    _monitor: Monitor | None = None
    _ticked: float = 0.0
    _confirmed: int = 0
    _watched: tuple[date, Data] | None = None  # what the monitor looks at, read once a session

    def run(self, *, once: bool = False) -> Iterator[SessionReport]:
        """Give the report of each session as it is closed; ``once``: decide now, and end with this session's orders."""
        with suppress(Ended):
            while True:
                session = self.session(once=once)
                moments = (self.clock(),) if once else self.moments(session)
                self._idle(moments[0] - EARLY)
                yield self._trade(session, moments, once)
                if once:
                    return

    def session(self, *, once: bool) -> date:
        """Return the session that is on and not closed in the books, or the next one."""
        now, past = self.clock(), self.journal.book.past
        today = pd.Timestamp(now).tz_convert("America/New_York").date()
        done = past.closing is not None and past.closing.session >= today
        if self.calendar.is_session(today) and (once or not done) and now < self.calendar.closes(today):
            return today
        return self.calendar.next(today).date()

    def moments(self, session: date) -> tuple[datetime, ...]:
        """Return when a session's decisions are made."""
        opens, closes = self.calendar.opens(session), self.calendar.closes(session)
        first = opens + timedelta(minutes=self.live.decide_minutes)
        if self.live.every_minutes is None:
            return (first,)
        step = timedelta(minutes=self.live.every_minutes)
        return tuple(first + number * step for number in range(int((closes - first) / step) + 1) if
                     first + number * step < closes)  # fmt: skip

    def desk(self, session: date, moments: tuple[datetime, ...], *, once: bool) -> Desk:
        """Return the desk of a session, with the evidence of everybody at it verified now."""
        self.seated = self.seats()
        hours = Hours(self.calendar.opens(session), self.calendar.closes(session))
        ends = self.clock() if once else hours.closes + timedelta(minutes=self.live.close_minutes)
        return Desk(
            self.broker, self.journal, self.outbox, self.seated, session, hours, moments, self.data, self.newest,
            lambda: self.limits.limits, self.clock, self._wait, self._pause, self.live.patience_seconds, ends,
        )  # fmt: skip

    def _trade(self, session: date, moments: tuple[datetime, ...], once: bool) -> SessionReport:
        """Trade a session; where the broker is lost beyond what a reconnect mends, start again as after a crash."""
        while True:
            try:
                self.broker.connect()
                self._desk = self.desk(session, moments, once=once)
                self._monitor = Monitor(self._look, self.limits, self._account_desk(), self.clock)
                keep_limits(self.journal, self.limits.poll(), self.profile)
                return run_session(self._desk)
            except BrokerError as error:
                self.outbox.post(Severity.CRITICAL, "broker", " ".join(str(error).split()), cooldown="broker")
                if once or self.clock() > self.calendar.closes(session) + LATE:
                    raise
                self._idle(self.clock() + timedelta(seconds=self.again_seconds))
            except DataRefused as error:
                if once or not moments or self.journal.book.differences or isinstance(error, PackRefused):
                    raise
                # Tried again while it is not too late; then this session is watched, and nothing is decided.
                self.outbox.post(Severity.CRITICAL, "data", " ".join(str(error).split()), cooldown=f"data {session}")
                if self.clock() > moments[-1] + LATE:
                    moments = ()
                self._idle(self.clock() + timedelta(seconds=self.again_seconds))

    def _account_desk(self) -> AccountDesk:
        return AccountDesk(self.journal, self.outbox, self.stopping)

    def _idle(self, moment: datetime) -> None:
        """Wait without a broker."""
        while (left := (moment - self.clock()).total_seconds()) > 0:
            if self.ending.wait(min(left, EVERY_SECONDS)):
                raise Ended
            self.lease.renew()

    def _wait(self, moment: datetime) -> bool:
        """Wait for a moment with the broker: record what it tells, watch every minute, see what was confirmed."""
        while (left := (moment - self.clock()).total_seconds()) > 0:
            if self.ending.is_set():
                raise Ended
            assert self._desk is not None
            hear(self._desk, min(left, self.look_seconds))
            if time.monotonic() - self._ticked >= EVERY_SECONDS:
                self._ticked = time.monotonic()
                self.lease.renew()
                assert self._monitor is not None
                self._monitor.tick()
            if len(self.journal.sync().past.confirmed) > self._confirmed:
                self._confirmed = len(self.journal.book.past.confirmed)
                return True
        return False

    def _pause(self, seconds: float) -> None:
        if self.ending.wait(seconds):
            raise Ended

    def _look(self) -> Snapshot:
        """Return what the monitor judges, all of it asked now."""
        assert self._desk is not None
        desk, book = self._desk, self.journal.book
        told = reconcile(self.journal, self.broker, self.outbox)
        now, account = self.broker.now(), self.broker.account()
        if self._watched is None or self._watched[0] != self.newest(now):
            self._watched = self.newest(now), self.data(now)
        data = self._watched[1]
        positions = {one.symbol: one.quantity for one in self.broker.positions() if one.quantity}
        quotes = self.broker.quotes(sorted({*positions, *(symbol for seat in desk.seats for symbol in
                                                          seat.strategy.symbols)}))  # fmt: skip
        closes = data.bars.last_close().iloc[-1]
        moves = {
            name: quote.mid / float(closes[name]) - 1.0
            for name, quote in quotes.items()
            if quote.mid is not None and name in closes and closes[name] > 0
        }
        opened = book.past.equity_at_open or account.equity
        return Snapshot(
            now=now, trading=TradingState.HALTED if self.journal.halted else book.state, seen_at=now, account=account,
            day=Day(opened, account.equity - opened), peak_equity=max(book.past.peak_equity, account.equity),
            positions=positions, quotes=quotes, sectors=data.bars.sectors, moves=moves, reconciled_at=told.at,
            differences=tuple(one.text for one in told.unexplained),
            data_age_sessions=self.calendar.age(data.bars.index[-1], now), bad_rows=data.bad_rows, hours=desk.hours,
        )  # fmt: skip


def handle_signals(service: Service) -> None:
    """Let SIGTERM and Ctrl-C end the process between two steps, never within one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.ending.set())
