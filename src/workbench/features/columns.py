"""What features give: several columns over the same sessions and symbols, in one piece of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.errors import DataRefused, InputRefused, did_you_mean
from workbench.types import check_index


@dataclass(frozen=True, eq=False)
class Columns:
    """``values[n, s, t]`` is the column ``names[n]`` of ``symbols[s]`` at ``index[t]``: a symbol's rows lie together.

    >>> columns.frame("MA20")         # date × symbol, the same memory
    >>> columns["MA20", "RSQR60"]     # some of the columns, the same memory where they lie together
    """

    names: tuple[str, ...]
    symbols: tuple[str, ...]
    index: pd.DatetimeIndex
    values: np.ndarray

    def __post_init__(self) -> None:
        check_index(self.index, "features")
        shape = (len(self.names), len(self.symbols), len(self.index))
        if self.values.shape != shape:
            raise DataRefused(f"features: values are {self.values.shape}, but names × symbols × rows are {shape}")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise InputRefused(f"features: two columns are named '{twice}'; rename one or leave it out")

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, names: str | Sequence[str]) -> Columns:
        """Return some of the columns."""
        wanted = (names,) if isinstance(names, str) else tuple(names)
        places = [self._place(name) for name in wanted]
        together = places == list(range(places[0], places[0] + len(places)))
        values = self.values[places[0] : places[0] + len(places)] if together else self.values[places]
        return Columns(wanted, self.symbols, self.index, values)

    def frame(self, name: str) -> pd.DataFrame:
        """Return one column as date × symbol."""
        values = self.values[self._place(name)].T
        return pd.DataFrame(values, index=self.index, columns=list(self.symbols), copy=False)

    def of(self, symbols: Sequence[str]) -> Columns:
        """Return the columns of some symbols, in the order asked for."""
        for symbol in symbols:
            if symbol not in self.symbols:
                raise InputRefused(f"features: no symbol '{symbol}'.{did_you_mean(symbol, self.symbols)}")
        places = [self.symbols.index(symbol) for symbol in symbols]
        return Columns(self.names, tuple(symbols), self.index, self.values[:, places])

    def rows(self, first: int, last: int | None = None) -> Columns:
        """Return the rows from number ``first`` up to, not including, ``last``."""
        return Columns(self.names, self.symbols, self.index[first:last], self.values[:, :, first:last])

    def to_long(self) -> pd.DataFrame:
        """Return a table with a row per session and symbol, and a column per feature."""
        rows = pd.MultiIndex.from_product([self.index, list(self.symbols)], names=["session", "symbol"])
        values = self.values.transpose(2, 1, 0).reshape(len(rows), len(self.names))
        return pd.DataFrame(values, index=rows, columns=list(self.names))

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise InputRefused(f"features: no column '{name}'.{did_you_mean(name, self.names)}")
        return self.names.index(name)


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the columns of several parts, over the same symbols and sessions, as one."""
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        if part.symbols != first.symbols or not part.index.equals(first.index):
            raise DataRefused(f"features: '{part.names[0]}' has other symbols or sessions than '{first.names[0]}'")
    names = tuple(name for part in parts for name in part.names)
    return Columns(names, first.symbols, first.index, np.concatenate([part.values for part in parts]))
