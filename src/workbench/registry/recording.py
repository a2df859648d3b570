"""One run while it is recorded: everything is prepared in a folder first and sent at the end."""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.backtest.result import WalkForward
from workbench.params import StrategyParams, lake_root
from workbench.registry import record
from workbench.registry.checkout import Checkout
from workbench.registry.connection import Connection
from workbench.registry.counting import Counted, count_cells
from workbench.registry.store import alone, masked


@dataclass(frozen=True)
class Recording:
    """An open run: ``count`` puts the cells of a walk-forward in the trial ledger, ``log`` writes it into the run."""

    connection: Connection
    client: Any
    run_id: str
    strategy: str
    code: Future[Checkout]  # as it was when the run began
    pipeline_run: str = ""
    counted: list[tuple[pd.DataFrame, Counted]] = field(default_factory=list)  # what was counted, by its returns

    def count(
        self, wf: WalkForward, *, params: StrategyParams | None = None, tables: record.Tables | None = None
    ) -> Counted:
        """Count a walk-forward's cells as soon as it is made, so that what fails after it counts nothing twice.

        The run keeps the ledger's head. What is counted already, with its robustness added or without, is not again.
        """
        for returns, known in self.counted:
            if returns is wf.cell_returns:
                return known
        connection = self.connection
        counted = count_cells(connection.paths, connection.settings, wf, params, tables or {}, self.run_id)
        self.counted.append((wf.cell_returns, counted))
        with connection.doing(f"write to run {self.run_id}"):
            self._send({}, {}, {name: value[:5000] for name, value in counted.tags.items()})
        return counted

    def log(
        self,
        wf: WalkForward,
        *,
        params: StrategyParams | None = None,
        tables: record.Tables | None = None,
        files: Iterable[Path] = (),
    ) -> Path:
        """Record everything about a walk-forward and return its tear sheet, a copy in data/reports/."""
        connection, used = self.connection, dict(tables or {})
        counted = self.count(wf, params=params, tables=used)
        code, locks = self.code.result(), record.lock_digests(connection.paths.root)
        provenance = self._provenance(code, used, locks)
        provenance["trial ledger"] = f"batch {counted.receipt.batch}, head {counted.receipt.head}"
        numbers, odd = record.statistics(wf)
        with tempfile.TemporaryDirectory(prefix="workbench-run-") as name:
            sheet = record.write_artifacts(
                Path(name), wf, connection.settings, params, code, provenance, files, counted.evidence
            )
            counted.write(Path(name) / "trials.json")
            with connection.doing(f"write to run {self.run_id}"):
                self.client.log_artifacts(self.run_id, name)
                if used:
                    with alone(connection.database):  # MLflow makes the row of a table twice where two runs begin it
                        self.client.log_inputs(self.run_id, datasets=_inputs(used, connection))
                self._send(
                    numbers | counted.evidence.metrics(),
                    record.parameters(connection.settings, params, wf),
                    record.tags(wf, code, used, locks, odd) | {"settings.digest": provenance["settings"]},
                )
                for some in _chunks(_curves(wf), 1000):
                    self.client.log_batch(self.run_id, metrics=some)
            target = connection.paths.reports / f"{self.run_id[:8]}-{wf.strategy}.html"
            return record.publish(sheet, target)

    def _send(self, numbers: Mapping[str, float], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Send everything at once where it keeps within a server's limits: 100 parameters and 100 tags a call."""
        from mlflow.entities import Param, RunTag

        calls: Iterable[Any] = itertools.zip_longest(
            _chunks(metrics(numbers), 800),
            _chunks([Param(name, value) for name, value in params.items()], 100),
            _chunks([RunTag(name, value) for name, value in tags.items()], 100),
            fillvalue=[],
        )
        for some_metrics, some_params, some_tags in calls:
            self.client.log_batch(self.run_id, metrics=some_metrics, params=some_params, tags=some_tags)

    def _provenance(self, code: Checkout, tables: record.Tables, locks: Mapping[str, str]) -> dict[str, str]:
        """Return what one needs to make the run again, for the tear sheet."""
        return {
            "MLflow run": self.run_id,
            **({"pipeline run": self.pipeline_run} if self.pipeline_run else {}),
            "recorded": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            "git commit": code.text() + (" (dirty.diff in the run)" if code.diff else ""),
            **{f"table {name}": record.table_text(table) for name, table in tables.items()},
            "settings": self.connection.settings.digest(record.SECTIONS),
            **{name: f"SHA-256 {text}" for name, text in locks.items()},
            **record.environment(),
        }


@contextlib.contextmanager
def failed_on_error(client: Any, run_id: str) -> Iterator[None]:
    """Mark a run as FAILED, or KILLED, where an error ends it; that error is the one to report."""
    try:
        yield
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        line = masked(f"{type(error).__name__}: {error}".strip())[:4000]
        with contextlib.suppress(Exception):
            client.set_terminated(run_id, status)
        with contextlib.suppress(Exception):
            client.set_tag(run_id, "error", line)
            client.set_tag(run_id, "mlflow.note.content", f"**{status}** {line}")
            client.log_text(run_id, masked("".join(traceback.format_exception(error))), "error.txt")
        raise


def _inputs(tables: record.Tables, connection: Connection) -> list[Any]:
    """Return the tables that a run read, as MLflow's dataset inputs."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = []
    market = lake_root(connection.settings, connection.paths) / connection.settings.market
    for name, table in tables.items():
        facts = record.table_facts(table)
        digest = str(facts.get("digest") or f"version-{facts.get('version', 'unknown')}")
        source = {"path": connection.paths.short(market / name), **facts}
        kept = Dataset(
            name=name,
            digest=digest[:36],
            source_type="delta",
            source=json.dumps(source, default=str),
            profile=json.dumps(facts, default=str),
        )
        found.append(DatasetInput(kept, tags=[InputTag("mlflow.data.context", "backtest")]))
    return found


def _curves(wf: WalkForward) -> list[Any]:
    from mlflow.entities import Metric

    return [Metric(name, value, at, step) for name, value, at, step in record.curves(wf)]


def metrics(numbers: Mapping[str, float]) -> list[Any]:
    """Return numbers as MLflow's metrics, as of now."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(record.key(name), float(value), now, 0) for name, value in numbers.items()]


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
