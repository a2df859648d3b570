"""The adapter for Interactive Brokers at its desk: a simulated gateway on a socket, whose fills this desk gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conformance.broker.desk import AT, PRICES
from workbench.live.ib import IBBroker
from workbench.params import LiveParams
from workbench.tws import Simulator


class GatewayDesk:
    """Time stands still and nothing is matched by itself; what the market reaches is filled by hand."""

    def __init__(self, folder: Path) -> None:
        self.sim = Simulator(state=folder / "tws.db", factor=0, symbols=PRICES, start=AT.isoformat())
        self.sim.start()
        self.sim.fault("hold", state=True)
        self.made: list[IBBroker] = []
        self.triggered: set[int] = set()

    def client(self, number: int) -> IBBroker:
        broker = IBBroker(LiveParams(mode="paper", port=self.sim.port, client_id=number, kill_client_id=900))
        broker.connect()
        self.made.append(broker)
        return broker

    def move(self, symbol: str, price: float, volume: float | None = None) -> None:
        open_orders = [one for one in self.sim.orders() if one["status"] in ("Submitted", "PreSubmitted")]
        for one in open_orders:
            if one["symbol"] == symbol and "child" not in one["why_held"] and self.reached(one, price):
                left = one["quantity"] - one["filled"]
                at = price if one["limit"] is None else one["limit"]
                shares = min(left, int(volume or left))
                self.sim.fault("fill", client=one["client_id"], order_id=one["order_id"], shares=shares, price=at)
        for broker in self.made:  # what was told is heard once a later question is answered
            if broker.connected:
                broker.now()

    def reached(self, order: dict[str, Any], price: float) -> bool:
        buys = order["action"] == "BUY"
        if order["aux"] is not None and order["perm_id"] not in self.triggered:
            if not (price >= order["aux"] if buys else price <= order["aux"]):
                return False
            self.triggered.add(order["perm_id"])
        limit = order["limit"]
        return limit is None or (price <= limit if buys else price >= limit)

    def close(self) -> None:
        for broker in self.made:
            broker.close()
        self.sim.stop()
