"""The peer of `make backtest`: it does the same steps, and nothing is compared that did other work."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest
import yaml

from workbench.disk import write_json

OPEN = "from workbench.step import open_step\nstep = open_step(folder)"


def write_notebook(file, parameters, *cells):
    sources = [(parameters, ["parameters"]), *[(source, []) for source in (OPEN, *cells)]]
    code = {"cell_type": "code", "outputs": [], "execution_count": None}
    content = [{**code, "source": source, "metadata": {"tags": tags}} for source, tags in sources]
    content.insert(0, {"cell_type": "markdown", "source": "# not code", "metadata": {}})
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": content}))


@pytest.fixture
def project(tmp_path, monkeypatch, pipeline):
    """A pipeline of three steps: one number, twice that number for each strategy, and their ranking."""
    monkeypatch.setenv("WORKBENCH_ROOT", str(tmp_path))
    (tmp_path / "params" / "strategies").mkdir(parents=True)
    shutil.copy(pipeline.PROJECT / "params" / "base.yaml", tmp_path / "params")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    write_notebook(notebooks / "first.ipynb", 'folder: str = ""', "step.emit(years=step.settings.sample.years)")
    doubled = 'step.emit(strategy=strategy, sharpe=2.0 * step.inputs["first"]["years"])\nstep.folder'
    write_notebook(notebooks / "walk.ipynb", 'folder: str = ""\nstrategy: str = "nobody"', doubled)
    ranked = "step.emit(ranking=[dict(done.outputs) for done in step.upstream('walk')])"
    write_notebook(notebooks / "compare.ipynb", 'folder: str = ""', ranked)
    steps = {
        "compare": {"notebook": "compare", "needs": ["walk"]},
        "walk": {"notebook": "walk", "needs": ["first"], "foreach": {"strategy": "strategies"}},
        "first": {"notebook": "first"},
    }
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "backtest.yaml").write_text(yaml.safe_dump({"name": "backtest", "steps": steps}))
    return tmp_path


def test_the_plain_process_does_every_step_with_its_settings_parameters_and_inputs(pipeline, project):
    ranking = pipeline.run_plain(project, ["sample.years=4", "strategies=[u, v]"])
    assert ranking == [{"strategy": "u", "sharpe": 8.0}, {"strategy": "v", "sharpe": 8.0}]
    assert {folder.name for folder in (project / "data" / "runs" / "plain").glob("*/")} == {
        "first",
        "walk-u",
        "walk-v",
        "compare",
    }


def test_a_cell_that_fails_ends_the_plain_process(pipeline, project):
    write_notebook(project / "notebooks" / "first.ipynb", 'folder: str = ""', "1 / 0")
    with pytest.raises(ZeroDivisionError):
        pipeline.run_plain(project, [])


@pytest.fixture
def root(tmp_path):
    """What a run left: two strategies, three runs in MLflow of which one failed, one of two tear sheets."""
    for folder in ("runs/r1", "runs/r2", "reports"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data" / "reports" / "a.html").write_text("a")
    ranking = [{"strategy": name, "sharpe": 1.5, "tearsheet": f"data/reports/{name}.html"} for name in "ab"]
    steps = {"ingest": {"status": "done"}, "compare": {"status": "done", "outputs": {"ranking": ranking}}}
    write_json(tmp_path / "data" / "runs" / "r1" / "manifest.json", {"steps": steps})
    (tmp_path / "mlruns").mkdir()
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as connection:
        connection.executescript(
            """create table experiments (experiment_id integer, name text);
               create table runs (run_uuid text, name text, status text, experiment_id integer);
               insert into experiments values (1, 'backtest'), (2, 'pipelines');
               insert into runs values ('x', '', 'FINISHED', 1), ('y', '', 'FINISHED', 1), ('z', '', 'FAILED', 1),
                                       ('p', '', 'FINISHED', 2);"""
        )
    return tmp_path


def test_what_a_run_left_is_its_ranking_its_finished_runs_and_the_tear_sheets_that_are_there(pipeline, root):
    rows = [{"strategy": "a", "sharpe": 1.5}, {"strategy": "b", "sharpe": 1.5}]
    assert pipeline.left_by_pipeline(root, "done") == pipeline.Left(rows, runs=2, tearsheets=1)


def test_a_run_with_a_step_of_another_status_is_not_measured(pipeline, root):
    with pytest.raises(SystemExit, match="not every step was reused"):
        pipeline.left_by_pipeline(root, "reused")


@pytest.mark.parametrize(
    ("sharpe", "runs", "tearsheets"),
    [(1.5000001, 3, 3), (1.5, 2, 3), (1.5, 3, 2)],
)
def test_sides_that_did_other_work_are_not_compared(pipeline, sharpe, runs, tearsheets):
    def side(sharpe, runs, tearsheets):
        return pipeline.Left([{"strategy": "a", "sharpe": sharpe}], runs, tearsheets)

    pipeline.expect_same(side(1.5, 3, 3), side(1.5, 3, 3))
    with pytest.raises(SystemExit, match="did not do the same work"):
        pipeline.expect_same(side(sharpe, runs, tearsheets), side(1.5, 3, 3))


def test_a_command_is_measured_with_the_processes_that_it_started(pipeline, tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    outer = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    spent = pipeline.spend([sys.executable, "-c", outer], tmp_path, tmp_path / "log.txt")
    assert spent.cpu_seconds >= 0.3
    assert spent.seconds >= 0.3
    assert spent.peak_rss_mb > 5


def test_a_command_that_fails_is_shown_and_not_measured(pipeline, tmp_path):
    with pytest.raises(SystemExit, match="ended with 3:\nno market"):
        pipeline.spend([sys.executable, "-c", "print('no market'); exit(3)"], tmp_path, tmp_path / "log.txt")
