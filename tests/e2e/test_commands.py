"""The commands a user types, on a copy of this checkout with a small market."""

import html
import json
import sqlite3
from contextlib import closing

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def one_line(done, code: int) -> str:
    """The error of a command, with its exit code: the last line on stderr, and the only one where nothing ran."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines[-1].startswith("error: "), done.stderr
    assert [line for line in lines if line.startswith("error: ")] == [lines[-1]]
    assert "Traceback" not in done.stderr
    if code == 2:
        assert len(lines) == 1, done.stderr
    return lines[-1]


def runs_in(clone) -> int:
    with closing(sqlite3.connect(clone.root / "mlruns" / "mlflow.db")) as connection:
        query = "select count(*) from runs r join experiments e using (experiment_id) where e.name = 'backtest'"
        return connection.execute(query).fetchone()[0]


def test_backtest_ranks_three_strategies_and_leaves_tear_sheets_and_runs(backtested):
    clone, done = backtested
    for name in ("sma_cross", "xs_momentum", "mean_reversion"):
        assert name in done.stdout
    assert "Out of sample, after costs" in done.stdout
    assert "sample market" in done.stdout
    sheets = [line.split()[-1] for line in done.stdout.splitlines() if line.strip().startswith("tear sheet")]
    assert len(sheets) == 3
    for sheet in sheets:
        page = (clone.root / sheet).read_text()
        assert "SAMPLE MARKET" in page
        assert 'src="http' not in page
    assert runs_in(clone) == 3


def test_executed_notebooks_are_kept_with_their_outputs(backtested):
    clone, _ = backtested
    books = list((clone.root / "data" / "runs").glob("*/*/notebook.ipynb"))
    names = {book.parent.name for book in books}
    assert {"ingest", "validate", "features", "walk_forward-sma_cross", "compare", "report"} <= names
    for book in books:
        cells = json.loads(book.read_text())["cells"]
        assert any(cell.get("outputs") for cell in cells), book


def test_nothing_runs_again_when_nothing_changed(backtested):
    clone, first = backtested
    before = runs_in(clone)
    again = clone.run("backtest")
    assert again.returncode == 0, again.stderr
    table = [line for line in first.stdout.splitlines() if "sma_cross" in line and "…" in line]
    assert table
    assert table[0] in again.stdout
    assert runs_in(clone) == before


def sheet_of(done, strategy: str) -> str:
    """The tear sheet that a backtest named for a strategy."""
    lines = [line.split()[-1] for line in done.stdout.splitlines() if line.strip().startswith("tear sheet")]
    return next(line for line in lines if strategy in line)


def test_a_tear_sheet_that_was_deleted_is_made_again(backtested):
    clone, first = backtested
    lost = clone.root / sheet_of(first, "sma_cross")
    lost.unlink()
    again = clone.run("backtest", "--strategy", "sma_cross")
    assert again.returncode == 0, again.stderr
    made = clone.root / sheet_of(again, "sma_cross")
    assert made.is_file()
    assert made != lost


def test_another_setting_runs_what_depends_on_it_and_no_more(backtested):
    clone, _ = backtested
    before = runs_in(clone)
    done = clone.run("backtest", "--strategy", "sma_cross", "--set", "costs.spread_bps=7")
    assert done.returncode == 0, done.stderr
    assert runs_in(clone) == before + 1
    newest = max((clone.root / "data" / "runs").glob("*/manifest.json"), key=lambda file: file.stat().st_mtime)
    status = {id: step["status"] for id, step in json.loads(newest.read_text())["steps"].items()}
    assert status["ingest"] == status["validate"] == "reused"
    assert status["walk_forward-sma_cross"] == "done"


def test_a_new_strategy_runs_without_touching_another_file(backtested):
    clone, _ = backtested
    made = clone.run("new-strategy", "breakout")
    assert made.returncode == 0, made.stderr
    done = clone.run("backtest", "--strategy", "breakout")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "breakout" in done.stdout
    for file in (
        "params/strategies/breakout.yaml",
        "src/workbench/strategies/breakout.py",
        "tests/strategies/test_breakout.py",
    ):
        (clone.root / file).unlink()  # the tests that come after want a clean commit


def test_the_report_is_one_page_that_says_sample(backtested):
    clone, _ = backtested
    done = clone.run("report")
    assert done.returncode == 0, done.stderr
    page = clone.root / done.stdout.strip().splitlines()[-1].removeprefix("report: ")
    text = html.unescape(page.read_text())
    assert "SAMPLE MARKET" in text
    manifest = json.loads((clone.root / "data" / "runs" / page.stem / "manifest.json").read_text())
    doubts = manifest["steps"]["report"]["outputs"]["doubts"]
    assert max(len(doubt) for _, doubt in doubts) > 50  # what pandas cuts off in a frame
    assert [doubt for _, doubt in doubts if doubt not in text] == []
    assert all(header in text for header in ("Deflated Sharpe ratio", "Probability of overfitting"))
    assert "sharpe_low" not in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lake"], "prices_daily"),
        (["validate"], "Audit of the lake"),
        (["runs"], "backtest"),
        (["doctor"], "All well"),
        (["data"], "The lake"),
    ],
)
def test_the_looking_commands_show_what_there_is(backtested, words, says):
    clone, _ = backtested
    done = clone.run(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["backtest", "--strategy", "sma_crss"], 2, "Did you mean 'sma_cross'?"),
        (["backtest", "--set", "costs.spred_bps=3"], 2, "unknown key 'costs.spred_bps'. Did you mean 'spread_bps'?"),
        (["backtest", "--set", "data.start=2024-01-01", "--set", "data.end=2020-01-01"], 2, "swap them"),
        (["run", "backtst"], 2, "Did you mean 'backtest'?"),
        (["new-strategy", "Break Out"], 2, "use 3 to 41 lower-case letters"),
        (["nonsense"], 2, "No such command"),
        (["lake", "--set", "market=moon"], 2, "Input should be 'sample' or 'real'"),
        (["backtest", "--set", "walk_forward.train_sessions=5000"], 2, "is longer than the data"),
        (["backtest", "--set", "data.benchmark=MKT01"], 2, "Did you mean 'MKT00'?"),
        (["backtest", "--set", "data.start=2040-01-01"], 2, "2040-01-01"),
    ],
)
def test_wrong_input_is_one_line_before_anything_runs(backtested, words, code, says):
    clone, _ = backtested
    runs = sorted(path.name for path in (clone.root / "data" / "runs").iterdir())
    assert says in one_line(clone.run(*words), code)
    assert sorted(path.name for path in (clone.root / "data" / "runs").iterdir()) == runs


def test_a_failing_step_names_the_notebook_the_cell_and_the_reason(backtested):
    clone, _ = backtested
    before = runs_in(clone)
    done = clone.run("backtest", "--strategy", "sma_cross", "--set", "data.max_age_sessions=5")
    line = one_line(done, 1)
    assert "more than max_age_sessions 5" in line
    assert "notebook.ipynb" in line
    name = next(word for word in line.replace(",", " ").replace(":", " ").split() if word.endswith("notebook.ipynb"))
    assert (clone.root / name).is_file()
    with closing(sqlite3.connect(clone.root / "mlruns" / "mlflow.db")) as connection:
        left = connection.execute("select count(*) from runs where status = 'RUNNING'").fetchone()[0]
    assert left == 0
    assert runs_in(clone) >= before


def test_the_real_market_before_any_data_is_refused_in_one_line(clone):
    done = clone.run("backtest", "--set", "market=real")
    assert one_line(done, 1).startswith("error: market 'real': its lake is empty")
    assert "docs/lake.md" in done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1  # no step ran


def test_a_recorded_walk_forward_is_made_again_to_the_last_digit(backtested):
    clone, _ = backtested
    sheet = next((clone.root / "data" / "reports").glob("*-xs_momentum.html"))
    done = clone.run("repeat", sheet.name.partition("-")[0])
    assert done.returncode == 0, done.stderr
    assert "the same, to the last digit of every session's return" in done.stdout
    assert "prices_daily version 0" in done.stdout


@pytest.mark.parametrize(
    ("run", "code", "says"),
    [("zz", 2, "an id has 6 to 32 hex digits"), ("1234567", 1, "none of the newest 1,000 runs begins so")],
)
def test_a_run_that_there_is_not_cannot_be_made_again(backtested, run, code, says):
    clone, _ = backtested
    done = clone.run("repeat", run)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert says in done.stderr
