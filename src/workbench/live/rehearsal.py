"""Sessions of the past traded in simulated time: the real runner, gate and journal, on the account in this process.

>>> rehearsal = Rehearsal.open(settings, paths, seats, data, sessions)
>>> for session in rehearsal.sessions:
...     print(rehearsal.trade(session))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

from workbench.alerts.outbox import Outbox, Severity
from workbench.clock import read_clock
from workbench.errors import InputRefused, NoData
from workbench.live.connect import account_of, embedded_file
from workbench.live.feed import newest_closed
from workbench.live.gate import Hours
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Limits
from workbench.live.operator import watch_limits
from workbench.live.paper import BarMarket, PaperBroker, Print, SteppedClock
from workbench.live.paper.ledger import Ledger
from workbench.live.preview import Preview, preview
from workbench.live.recovery import recover
from workbench.live.report import SessionReport
from workbench.live.runner import run_session
from workbench.live.session import Data, Desk, Seat
from workbench.params import Paths, Settings
from workbench.sessions import Calendar
from workbench.strategies.exits import exits_of
from workbench.types import Bars

EARLY = timedelta(minutes=30)  # before the open the session begins


class SessionMarket(BarMarket):
    """Bars whose open stands as the price until their end: an order sent in between is filled at it, not at the close.

    So an order decided at the open is traded at the open, as the backtest does it. In the ``closing`` time before a
    bar's end its close stands, and what lay between has been: what ends with the session is traded at it.
    """

    def __init__(self, bars: Bars, clock: Callable[[], datetime], closing: timedelta = timedelta(0)) -> None:
        super().__init__(bars, clock)
        self._ends, self._over = self._ends - closing, self._ends

    def prints(self, after: datetime, symbols: Iterable[str]) -> Iterator[Print]:
        """Return opens and closes as the clock came to them, and what stands now."""
        wanted, now = sorted(symbols), self.now()
        yield from super().prints(after, wanted)
        for symbol in wanted:
            if standing := self.standing(symbol, now):
                yield standing

    def standing(self, symbol: str, now: datetime) -> Print | None:
        """Return the open of the bar that is on, with the volume of that bar; None where none is on."""
        begun = int(self._starts.searchsorted(now, side="right"))
        row, column = begun - 1, self._symbols[symbol]
        if begun == int(self._over.searchsorted(now, side="right")):
            return None
        ending = begun == int(self._ends.searchsorted(now, side="right"))
        price = float((self._close if ending else self._open)[row, column])
        volume = float(self._volume[row, column])
        start = self._starts[row].to_pydatetime()
        return Print(symbol, now, price, price, price, start, volume) if price > 0 else None


def seen(file: Path) -> datetime | None:
    """Return until when the broker of an account has seen the market; None where there is no account yet."""
    if not file.exists():
        return None
    ledger = Ledger(file)
    try:
        return datetime.fromtimestamp(ledger.fact("seen"), UTC) if ledger.fact("opened") else None
    finally:
        ledger.close()


def _closing(seats: Iterable[Seat]) -> timedelta:
    """Return how long before the session's end the first of these seats closes what it holds."""
    said = [exits.minutes_before_close or 0.0 for seat in seats if (exits := exits_of(seat.strategy)) is not None]
    return timedelta(minutes=max(said, default=0.0))


def _limits(journal: Journal, settings: Settings, paths: Paths, outbox: Outbox) -> tuple[Limits, tuple[str, ...]]:
    """Return the limits in force where sessions begin, and what to say of them: the promoted ones bind here, too."""
    # Asked by the project's clock: by that of a session of the past, nothing would stand yet.
    reading = watch_limits(journal, settings, paths, read_clock(settings.market, paths).now).poll(begins=True)
    if reading.unasked:
        outbox.post(Severity.WARNING, "limits", " ".join(reading.unasked.split()), cooldown="limits unasked")
    changes = ", ".join(map(str, reading.changes))
    told = (f"limits in force, by the promoted ones: {changes}" if changes else "", reading.unasked)
    return reading.limits, tuple(line for line in told if line)


@dataclass
class Rehearsal:
    """The embedded account between two sessions; ``seats`` trade the next one."""

    settings: Settings
    paths: Paths
    seats: tuple[Seat, ...]
    data: Data
    limits: Limits
    clock: SteppedClock
    journal: Journal
    broker: PaperBroker
    outbox: Outbox
    lease: Lease
    calendar: Calendar
    sessions: tuple[date, ...]
    told: tuple[str, ...] = ()  # what became of the limits where it began

    @classmethod
    def open(
        cls,
        settings: Settings,
        paths: Paths,
        seats: tuple[Seat, ...],
        data: Data,
        count: int,
        limits: Limits | None = None,
        *,
        after: datetime | None = None,
        project: Paths | None = None,
    ) -> Rehearsal:
        """Return the account with the last ``count`` sessions of the data that it has not traded yet.

        ``after``: the next ``count`` sessions that open after this moment instead, as time goes on from there.
        ``project``: where promoted limits are asked, if ``paths`` lead to a copy of the account.
        """
        lookback = max(seat.strategy.lookback for seat in seats)
        if count < 1:
            raise InputRefused(f"--sessions {count}: trade at least 1")
        if len(data.bars) <= lookback:
            raise NoData(
                f"bars: {len(data.bars)} sessions, the strategies look back {lookback}; nothing can be traded yet: "
                "make data"
            )
        days = [day.date() for day in data.bars.index[lookback:]]
        if after is None:
            days = days[-count:]
        else:
            calendar = Calendar()
            days = [day for day in days if day >= after.date() and calendar.opens(day) > after]
            if not days:
                raise NoData(
                    f"bars: no session opens after {after:%F %H:%M} UTC, the last is {data.bars.index[-1].date()}"
                )
        account = account_of(settings)
        lease = Lease.acquire(settings, paths, account, "rehearsal")
        try:
            return cls._open(settings, paths, seats, data, days, count, limits, lease, project or paths)
        except BaseException:
            lease.release()
            raise

    @classmethod
    def _open(
        cls,
        settings: Settings,
        paths: Paths,
        seats: tuple[Seat, ...],
        data: Data,
        days: list[date],
        count: int,
        limits: Limits | None,
        lease: Lease,
        project: Paths,
    ) -> Rehearsal:
        calendar = Calendar()
        file = embedded_file(settings, paths)
        # The account's time is where its broker stands: a person, or the emergency stop, writes by the machine's clock.
        clock = SteppedClock(seen(file) or calendar.opens(days[0]) - EARLY)
        outbox = Outbox.open(settings, paths, clock)
        broker = PaperBroker(
            file, SessionMarket(data.bars, clock, _closing(seats)), account=lease.account, cash=settings.portfolio.cash,
            costs=settings.costs, client_id=settings.live.client_id,
        )  # fmt: skip
        journal = Journal.open(settings, paths, lease.account, lease=lease, clock=clock)
        try:
            told: tuple[str, ...] = ()
            if limits is None:
                limits, told = _limits(journal, settings, project, outbox)
        except BaseException:
            journal.close()
            raise
        closing = journal.book.past.closing
        sessions = tuple(day for day in days if closing is None or day > closing.session)[:count]
        return cls(
            settings, paths, seats, data, limits, clock, journal, broker, outbox, lease, calendar, sessions, told
        )  # fmt: skip

    def trade(self, session: date) -> SessionReport:
        """Trade one session, from before its open to its close."""
        self.broker.connect()
        if self.journal.book.open_orders:  # asked on the day they are of: a broker tells of today only
            self.journal.begin(recovering=str(session))
            same = self.clock().date() == session  # then the session asks the gate about what never arrived
            permit = None if same else lambda _: "the next session decides anew"
            recover(self.journal, self.broker, self.outbox, permit=permit)
        self._wait(self.calendar.opens(session) - EARLY)
        return run_session(self.desk(session))

    def desk(self, session: date) -> Desk:
        """Return the desk of a session, whose time is that of the rehearsal's clock."""
        hours = Hours(self.calendar.opens(session), self.calendar.closes(session))
        return Desk(
            self.broker, self.journal, self.outbox, self.seats, session, hours, (hours.opens,), self._known,
            self._newest, lambda: self.limits, self.clock, self._wait, self._pause,
        )  # fmt: skip

    def preview(self, session: date) -> Preview:
        """Return what the next session would send; the clock goes to its open, and nothing is written or sent."""
        self.broker.connect()
        desk = self.desk(session)
        self._wait(desk.hours.opens)
        return preview(desk, desk.hours.opens)

    def close(self) -> None:
        """Let go of the account; orders and books stay where they are."""
        self.broker.close()
        self.journal.close()
        self.lease.release()

    def _known(self, moment: datetime) -> Data:
        bars = self.data.bars.until(pd.Timestamp(self._newest(moment)))
        return Data(bars, self.data.versions, self.data.bad_rows)

    def _newest(self, moment: datetime) -> date:
        return newest_closed(self.calendar, moment)

    def _wait(self, moment: datetime) -> bool:
        self.clock.set(max(moment, self.clock()))
        return False

    def _pause(self, seconds: float) -> None:
        self.clock.set(self.clock() + timedelta(seconds=seconds))
