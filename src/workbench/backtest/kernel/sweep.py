"""What a sweep found: one number a statistic for each window and each set of parameters, nothing of a portfolio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import InputRefused, did_you_mean

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """Statistics by name, each windows × cells, or windows × cells × symbols where each symbol is its own account.

    ``turnover`` and the costs are a year's, over average equity; ``trades`` counts closed round trips.
    ``backtest.stats.DEFINITIONS`` says what the others mean.
    """

    windows: tuple[slice, ...]
    statistics: Mapping[str, NDArray[Any]]
    symbols: tuple[str, ...] = ()  # empty: all symbols share one account

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one statistic."""
        if name not in self.statistics:
            raise InputRefused(f"sweep: no statistic '{name}'.{did_you_mean(name, self.statistics)}")
        return self.statistics[name]

    def pooled(self, name: str) -> Array:
        """Return a statistic's mean over the symbols that have one, windows × cells.

        The pooled ``total_return`` is that of the same capital put into each symbol at the start of the window.
        """
        values = self[name].astype(float)
        if not self.symbols:
            return values
        known = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            mean: Array = np.where(known, values, 0.0).sum(axis=2) / known.sum(axis=2)
        return mean

    def best(self, name: str = "sharpe") -> NDArray[np.int64]:
        """Return the cell with the highest value in each window; the first wins a tie, one without a value never."""
        values = self.pooled(name)
        best: NDArray[np.int64] = np.where(np.isfinite(values), values, -np.inf).argmax(axis=1)
        return best

    def table(self, cells: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """Return a row a window and cell (and symbol), with the cell's parameters beside its statistics."""
        shape = next(iter(self.statistics.values())).shape
        if len(cells) != shape[1]:
            raise InputRefused(f"sweep: {len(cells)} sets of parameters for {shape[1]} cells; give one each")
        number = np.indices(shape).reshape(len(shape), -1)
        columns: dict[str, Any] = {"window": number[0]}
        parameters = pd.DataFrame([dict(cell) for cell in cells])
        columns |= {str(name): parameters[name].to_numpy()[number[1]] for name in parameters}
        if self.symbols:
            columns["symbol"] = pd.Categorical.from_codes(number[2], pd.Index(self.symbols))
        return pd.DataFrame(columns | {name: values.ravel() for name, values in self.statistics.items()})


def window_rows(windows: Sequence[slice] | None, bars: int) -> tuple[slice, ...]:
    """Return the windows as slices of rows, all rows when there are none; one outside the bars is refused."""
    if windows is None:
        return (slice(0, bars),)
    if not windows:
        raise InputRefused("sweep: no windows; give at least one slice of rows, or None for all rows")
    for number, window in enumerate(windows):
        if window.step not in (None, 1) or not 0 <= (window.start or 0) < (window.stop or 0) <= bars:
            raise InputRefused(
                f"sweep: window {number} is rows {window.start} to {window.stop}, the bars have {bars}; "
                "give slice(first, last + 1) inside them"
            )
    return tuple(slice(window.start or 0, window.stop) for window in windows)
