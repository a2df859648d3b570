"""A table in the terminal: nothing is cut off, however narrow it is."""

from __future__ import annotations

import re

import pytest

from workbench.cli.edge import show_table

COLUMNS = ["#", "strategy", "Sharpe", "95 %", "in sample", "trials", "DSR", "CAGR", "max DD", "folds > 0"]
ROWS = [
    ["1", "xs_momentum", "1.18", "0.41 … 1.95", "1.87", "12", "> 99.9 %", "12.0 %", "−12.3 %", "9/11"],
    ["2", "mean_reversion", "0.90", "0.11 … 1.66", "1.31", "9", "98.4 %", "8.1 %", "−8.9 %", "8/11"],
]


def lines_at(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal
    monkeypatch.setenv("COLUMNS", str(width))
    show_table("Out of sample", COLUMNS, ROWS, numbers_from=2)
    return [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()]


def test_in_a_wide_terminal_it_is_one_table(capsys, monkeypatch):
    lines = lines_at(160, capsys, monkeypatch)
    assert sum("strategy" in line for line in lines) == 1
    assert all(cell in next(line for line in lines if "xs_momentum" in line) for cell in ROWS[0])


@pytest.mark.parametrize("width", [60, 80, 100])
def test_what_does_not_fit_stands_in_a_table_below_beside_the_names(width, capsys, monkeypatch):
    lines = lines_at(width, capsys, monkeypatch)
    assert max(map(len, lines)) <= width
    assert sum("strategy" in line for line in lines) > 1
    for row in ROWS:
        shown = " ".join(line for line in lines if row[1] in line)
        assert all(cell in shown for cell in row)
    assert sum("Out of sample" in line for line in lines) == 1


def test_a_cell_wider_than_the_terminal_is_folded(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    folder = "data/runs/backtest-2026-11-22T01-02-03-a-long-name/"
    show_table("Runs", ["run", "folder"], [["1", folder]])
    assert folder in re.sub(r"\x1b\[[0-9;]*m|\s", "", capsys.readouterr().out)


@pytest.mark.parametrize("question", ["Does a breakout [ex-financials] pay?", "long [/long] and [red]short"])
def test_brackets_in_a_cell_are_shown_as_they_were_written(question, capsys):
    show_table("Trials", ["question", "trials"], [[question, "9"]])
    assert question in capsys.readouterr().out
