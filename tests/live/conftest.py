"""What the tests of the live part share: a project in a folder, and what is asked for in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workbench.alerts.outbox import Outbox
from workbench.live.gate.facts import Asked, Origin
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.paper import PaperBroker, Print, PushedMarket, SteppedClock
from workbench.params import CostParams, Paths, Settings
from workbench.trading import Order, OrderType, Side

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)  # a Tuesday, half an hour after the open


@dataclass
class Project:
    """One account, one clock, and whatever was opened on them."""

    paths: Paths
    settings: Settings = field(default_factory=Settings)
    clock: SteppedClock = field(default_factory=lambda: SteppedClock(AT))
    account: str = "PAPER"
    _opened: list[Callable[[], None]] = field(default_factory=list)

    def lease(self, holder: str = "runner") -> Lease:
        lease = Lease.acquire(self.settings, self.paths, self.account, holder)
        self._opened.append(lease.release)
        return lease

    def journal(self, lease: Lease | None = None) -> Journal:
        journal = Journal.open(self.settings, self.paths, self.account, lease=lease, clock=self.clock)
        self._opened.append(journal.close)
        return journal

    def outbox(self) -> Outbox:
        return Outbox.open(self.settings, self.paths, clock=self.clock)

    def close(self) -> None:
        for close in reversed(self._opened):
            close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(Paths(tmp_path))
    yield made
    made.close()


@pytest.fixture
def journal(project: Project) -> Journal:
    """A journal with its lease, in its first session."""
    journal = project.journal(project.lease())
    journal.begin()
    return journal


@dataclass
class Venue:
    """The paper broker at pushed prices: AAA and BBB at 100, no spread."""

    project: Project
    market: PushedMarket
    broker: PaperBroker

    def move(self, symbol: str, price: float, volume: float | None = None) -> None:
        self.market.push(Print.of(symbol, self.project.clock(), price, volume))
        self.broker.now()

    def stranger(self) -> PaperBroker:
        """Return another client of the account."""
        other = PaperBroker(
            self.project.paths.root / "paper.db", self.market, costs=CostParams(spread_bps=0.0), participation=1.0,
            client_id=9,
        )  # fmt: skip
        other.connect()
        self.project._opened.append(other.close)
        return other


@pytest.fixture
def venue(project: Project) -> Venue:
    market = PushedMarket(project.clock, {"AAA": 100.0, "BBB": 100.0})
    file = project.paths.root / "paper.db"
    broker = PaperBroker(file, market, costs=CostParams(spread_bps=0.0), participation=1.0)
    broker.connect()
    project._opened.append(broker.close)
    return Venue(project, market, broker)


def wanted(
    key: str, quantity: int = 100, side: Side = Side.BUY, *, shares: dict[str, int] | None = None,
    origin: Origin = Origin.STRATEGY, symbol: str = "AAA", limit: float | None = None, **more: object,
) -> Asked:  # fmt: skip
    """Return an order that somebody wants, for strategy 'one' unless told."""
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    order = Order(key, symbol, side, quantity, kind, limit=limit, **more)  # type: ignore[arg-type]
    return Asked(order, origin, {"one": order.signed} if shares is None else shares)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
