"""The emergency stop over the real client and a socket: what others hold, and orders on their way when it begins."""

from __future__ import annotations

import pytest
from ib_async import Contract, Position

from tests.live.ib.conftest import QUICK, market, told
from workbench.live.ib import IBBroker
from workbench.live.ib.wire import Gateway
from workbench.live.kill import Stopped, emergency_stop
from workbench.params import LiveParams, Paths, Settings


class Room:
    """A project in a folder beside a gateway, and its emergency stop."""

    def __init__(self, folder, sim, account: str, **params: float) -> None:
        (folder / "params").mkdir()
        self.live = LiveParams(**{"mode": "paper", "port": sim.port, "account": account, **QUICK, **params})
        self.settings, self.paths = Settings(live=self.live), Paths(folder)

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
