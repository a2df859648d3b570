"""The process that trades day by day: it waits for each session's moments, watches meanwhile, and finds its way back.

A lost connection is taken up again as the same client, and the account put in order before anything is sent. Whatever
fails is told, written down and tried again, and meanwhile the account is watched: positions that nobody watches are
worse than a session that nobody trades. What ends the process leaves orders at the broker and everything that was done
in the journal.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from threading import Event

import pandas as pd

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import (
    AccountDiffers,
    AlreadyRunning,
    BrokerError,
    DataRefused,
    PackRefused,
    WorkbenchError,
)
from workbench.live import protection
from workbench.live.broker import Broker
from workbench.live.desk import AccountDesk
from workbench.live.gate import Hours
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Limits, Reading, Watch, changed
from workbench.live.memory import give_back
from workbench.live.monitor import EVERY_SECONDS, Monitor, Snapshot
from workbench.live.operator import keep_limits
from workbench.live.protection import Protection
from workbench.live.report import SessionReport
from workbench.live.runner import LATE, begin, guard, hear, leave, run_session
from workbench.live.session import Data, Desk, Seat
from workbench.live.sight import Sight
from workbench.live.turns import BRIEF_SECONDS
from workbench.params import LiveParams
from workbench.sessions import Calendar

EARLY = timedelta(minutes=10)  # before the first moment of a session the broker is connected
LOOK_SECONDS = 1.0
AGAIN_SECONDS, LONGEST_SECONDS = 5.0, 60.0  # between two tries after a trouble; it doubles
IDLE_SECONDS = 5.0
logger = logging.getLogger(__name__)
# What a trouble is called in the alerts, the narrower first.
TROUBLES: tuple[tuple[type[Exception], str], ...] = (
    (PackRefused, "evidence"),
    (AccountDiffers, "reconcile"),
    (DataRefused, "data"),
    (BrokerError, "broker"),
    (WorkbenchError, "trouble"),
    (Exception, "fault"),
)


class Ended(Exception):
    """Somebody told the process to end."""


@dataclass
class Service:
    """One account, traded until told to end; ``seats`` is asked before every session: evidence is verified then.

    ``keep`` is given the report of every session that was closed.
    """

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
    keep: Callable[[SessionReport], object] = lambda _: None
    refused: Exception | None = None  # why nobody could be seated as it was started: what is held is watched
    _sat: tuple[Seat, ...] = ()  # everybody who sat at the desk of the last session at which anybody did
    _sat_in: date | None = None
    _desk: Desk | None = None
    _monitor: Monitor | None = None
    _ticked: float = 0.0
    _confirmed: int = 0
    _kept: Limits | None = None  # as they are in the journal
    # What could not be put back, the symbols that were locked, and when it is tried again.
    _lacked: tuple[tuple[Protection, ...], frozenset[str], frozenset[str]] = ((), frozenset(), frozenset())
    _again: datetime | None = None
    _sight: Sight = field(init=False)

    def __post_init__(self) -> None:
        self._sight = Sight(self.calendar)

    def run(self, *, once: bool = False) -> Iterator[SessionReport]:
        """Give the report of each session as it is closed; ``once``: decide now, and end with this session's orders."""
        try:
            if self.refused is not None:
                self._tell("trouble", f"{_line(self.refused)}{self._not_kept_up()}", "refused at the start")
            while True:
                session = self.session(once=once)
                self._tell_unclosed(session)
                moments = (self.clock(),) if once else self.moments(session)
                self._idle(min(moments, default=self.calendar.opens(session)) - EARLY)
                report = self._trade(session, moments, once)
                if report is not None:
                    self._keep(report)
                    give_back()
                    yield report
                if once:
                    return
        except Ended:
            return
        except Exception as error:
            self._tell("ended", f"nobody trades or watches {self.journal.account} any more: {_line(error)}", "ended")
            raise

    def session(self, *, once: bool) -> date:
        """Return the session that is on and not closed in the books, or the next one."""
        now, past = self.clock(), self.journal.book.past
        today = pd.Timestamp(now).tz_convert("America/New_York").date()
        done = past.closing is not None and past.closing.session >= today
        if self.calendar.is_session(today) and (once or not done):
            begun = past.session == today and not once  # by who died before its books were closed
            if now < self.calendar.closes(today) + (LATE if begun else timedelta()):
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

    def desk(
        self, session: date, moments: tuple[datetime, ...], *, once: bool, seats: tuple[Seat, ...] | None = None
    ) -> Desk:
        """Return the desk of a session; without ``seats``, with the evidence of everybody at it verified now."""
        self.seated = seats = self.seats() if seats is None else seats
        if seats:
            names = {seat.name for seat in seats}
            left = [seat for seat in self._sat if self._sat_in == session and seat.name not in names]
            self._sat, self._sat_in = (*seats, *left), session
        hours = Hours(self.calendar.opens(session), self.calendar.closes(session))
        ends = self.clock() if once else hours.closes + timedelta(minutes=self.live.close_minutes)
        return Desk(
            self.broker, self.journal, self.outbox, seats, session, hours, moments, self.data, self.newest,
            lambda: self.limits.limits, self.clock, self._wait, self._pause, self.live.patience_seconds, ends,
            watch=self._each_minute,
        )  # fmt: skip

    def sat(self, report: SessionReport) -> tuple[Seat, ...]:
        """Return whose session a report is: who sat at the desk then, also where nobody did any more at its end."""
        names = {one.strategy for one in report.results}
        return tuple(seat for seat in self._sat if seat.name in names)

    def _trade(self, session: date, moments: tuple[datetime, ...], once: bool) -> SessionReport | None:
        """Trade a session; what fails is told and begun again as after a crash, until there is nothing left to trade.

        Only a lease that is lost ends it: then somebody else trades. Evidence that does not verify, and an error that
        has no name, end the deciding of this session, not the watching. Where it cannot be told who trades, it is asked
        again, and the account watched meanwhile.
        """
        seats, known = None, True  # whether it could be told who trades
        pause, over = self.again_seconds, self.calendar.closes(session) + LATE
        while True:
            deciding: Desk | None = None
            try:
                self._confirmed = 0  # what was confirmed and not sent yet is looked at again
                self.broker.connect()
                if seats is None and not known and self._monitor is None:
                    self._desk = self.desk(session, (), once=once, seats=())
                    begin(self._desk)  # the day's loss is counted from here
                    self._watch()
                known = False
                self._desk = deciding = self.desk(session, moments, once=once, seats=seats)
                known = True
                self._watch()
                self._begin_limits(self._account_desk())
                found = run_session(self._desk)
                self._monitor = None
                return found
            except (Ended, AlreadyRunning):
                raise
            except Exception as error:
                kind = next(name for of, name in TROUBLES if isinstance(error, of))
                nobody = isinstance(error, PackRefused) or not isinstance(error, WorkbenchError)
                if not once:
                    bare = self._not_kept_up() if nobody or not known else ""
                    self._tell(kind, _line(error) + bare, f"{kind} {type(error).__name__} {session}")
                if deciding is not None and kind == "fault":
                    self._leave(deciding)
                if once:
                    raise
                if nobody:
                    moments, seats = (), ()  # nobody sits there: nothing is decided, nor sent
                if self.clock() > over:
                    self._tell(kind, *_not_closed(session))
                    self._monitor = None
                    return None
            self._idle(self.clock() + timedelta(seconds=pause))
            pause = min(2 * pause, LONGEST_SECONDS)
            moments = tuple(one for one in moments if self.clock() - one <= LATE) or moments[-1:]

    def _watch(self) -> None:
        """See that somebody watches: one monitor a session, for what it saw, and since when, outlasts every new try."""
        if self._monitor is None:
            self._monitor = Monitor(self._look, self.limits, self._account_desk(), self.clock)

    def _leave(self, desk: Desk) -> None:
        """Put back what was taken back for a decision that an error ended, and tell what lies bare where that fails."""
        try:
            leave(desk)
        except AlreadyRunning:
            raise
        except Exception as error:  # noqa: BLE001 (what ended the deciding is told and gone on from all the same)
            if bare := ", ".join(sorted(protection.bare(desk))):
                text = f"what was taken back of the stops and targets of {bare} could not be put back: {_line(error)}"
                self._tell("unprotected", text, f"not left {type(error).__name__} {desk.session}")

    def _not_kept_up(self) -> str:
        """Say of what nobody sees to the stops and targets while nobody sits at the desk."""
        held = ", ".join(sorted(self.journal.book.positions))
        return f"; until then nobody puts back what the broker ends of the stops and targets of {held}" if held else ""

    def _tell_unclosed(self, session: date) -> None:
        """Say that a session before this one was begun and is not closed: by who died in it and came back too late."""
        past = self.journal.book.past
        closed = past.closing is not None and past.session is not None and past.closing.session >= past.session
        if past.session is not None and past.session < session and not closed:
            self._tell("trouble", *_not_closed(past.session))

    def _keep(self, report: SessionReport) -> None:
        try:
            self.keep(report)
        except WorkbenchError as error:  # what is kept can be made again from the journal; positions cannot wait
            self._tell("record", f"session {report.session} is not in the records: {_line(error)}", "record")

    def _tell(self, kind: str, text: str, cooldown: str) -> None:
        """Tell a person and write it down; where neither can be written, the log has it."""
        try:
            if self.outbox.post(Severity.CRITICAL, kind, text, cooldown=cooldown) is None:
                return
            self.journal.append(Draft(Kind.ALERT, {"kind": kind, "text": text}))
        except WorkbenchError as error:
            logger.critical("%s; and it could not be written down: %s", text, error)
        else:
            logger.error("%s", text)

    def _look(self) -> Snapshot:
        """Return what the monitor judges; an error without a name is told, and this look saw nothing.

        Decisions are looked at meanwhile: it must not leave a holding bare that was being traded.
        """
        assert self._desk is not None
        try:
            return self._sight.look(self._desk)
        except WorkbenchError:
            raise
        except Exception as error:
            self._tell("watch", _line(error), f"watch {type(error).__name__}")
            raise WorkbenchError(_line(error)) from error

    def _account_desk(self) -> AccountDesk:
        return AccountDesk(self.journal, self.outbox, self.stopping)

    def _idle(self, moment: datetime) -> None:
        """Let time pass without the broker; where a session is on, what can be seen of it is watched."""
        while (left := (moment - self.clock()).total_seconds()) > 0:
            if self.ending.wait(min(left, IDLE_SECONDS)):
                raise Ended
            try:
                self._each_minute()
            except AlreadyRunning:
                raise
            except Exception as error:  # noqa: BLE001 (the next look may go well)
                self._tell("watch", _line(error), f"watch {type(error).__name__}")

    def _wait(self, moment: datetime) -> bool:
        """Wait for a moment with the broker: record what it tells, watch every minute, see what was confirmed."""
        while (left := (moment - self.clock()).total_seconds()) > 0:
            if self.ending.is_set():
                raise Ended
            assert self._desk is not None
            hear(self._desk, min(left, self.look_seconds))
            self._each_minute()
            self._protect(self._desk)
            if len(self.journal.sync().past.confirmed) > self._confirmed:
                self._confirmed = len(self.journal.book.past.confirmed)
                return True
        return False

    def _protect(self, desk: Desk) -> None:
        """Put back at once what the broker took away from beside a holding; what could not be, again each minute."""
        book = self.journal.book
        missing, stale = protection.lacking(desk)
        lacks = (missing, stale, frozenset(book.locked))  # an unlocked symbol is not waited with
        if not (missing or stale):
            self._lacked = lacks
            return
        early = self._again is not None and self.clock() < self._again
        if (lacks == self._lacked and early) or not protection.guarded(desk):
            return
        guard(desk)
        self._lacked = lacks  # not what lacks by now: an end that was heard meanwhile was not seen to yet
        self._again = self.clock() + protection.PUT_BACK_EVERY

    def _each_minute(self) -> None:
        """Say that this process lives, and look at the account."""
        if time.monotonic() - self._ticked < EVERY_SECONDS:
            return
        self._ticked = time.monotonic()
        self.lease.renew()
        if self._monitor is not None:
            self._monitor.tick()
            if self._kept and self._kept != (now := self.limits.limits):
                self._keep_limits(Reading(now, changed(self._kept, now)))

    def _begin_limits(self, desk: AccountDesk) -> None:
        """Begin a session at the limits that hold for it, and tell what became of them since the last one."""
        reading = self.limits.poll(begins=True)
        self._keep_limits(reading)
        if reading.changes:
            changes = ", ".join(map(str, reading.changes))
            desk.tell(Severity.WARNING, "limits", f"limits in force: {changes}", f"limits {changes}")
        if reading.unasked:
            desk.tell(Severity.WARNING, "limits", reading.unasked, "limits unasked")

    def _keep_limits(self, reading: Reading) -> None:
        """Write the limits down that hold from now: a restart begins at them."""
        keep_limits(self.journal, reading, self.profile)
        self._kept = reading.limits

    def _pause(self, seconds: float) -> None:
        """Let time pass before an order may leave; where nothing is on its way, the account is watched."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if seconds <= BRIEF_SECONDS:
                time.sleep(min(left, self.look_seconds))
            elif self.ending.wait(min(left, self.look_seconds)):
                raise Ended
            assert self._desk is not None
            if not hear(self._desk, 0.0) and not protection.arriving(self.journal.book, self.clock()):
                self._each_minute()


def _not_closed(session: date) -> tuple[str, str]:
    """Return what is told of a session, and under which name it is told once."""
    return f"session {session} is not closed in the books; the next one is waited for", f"not closed {session}"


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {text}"


def handle_signals(service: Service) -> None:
    """Let SIGTERM and Ctrl-C end the process between two steps, never within one."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.ending.set())
