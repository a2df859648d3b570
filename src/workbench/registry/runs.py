"""What is remembered of runs, and what is added to it.

>>> tracking = Tracking(settings, paths)
>>> with tracking.walk_forward("sma_cross") as run:          # fails inside: the run is marked FAILED, with the error
...     sheet = run.log(walk_forward(...), params=params, tables={"prices_daily": {"version": 3, "digest": "9f86…"}})
>>> tracking.runs_table()

Everything is prepared in a folder first and sent at the end: a run is complete, or it is marked FAILED.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

import workbench
from workbench.background import in_background
from workbench.backtest.result import WalkForward
from workbench.backtest.trials.kept import HEAD
from workbench.errors import NoData
from workbench.params import StrategyParams
from workbench.registry import record
from workbench.registry.checkout import checkout
from workbench.registry.connection import Connection
from workbench.registry.counting import count_failure, counted_on_error
from workbench.registry.recording import Recording, failed_on_error, metrics
from workbench.registry.store import masked

PIPELINES = "pipelines"
PIPELINE_STATUS = {"done": "FINISHED", "failed": "FAILED"}  # of MLflow; anything else is KILLED
# The columns of the runs table that come first.
TABLE_FIRST = ("sharpe", "sharpe_low", "sharpe_high", "cagr", "volatility", "max_drawdown", "turnover", "cost_per_year")


class PipelineStep(Protocol):
    """What is recorded of one step of a pipeline; ``outputs`` may name the ``mlflow_run_id`` that it made."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def notebook(self) -> Path: ...
    @property
    def outputs(self) -> Mapping[str, Any]: ...
    @property
    def error(self) -> str: ...


class PipelineRun(Protocol):
    """What is recorded of a pipeline's run."""

    @property
    def run_id(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def folder(self) -> Path: ...
    @property
    def steps(self) -> Sequence[PipelineStep]: ...


class Tracking(Connection):
    """Records runs, and reads what was recorded."""

    @contextlib.contextmanager
    def walk_forward(self, strategy: str, *, run_id: str = "") -> Iterator[Recording]:
        """Open a strategy's run; it ends FINISHED, FAILED with the error, or KILLED. ``run_id`` is the pipeline's."""
        started, code = time.time(), in_background(lambda: checkout(self.paths.root))
        client, experiment = self.client(), self.experiment_id()
        self._end_abandoned(client, experiment)
        tags = {
            "mlflow.runName": f"{strategy} {_minute()}",
            "mlflow.source.name": f"strategies/{strategy}",
            "mlflow.source.type": "NOTEBOOK" if run_id else "LOCAL",
            "mlflow.user": user_name(),
            "strategy": strategy,
            "market": self.settings.market,
            "workbench": workbench.__version__,
            "process": _process(),
        }
        if run_id:
            tags["pipeline_run"] = run_id
        with self.doing("start a run"):
            run = client.create_run(experiment, start_time=int(started * 1000), tags=tags)
        recording = Recording(self, client, str(run.info.run_id), strategy, code, run_id)
        counted = counted_on_error(
            self.paths,
            self.settings,
            strategy,
            recording.run_id,
            lambda head: client.set_tag(recording.run_id, HEAD, head),
        )
        with failed_on_error(client, recording.run_id), counted:
            yield recording
        with self.doing(f"end run {recording.run_id}"):
            client.set_terminated(recording.run_id, "FINISHED")
        self._mark_latest(client, experiment, recording.run_id, strategy)

    def log_walk_forward(
        self,
        wf: WalkForward,
        *,
        params: StrategyParams | None = None,
        tables: record.Tables | None = None,
        files: Iterable[Path] = (),
        run_id: str = "",
    ) -> str:
        """Record a finished walk-forward in one call and return its MLflow run id."""
        with self.walk_forward(wf.strategy, run_id=run_id) as run:
            run.log(wf, params=params, tables=tables, files=files)
        return run.run_id

    def attach_notebook(self, run_id: str, notebook: Path) -> None:
        """Add an executed notebook to a run, as notebooks/<its folder or name>.ipynb."""
        if not notebook.is_file():
            raise NoData(f"{self.paths.short(notebook)}: no such notebook to attach to run {run_id}")
        name = f"{notebook.parent.name}.ipynb" if notebook.stem == "notebook" else notebook.name
        client = self.client()
        with tempfile.TemporaryDirectory() as folder, self.doing(f"attach {name} to run {run_id}"):
            copy = Path(folder) / name
            copy.write_bytes(notebook.read_bytes())
            client.log_artifact(run_id, str(copy), "notebooks")

    def record_pipeline(self, result: PipelineRun) -> str:
        """Record a pipeline's run with its steps, and attach each step's notebook to the walk-forward that it made."""
        client, experiment = self.client(), self.experiment_id(PIPELINES)
        steps = pd.DataFrame(
            {
                "step": [step.id for step in result.steps],
                "status": [step.status for step in result.steps],
                "seconds": [round(step.seconds, 3) for step in result.steps],
                "error": [masked(step.error) for step in result.steps],
                "notebook": [self.paths.short(step.notebook) for step in result.steps],
            }
        )
        begun = int((time.time() - result.seconds) * 1000)
        numbers: dict[str, float] = {"seconds": result.seconds, "steps": len(steps)}
        numbers |= {f"steps_{status}": count for status, count in steps["status"].value_counts().items()}
        numbers |= {f"seconds.{step.id}": step.seconds for step in result.steps if step.seconds}
        errors = [f"{step.id}: {step.error}" for step in result.steps if step.error]
        tags = {
            "mlflow.runName": f"{result.pipeline} {_minute()}",
            "mlflow.user": user_name(),
            "mlflow.loggedArtifacts": json.dumps([{"path": "steps.json", "type": "table"}]),
            "pipeline": result.pipeline,
            "pipeline_run": result.run_id,
            "market": self.settings.market,
            "status": result.status,
            "folder": self.paths.short(result.folder),
            **({"error": masked("; ".join(errors))[:4000]} if errors else {}),
        }
        with tempfile.TemporaryDirectory() as name, self.doing(f"record pipeline run {result.run_id}"):
            record.write_table(Path(name) / "steps.json", steps)
            for kept in result.folder.glob("*.json"):
                (Path(name) / kept.name).write_text(masked(kept.read_text()))
            run = client.create_run(experiment, start_time=begun, tags=tags)
            recorded = str(run.info.run_id)
            with failed_on_error(client, recorded):
                client.log_artifacts(recorded, name)
                client.log_batch(recorded, metrics=metrics(numbers))
            client.set_terminated(recorded, PIPELINE_STATUS.get(result.status, "KILLED"))
        for run_id, notebook in self._notebooks(client, result):
            self.attach_notebook(run_id, notebook)
        return recorded

    def _notebooks(self, client: Any, result: PipelineRun) -> Iterator[tuple[str, Path]]:
        """Pair the walk-forwards of a pipeline's run, failed ones too, with the notebooks that made them."""
        for step in result.steps:
            if step.status == "done" and "mlflow_run_id" in step.outputs:
                yield str(step.outputs["mlflow_run_id"]), step.notebook
        failed = [step for step in result.steps if step.status == "failed" and step.notebook.is_file()]
        if not failed:
            return
        with self.doing("look for failed runs"):
            runs = client.search_runs([self.experiment_id()], filter_string=f"tags.pipeline_run = '{result.run_id}'")
        for run in runs:
            for step in failed:
                if step.id.endswith(f"-{run.data.tags.get('strategy')}"):
                    yield str(run.info.run_id), step.notebook

    def runs_table(
        self,
        experiment: str | None = None,
        *,
        strategies: Iterable[str] = (),
        market: str | None = None,
        latest: bool = False,
        limit: int = 500,
    ) -> pd.DataFrame:
        """Return the finished runs, newest first: what they found, and the parameters in which they differ."""
        wanted = tuple(strategies)
        rows: list[dict[str, Any]] = []
        params: list[dict[str, str]] = []
        seen: set[tuple[str, str]] = set()
        for run in self._finished(experiment, limit):
            tags, metrics = run.data.tags, run.data.metrics
            strategy, where = tags.get("strategy", ""), tags.get("market", "")
            if (wanted and strategy not in wanted) or (market and where != market):
                continue
            if latest and (strategy, where) in seen:
                continue
            seen.add((strategy, where))
            numbers = {name.removeprefix("oos_"): value for name, value in metrics.items() if name.startswith("oos_")}
            rows.append(
                {
                    "strategy": strategy,
                    "market": where,
                    "started": pd.Timestamp(run.info.start_time, unit="ms", tz="UTC").floor("s"),
                    **{name: numbers.pop(name, np.nan) for name in TABLE_FIRST},
                    "sharpe_in_sample": metrics.get("is_sharpe", np.nan),
                    **{name: numbers[name] for name in sorted(numbers)},
                    "commit": tags.get("git.commit", "")[:12],
                    "run_id": run.info.run_id,
                }
            )
            params.append(run.data.params)
        table = pd.DataFrame(rows, columns=None if rows else ["strategy", "market", "started", *TABLE_FIRST, "run_id"])
        chosen = pd.DataFrame(params, index=table.index)
        differing = [name for name in sorted(map(str, chosen)) if chosen[name].nunique(dropna=False) > 1]
        return table.join(chosen[differing].add_prefix("param ")) if differing else table

    def metric_names(self) -> list[str]:
        """Return the names of all metrics that the finished runs have."""
        return sorted({name for run in self._finished(None, 100) for name in run.data.metrics})

    def set_experiment_tag(self, experiment: str, name: str, value: str) -> None:
        """Set a tag of an experiment."""
        client = self.client()
        with self.doing(f"set {name}"):
            client.set_experiment_tag(experiment, name, value)

    def latest_results(self, strategies: Iterable[str] = (), market: str | None = None) -> list[WalkForward]:
        """Return the newest finished walk-forward of each strategy, loaded from its artifacts."""
        market = market or self.settings.market
        table = self.runs_table(strategies=strategies, market=market, latest=True)
        if table.empty:
            raise NoData(f"{self.shown}: no finished run of the {market} market yet; make them: make backtest")
        order = {name: number for number, name in enumerate(self.settings.strategies)}
        table = table.sort_values("strategy", key=lambda names: names.map(lambda name: order.get(name, len(order))))
        return [self.result(run_id) for run_id in table["run_id"]]

    def result(self, run_id: str) -> WalkForward:
        """Return the walk-forward that a run recorded."""
        with self.artifacts(run_id, "result") as folder:
            return WalkForward.load(folder)

    def _finished(self, experiment: str | None, limit: int) -> list[Any]:
        client, token = self.client(), None
        found: list[Any] = []
        ids = [self.experiment_id(experiment)]
        with self.doing("read the runs"):
            while len(found) < limit:
                page = client.search_runs(
                    ids,
                    filter_string="attributes.status = 'FINISHED'",
                    order_by=["attributes.start_time DESC"],
                    max_results=min(200, limit - len(found)),
                    page_token=token,
                )
                found += list(page)
                token = page.token
                if not token:
                    break
        return found

    def _mark_latest(self, client: Any, experiment: str, run_id: str, strategy: str) -> None:
        """Move the tag by which the comparison view finds the newest run of each strategy."""
        with self.doing("mark the newest run"):
            before = client.search_runs(
                [experiment],
                filter_string=(
                    f"tags.latest = 'true' AND tags.strategy = '{strategy}' AND tags.market = '{self.settings.market}'"
                ),
            )
            client.set_tag(run_id, "latest", "true")
            for run in before:
                if run.info.run_id != run_id:
                    client.set_tag(run.info.run_id, "latest", "false")

    def _end_abandoned(self, client: Any, experiment: str) -> None:
        """Mark as KILLED what a process of this machine left behind when it died without a word."""
        host = _process().partition(":")[0]
        with self.doing("look for abandoned runs"):
            for run in client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'"):
                place, _, number = run.data.tags.get("process", "").partition(":")
                if place == host and number.isdigit() and not _alive(int(number)):
                    error, strategy = "the process ended without a word", run.data.tags.get("strategy", "")
                    receipt = count_failure(self.paths, self.settings, strategy, error, run.info.run_id)
                    if receipt is not None:
                        client.set_tag(run.info.run_id, HEAD, receipt.head)
                    client.set_tag(run.info.run_id, "error", error)
                    client.set_terminated(run.info.run_id, "KILLED")


def _minute() -> str:
    return f"{datetime.now(UTC):%m-%d %H:%M}"


def user_name() -> str:
    """Return who runs this, as the machine knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"


def _process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
