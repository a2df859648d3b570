"""How the state database is opened: SQLite in data/state/ with every commit synced, or PostgreSQL by ``state.url``."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.pool import NullPool, Pool, QueuePool

from workbench.errors import CannotWrite, DataRefused, InputRefused, WorkbenchError
from workbench.params import Paths, Settings

FILE = "workbench.db"
LOCK_SECONDS = 10.0
CONNECT_SECONDS = 5.0
RESTORE = "nothing is promoted, loaded or traded from it; restore the file from a backup"


@dataclass(frozen=True)
class Store:
    """Where the state is, and how a person knows it."""

    url: sql.URL
    shown: str

    @classmethod
    def named(cls, settings: Settings, paths: Paths) -> Store:
        """Return the store of a project: ``state.url``, or the SQLite file in data/state/."""
        text = settings.state.url.strip()
        if not text or text.startswith("sqlite:///"):
            file = (paths.root / text.removeprefix("sqlite:///")).resolve() if text else paths.state / FILE
            return cls(sql.URL.create("sqlite", database=str(file)), paths.short(file))
        try:
            url = sql.make_url(text)
        except sql.exc.ArgumentError as error:
            raise InputRefused(_not_a_store(text)) from error
        if url.get_backend_name() != "postgresql":
            raise InputRefused(_not_a_store(text))
        return cls(url.set(drivername="postgresql+psycopg"), masked(text))

    @property
    def file(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(str(self.url.database)) if self.url.drivername == "sqlite" else None

    def engine(self, *, kept: bool = False) -> sql.Engine:
        """Return an engine; kept: its connection stays open between uses, as a process that writes often wants it."""
        if self.file is not None:
            return _sqlite(self.url, QueuePool if kept else NullPool)
        return _postgres(self.url, QueuePool if kept else NullPool)

    @contextlib.contextmanager
    def alone(self, engine: sql.Engine, name: str) -> Iterator[sql.Connection]:
        """Open the database as its only writer, and commit at the end; nothing is written where something is raised."""
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        with engine.execution_options(alone=True).begin() as connection:
            if connection.dialect.name == "postgresql":  # as BEGIN IMMEDIATE: one writer after the other
                key = sql.func.hashtext(f"workbench {name}")
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(key)))
            yield connection

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the database and the disk raise into one line with the next step."""
        try:
            yield
        except WorkbenchError:
            raise
        except (sql.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise _explained(self.shown, error) from error


def masked(text: str) -> str:
    """Return a text without the passwords of the URLs in it."""
    return re.sub(r"(\w+://[^/\s:@\"']*):[^/\s@\"']+@", r"\1:***@", text)


def _sqlite(url: sql.URL, pool: type[Pool]) -> sql.Engine:
    settings: dict[str, Any] = {"timeout": LOCK_SECONDS, "isolation_level": None, "check_same_thread": False}
    engine = sql.create_engine(url, poolclass=pool, connect_args=settings)

    @sql.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    @sql.event.listens_for(engine, "begin")
    def _begin(connection: sql.Connection) -> None:
        alone = connection.get_execution_options().get("alone", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")

    return engine


def _postgres(url: sql.URL, pool: type[Pool]) -> sql.Engine:
    try:
        return sql.create_engine(
            url, poolclass=pool, isolation_level="READ COMMITTED", pool_pre_ping=pool is not NullPool,
            connect_args={"connect_timeout": int(CONNECT_SECONDS), "options": f"-c lock_timeout={LOCK_SECONDS:.0f}s"},
        )  # fmt: skip
    except ModuleNotFoundError as error:
        raise InputRefused(
            f"state.url {masked(url.render_as_string(hide_password=True))}: PostgreSQL needs the package psycopg; "
            "uv pip install 'psycopg[binary]', or leave state.url empty"
        ) from error


def _not_a_store(text: str) -> str:
    return (
        f"state.url '{masked(text)}': not a store for the record; leave it empty for data/state/{FILE}, "
        "or write postgresql://user@host/database"
    )


def _explained(shown: str, error: BaseException) -> WorkbenchError:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    low = text.lower()
    if "append-only" in low:
        return DataRefused(f"{shown}: {text}")
    if "malformed" in low or "not a database" in low:
        return DataRefused(f"{shown}: damaged ({text}); {RESTORE}")
    if "locked" in low or "lock timeout" in low:
        return CannotWrite(
            f"{shown}: locked by another process for more than {LOCK_SECONDS:.0f} s; wait for it or stop it, "
            "then run again"
        )
    if "full" in low or "no space left" in low:
        return CannotWrite(f"{shown}: the disk is full ({text}), so nothing can be recorded; free some space")
    if isinstance(error, OSError) or "readonly" in low or "unable to open" in low or "i/o error" in low:
        return CannotWrite(f"{shown}: {text}, so nothing can be recorded; make its folder writable, then run again")
    return WorkbenchError(f"{shown}: {masked(text)[:300]}; start that database, or set state.url")
