"""Returns as the statistics of this folder take them: plain numbers without gaps, or one line that says why not."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.backtest.stats import ROUNDING
from workbench.errors import InputRefused

Array = NDArray[np.float64]
Matrix = pd.DataFrame | ArrayLike


def series(name: str, returns: pd.Series | ArrayLike, rows: int = 2) -> Array:
    """Return one series of at least ``rows`` returns."""
    return _checked(name, np.asarray(returns, dtype=float), 1, rows, 1)


def matrix(name: str, returns: Matrix, rows: int = 2, columns: int = 1) -> Array:
    """Return a matrix of returns, a row a period and a column a trial."""
    return _checked(name, np.asarray(returns, dtype=float), 2, rows, columns)


def whole(name: str, **values: int) -> None:
    """Refuse numbers that are not whole."""
    for what, value in values.items():
        if not isinstance(value, Integral):
            raise InputRefused(f"{name}: {what} is {value!r}; give a whole number")


def risks(returns: Array, size: Array | None = None) -> Array:
    """Return the standard deviation of each column; 0 for one that took no risk, and moves by rounding only.

    ``size`` is the largest value that a column came from, its own where it is left out.
    """
    spread, own = returns.std(axis=0, ddof=1), np.abs(returns).max(axis=0)
    found: Array = np.where(spread <= ROUNDING * (own if size is None else size), 0.0, spread)
    return found


def sharpes(returns: Array) -> Array:
    """Return the Sharpe ratio per period of each column; 0 for one that took no risk."""
    risk = risks(returns)
    found: Array = np.divide(returns.mean(axis=0), risk, out=np.zeros_like(risk), where=risk > 0.0)
    return found


def _checked(name: str, values: NDArray[Any], dimensions: int, rows: int, columns: int) -> Array:
    if values.ndim != dimensions:
        wanted = "one series" if dimensions == 1 else "a matrix, a row a period and a column a trial"
        raise InputRefused(f"{name}: returns have {values.ndim} dimensions; give {wanted}")
    if len(values) < rows:
        raise InputRefused(f"{name}: {len(values)} returns are too few; give at least {rows}")
    if dimensions == 2 and values.shape[1] < columns:
        raise InputRefused(f"{name}: {values.shape[1]} column(s) of returns; it compares at least {columns}")
    missing = ~np.isfinite(values)
    if missing.any():
        first = int(np.argwhere(missing)[0][0])
        raise InputRefused(
            f"{name}: {int(missing.sum())} of {values.size:,} returns are missing or infinite, the first in row "
            f"{first}; drop those rows, or fill with 0 where nothing was held"
        )
    return values
