"""A simulated gateway on a real socket, and the adapter connected to it, impatient so that tests are quick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from workbench.live.ib import IBBroker
from workbench.params import LiveParams
from workbench.trading import Fill, Order, OrderType, Side, Working
from workbench.tws import Simulator

QUICK = {
    "connect_seconds": 5.0, "answer_seconds": 1.0, "order_seconds": 1.0, "quote_seconds": 1.0,
    "heartbeat_seconds": 0.3, "heartbeat_answer_seconds": 0.5,
}  # fmt: skip
Maker = Callable[..., IBBroker]


def market(key: str, quantity: int = 100, side: Side = Side.BUY, symbol: str = "AAA") -> Order:
    return Order(key, symbol, side, quantity)


def limit(key: str, price: float, quantity: int = 100, side: Side = Side.BUY, **more: Any) -> Order:
    return Order(key, "AAA", side, quantity, OrderType.LIMIT, limit=price, **more)


def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.01)


def told(broker: IBBroker, seconds: float = 0.5) -> list[Fill | Working]:
    """Return all updates until it is quiet for so long."""
    found: list[Fill | Working] = []
    while new := broker.updates(seconds):
        found += new
    return found


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """AAA at 100 and BBB at 50 on a Monday at ten in New York; time stands still until it is told to go on."""
    with Simulator(factor=0, symbols={"AAA": 100.0, "BBB": 50.0}) as made:
        yield made


@pytest.fixture
def make(sim: Simulator) -> Iterator[Maker]:
    made: list[IBBroker] = []

    def maker(*, connect: bool = True, **params: Any) -> IBBroker:
        broker = IBBroker(LiveParams(**{"mode": "paper", "port": sim.port, **QUICK, **params}))
        made.append(broker)
        if connect:
            broker.connect()
        return broker

    yield maker
    for broker in made:
        broker.close()


@pytest.fixture
def broker(make: Maker) -> IBBroker:
    return make()
