"""Executions in parts, late, twice, corrected, lost and while away: in the end both sides have the same."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.history import violations
from tests.live.ib.conftest import QUICK
from tests.live.proofs.machine import GatewayVenue, Runner
from workbench.errors import BrokerError, DataRefused
from workbench.tws import SimulatorRefused

ENDS = ("execDetailsEnd", "openOrderEnd", "completedOrdersEnd", "positionEnd", "accountSummaryEnd")


class Desk:
    """A runner whose gateway tells of executions in every way but the right one."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.venue, self.random = (
            GatewayVenue(folder, seed, process=False, **{**QUICK, "connect_seconds": 30.0}),
            random.Random(seed),
        )
        self.sim, self.seen = self.venue.sim, Counter[str]()
        self.runner = Runner(folder, self.venue, seed)
        self.runner.put_in_order()

    def close(self) -> None:
        self.runner.close()
        self.venue.close()

    def spoil(self) -> None:
        """Set the faults of this seed."""
        fault, draw = self.sim.fault, self.random
        for message in ("execDetails", "commissionReport", "orderStatus"):
            fault("delay", message=message, seconds=draw.uniform(0.01, 0.15), chance=0.25)
            fault("duplicate", message=message, count=draw.randint(1, 3), chance=0.25)
            fault("drop", message=message, chance=0.08)
        fault("drop", message=draw.choice(ENDS), skip=draw.randint(0, 3), times=2)
        fault("partial", count=draw.choice([0, 15, 40]))

    def step(self) -> None:
        """Trade, or let something odd happen to what was traded."""
        act = self.random.choice([self.trade, self.trade, self.fill, self.correct, self.repeat, self.away, self.hear])
        self.seen[act.__name__] += 1
        act()

    def trade(self) -> None:
        self.trying(self.runner.trade)

    def hear(self) -> None:
        time.sleep(0.02)
        self.trying(self.runner.hear)

    def fill(self) -> None:
        with suppress(SimulatorRefused):  # it has just filled by itself
            for one in self.venue.open()[:2]:
                shares = self.random.randint(1, one["quantity"])
                self.sim.fault("fill", client=one["client_id"], order_id=one["order_id"], shares=shares, price=99.5)

    def correct(self) -> None:
        if known := self.sim.executions():
            one = self.random.choice(known)
            shares = max(1, one["shares"] + self.random.randint(-5, 0))
            price = round(one["price"] * self.random.uniform(0.99, 1.01), 2)
            self.sim.fault("correct", exec_id=one["exec_id"], shares=shares, price=price)

    def repeat(self) -> None:
        if known := self.sim.executions():  # an old revision too, long after the new one
            self.sim.fault("repeat", exec_id=self.random.choice(known)["exec_id"])

    def away(self) -> None:
        self.sim.fault("abort")
        for act in self.random.sample([self.fill, self.correct, self.fill, self.repeat], 3):
            act()
        self.trying(self.runner.broker.connect)
        self.trying(self.runner.put_in_order)

    def trying(self, what: Callable[[], object]) -> None:
        """Do something, and where the broker is lost meanwhile, find back as the product does."""
        try:
            what()
            return
        except (BrokerError, DataRefused):
            self.seen["lost"] += 1
        for _ in range(20):
            with suppress(BrokerError, DataRefused):
                self.runner.broker.connect()
                self.runner.put_in_order()
                return
        pytest.fail("the runner did not find back")

    def judged(self) -> list[str]:
        """Return what is wrong once the gateway is well again."""
        self.sim.clear()
        self.sim.fault("hold", state=True)
        time.sleep(0.2)  # longer than any delay
        self.trying(self.runner.put_in_order)
        _, differences = self.runner.put_in_order()
        executions = self.sim.executions()
        self.seen["executions"] += len(executions)
        self.seen["corrections"] += sum(not one["exec_id"].endswith(".01") for one in executions)
        return [*violations(list(self.runner.journal.events()), self.venue.side()), *differences]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(100, 300), marks=pytest.mark.slow)], ids=len)
def test_executions_that_are_told_in_every_odd_way_are_counted_once(
    quick_path: Path, seeds: Iterable[int], figures: Callable[..., None]
) -> None:
    seen: Counter[str] = Counter()
    start = time.monotonic()
    for seed in seeds:
        folder = quick_path / str(seed)
        folder.mkdir()
        desk = Desk(folder, seed)
        try:
            desk.spoil()
            for _ in range(15):
                desk.step()
            assert desk.judged() == [], f"seed {seed}"
            seen += desk.seen
        finally:
            desk.close()
    assert seen["executions"] > 5 * len(list(seeds))
    assert seen["corrections"] > 0
    figures(
        seeds=len(list(seeds)), executions=seen["executions"], corrections=seen["corrections"], repeats=seen["repeat"],
        away=seen["away"], found_back=seen["lost"], seconds=round(time.monotonic() - start, 1),
    )  # fmt: skip
