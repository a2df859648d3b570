"""The emergency stop while orders are being placed: the cancel is seen within a second, and no order after it."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.live.history import read_gateway, violations
from workbench.alerts.outbox import Outbox
from workbench.errors import AlreadyRunning, BrokerError, OrderRejected, TradingHalted
from workbench.live import emergency
from workbench.live.dispatch import record, send
from workbench.live.emergency import Record
from workbench.live.gate import Asked
from workbench.live.halt import HaltFile
from workbench.live.ib import IBBroker
from workbench.live.journal.journal import Journal
from workbench.live.kill import Stop, Stopped
from workbench.live.lease import Lease
from workbench.live.operator import resume
from workbench.live.reconcile import reconcile
from workbench.live.recovery import recover
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Order, OrderType, Side
from workbench.tws import Simulator

RUNNER, STOP = 17, 18
A_DAY = 50  # stops of one account; at each a gateway tells again all that it did on the day


class Room:
    """One account at a gateway, its runner, and the stop with a connection of its own."""

    def __init__(self, folder: Path) -> None:
        self.sim = Simulator(process=True, seed=3, start="now", hours="always", symbols={"AAA": 100.0})
        self.sim.start()
        self.paths, self.settings, self.account = Paths(folder), Settings(), "DU1234567"
        self.zero = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        live = LiveParams(mode="paper", port=self.sim.port)
        self.broker, self.stopping = IBBroker(live), IBBroker(live, STOP)
        self.broker.connect()
        self.outbox = Outbox.open(self.settings, self.paths)
        self.ended: list[BaseException] = []

    def begin(self) -> None:
        """Take the account as the next runner would, after a person resumed."""
        self.lease = Lease.seize(self.settings, self.paths, self.account, "runner")
        self.journal = Journal.open(self.settings, self.paths, self.account, lease=self.lease)
        halt = HaltFile(self.paths, self.account)
        if halt.reason:
            resume(self.journal, halt, who="ada", reason="the drill is over")
        self.journal.begin()
        self.broker.connect()
        recover(self.journal, self.broker, self.outbox)
        assert reconcile(self.journal, self.broker, self.outbox).unexplained == ()

    def end(self) -> None:
        self.journal.close()

    def close(self) -> None:
        self.broker.close()
        self.stopping.close()
        self.sim.stop()

    def asked(self, chance: random.Random) -> Asked:
        """Return an order that rests, or one that fills."""
        key, side = self.journal.next_key(), chance.choice(list(Side))
        if chance.random() < 0.7:
            price = 100.0 - 20.0 * side.sign
            return Asked(Order(key, "AAA", side, 5, OrderType.LIMIT, limit=price), shares={"one": 5 * side.sign})
        return Asked(Order(key, "AAA", side, 5), shares={"one": 5 * side.sign})

    def place(self, work: Callable[[], object]) -> threading.Thread:
        """Place orders in a thread of their own, until halted."""

        def whole() -> None:
            try:
                work()
            except (TradingHalted, AlreadyRunning, OrderRejected, BrokerError) as error:
                self.ended.append(error)

        thread = threading.Thread(target=whole)
        thread.start()
        return thread

    def stop(self) -> tuple[Stopped, float]:
        """Stop the account, and return what was reached and when it was asked for."""
        asked = time.monotonic()
        log = Record(self.settings, self.paths, self.account)
        try:
            return Stop(self.stopping, log, lambda _: None, 30.0, look_every=0.02).run("drill", "ada"), asked
        finally:
            log.close()

    def seen(self, after: int) -> tuple[float, list[dict[str, Any]]]:
        """Return when the broker saw the first cancel, and the runner's orders that came after it."""
        rows = self.sim.log(after)
        cancel = next(one for one in rows if one["kind"] == "reqGlobalCancel")
        later = [one for one in rows if one["number"] > cancel["number"]]
        return cancel["monotonic"], [
            one for one in later if one["kind"] == "placeOrder" and one["client_id"] == RUNNER
        ]  # fmt: skip

    def last(self) -> int:
        return max((one["number"] for one in self.sim.log()), default=0)

    def judged(self) -> list[str]:
        """Return what is wrong with the whole history, once the runner has heard of what the stop did."""
        self.begin()
        record(self.journal, self.outbox, self.broker.updates(0.0))
        side = read_gateway(self.sim, lambda steady: self.zero + timedelta(seconds=steady))
        found = violations(list(self.journal.events()), side)
        self.end()
        return found


@pytest.fixture
def rooms(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[Room]]:
    """A busy machine is no journal that hangs: what the stop does beside one of those is in test_kill."""
    monkeypatch.setattr(emergency, "JOURNAL_SECONDS", 30.0)
    numbers = itertools.count()

    @contextmanager
    def opened() -> Iterator[Room]:
        made = Room(quick_path / f"room-{next(numbers)}")
        try:
            yield made
        finally:
            made.close()

    return opened


@pytest.fixture
def room(rooms: Callable[[], AbstractContextManager[Room]]) -> Iterator[Room]:
    with rooms() as made:
        yield made


@pytest.mark.parametrize("connected", [False, True], ids=["cold", "connected"])
def test_two_hundred_orders_wait_and_the_cancel_overtakes_them(
    room: Room, connected: bool, figures: Callable[..., None]
) -> None:
    room.begin()
    chance = random.Random(1)
    asked = [room.asked(chance) for _ in range(200)]
    if connected:
        room.stopping.connect()
    thread = room.place(lambda: send(room.journal, room.broker, asked))
    while len(room.sim.log()) < 10:
        time.sleep(0.005)
    stopped, began = room.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert [type(one) for one in room.ended] in ([TradingHalted], [AlreadyRunning])
    cancelled, late = room.seen(0)
    arrived = [one for one in room.sim.log() if one["client_id"] == RUNNER]
    assert stopped.flat, str(stopped)
    assert cancelled - began < 1.0
    assert late == []
    assert len(arrived) < 200
    assert room.sim.positions() == {}
    assert {one["status"] for one in room.sim.orders()} <= {"Cancelled", "Filled"}
    room.end()
    assert room.judged() == []
    figures(
        waiting=200, arrived_before=len(arrived), cancel_seen_after_seconds=round(cancelled - began, 3),
        orders_after_it=len(late), flat_after_seconds=round(stopped.seconds, 2),
    )  # fmt: skip


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cycles", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_a_stop_in_the_middle_of_placing_leaves_nothing(
    rooms: Callable[[], AbstractContextManager[Room]], cycles: int, figures: Callable[..., None]
) -> None:
    longest = placed = closed = 0
    start = time.monotonic()
    for first in range(0, cycles, A_DAY):
        with rooms() as room:
            for cycle in range(first, min(first + A_DAY, cycles)):
                seen_after, orders, closing = stopped_amid_placing(room, cycle)
                longest, placed, closed = max(longest, seen_after), placed + orders, closed + closing
            assert room.judged() == []
    figures(
        stops=cycles, orders_placed=placed, closing_orders=closed, orders_after_the_cancel=0,
        cancel_seen_after_at_most_seconds=round(longest, 3), seconds=round(time.monotonic() - start, 1),
    )  # fmt: skip


def stopped_amid_placing(room: Room, cycle: int) -> tuple[float, int, int]:
    """Stop a runner while it places; return the seconds until the cancel was seen, its orders and the closing ones."""
    chance, before = random.Random(cycle), room.last()
    room.begin()

    def trade() -> None:
        while True:  # as fast as the pace of the gateway lets it
            send(room.journal, room.broker, [room.asked(chance) for _ in range(chance.randint(1, 3))])

    thread = room.place(trade)
    time.sleep(chance.uniform(0.0, 0.2))
    stopped, began = room.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert stopped.flat, f"cycle {cycle}: {stopped}"
    cancelled, late = room.seen(before)
    assert late == [], f"cycle {cycle}: {late[0]['monotonic'] - cancelled:.3f} s after the cancel"
    assert cancelled - began < 1.0, f"cycle {cycle}"
    assert room.sim.positions() == {}, f"cycle {cycle}"
    assert {one["status"] for one in room.sim.orders()} <= {"Cancelled", "Filled"}, f"cycle {cycle}"
    placed = sum(one["client_id"] == RUNNER for one in room.sim.log(before))
    room.end()
    return cancelled - began, placed, stopped.closing_orders
