"""The one place that knows where runs are kept: MLflow on SQLite, or a server by its URL."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from workbench.disk import whole
from workbench.errors import InputRefused, NoData, WorkbenchError
from workbench.params import Paths, Settings
from workbench.registry.store import (
    alone,
    check_store,
    explained,
    from_store,
    masked,
    tracking_uri,
)
from workbench.state.store import LOCK_SECONDS

# Set before MLflow is imported, unless the user did: no telemetry, no chatter, no minutes of retries.
QUIET: Mapping[str, str] = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Connection:
    """The way to where runs are recorded: ``tracking.uri``, or the SQLite file under mlruns/."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self.settings = settings
        self.paths = paths
        self.uri = tracking_uri(settings, paths)
        self._known: Any = None

    @property
    def database(self) -> Path | None:
        """The SQLite file, or None where runs go elsewhere."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri.startswith("sqlite:///") else None

    @property
    def shown(self) -> str:
        """The store as it may be printed: short, and without a password."""
        return self.paths.short(self.database) if self.database is not None else masked(self.uri)

    def client(self) -> Any:
        """Return the MLflow client; raises at once where the store cannot be written or reached."""
        check_store(self.uri, self.paths)
        if self._known is None:
            mlflow = load_mlflow()
            with self.doing("open the store"), alone(self.database):
                self._make_whole(mlflow)
                self._known = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        return self._known

    def experiment_id(self, name: str | None = None) -> str:
        """Return the id of an experiment, made with its artifact folder where it is new."""
        name = name or self.settings.tracking.experiment
        client = self.client()
        with self.doing(f"open experiment '{name}'"):
            found = client.get_experiment_by_name(name)
            if found is None:
                with alone(self.database):
                    found = client.get_experiment_by_name(name) or self._new_experiment(client, name)
        if found.lifecycle_stage != "active":
            raise InputRefused(
                f"experiment '{name}' was deleted in the MLflow UI; restore it there, "
                f"or name another: --set tracking.experiment={name}-2"
            )
        self._follow_a_moved_checkout(str(found.artifact_location or ""), name)
        return str(found.experiment_id)

    def tags(self, run_id: str) -> dict[str, str]:
        """Return the tags of a run."""
        return dict(self._run(run_id).data.tags)

    def artifact_folder(self, run_id: str) -> Path | None:
        """Return the folder of a run's artifacts, or None where they are kept on a server."""
        place = str(self._run(run_id).info.artifact_uri)
        return Path(unquote(urlsplit(place).path)) if place.startswith("file:") else None

    @contextlib.contextmanager
    def artifacts(self, run_id: str, path: str = "") -> Iterator[Path]:
        """Give a folder of a run's artifacts: as it lies on this machine, or a copy for the moment."""
        place = self.artifact_folder(run_id)
        if place is not None:
            yield place / path
            return
        with tempfile.TemporaryDirectory() as folder:
            with self.doing(f"fetch {path or 'the artifacts'} of run {run_id}"):
                copy = Path(self.client().download_artifacts(run_id, path, folder))
            yield copy

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn what MLflow, SQLAlchemy and the disk raise into one line with the next step."""
        try:
            yield
        except WorkbenchError:
            raise
        except Exception as error:
            if not from_store(error):
                raise
            raise explained(self.shown, what, error) from error

    def _run(self, run_id: str) -> Any:
        client = self.client()
        with self.doing(f"read run {run_id}"):
            run = client.get_run(run_id)
        if run.info.lifecycle_stage != "active":
            raise NoData(f"run {run_id} was deleted in the MLflow UI; restore it there, or make it anew with --fresh")
        return run

    def _make_whole(self, mlflow: Any) -> None:
        """Make a new SQLite store beside its place and move it there: MLflow cannot go on from half of its tables."""
        if self.database is None or self.database.exists():
            return
        for left in self.database.parent.glob(f".{self.database.name}.*.tmp*"):  # by a process that was killed
            left.unlink()
        with whole(self.database) as half:
            mlflow.MlflowClient(tracking_uri=f"sqlite:///{half}", registry_uri=f"sqlite:///{half}")

    def _new_experiment(self, client: Any, name: str) -> Any:
        location = None if self.uri.startswith("http") else self._location(name)
        try:
            client.create_experiment(name, artifact_location=location)
        except load_mlflow().exceptions.MlflowException as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":  # another process was first
                raise
        return client.get_experiment_by_name(name)

    def _location(self, name: str) -> str:
        return (self.paths.mlruns / "artifacts" / name).as_uri()

    def _follow_a_moved_checkout(self, location: str, name: str) -> None:
        """Point the runs of a checkout that was moved or copied to where their artifacts lie now."""
        wanted, database = self._location(name), self.database
        ending = f"/mlruns/artifacts/{name}"
        if database is None or location == wanted or not location.endswith(ending):
            return
        if database.parent != self.paths.mlruns or Path(location.removeprefix("file://")).exists():
            return
        old, new = location.removesuffix(f"/artifacts/{name}"), wanted.removesuffix(f"/artifacts/{name}")
        columns = {"experiments": ["artifact_location"], "runs": ["artifact_uri"]}
        with contextlib.closing(sqlite3.connect(database, timeout=LOCK_SECONDS)) as connection, connection:
            for table, names in columns.items():
                for column in names:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",  # noqa: S608
                        (new, len(old) + 1, len(old), old),
                    )


def load_mlflow() -> Any:
    """Import MLflow with its telemetry and chatter off."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.exceptions

    # It prints whole tracebacks of what it raises all the same; ``doing`` tells that in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return mlflow
