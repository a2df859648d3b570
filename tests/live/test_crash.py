"""Runners that are killed at any moment, and what is true of what they leave."""

from __future__ import annotations

import pytest

from tests.live.crash import Desk, NaiveRunner
from workbench.live.recovery import Outcome


def test_twenty_kills_lose_and_double_nothing(tmp_path):
    desk = Desk(tmp_path, seed=1)
    for _ in range(20):
        assert desk.kill_one() == []
    assert desk.sent > 40
    assert sum(desk.outcomes.values()) > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_kills_go_through_every_branch(tmp_path, request):
    desk = Desk(tmp_path, seed=1000)
    for _ in range(300):
        assert desk.kill_one() == []
    print(f"orders {desk.sent}, outcomes {dict(desk.outcomes)}")
    for outcome in (Outcome.ADOPT, Outcome.FILLED, Outcome.RESEND, Outcome.MISSING):
        assert desk.outcomes[outcome] >= 20, desk.outcomes


def test_a_naive_runner_is_found_out(tmp_path):
    desk = Desk(tmp_path, seed=2, runner=NaiveRunner)
    found: list[str] = []
    for _ in range(20):
        found += desk.kill_one()
        if any("times at the broker" in line for line in found) and any("intent" in line for line in found):
            break
    assert any("times at the broker" in line for line in found)
