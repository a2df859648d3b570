"""The demo really runs what it shows: an act that must be killed is killed, and another ending stops it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.demo import KILLED, Act, Stage, perform
from workbench.errors import WorkbenchError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    shutil.copytree(ROOT / "params", tmp_path / "params")
    return Stage(tmp_path, tmp_path / "keys")


SERVES = Act(
    "A program that would run for ever.", "workbench tws-sim", ("tws-sim", "--port", "0"), KILLED, "gateway on"
)


def test_a_program_is_killed_a_moment_after_the_line_that_is_named(stage: Stage) -> None:
    shown: list[str] = []
    said = perform(stage, SERVES, shown.append)
    assert said.startswith("gateway on port ")
    assert shown == said.splitlines()


def test_an_act_that_ends_otherwise_stops_the_demo(stage: Stage) -> None:
    with pytest.raises(WorkbenchError, match="'workbench tws-sim' ended with -9 instead of 0"):
        perform(stage, replace(SERVES, ends=0), lambda line: None)
