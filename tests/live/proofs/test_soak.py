"""A month of five-minute sessions with faults on: the service itself, and each wait a jump of the gateway's clock."""

from __future__ import annotations

import gc
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.live.history import read_gateway, violations
from tests.live.ib.conftest import QUICK
from tests.live.test_runner import WIDE
from workbench.alerts.outbox import Outbox
from workbench.errors import AlreadyRunning
from workbench.live.ib import IBBroker
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Limits, Watch
from workbench.live.reconcile import explain, reconcile
from workbench.live.runner import hear
from workbench.live.service import Service
from workbench.live.session import Data, Seat
from workbench.live.trading_state import TradingState
from workbench.params import LiveParams, Paths, Settings
from workbench.sessions import Calendar
from workbench.tws import Simulator, SimulatorRefused
from workbench.types import Bars

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
FIVE = timedelta(minutes=5)
BEGIN = datetime(2026, 1, 5, 15, tzinfo=UTC)
# Time jumps by minutes here; what the monitor calls out of sight is one minute's look that failed.
LIMITS = WIDE.model_copy(update={"max_blind_minutes": 30, "max_reconcile_age_minutes": 30, "max_silent_quotes": 1.0})
FULL = 9  # sessions after which the journal's fold forgets as much as it learns: ten days
PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20
ENDS = ("execDetailsEnd", "openOrderEnd", "completedOrdersEnd", "positionEnd", "accountSummaryEnd")


@dataclass(frozen=True)
class Restless:
    """Wants something else every five minutes: weights that follow from the time alone."""

    name: str
    seed: int
    symbols: tuple[str, ...] = SYMBOLS
    lookback: int = 1

    def weights(self, bars: Bars) -> pd.DataFrame:
        rows = [np.random.default_rng([self.seed, moment // 10**9]).integers(-2, 3, len(SYMBOLS)) for moment in
                bars.index.as_unit("ns").asi8]  # fmt: skip
        return pd.DataFrame(np.array(rows) * 0.01, index=bars.index, columns=list(SYMBOLS))


class Tape:
    """Bars of five minutes as they become known; prices stand still, for the gateway has its own."""

    def __init__(self, calendar: Calendar) -> None:
        starts = [calendar.minutes(day, 5) for day in calendar.sessions("2025-12-29", "2026-02-27")]
        self.index = pd.DatetimeIndex(np.concatenate([one.asi8 for one in starts]).astype("M8[ns]"), tz="UTC")
        if str(starts[0].unit) != "ns":
            self.index = pd.DatetimeIndex(
                np.concatenate([one.as_unit("ns").asi8 for one in starts]).astype("M8[ns]"), tz="UTC"
            )

    def newest(self, moment: datetime) -> datetime:
        """Return the start of the last bar that has ended."""
        found: datetime = self.index[self.index + FIVE <= pd.Timestamp(moment)][-1].to_pydatetime()
        return found

    def data(self, moment: datetime) -> Data:
        index = self.index[self.index + FIVE <= pd.Timestamp(moment)][-150:]
        swing = 1.0 + 0.001 * np.random.default_rng(1).standard_normal((150, len(SYMBOLS)))
        frame = pd.DataFrame(100.0 * swing, index=index, columns=list(SYMBOLS))
        sectors = {name: f"sector {name}" for name in SYMBOLS}
        return Data(Bars(frame, frame, frame, frame, frame, frame, sectors=sectors))


@dataclass
class Soak(Service):
    """The service in simulated time, at a gateway to which something happens every few minutes."""

    sim: Simulator = field(default_factory=Simulator)
    now: datetime = BEGIN
    random: random.Random = field(default_factory=lambda: random.Random(1))
    seen: Counter[str] = field(default_factory=Counter)

    def _idle(self, moment: datetime) -> None:
        with suppress(SimulatorRefused):
            self.sim.fault("link", state="kept")
        while (left := (moment - self.now).total_seconds()) > 0:
            self.pass_time(min(left, 6 * 3600.0))

    def _wait(self, moment: datetime) -> bool:
        assert self._desk is not None
        assert self._monitor is not None
        while (left := (moment - self.now).total_seconds()) > 0:
            self.spoil()
            self.pass_time(min(left, 150.0))
            hear(self._desk, 0.0)
        self._monitor.tick()
        if self.journal.book.state is TradingState.REDUCING:  # a person looks, and brings it back
            self.seen["brought back"] += 1
            self.journal.set_state(TradingState.ACTIVE, "it was looked at", "ada")
        for symbol in () if self.journal.book.differences else sorted(self.journal.book.locked):
            try:
                explain(self.journal, self.broker, symbol, "ada", "it was looked at")
                self.seen["unlocked"] += 1
            except AlreadyRunning:  # something was filling: a person tries again in a minute, as the line says
                self.seen["to be asked again"] += 1
        return False

    def pass_time(self, seconds: float) -> None:
        self.now = datetime.fromtimestamp(self.sim.advance(seconds), UTC)

    def spoil(self) -> None:
        """Let one thing go wrong, mostly none."""
        draw, fault = self.random, self.sim.fault
        what = draw.choices(
            ["nothing", "abort", "restart", "link", "end", "correct", "repeat", "tick", "stall", "half open"],
            [80, 4, 2, 2, 2, 3, 3, 2, 1, 1],
        )[0]
        if what == "nothing":
            return
        self.seen[what] += 1
        today = self.sim.executions(since=self.now.timestamp() - 6 * 3600)  # whole, it grows with the test
        if what == "abort":
            fault("abort")
        elif what == "restart":
            fault("restart", seconds=0.05, rollback=draw.randint(0, 5))
        elif what == "link":
            fault("link", state="down")
            self.pass_time(20.0)
            fault("link", state=draw.choice(["kept", "lost"]))
        elif what == "end":
            fault("drop", message=draw.choice(ENDS), times=1)
        elif what == "tick":
            fault("bad_tick", symbol=draw.choice(SYMBOLS), value=draw.choice(["nan", "0", "-1", "inf"]), times=4)
        elif what == "stall":
            fault("corrupt_length", message="currentTime", times=1)
        elif what == "half open":
            fault("freeze", message="reqPositions", seconds=0.5, times=1)
        elif today and what == "correct":
            fault("correct", exec_id=today[-1]["exec_id"], price=round(today[-1]["price"] * 1.001, 2))
        elif today:
            fault("repeat", exec_id=draw.choice(today)["exec_id"])


def open_soak(folder: Path, sim: Simulator) -> Soak:
    profile = folder / "params" / "risk"
    profile.mkdir(parents=True)
    rows = "\n".join(f"{name}: {value}" for name, value in LIMITS.model_dump().items())
    (profile / "sample.yaml").write_text(rows)
    paths, settings, tape = Paths(folder), Settings(), Tape(Calendar())
    quick = {**QUICK, "answer_seconds": 0.5, "quote_seconds": 0.2, "connect_seconds": 20.0}
    live = LiveParams(**{"mode": "paper", "port": sim.port, "every_minutes": 5.0, "patience_seconds": 0.0, **quick})
    broker = IBBroker(live)
    broker.connect()
    lease = Lease.acquire(settings, paths, broker.account_id)
    outbox = Outbox.open(settings, paths)
    seats = (
        Seat(Restless("one", 1), "pack of one", 1, share=0.5),
        Seat(Restless("two", 2), "pack of two", 1, share=0.5),
    )
    watch = Watch("sample", paths, embedded=True, in_force=LIMITS, promoted=lambda: Limits())
    made: list[Soak] = []

    def clock() -> datetime:
        return made[0].now if made else BEGIN

    journal = Journal.open(settings, paths, broker.account_id, lease=lease, clock=clock)
    made.append(Soak(live, "sample", broker, journal, outbox, lease, watch, lambda: seats, tape.data, tape.newest,
                     lambda reason: pytest.fail(reason), clock, sim=sim))  # fmt: skip
    made[0].look_seconds = 0.0
    return made[0]


def resident() -> float:
    """Return the memory of this process in MB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("sessions", [1, pytest.param(21, marks=pytest.mark.slow)])
def test_a_month_of_five_minute_sessions_with_faults_keeps_every_promise(
    quick_path: Path, sessions: int, figures: Callable[..., None]
) -> None:
    start = time.monotonic()
    memory: list[float] = []
    days: list[date] = []
    with Simulator(process=True, factor=0, start=BEGIN.isoformat(), symbols=dict.fromkeys(SYMBOLS, 100.0)) as sim:
        zero = time.monotonic()
        service = open_soak(quick_path, sim)
        sim.fault("partial", count=150)
        for message in ("execDetails", "commissionReport", "orderStatus"):
            sim.fault("delay", message=message, seconds=0.02, chance=0.05)
            sim.fault("duplicate", message=message, chance=0.05)
        for message in ("commissionReport", "orderStatus"):
            sim.fault("drop", message=message, chance=0.01)
        if sessions == 1:  # every half hour
            service.live = service.live.model_copy(update={"every_minutes": 30.0})
        for report in service.run():
            days.append(report.session)
            memory.append(resident())
            assert report.differences == ()
            if len(days) == sessions:
                break
        sim.clear()
        service.broker.connect()
        hear(service._desk, 0.3)
        assert reconcile(service.journal, service.broker, service.outbox).unexplained == ()
        events = list(service.journal.events())
        # Events are timed by the gateway's clock, which stands still while it is worked: only order is left to check.
        side = read_gateway(
            sim, lambda steady: datetime.max.replace(tzinfo=UTC) - timedelta(days=1) + timedelta(seconds=steady - zero)
        )
        assert violations(events, side) == []
        decided = [event.data["id"] for event in events if event.kind is Kind.DECISION]
        assert decided == sorted(set(decided))  # each moment once, and none after a later one
        service.journal.close()
        service.broker.close()
        service.lease.release()
    orders = sum(event.kind is Kind.INTENT for event in events)
    # The folds keep the orders of ten days; from then on memory stands still.
    slope = float(np.polyfit(range(FULL, sessions), memory[FULL:], 1)[0]) if sessions > 2 * FULL else 0.0
    figures(
        sessions=len(days), decisions=len(decided), orders=orders,
        executions=sum(event.kind is Kind.FILL for event in events), faults=dict(service.seen),
        memory_mb=[round(one) for one in memory], memory_mb_a_session=round(slope, 2),
        seconds=round(time.monotonic() - start, 1),
    )  # fmt: skip
    assert len(decided) > 10 * len(days)
    assert slope < 1.0
