"""A sweep in MLflow: one run with its table, pictures and page, and a nested run for each of the best few cells."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import workbench
from workbench.registry import record
from workbench.registry.checkout import checkout
from workbench.registry.connection import Connection
from workbench.registry.recording import failed_on_error, metrics

SWEEPS = "sweep"


@dataclass(frozen=True)
class BestCell:
    """One cell that gets a run of its own."""

    name: str
    params: Mapping[str, Any]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class SweepRecord:
    """What is recorded of a sweep; everything in ``folder`` becomes an artifact, ``table`` names the one to show."""

    strategy: str
    run_id: str
    note: str
    params: Mapping[str, Any]
    numbers: Mapping[str, float]
    tags: Mapping[str, str]
    seconds: float
    folder: Path
    table: str
    best: Sequence[BestCell] = ()


def record_sweep(connection: Connection, sweep: SweepRecord) -> str:
    """Record a sweep and return the id of its MLflow run."""
    client, experiment = connection.client(), connection.experiment_id(SWEEPS)
    begun = int((time.time() - sweep.seconds) * 1000)
    code = checkout(connection.paths.root)
    tags = {
        "strategy": sweep.strategy,
        "market": connection.settings.market,
        "sweep": sweep.run_id,
        "process": f"{socket.gethostname()}:{os.getpid()}",
        "workbench": workbench.__version__,
        "git.commit": code.commit,
        "git.dirty": str(code.dirty).lower(),
        **{record.key(name): value[:5000] for name, value in sweep.tags.items() if value},
    }
    named = {
        "mlflow.runName": f"{sweep.strategy} {datetime.now(UTC):%m-%d %H:%M}",
        "mlflow.source.name": f"strategies/{sweep.strategy}",
        "mlflow.note.content": sweep.note,
        "mlflow.loggedArtifacts": json.dumps([{"path": sweep.table, "type": "table"}]),
    }
    with connection.doing(f"record sweep {sweep.run_id}"):
        parent = str(client.create_run(experiment, start_time=begun, tags={**tags, **named}).info.run_id)
        with failed_on_error(client, parent), contextlib.ExitStack() as children:
            client.log_artifacts(parent, str(sweep.folder))
            client.log_batch(parent, metrics=metrics(_finite(sweep.numbers)), params=_params(sweep.params))
            for cell in sweep.best:
                own = {**tags, "mlflow.parentRunId": parent, "mlflow.runName": cell.name}
                child = str(client.create_run(experiment, start_time=begun, tags=own).info.run_id)
                children.enter_context(failed_on_error(client, child))
                client.log_batch(child, metrics=metrics(_finite(cell.numbers)), params=_params(cell.params))
                client.set_terminated(child, "FINISHED")
        client.set_terminated(parent, "FINISHED")
    return parent


def _finite(numbers: Mapping[str, float]) -> dict[str, float]:
    """Return the numbers that MLflow has a place for."""
    return {name: float(value) for name, value in numbers.items() if np.isfinite(value)}


def _params(values: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return [Param(record.key(name), text[:6000]) for name, text in texts.items()][:100]
