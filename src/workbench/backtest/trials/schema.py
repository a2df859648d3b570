"""What the ledger's file holds: batches and trials, with triggers that let nothing be changed or deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

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


row_values = attrgetter(*TRIAL.split(", "))


def statements() -> Iterator[str]:
    """Give the schema statement by statement: ``executescript`` would commit what is open."""
    text = ""
    for part in (_SCHEMA + _GUARDS).split(";"):
        text += part + ";"
        if sqlite3.complete_statement(text):
            yield text
            text = ""
