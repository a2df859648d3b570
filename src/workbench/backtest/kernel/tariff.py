"""What orders cost, as numbers for the kernel: the schedules of ``commissions`` and ``backtest.costs`` in one form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench import commissions
from workbench.backtest.costs import borrow_per_session
from workbench.params import CostParams

Array = NDArray[np.float64]


class Tariff(NamedTuple):
    """Costs as shares of the value, and a commission an order where there is one; a flat rate is a tariff of one tier.

    IB's commission: shares at the rate of their tier, at least ``minimum``, at most ``maximum_share`` of the value,
    plus what is passed on a share, plus what regulators take of sales.
    """

    rate: float
    half_spread: float
    impact: float
    borrow_per_session: float
    per_order: bool
    tier_bounds: Array  # shares of a month
    tier_rates: Array
    minimum: float
    maximum_share: float
    passed_on_per_share: float
    sec_per_value: float
    finra_per_share: float
    finra_maximum: float


def tariff_of(params: CostParams) -> Tariff:
    """Return the numbers of a schedule."""
    tiered = params.schedule == "ib_tiered"
    return Tariff(
        rate=commissions.proportional_rate(params),
        half_spread=commissions.half_spread(params),
        impact=params.impact,
        borrow_per_session=float(borrow_per_session(params, np.ones(1))[0]),
        per_order=params.schedule in ("ib_fixed", "ib_tiered"),
        tier_bounds=np.array(commissions.TIER_BOUNDS if tiered else commissions.TIER_BOUNDS[[0, -1]]),
        tier_rates=np.array(commissions.TIER_RATES if tiered else [commissions.FIXED_PER_SHARE]),
        minimum=commissions.TIERED_MINIMUM if tiered else commissions.FIXED_MINIMUM,
        maximum_share=commissions.MAXIMUM_SHARE_OF_VALUE,
        passed_on_per_share=commissions.EXCHANGE_PER_SHARE + commissions.CLEARING_PER_SHARE if tiered else 0.0,
        sec_per_value=commissions.SEC_PER_VALUE,
        finra_per_share=commissions.FINRA_PER_SHARE,
        finra_maximum=commissions.FINRA_MAXIMUM,
    )
