"""Statistics of one walk inside each window, as ``backtest.stats`` defines them, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.account import Series
from workbench.backtest.kernel.compiled import compiled

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# What ``measure`` fills in, in this order.
MEASURED = (
    "total_return",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "turnover",
    "cost_per_year",
    "commission",
    "spread",
    "impact",
    "borrow",
    "trades",
)


@compiled
def measure(series: Series, windows: Rows, cash: float, periods: int, found: Array) -> None:
    """Fill ``found`` (windows × MEASURED); ``windows`` has first rows and last ones + 1, ``periods`` are a year's."""
    bars = len(series.returns)
    equity = np.empty(bars + 1)
    equity[0] = cash
    for t in range(bars):
        equity[t + 1] = equity[t] * (1.0 + series.returns[t])
    for w in range(len(windows)):
        first, stop = windows[w, 0], windows[w, 1]
        count = stop - first
        years = count / periods
        mean, below, wealth, high, fall, average = 0.0, 0.0, 1.0, 1.0, 0.0, 0.0
        traded, commission, spread, impact, borrow, closed = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        largest = 0.0
        for t in range(first, stop):
            gained = series.returns[t]
            mean += gained
            below += min(gained, 0.0) ** 2
            largest = max(largest, abs(gained))
            wealth *= 1.0 + gained
            high = max(high, wealth)
            fall = min(fall, wealth / high - 1.0)
            average += equity[t + 1]
            traded += series.traded[t]
            commission += series.commission[t]
            spread += series.spread[t]
            impact += series.impact[t]
            borrow += series.borrow[t] * equity[t]
            closed += series.closed[t]
        mean /= count
        average /= count
        squares = 0.0
        for t in range(first, stop):
            squares += (series.returns[t] - mean) ** 2
        deviation = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
        if deviation <= 1e-9 * largest:  # a residue of rounding, stats.ROUNDING
            deviation = 0.0
        growth = wealth ** (1.0 / years) - 1.0 if wealth > 0.0 else -1.0
        per_year = average * years
        found[w, 0] = wealth - 1.0
        found[w, 1] = mean / deviation * np.sqrt(periods)
        found[w, 2] = mean / np.sqrt(below / count) * np.sqrt(periods) if count > 1 else np.nan
        found[w, 3] = growth / abs(fall)
        found[w, 4] = fall
        found[w, 5] = traded / per_year
        found[w, 6] = (commission + spread + impact + borrow) / per_year
        found[w, 7] = commission / per_year
        found[w, 8] = spread / per_year
        found[w, 9] = impact / per_year
        found[w, 10] = borrow / per_year
        found[w, 11] = closed
