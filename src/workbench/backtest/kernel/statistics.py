"""Statistics of one walk inside each window, as ``backtest.stats`` defines them, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.account import BORROW, CLOSED, COMMISSION, IMPACT, RETURN, SPREAD, TRADED
from workbench.backtest.kernel.compiled import compiled
from workbench.backtest.stats import YEAR

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
def measure(series: Array, windows: Rows, cash: float, found: Array) -> None:
    """Fill ``found`` (windows × MEASURED) from the series of a walk; ``windows`` has a first and a last + 1 a row."""
    bars = series.shape[1]
    equity = np.empty(bars + 1)
    equity[0] = cash
    for t in range(bars):
        equity[t + 1] = equity[t] * (1.0 + series[RETURN, t])
    for w in range(len(windows)):
        first, stop = windows[w, 0], windows[w, 1]
        count = stop - first
        years = count / YEAR
        mean, below, wealth, high, fall, average = 0.0, 0.0, 1.0, 1.0, 0.0, 0.0
        traded, commission, spread, impact, borrow, closed = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        largest = 0.0
        for t in range(first, stop):
            gained = series[RETURN, t]
            mean += gained
            below += min(gained, 0.0) ** 2
            largest = max(largest, abs(gained))
            wealth *= 1.0 + gained
            high = max(high, wealth)
            fall = min(fall, wealth / high - 1.0)
            average += equity[t + 1]
            traded += series[TRADED, t]
            commission += series[COMMISSION, t]
            spread += series[SPREAD, t]
            impact += series[IMPACT, t]
            borrow += series[BORROW, t] * equity[t]
            closed += series[CLOSED, t]
        mean /= count
        average /= count
        squares = 0.0
        for t in range(first, stop):
            squares += (series[RETURN, t] - mean) ** 2
        deviation = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
        if deviation <= 1e-14 * largest:  # a residue of rounding
            deviation = 0.0
        growth = wealth ** (1.0 / years) - 1.0 if wealth > 0.0 else -1.0
        per_year = average * years
        found[w, 0] = wealth - 1.0
        found[w, 1] = mean / deviation * np.sqrt(YEAR)
        found[w, 2] = mean / np.sqrt(below / count) * np.sqrt(YEAR) if count > 1 else np.nan
        found[w, 3] = growth / abs(fall)
        found[w, 4] = fall
        found[w, 5] = traded / per_year
        found[w, 6] = (commission + spread + impact + borrow) / per_year
        found[w, 7] = commission / per_year
        found[w, 8] = spread / per_year
        found[w, 9] = impact / per_year
        found[w, 10] = borrow / per_year
        found[w, 11] = closed
