"""`workbench sweep` as a user types it, on a small market."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from workbench.backtest.trials import Ledger

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


def test_a_sweep_shows_the_plateau_and_where_everything_is(backtested):
    clone, _ = backtested
    done = clone.run("sweep", "sma_cross", "--grid", "fast=5:20:5", "--grid", "slow=[50, 75, 100]")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 cells × " in done.stdout
    assert "The best plateaus of 12 cells · sharpe · sample market" in done.stdout
    assert re.search(r"The peak fast=\d+ slow=\d+ \(Sharpe ", done.stdout) or "No cell earned" in done.stdout
    page, table = (re.search(rf"  {name} +(\S+)", done.stdout)[1] for name in ("page", "table"))
    assert (clone.root / page).is_file()
    assert (clone.root / table).is_file()
    again = clone.run("sweep", "sma_cross", "--grid", "fast=5:20:5", "--grid", "slow=[50, 75, 100]")
    assert "going on with" in again.stdout
    assert f"  page   {page}" in again.stdout


def test_cells_that_the_backtest_tried_are_not_counted_again(backtested):
    clone, _ = backtested
    ledger = Ledger(clone.root / "data" / "state" / "trials.db")
    before = ledger.count()
    done = clone.run("sweep", "xs_momentum")
    assert done.returncode == 0, done.stdout + done.stderr
    # The file's grid is what the walk-forward tried: 4 formations × 3 quantiles.
    assert "12 cells" in done.stdout
    assert ledger.count() == before


def test_trials_search_instead_of_the_grid(backtested):
    clone, _ = backtested
    done = clone.run("sweep", "mean_reversion", "--trials", "10", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 trials of up to 64 cells between the ends of the grid by tpe, seed 5" in done.stdout


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(backtested, tmp_path):
    clone, _ = backtested
    folders = clone.root / "data" / "runs"
    before = set(folders.glob("*-sweep-*/cells/*.parquet"))
    words = [sys.executable, "-m", "workbench.cli", "sweep", "sma_cross", "--grid", "fast=5:60:1"]
    process = subprocess.Popen(
        [*words, "--set", "search.workers=1"],
        cwd=clone.root,
        env={"PYTHONPATH": str(clone.root / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 120
    # The first four cells are kept one by one, so the fifth file is a batch.
    while len(set(folders.glob("*-sweep-*/cells/*.parquet")) - before) < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130, text
    run_id = re.search(r"go on with: workbench sweep --resume (\S+)", text)[1]
    facts = json.loads((folders / run_id / "sweep.json").read_text())
    assert facts["status"] == "stopped"
    assert facts["measurements"] >= 4
    resumed = clone.run("sweep", "--resume", run_id)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"going on with {run_id}: " in resumed.stdout
    assert json.loads((folders / run_id / "sweep.json").read_text())["status"] == "done"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sma_cros"], "Did you mean 'sma_cross'?"),
        ([], "name a strategy, one of sma_cross"),
        (["sma_cross", "--grid", "fsat=5:60:5"], "unknown parameter 'fsat'. Did you mean 'fast'?"),
        (["sma_cross", "--grid", "fast=60:5:5"], "begins at 60, above its end 5"),
        (["sma_cross", "--grid", "fast=[]"], "the list is empty"),
        (["sma_cross", "--grid", "fast=[500, 600]"], "must be at least 1 and below slow"),
        (["sma_cross", "--grid", "fast=1:2000:1", "--grid", "slow=1:2000:1"], "4,000,000 cells are more than"),
        (["sma_cross", "--trials", "-3"], "--trials -3: must be at least 1"),
        (["sma_cross", "--trials", "0"], "--trials 0: must be at least 1"),
        (["sma_cross", "--trials", "3", "--sampler", "tep"], "--sampler tep: no such sampler. Did you mean 'tpe'?"),
        (["--resume", "nothing"], "--resume nothing: no such sweep"),
        (["sma_cross", "--resume", "nothing"], "leave strategy, --grid and --set out"),
        (["sma_cross", "--set", "search.workers=0"], "search.workers"),
    ],
)
def test_input_that_makes_no_sense_is_one_line_and_exit_2(backtested, words, error):
    clone, _ = backtested
    done = clone.run("sweep", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert error in line
