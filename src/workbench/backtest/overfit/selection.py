"""What choosing the best of many trials is worth, measured on the matrix of their returns (periods × trials)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.overfit.inputs import Array, Matrix, matrix, risks, series, sharpes, whole
from workbench.backtest.overfit.paths import block_length
from workbench.errors import InputRefused

MAX_SPLITS = 20  # 184,756 combinations
# Combinations × columns worked on at once: 8 MB an array, whatever the size of the whole.
AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Degradation:
    """What is left out of sample of the Sharpe ratio that was best in sample: ``out = intercept + slope × in``."""

    slope: float
    intercept: float
    r_squared: float
    probability_of_loss: float
    in_sample: Array
    out_of_sample: Array


@dataclass(frozen=True)
class Pbo:
    """The probability of backtest overfitting: how often the best half a history could choose is below the median.

    ``logits`` has one number a combination: the log odds of the rank, out of sample, of what was best in sample.
    Unpacks as ``probability, logits, degradation``.
    """

    probability: float
    logits: Array
    degradation: Degradation

    def __iter__(self) -> Iterator[Any]:
        """Give the three results in the order of their fields."""
        return iter((self.probability, self.logits, self.degradation))


def pbo(returns_matrix: Matrix, splits: int = 16) -> Pbo:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting" (2015):

    1. cut the periods into ``splits`` blocks; every half of the blocks is in sample once, the rest out of sample
    2. take the trial with the best Sharpe ratio in sample, and its rank among all trials out of sample
    3. the probability is the share of combinations in which that rank is at or below the median
    """
    whole("pbo", splits=splits)
    if splits % 2 or not 2 <= splits <= MAX_SPLITS:
        raise InputRefused(f"pbo: splits is {splits}; it must be even, from 2 to {MAX_SPLITS}")
    returns = matrix("pbo", returns_matrix, rows=2 * splits, columns=2)
    if not risks(returns).any():
        raise InputRefused("pbo: no column ever changes; give the returns of trials that took risk")
    blocks = _Blocks.of(returns, splits)
    trials = returns.shape[1]

    logits, inside, outside = [], [], []
    for chosen_blocks in _halves(splits, max(1, AT_ONCE // trials)):
        trained, tested = blocks.sharpes(chosen_blocks), blocks.sharpes(1.0 - chosen_blocks)
        rows = np.arange(len(trained))
        best = trained.argmax(axis=1)
        own = tested[rows, best]
        below, equal = (tested < own[:, None]).sum(axis=1), (tested == own[:, None]).sum(axis=1)
        rank = below + (equal + 1) / 2.0  # 1 is the worst; equals share the middle of their ranks
        logits.append(np.log(rank / (trials + 1.0 - rank)))
        inside.append(trained[rows, best])
        outside.append(own)
    found = np.concatenate(logits)
    return Pbo(
        probability=float((found <= 0.0).mean()),
        logits=found,
        degradation=_degradation(np.concatenate(inside), np.concatenate(outside)),
    )


@dataclass(frozen=True)
class _Blocks:
    """Sums and sums of squares of each block, from which the Sharpe ratio of any union of blocks follows."""

    rows: Array  # of each block
    sums: Array  # blocks × trials, of returns less their mean: nothing is lost to rounding
    squares: Array
    means: Array  # of each trial

    @classmethod
    def of(cls, returns: Array, count: int) -> _Blocks:
        starts = np.linspace(0, len(returns), count + 1).astype(int)[:-1]
        means = returns.mean(axis=0)
        less = np.where(risks(returns) > 0.0, returns - means, 0.0)
        rows = np.diff(np.append(starts, len(returns))).astype(float)
        return cls(rows, np.add.reduceat(less, starts), np.add.reduceat(less**2, starts), means)

    def sharpes(self, chosen: Array) -> Array:
        """Return combinations × trials Sharpe ratios; a stretch without risk has 0."""
        n = (chosen @ self.rows)[:, None]
        total = chosen @ self.sums
        variance = (chosen @ self.squares - total**2 / n) / (n - 1.0)
        overall = self.squares.sum(axis=0) / self.rows.sum()
        risky = variance > 1e-12 * overall  # a difference of sums is less exact than ROUNDING
        mean = total / n + self.means
        found: Array = np.divide(mean, np.sqrt(np.where(risky, variance, 1.0)), out=np.zeros_like(mean), where=risky)
        return found


def _halves(splits: int, at_once: int) -> Iterator[Array]:
    """Give every choice of half of the blocks, as rows of 0 and 1, some at a time."""
    combinations = itertools.combinations(range(splits), splits // 2)
    while some := list(itertools.islice(combinations, at_once)):
        chosen = np.zeros((len(some), splits))
        np.put_along_axis(chosen, np.array(some), 1.0, axis=1)
        yield chosen


def _degradation(inside: Array, outside: Array) -> Degradation:
    across, along = inside - inside.mean(), outside - outside.mean()
    spread, both = float(across @ across), float(across @ along)
    slope = both / spread if spread > 0.0 else 0.0
    explained = slope * both / float(along @ along) if float(along @ along) > 0.0 else 0.0
    return Degradation(
        slope=slope,
        intercept=float(outside.mean() - slope * inside.mean()),
        r_squared=explained,
        probability_of_loss=float((outside < 0.0).mean()),
        in_sample=inside,
        out_of_sample=outside,
    )


@dataclass(frozen=True)
class Purged:
    """Combinatorial purged cross-validation: the Sharpe ratio per period of every path that was never trained on.

    ``chosen`` has the column that each training set chose.
    """

    sharpes: Array
    chosen: NDArray[np.int64]
    splits: int

    @property
    def mean(self) -> float:
        """The mean of the paths' Sharpe ratios."""
        return float(self.sharpes.mean())

    @property
    def probability_of_loss(self) -> float:
        """The share of paths that lost money."""
        return float((self.sharpes < 0.0).mean())


def combinatorial_purged(
    returns_matrix: Matrix, folds: int = 10, test_folds: int = 3, purge: int = 1, embargo: int = 5
) -> Purged:
    """Return what the best column of each training set earned on the test folds, recombined into whole paths.

    skfolio's CombinatorialPurgedCV cuts the folds: training ends ``purge`` periods before a test fold begins, and
    starts again ``purge + embargo`` periods after it (López de Prado, "Advances in Financial Machine Learning", 12).
    """
    whole("combinatorial_purged", folds=folds, test_folds=test_folds, purge=purge, embargo=embargo)
    returns = matrix("combinatorial_purged", returns_matrix, rows=2 * folds, columns=2)
    from skfolio.model_selection import CombinatorialPurgedCV

    try:
        cv = CombinatorialPurgedCV(folds, test_folds, purged_size=purge, embargo_size=embargo)
        cuts = list(cv.split(returns))
    except ValueError as error:
        raise InputRefused(
            f"combinatorial_purged: {' '.join(str(error).split())} (folds {folds}, test_folds {test_folds}, "
            f"purge {purge}, embargo {embargo}, {len(returns)} periods)"
        ) from error
    paths = np.empty((len(returns), cv.n_test_paths))
    chosen = np.empty(len(cuts), dtype=np.int64)
    for split, ((train, tests), path_ids) in enumerate(zip(cuts, cv.get_path_ids(), strict=True)):
        if len(train) < 2:
            raise InputRefused(
                f"combinatorial_purged: nothing is left to train on after a purge of {purge} and an embargo "
                f"of {embargo}; lower them, or test_folds"
            )
        chosen[split] = sharpes(returns[train]).argmax()
        for rows, path in zip(tests, path_ids, strict=True):
            paths[rows, path] = returns[rows, chosen[split]]
    return Purged(sharpes=sharpes(paths), chosen=chosen, splits=len(cuts))


@dataclass(frozen=True)
class Superiority:
    """Whether the best of many trials beats the benchmark once the search for it is counted.

    ``p`` is Hansen's consistent p-value, between ``lower`` and ``upper``; ``upper`` is White's reality check. All are 1
    where nothing that took risk earned more than the benchmark. ``best`` has the highest Sharpe ratio, which is 0 for a
    trial that took no risk.
    """

    p: float
    lower: float
    upper: float
    best: int
    mean_block: float


def spa(
    returns_matrix: Matrix,
    benchmark: Matrix | None = None,
    *,
    draws: int = 1000,
    mean_block: float | None = None,
    seed: int = 0,
) -> Superiority:
    """Return the test of superior predictive ability (Hansen, 2005; White, 2000): is the best trial better than luck?

    ``benchmark`` is a series of returns, cash (0) where it is left out. Each trial's excess return is measured in its
    own standard deviations, so the best is the one with the highest Sharpe ratio. arch runs the stationary bootstrap.
    """
    returns = matrix("spa", returns_matrix, rows=20)
    whole("spa", draws=draws)
    if draws < 100:
        raise InputRefused(f"spa: draws is {draws}; fewer than 100 give no p-value worth reading")
    size = np.abs(returns).max(axis=0)
    if benchmark is not None:
        other = series("spa: benchmark", benchmark)
        if len(other) != len(returns):
            raise InputRefused(f"spa: the benchmark has {len(other)} rows, the trials {len(returns)}; align them first")
        returns, size = returns - other[:, None], np.maximum(size, np.abs(other).max())
    risk = risks(returns, size)
    # What took no risk leaves nothing to resample: arch would count its zero as above every draw.
    scaled = np.divide(returns, risk, out=np.zeros_like(returns), where=risk > 0.0)
    means = scaled.mean(axis=0)
    best = int(means.argmax())
    block = block_length(scaled[:, best]) if mean_block is None else mean_block
    if means[best] <= 0.0:
        return Superiority(p=1.0, lower=1.0, upper=1.0, best=best, mean_block=block)
    scaled = scaled[:, risk > 0.0]
    from arch.bootstrap import SPA

    test = SPA(np.zeros(len(scaled)), -scaled, block_size=max(1, math.ceil(block)), reps=draws, seed=seed)
    test.compute()
    # The sample itself is one of the draws under the null: a p-value of zero would claim too much.
    lower, consistent, upper = ((float(p) * draws + 1.0) / (draws + 1.0) for p in test.pvalues)
    return Superiority(p=consistent, lower=lower, upper=upper, best=best, mean_block=block)
