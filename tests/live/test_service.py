"""The process that trades day by day, over the real client to a simulated gateway: once, told to end, cut off."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from tests.live.ib.conftest import QUICK, until
from tests.live.test_runner import WIDE, Written
from workbench.alerts.outbox import Outbox
from workbench.errors import PackRefused
from workbench.live.ib import IBBroker
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Limits, Watch
from workbench.live.preview import preview
from workbench.live.service import Service
from workbench.live.session import Data, Seat
from workbench.params import LiveParams, Paths, Settings
from workbench.sessions import Calendar
from workbench.tws import Simulator
from workbench.types import Bars

FRIDAY, MONDAY = "2026-01-02", date(2026, 1, 5)


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """AAA at 100 and BBB at 50 on a Monday at ten in New York, in real seconds."""
    with Simulator(factor=1, symbols={"AAA": 100.0, "BBB": 50.0}) as made:
        yield made


@pytest.fixture
def bars(bars_of: Callable[..., Bars]) -> Bars:
    """125 sessions up to that Friday, two symbols that swing apart around the prices of the gateway."""
    closes = [[99.0 + row % 3, 49.0 + row % 5 / 2] for row in range(125)]
    made = bars_of(closes, ["AAA", "BBB"], start="2025-01-02", sectors={"AAA": "Alpha", "BBB": "Beta"})
    index = Calendar().last(len(made), FRIDAY)
    frames = {name: getattr(made, name).set_axis(index) for name in
              ("open", "high", "low", "close", "volume", "traded_close")}  # fmt: skip
    return Bars(**frames, sectors=made.sectors)


class Office:
    """One machine with a runner on it."""

    def __init__(self, folder: Path, sim: Simulator, bars: Bars, weights: Mapping[str, float]) -> None:
        profile = folder / "params" / "risk"
        profile.mkdir(parents=True)
        rows = "\n".join(f"{name}: {value}" for name, value in WIDE.model_dump().items())
        (profile / "sample.yaml").write_text(rows)
        self.paths, self.settings = Paths(folder), Settings()
        self.live = LiveParams(**{"mode": "paper", "port": sim.port, "patience_seconds": 5.0, **QUICK})
        self.bars, self.sim = bars, sim
        self.seats = (Seat(Written("one", ("AAA", "BBB"), {FRIDAY: weights}), "pack of one", 1),)
        self.stopped: list[str] = []

    def open(self) -> Service:
        broker = IBBroker(self.live)
        broker.connect()
        apart = broker.now() - datetime.now(UTC)

        def clock() -> datetime:
            """Return this machine's time, as far off as the gateway's is."""
            return datetime.now(UTC) + apart

        self.lease = Lease.acquire(self.settings, self.paths, broker.account_id)
        journal = Journal.open(self.settings, self.paths, broker.account_id, lease=self.lease, clock=clock)
        watch = Watch("sample", self.paths, embedded=True, in_force=WIDE, promoted=lambda: Limits())
        return Service(
            self.live, "sample", broker, journal, Outbox.open(self.settings, self.paths), self.lease, watch,
            lambda: self.seats, lambda moment: Data(self.bars), self.newest, self.stopped.append, clock,
            look_seconds=0.1,
        )  # fmt: skip

    def newest(self, moment: datetime) -> date:
        day = pd.Timestamp(moment).tz_convert("America/New_York").tz_localize(None).normalize()
        return max(session for session in self.bars.index if session < day).date()

    def close(self, service: Service) -> None:
        service.journal.close()
        service.broker.close()
        self.lease.release()


def test_once_decides_sends_over_the_real_client_and_closes_the_books(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {"AAA": 0.2, "BBB": -0.1})
    service = office.open()
    (report,) = list(service.run(once=True))
    events = list(service.journal.events())
    office.close(service)
    assert report.session == MONDAY
    assert {order.symbol: order.status for order in report.orders} == {"AAA": "filled", "BBB": "filled"}
    assert report.denied == ()
    assert report.differences == ()
    assert report.results[0].equal
    sold, bought = (order.signed for order in report.orders)
    assert sold < 0 < bought  # what frees money goes first
    kinds = [event.kind for event in events]
    assert kinds.index(Kind.DECISION) < kinds.index(Kind.INTENT) < kinds.index(Kind.FILL)


def test_it_ends_between_two_steps_when_told_and_the_next_one_goes_on(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {"AAA": 0.2})
    service = office.open()
    reports: list[object] = []
    service.moments = lambda session: (service.clock(),)  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: reports.extend(service.run()))
    thread.start()
    until(lambda: service.journal.book.positions, 20)
    service.ending.set()
    thread.join(10)
    assert not thread.is_alive()
    assert reports == []
    office.close(service)
    again = office.open()
    (report,) = list(again.run(once=True))
    office.close(again)
    assert report.differences == ()
    assert dict(report.results[0].held) == dict(sim.positions())
    assert len(sim.orders()) == 1  # what the first one sent is not sent again


def test_a_cut_connection_is_taken_up_again_and_what_filled_meanwhile_is_in_the_books(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {"AAA": 0.2})
    service = office.open()
    service.moments = lambda session: (service.clock(),)  # type: ignore[method-assign]
    sim.fault("hold", state=True)  # nothing fills
    thread = threading.Thread(target=lambda: list(service.run()))
    thread.start()
    try:
        until(sim.orders, 20)
        sim.fault("abort")
        sim.fault("hold", state=False)
        until(lambda: "AAA" in sim.positions(), 20)
        until(lambda: service.journal.book.positions == dict(sim.positions()), 20)
        assert service.broker.connected
    finally:
        service.ending.set()
        thread.join(20)
    assert not thread.is_alive()
    assert len(sim.orders()) == 1
    office.close(service)


def test_data_that_comes_late_is_waited_for_while_it_is_not_too_late(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars.until("2025-12-31"), {"AAA": 0.2})
    office.newest = lambda moment: date.fromisoformat(FRIDAY)  # type: ignore[method-assign]
    service = office.open()
    service.again_seconds = 0.2
    service.moments = lambda session: (service.clock(),)  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: list(service.run()))
    thread.start()
    try:
        until(lambda: [alert.kind for alert in service.outbox.all()] == ["data"], 20)
        assert sim.orders() == []
        office.bars = bars  # the ingest is done
        until(lambda: service.journal.book.positions, 20)
    finally:
        service.ending.set()
        thread.join(20)
    assert not thread.is_alive()
    assert [alert.text[:60] for alert in service.outbox.all()] == [
        "bars: the newest is of 2025-12-31 00:00:00, the last one tha"
    ]
    office.close(service)


def test_evidence_that_does_not_verify_any_more_ends_it_before_anything_is_sent(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {"AAA": 0.2})
    service = office.open()

    def changed() -> tuple[Seat, ...]:
        raise PackRefused("one version 1 (mlflow): parts/params.json was changed")

    service.seats = changed
    service.moments = lambda session: (service.clock(),)  # type: ignore[method-assign]
    with pytest.raises(PackRefused, match="was changed"):
        list(service.run())
    assert sim.orders() == []
    office.close(service)


def test_moments_are_counted_from_the_open_and_end_before_the_close(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {})
    office.live = office.live.model_copy(update={"decide_minutes": 5.0, "every_minutes": 60.0})
    service = office.open()
    times = [f"{moment:%H:%M}" for moment in service.moments(date(2025, 7, 3))]  # a half day: 13:30 to 17:00 UTC
    assert times == ["13:35", "14:35", "15:35", "16:35"]
    service.live = office.live.model_copy(update={"every_minutes": None})
    assert [f"{moment:%H:%M}" for moment in service.moments(date(2025, 1, 6))] == ["14:35"]  # winter time
    office.close(service)


def test_a_dry_run_at_the_broker_sends_nothing_and_writes_nothing(tmp_path, sim, bars):
    office = Office(tmp_path, sim, bars, {"AAA": 0.2, "BBB": -0.1})
    service = office.open()
    now = service.clock()
    found = preview(service.desk(service.session(once=True), (now,), once=True), now)
    assert [(line.symbol, line.signed > 0, verdict.passes) for line, verdict in found.verdicts] == [
        ("BBB", False, True),
        ("AAA", True, True),
    ]
    assert sim.orders() == []
    assert list(service.journal.events()) == []
    office.close(service)
