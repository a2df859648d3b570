"""What a cell of a notebook walked forward is counted when it has ended, in a shell as notebooks have it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from workbench.backtest.trials import Ledger, Question, count_trials
from workbench.params import Paths, Settings, StrategyParams
from workbench.registry.counting import counted_on_error
from workbench.step import Step
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


def raising(self: object, bars: Bars) -> None:
    raise ZeroDivisionError


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


def test_a_failure_that_its_run_counts_is_not_counted_a_second_time(shell, monkeypatch):
    monkeypatch.setattr("workbench.strategies.sma_cross.SmaCross.weights", lambda self, bars: 1 / 0)
    shell.push({"counted_on_error": counted_on_error, "paths": Paths(), "kept": []})
    typed(shell, f"with counted_on_error(paths, settings, 'sma_cross', 'r-1', kept.append):\n    {ASKED}")
    table = Ledger(Paths().trials).trials()
    assert table[["source", "run_id"]].to_numpy().tolist() == [["failed", "r-1"]]
    assert shell.user_ns["kept"]


# MLflow has not followed SQLAlchemy 2.1 yet.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
def test_a_backtest_that_fails_after_its_walk_forward_counts_its_cells_once_however_often_it_is_run(shell):
    notebook = json.loads((Path(__file__).parents[2] / "notebooks" / "steps" / "walk_forward.ipynb").read_text())
    opening, recording = ("".join(cell["source"]) for cell in notebook["cells"] if cell["id"] in ("2", "3"))
    shell.run_cell(opening.partition("step = ")[0])
    step = Step("walk_forward", "run", SMALL, Paths(), Paths().root / "step")
    shell.push({"step": step, "strategy": "sma_cross", "lake": None, "versions": {}})
    recorded = "tables = " + recording.partition("tables = ")[2]
    step.folder.write_text("a file where a folder should be")
    for _ in range(2):
        assert isinstance(shell.run_cell(recorded).error_in_exec, OSError)
    (question,) = Ledger(Paths().trials).questions().to_dict("records")
    assert (question["trials"], question["failed"], question["evaluations"]) == (4, 0, 8)
    assert counted("walk_forward") == 4


def test_an_error_that_is_its_own_cause_counts_once_and_the_cell_ends(shell, monkeypatch):
    def weights(self: object, bars: Bars) -> None:
        try:
            raising(self, bars)
        except ZeroDivisionError as error:
            raise error from error

    def hangs(*_: object) -> None:
        pytest.fail("the cell does not end")

    monkeypatch.setattr("workbench.strategies.sma_cross.SmaCross.weights", weights)
    shell.push({"counted_on_error": counted_on_error, "paths": Paths(), "kept": []})
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(20)
    try:
        typed(shell, ASKED)
        assert counted("failed") == counted() == 1
        typed(shell, f"with counted_on_error(paths, settings, 'sma_cross', 'r-1', kept.append):\n    {ASKED}")
        assert counted("failed") == 1
        assert Ledger(Paths().trials).trials()["run_id"].tolist() == ["", "r-1"]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_one_that_is_stopped_counts_once(shell, monkeypatch):
    def stopped(self: object, bars: Bars) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.strategies.sma_cross.SmaCross.weights", stopped)
    typed(shell, ASKED)
    typed(shell, ASKED)
    table = Ledger(Paths().trials).trials(Question(QUESTION, "sample"))
    assert table[["source", "error"]].to_numpy().tolist() == [["failed", "KeyboardInterrupt"]]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("walk_forward('sma_cross', params, None, settings)", AttributeError),
        ("walk_forward('sma_cross', {'grid': 1}, bars, settings)", AttributeError),
        ("walk_forward('sma_cross', params)", TypeError),
        ("walk_forward(nothing=1)", TypeError),
    ],
)
def test_what_cannot_be_asked_raises_its_own_error_and_counts_nothing(shell, asked, error):
    raised = shell.run_cell(asked).error_in_exec
    assert type(raised) is error
    assert raised.__context__ is None
    assert counted() == 0


def test_what_a_ledger_refused_is_counted_when_it_is_back(shell, monkeypatch, capsys):
    Paths().trials.parent.mkdir(parents=True)
    Paths().trials.write_text("no database")
    typed(shell, ASKED)
    with monkeypatch.context() as failing:
        failing.setattr("workbench.strategies.sma_cross.SmaCross.weights", raising)
        typed(shell, ASKED)
    assert capsys.readouterr().out.count("not counted as trials: trials.db: damaged") == 2
    Paths().trials.unlink()
    typed(shell, "1 + 1")
    assert (counted("notebook"), counted("failed")) == (4, 1)
    typed(shell, "1 + 1")
    assert capsys.readouterr().out.count("trials counted") == 1


def test_a_ledger_that_cannot_be_written_is_told_in_the_cell(shell, capsys):
    Paths().trials.parent.mkdir(parents=True)
    Paths().trials.write_text("no database")
    typed(shell, ASKED)
    assert "not counted as trials: " in capsys.readouterr().out
