"""How many different bets many trials really were: clusters of correlated returns, and how their Sharpe ratios differ.

After López de Prado and Lewis, "Detection of False Investment Strategies Using Unsupervised Learning Methods" (2019):
the silhouette decides how many clusters there are. Bounds keep it honest where it cannot see: trials that correlate
above ``SAME`` are one bet, trials that correlate below ``UNLIKE`` never are, and without structure all of them count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SAME, UNLIKE = 0.95, 0.3
# A mean silhouette up to this shows no structure (Kaufman and Rousseeuw, "Finding Groups in Data", 1990).
NO_STRUCTURE = 0.25
# Cuts of the tree that the silhouette is asked about.
CUTS = 40
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Weekly:
    """A trial's Sharpe ratio per period, and its returns summed by week from ``week`` on (weeks since 1970)."""

    week: int
    returns: Floats
    sharpe: float


@dataclass(frozen=True)
class Effective:
    """The number of different bets among many trials, and the variance of their Sharpe ratios per period.

    A bet is a cluster; its Sharpe ratio is the mean of its trials'. ``correlation`` is the mean one between bets.
    ``clustered`` of ``measured`` trials were clustered: all, or an even sample of very many. ``measured`` leaves out
    what failed or never traded: it has no Sharpe ratio, so it could not have been chosen.
    """

    trials: int
    variance: float
    correlation: float
    measured: int
    clustered: int
    sharpes: tuple[float, ...]

    def luck_over(self, n: int) -> float:
        """Return the variance of the Sharpe ratios of worthless bets over ``n`` returns, (1 - correlation) / (n - 1).

        ``variance`` is what these bets showed: skill, and costs that differ, are in it beside luck.
        """
        return (1.0 - self.correlation) / max(n - 1, 1)


def effective(trials: Sequence[Weekly], measured: int) -> Effective:
    """Return the effective number of ``measured`` trials, of which these are all or an even sample."""
    if not trials:
        return Effective(trials=0, variance=0.0, correlation=0.0, measured=measured, clustered=0, sharpes=())
    correlation = correlations(trials)
    labels = cluster(correlation)
    sizes = np.bincount(labels)
    means = np.bincount(labels, weights=[trial.sharpe for trial in trials]) / sizes
    # Of a sample: what it saw once stands for as much again in the rest (Good, 1953). Alike trials are seen often and
    # add nothing; trials that are all different add up to their full number.
    unseen = (sizes == 1).sum() * (measured - len(trials)) / len(trials)
    return Effective(
        trials=round(len(sizes) + unseen),
        variance=float(means.var(ddof=1)) if len(means) > 1 else 0.0,
        correlation=_between(correlation, labels),
        measured=measured,
        clustered=len(trials),
        sharpes=tuple(float(mean) for mean in means),
    )


def aligned(trials: Sequence[Weekly]) -> Floats:
    """Return the weekly returns, a row a week and a column a trial, from the first week of any to the last."""
    if not trials:
        return np.zeros((0, 0), dtype=np.float32)
    first = min(trial.week for trial in trials)
    last = max(trial.week + len(trial.returns) for trial in trials)
    found = np.zeros((last - first, len(trials)), dtype=np.float32)
    for column, trial in zip(found.T, trials, strict=True):
        column[trial.week - first : trial.week - first + len(trial.returns)] = trial.returns
    return found


def correlations(trials: Sequence[Weekly]) -> Floats:
    """Return the correlation of each pair of weekly returns; weeks that only one of them has count as unrelated."""
    less = [replace(trial, returns=trial.returns - trial.returns.mean()) for trial in trials]
    norms = [float(np.linalg.norm(trial.returns)) for trial in less]
    rows = aligned(
        [replace(trial, returns=trial.returns / (norm or 1.0)) for trial, norm in zip(less, norms, strict=True)]
    ).T
    found: Floats = rows @ rows.T
    np.fill_diagonal(found, 1.0)
    return found


def cluster(correlation: Floats) -> Labels:
    """Return the cluster of each trial, numbered from 0.

    1. the distance of two trials is √((1 - ρ) / 2), and average linkage makes a tree of them
    2. joined below ``SAME`` there are the most clusters, joined up to ``UNLIKE`` the fewest
    3. between the two, the cut with the best mean silhouette decides, if that shows any structure; the most otherwise
    """
    count = len(correlation)
    if count == 1:
        return np.zeros(1, dtype=np.int64)
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distance = np.sqrt(np.clip((1.0 - correlation) / 2.0, 0.0, 1.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    most = count - int((tree[:, 2] <= np.sqrt((1.0 - SAME) / 2.0)).sum())
    fewest = count - int((tree[:, 2] <= np.sqrt((1.0 - UNLIKE) / 2.0)).sum())
    order = leaves_list(tree)
    ordered = distance[np.ix_(order, order)]
    best, best_score = _labels(tree, most), NO_STRUCTURE
    for number in np.unique(np.geomspace(fewest, most, CUTS).round().astype(int))[::-1]:
        labels = _labels(tree, int(number))
        score = silhouette(ordered, labels[order])
        if score > best_score:
            best, best_score = labels, score
    return best


def _between(correlation: Floats, labels: Labels) -> float:
    """Return the mean correlation between clusters, each pair of them counting the same; 0 where it is negative."""
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    count, starts = len(sizes), np.cumsum(sizes) - sizes
    if count == 1:
        return 0.0
    blocks = np.add.reduceat(np.add.reduceat(correlation[np.ix_(order, order)], starts, axis=0), starts, axis=1)
    means = blocks / np.outer(sizes, sizes)
    return max(0.0, float(means.sum() - np.trace(means)) / (count * (count - 1)))


def _labels(tree: NDArray[np.float64], number: int) -> Labels:
    from scipy.cluster.hierarchy import fcluster

    labels: Labels = fcluster(tree, number, criterion="maxclust").astype(np.int64) - 1
    return labels


def silhouette(distance: Floats, labels: Labels) -> float:
    """Return the mean silhouette of clusters that lie side by side: 1 far apart, 0 no clusters at all.

    A trial on its own has 0, and so has one cluster of everything (Rousseeuw, 1987).
    """
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    if len(starts) == 1:
        return 0.0
    sizes = np.diff(np.append(starts, len(labels)))
    place = np.repeat(np.arange(len(starts)), sizes)
    sums = np.add.reduceat(distance, starts, axis=1)  # trial × cluster
    rows, own = np.arange(len(labels)), sizes[place]
    inside = sums[rows, place] / np.maximum(own - 1, 1)
    outside = sums / sizes
    outside[rows, place] = np.inf
    nearest = outside.min(axis=1)
    larger = np.maximum(inside, nearest)
    score = np.divide(nearest - inside, larger, out=np.zeros(len(labels)), where=(own > 1) & (larger > 0))
    return float(score.mean())
