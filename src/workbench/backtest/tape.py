"""What can be traded at which price, bar by bar: the one reading of bars that the simulator and the kernel share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import DataRefused, InputRefused
from workbench.params import PortfolioParams
from workbench.types import Bars

Array = NDArray[np.float64]

# Volatility is known after ten returns. Before, a symbol is taken for a middling one of its day, and on the first days
# of all for a middling stock: 2 % a day are 32 % a year. Nothing is ever filled from a later day.
VOLATILITY_SESSIONS, LEAST_RETURNS = 63, 10
ASSUMED_VOLATILITY = 0.02


@dataclass(frozen=True)
class Tape:
    """Prices and volumes, the same for every set of weights: rows are bars, columns symbols."""

    price: Array  # NaN: nothing can be traded
    close: Array  # carried over gaps, for valuation
    shares_ratio: Array  # shares as traded per adjusted share
    volume: Array  # in adjusted shares
    daily_volatility: Array
    last_row: NDArray[np.int64]  # of each symbol, where it stops trading before the end; else -1
    months: NDArray[np.int64]
    rows_per_session: int = 1  # two where exits are simulated: the open, and what comes within


def read_tape(bars: Bars, portfolio: PortfolioParams, history: Bars | None = None) -> Tape:
    """Return the tape of these bars for orders that fill at ``portfolio.fill``.

    ``history`` has the same bars and those before them, where there are any: volatility is known from there.
    """
    close = bars.close.to_numpy(dtype=float)
    price, last_row = fill_prices(bars, portfolio)
    ratio = bars.traded_close.to_numpy(dtype=float) / close
    return Tape(
        price=price,
        close=bars.close.ffill().to_numpy(dtype=float),
        shares_ratio=1.0 / np.where(np.isnan(ratio), 1.0, ratio),
        volume=np.where(bars.volume.to_numpy(dtype=float) > 0.0, bars.volume.to_numpy(dtype=float), np.nan),
        daily_volatility=_volatility(bars if history is None else history, bars),
        last_row=last_row,
        months=(bars.index.year * 12 + bars.index.month).to_numpy(dtype=np.int64),
    )


def _volatility(history: Bars, bars: Bars) -> Array:
    """Return what each symbol's daily volatility was known to be before each session of ``bars``."""
    returns = history.close[list(bars.symbols)].pct_change(fill_method=None)
    own = returns.rolling(VOLATILITY_SESSIONS, min_periods=LEAST_RETURNS).std().shift(1).loc[bars.index]
    middling = own.median(axis=1).fillna(ASSUMED_VOLATILITY).to_numpy(dtype=float)
    known = own.to_numpy(dtype=float)
    return np.where(np.isnan(known), middling[:, None], known)


def fill_prices(bars: Bars, portfolio: PortfolioParams) -> tuple[Array, NDArray[np.int64]]:
    """Return the price at which each order fills, and the row where each symbol that leaves is paid out (else -1)."""
    close = bars.close.to_numpy(dtype=float)
    price = np.where(np.isnan(close), np.nan, getattr(bars, portfolio.fill).to_numpy(dtype=float))
    rows = len(close)
    listed = ~np.isnan(close)
    ends = np.where(listed.any(axis=0), rows - 1 - listed[::-1].argmax(axis=0), -1)
    last_row = np.where(ends < rows - 1, ends, -1)
    for column in np.flatnonzero(last_row >= 0):
        price[last_row[column], column] = close[last_row[column], column]
    return price, last_row


def align(weights: pd.DataFrame, bars: Bars) -> Bars:
    """Return the bars of exactly these weights; weights that cannot be traded are refused."""
    if weights.empty:
        raise InputRefused("simulate: the weights are empty; give at least one row and one symbol")
    bars = bars.select([str(symbol) for symbol in weights.columns])
    if not weights.index.equals(bars.index):
        bars = bars.between(weights.index[0], weights.index[-1])
    if not weights.index.equals(bars.index):
        raise DataRefused(
            f"simulate: weights have {len(weights)} rows, the bars {len(bars)} between the same dates; "
            "compute the weights on the same bars"
        )
    values = weights.to_numpy(dtype=float)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise DataRefused(
            f"simulate: weight of {weights.columns[column]} on {weights.index[row].date()} is {values[row, column]}; "
            "a position is a number, zero for none"
        )
    net = np.abs(values.sum(axis=1))
    if net.max() > 1.0 + 1e-6:
        row = int(net.argmax())
        raise DataRefused(
            f"simulate: weights of {weights.index[row].date()} add up to {values[row].sum():.3f}; more than all cash "
            "would need a loan, which is not simulated (sizing.max_net)"
        )
    return bars
