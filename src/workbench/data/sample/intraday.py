"""Five-minute bars that add up exactly to the daily bar of their session.

1. A path of the market and one of each company run through the session, livelier near the open and the close.
2. Each path is bent to end at the daily close and to touch the daily high and low.
3. Every five minutes of it make a bar; the session's volume is shared out in a U shape.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.data.sample.streams import Array, stream

MINUTES = 5
_STEPS = 5  # points of the path in each bar
_NEAR = 1e-6


def session_bars(seed: int, day: pd.Timestamp, bars: int, row: Array, beta: Array) -> Array:
    """Return (field, bar, symbol) of one session from its daily (field, symbol) bars; fields are OHLCV."""
    opened, high, low, close, volume = row
    draw = stream(seed, "intraday", day.toordinal())
    count = len(opened)
    shape = _shape(bars)
    path = _paths(draw, np.repeat(shape, _STEPS) / _STEPS, np.log(close / opened), np.log(high / low), beta)
    prices = np.exp(_bent(path, *np.log([opened, high, low, close]))).round(2)
    prices[0], prices[-1] = opened, close
    prices = prices.clip(low, high).reshape(bars, _STEPS, count)
    return np.stack(
        [prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1], _shared(draw, shape, volume, path)]
    )


def _shape(bars: int) -> Array:
    """Return how much of the session's variance falls into each bar: much at the open, little at noon."""
    clock = (np.arange(bars) + 0.5) / bars
    shape = 0.55 + 1.9 * (2.0 * clock - 1.0) ** 2 + 0.8 * np.exp(-clock * 12.0)
    weights: Array = shape / shape.sum()
    return weights


def _paths(draw: np.random.Generator, variance: Array, end: Array, width: Array, beta: Array) -> Array:
    """Return log paths (point, symbol) from 0 to ``end``; part of each wiggle is the market's."""
    step = np.sqrt(variance)
    step[0] = 0.0
    market = step * draw.standard_normal(len(step))
    own = step[:, None] * draw.standard_normal((len(step), len(end)))
    common = np.clip(0.5 * beta, 0.0, 0.95)
    wiggle = (common * market[:, None] + np.sqrt(1.0 - common**2) * own).cumsum(axis=0) * width / 1.6
    clock = (step**2).cumsum() / (step**2).sum()
    paths: Array = wiggle + clock[:, None] * (end - wiggle[-1])
    return paths


def _bent(path: Array, opened: Array, high: Array, low: Array, close: Array) -> Array:
    """Stretch what lies above or below both ends until it touches the high and the low."""
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    level, inner = opened + path, (opened + path)[1:-1]
    columns = np.arange(len(opened))
    # A path that never leaves its ends on one side still touches that extreme once, where it came nearest.
    peak, trough = inner.argmax(axis=0) + 1, inner.argmin(axis=0) + 1
    level[peak, columns] = np.maximum(level[peak, columns], top + _NEAR)
    level[trough, columns] = np.minimum(level[trough, columns], bottom - _NEAR)
    above, below = (level - top).clip(0.0), (bottom - level).clip(0.0)
    above[[0, -1]] = below[[0, -1]] = 0.0
    stretch = (high - top) / above.max(axis=0), (bottom - low) / below.max(axis=0)
    bent: Array = level.clip(bottom, top) + above * stretch[0] - below * stretch[1]
    return bent


def _shared(draw: np.random.Generator, shape: Array, volume: Array, path: Array) -> Array:
    """Share out the session's volume: a U shape, more in bars that moved, whole shares, nothing lost."""
    moved = np.abs(np.diff(path[::_STEPS], axis=0, append=path[-1:]))
    lively = 1.0 + 0.4 * moved / (moved.mean(axis=0) + 1e-12)
    weights = shape[:, None] * lively * np.exp(0.35 * draw.standard_normal(lively.shape))
    weights[-1] *= 1.6  # the closing auction
    shares: Array = np.floor(volume * weights / weights.sum(axis=0))
    shares[-1] += volume - shares.sum(axis=0)
    return shares
