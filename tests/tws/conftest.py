"""A simulator whose time stands still, and a client of bytes."""

from __future__ import annotations

import pytest

from tests.tws.wire import Wire
from workbench.tws import Simulator


@pytest.fixture
def sim():
    with Simulator(seed=7, factor=0) as sim:
        yield sim


@pytest.fixture
def wire(sim):
    with Wire(sim.port) as wire:
        yield wire
