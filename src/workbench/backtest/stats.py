"""Statistics of a series of simple returns, each with its definition; plain functions, no hidden state.

Missing returns (NaN) are left out of means and deviations and count as zero when compounding. ``periods`` is the number
of returns in a year. An empty series gives NaN, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import DataRefused, InputRefused

YEAR = 252
# A deviation below this share of the values that it is of is rounding, and no risk. The kernel has it written out.
ROUNDING = 1e-9
Returns = pd.Series | NDArray[np.floating[Any]]
Array = NDArray[np.float64]

# What each name in a result means; the tear sheet and the docs print these.
DEFINITIONS: Mapping[str, str] = {
    "sharpe": "mean excess return over its standard deviation (n-1), times the root of the periods in a year",
    "sortino": "annual mean excess return over the annual root mean square of returns below the target",
    "calmar": "CAGR over the size of the maximum drawdown",
    "omega": "sum of returns above the threshold over the sum of those below it",
    "cagr": "constant yearly growth that gives the same final value",
    "volatility": "standard deviation (n-1) of returns, times the root of the periods in a year",
    "total_return": "final value over start value, minus one",
    "max_drawdown": "largest loss from a high so far; the start counts as a high",
    "max_drawdown_sessions": "longest time from a high to its recovery, or to the end",
    "win_rate": "share of closed round trips that earned money after costs",
    "profit_factor": "money earned by winning round trips over money lost by losing ones",
    "trades": "closed round trips",
    "turnover": "value traded in a year over average equity, both sides counted",
    "exposure": "mean of gross positions over equity",
    "alpha": "yearly return left after beta times the benchmark's",
    "beta": "slope of returns on the benchmark's returns",
    "crowded_orders": "orders above max_participation of the session's volume",
    "cost_per_year": "all costs of a year over average equity",
    "skew": "third standardised moment of returns",
    "kurtosis": "fourth standardised moment of returns; 3 for a normal",
    "sessions": "number of returns",
}


def sharpe(returns: Returns, periods: int = YEAR, risk_free: float | Returns = 0.0) -> float:
    """Return the annual Sharpe ratio of returns over ``risk_free`` (a rate per period, or a series of them).

    Infinite for what never changes and is not zero.
    """
    excess = _excess(returns, risk_free)
    if len(excess) < 2:
        return float("nan")
    return _over(float(excess.mean()), _deviation(excess)) * _root(periods)


def sortino(returns: Returns, periods: int = YEAR, target: float = 0.0) -> float:
    """Return the annual Sortino ratio against a ``target`` return per period."""
    excess = _excess(returns, target)
    if len(excess) < 2:
        return float("nan")
    downside = float(np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)))
    return _over(float(excess.mean()), downside) * _root(periods)


def omega(returns: Returns, threshold: float = 0.0) -> float:
    """Return the Omega ratio at a ``threshold`` return per period."""
    excess = _excess(returns, threshold)
    if len(excess) < 2:
        return float("nan")
    return _over(float(excess[excess > 0].sum()), float(-excess[excess < 0].sum()))


def volatility(returns: Returns, periods: int = YEAR) -> float:
    """Return the annual standard deviation of returns."""
    clean = _clean(returns)
    return _deviation(clean) * _root(periods) if len(clean) > 1 else float("nan")


def total_return(returns: Returns) -> float:
    """Return the compounded return of the whole series."""
    filled = _filled(returns)
    return float(np.prod(1.0 + filled) - 1.0) if len(filled) else float("nan")


def cagr(returns: Returns, periods: int = YEAR) -> float:
    """Return the compound annual growth rate; -1 when everything is lost."""
    filled = _filled(returns)
    if not len(filled):
        return float("nan")
    final = float(np.prod(1.0 + filled))
    return final ** (_checked(periods) / len(filled)) - 1.0 if final > 0 else -1.0


def drawdowns(returns: Returns) -> Array:
    """Return the loss from the highest value so far at each point, zero or negative."""
    wealth = np.cumprod(1.0 + _filled(returns))
    high: Array = np.maximum.accumulate(np.maximum(wealth, 1.0))
    result: Array = wealth / high - 1.0
    return result


def max_drawdown(returns: Returns) -> float:
    """Return the largest drawdown, zero or negative."""
    falls = drawdowns(returns)
    return float(falls.min()) if len(falls) else float("nan")


def max_drawdown_length(returns: Returns) -> int:
    """Return the longest run of periods spent below a high."""
    longest = run = 0
    for below in drawdowns(returns) < -1e-12:
        run = run + 1 if below else 0
        longest = max(longest, run)
    return longest


def calmar(returns: Returns, periods: int = YEAR) -> float:
    """Return the compound annual growth rate over the size of the maximum drawdown."""
    return _over(cagr(returns, periods), -max_drawdown(returns)) if len(_filled(returns)) else float("nan")


def skew(returns: Returns) -> float:
    """Return the third standardised moment."""
    return _moment(returns, 3)


def kurtosis(returns: Returns) -> float:
    """Return the fourth standardised moment: 3 for a normal distribution."""
    return _moment(returns, 4)


def alpha_beta(returns: Returns, benchmark: Returns, periods: int = YEAR) -> tuple[float, float]:
    """Return the annual alpha and the beta of returns to a benchmark of the same length."""
    own, other = np.asarray(returns, dtype=float), np.asarray(benchmark, dtype=float)
    if len(own) != len(other):
        raise DataRefused(f"returns have {len(own)} rows, the benchmark {len(other)}; align them first")
    if (
        isinstance(returns, pd.Series)
        and isinstance(benchmark, pd.Series)
        and not returns.index.equals(benchmark.index)
    ):
        raise DataRefused("returns and the benchmark are of different dates; align them first")
    both = ~(np.isnan(own) | np.isnan(other))
    own, other = own[both], other[both]
    if len(own) < 3 or _deviation(other) == 0.0:
        return float("nan"), float("nan")
    beta = float(np.cov(own, other, ddof=1)[0, 1] / np.var(other, ddof=1))
    return float((own - beta * other).mean() * periods), beta


def win_rate(profits: Returns) -> float:
    """Return the share of trades with a positive profit."""
    clean = _clean(profits)
    return float((clean > 0).mean()) if len(clean) else float("nan")


def profit_factor(profits: Returns) -> float:
    """Return the sum of profits over the sum of losses; infinite without a loss."""
    clean = _clean(profits)
    return _over(float(clean[clean > 0].sum()), float(-clean[clean < 0].sum())) if len(clean) else float("nan")


def bootstrap(
    returns: Returns,
    statistic: Callable[[Array], Array],
    *,
    draws: int = 1000,
    mean_block: int = 21,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of a statistic by the stationary bootstrap (Politis and Romano, 1994).

    ``statistic`` gets a draws × periods array and returns one number a draw. Blocks of random length keep the
    dependence between neighbouring returns.
    """
    clean = _clean(returns)
    if len(clean) < 2 * mean_block:
        return float("nan"), float("nan")
    values = statistic(clean[stationary_draws(len(clean), draws, mean_block, seed)])
    if np.isnan(values).all():
        return float("nan"), float("nan")
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def stationary_draws(
    length: int, draws: int, mean_block: float, seed: int, steps: int | None = None
) -> NDArray[np.int64]:
    """Return draws × ``steps`` row numbers of ``length`` rows, in wrapped blocks of geometric length."""
    random = np.random.default_rng(seed)
    shape = (draws, length if steps is None else steps)
    begins = random.random(shape) < 1.0 / mean_block
    begins[:, 0] = True
    starts = random.integers(0, length, shape)
    place = np.arange(shape[1])
    since = place - np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    first = np.take_along_axis(starts, place - since, axis=1)
    rows: NDArray[np.int64] = (first + since) % length
    return rows


def intervals(returns: Returns, periods: int = YEAR, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return the 95 % bootstrap intervals of Sharpe, CAGR and volatility.

    Drawdowns have none: a resampled path has other falls, so theirs can lie beside the one that was measured.
    """
    root = _root(periods)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "sharpe": bootstrap(returns, lambda d: d.mean(axis=1) / _deviations(d) * root, seed=seed),
            "cagr": bootstrap(returns, lambda d: np.prod(1 + d, axis=1) ** (periods / d.shape[1]) - 1, seed=seed),
            "volatility": bootstrap(returns, lambda d: d.std(axis=1, ddof=1) * root, seed=seed),
        }


def summary(returns: Returns, benchmark: Returns | None = None, periods: int = YEAR) -> dict[str, float]:
    """Return every statistic that needs nothing but returns, by name."""
    found = {
        "sharpe": sharpe(returns, periods),
        "sortino": sortino(returns, periods),
        "calmar": calmar(returns, periods),
        "omega": omega(returns),
        "cagr": cagr(returns, periods),
        "volatility": volatility(returns, periods),
        "total_return": total_return(returns),
        "max_drawdown": max_drawdown(returns),
        "max_drawdown_sessions": float(max_drawdown_length(returns)),
        "skew": skew(returns),
        "kurtosis": kurtosis(returns),
        "sessions": float(len(_clean(returns))),
    }
    if benchmark is not None:
        found["alpha"], found["beta"] = alpha_beta(returns, benchmark, periods)
    return found


def _excess(returns: Returns, less: float | Returns) -> Array:
    if isinstance(less, (int, float)):
        return _clean(returns) - float(less)
    if isinstance(returns, pd.Series) and isinstance(less, pd.Series):
        return _clean(returns - less)
    return _clean(np.asarray(returns, dtype=float) - np.asarray(less, dtype=float))


def _clean(returns: Returns) -> Array:
    values: Array = np.asarray(returns, dtype=float)
    return values[~np.isnan(values)]


def _filled(returns: Returns) -> Array:
    index = getattr(returns, "index", None)
    if isinstance(index, pd.DatetimeIndex) and not index.is_monotonic_increasing:
        raise DataRefused("returns: times are not sorted; call .sort_index() first")  # a drawdown is of their order
    filled: Array = np.nan_to_num(np.asarray(returns, dtype=float), nan=0.0, posinf=np.inf, neginf=-np.inf)
    return filled


def _checked(periods: int) -> int:
    if not periods > 0:
        raise InputRefused(f"periods is {periods}; write how many returns a year has, 252 for days")
    return periods


def _root(periods: int) -> float:
    return float(np.sqrt(_checked(periods)))


def _deviation(values: Array) -> float:
    return float(_deviations(values[None, :])[0])


def _deviations(rows: Array) -> Array:
    """Return the standard deviation of each row; 0 for what only rounding moves."""
    spread, size = rows.std(axis=1, ddof=1), np.maximum(rows.max(axis=1), -rows.min(axis=1))
    found: Array = np.where(spread <= ROUNDING * size, 0.0, spread)
    return found


def _over(top: float, bottom: float) -> float:
    if bottom != 0.0:
        return top / bottom
    return float("nan") if top == 0.0 or np.isnan(top) else float(np.copysign(np.inf, top))


def _moment(returns: Returns, order: int) -> float:
    clean = _clean(returns)
    if len(clean) < 3:
        return float("nan")
    centred = clean - clean.mean()
    if _deviation(clean) == 0.0:
        return float("nan")
    return float((centred**order).mean() / np.sqrt((centred**2).mean()) ** order)
