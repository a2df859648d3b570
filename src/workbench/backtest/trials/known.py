"""Which trials are recorded already: by their keys, and by their returns where a key does not tell all."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from workbench.backtest.trials.alike import Variants
from workbench.backtest.trials.schema import BASE, IS_VARIANT, TRIAL, Row, select

# SQLite takes this many values in one query, wherever it runs.
AT_ONCE = 500


def fresh_rows(connection: sqlite3.Connection, rows: Sequence[Row]) -> dict[str, Row]:
    """Return, by key, the rows that are not recorded yet.

    A row under a known key whose returns are others than all that came under it gets a key of its own: something shaped
    it that its key does not tell, such as data read by hand.
    """
    held = {values[0]: Row(*values) for values in _found(connection, "key", [row.key for row in rows])}
    fresh: dict[str, Row] = {}
    unlike: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        before = held.get(row.key) or fresh.setdefault(row.key, row)
        if row is not before and not row.like(before):
            unlike[row.key].append(row)
    known = {key: Variants([held.get(key) or fresh[key]]) for key in unlike}
    for values in _found(connection, BASE, list(unlike), f"{IS_VARIANT} AND "):
        variant = Row(*values)
        known[variant.base].add(variant)
    for key, others in unlike.items():
        for row in others:
            if not known[key].has(row):
                known[key].add(row)
                variant = row.apart()
                fresh[variant.key] = variant
    return fresh


def known_keys(connection: sqlite3.Connection, keys: Sequence[str]) -> Iterator[str]:
    """Give those of the keys that are recorded."""
    return (values[0] for values in _found(connection, "key", keys, columns="key"))


def _found(
    connection: sqlite3.Connection, name: str, keys: Sequence[str], also: str = "", columns: str = TRIAL
) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(keys), AT_ONCE):
        some = keys[first : first + AT_ONCE]
        where = f"WHERE {also}{name} IN ({','.join('?' * len(some))})"
        yield from connection.execute(select("trials", columns, where), some).fetchall()
