"""What the suite needs of an adapter beside the protocol: a market that it moves, and other people on the account."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from workbench.live.broker import Broker
from workbench.live.paper import PaperBroker, Print, PushedMarket, SteppedClock
from workbench.params import CostParams

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)  # a Tuesday, half an hour after the open
PRICES = {"AAA": 100.0, "BBB": 50.0}


class Desk(Protocol):
    """One account of 1,000,000 USD with nothing in it; AAA costs 100, BBB 50."""

    def client(self, number: int) -> Broker:
        """Return a broker that is connected as this client."""
        ...

    def move(self, symbol: str, price: float, volume: float | None = None) -> None:
        """Let the market trade at a price, at most this many shares for us."""
        ...

    def close(self) -> None:
        """Take everything down."""
        ...


class PaperDesk:
    """The paper broker with pushed prices, without spread, IB's fixed commission."""

    def __init__(self, folder: Path) -> None:
        self.clock = SteppedClock(AT)
        self.market = PushedMarket(self.clock, dict(PRICES))
        self.folder = folder
        self.made: list[PaperBroker] = []

    def client(self, number: int) -> PaperBroker:
        broker = PaperBroker(
            self.folder / "paper.db", self.market, costs=CostParams(spread_bps=0.0), participation=1.0, client_id=number
        )
        broker.connect()
        self.made.append(broker)
        return broker

    def move(self, symbol: str, price: float, volume: float | None = None) -> None:
        self.market.push(Print.of(symbol, self.clock(), price, volume))
        self.made[0].now()

    def close(self) -> None:
        for broker in self.made:
            broker.close()
