"""What an order costs at the broker, commission by schedule and half the spread: one for backtest and paper broker.

Every function takes the orders of one portfolio as arrays, in the order in which they were traded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.params import CostParams

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fills:
    """Orders as traded: ``shares`` unadjusted and positive, ``value`` in currency, ``month`` counts calendar months."""

    shares: Array
    value: Array
    sold: NDArray[np.bool_]
    month: NDArray[np.int64]


# Interactive Brokers, US stocks, US dollars, as published in 2025.
# https://www.interactivebrokers.com/en/pricing/commissions-stocks.php
FIXED_PER_SHARE, FIXED_MINIMUM = 0.005, 1.00
TIERED_MINIMUM = 0.35
MAXIMUM_SHARE_OF_VALUE = 0.01
# Shares traded in a calendar month up to each bound cost the rate beside it, at the margin.
TIER_BOUNDS = np.array([0.0, 300_000.0, 3_000_000.0, 20_000_000.0, 100_000_000.0, 1e15])
TIER_RATES = np.array([0.0035, 0.0020, 0.0015, 0.0010, 0.0005])
# Third parties, passed on under the tiered schedule: removing liquidity and clearing, per share.
EXCHANGE_PER_SHARE, CLEARING_PER_SHARE = 0.0030, 0.00020
# Regulators, on sales, under both schedules: SEC per dollar sold, FINRA per share sold with a bound.
SEC_PER_VALUE, FINRA_PER_SHARE, FINRA_MAXIMUM = 27.80e-6, 0.000166, 8.30


def ib_fixed(fills: Fills) -> Array:
    """Return IB's fixed commission: 0.005 a share, at least 1, at most 1 % of the value, and sales fees."""
    return _bounded(fills.shares * FIXED_PER_SHARE, fills, FIXED_MINIMUM) + _regulatory(fills)


def ib_tiered(fills: Fills) -> Array:
    """Return IB's tiered commission: cheaper by monthly volume, at least 0.35, plus what third parties charge."""
    cost_at_bound = np.concatenate([[0.0], np.cumsum(np.diff(TIER_BOUNDS) * TIER_RATES)])
    before = _month_to_date(fills)
    own = np.interp(before + fills.shares, TIER_BOUNDS, cost_at_bound) - np.interp(before, TIER_BOUNDS, cost_at_bound)
    passed_on = fills.shares * (EXCHANGE_PER_SHARE + CLEARING_PER_SHARE)
    return _bounded(own, fills, TIERED_MINIMUM) + passed_on + _regulatory(fills)


def commission(costs: CostParams) -> Callable[[Fills], Array]:
    """Return the function that prices orders under the chosen schedule."""
    if costs.schedule == "ib_fixed":
        return ib_fixed
    if costs.schedule == "ib_tiered":
        return ib_tiered
    rate = proportional_rate(costs)
    return lambda fills: fills.value * rate


def proportional_rate(costs: CostParams) -> float:
    """Return the commission as a share of the value, zero under a schedule that is not proportional."""
    return costs.proportional_bps / 1e4 if costs.schedule == "proportional" else 0.0


def half_spread(costs: CostParams) -> float:
    """Return the share of the price that crossing half the spread costs."""
    return costs.spread_bps / 2.0 / 1e4


def _bounded(amount: Array, fills: Fills, minimum: float) -> Array:
    # Where 1 % of the value is below the minimum, IB charges the 1 %.
    bounded: Array = np.minimum(np.maximum(amount, minimum), MAXIMUM_SHARE_OF_VALUE * fills.value)
    return bounded


def _regulatory(fills: Fills) -> Array:
    finra = np.minimum(fills.shares * FINRA_PER_SHARE, FINRA_MAXIMUM)
    return np.where(fills.sold, fills.value * SEC_PER_VALUE + finra, 0.0)


def _month_to_date(fills: Fills) -> Array:
    """Return the shares traded earlier in the same month."""
    before = np.cumsum(fills.shares) - fills.shares
    first = np.concatenate([[True], fills.month[1:] != fills.month[:-1]]) if len(before) else np.zeros(0, bool)
    at_start = np.maximum.accumulate(np.where(first, before, 0.0)) if len(before) else before
    shares: Array = before - at_start
    return shares
