"""Frames with changed bytes, over a socket and through the real client: no fill is invented, no stall goes unseen."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.live.ib.conftest import QUICK, limit, market
from workbench.errors import BrokerError, DataRefused
from workbench.live.ib import IBBroker
from workbench.params import LiveParams
from workbench.trading import Fill
from workbench.tws import Simulator

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RESTING = 60
KINDS = ("openOrder", "orderStatus", "execDetails", "commissionReport", "position", "completedOrder", "error")
# A question whose end is damaged waits in vain and loses the connection; these are spoiled too, but seldom.
SELDOM = ("openOrderEnd", "execDetailsEnd", "positionEnd", "completedOrdersEnd", "nextValidId")
QUICKER = {**QUICK, "answer_seconds": 0.5, "order_seconds": 0.3}


class Storm:
    """A gateway that damages what it says, and an adapter that trades with it all the same."""

    def __init__(self, seed: int) -> None:
        self.sim, self.seed = Simulator(factor=0, symbols={"AAA": 100.0}, seed=seed), seed
        self.sim.start()
        other = IBBroker(LiveParams(mode="paper", port=self.sim.port), 40)
        other.connect()
        for number in range(1, RESTING + 1):  # each question is answered with all of them
            other.place(limit(f"r{number}", 50.0, 1), number)
        other.close()
        self.broker = IBBroker(LiveParams(**{"mode": "paper", "port": self.sim.port, **QUICKER}))
        self.broker.connect()
        self.broker.instrument("AAA")
        self.frames = 0
        self.seen: Counter[str] = Counter()
        self.told: list[Fill] = []

    def close(self) -> None:
        self.broker.close()
        self.sim.stop()

    def spoil(self) -> None:
        for kind in KINDS:
            self.sim.fault("mutate", message=kind, chance=0.5, count=1 + self.seed % 4)
        for kind in SELDOM:
            self.sim.fault("mutate", message=kind, chance=0.01)

    def heal(self) -> None:
        """Stop the damage, count it, and connect where the connection was lost."""
        self.frames += sum(rule["fired"] for rule in self.sim.rules())
        self.sim.clear()
        if not self.broker.connected:
            self.sim.fault("notice", code=1102, text="back")  # a damaged notice may have said that it is away
            self.whole(lambda: ())

    def step(self, number: int) -> None:
        """Trade, ask, and take what is told."""
        broker = self.broker
        ask = (broker.open_orders, lambda: broker.fills(LONG_AGO), broker.positions, broker.completed_orders)[
            number % 4
        ]
        for act in (lambda: broker.place(market(f"k{number}", 10), number), ask):
            try:
                act()
            except DataRefused:
                self.seen["refused"] += 1
            except BrokerError:
                self.seen["lost"] += 1
            with suppress(BrokerError, DataRefused):
                self.told += [one for one in broker.updates(0.0) if isinstance(one, Fill)]
        if not broker.connected:
            self.heal()
            self.spoil()

    def whole(self, ask: Callable[[], Iterable[Any]]) -> Iterable[Any]:
        """Ask until there is an answer: on a busy machine half a second is short."""
        for _ in range(20):
            with suppress(BrokerError, DataRefused):
                self.broker.connect()
                return ask()
        pytest.fail("no whole answer in twenty tries")

    def judge(self) -> None:
        """Hold what was told against what is true: what is asked now is whole, and nothing before was invented."""
        self.heal()
        time.sleep(0.2)
        real = {one["exec_id"][:-3]: (one["shares"], one["price"]) for one in self.sim.executions()}
        found = {one.id: (one.quantity, one.price) for one in self.whole(lambda: self.broker.fills(LONG_AGO))}
        assert found == real
        assert {one.symbol: one.quantity for one in self.whole(self.broker.positions)} == self.sim.positions()
        alive = {one["ref"] for one in self.sim.orders() if one["status"] == "Submitted"}
        assert {one.order.key for one in self.whole(self.broker.open_orders)} == alive
        assert [one for one in self.told if one.id not in real] == []
        assert [one for one in self.told if one.quantity != real[one.id][0]] == []


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("frames", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_damaged_frames_invent_no_fill(frames: int, figures: Callable[..., None]) -> None:
    start, seen, done, fills, storms = time.monotonic(), Counter[str](), 0, 0, 0
    while done < frames:
        storms += 1
        storm = Storm(storms)
        try:
            storm.spoil()
            for number in range(1, 101):
                storm.step(number)
                if number % 10 == 0:
                    storm.heal()
                    storm.spoil()
                    if done + storm.frames >= frames:
                        break
            storm.judge()
        finally:
            storm.close()
        done, fills, seen = done + storm.frames, fills + len({one.id for one in storm.told}), seen + storm.seen
    figures(
        frames=done, answers_refused=seen["refused"], orders_or_connections_lost=seen["lost"], fills_told=fills,
        invented=0, storms=storms, seconds=round(time.monotonic() - start, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "params"),
    [("corrupt_length", QUICK), *[pytest.param(fault, {}, marks=pytest.mark.slow) for fault in
                                  ("corrupt_length", "freeze", "drop")]],
)  # fmt: skip
def test_a_stall_is_found_within_ten_seconds(
    fault: str, params: dict[str, float], figures: Callable[..., None]
) -> None:
    with Simulator(factor=0, symbols={"AAA": 100.0}) as sim:
        broker = IBBroker(LiveParams(**{"mode": "paper", "port": sim.port, **params}))
        broker.connect()
        sim.fault(fault, message="currentTime", times=-1 if fault == "drop" else 1, **(
            {"seconds": 60.0} if fault == "freeze" else {}))  # fmt: skip
        start = time.monotonic()
        while broker.connected and time.monotonic() - start < 20.0:
            time.sleep(0.01)
        found = time.monotonic() - start
        broker.close()
    assert found < 10.0
    figures(fault=fault, found_after_seconds=round(found, 1), settings="impatient" if params else "as delivered")
