"""`workbench report` shows a backtest that was finished; it runs nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import workbench.execution  # noqa: F401  (before nbformat: it keeps a slow import away)

import nbformat  # isort: skip


ROOT = Path(__file__).parents[2]


def put_run(root: Path, run_id: str, status: str, strategies: tuple[str, ...], pipeline: str = "backtest") -> None:
    """Write a run as the pipeline leaves it: its manifest, and the executed notebook of its report."""
    folder = root / "data" / "runs" / run_id
    (folder / "report").mkdir(parents=True)
    output = nbformat.v4.new_output("stream", text=f"this is {run_id}")
    cell = nbformat.v4.new_code_cell("print(run)", outputs=[output])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "report" / "notebook.ipynb")
    ranking = [{"strategy": name} for name in strategies]
    outputs = {"compare": {"market": "sample", "ranking": ranking}, "report": {"market": "sample"}}
    steps = {
        id: {"id": id, "status": status, "folder": f"data/runs/{run_id}/{id}", "outputs": found, "attempts": []}
        for id, found in outputs.items()
    }
    day, time = run_id.split("-")[:2]
    started = f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}+00:00"
    facts = {"run_id": run_id, "pipeline": pipeline, "status": status, "started": started, "seconds": 2.0}
    (folder / "manifest.json").write_text(json.dumps({**facts, "steps": steps}))


def test_the_newest_finished_backtest_is_shown_and_nothing_is_run(desk):
    put_run(desk.root, "20260101-090000-backtest-aaaa", "done", ("sma_cross",))
    put_run(desk.root, "20260102-090000-backtest-bbbb", "done", ("xs_momentum",))
    put_run(desk.root, "20260103-090000-backtest-cccc", "failed", ("sma_cross",))
    put_run(desk.root, "20260104-090000-data-dddd", "done", (), pipeline="data")
    done = desk.type("report")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "backtest 20260102-090000-backtest-bbbb: xs_momentum",
        "report: data/reports/20260102-090000-backtest-bbbb.html",
    ]
    page = (desk.root / "data" / "reports" / "20260102-090000-backtest-bbbb.html").read_text()
    assert "this is 20260102-090000-backtest-bbbb" in page
    assert "SAMPLE MARKET" in page
    assert len(list((desk.root / "data" / "runs").iterdir())) == 4


def test_a_strategy_asks_for_the_newest_backtest_of_it_alone(desk):
    put_run(desk.root, "20260101-090000-backtest-aaaa", "done", ("sma_cross",))
    put_run(desk.root, "20260102-090000-backtest-bbbb", "done", ("sma_cross", "xs_momentum"))
    assert "20260101-090000-backtest-aaaa" in desk.type("report", "--strategy", "sma_cross").stdout
    both = desk.type("report", "--strategy", "xs_momentum", "--strategy", "sma_cross")
    assert "20260102-090000-backtest-bbbb" in both.stdout


def test_a_strategy_that_was_never_walked_alone_is_shown_among_the_others(desk):
    put_run(desk.root, "20260101-090000-backtest-aaaa", "done", ("sma_cross", "xs_momentum"))
    put_run(desk.root, "20260102-090000-backtest-bbbb", "done", ("mean_reversion",))
    said = desk.type("report", "--strategy", "sma_cross").stdout
    assert said.splitlines()[0] == "backtest 20260101-090000-backtest-aaaa: sma_cross, xs_momentum"


def test_without_a_finished_backtest_one_line_says_what_to_type(desk):
    assert desk.refusal("report", code=1) == "no finished backtest yet: make backtest"
    put_run(desk.root, "20260101-090000-backtest-aaaa", "failed", ("sma_cross",))
    assert desk.refusal("report", code=1) == "no finished backtest yet: make backtest"
    said = desk.refusal("report", "--strategy", "sma_cross", code=1)
    assert said == "no finished backtest of sma_cross yet: make backtest STRATEGY='sma_cross'"


def test_a_strategy_that_there_is_not_is_refused(desk):
    assert "Did you mean 'sma_cross'?" in desk.refusal("report", "--strategy", "sma_crss")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_report_takes_a_strategy_and_says_that_it_leaves_settings_aside(tmp_path):
    shutil.copy2(ROOT / "Makefile", tmp_path)
    words = ["make", "-n", "-o", ".stamps/research", "report", "STRATEGY=sma_cross"]

    def asked(*more: str) -> str:
        return subprocess.run([*words, *more], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert asked() == ".venv/bin/workbench report --strategy sma_cross\n"
    said, command = asked("SET=costs.schedule=ib_tiered costs.impact=0").splitlines()
    assert "SET is left aside" in said
    assert command == ".venv/bin/workbench report --strategy sma_cross"
