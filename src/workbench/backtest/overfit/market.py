"""What is left of returns once the market is taken off: holding a stock index is paid for, and is no skill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from workbench.backtest.overfit.inputs import Array, Matrix
from workbench.backtest.stats import ROUNDING
from workbench.errors import InputRefused


@dataclass(frozen=True)
class Hedged:
    """Returns less ``betas`` times the benchmark's; one beta a column."""

    returns: Array
    betas: Array


def hedge(returns: Matrix, benchmark: pd.Series | ArrayLike) -> Hedged:
    """Return each column's returns less its beta times the benchmark's: what the same exposure did not give anyway.

    Beta is the slope on the benchmark, over the periods that both have; nothing is taken off where it has no return.
    """
    own, market = np.asarray(returns, dtype=float), np.asarray(benchmark, dtype=float)
    if len(own) != len(market):
        raise InputRefused(f"hedge: the returns have {len(own)} rows, the benchmark {len(market)}; align them first")
    columns = own[:, None] if own.ndim == 1 else own
    both = np.isfinite(columns) & np.isfinite(market)[:, None]
    count = np.maximum(both.sum(axis=0), 1)
    filled, known = np.where(both, columns, 0.0), np.where(both, market[:, None], 0.0)
    across = np.where(both, known - known.sum(axis=0) / count, 0.0)
    along = np.where(both, filled - filled.sum(axis=0) / count, 0.0)
    moved = (across**2).sum(axis=0)
    moves = moved > count * (ROUNDING * np.abs(known).max(axis=0, initial=0.0)) ** 2
    if not moves.any():
        raise InputRefused("hedge: the benchmark never moves, so there is no market to take off; give its returns")
    betas = np.divide((across * along).sum(axis=0), moved, out=np.zeros(len(moved)), where=moves)
    left = columns - betas * np.where(np.isfinite(market), market, 0.0)[:, None]
    rest = along - betas * across
    holds_more = (rest**2).sum(axis=0) > ROUNDING**2 * (along**2).sum(axis=0)
    left = np.where(holds_more, left, 0.0)  # else it holds the market and nothing else
    return Hedged(left.reshape(own.shape), betas)
