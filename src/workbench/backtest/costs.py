"""What trading costs beside commission and spread (`workbench.commissions`): market impact, and borrow by the day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.params import CostParams

Array = NDArray[np.float64]
YEAR = 252


def impact(costs: CostParams, participation: Array, daily_volatility: Array) -> Array:
    """Return the share of the price lost to market impact: the square-root law of daily volume.

    cost = impact × daily volatility × sqrt(shares / volume of the session); nothing where either is unknown.
    """
    known = np.nan_to_num(participation, nan=0.0, posinf=0.0), np.nan_to_num(daily_volatility, nan=0.0)
    lost: Array = costs.impact * known[1] * np.sqrt(known[0])
    return lost


def borrow_per_session(costs: CostParams, short_share: Array) -> Array:
    """Return what short positions (as a positive share of equity) cost a session, as a share of equity."""
    return short_share * costs.borrow_bps_per_year / 1e4 / YEAR
