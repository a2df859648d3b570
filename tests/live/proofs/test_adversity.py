"""Everything around the runner fails, one after the other: nothing is sent that should not be, and then it goes on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.live.conftest import Project, wanted
from tests.live.test_runner import WIDE
from tests.live.test_service import Office
from workbench.errors import CannotWrite, WorkbenchError
from workbench.live import dispatch
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.limits import Watch
from workbench.live.paper import PaperBroker, PushedMarket
from workbench.live.recovery import Outcome, recover
from workbench.live.service import Service
from workbench.params import Paths, Settings, StateParams
from workbench.state import store
from workbench.tws import Simulator
from workbench.types import Bars

NARROW = WIDE.model_copy(update={"max_gap": 0.25, "max_minutes_before_open": 30})


def narrow(folder: Path, sim: Simulator, bars: Bars, weights: dict[str, float]) -> Office:
    """Return an office whose limits look at gaps and hours."""
    office = Office(folder, sim, bars, weights)
    rows = "\n".join(f"{name}: {one}" for name, one in NARROW.model_dump().items())
    (folder / "params" / "risk" / "sample.yaml").write_text(rows)
    return office


def open_narrow(office: Office) -> Service:
    service = office.open()
    service.limits = Watch("sample", office.paths, embedded=True, in_force=NARROW, promoted=lambda: NARROW)
    return service


def sent(sim: Simulator) -> dict[str, int]:
    """Return the orders that the broker has, by symbol."""
    return {one["symbol"]: one["quantity"] for one in sim.orders()}


@pytest.mark.parametrize("value", ["nan", "0", "-1", "negative", "inf", "1e308", "x10", "crossed"])
def test_a_bad_tick_keeps_its_symbol_from_being_traded_and_no_other(
    tmp_path: Path, sim: Simulator, bars: Bars, value: str
) -> None:  # fmt: skip
    sim.fault("bad_tick", symbol="AAA", value=value)
    office = narrow(tmp_path, sim, bars, {"AAA": 0.2, "BBB": 0.2})
    office.live = office.live.model_copy(update={"quote_seconds": 0.3})
    service = open_narrow(office)
    list(service.run(once=True))
    office.close(service)
    assert list(sent(sim)) == ["BBB"]


@pytest.mark.parametrize("hours", [-30, -2, 2, 30])
def test_a_gateway_whose_clock_jumps_is_not_traded_with(tmp_path: Path, sim: Simulator, bars: Bars, hours: int) -> None:
    """At ten in New York: eight and noon, and yesterday and tomorrow at four in the afternoon."""
    office = narrow(tmp_path, sim, bars, {"AAA": 0.2})
    service = open_narrow(office)
    sim.fault("skew", seconds=hours * 3600)
    try:
        list(service.run(once=True))
    except WorkbenchError:
        pass
    finally:
        office.close(service)
    if hours == 2:  # a time that can be: it is traded once
        assert len(sim.orders()) == 1
    else:
        assert sim.orders() == []


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(minutes=20), timedelta(days=3)])
def test_a_machine_whose_clock_jumps_sends_nothing_twice(
    tmp_path: Path, sim: Simulator, bars: Bars, jump: timedelta
) -> None:  # fmt: skip
    office = Office(tmp_path, sim, bars, {"AAA": 0.2})
    service = office.open()
    moment = service.clock()
    service.moments = lambda session: (moment,)  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: list(service.run()), daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not service.journal.book.positions and time.monotonic() < end:
        time.sleep(0.01)
    service.ending.set()
    thread.join(20)
    office.close(service)
    again = office.open()
    right = again.clock
    again.clock = lambda: right() + jump
    again.journal._clock = again.clock
    again.moments = lambda session: (moment,)  # type: ignore[method-assign]
    thread = threading.Thread(target=lambda: list(again.run()), daemon=True)
    thread.start()
    time.sleep(1.0)
    again.ending.set()
    thread.join(20)
    assert not thread.is_alive()
    assert len(sim.orders()) == 1
    again.journal.verify()
    office.close(again)


@pytest.fixture
def traded(tmp_path: Path) -> Iterator[tuple[Project, Journal, PaperBroker]]:
    """A runner's journal and a paper account beside it."""
    project = Project(Paths(tmp_path))
    journal, broker = account(project)
    yield project, journal, broker
    broker.close()
    project.close()


def account(project: Project) -> tuple[Journal, PaperBroker]:
    journal = project.journal(project.lease())
    journal.begin()
    broker = PaperBroker(project.paths.root / "paper.db", PushedMarket(project.clock, {"AAA": 100.0}))
    broker.connect()
    return journal, broker


def test_no_journal_no_send_where_the_disk_is_full(traded: tuple[Project, Journal, PaperBroker]) -> None:
    project, journal, broker = traded
    kept = journal._engine.raw_connection()
    pages = kept.driver_connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[union-attr]
    kept.driver_connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[union-attr]
    kept.close()

    def fill_the_disk() -> None:
        for _ in range(2_000):
            dispatch.send(journal, broker, [wanted(journal.next_key(), 1, limit=50.0)])

    with pytest.raises(CannotWrite, match="the disk is full"):
        fill_the_disk()
    keys = {one.order.key for one in broker.open_orders()}
    assert keys
    assert keys <= journal.sync().orders.keys()
    kept = journal._engine.raw_connection()
    kept.driver_connection.execute("PRAGMA max_page_count = 1000000")  # type: ignore[union-attr]
    kept.close()
    recover(journal, broker, project.outbox())
    assert {one.order.key for one in broker.open_orders()} == {one.order.key for one in journal.book.open_orders}
    assert len(broker.open_orders()) >= len(keys)


def test_no_journal_no_send_where_the_database_is_locked(
    traded: tuple[Project, Journal, PaperBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _, broker = traded
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    journal = project.journal(Lease.seize(project.settings, project.paths, project.account, "runner"))
    journal.begin()
    asked = wanted(journal.next_key(), limit=50.0)
    with closing(sqlite3.connect(project.paths.state / "workbench.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match="locked by another process"):
            dispatch.send(journal, broker, [asked])
        assert broker.open_orders() == ()
    dispatch.send(journal, broker, [asked])
    assert [one.order.key for one in broker.open_orders()] == [asked.order.key]


class Server:
    """A PostgreSQL of its own, that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.user: dict[str, object] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "nobody")
            self.user = {"user": "nobody"}
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        made = subprocess.run(
            ["initdb", "-D", str(self.data), "-U", "quant", "-A", "trust", "-N"], capture_output=True, text=True,
            check=False, cwd=folder, **self.user,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        self.url = f"postgresql://quant@127.0.0.1:{self.port}/postgres"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.running = subprocess.Popen(
            ["postgres", "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, **self.user,
        )  # fmt: skip
        psycopg = pytest.importorskip("psycopg")
        for _ in range(200):
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            time.sleep(0.1)
        pytest.fail("PostgreSQL did not come up in 20 s")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it at once (SIGINT), or as a machine that loses its power (SIGQUIT)."""
        if self.running is not None:
            self.running.send_signal(how)
            self.running.wait(20)
            self.running = None


@pytest.fixture
def server() -> Iterator[Server]:
    if not (shutil.which("initdb") and shutil.which("postgres") and find_spec("psycopg")):
        pytest.skip("needs initdb and postgres on the PATH, and the package psycopg")
    with tempfile.TemporaryDirectory() as name:
        made = Server(Path(name))
        made.start()
        yield made
        made.stop()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_no_journal_no_send_while_postgresql_is_away_and_then_it_goes_on(
    tmp_path: Path, server: Server, how: signal.Signals
) -> None:
    project = Project(Paths(tmp_path), Settings(state=StateParams(url=server.url)))
    journal, broker = account(project)
    dispatch.send(journal, broker, [wanted("k1", limit=50.0)])
    (unsent,) = journal.intend([wanted("k2", limit=51.0)], 2)  # written, and the server dies before it is sent
    server.stop(how)
    for send in (
        lambda: dispatch.send(journal, broker, [wanted("k3", limit=52.0)]),
        lambda: dispatch.place(journal, broker, unsent),
    ):
        with pytest.raises(WorkbenchError, match="start that database"):
            send()
    assert [one.order.key for one in broker.open_orders()] == ["k1"]
    server.start()
    found = recover(journal, broker, project.outbox())
    assert [(one.key, one.outcome) for one in found] == [("k2", Outcome.RESEND)]
    dispatch.send(journal, broker, [wanted("k3", limit=52.0)])
    assert [one.order.key for one in broker.open_orders()] == ["k1", "k2", "k3"]
    assert journal.verify() == len(list(journal.events()))
    broker.close()
    project.close()
