"""The emergency stop holds for every broker, over a client of its own, while a runner is sending."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime

import pytest

from tests.conformance.broker.desk import Desk
from workbench.errors import AlreadyRunning, TradingHalted
from workbench.live.dispatch import send
from workbench.live.emergency import Record
from workbench.live.gate import Asked, Origin
from workbench.live.halt import HaltFile
from workbench.live.journal.journal import Journal
from workbench.live.kill import Stop, Stopped
from workbench.live.lease import Lease
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.trading import Order, OrderType, Side

ACCOUNT = "DU1"


@pytest.fixture
def paths(tmp_path) -> Paths:
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "base.yaml").write_text("market: sample\n")
    return Paths(tmp_path)


def stopped_by(desk: Desk, paths: Paths, timeout: float = 30.0) -> Stopped:
    """Stop the account as client 2; the market moves at every look, and nothing else waits."""
    record = Record(Settings(), paths, ACCOUNT)

    def look_away(_: float) -> None:
        desk.move("AAA", 100.0)
        desk.move("BBB", 50.0)

    try:
        return Stop(desk.client(2), record, lambda _: None, timeout, sleep=look_away).run("drill", "ada")
    finally:
        record.close()


def test_long_and_short_are_closed_and_every_order_of_another_client_is_cancelled(desk, broker, paths):
    broker.place(Order("r1", "AAA", Side.BUY, 100), broker.next_order_id(1))
    broker.place(Order("r2", "BBB", Side.SELL, 40), broker.next_order_id(1))
    desk.move("AAA", 100.0)
    desk.move("BBB", 50.0)
    assert {one.symbol: one.quantity for one in broker.positions()} == {"AAA": 100, "BBB": -40}
    for number in range(20):
        order = Order(f"q{number}", "AAA", Side.BUY, 1, OrderType.LIMIT, limit=80.0)
        broker.place(order, broker.next_order_id(1))
    stopped = stopped_by(desk, paths)
    assert stopped.flat, str(stopped)
    assert stopped.closing_orders == 2
    assert broker.open_orders() == ()
    assert [one for one in broker.positions() if one.quantity] == []
    journal = Journal.open(Settings(), paths, ACCOUNT)
    assert journal.book.state is TradingState.HALTED
    assert sorted(one.order.signed for one in journal.book.orders.values()) == [-100, 40]
    journal.close()


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_runner_that_is_sending_is_halted_and_nothing_of_it_is_left(desk, broker, paths, after):
    lease = Lease.acquire(Settings(), paths, ACCOUNT)
    journal = Journal.open(Settings(), paths, ACCOUNT, lease=lease)
    journal.begin()
    ended: list[BaseException] = []

    def trade() -> None:
        try:
            while True:
                order = Order(journal.next_key(), "AAA", Side.BUY, 1, OrderType.LIMIT, limit=80.0)
                send(journal, broker, [Asked(order, Origin.OPERATOR)])
        except (TradingHalted, AlreadyRunning) as error:
            ended.append(error)

    runner = threading.Thread(target=trade)
    runner.start()
    time.sleep(after)
    stopped = stopped_by(desk, paths)
    runner.join(10)
    assert not runner.is_alive()
    assert len(ended) == 1
    assert stopped.flat, str(stopped)
    assert broker.open_orders() == ()
    assert HaltFile(paths, ACCOUNT).reason == "drill, by ada"
    at = datetime.fromisoformat(json.loads(HaltFile(paths, ACCOUNT).file.read_text())["at"])
    # Only an order that passed the file while it was being written can have left after it.
    left = [one for one in journal.sync().orders.values() if one.at > at and one.permanent_id]
    assert len(left) <= 1
    journal.close()
    lease.release()
