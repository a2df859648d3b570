"""How sure a Sharpe ratio is, given its length, its shape and how many were tried. Everything is per period.

Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier" (Journal of Risk, 2012) and "The Deflated Sharpe Ratio"
(Journal of Portfolio Management, 2014). ``kurtosis`` is 3 for a normal distribution.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from workbench.errors import InputRefused

EULER_MASCHERONI = 0.5772156649015329
_NORMAL = NormalDist()


def expected_max_sharpe(trials: float) -> float:
    """Return the largest Sharpe ratio to expect of ``trials`` worthless ones, in standard deviations of the trials.

    The false strategy theorem; within 3 % from three trials on. One trial leaves nothing to choose, so it gives 0.
    """
    _at_least("expected_max_sharpe", "trials", trials, 1.0)
    if trials == 1:
        return 0.0
    # The quantile of 1 - p is taken as minus that of p: exact also where 1 - p rounds to 1.
    of_one, of_more = -_NORMAL.inv_cdf(1.0 / trials), -_NORMAL.inv_cdf(1.0 / (trials * math.e))
    return max(0.0, (1.0 - EULER_MASCHERONI) * of_one + EULER_MASCHERONI * of_more)


def probabilistic_sharpe(sharpe: float, n: float, skew: float, kurtosis: float, benchmark: float = 0.0) -> float:
    """Return the probability that the true Sharpe ratio is above ``benchmark``, after ``n`` returns of this shape."""
    name = "probabilistic_sharpe"
    _finite(name, sharpe=sharpe, benchmark=benchmark)
    _at_least(name, "n", n, 2.0)
    spread = math.sqrt(_spread(name, sharpe, skew, kurtosis))
    gap = (sharpe - benchmark) * math.sqrt(n - 1.0)
    if spread == 0.0:
        return 0.5 if gap == 0.0 else float(gap > 0.0)
    return _NORMAL.cdf(gap / spread)


def deflated_sharpe(
    sharpe: float, n: float, skew: float, kurtosis: float, trials: float, trial_variance: float
) -> float:
    """Return the probability that the true Sharpe ratio is above what the best of ``trials`` worthless ones shows.

    ``trials`` counts independent ones, ``trial_variance`` is the variance of their Sharpe ratios, per period as well.
    """
    _at_least("deflated_sharpe", "trial_variance", trial_variance, 0.0)
    luck = math.sqrt(trial_variance) * expected_max_sharpe(trials)
    return probabilistic_sharpe(sharpe, n, skew, kurtosis, luck)


def min_track_record_length(
    sharpe: float, skew: float, kurtosis: float, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Return how many returns it takes to be this sure that the true Sharpe ratio is above ``benchmark``.

    Infinite where the Sharpe ratio is not above the benchmark: no length makes up for that.
    """
    name = "min_track_record_length"
    _finite(name, sharpe=sharpe, benchmark=benchmark)
    if not 0.5 < confidence < 1.0:
        raise InputRefused(f"{name}: confidence {confidence} is not between 0.5 and 1; 0.95 is usual")
    spread = _spread(name, sharpe, skew, kurtosis)
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + spread * (_NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2


def _spread(name: str, sharpe: float, skew: float, kurtosis: float) -> float:
    """Return n - 1 times the variance of the estimated Sharpe ratio (Mertens, 2002)."""
    _finite(name, skew=skew, kurtosis=kurtosis)
    # The moments of every sample keep to this bound; moments that came from one may miss it by rounding.
    if kurtosis < (1.0 + skew**2) * (1.0 - 1e-9):
        raise InputRefused(
            f"{name}: kurtosis {kurtosis:g} is below 1 + skew² = {1.0 + skew**2:g}, which no distribution has; "
            "give the fourth standardised moment, 3 for a normal"
        )
    return max(0.0, 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2)


def _finite(name: str, **values: float) -> None:
    for what, value in values.items():
        if not math.isfinite(value):
            raise InputRefused(f"{name}: {what} is {value}; give a finite number")


def _at_least(name: str, what: str, value: float, bound: float) -> None:
    if not (math.isfinite(value) and value >= bound):
        raise InputRefused(f"{name}: {what} is {value}; it must be a number of at least {bound:g}")
