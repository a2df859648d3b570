"""What a cell of a notebook walked forward is counted when it has ended, in a shell as notebooks have it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from workbench.backtest.trials import Ledger, Question, count_trials
from workbench.params import Paths, Settings, StrategyParams
from workbench.types import Bars

QUESTION = "Do averages that cross pay?"
SMALL = Settings(
    sizing={"volatility_sessions": 20},
    data={"benchmark": "HLT00"},
    walk_forward={"warm_up_sessions": 60, "train_sessions": 100, "test_sessions": 50},
)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, walk: Bars) -> Iterator[InteractiveShell]:
    """A notebook's shell in a project of its own, with bars, parameters and settings at hand."""
    shutil.copytree(Path(__file__).parents[2] / "params", tmp_path / "params")
    monkeypatch.setenv("WORKBENCH_ROOT", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    grid = StrategyParams(question=QUESTION, grid={"fast": [5, 10], "slow": [20, 40]})
    made.push({"bars": walk, "params": grid, "settings": SMALL, "count_trials": count_trials, "replace": replace})
    made.run_cell("from workbench.backtest.walkforward import walk_forward")
    yield made
    made.history_manager.end_session()
    InteractiveShell.clear_instance()


def typed(shell: InteractiveShell, line: str) -> Any:
    """Run a cell and return what it left under ``found``."""
    shell.run_cell(line)
    return shell.user_ns.get("found")


def counted(source: str = "") -> int:
    table = Ledger(Paths().trials).trials(Question(QUESTION, "sample"))
    return int((table["source"] == source).sum()) if source else len(table)


ASKED = "found = walk_forward('sma_cross', params, bars, settings)"


def test_a_walk_forward_counts_when_its_cell_has_ended(shell, capsys):
    typed(shell, ASKED)
    assert counted("notebook") == 4
    assert "sma_cross: 4 trials counted; its question has 4 in all" in capsys.readouterr().out
    typed(shell, ASKED)
    assert counted() == 4  # the same again


def test_what_a_cell_counts_itself_is_not_counted_a_second_time(shell, capsys):
    typed(shell, f"{ASKED}; receipt = count_trials(found)")
    assert shell.user_ns["receipt"].added == counted() == 4
    assert "trials counted" not in capsys.readouterr().out


def test_what_a_cell_adds_to_a_walk_forward_before_it_counts_it_makes_no_second_trial(shell, capsys):
    typed(shell, f"{ASKED}; found = replace(found, robustness=None); receipt = count_trials(found)")
    assert shell.user_ns["receipt"].added == counted() == 4
    assert "trials counted" not in capsys.readouterr().out


def test_one_that_raises_counts_as_a_failed_run_and_one_that_is_refused_does_not(shell, monkeypatch, capsys):
    typed(shell, "walk_forward('sma_cross', params, bars.select(['HLT01']), settings)")
    assert counted() == 0
    monkeypatch.setattr("workbench.strategies.sma_cross.SmaCross.weights", lambda self, bars: 1 / 0)
    typed(shell, ASKED)
    assert counted("failed") == 1
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_ledger_that_cannot_be_written_is_told_in_the_cell(shell, capsys):
    Paths().trials.parent.mkdir(parents=True)
    Paths().trials.write_text("no database")
    typed(shell, ASKED)
    assert "not counted as trials: " in capsys.readouterr().out
