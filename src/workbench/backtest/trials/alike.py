"""Trials of one name that only their returns tell apart: is a new one among them, however many there are?"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.trials.schema import Row

# Weeks that are looked at before all: few that are unlike pass the three in which the new one moves most.
FIRST_WEEKS = 3


class Variants:
    """Trials that are unlike each other; ``has`` is ``Row.like`` of any of them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._tables: dict[Hashable, _Table] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take a trial in."""
        values = row.values
        self._tables.setdefault(row.kind, _Table(values)).add(values)

    def has(self, row: Row) -> bool:
        """Return whether one of them has the same returns."""
        table = self._tables.get(row.kind)
        return table is not None and table.has(row.values, row.tolerance)


class _Table:
    """The values of trials of one kind, a row a week: one week of all trials lies together and is quick to compare."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.count, self.table = 0, np.empty((len(values), 16), dtype=values.dtype)

    def add(self, values: NDArray[Any]) -> None:
        if self.count == self.table.shape[1]:
            self.table = np.concatenate([self.table, np.empty_like(self.table)], axis=1)
        self.table[:, self.count] = values
        self.count += 1

    def has(self, values: NDArray[Any], tolerance: NDArray[np.float64]) -> bool:
        places = np.arange(self.count)
        for week in np.argsort(-np.abs(values - values.mean()))[:FIRST_WEEKS]:
            near = np.abs(self.table[week, places] - values[week]) <= tolerance[week]
            places = places[near]
            if not len(places):
                return False
        apart = np.abs(self.table[:, places] - values[:, None])
        return bool((apart <= tolerance[:, None]).all(axis=0).any())
