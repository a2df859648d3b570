"""The mean over events and how sure it is, where events of one crowd share their luck.

Events of the same days are hit by the same news of the market and the sector, so that a hundred of them say less than a
hundred apart. Both measures here take the cluster as what was drawn: the interval draws whole clusters again, the t
statistic adds up the deviations within each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

DRAWS = 2000
# With fewer clusters neither measure means much, and neither is given.
ENOUGH_CLUSTERS = 5


@dataclass(frozen=True)
class Estimate:
    """A mean over events, its bootstrap interval, and the cluster-robust t statistic with its p-value."""

    mean: float
    low: float
    high: float
    t: float
    p: float
    events: int
    clusters: int


@dataclass(frozen=True)
class Means:
    """The same for each column of a table with a row an event."""

    mean: Array
    low: Array
    high: Array
    t: Array
    p: Array


def means(values: Array, clusters: Codes, confidence: float, seed: int) -> Means:
    """Return the mean of each column over the rows, whose clusters were drawn independently.

    1. mean = sum over clusters of their sums / sum of their sizes
    2. interval: percentiles of that ratio over clusters drawn again with replacement
    3. t: mean over the CR1 standard error, sqrt(C / (C - 1) * sum of (sum_c - size_c * mean)^2) / N, with C - 1 degrees
    """
    _, codes = np.unique(clusters, return_inverse=True)
    count = int(codes.max()) + 1
    sizes = np.bincount(codes, minlength=count).astype(float)
    sums = np.zeros((count, values.shape[1]))
    np.add.at(sums, codes, values)
    mean = values.mean(axis=0)
    if count < ENOUGH_CLUSTERS:
        unknown = np.full(len(mean), np.nan)
        return Means(mean, unknown, unknown, unknown, unknown)
    weights = _drawn_again(count, seed)
    drawn = (weights @ sums) / (weights @ sizes)[:, None]
    low, high = np.quantile(drawn, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0], axis=0)
    apart = sums - sizes[:, None] * mean
    error = np.sqrt(count / (count - 1.0) * (apart**2).sum(axis=0)) / len(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / error
    return Means(mean, low, high, t, 2.0 * distributions.t.sf(np.abs(t), count - 1))


def _drawn_again(count: int, seed: int) -> Array:
    """Return how often each of ``count`` clusters is in each draw with replacement, draws × clusters."""
    picked = np.random.default_rng(seed).integers(0, count, (DRAWS, count))
    flat = (picked + count * np.arange(DRAWS)[:, None]).ravel()
    return np.bincount(flat, minlength=DRAWS * count).reshape(DRAWS, count).astype(float)
