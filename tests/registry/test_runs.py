"""Runs: recorded whole or marked failed, read back as they were, and one line where the store says no."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.trials import Ledger, Question
from workbench.disk import part
from workbench.errors import CannotWrite, DataRefused, InputRefused, NoData, WorkbenchError
from workbench.params import Paths, Settings, StrategyParams, TrackingParams
from workbench.registry import store as store_module
from workbench.registry.counting import kept_heads
from workbench.registry.runs import Tracking
from workbench.runs import RunResult, StepResult

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

PARAMS = StrategyParams(
    question="Does it pay after all costs?",
    params={"fast": 20, "slow": 100, "side": "both"},
    grid={"fast": [10, 20, 50], "slow": [100, 150, 200]},
    sizing={"max_weight": 0.2},
)
TABLES = {"prices_daily": {"version": 3, "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}, "actions": 7}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A project with a space in its path, and one store for the module: making its schema takes two seconds."""
    return tmp_path_factory.mktemp("a project")


@pytest.fixture
def tracking(root, request) -> Tracking:
    """The module's store, an experiment of its own for each test."""
    name = request.node.name.replace("[", "-").replace("]", "")[:80]
    settings = Settings(strategies=("sma_cross", "xs_momentum"), tracking=TrackingParams(experiment=name))
    return Tracking(settings, Paths(root))


@pytest.fixture
def new_ledger(root, tmp_path, request) -> tuple[Tracking, Ledger]:
    """The module's store, with the trials of each test in a ledger of its own."""
    name = request.node.name.replace("[", "-").replace("]", "")[:80]
    store = f"sqlite:///{root / 'mlruns' / 'mlflow.db'}"
    tracking = Tracking(Settings(tracking=TrackingParams(uri=store, experiment=name)), Paths(tmp_path))
    return tracking, Ledger(tracking.paths.trials)


def run_of(tracking: Tracking, run_id: str):
    return tracking.client().get_run(run_id)


def artifacts(tracking: Tracking, run_id: str) -> Path:
    return Path(unquote(run_of(tracking, run_id).info.artifact_uri.removeprefix("file://")))


def files_of(tracking: Tracking, run_id: str) -> set[str]:
    folder = artifacts(tracking, run_id)
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def only_run(tracking: Tracking):
    (run,) = tracking.client().search_runs([tracking.experiment_id()])
    return run


def test_a_walk_forward_is_recorded_whole(tracking, root, walk_forward_made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (root / "locks").mkdir(exist_ok=True)
    (root / "locks" / "research.lock").write_text("numpy==2.4.6\n")
    with tracking.walk_forward("sma_cross", run_id="20261121-045833-backtest-0d48") as run:
        sheet = run.log(walk_forward_made, params=PARAMS, tables=TABLES)
    found = run_of(tracking, run.run_id)

    assert found.info.status == "FINISHED"
    metrics = found.data.metrics
    assert (metrics["oos_sharpe"], metrics["is_sharpe"]) == (0.87, 1.29)
    assert (metrics["oos_sharpe_low"], metrics["oos_sharpe_high"]) == (0.18, 1.55)
    assert {f"oos_{name}" for name in walk_forward_made.out_of_sample} <= set(metrics)
    assert {f"is_{name}" for name in walk_forward_made.in_sample} <= set(metrics)

    params = found.data.params
    assert params["chosen.fast"] == "20"
    assert params["grid.slow"] == "[100, 150, 200]"
    assert params["fixed.side"] == "both"
    assert params["walk_forward.train_sessions"] == "756"
    assert params["sizing.max_weight"] == "0.2"
    assert params["universe"] == "all"

    tags = found.data.tags
    assert tags["strategy"] == "sma_cross"
    assert tags["market"] == "sample"
    assert tags["question"] == walk_forward_made.question
    assert tags["pipeline_run"] == "20261121-045833-backtest-0d48"
    assert tags["git.commit"] == "unknown"
    assert tags["data.prices_daily"] == "version 3, digest 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
    assert tags["data.actions"] == "version 7"
    # sha256sum of "numpy==2.4.6\n"
    assert tags["lock.research.lock"] == "7242524339a9388141e1383e79b66ac2fd4b82276448eae06b8fa428192ccd1f"
    assert "SAMPLE MARKET" in tags["mlflow.note.content"]
    assert "the Sharpe ratio was 0.87 (95 % interval 0.18 to 1.55)" in tags["mlflow.note.content"]

    inputs = {each.dataset.name: each.dataset.digest for each in found.inputs.dataset_inputs}
    assert inputs == {"prices_daily": "9f86d081884c7d659a2feaa0c55ad015a3bf", "actions": "version-7"}

    files = files_of(tracking, run.run_id)
    assert {"equity.png", "drawdown.png", "heat_map.png", "folds.png", "tearsheet.html", "settings.json"} <= files
    assert {"environment.json", "sma_cross.params.json", "result/trades.parquet", "tables/trades.json"} <= files
    assert "dirty.diff" not in files
    assert sheet == root / "data" / "reports" / f"{run.run_id[:8]}-sma_cross.html"
    page = sheet.read_text()
    assert run.run_id in page
    assert "version 3, digest 9f86d081884c" in page
    assert artifacts(tracking, run.run_id).is_relative_to(root / "mlruns" / "artifacts")
    assert list(tmp_path.iterdir()) == []


def test_curves_are_steps_of_weekdays_at_the_time_of_their_session(tracking, walk_forward_made):
    run_id = tracking.log_walk_forward(walk_forward_made)
    history = tracking.client().get_metric_history(run_id, "equity")
    assert len(history) == 300
    # Monday 4 January 2016 is 835 weeks of 5 after Monday 3 January 2000.
    assert history[0].step == 4175
    assert pd.Timestamp(history[0].timestamp, unit="ms") == pd.Timestamp("2016-01-04")
    assert pd.Timestamp(history[-1].timestamp, unit="ms") == pd.Timestamp("2023-12-29")
    assert history[-1].value == pytest.approx(walk_forward_made.simulation.equity.iloc[-1] / 1_000_000)
    falls = tracking.client().get_metric_history(run_id, "drawdown")
    assert len(falls) == 300
    assert all(point.value <= 0 for point in falls)


def test_what_is_not_finite_is_named_and_not_recorded(tracking, walk_forward_made):
    odd = {**walk_forward_made.out_of_sample, "profit_factor": np.inf, "beta": np.nan}
    run_id = tracking.log_walk_forward(replace(walk_forward_made, out_of_sample=odd))
    found = run_of(tracking, run_id).data
    assert "oos_profit_factor" not in found.metrics
    assert "oos_beta" not in found.metrics
    assert found.metrics["oos_alpha"] == 0.061
    assert found.tags["not_finite"] == "oos_profit_factor=inf, oos_beta=nan"


def test_a_run_counts_its_cells_and_keeps_its_place_in_the_ledger(new_ledger, walk_forward_made):
    tracking, ledger = new_ledger
    question = Question(walk_forward_made.question, "sample")
    first = tracking.log_walk_forward(walk_forward_made, params=PARAMS, tables=TABLES)
    found = run_of(tracking, first).data
    assert (found.tags["trials.count"], found.metrics["overfit.trials"]) == ("9", 9.0)
    assert found.metrics["overfit.effective_trials"] == 1.0
    assert 0.8 < found.metrics["overfit.dsr"] < found.metrics["overfit.psr"]  # nine cells that are nearly copies
    assert 0.0 <= found.metrics["overfit.pbo"] <= 1.0
    kept = json.loads((artifacts(tracking, first) / "trials.json").read_text())
    assert kept["receipt"]["head"] == found.tags["trials.head"]
    assert kept["evidence"]["dsr"] == found.metrics["overfit.dsr"]
    page = (artifacts(tracking, first) / "tearsheet.html").read_text()
    assert "Skill, or the search for it?" in page
    assert found.tags["trials.head"] in page

    again = tracking.log_walk_forward(walk_forward_made, params=PARAMS, tables=TABLES)
    assert ledger.count(question) == 9  # the same cells on the same data
    tracking.log_walk_forward(walk_forward_made, params=PARAMS, tables={**TABLES, "actions": 8})
    assert ledger.count(question) == 18

    heads = {run: run_of(tracking, run).data.tags["trials.head"] for run in (first, again)}
    tracking.client().delete_run(first)
    assert ledger.count(question) == 18
    assert ledger.verify(heads).batches == 3
    assert heads.items() <= kept_heads(tracking).items()


def test_a_run_with_one_cell_says_why_it_has_no_probability_of_overfitting(new_ledger, walk_forward_made):
    tracking, _ = new_ledger
    one = replace(
        walk_forward_made, cells=walk_forward_made.cells.head(1), cell_returns=walk_forward_made.cell_returns[[0]]
    )
    found = run_of(tracking, tracking.log_walk_forward(one)).data
    assert "overfit.pbo" not in found.metrics
    assert found.tags["overfit.missing"] == (
        "pbo: the grid has one cell only: there was nothing to choose; "
        "pbo_all: only one trial of this question has returns: there was nothing to choose"
    )


@pytest.mark.parametrize("error", [ValueError("no luck"), KeyboardInterrupt()])
def test_a_failed_run_counts_one(new_ledger, error):
    tracking, ledger = new_ledger
    folder = tracking.paths.params / "strategies"
    folder.mkdir(parents=True)
    (folder / "sma_cross.yaml").write_text(f"question: {PARAMS.question}\n")
    for _ in range(2):
        with pytest.raises(type(error)), tracking.walk_forward("sma_cross"):
            raise error
    assert ledger.count(Question(PARAMS.question, "sample")) == 1
    (row,) = ledger.trials().to_dict("records")
    assert (row["status"], row["source"], row["strategy"]) == ("failed", "failed", "sma_cross")
    assert row["error"].startswith(type(error).__name__)
    assert ledger.verify().head in kept_heads(tracking).values()


def test_a_run_whose_process_died_is_counted_by_the_next(new_ledger):
    tracking, ledger = new_ledger
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    tags = {"strategy": "sma_cross", "process": f"{socket.gethostname()}:{dead.stdout.strip()}"}
    left = tracking.client().create_run(tracking.experiment_id(), tags=tags).info.run_id
    for _ in range(2):
        with tracking.walk_forward("sma_cross"):
            pass
    (row,) = ledger.trials().to_dict("records")
    assert (row["run_id"], row["error"]) == (left, "the process ended without a word")
    assert kept_heads(tracking)[left] == ledger.verify().head


def test_a_run_that_fails_after_its_cells_were_counted_is_not_counted_twice(new_ledger, walk_forward_made):
    tracking, ledger = new_ledger

    def log() -> None:
        with tracking.walk_forward("sma_cross") as run:
            run.log(walk_forward_made)
            raise ValueError("afterwards")

    with pytest.raises(ValueError, match="afterwards"):
        log()
    assert ledger.count() == 9


def test_cells_counted_before_anything_else_fails_count_once_when_the_run_is_repeated(new_ledger, walk_forward_made):
    tracking, ledger = new_ledger
    asked = {"params": PARAMS, "tables": TABLES}

    def fail() -> None:
        with tracking.walk_forward("sma_cross") as failed:
            failed.count(walk_forward_made, **asked)
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(kept_heads(tracking).values()) == [ledger.verify().head]
    with tracking.walk_forward("sma_cross") as run:
        run.count(walk_forward_made, **asked)
        run.log(replace(walk_forward_made, robustness=None), **asked)
    (question,) = ledger.questions().to_dict("records")
    assert (question["trials"], question["failed"], question["evaluations"]) == (9, 0, 18)
    assert kept_heads(tracking)[run.run_id] == ledger.verify().head


def test_a_failure_that_cannot_be_counted_is_still_the_one_reported(new_ledger):
    tracking, ledger = new_ledger
    ledger.file.parent.mkdir(parents=True)
    ledger.file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ValueError, match="no luck") as raised, tracking.walk_forward("sma_cross"):
        raise ValueError("no luck")
    assert "not in the trial ledger: trials.db: damaged" in raised.value.__notes__[0]
    assert only_run(tracking).info.status == "FAILED"


def test_nothing_is_recorded_that_cannot_be_counted(new_ledger, walk_forward_made):
    tracking, ledger = new_ledger
    ledger.file.parent.mkdir(parents=True)
    ledger.file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataRefused, match=r"trials\.db: damaged"):
        tracking.log_walk_forward(walk_forward_made)
    assert only_run(tracking).info.status == "FAILED"
    assert "oos_sharpe" not in only_run(tracking).data.metrics


def test_runs_that_read_the_same_new_table_at_the_same_time_are_all_recorded(tracking, walk_forward_made):
    tracking.experiment_id()
    start = threading.Barrier(3)

    def log(_: int) -> str:
        with Tracking(tracking.settings, tracking.paths).walk_forward("sma_cross") as run:
            start.wait(timeout=60)
            run.log(walk_forward_made, tables={"prices_daily": {"version": 3, "digest": "new"}})
        return run.run_id

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(log, range(3)))
    assert [len(run_of(tracking, run).inputs.dataset_inputs) for run in runs] == [1, 1, 1]


def test_uncommitted_changes_are_kept_with_the_run(tmp_path, walk_forward_made):
    for words in (
        ["init", "-q"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "A.", "--allow-empty"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    (tmp_path / ".gitignore").write_text("mlruns/\ndata/\n")
    (tmp_path / "idea.py").write_text("idea = 1\n")
    (tmp_path / ".env").write_text("KEY=1\n")
    tracking = Tracking(Settings(), Paths(tmp_path))
    run_id = tracking.log_walk_forward(walk_forward_made)
    tags = run_of(tracking, run_id).data.tags
    assert tags["git.dirty"] == "true"
    assert tags["git.left_out"] == ".env: its name looks like a secret's"
    diff = (artifacts(tracking, run_id) / "dirty.diff").read_text()
    assert "+idea = 1" in diff
    assert "KEY=1" not in diff


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("the grid is empty"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_walk_forward_that_raises_leaves_a_run_that_says_so(tracking, error, status):
    with pytest.raises(type(error)), tracking.walk_forward("sma_cross"):
        raise error
    run = only_run(tracking)
    assert run.info.status == status
    assert run.data.tags["error"].startswith(type(error).__name__)
    assert "latest" not in run.data.tags
    assert "Traceback" in (artifacts(tracking, run.info.run_id) / "error.txt").read_text()


def test_a_run_that_cannot_be_written_to_the_end_is_marked_failed(tracking, root, walk_forward_made):
    def log() -> None:
        with tracking.walk_forward("sma_cross") as run:
            folder = root / "mlruns" / "artifacts" / tracking.settings.tracking.experiment / run.run_id
            folder.mkdir(parents=True)
            (folder / "artifacts").write_text("a file where a folder should be")
            run.log(walk_forward_made)

    with pytest.raises(WorkbenchError, match=r"mlruns/mlflow\.db: could not write to run"):
        log()
    run = only_run(tracking)
    assert run.info.status == "FAILED"
    assert "oos_sharpe" not in run.data.metrics


def test_what_a_killed_process_left_open_is_closed_by_the_next(tracking, walk_forward_made):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    with tracking.walk_forward("sma_cross") as mine:
        client, experiment = tracking.client(), tracking.experiment_id()
        tags = {"strategy": "sma_cross", "process": f"{socket.gethostname()}:{dead.stdout.strip()}"}
        left = client.create_run(experiment, tags=tags).info.run_id
        elsewhere = client.create_run(experiment, tags={"process": f"another-host:{dead.stdout.strip()}"}).info.run_id
        with tracking.walk_forward("sma_cross"):
            pass
        assert run_of(tracking, mine.run_id).info.status == "RUNNING"
    assert run_of(tracking, left).info.status == "KILLED"
    assert run_of(tracking, elsewhere).info.status == "RUNNING"


def test_the_newest_run_of_each_strategy_carries_the_mark(tracking, walk_forward_of):
    first = tracking.log_walk_forward(walk_forward_of("sma_cross", 1))
    other = tracking.log_walk_forward(walk_forward_of("xs_momentum", 2))
    second = tracking.log_walk_forward(walk_forward_of("sma_cross", 3))
    marks = {run_id: run_of(tracking, run_id).data.tags["latest"] for run_id in (first, other, second)}
    assert marks == {first: "false", other: "true", second: "true"}


def test_runs_are_read_as_a_table_with_the_parameters_that_differ(tracking, walk_forward_of):
    cheap = tracking.log_walk_forward(walk_forward_of("sma_cross", 1), params=PARAMS)
    dear_settings = tracking.settings.model_copy(
        update={"costs": tracking.settings.costs.model_copy(update={"spread_bps": 9.0})}
    )
    dear = Tracking(dear_settings, tracking.paths).log_walk_forward(walk_forward_of("sma_cross", 1), params=PARAMS)
    other = tracking.log_walk_forward(walk_forward_of("xs_momentum", 2), params=PARAMS)
    with pytest.raises(ValueError), tracking.walk_forward("sma_cross"):
        raise ValueError
    table = tracking.runs_table()
    assert table["run_id"].tolist() == [other, dear, cheap]
    assert table["sharpe"].tolist() == [0.87, 0.87, 0.87]
    assert table["sharpe_in_sample"].tolist() == [1.29, 1.29, 1.29]
    assert table["param costs.spread_bps"].tolist() == ["2.0", "9.0", "2.0"]
    assert "param costs.impact" not in table
    assert str(table["started"].dt.tz) == "UTC"
    assert tracking.runs_table(latest=True)["run_id"].tolist() == [other, dear]
    assert tracking.runs_table(strategies=["xs_momentum"])["run_id"].tolist() == [other]
    assert tracking.runs_table(market="real").empty
    assert len(tracking.runs_table(limit=2)) == 2


def test_the_newest_results_come_back_as_they_were(tracking, walk_forward_of):
    momentum, cross = walk_forward_of("xs_momentum", 2), walk_forward_of("sma_cross", 3)
    tracking.log_walk_forward(walk_forward_of("sma_cross", 1))
    tracking.log_walk_forward(momentum)
    tracking.log_walk_forward(cross)
    found = tracking.latest_results()
    assert [wf.strategy for wf in found] == ["sma_cross", "xs_momentum"]
    pd.testing.assert_series_equal(found[0].simulation.equity, cross.simulation.equity, check_freq=False)
    pd.testing.assert_frame_equal(found[1].folds, momentum.folds)
    assert found[0].out_of_sample == cross.out_of_sample
    assert [wf.strategy for wf in tracking.latest_results(["xs_momentum"])] == ["xs_momentum"]


def test_no_runs_yet_says_what_to_do(tracking):
    assert tracking.runs_table().empty
    with pytest.raises(NoData, match=r"no finished run of the sample market yet; make them: make backtest"):
        tracking.latest_results()


def test_a_result_whose_files_are_gone_says_so(tracking, root, walk_forward_made):
    run_id = tracking.log_walk_forward(walk_forward_made)
    shutil.rmtree(root / "mlruns" / "artifacts" / tracking.settings.tracking.experiment)
    with pytest.raises(NoData, match=f"{run_id}/artifacts/result: no walk-forward result there; run it again"):
        tracking.latest_results()


def test_a_notebook_is_attached_under_its_step(tracking, tmp_path, walk_forward_made):
    run_id = tracking.log_walk_forward(walk_forward_made)
    (tmp_path / "walk_forward-sma_cross").mkdir()
    book = tmp_path / "walk_forward-sma_cross" / "notebook.ipynb"
    book.write_text('{"cells": []}')
    tracking.attach_notebook(run_id, book)
    assert "notebooks/walk_forward-sma_cross.ipynb" in files_of(tracking, run_id)
    with pytest.raises(NoData, match="no such notebook"):
        tracking.attach_notebook(run_id, tmp_path / "nowhere.ipynb")


def pipeline_run(root: Path, status: str, *steps: StepResult) -> RunResult:
    folder = root / "data" / "runs" / "20261121-045833-backtest-0d48"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"uri": "postgresql://quant:s3cret@db/runs"}))
    return RunResult("20261121-045833-backtest-0d48", "backtest", status, folder, "2026-11-21T04:58:33Z", 12.5, steps)


def step(root: Path, name: str, status: str, **facts: object) -> StepResult:
    folder = root / "data" / "runs" / "20261121-045833-backtest-0d48" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notebook.ipynb").write_text('{"cells": []}')
    return StepResult(name, status, folder, **facts)


def test_a_pipeline_is_recorded_and_its_notebook_joins_the_walk_forward(tracking, root, walk_forward_made):
    made = tracking.log_walk_forward(walk_forward_made, run_id="20261121-045833-backtest-0d48")
    result = pipeline_run(
        root,
        "done",
        step(root, "ingest", "reused"),
        step(root, "walk_forward-sma_cross", "done", seconds=9.25, outputs={"mlflow_run_id": made}),
    )
    recorded = tracking.record_pipeline(result)
    found = run_of(tracking, recorded)
    assert found.info.status == "FINISHED"
    assert found.info.end_time - found.info.start_time >= 12_500
    assert found.data.metrics["seconds"] == 12.5
    assert found.data.metrics["steps_done"] == found.data.metrics["steps_reused"] == 1
    assert found.data.metrics["seconds.walk_forward-sma_cross"] == 9.25
    assert found.data.tags["folder"] == "data/runs/20261121-045833-backtest-0d48"
    assert tracking.client().get_experiment(found.info.experiment_id).name == "pipelines"
    assert files_of(tracking, recorded) == {"steps.json", "manifest.json"}
    manifest = (artifacts(tracking, recorded) / "manifest.json").read_text()
    assert manifest == '{"uri": "postgresql://quant:***@db/runs"}'
    assert "notebooks/walk_forward-sma_cross.ipynb" in files_of(tracking, made)


def test_a_failed_pipeline_is_marked_and_the_failed_walk_forward_keeps_its_notebook(tracking, root):
    with pytest.raises(ValueError), tracking.walk_forward("sma_cross", run_id="20261121-045833-backtest-0d48"):
        raise ValueError("no data")
    bad = step(root, "walk_forward-sma_cross", "failed", seconds=1.0, error="cell 3: ValueError: no data")
    recorded = tracking.record_pipeline(pipeline_run(root, "failed", bad, step(root, "report", "not run")))
    found = run_of(tracking, recorded)
    assert found.info.status == "FAILED"
    assert found.data.tags["error"] == "walk_forward-sma_cross: cell 3: ValueError: no data"
    assert "notebooks/walk_forward-sma_cross.ipynb" in files_of(tracking, only_run(tracking).info.run_id)
    stopped = tracking.record_pipeline(pipeline_run(root, "stopped", step(root, "ingest", "stopped")))
    assert run_of(tracking, stopped).info.status == "KILLED"


# --- where the store says no ------------------------------------------------------------------------------------------
@pytest.fixture
def new_store(tmp_path) -> Callable[[], Tracking]:
    return lambda: Tracking(Settings(), Paths(tmp_path))


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_file_in_the_place_of_mlruns_is_refused(new_store, tmp_path):
    (tmp_path / "mlruns").write_text("")
    with pytest.raises(CannotWrite) as error:
        new_store().client()
    assert "mend mlruns/" in one_line(error)


def test_a_read_only_store_is_refused_at_once_and_nothing_is_half_recorded(walk_forward_made, as_nobody):
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        tracking = Tracking(Settings(), Paths(name))
        tracking.log_walk_forward(walk_forward_made)
        for path in (tracking.database, tracking.database.parent):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with as_nobody(), pytest.raises(CannotWrite) as error, tracking.walk_forward("sma_cross"):
            pytest.fail("it must not begin")
        assert one_line(error) == (
            "mlruns/mlflow.db: read-only, so no run can be recorded; chmod -R u+w mlruns, or set tracking.uri"
        )
        tracking.database.parent.chmod(0o755)
        tracking.database.chmod(0o644)
        assert only_run(tracking).info.status == "FINISHED"


def test_a_store_locked_by_another_is_refused_after_a_while(tracking, monkeypatch):
    tracking.client()
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.2)
    with closing(sqlite3.connect(tracking.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CannotWrite) as error:
            tracking.client()
        other.execute("ROLLBACK")
    assert "locked by another process" in one_line(error)
    tracking.client()


def test_a_damaged_store_is_refused(new_store, tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "mlruns" / "mlflow.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(CannotWrite) as error:
        new_store().client()
    assert "damaged (file is not a database); restore it" in one_line(error)


def test_a_server_that_does_not_answer_is_refused_at_once(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    settings = Settings(tracking=TrackingParams(uri=f"http://quant:s3cret@127.0.0.1:{port}"))
    with pytest.raises(WorkbenchError) as error:
        Tracking(settings, Paths(tmp_path)).client()
    assert one_line(error).startswith(f"tracking.uri http://quant:***@127.0.0.1:{port}: no answer")


def test_a_server_that_hangs_up_instead_of_answering_is_told_as_one_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def hang_up() -> None:
            with suppress(OSError):  # the test is over
                while True:
                    server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(WorkbenchError) as error:
            Tracking(Settings(tracking=TrackingParams(uri=uri)), Paths(tmp_path)).experiment_id()
        server.shutdown(socket.SHUT_RDWR)
    told = one_line(error)
    assert told.startswith(f"tracking.uri {uri}: no answer (could not open experiment")
    assert "start that server, or leave tracking.uri empty" in told


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "ftp://server"])
def test_an_address_that_is_no_store_is_refused(tmp_path, uri):
    with pytest.raises(InputRefused, match=r"not a store for runs; leave it empty for mlruns/mlflow\.db"):
        Tracking(Settings(tracking=TrackingParams(uri=uri)), Paths(tmp_path))


def test_a_relative_path_is_taken_from_the_root(tmp_path):
    settings = Settings(tracking=TrackingParams(uri="sqlite:///elsewhere/runs.db"))
    assert Tracking(settings, Paths(tmp_path)).database == tmp_path / "elsewhere" / "runs.db"


def test_an_experiment_deleted_in_the_interface_is_named(tracking):
    tracking.client().delete_experiment(tracking.experiment_id())
    with pytest.raises(InputRefused, match="was deleted in the MLflow UI; restore it there"):
        tracking.experiment_id()


def test_a_checkout_that_moved_finds_its_runs_again(tmp_path, walk_forward_made):
    before = Tracking(Settings(), Paths(tmp_path / "before"))
    old = before.log_walk_forward(walk_forward_made)
    (tmp_path / "before").rename(tmp_path / "after")
    moved = Tracking(Settings(), Paths(tmp_path / "after"))
    new = moved.log_walk_forward(walk_forward_made)
    assert not (tmp_path / "before").exists()
    assert moved.result(old).strategy == "sma_cross"
    for run_id in (old, new):
        assert run_of(moved, run_id).info.artifact_uri.startswith((tmp_path / "after").as_uri())


def test_a_full_disk_leaves_a_failed_run_and_no_half_page(tracking, root, walk_forward_made):
    (root / "data" / "reports").mkdir(parents=True, exist_ok=True)
    before = set((root / "data" / "reports").iterdir())

    def log() -> None:
        with tracking.walk_forward("sma_cross") as run:
            target = root / "data" / "reports" / f"{run.run_id[:8]}-sma_cross.html"
            part(target).symlink_to("/dev/full")
            run.log(walk_forward_made)

    with pytest.raises(CannotWrite, match="No space left on device; free some space"):
        log()
    assert only_run(tracking).info.status == "FAILED"
    assert set((root / "data" / "reports").iterdir()) == before


def test_the_examples_of_the_guide_run(root, walk_forward_of, monkeypatch, capsys):
    guide = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL)
    (root / "params").mkdir()
    (root / "params" / "base.yaml").write_text("tracking: {experiment: guide}\n")
    monkeypatch.setenv("WORKBENCH_ROOT", str(root))
    settings = Settings(tracking=TrackingParams(experiment="guide"))
    Tracking(settings, Paths(root)).log_walk_forward(walk_forward_of("sma_cross", 1))
    assert len(blocks) == 2
    space: dict[str, object] = {}
    for block in blocks:
        exec(block, space)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "sma_cross 0.87 40"
    assert Path(said[1]).is_file()
