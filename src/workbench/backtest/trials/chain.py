"""Batches of trials, each chained to the one before by its SHA-256: how one is added, and all are checked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workbench.backtest.trials.schema import BATCH, TRIAL, Row, insert, row_values, select
from workbench.errors import DataRefused

_SAY = "say so, the loss stays on record: workbench trials --lost 'why it is gone'"
RESTORE_OR_SAY = f"restore the file from a backup; without one, {_SAY}"
RESTORE = f"restore the file from a backup; without one, move it away and {_SAY}"


@dataclass(frozen=True)
class Chain:
    """A chain that held from its first batch to its last."""

    batches: int
    trials: int
    head: str


# The question's digest, text and market, the source, the run, and how many trials were evaluated.
Facts = tuple[str, str, str, str, str, int]


def append_batch(connection: sqlite3.Connection, facts: Facts, rows: Sequence[Row]) -> tuple[int, str]:
    """Append a batch to the chain and return its number and head."""
    number, previous = connection.execute(
        "SELECT coalesce(max(number), 0) + 1, coalesce((SELECT head FROM batches ORDER BY number DESC), '') "
        "FROM batches"
    ).fetchone()
    batch = (number, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", *facts, len(rows))
    head = _head(previous, batch, map(row_values, rows))
    connection.execute(insert("batches", f"{BATCH}, head"), (*batch, head))
    connection.executemany(insert("trials", f"{TRIAL}, batch"), ((*row_values(row), number) for row in rows))
    return number, head


def heads_of(connection: sqlite3.Connection) -> list[str]:
    """Return every head as it is stored, the oldest first."""
    return [head for (head,) in connection.execute("SELECT head FROM batches ORDER BY number")]


def follow(connection: sqlite3.Connection, file: str, seen: list[str]) -> int:
    """Compute every head again, add it to ``seen``, and return how many trials the chain has."""
    trials = 0
    for *batch, head in connection.execute(select("batches", f"{BATCH}, head", "ORDER BY number")):
        number, recorded, run_id, added = batch[0], batch[1], batch[6], batch[8]
        name = f"{file}: batch {number} of {recorded} (run {run_id or 'by hand'})"
        if number != len(seen):
            raise DataRefused(f"{name} follows batch {len(seen) - 1}: what lay between was deleted; {RESTORE}")
        counted = _Counted(connection.execute(select("trials", TRIAL, "WHERE batch = ? ORDER BY key"), (number,)))
        if _head(seen[-1], batch, counted) != head:
            lost = f"{counted.count} trials are left of {added}" if counted.count != added else "it was changed"
            raise DataRefused(f"{name} does not match its digest: {lost}; {RESTORE}")
        trials += counted.count
        seen.append(head)
    (stored,) = connection.execute("SELECT count(*) FROM trials").fetchone()
    if stored != trials:
        raise DataRefused(f"{file}: {stored - trials} trials belong to no batch; {RESTORE}")
    return trials


class _Counted:
    """Rows passed on as they come, and counted."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self.rows:
            self.count += 1
            yield row


def _head(previous: str, batch: Sequence[Any], rows: Iterable[tuple[Any, ...]]) -> str:
    """Return the digest of a batch: of the head before it, its own facts, and every value of its trials."""
    chained = hashlib.sha256(json.dumps([previous, *batch]).encode())
    for row in rows:
        *facts, weekly = row
        chained.update(json.dumps(facts).encode())
        chained.update(hashlib.sha256(weekly or b"").digest())
    return chained.hexdigest()
