"""The emergency stop over the real client and a socket: what others hold, and orders on their way when it begins."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from ib_async import Contract, Position

from tests.live.conftest import wanted
from tests.live.ib.conftest import QUICK, limit, market, told, until
from workbench.cli.trading import stop_by_itself
from workbench.errors import AlreadyRunning, TradingHalted
from workbench.live import dispatch
from workbench.live.dispatch import send
from workbench.live.gate import Asked, Origin
from workbench.live.ib import IBBroker
from workbench.live.ib.wire import Gateway
from workbench.live.journal.journal import Journal
from workbench.live.kill import Stopped, emergency_stop
from workbench.live.lease import Lease
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import OrderType, Side


class Room:
    """A project in a folder beside a gateway, and its emergency stop."""

    def __init__(self, folder, sim, account: str, **params: float) -> None:
        (folder / "params").mkdir()
        self.live = LiveParams(**{"mode": "paper", "port": sim.port, "account": account, **QUICK, **params})
        self.settings, self.paths = Settings(live=self.live), Paths(folder)

    @contextmanager
    def runner(self) -> Iterator[tuple[IBBroker, Journal]]:
        """Connect as the runner does, with the lease and in a session."""
        broker = IBBroker(self.live)
        broker.connect()
        lease = Lease.acquire(self.settings, self.paths, broker.account_id)
        journal = Journal.open(self.settings, self.paths, broker.account_id, lease=lease)
        journal.begin()
        try:
            yield broker, journal
        finally:
            journal.close()
            lease.release()
            broker.close()

    def stop(self, timeout: float = 15.0) -> Stopped:
        killer = IBBroker(self.live, self.live.kill_client_id)
        try:
            return emergency_stop(self.settings, self.paths, killer, reason="a test of it", who="ada", timeout=timeout)
        finally:
            killer.close()


def hold_more(monkeypatch: pytest.MonkeyPatch, account: str, **held: float) -> None:
    """Let the gateway tell of more positions than it can trade."""
    whole = Gateway.reqPositionsAsync

    async def more(gateway: Gateway) -> list[Position]:
        found = list(await whole(gateway))
        for number, (symbol, size) in enumerate(held.items()):
            contract = Contract(conId=900 + number, symbol=symbol, secType="STK", currency="USD")
            found.append(Position(account, contract, size, 10.0))
        return found

    monkeypatch.setattr(Gateway, "reqPositionsAsync", more)


def test_half_a_share_of_another_keeps_nothing_from_being_closed(tmp_path, sim, broker, monkeypatch):
    broker.place(market("k1"), broker.next_order_id(1))
    told(broker)
    assert dict(sim.positions()) == {"AAA": 100}
    hold_more(monkeypatch, broker.account_id, DRIP=0.5)
    stopped = Room(tmp_path, sim, broker.account_id).stop()
    assert dict(sim.positions()) == {}
    assert not stopped.flat
    assert stopped.positions == {"DRIP": 0.5}
    assert stopped.troubles == ("DRIP: +0.5 shares are left; only whole shares can be closed here",)


def test_half_a_share_of_another_keeps_no_runner_from_connecting(sim, broker, make, monkeypatch):
    hold_more(monkeypatch, broker.account_id, DRIP=0.5)
    broker.cut()
    broker.connect()
    assert [(one.symbol, one.quantity, one.part) for one in broker.positions()] == [("DRIP", 0, 0.5)]


def test_it_closes_beside_a_runner_whose_order_ids_are_seconds_since_1970(tmp_path, sim):
    room = Room(tmp_path, sim, ACCOUNT)
    with room.runner() as (broker, journal):
        broker.place(limit("of another program", 50.0), 1_763_750_000)
        send(journal, broker, [wanted(journal.next_key())])
        until(lambda: dict(sim.positions()) == {"AAA": 100})
        stopped = room.stop()
    assert (stopped.flat, stopped.troubles, dict(sim.positions())) == (True, (), {})


def test_the_stop_of_the_monitor_leaves_its_client_id_to_the_person_who_stops_next(tmp_path, sim):
    room = Room(tmp_path, sim, ACCOUNT)
    first = stop_by_itself(room.settings, room.paths, "too much is lost")
    second = room.stop(timeout=3.0)
    assert (first.flat, second.flat, second.troubles) == (True, True, ())


ACCOUNT = "DU1234567"
SLOW = {
    "heartbeat_seconds": 4.0, "heartbeat_answer_seconds": 5.0, "order_seconds": 5.0, "answer_seconds": 5.0,
}  # fmt: skip


def bracket() -> list[Asked]:
    child = {"side": Side.SELL, "origin": Origin.PROTECTION, "tif": "GTC", "parent": "p", "oca": "o"}
    stop, target = wanted("s", **child), wanted("t", limit=120.0, **child)  # type: ignore[arg-type]
    order = replace(stop.order, type=OrderType.STOP, stop=90.0)
    return [wanted("p"), replace(stop, order=order), target]


def placed_beside_the_stop(room: Room, sim, send: Callable[[], object], begun: Callable[[], object]) -> list[object]:
    """Send in a thread, stop once that has begun, and return what the sender got."""
    told: list[object] = []

    def sending() -> None:
        try:
            told.append(send())
        except Exception as error:
            told.append(error)

    thread = threading.Thread(target=sending)
    thread.start()
    until(begun)
    time.sleep(0.1)
    assert room.stop().flat
    thread.join()
    time.sleep(0.5)
    log = sim.log()
    last = max(one["number"] for one in log if one["kind"] == "reqGlobalCancel")
    assert [one for one in log if one["kind"] == "placeOrder" and one["number"] > last] == []
    assert dict(sim.positions()) == {}
    return told


def test_a_bracket_that_waits_to_be_let_go_is_taken_back_where_the_stop_comes_first(tmp_path, sim):
    room = Room(tmp_path, sim, ACCOUNT, **SLOW)
    with room.runner() as (broker, journal):
        broker.instrument("AAA")
        sim.fault("delay", message="currentTime", seconds=3.0, client=room.live.client_id)
        send = lambda: dispatch.send_bracket(journal, broker, bracket())  # noqa: E731
        begun = lambda: any(one["kind"] == "placeOrder" for one in sim.log())  # noqa: E731
        (halted,) = placed_beside_the_stop(room, sim, send, begun)
        assert isinstance(halted, AlreadyRunning), halted  # it may not even write that nothing left
        assert isinstance(halted.__context__, TradingHalted)
        assert [one for one in sim.orders() if one["status"] not in ("Cancelled", "ApiCancelled")] == []


def test_an_order_whose_contract_is_looked_up_meanwhile_does_not_leave_after_the_stop(tmp_path, sim):
    room = Room(tmp_path, sim, ACCOUNT, **SLOW)
    with room.runner() as (broker, journal):
        for part in ("contractDetails", "contractDetailsEnd"):
            sim.fault("delay", message=part, seconds=3.0, client=room.live.client_id)
        send = lambda: dispatch.send(journal, broker, [wanted("k1")])  # noqa: E731
        (halted,) = placed_beside_the_stop(room, sim, send, lambda: journal.book.orders)
        assert isinstance(halted, AlreadyRunning), halted
        assert isinstance(halted.__context__, TradingHalted)
        assert sim.orders() == []
