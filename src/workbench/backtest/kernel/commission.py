"""The commission of one order, as the simulator's schedules price it (``backtest.costs``), compiled."""

from __future__ import annotations

from workbench.backtest import costs
from workbench.backtest.kernel.compiled import compiled
from workbench.params import CostParams

PROPORTIONAL, IB_FIXED, IB_TIERED = 0, 1, 2

FIXED_PER_SHARE, FIXED_MINIMUM = costs.FIXED_PER_SHARE, costs.FIXED_MINIMUM
TIERED_MINIMUM, MAXIMUM_SHARE_OF_VALUE = costs.TIERED_MINIMUM, costs.MAXIMUM_SHARE_OF_VALUE
TIER_BOUNDS, TIER_RATES = costs.TIER_BOUNDS, costs.TIER_RATES
PASSED_ON_PER_SHARE = costs.EXCHANGE_PER_SHARE + costs.CLEARING_PER_SHARE
SEC_PER_VALUE, FINRA_PER_SHARE, FINRA_MAXIMUM = costs.SEC_PER_VALUE, costs.FINRA_PER_SHARE, costs.FINRA_MAXIMUM


def schedule_number(params: CostParams) -> int:
    """Return the number of a schedule; one without commission is proportional at a rate of zero."""
    return {"ib_fixed": IB_FIXED, "ib_tiered": IB_TIERED}.get(params.schedule, PROPORTIONAL)


@compiled
def order_commission(schedule: int, shares: float, value: float, sold: bool, month_shares: float) -> float:
    """Return what IB charges for one order after ``month_shares`` shares in the same month."""
    if schedule == IB_FIXED:
        amount = max(shares * FIXED_PER_SHARE, FIXED_MINIMUM)
        passed_on = 0.0
    else:
        amount = max(_tiers(month_shares + shares) - _tiers(month_shares), TIERED_MINIMUM)
        passed_on = shares * PASSED_ON_PER_SHARE
    # Where 1 % of the value is below the minimum, IB charges the 1 %.
    charged = min(amount, MAXIMUM_SHARE_OF_VALUE * value) + passed_on
    if sold:
        charged += value * SEC_PER_VALUE + min(shares * FINRA_PER_SHARE, FINRA_MAXIMUM)
    return charged


@compiled
def _tiers(shares: float) -> float:
    """Return what the first ``shares`` shares of a month cost, at the margin of each tier."""
    cost = 0.0
    for tier in range(len(TIER_RATES)):
        if shares > TIER_BOUNDS[tier]:
            cost += (min(shares, TIER_BOUNDS[tier + 1]) - TIER_BOUNDS[tier]) * TIER_RATES[tier]
    return cost
