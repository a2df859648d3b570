"""The trial ledger as a user meets it: counted by the backtest, shown and checked by a command."""

import re
import shutil
import sqlite3
from contextlib import closing

import pytest

from workbench.backtest.trials import Ledger

pytestmark = pytest.mark.e2e

# params/strategies: grids of 3 × 3, 3 × 3 and 4 × 3
GRIDS = {"mean_reversion": 9, "sma_cross": 9, "xs_momentum": 12}


def test_every_cell_of_the_backtest_is_in_the_ledger(backtested):
    clone, done = backtested
    table = Ledger(clone.root / "data" / "state" / "trials.db").trials()
    # Other tests try more in the same clone: the first backtest's are each strategy's first batch.
    walked = table.loc[table["batch"] == table.groupby("strategy")["batch"].transform("min")]
    walked = walked.loc[walked["strategy"].isin(GRIDS)]
    assert walked.groupby("strategy").size().to_dict() == GRIDS
    assert set(walked["source"]) == {"walk_forward"}
    assert set(walked["status"]) == {"done"}
    assert all(name in done.stdout for name in ("trials", "DSR", "PBO"))


def test_the_backtest_counts_no_cell_twice(backtested):
    _, done = backtested
    ranked = {row[1]: row for row in (re.split(r" {2,}", line.strip()) for line in done.stdout.splitlines()) if row[1:]}
    place = next(row for row in ranked.values() if row[0] == "#").index("trials")
    assert {strategy: int(ranked[strategy][place]) for strategy in GRIDS} == GRIDS


def test_the_command_shows_the_questions_and_that_the_ledger_is_whole(backtested):
    clone, _ = backtested
    shown = clone.run("trials")
    assert shown.returncode == 0, shown.stderr
    assert "Does holding what trades above its slow average pay" in shown.stdout
    assert "whole: " in shown.stdout
    assert "runs keep a head of it" in shown.stdout


def test_a_trial_taken_out_is_one_line_and_an_exit_code(backtested, tmp_path):
    clone, _ = backtested
    file = clone.root / "data" / "state" / "trials.db"
    shutil.copy(file, tmp_path / "kept.db")
    try:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("DROP TRIGGER trials_DELETE")
            connection.execute("DELETE FROM trials WHERE rowid = (SELECT min(rowid) FROM trials WHERE batch = 1)")
        shown = clone.run("trials")
    finally:
        shutil.copy(tmp_path / "kept.db", file)
    assert shown.returncode == 1
    assert shown.stderr.startswith("error: trials.db: batch 1 of ")
    assert "does not match its digest" in shown.stderr
    assert shown.stderr.count("\n") == 1
