"""From rows to date × symbol frames, fast: each value is put into its cell once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from workbench.data.adjust import Matrix


@dataclass(frozen=True)
class Panel:
    """Columns of a long table as matrices that share rows (times) and columns (symbols); NaN where no row was."""

    times: npt.NDArray[np.datetime64]
    symbols: tuple[str, ...]
    fields: dict[str, Matrix]
    utc: bool

    def frame(self, values: Matrix) -> pd.DataFrame:
        """Return a matrix of the panel's shape as a frame."""
        return pd.DataFrame(values, index=self.index, columns=list(self.symbols), copy=False)

    @property
    def index(self) -> pd.DatetimeIndex:
        """The times: session dates without a zone, or moments in UTC."""
        index = pd.DatetimeIndex(self.times.astype("datetime64[ns]"))
        return index.tz_localize("UTC") if self.utc else index


def panel(rows: pl.DataFrame, time: str, symbol: str, symbols: Sequence[str] | None, fields: Sequence[str]) -> Panel:
    """Return the rows, sorted by time and one per (time, symbol), as a panel.

    >>> panel(rows, "session", "symbol", ["TEC01", "FIN01"], ["close"]).fields["close"]
    # sessions × 2
    """
    stamps = rows[time].to_numpy()
    starts = np.flatnonzero(np.r_[True, stamps[1:] != stamps[:-1]]) if len(stamps) else np.array([], dtype=np.int64)
    full = _full(rows[symbol], starts, symbols)
    if full is not None:
        # A full, ordered table lies as the matrices do: no symbol is looked up, no value is moved.
        names, cell = full, None
    else:
        names = tuple(dict.fromkeys(symbols)) if symbols is not None else tuple(rows[symbol].unique().sort())
        row = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(stamps)]))
        cell = row * len(names) + rows[symbol].cast(pl.Enum(list(names))).to_physical().to_numpy()
    matrices = {}
    for name in fields:
        values = rows[name].to_numpy()
        if cell is None:
            flat = values if values.flags.writeable else values.copy()
        else:
            flat = np.full(len(starts) * len(names), np.nan)
            flat[cell] = values
        matrices[name] = flat.reshape(len(starts), len(names))
    utc = isinstance(rows.schema[time], pl.Datetime)
    return Panel(stamps[starts], names, matrices, utc)


def _full(column: pl.Series, starts: npt.NDArray[np.int64], symbols: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the symbols, in order, where every time has the same ones; else None."""
    times = len(starts)
    width = len(column) // times if times else 0
    if not times or len(column) != times * width or (starts != np.arange(times) * width).any():
        return None
    first = column.head(width).rechunk()
    names = tuple(first)
    asked = tuple(dict.fromkeys(symbols)) if symbols is not None else tuple(sorted(set(names)))
    if names != asked or not (column == pl.concat([first] * times)).all():
        return None
    return names
