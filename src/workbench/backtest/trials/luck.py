"""The Sharpe ratio that the best of many worthless trials shows, given how alike they are.

The estimated Sharpe ratios of worthless trials are normal with the correlation C of their returns, and the best of them
is the largest of N(0, C) draws. Whichever trial was picked, it exceeds the mean of that largest draw by 1.645 standard
deviations in at most 5 % of all cases (Borell and Tsirelson; the mean is not below the median: Kwapień, 1994). Where
all trials are independent the mean is that of the papers' formula, where all are the same it is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.trials.weeks import Floats, Weekly, aligned

DRAWS = 512
FIRST_SEED = 2014


def expected_best(
    trials: Iterable[Weekly], weeks: range, unlike: int = 0, market: Weekly | None = None
) -> float | None:
    """Return the mean of the best of worthless trials, in standard deviations of one; ``weeks`` is all that they span.

    1. each trial's weekly returns, less their mean and less beta times the ``market``'s, are scaled to length 1
    2. their products with the same normal draws of all weeks are draws from N(0, C), with C their sample correlation
    3. C is shrunk towards unlike trials by what chance adds to it in so many weeks
    4. the highest of each draw counts, and the lowest with its sign turned: the same draw mirrored

    Weeks that only one of two trials has count as unrelated. ``unlike`` more trials are known by their number only, and
    count as independent. Without any trial there is no best. Trials are taken in blocks as they come: memory does not
    grow with their number.
    """
    random = np.random.default_rng(FIRST_SEED)
    draws = random.standard_normal((DRAWS, len(weeks)), dtype=np.float32)
    best, worst = np.full(DRAWS, -np.inf), np.full(DRAWS, np.inf)
    count, shrink = unlike, -1.0
    for block in _blocks(trials):
        rows = _directions(block, weeks, market)
        if shrink < 0.0:
            shrink = chance_share(rows)
        count += len(block)
        own = random.standard_normal((DRAWS, len(block)), dtype=np.float32)
        # What has no direction has no likeness: it stands alone.
        apart = np.where(rows.any(axis=0), np.float32(shrink), np.float32(1.0))
        found = np.sqrt(1.0 - apart) * (draws @ rows) + np.sqrt(apart) * own
        best, worst = np.maximum(best, found.max(axis=1)), np.minimum(worst, found.min(axis=1))
    if not count:
        return None
    if unlike:
        best = np.maximum(best, _highest_of(unlike, random))
        worst = np.minimum(worst, -_highest_of(unlike, random))
    return max(0.0, float((best - worst).mean()) / 2.0)


def chance_share(rows: Floats) -> float:
    """Return how much of these correlations chance made: what best shrinks them towards none.

    Schäfer and Strimmer (2005): the summed variance of the sample's correlations over the sum of their squares.
    ``rows`` has a column a trial, of length 1.
    """
    there = rows[:, rows.any(axis=0)].astype(np.float64)
    weeks, count = there.shape
    pairs = count * (count - 1)
    if not pairs or weeks < 3:
        return 1.0
    gram = there @ there.T if weeks < count else there.T @ there
    square = max(float((gram**2).sum() - count) / pairs, 0.0)
    by_chance = (1.0 - min(square, 1.0)) ** 2 / (weeks - 1)
    return min(1.0, by_chance / square) if square > 0.0 else 1.0


def _directions(trials: list[Weekly], weeks: range, market: Weekly | None) -> Floats:
    """Return weeks × trials, each column of length 1 (or 0 where nothing moves), nothing where a trial has no week."""
    ones = [Weekly(trial.week, np.ones_like(trial.returns)) for trial in trials]
    values, there = aligned(trials, weeks), aligned(ones, weeks)
    less = values - there * values.sum(axis=0) / np.maximum(there.sum(axis=0), 1.0)
    if market is not None:
        other = aligned([market], weeks) * there
        known = aligned([Weekly(market.week, np.ones_like(market.returns))], weeks) * there
        other = other - known * other.sum(axis=0) / np.maximum(known.sum(axis=0), 1.0)
        moved = (other**2).sum(axis=0)
        less = less - other * np.divide((less * other).sum(axis=0), moved, out=np.zeros_like(moved), where=moved > 0.0)
    length = np.sqrt((less**2).sum(axis=0))
    rounding = 1e-6 * np.sqrt((values**2).sum(axis=0))
    found: Floats = np.divide(less, length, out=np.zeros_like(less), where=length > rounding)
    return found


def _blocks(trials: Iterable[Weekly], size: int = 2000) -> Iterator[list[Weekly]]:
    rest = iter(trials)
    for first in rest:
        yield [first, *(trial for _, trial in zip(range(size - 1), rest, strict=False))]


def _highest_of(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return draws of the highest of so many independent normals."""
    from scipy.special import ndtri_exp

    found: NDArray[np.float64] = ndtri_exp(np.log(random.random(DRAWS)) / count)
    return found
