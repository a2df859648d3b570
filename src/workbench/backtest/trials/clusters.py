"""How many different bets many trials really were: clusters of correlated returns.

After López de Prado and Lewis, "Detection of False Investment Strategies Using Unsupervised Learning Methods" (2019):
the silhouette decides how many clusters there are. Bounds keep it honest where it cannot see: trials that correlate
above ``SAME`` are one bet, trials that correlate below ``UNLIKE`` never are, and without structure all of them count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.trials.weeks import Floats, Weekly, aligned, span

SAME, UNLIKE = 0.95, 0.3
# A mean silhouette up to this shows no structure (Kaufman and Rousseeuw, "Finding Groups in Data", 1990).
NO_STRUCTURE = 0.25
# Cuts of the tree that the silhouette is asked about.
CUTS = 40
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Effective:
    """The number of different bets among many trials: the clusters of their returns.

    ``clustered`` of ``measured`` trials were clustered: all, or an even sample of very many. ``measured`` leaves out
    what failed or never traded: it has no Sharpe ratio, so it could not have been chosen.
    """

    trials: int
    measured: int
    clustered: int


def effective(trials: Sequence[Weekly], measured: int) -> Effective:
    """Return the effective number of ``measured`` trials, of which these are all or an even sample."""
    if not trials:
        return Effective(trials=measured, measured=measured, clustered=0)
    sizes = np.bincount(cluster(correlations(trials)))
    # Of a sample: what it saw once stands for as much again in the rest (Good, 1953). Alike trials are seen often and
    # add nothing; trials that are all different add up to their full number.
    unseen = (sizes == 1).sum() * (measured - len(trials)) / len(trials)
    return Effective(trials=round(len(sizes) + unseen), measured=measured, clustered=len(trials))


def correlations(trials: Sequence[Weekly]) -> Floats:
    """Return the correlation of each pair of weekly returns; weeks that only one of them has count as unrelated."""
    less = [replace(trial, returns=trial.returns - trial.returns.mean()) for trial in trials]
    norms = [float(np.linalg.norm(trial.returns)) for trial in less]
    scaled = [replace(trial, returns=trial.returns / (norm or 1.0)) for trial, norm in zip(less, norms, strict=True)]
    rows = aligned(scaled, span(scaled)).T
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
