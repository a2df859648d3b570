"""Where runs are recorded, and whether something can be recorded there now: answers in one line, at once."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from workbench.disk import writable
from workbench.errors import CannotWrite, InputRefused, WorkbenchError
from workbench.params import Paths, Settings
from workbench.state.store import CONNECT_SECONDS, LOCK_SECONDS
from workbench.state.store import masked as masked

# What the client of a server says of one that is gone, or went amid the answer.
UNANSWERED = ("max retries exceeded", "connection refused", "connection reset", "connection aborted", "timed out")


def tracking_uri(settings: Settings, paths: Paths) -> str:
    """Return where runs are recorded; a relative SQLite path is taken from the project's root."""
    uri = settings.tracking.uri.strip()
    if not uri:
        return f"sqlite:///{paths.mlruns / 'mlflow.db'}"
    if uri.startswith("sqlite:///"):
        return f"sqlite:///{(paths.root / uri.removeprefix('sqlite:///')).resolve()}"
    scheme = uri.partition(":")[0].partition("+")[0]
    if scheme not in ("http", "https", "postgresql", "mysql", "mssql"):
        raise InputRefused(
            f"tracking.uri '{masked(uri)}': not a store for runs; leave it empty for mlruns/mlflow.db, "
            "or write http://host:5000, sqlite:///path/to/mlflow.db or postgresql://…"
        )
    if scheme in ("http", "https"):
        _check_address(uri)
    return uri.rstrip("/")


def _check_address(uri: str) -> None:
    try:
        address = urlsplit(uri)
        wrong = "" if address.hostname else "it names no host"
        wrong = "the port is not between 1 and 65535" if address.port == 0 else wrong
    except ValueError:  # what urlsplit raises for another port
        wrong = "the port is not between 1 and 65535"
    if wrong:
        raise InputRefused(f"tracking.uri '{masked(uri)}': {wrong}; write http://host:5000")


def check_store(uri: str, paths: Paths) -> None:
    """Raise at once where the store cannot be written or reached, as MLflow would after minutes or half-way."""
    if uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///"))
        check_database(file, paths.short(file))
    elif uri.startswith("http"):
        check_server(uri)


def check_database(file: Path, shown: str) -> None:
    """Raise unless the SQLite file, or the folder for a new one, can be written now."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(
            f"{shown}: {error.strerror}; runs cannot be recorded there; mend mlruns/ or set tracking.uri"
        ) from error
    target = file if file.exists() else file.parent
    if not writable(target, file.parent):
        raise CannotWrite(
            f"{shown}: read-only, so no run can be recorded; chmod -R u+w {file.parent.name}, or set tracking.uri"
        )
    if not file.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=LOCK_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise explained(shown, "open the store", error) from error


@contextlib.contextmanager
def alone(file: Path | None) -> Iterator[None]:
    """Let one process at a time make the schema or an experiment of a SQLite store: MLflow itself does not."""
    if file is None:
        yield
        return
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go of when the process ends, however it ends
        yield


def check_server(uri: str) -> None:
    """Raise unless something answers at the server's address."""
    address = urlsplit(uri)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _no_answer(masked(uri), error.strerror or str(error)) from error


def _no_answer(shown: str, why: str) -> WorkbenchError:
    return WorkbenchError(
        f"tracking.uri {shown}: no answer ({why}); start that server, "
        "or leave tracking.uri empty to record under mlruns/"
    )


def explained(shown: str, doing: str, error: BaseException) -> WorkbenchError:
    """Return the one line for what a store raised."""
    text = masked(" ".join(str(error).split()))
    low = text.lower()
    if shown.startswith(("http://", "https://")) and any(word in low for word in UNANSWERED):
        return _no_answer(shown, f"could not {doing}")
    if "locked" in low:
        return CannotWrite(
            f"{shown}: locked by another process for more than {LOCK_SECONDS:.0f} s; wait for it or stop it, "
            "then run again"
        )
    if "readonly" in low or "read-only" in low or "permission denied" in low or "unable to open database" in low:
        return CannotWrite(
            f"{shown}: read-only, so the run cannot be recorded; make mlruns/ writable: chmod -R u+w mlruns"
        )
    if "disk is full" in low or "no space left" in low:
        return CannotWrite(f"{shown}: the disk is full; free some space, then run again")
    if "disk i/o error" in low:
        return CannotWrite(f"{shown}: the disk refused a write; see whether it is full, then run again")
    if "not a database" in low or "malformed" in low:
        return CannotWrite(f"{shown}: damaged ({text}); restore it from a backup, or move it away to begin anew")
    if "out-of-date database schema" in low:
        return CannotWrite(f"{shown}: written by another MLflow; run: .venv/bin/mlflow db upgrade sqlite:///{shown}")
    return WorkbenchError(f"{shown}: could not {doing}: {text[:300]}")


def from_store(error: BaseException) -> bool:
    """Return whether an error came from the store and not from our own code."""
    if isinstance(error, (OSError, sqlite3.Error)):
        return True
    return type(error).__module__.partition(".")[0] in ("mlflow", "sqlalchemy", "requests", "urllib3", "alembic")
