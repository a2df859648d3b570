"""What a subject sees, taken apart: fields of rows × symbols that can be cut, changed and put together again.

Bars are six fields over the same symbols. A plain frame, such as features with a label, is a field a column.
``late`` says how many sessions after its row a field is known: a label over five sessions is known five rows later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import InputRefused, did_you_mean
from workbench.types import FIELDS, Bars, check_index

Array = NDArray[np.float64]
BARS = ("close", "open", "high", "low", "volume", "traded_close")  # in the order in which a culprit is looked for


@dataclass(frozen=True)
class World:
    """Data as arrays, and how to make of them again what the subject takes."""

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    fields: Mapping[str, Array]
    build: Callable[[Mapping[str, Array], pd.DatetimeIndex, slice], Any]
    kind: str  # bars or frame
    span: slice = field(default_factory=lambda: slice(None))  # of the rows the world was made from
    late: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.index)

    def thing(self) -> Any:
        """Return what the subject takes, in memory of its own."""
        return self.build({name: values.copy() for name, values in self.fields.items()}, self.index, self.span)

    def until(self, row: int) -> World:
        """Return what was known once ``row`` was: the rows up to it, late fields blank where they were not known."""
        known = self.between(0, row)
        fields = dict(known.fields)
        for name, sessions in self.late.items():
            fields[name] = fields[name].copy()
            fields[name][max(0, row + 1 - sessions) :] = np.nan
        return replace(known, fields=fields)

    def between(self, first: int, last: int) -> World:
        """Return the rows from ``first`` to ``last``, both included."""
        start = self.span.start or 0
        fields = {name: values[first : last + 1] for name, values in self.fields.items()}
        span = slice(start + first, start + last + 1)
        return replace(self, index=self.index[first : last + 1], fields=fields, span=span)

    def changed(self, fields: Mapping[str, Array]) -> World:
        """Return the world with some fields replaced."""
        return replace(self, fields={**self.fields, **fields})

    def unknown_from(self, name: str, row: int) -> int:
        """Return the first row of a field that is not known at ``row``."""
        return max(0, row + 1 - self.late.get(name, 0))


def world_of_bars(bars: Bars) -> World:
    """Return bars as a world."""

    def build(fields: Mapping[str, Array], index: pd.DatetimeIndex, span: slice) -> Bars:
        frames: dict[str, pd.DataFrame] = {
            name: pd.DataFrame(fields[name], index=index, columns=bars.close.columns, copy=False)
            for name in (*FIELDS, "traded_close")
        }
        return replace(bars, **frames)  # type: ignore[arg-type]

    fields = {name: getattr(bars, name).to_numpy(dtype=float) for name in BARS}
    return World(bars.index, bars.symbols, fields, build, "bars")


def world_of_frame(frame: pd.DataFrame, known_after: Mapping[str, int]) -> World:
    """Return a frame with one row a session as a world; columns that are not numbers are cut, never changed."""
    check_index(frame.index, "frame")
    if frame.columns.has_duplicates or isinstance(frame.columns, pd.MultiIndex):
        raise InputRefused("frame: the columns must be plain and unique; rename them, or examine one symbol at a time")
    numbers = [column for column in frame.columns if pd.api.types.is_numeric_dtype(frame[column])]
    if not numbers:
        raise InputRefused("frame: no column holds numbers; there is nothing to change and compare")
    for name, sessions in known_after.items():
        if name not in numbers:
            raise InputRefused(f"known_after: no column '{name}' with numbers.{did_you_mean(name, map(str, numbers))}")
        if sessions < 0:
            raise InputRefused(f"known_after: {name} is {sessions} sessions; it must be 0 or more")

    def build(fields: Mapping[str, Array], index: pd.DatetimeIndex, span: slice) -> pd.DataFrame:
        made = frame.iloc[span].copy()
        made.index = index
        for column in numbers:
            values, kind = fields[column][:, 0], frame[column].dtype
            if pd.api.types.is_integer_dtype(kind):
                values = np.round(values)
            made[column] = values if np.isnan(values).any() else pd.Series(values, index).astype(kind)
        return made

    fields = {str(column): frame[column].to_numpy(dtype=float)[:, None] for column in numbers}
    index = frame.index
    assert isinstance(index, pd.DatetimeIndex)
    return World(index, ("",), fields, build, "frame", late=dict(known_after))
