"""Several walk-forwards side by side, best first, on the numbers that decide."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.backtest.result import WalkForward
from workbench.errors import NoData

COLUMNS = ("sharpe", "cagr", "volatility", "max_drawdown", "turnover", "cost_per_year", "exposure", "beta")


def ranking(results: Sequence[WalkForward]) -> pd.DataFrame:
    """Return one row a strategy, ordered by the out-of-sample Sharpe ratio after costs."""
    if not results:
        raise NoData("ranking: there is no result to rank; run make backtest")
    rows = []
    for result in results:
        low, high = result.intervals["sharpe"]
        rows.append(
            {
                "strategy": result.strategy,
                **{name: float(result.out_of_sample[name]) for name in COLUMNS},
                "sharpe_low": low,
                "sharpe_high": high,
                "in_sample": float(result.in_sample["sharpe"]),
                "good_folds": int((result.folds["test_score"] > 0).sum()),
                "folds": len(result.folds),
            }
        )
    return pd.DataFrame(rows).sort_values("sharpe", ascending=False, ignore_index=True)


def correlations(results: Sequence[WalkForward]) -> pd.DataFrame:
    """Return the correlation of the strategies' daily returns: what they add to each other."""
    returns = {result.strategy: result.simulation.returns for result in results}
    return pd.DataFrame(returns).corr()
