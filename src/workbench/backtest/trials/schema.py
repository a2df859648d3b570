"""What the ledger's file holds: batches and trials, with triggers that let nothing be changed or deleted."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY, head TEXT NOT NULL UNIQUE, recorded TEXT NOT NULL, question TEXT NOT NULL,
    text TEXT NOT NULL, market TEXT NOT NULL, source TEXT NOT NULL, run_id TEXT NOT NULL,
    evaluated INTEGER NOT NULL, added INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
    key TEXT NOT NULL UNIQUE, batch INTEGER NOT NULL REFERENCES batches(number), strategy TEXT NOT NULL,
    params TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, sharpe REAL, n INTEGER NOT NULL,
    skew REAL, kurtosis REAL, week INTEGER, weekly BLOB);
CREATE INDEX IF NOT EXISTS trials_by_batch ON trials (batch);
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the trial ledger is append-only'); END;"
    for table in ("batches", "trials")
    for verb in ("UPDATE", "DELETE")
)
# Two weeks' returns that are nearer than a tenth of a basis point are the same.
SAME_WEEK = 1e-5
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

    def like(self, other: Row) -> bool:
        """Return whether both have the same returns, but for rounding and the last share of an order."""
        if (self.status, self.n, self.week) != (other.status, other.n, other.week):
            return False
        if self.weekly is None or other.weekly is None:
            return self.weekly == other.weekly and math.isclose(self.sharpe or 0.0, other.sharpe or 0.0, abs_tol=1e-9)
        one, two = np.frombuffer(self.weekly, "<f4"), np.frombuffer(other.weekly, "<f4")
        return one.shape == two.shape and np.allclose(one, two, rtol=1e-3, atol=SAME_WEEK)

    def apart(self) -> Row:
        """Return the row under a key of its own, which has its returns in it."""
        told = hashlib.sha256(repr((self.key, self.status, self.n, self.week)).encode())
        told.update(repr(self.sharpe).encode() if self.weekly is None else self.weekly)
        return replace(self, key=told.hexdigest())


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
