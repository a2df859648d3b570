"""What `make backtest` costs, against the same work called in one plain Python process, in the same run.

    python bench/pipeline.py --repeats 3     # the market at its own size, or --set sample.years=30
    python bench/pipeline.py --small         # in a minute

Everything happens in a temporary checkout, and as whole processes, from start to end:

1. fresh: `workbench backtest` on empty data/ and mlruns/. Beside it stands one Python process that executes the code
   cells of the same step notebooks, with the same parameters and hand-over files, one step after another: the same
   lake, walk-forwards, MLflow runs and tear sheets, but no papermill, kernels, Dask, keys or executed copies. It shows
   nothing, skips the same needless imports as our kernels and leaves without clean-up, as they do: the least that this
   work can cost in one process.
2. nothing changed: the same command again.
3. first ever: on empty data, with no compiled byte code, numba or font cache anywhere. It fills them for all others.

Both sides must leave the same ranking, MLflow runs and tear sheets, else nothing is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figure import report

from workbench.disk import read_json, write_json
from workbench.kernels import NEEDLESS, without
from workbench.params import Paths, freeze_settings, load_settings
from workbench.plan import FOLDER, Task, plan, read_pipeline
from workbench.step import HANDOVER, MANIFEST, OUTPUTS, SETTINGS

PIPELINE = "backtest"
PROJECT = Path(__file__).parents[1]
CHECKOUT = ("src", "notebooks", "params", "pipelines", "locks", "pyproject.toml")
SMALL = (
    "sample.years=6",
    "sample.symbols_per_sector=3",
    "sample.intraday_sessions=3",
    "walk_forward.train_sessions=400",
    "walk_forward.test_sessions=200",
)
CACHES = ("PYTHONPYCACHEPREFIX", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
# Neither side may speak to the network; the kernels of a run set the same.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "GX_ANALYTICS_ENABLED": "false"}
FOREIGN = ("WORKBENCH_", "DASK_", "PYTHONDONTWRITEBYTECODE")
PLAIN, FRESH, UNCHANGED, FIRST = "one plain process", "fresh", "nothing changed", "first ever"


@dataclass(frozen=True)
class Spent:
    """What a command and all its processes took; the memory is that of the largest one."""

    seconds: float
    cpu_seconds: float
    peak_rss_mb: float


@dataclass(frozen=True)
class Left:
    """What a backtest leaves behind: the ranking, finished runs in MLflow, and tear sheets."""

    ranking: Sequence[Mapping[str, Any]]
    runs: int
    tearsheets: int


def make_checkout(root: Path) -> None:
    """Copy the project as it stands and commit it, so that runs have a commit to record."""
    for name in CHECKOUT:
        source, target = PROJECT / name, root / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(source, target)
    (root / ".gitignore").write_text("__pycache__/\ndata/\nmlruns/\n")
    git = ["git", "-C", str(root), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "What is measured."]):
        subprocess.run([*git, *words], check=True)


def empty(root: Path) -> None:
    """Forget all data and runs."""
    for name in ("data", "mlruns"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir()


def spend(command: Sequence[str], root: Path, log: Path, **environment: str) -> Spent:
    """Run a command in the checkout to its end and return what it took; its output goes to the log."""
    environment |= {"WORKBENCH_ROOT": str(root), "PYTHONPATH": str(root / "src"), **QUIET}
    with log.open("wb") as sink:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command], cwd=root, env=os.environ | environment, stdout=sink, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def left_by_pipeline(root: Path, status: str) -> Left:
    """Return what the newest run left, after a look whether every step has this status."""
    manifest = max((root / "data" / "runs").glob(f"*/{MANIFEST}"), key=lambda file: file.stat().st_mtime)
    steps = json.loads(manifest.read_text())["steps"]
    others = {name: step["status"] for name, step in steps.items() if step["status"] != status}
    if others:
        raise SystemExit(f"not every step was {status}: {others}")
    return left(root, steps["compare"]["outputs"]["ranking"])


def left(root: Path, ranking: Sequence[Mapping[str, Any]]) -> Left:
    """Count what lies beside a ranking; tear sheets are named by their runs, which differ."""
    with closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as connection:
        query = """select count(*) from runs join experiments using (experiment_id)
                   where experiments.name = 'backtest' and runs.status = 'FINISHED'"""
        runs = connection.execute(query).fetchone()[0]
    sheets = sum((root / row["tearsheet"]).is_file() for row in ranking)
    # Sums over many threads differ in their last digits.
    shown = [
        {name: float(f"{value:.8g}") if isinstance(value, float) else value for name, value in row.items()}
        for row in ranking
    ]
    return Left([{name: row[name] for name in row if name != "tearsheet"} for row in shown], runs, sheets)


def expect_same(found: Left, expected: Left) -> None:
    """Refuse to compare two sides that did not do the same work."""
    if found != expected:
        raise SystemExit(f"the pipeline and the plain process did not do the same work:\n{found}\n{expected}")


def run_plain(root: Path, overrides: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """Be the peer: do the work of every step in this process and return the ranking."""
    paths = Paths(root)
    settings = load_settings(paths, overrides)
    place = paths.runs / "plain"
    place.mkdir(parents=True)
    freeze_settings(settings, place / SETTINGS)
    outputs: dict[str, Any] = {}
    for task in plan(read_pipeline(PIPELINE, paths), settings, paths):
        inputs = [{"step": n, "outputs": outputs[n], "folder": paths.short(place / n)} for n in task.needs]
        folder = place / task.id
        folder.mkdir()
        write_json(folder / HANDOVER, {"run_id": "plain", "step": task.id, "inputs": inputs})
        with without(*NEEDLESS):
            execute_cells(task, {**task.params, FOLDER: paths.short(folder)})
        outputs[task.id] = (read_json(folder / OUTPUTS) or {"outputs": {}})["outputs"]
    ranking: Sequence[Mapping[str, Any]] = outputs["compare"]["ranking"]
    return ranking


def execute_cells(task: Task, parameters: Mapping[str, Any]) -> None:
    """Execute the code cells of a step's notebook in one fresh namespace, the parameters after their cell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in task.notebook.cells:
        if cell.kind == "code":
            exec(compile(cell.source, task.notebook.name, "exec"), names)
            if "parameters" in cell.tags:
                names |= parameters


def measure(root: Path, sets: Sequence[str], repeats: int) -> dict[str, list[Spent]]:
    """Return what each kind of run took, measured in turns; the first run fills the caches of the others."""
    log, options = root / "log.txt", [word for text in sets for word in ("--set", text)]
    ours = [sys.executable, "-m", "workbench.cli", "backtest", *options]
    theirs = [sys.executable, str(Path(__file__).resolve()), "--plain", str(root), *options]
    spent: dict[str, list[Spent]] = {name: [] for name in (FIRST, PLAIN, FRESH, UNCHANGED)}
    for number in range(repeats):
        caches = {name: str(root / "caches" / str(number) / name) for name in CACHES}
        empty(root)
        spent[FIRST].append(spend(ours, root, log, **caches))
        found = [left_by_pipeline(root, "done")]
        empty(root)
        spent[PLAIN].append(spend(theirs, root, log, **caches))
        expected = left(root, json.loads(log.read_text().splitlines()[-1]))
        empty(root)
        spent[FRESH].append(spend(ours, root, log, **caches))
        found.append(left_by_pipeline(root, "done"))
        spent[UNCHANGED].append(spend(ours, root, log, **caches))
        found.append(left_by_pipeline(root, "reused"))
        for one in found:
            expect_same(one, expected)
    return spent


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in workbench backtest")
    options.add_argument("--small", action="store_true", help=f"the same as --set {' --set '.join(SMALL)}")
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--plain", type=Path, metavar="ROOT", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.plain is not None:
        print("\n" + json.dumps(run_plain(asked.plain, asked.set)), flush=True)
        os._exit(0)
    # Only what is asked for here is measured, and the first run must be able to leave its byte code to the others.
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    sets = [*(SMALL if asked.small else ()), *asked.set]
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        root = Path(folder).resolve()
        make_checkout(root)
        chosen = load_settings(Paths(root), sets)
        spent = measure(root, sets, asked.repeats)
    names = ("years", "symbols_per_sector", "intraday_sessions")
    size = {name: getattr(chosen.sample, name) for name in names}
    size |= {"strategies": len(chosen.strategies), "repeats": asked.repeats, "cores": os.cpu_count() or 1}

    def show(figure: str, name: str, peer: str, target: str = "", unit: str = "s") -> None:
        what = "cpu_seconds" if unit == "cpu s" else "seconds"
        value, beside = (statistics.median(getattr(one, what) for one in spent[kind]) for kind in (name, peer))
        memory = max(one.peak_rss_mb for one in spent[name])
        report(f"backtest, {figure}", value, peer, beside, size, unit, peak_rss_mb=memory, target=target)

    show("fresh", FRESH, PLAIN, "ratio <= 1.5")
    show("fresh, processor time", FRESH, PLAIN, unit="cpu s")
    show("nothing changed", UNCHANGED, FRESH, "ratio <= 0.25")
    show("first ever", FIRST, PLAIN, "ratio <= 3")


if __name__ == "__main__":
    main()
