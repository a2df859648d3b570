"""What a runner forgets of the past must not be done again: after a fortnight off, and a first try that failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.test_exits import make  # noqa: F401 (the fixture: bars on which levels are reached)
from tests.live.test_exits import seat as bounded
from tests.live.test_runner import Stage, bars, last_days, seat  # noqa: F401 (bars is a fixture)
from workbench.live.rehearsal import EARLY
from workbench.live.report import SessionReport
from workbench.types import Bars

SESSIONS = 12


def after_a_fortnight(stage: Stage, *, failed: bool) -> SessionReport:
    """Trade the first session and the last one; ``failed``: the last one was begun before, and came to no decision."""
    rehearsal = stage.open()
    assert len(rehearsal.trade(rehearsal.sessions[0]).orders) > 0
    far = rehearsal.sessions[SESSIONS - 1]
    rehearsal.broker.connect()
    rehearsal._wait(rehearsal.calendar.opens(far) - EARLY)
    if failed:
        rehearsal.journal.begin(date=str(far), equity=rehearsal.broker.account().equity, seats={}, limits="")
    report = rehearsal.trade(far)
    rehearsal.close()
    return report


@pytest.mark.parametrize("failed", [False, True])
def test_an_unchanged_weight_is_not_traded(tmp_path: Path, bars: Bars, failed: bool) -> None:  # noqa: F811
    day = last_days(bars, SESSIONS + 1)[0]
    stage = Stage(tmp_path, bars, (seat("one", {day: {"AAA": 0.5}}),), count=SESSIONS)
    assert after_a_fortnight(stage, failed=failed).orders == ()


@pytest.mark.parametrize("failed", [False, True])
def test_what_a_stop_closed_is_stayed_out_of(tmp_path: Path, make: Callable[..., Bars], failed: bool) -> None:  # noqa: F811
    fallen = make(low={28: 90.0})
    day = last_days(fallen, SESSIONS + 1)[0]
    stage = Stage(tmp_path, fallen, (bounded("one", {day: {"AAA": 0.5}}),), count=SESSIONS)
    assert after_a_fortnight(stage, failed=failed).orders == ()
