"""Runners that are killed at any moment while orders flow, and what is true of what they leave."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.proofs import machine as machine_module
from tests.live.proofs.machine import RETURNS, VENUES, WRONG, Machine, Runner
from workbench.live.journal import journal as journal_module

AT_ONE_ACCOUNT = 25  # kills; then a new account, for a history is read and checked whole after each


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A halt waits for the order that is being sent: on a busy machine that is slow, and does not hang."""
    monkeypatch.setattr(journal_module, "HALT_SECONDS", 20.0)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("venue", "kills"),
    [
        ("gateway", 80),
        ("paper", 20),
        pytest.param("gateway", 800, marks=pytest.mark.slow),
        pytest.param("paper", 200, marks=pytest.mark.slow),
    ],
)
def test_kill_9_at_any_moment_loses_and_doubles_nothing(
    quick_path: Path, venue: str, kills: int, figures: Callable[..., None]
) -> None:
    outcomes: Counter[str] = Counter()
    sent = early = halted = done = 0
    start = time.monotonic()
    while done < kills:
        folder = quick_path / str(done)
        folder.mkdir()
        broker = VENUES[venue](folder, done)
        machine = Machine(folder, broker, seed=1_000 * kills + done)
        try:
            for _ in range(min(AT_ONE_ACCOUNT, kills - done)):
                assert machine.kill_one() == []
        finally:
            broker.close()
        outcomes += machine.outcomes
        done, sent, early, halted = (
            done + machine.kills, sent + machine.sent, early + machine.early, halted + machine.halted,
        )  # fmt: skip
    figures(
        kills=done, while_recovering=early, while_halted=halted, orders_sent=sent,
        **{one.value: outcomes[one.value] for one in RETURNS}, seconds=round(time.monotonic() - start, 1),
    )  # fmt: skip
    for one in RETURNS:
        assert outcomes[one.value] >= kills // 50, outcomes  # 20 in 1,000


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_a_runner_that_does_it_wrong_is_found_out(quick_path: Path, wrong: type[Runner]) -> None:
    broker = VENUES["gateway"](quick_path, 7)
    machine = Machine(quick_path, broker, seed=7, runner=wrong, halts=1.0 if wrong is machine_module.Deaf else 0.15)
    found: list[str] = []
    try:
        for _ in range(30):
            found += machine.kill_one()
            if any(re.search(WRONG[wrong], line) for line in found):
                return
    finally:
        broker.close()
    pytest.fail(f"{wrong.__name__} was not found out in 30 kills: {found[:5]}")
