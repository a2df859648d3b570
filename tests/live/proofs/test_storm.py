"""The connection is lost in every way, hundreds of times, with an order on its way: none is lost, none doubled."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from tests.live.ib.conftest import QUICK, limit, until
from workbench.errors import Disconnected, Unanswered
from workbench.live.ib import IBBroker
from workbench.params import LiveParams
from workbench.tws import Simulator

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
# The socket is reset, before or after the order is processed, or closed; the gateway restarts and forgets ids; the
# client id stays in use (326); the stream is out of step for ever; the link is half-open.
WAYS = ("abort", "reset before", "reset after", "close after", "restart", "linger", "stall", "half open")


class Storm:
    """One account, one client, and a connection that does not last."""

    def __init__(self, seed: int) -> None:
        self.sim, self.draw = Simulator(factor=0, symbols={"AAA": 100.0}), random.Random(seed)
        self.sim.start()
        self.sim.fault("hold", state=True)
        self.broker = IBBroker(LiveParams(**{"mode": "paper", "port": self.sim.port, **QUICK, "connect_seconds": 30.0}))
        self.broker.connect()
        self.keys: dict[str, int] = {}
        self.seen: Counter[str] = Counter()

    def close(self) -> None:
        self.broker.close()
        self.sim.stop()

    def cycle(self, way: str) -> None:
        """Send an order, lose the connection, find back, and send the order again where it is not there."""
        key = f"s-{len(self.keys)}"
        number = self.broker.next_order_id(1 + max(self.keys.values(), default=0))
        self.keys[key] = number
        self.seen[way] += 1
        self.prepare(way)
        with suppress(Unanswered, Disconnected):
            self.broker.place(limit(key, 90.0, 10), number)
        if way in ("abort", "linger"):
            self.sim.fault("abort")
        if way == "restart":
            self.sim.fault("restart", seconds=0.1, rollback=self.draw.randrange(3))
        until(lambda: not self.broker.connected)
        if any(one["ref"] == key for one in self.sim.orders()) and self.draw.random() < 0.5:
            self.seen["filled while away"] += 1
            self.sim.fault("fill", client=17, order_id=number, price=90.0)
        self.broker.connect()
        self.sim.fault("linger", seconds=0.0)
        there = {one.order.key for one in (*self.broker.open_orders(), *self.broker.completed_orders())}
        if key not in there:  # proven absent: the same id and the same key again
            self.seen["sent again"] += 1
            self.broker.place(limit(key, 90.0, 10), number)

    def prepare(self, way: str) -> None:
        fault = self.sim.fault
        if way == "linger":
            fault("linger", seconds=0.3)
        if way == "stall":
            fault("corrupt_length", message="currentTime", times=1)
        if way == "half open":
            fault("freeze", message="placeOrder", when=self.draw.choice(["before", "after"]), seconds=1.5, times=1)
        if way.startswith(("reset", "close")):
            do, when = way.split()
            fault(do, message="placeOrder", when=when, times=1)

    def judge(self) -> None:
        known = self.sim.orders()
        assert sorted(one["ref"] for one in known) == sorted(self.keys)
        assert {one["ref"]: one["order_id"] for one in known} == self.keys
        assert {one.id for one in self.broker.fills(LONG_AGO)} == {one["exec_id"][:-3] for one in self.sim.executions()}
        assert {one.order.key for one in self.broker.open_orders()} == {
            one["ref"] for one in known if not one["filled"]
        }
        assert [one["client_id"] for one in self.sim.sessions()] == [17]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("cycles", [24, pytest.param(500, marks=pytest.mark.slow)])
def test_a_storm_of_lost_connections_loses_and_doubles_nothing(cycles: int, figures: Callable[..., None]) -> None:
    storm, start = Storm(cycles), time.monotonic()
    try:
        for number in range(cycles):
            storm.cycle(WAYS[number] if number < len(WAYS) else storm.draw.choice(WAYS))
        storm.judge()
    finally:
        storm.close()
    figures(cycles=cycles, **dict(storm.seen), seconds=round(time.monotonic() - start, 1))
