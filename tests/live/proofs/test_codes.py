"""Every error code there is, in every place: the journal's open orders are the broker's, or a person is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.live.ib.conftest import QUICK
from workbench.alerts.outbox import Outbox
from workbench.errors import BrokerError
from workbench.live import dispatch
from workbench.live.codes import CODES
from workbench.live.gate.facts import Asked
from workbench.live.ib import IBBroker
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.reconcile import Of, reconcile
from workbench.live.recovery import recover
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Order, OrderType, Side
from workbench.tws import Simulator

ALL = sorted([*CODES, 1, 9999, 31337])  # and some that nobody knows
ALIVE = ("Submitted", "PreSubmitted")
# How a code meets an order: instead of it, as all that is told of it, beside its acknowledgement, once it works.
PLACES = ("before", "after", "besides", "working")


class Desk:
    """A journal and a broker, and a gateway that says any code."""

    def __init__(self, folder: Path) -> None:
        self.sim = Simulator(factor=0, symbols={"AAA": 100.0})
        self.sim.start()
        self.sim.fault("hold", state=True)
        paths, settings = Paths(folder), Settings()
        quick = {**QUICK, "order_seconds": 0.15, "connect_seconds": 20.0, "heartbeat_seconds": 4.0}
        self.broker = IBBroker(LiveParams(**{"mode": "paper", "port": self.sim.port, **quick}))
        self.broker.connect()
        self.lease = Lease.acquire(settings, paths, self.broker.account_id)
        self.journal = Journal.open(settings, paths, self.broker.account_id, lease=self.lease, clock=self.broker.now)
        self.outbox = Outbox.open(settings, paths)
        self.journal.begin()
        reconcile(self.journal, self.broker, self.outbox)

    def close(self) -> None:
        self.journal.close()
        self.broker.close()
        self.lease.release()
        self.sim.stop()

    def asked(self) -> Asked:
        order = Order(self.journal.next_key(), "AAA", Side.BUY, 1, OrderType.LIMIT, limit=50.0)
        return Asked(order, shares={"one": 1})

    def send(self, code: int, place: str) -> tuple[str, str]:
        """Send one order that meets a code, find out what became of it, and return its key and what send() said."""
        if place != "working":
            self.sim.fault("error", message="placeOrder", code=code, text="as it says", when=place, times=1)
        asked = self.asked()
        key = asked.order.key
        try:
            (placed,) = dispatch.send(self.journal, self.broker, [asked])
            said = "working" if placed.working else "rejected"
            if place == "working" and placed.working:
                self.sim.fault("notice", code=code, text="as it says", request=placed.working.order_id)
        except BrokerError:
            said = "unanswered"
        for _ in range(50):  # the connection may be gone, and the word of that still on its way
            with suppress(BrokerError):
                self.broker.connect()
                self.broker.now()
                dispatch.record(self.journal, self.outbox, self.broker.updates(0.0))
                break
            time.sleep(0.02)
        recover(self.journal, self.broker, self.outbox)
        return key, said

    def at_broker(self) -> set[str]:
        return {one["ref"] for one in self.sim.orders() if one["status"] in ALIVE}


@pytest.fixture
def desk(quick_path: Path) -> Iterator[Desk]:
    made = Desk(quick_path)
    yield made
    made.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("places", [1, pytest.param(len(PLACES), marks=pytest.mark.slow)])
def test_every_code_leaves_the_journal_with_the_brokers_open_orders(
    desk: Desk, places: int, figures: Callable[..., None]
) -> None:
    said: Counter[str] = Counter()
    for number, code in enumerate(ALL):
        for place in [PLACES[(number + more) % len(PLACES)] for more in range(places)]:
            key, word = desk.send(code, place)
            said[word] += 1
            there = key in desk.at_broker()
            known = key in {one.order.key for one in desk.journal.book.open_orders}
            told = {one.symbol for one in reconcile(desk.journal, desk.broker, desk.outbox).unexplained
                    if one.of is Of.ORDER}  # fmt: skip
            assert there == known or told == {"AAA"}, f"{code} {place}: {said}, at the broker {there}, known {known}"
            assert len([one for one in desk.sim.orders() if one["ref"] == key]) <= 1, f"{code} {place}"
            with suppress(BrokerError):
                desk.broker.cancel_all()
            for _ in range(100):
                if not desk.at_broker():
                    break
                time.sleep(0.01)
            dispatch.record(desk.journal, desk.outbox, desk.broker.updates(0.05))
            recover(desk.journal, desk.broker, desk.outbox)
            assert desk.journal.book.open_orders == (), f"{code} {place}"
    figures(codes=len(ALL), cases=sum(said.values()), **said)


@pytest.mark.timeout(600)
def test_every_code_about_the_connection_leaves_one_that_can_be_found_again(
    desk: Desk, figures: Callable[..., None]
) -> None:
    (placed,) = dispatch.send(desk.journal, desk.broker, [desk.asked()])
    ended = 0
    for code in ALL:
        desk.sim.fault("notice", code=code, text="as it says")
        time.sleep(0.01)
        if not desk.broker.connected:
            ended += 1
            if code in (1100, 2110):
                desk.sim.fault("notice", code=1102, text="and it is back")
            desk.broker.connect()
        assert [one.order.key for one in desk.broker.open_orders()] == [placed.intent.order.key], code
    assert [one["status"] for one in desk.sim.orders()] == ["Submitted"]
    assert ended >= 4
    figures(codes=len(ALL), connections_ended=ended)
