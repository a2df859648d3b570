"""Histories that could have been: the stationary bootstrap of a series of returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workbench.backtest import stats
from workbench.backtest.overfit.inputs import Array, risks, series, sharpes, whole
from workbench.errors import InputRefused

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Draws × periods worked on at once: beside the paths themselves, memory does not grow with the number of draws.
AT_ONCE = 1_000_000


@dataclass(frozen=True)
class MonteCarlo:
    """What paths of ``horizon`` periods could have looked like, were the future made of blocks of the past.

    ``equity`` (growth of 1) and ``drawdown`` have a row a period, counted from 1, and a column a quantile.
    ``max_drawdowns`` (zero or negative), ``sharpes`` (per period) and ``finals`` (growth of 1) have one number a path.
    """

    equity: pd.DataFrame
    drawdown: pd.DataFrame
    max_drawdowns: Array
    sharpes: Array
    finals: Array
    mean_block: float

    @property
    def probability_of_loss(self) -> float:
        """The share of paths that end below their start."""
        return float((self.finals < 1.0).mean())

    def max_drawdown(self, confidence: float = 0.95) -> float:
        """Return the maximum drawdown that this share of the paths stays above."""
        if not 0.0 < confidence < 1.0:
            raise InputRefused(f"max_drawdown: confidence {confidence} is not between 0 and 1; 0.95 is usual")
        return float(np.quantile(self.max_drawdowns, 1.0 - confidence))


def monte_carlo(
    returns: pd.Series | ArrayLike,
    *,
    draws: int = 1000,
    horizon: int | None = None,
    mean_block: float | None = None,
    quantiles: tuple[float, ...] = QUANTILES,
    seed: int = 0,
) -> MonteCarlo:
    """Return the bands of bootstrapped paths; ``horizon`` is the length of the returns where it is left out.

    Blocks of random length keep the dependence between neighbours; their mean is ``block_length`` where it is left out.
    """
    past = series("monte_carlo", returns, rows=20)
    steps = len(past) if horizon is None else horizon
    whole("monte_carlo", draws=draws, horizon=steps)
    for name, value, least in (("draws", draws, 10), ("horizon", steps, 2)):
        if value < least:
            raise InputRefused(f"monte_carlo: {name} is {value}; it must be at least {least}")
    if past.min() < -1.0:
        raise InputRefused(f"monte_carlo: a return of {past.min():.3g} loses more than everything; give simple returns")
    block = block_length(past) if mean_block is None else mean_block
    if not 1.0 <= block <= len(past):
        raise InputRefused(f"monte_carlo: mean_block is {block}; it must be from 1 to the {len(past)} returns")

    wealth, drawdown, ratios = np.empty((draws, steps)), np.empty((draws, steps)), np.empty(draws)
    each = max(1, AT_ONCE // steps)
    seeds = np.random.SeedSequence(seed).generate_state(-(-draws // each))
    for own_seed, first in zip(seeds, range(0, draws, each), strict=True):
        some = slice(first, min(first + each, draws))
        drawn = past[stats.stationary_draws(len(past), some.stop - first, block, int(own_seed), steps)]
        wealth[some] = np.cumprod(1.0 + drawn, axis=1)
        drawdown[some] = wealth[some] / np.maximum.accumulate(np.maximum(wealth[some], 1.0), axis=1) - 1.0
        ratios[some] = sharpes(drawn.T)
    worst, finals = drawdown.min(axis=1), wealth[:, -1].copy()
    return MonteCarlo(
        equity=_bands(wealth, quantiles),
        drawdown=_bands(drawdown, quantiles),
        max_drawdowns=worst,
        sharpes=ratios,
        finals=finals,
        mean_block=float(block),
    )


def block_length(returns: pd.Series | ArrayLike) -> float:
    """Return the mean block length that the data asks for, at most a quarter of it.

    Politis and White (2004, corrected 2009), for the returns and for their squares, whichever is longer: quiet and wild
    times last longer than trends do, and drawdowns are made of them.
    """
    values = series("block_length", returns, rows=20)
    if not risks(values):
        return 1.0
    from arch.bootstrap import optimal_block_length

    centred = values - values.mean()
    wanted = [optimal_block_length(some)["stationary"].iloc[0] for some in (values, centred**2) if risks(some)]
    return float(np.clip(np.nanmax([1.0, *wanted]), 1.0, len(values) / 4.0))


def _bands(values: Array, quantiles: tuple[float, ...]) -> pd.DataFrame:
    index = pd.RangeIndex(1, values.shape[1] + 1, name="period")
    # The rows are not needed in their order again, so they may be sorted in place.
    return pd.DataFrame(np.quantile(values, quantiles, axis=0, overwrite_input=True).T, index, list(quantiles))
