"""Under simulated time an account is opened only at a gateway whose own clock proves that it is no real one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.live.ib.conftest import QUICK
from workbench.cli.trading import at_desk
from workbench.clock import read_clock, simulate
from workbench.errors import InputRefused
from workbench.params import LiveParams, Paths, Settings
from workbench.tws import Simulator

OPENED = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)  # where the gateway's time begins


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    simulate("sample", made, OPENED - timedelta(days=3))
    return made


def settings_of(sim: Simulator) -> Settings:
    return Settings(live=LiveParams(mode="paper", port=sim.port, **QUICK))


def test_a_gateway_that_tells_this_machines_time_is_left_at_once(paths):
    with Simulator(start="now", factor=1, symbols={"AAA": 100.0}) as sim:
        with (
            pytest.raises(InputRefused, match="as this machine does, so it may be a real one"),
            at_desk(settings_of(sim), paths, "reconcile"),
        ):
            raise AssertionError("the desk was opened")
        assert sim.log() == []
        assert sim.ask("sessions") == []
    assert not list(paths.state.glob("*.sending.lock"))  # nothing of the account was begun


def test_at_a_simulated_gateway_the_journal_and_the_project_go_by_its_clock(paths):
    with Simulator(factor=1, symbols={"AAA": 100.0}) as sim:
        with at_desk(settings_of(sim), paths, "reconcile") as (journal, broker, _):
            assert broker.account_id == "DU1234567"
            last = journal.book.last
            assert last is not None
            assert timedelta(0) <= last.at - OPENED < timedelta(minutes=1)
        assert timedelta(0) <= read_clock("sample", paths).now() - OPENED < timedelta(minutes=1)
