"""What the ledger's file holds: batches and trials, with triggers that let nothing be changed or deleted."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

# A trial that only its returns tell apart: 16 digits of their digest, a dash, and the key that did not tell all. The
# digits come first, so that the lowest keys stay an even sample.
IS_VARIANT, BASE = "substr(key, 17, 1) = '-'", "substr(key, 18)"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, head TEXT NOT NULL UNIQUE, recorded TEXT NOT NULL, question TEXT NOT NULL,
    text TEXT NOT NULL, market TEXT NOT NULL, source TEXT NOT NULL, run_id TEXT NOT NULL,
    evaluated INTEGER NOT NULL, added INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    key TEXT NOT NULL UNIQUE, batch INTEGER NOT NULL REFERENCES batches(number), strategy TEXT NOT NULL,
    params TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, sharpe REAL, n INTEGER NOT NULL,
    skew REAL, kurtosis REAL, week INTEGER, weekly BLOB);
CREATE INDEX IF NOT EXISTS trials_by_batch ON trials (batch);
CREATE INDEX IF NOT EXISTS variants_by_key ON trials ({BASE}) WHERE {IS_VARIANT};
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the trial ledger is append-only'); END;"
    for table in ("batches", "trials")
    for verb in ("UPDATE", "DELETE")
)
# A week's returns are the same up to this share of what the trial's weeks spread, or of how far this week lies out: the
# last share of an order makes less. What float32 rounds off is the same too, and the ratio where there are no returns.
SAME, ROUNDED, SAME_RATIO = 3e-3, 2e-7, 1e-9
BATCH = "number, recorded, question, text, market, source, run_id, evaluated, added"
TRIAL = "key, strategy, params, status, error, sharpe, n, skew, kurtosis, week, weekly"


@dataclass(frozen=True)
class Row:
    """One trial as it is stored; ``weekly`` holds float32, little end first."""

    key: str
    strategy: str
    params: str
    status: str
    error: str = ""
    sharpe: float | None = None
    n: int = 0
    skew: float | None = None
    kurtosis: float | None = None
    week: int | None = None
    weekly: bytes | None = None

    @property
    def kind(self) -> Hashable:
        """What two trials with the same returns have in common at least."""
        return self.status, self.n, self.week, self.sharpe is None, None if self.weekly is None else len(self.weekly)

    @property
    def values(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """What is compared: the weekly returns, or the Sharpe ratio where there are none."""
        return np.array([self.sharpe or 0.0]) if self.weekly is None else np.frombuffer(self.weekly, "<f4")

    @property
    def tolerance(self) -> NDArray[np.float64]:
        """How far each value of another trial may lie off, if it has the same returns."""
        values = self.values.astype(float)
        if self.weekly is None:
            return np.array([SAME_RATIO])
        out = np.abs(values - values.mean())
        found: NDArray[np.float64] = SAME * np.maximum(values.std(), out) + ROUNDED * np.abs(values)
        return found

    def like(self, other: Row) -> bool:
        """Return whether both have the same returns, but for rounding and the last share of an order."""
        return self.kind == other.kind and bool((np.abs(self.values - other.values) <= self.tolerance).all())

    @property
    def base(self) -> str:
        """The key without what ``apart`` put before it."""
        return self.key[17:] if self.key[16:17] == "-" else self.key

    def apart(self) -> Row:
        """Return the row under a key of its own, which has its returns in it."""
        told = hashlib.sha256(repr((self.key, self.status, self.n, self.week)).encode())
        told.update(repr(self.sharpe).encode() if self.weekly is None else self.weekly)
        return replace(self, key=f"{told.hexdigest()[:16]}-{self.key}")


row_values = attrgetter(*TRIAL.split(", "))


def statements() -> Iterator[str]:
    """Give the schema statement by statement: ``executescript`` would commit what is open."""
    text = ""
    for part in (_SCHEMA + _GUARDS).split(";"):
        text += part + ";"
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def select(table: str, columns: str, rest: str) -> str:
    """Return a query of one table."""
    return f"SELECT {columns} FROM {table} {rest}"  # noqa: S608 (tables and columns are ours)


def insert(table: str, columns: str) -> str:
    """Return the statement that adds a row to a table."""
    marks = ",".join("?" * len(columns.split(",")))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 (tables and columns are ours)
