"""From raw weights to final ones: the only place where weights are scaled to a volatility and capped.

raw -> scaled to the target volatility -> capped per symbol -> capped gross -> capped net -> rounded
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from workbench.errors import DataRefused
from workbench.sizing_params import SizingParams
from workbench.types import Bars

YEAR = 252
# The scale moves on a grid of 10 % steps, so that a small change in volatility trades nothing.
SCALE_STEP = float(np.log(1.1))
# A close is carried over a halt of at most so many bars (Bars.last_close): a lookback must reach before it.
HALT_BARS = 5
# Weights are rounded to a millionth of equity, so that rounding noise trades nothing.
DECIMALS = 6

Array = NDArray[np.float64]


def size(raw: pd.DataFrame, bars: Bars, sizing: SizingParams) -> pd.DataFrame:
    """Return final weights from raw ones (NaN counts as no position), every cap kept in every row."""
    close = bars.last_close()
    if not raw.index.equals(close.index) or not raw.columns.equals(close.columns):
        raise DataRefused("sizing: raw weights have another index or other columns than the bars; align them first")
    weights = np.where(np.isnan(close.to_numpy()), 0.0, raw.fillna(0.0).to_numpy(dtype=float))
    if not np.isfinite(weights).all():
        row, column = np.argwhere(~np.isfinite(weights))[0]
        raise DataRefused(f"sizing: raw weight of {raw.columns[column]} on {raw.index[row]} is {weights[row, column]}")
    if sizing.target_volatility is not None:
        weights = weights * _scale(weights, close, sizing, sizing.target_volatility)[:, None]
    weights = np.clip(weights, -sizing.max_weight, sizing.max_weight)
    weights = weights * _shrink(np.abs(weights).sum(axis=1), sizing.max_gross)[:, None]
    weights = weights * _shrink(np.abs(weights.sum(axis=1)), sizing.max_net)[:, None]
    # Toward zero, so that rounding cannot lift a sum above its cap; + 0.0 turns -0.0 into 0.0.
    rounded = np.trunc(weights * 10**DECIMALS) / 10**DECIMALS + 0.0
    return pd.DataFrame(rounded, index=raw.index, columns=raw.columns)


def sizing_lookback(sizing: SizingParams) -> int:
    """Return how many bars sizing itself needs."""
    return 0 if sizing.target_volatility is None else sizing.volatility_sessions + 6


def _scale(weights: Array, close: pd.DataFrame, sizing: SizingParams, target: float) -> Array:
    """Return the factor per row that brings today's weights, held over the last sessions, to the target volatility."""
    window = sizing.volatility_sessions
    scale = np.zeros(len(weights))
    if len(weights) <= window:
        return scale
    returns = close.pct_change(fill_method=None).fillna(0.0).to_numpy()
    past = sliding_window_view(returns[1:], window, axis=0)  # row i ends at session i + window
    held = np.einsum("tnw,tn->tw", past, weights[window:])
    volatility = held.std(axis=1, ddof=1) * np.sqrt(YEAR)
    # A portfolio that hardly moved has no volatility to scale by; the caps alone bound it.
    steps = np.round(np.log(target / np.maximum(volatility, target / 100.0)) / SCALE_STEP)
    scale[window:] = np.where(volatility > 0.0, np.exp(steps * SCALE_STEP), 0.0)
    return scale


def _shrink(total: Array, cap: float) -> Array:
    with np.errstate(divide="ignore", over="ignore"):
        return np.minimum(1.0, np.where(total > 0.0, cap / total, 1.0))
