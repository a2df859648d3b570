"""Who may write the journal of an account: one process, by a lock on a file and a number in the database.

The lock keeps a second runner of this machine out. The number, one more with every holder, keeps out whoever held it
before: a runner that hung, was declared dead and wakes up again finds its every write refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from workbench.errors import AlreadyRunning, InputRefused
from workbench.params import Paths, Settings
from workbench.state.schema import require_schema
from workbench.state.store import Store

# A holder on another machine that was silent for longer is taken to be dead; the runner renews every minute.
SILENT = timedelta(minutes=5)

_leases = sql.Table(
    "leases",
    sql.MetaData(),
    sql.Column("account", sql.Text, primary_key=True),
    sql.Column("token", sql.Integer),
    *(sql.Column(name, sql.Text) for name in ("holder", "host")),
    sql.Column("pid", sql.Integer),
    *(sql.Column(name, sql.Text) for name in ("started", "since", "renewed")),
    sql.Column("released", sql.Boolean),
)


@dataclass
class Lease:
    """The right to write, until somebody else has a higher ``token``."""

    account: str
    token: int
    holder: str
    _store: Store
    _engine: sql.Engine
    _file: TextIOWrapper | None = None

    @classmethod
    def acquire(cls, settings: Settings, paths: Paths, account: str, holder: str = "runner") -> Lease:
        """Take the lease, or refuse naming who has it; the lease of a process that is dead is taken over."""
        file = _locked(paths, account)
        try:
            return cls._take(settings, paths, account, holder, file, by_force=False)
        except BaseException:
            if file:
                file.close()
            raise

    @classmethod
    def seize(cls, settings: Settings, paths: Paths, account: str, holder: str) -> Lease:
        """Take the lease from whoever has it: from now on nothing that it writes is accepted, so it sends nothing."""
        return cls._take(settings, paths, account, holder, None, by_force=True)

    @classmethod
    def _take(
        cls, settings: Settings, paths: Paths, account: str, holder: str, file: TextIOWrapper | None, *, by_force: bool
    ) -> Lease:
        store = Store.named(settings, paths)
        engine = store.engine()
        require_schema(store, engine)
        with store.explained(), store.alone(engine, "journal") as connection:
            row = connection.execute(sql.select(_leases).where(_leases.c.account == account)).mappings().first()
            if row and not by_force and _alive(dict(row)):
                raise AlreadyRunning(_refusal(account, dict(row)))
            token, now = (row["token"] if row else 0) + 1, _now()
            facts = {
                "token": token, "holder": holder, "host": socket.gethostname(), "pid": os.getpid(),
                "started": _started(os.getpid()), "since": now, "renewed": now, "released": False,
            }  # fmt: skip
            if row:
                connection.execute(_leases.update().where(_leases.c.account == account).values(**facts))
            else:
                connection.execute(_leases.insert().values(account=account, **facts))
        return cls(account, token, holder, store, engine, file)

    @staticmethod
    def holder_of(settings: Settings, paths: Paths, account: str) -> str:
        """Return who has the lease of an account and lives, or nothing."""
        store = Store.named(settings, paths)
        engine = store.engine()
        require_schema(store, engine)
        with store.explained(), engine.connect() as connection:
            row = connection.execute(sql.select(_leases).where(_leases.c.account == account)).mappings().first()
        return f"the {row['holder']}, process {row['pid']} on {row['host']}" if row and _alive(dict(row)) else ""

    def check(self, connection: sql.Connection) -> None:
        """Raise unless this is still the lease; asked in the transaction of every write, and renews it."""
        mine = (_leases.c.account == self.account) & (_leases.c.token == self.token) & ~_leases.c.released
        renewed = connection.execute(_leases.update().where(mine).values(renewed=_now()))
        if renewed.rowcount != 1:
            row = connection.execute(sql.select(_leases).where(_leases.c.account == self.account)).mappings().first()
            raise AlreadyRunning(
                _refusal(
                    self.account, dict(row) if row else None, "since then nothing of this process is written or sent"
                )
            )

    def renew(self) -> None:
        """Say that the holder lives; raise where the lease is lost."""
        with self._store.explained(), self._store.alone(self._engine, "journal") as connection:
            self.check(connection)

    def release(self) -> None:
        """Give the lease back; releasing a lost one changes nothing."""
        mine = (_leases.c.account == self.account) & (_leases.c.token == self.token)
        try:
            with self._store.explained(), self._store.alone(self._engine, "journal") as connection:
                connection.execute(_leases.update().where(mine).values(released=True))
        finally:
            if self._file:
                self._file.close()


def lock_file(paths: Paths, account: str, what: str) -> Path:
    """Return a file of an account that processes lock."""
    if not re.fullmatch(r"\w+", account):
        raise InputRefused(f"account '{account}': a name has letters, digits and '_' only, such as DU1234567")
    paths.state.mkdir(parents=True, exist_ok=True)
    return paths.state / f".{account}.{what}.lock"


def let_pass(paths: Paths, account: str, seconds: float) -> bool:
    """Wait until the order that is just being sent has left; False where it takes longer: its sender hangs."""
    until = time.monotonic() + seconds
    with lock_file(paths, account, "sending").open("a") as door:
        while True:
            try:
                fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() > until:
                    return False
                time.sleep(0.005)


def _locked(paths: Paths, account: str) -> TextIOWrapper:
    file = lock_file(paths, account, "runner").open("a+")  # closing it, or dying, lets go of the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        told = file.read().strip() or "a process that is just starting"
        file.close()
        raise AlreadyRunning(f"account {account}: traded by {told}; stop it first, or stop this one") from error
    file.seek(0)
    file.truncate()
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
    file.flush()
    return file


def _alive(row: Mapping[str, Any]) -> bool:
    if row["released"]:
        return False
    if row["host"] == socket.gethostname():
        return bool(_started(row["pid"])) and _started(row["pid"]) == row["started"]
    return datetime.now(UTC) - datetime.fromisoformat(row["renewed"]) < SILENT


def _started(pid: int) -> str:
    """Return when a process began, by the machine's own count: a number that is used again is not the same process."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if words[0] == "Z" else words[19]  # Z: it ended, and nobody has asked how
    return ""


def _refusal(account: str, row: Mapping[str, Any] | None, then: str = "stop it first, or stop this one") -> str:
    if row is None or row["released"]:
        return f"account {account}: the lease was given back; start the runner again"
    return (
        f"account {account}: traded by the {row['holder']}, process {row['pid']} on {row['host']} since "
        f"{row['since']}; {then}"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
