"""The bytes of a version's candidate out of MLflow, read once; MLflow is asked where they are and believed nothing."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputRefused, NoData, PackRefused, WorkbenchError
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.models import UNKNOWN, model_name
from workbench.registry.lifecycle.stages import ALIASES
from workbench.registry.packs.candidate import FOLDER
from workbench.registry.packs.files import Unanswered, is_there, read_files

_RUN = re.compile(r"[0-9a-f]{32}")


class Away(NoData):
    """MLflow does not answer, or no longer has what is asked for."""


@dataclass(frozen=True)
class Fetched:
    """A candidate's files as MLflow's store has them, not verified yet; ``alias`` says where it differs."""

    files: dict[str, bytes]
    alias: str


def fetch(connection: Connection, kind: str, name: str, version: int, stage: str) -> Fetched:
    """Return the files of a version's candidate, or raise Away."""
    called, shown = model_name(kind, name), f"{name} version {version}"
    client = _client(connection)
    with _asking(f"{shown} is gone from MLflow ({connection.shown})"), connection.doing(f"find {shown}"):
        found = client.get_model_version(called, str(version))
        aliases = client.get_registered_model(called).aliases
    if (str(found.name), str(found.version)) != (called, str(version)):
        raise PackRefused(
            f"{shown}: MLflow ({connection.shown}) answers with {found.name} version {found.version}; "
            "nothing of it is loaded: see what stands between here and MLflow"
        )
    run_id = str(found.run_id or "")
    if not _RUN.fullmatch(run_id):
        raise PackRefused(
            f"{shown}: MLflow names run {run_id!r}, which is none; it was changed by hand: workbench status"
        )
    return Fetched(_files(connection, run_id, shown), _alias(aliases, version, stage, name))


def _client(connection: Connection) -> Any:
    """Return MLflow's client; a store that is gone is not made anew, as MLflow itself would."""
    try:
        if connection.database is not None and not is_there(connection.database, connection.shown):
            raise Away(f"MLflow: {connection.shown} is gone")
        return connection.client()
    except Away:
        raise
    except ModuleNotFoundError as error:
        raise Away(f"MLflow: {error.name} is not installed here") from error
    except WorkbenchError as error:
        raise Away(f"MLflow: {error}") from error


def _files(connection: Connection, run_id: str, shown: str) -> dict[str, bytes]:
    try:
        return _read(connection, run_id, shown)
    except Unanswered as error:
        raise Away(str(error)) from error


def _read(connection: Connection, run_id: str, shown: str) -> dict[str, bytes]:
    with _asking(f"{shown}: run {run_id[:8]} is gone from MLflow ({connection.shown})"):
        place = connection.artifact_folder(run_id)
    if place is not None:
        # A store on this disk keeps everything below one folder; a server may name any folder that it shares with us.
        below = place if connection.database is None else connection.paths.mlruns / "artifacts"
        if not is_there(place / FOLDER, shown, follow=False):
            raise Away(f"{shown}: its evidence is gone ({connection.paths.short(place / FOLDER)})")
        return read_files(place / FOLDER, shown, below=below)
    with tempfile.TemporaryDirectory(prefix="workbench-load-") as private:
        with _asking(f"{shown}: its evidence is gone from MLflow"), connection.doing(f"fetch {shown}"):
            connection.client().download_artifacts(run_id, FOLDER, private)
        if not (Path(private) / FOLDER).exists():
            raise Away(f"{shown}: its evidence is gone from MLflow ({connection.shown})")
        return read_files(Path(private) / FOLDER, shown, below=Path(private))


@contextlib.contextmanager
def _asking(gone: str) -> Iterator[None]:
    """Tell an MLflow that cannot answer, or has lost what is asked, from one that answers wrongly."""
    try:
        yield
    except (PackRefused, InputRefused):
        raise
    except WorkbenchError as error:
        cause = getattr(error.__cause__, "error_code", "")
        raise Away(gone if cause in UNKNOWN or isinstance(error, NoData) else f"MLflow: {error}") from error


def _alias(aliases: Any, version: int, stage: str, name: str) -> str:
    """Say that the alias names another version than the record: moved by hand, it counts for nothing."""
    alias = ALIASES[stage]
    named = str(dict(aliases).get(alias, ""))
    if named == str(version):
        return ""
    found = f"names version {named}" if named else "is gone"
    return (
        f"{name}: alias '{alias}' {found} in MLflow, by the record version {version} stands at {stage}; an alias "
        "counts for nothing: workbench status"
    )
