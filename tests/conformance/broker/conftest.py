"""The brokers that the suite holds for: an adapter adds a desk here, not tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.broker.desk import Desk, PaperDesk
from tests.conformance.broker.gateway import GatewayDesk
from workbench.live.broker import Broker

DESKS: dict[str, Callable[[Path], Desk]] = {"gateway": GatewayDesk, "paper": PaperDesk}


@pytest.fixture(params=sorted(DESKS))
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = DESKS[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture
def broker(desk: Desk) -> Broker:
    return desk.client(1)
