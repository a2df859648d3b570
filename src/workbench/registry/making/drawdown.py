"""How deep a drawdown may be before it is news: what the past's own returns, in another order, would have shown."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.backtest import stats
from workbench.backtest.overfit import block_length, monte_carlo

HORIZONS = (20, 60, 250)  # sessions
CONFIDENCES = (0.95, 0.99)
DRAWS = 4000


def drawdown_band(returns: pd.Series, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Return the bounds of the largest drawdown over some horizons, by the stationary bootstrap.

    ``bounds["60"]["0.99"]`` is the drawdown, zero or negative, that 99 % of paths of 60 sessions stay above.
    """
    block = block_length(returns)
    bounds: dict[str, dict[str, float]] = {}
    for horizon in HORIZONS:
        paths = monte_carlo(returns, draws=draws, horizon=horizon, mean_block=block, seed=seed)
        bounds[str(horizon)] = {str(confidence): paths.max_drawdown(confidence) for confidence in CONFIDENCES}
    return {
        "bounds": bounds,
        "measured": stats.max_drawdown(returns),
        "sessions": len(returns),
        "draws": draws,
        "mean_block": block,
        "seed": seed,
    }
