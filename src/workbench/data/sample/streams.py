"""Random numbers by name: each part of the sample market draws from a stream of its own.

Switching one effect off, or asking for fewer 5-minute bars, therefore leaves every other draw as it was.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Append only: a stream's place in this list is part of its seed.
STREAMS = (
    "companies",
    "listing",
    "regimes",
    "market",
    "market_volatility",
    "sectors",
    "own",
    "own_volatility",
    "momentum",
    "reversion",
    "ranges",
    "volume",
    "halts",
    "intraday",
    "economy",
    "volatility_index",
    "events",
)


def stream(seed: int, name: str, *key: int) -> np.random.Generator:
    """Return the generator of a named stream; ``key`` splits it further, for example by session."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), *key)))


def fat_tailed(draw: np.random.Generator, freedom: float, shape: tuple[int, ...]) -> Array:
    """Return Student-t draws of variance one, without the few that would halve a company overnight."""
    draws: Array = draw.standard_t(freedom, shape) * np.sqrt((freedom - 2.0) / freedom)
    return draws.clip(-8.0, 8.0)


def fading(shocks: Array, keep: float, start: Array) -> Array:
    """Return ``x[t] = keep * x[t-1] + shocks[t]`` down the rows, beginning after ``start``."""
    out = np.empty_like(shocks)
    state = start
    for row, shock in enumerate(shocks):
        state = keep * state + shock
        out[row] = state
    return out


def steady(draws: Array, half_life: float) -> Array:
    """Return a fading series of variance one from draws of variance one; the first row is its own start."""
    keep = 0.5 ** (1.0 / half_life)
    shocks = draws * np.sqrt(1.0 - keep**2)
    shocks[0] = draws[0]
    return fading(shocks, keep, np.zeros_like(draws[0]))
