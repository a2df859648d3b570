"""Which trials are recorded already: by their keys, and by their returns where a key does not tell all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.backtest.trials.schema import TRIAL, Row, select

# SQLite takes this many values in one query, wherever it runs.
AT_ONCE = 500


def fresh_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> dict[str, Row]:
    """Return, by key, the rows that are not recorded yet.

    A row under a known key whose returns are others gets a key of its own: something shaped it that its key does not
    tell, such as data read by hand.
    """
    held = {values[0]: Row(*values) for values in _found(connection, TRIAL, [row.key for row in rows])}
    fresh: dict[str, Row] = {}
    unlike: list[Row] = []
    for row in rows:
        before = held.get(row.key) or fresh.setdefault(row.key, row)
        if not row.like(before):
            unlike.append(row.apart())
    known = set(known_keys(connection, [row.key for row in unlike]))
    return fresh | {row.key: row for row in unlike if row.key not in known}


def known_keys(connection: sqlite3.Connection, keys: Sequence[str]) -> Iterator[str]:
    """Give those of the keys that are recorded."""
    return (key for (key,) in _found(connection, "key", keys))


def _found(connection: sqlite3.Connection, columns: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(keys), AT_ONCE):
        some = keys[first : first + AT_ONCE]
        where = f"WHERE key IN ({','.join('?' * len(some))})"
        yield from connection.execute(select("trials", columns, where), some).fetchall()
