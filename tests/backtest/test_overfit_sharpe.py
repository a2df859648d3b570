"""The closed forms against the papers' own examples, the arithmetic written out, and against simulation."""

import math

import numpy as np
import pytest

from workbench.backtest.overfit import (
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe,
)
from workbench.errors import InputRefused


def test_the_deflated_sharpe_of_the_paper_by_hand():
    """Bailey and López de Prado (2014): annual Sharpe 2.5 of 1,250 days, skew -3, kurtosis 10, variance 1/2 of 100."""
    # quantiles of the normal: 1 - 1/100 → 2.326348, 1 - 1/(100 e) → 2.680210
    # 0.4227843 × 2.326348 + 0.5772157 × 2.680210 = 0.983543 + 1.547059 = 2.530602
    assert expected_max_sharpe(100) == pytest.approx(2.530602, abs=2e-6)
    # per day: √(0.5 / 250) = 0.04472136, × 2.530602 = 0.113172 (the paper: 0.1132); 2.5 / √250 = 0.158114
    # (0.158114 - 0.113172) × √1249 = 1.588304
    # √(1 + 3 × 0.158114 + 9/4 × 0.025) = √1.530592 = 1.237171; 1.588304 / 1.237171 = 1.283819 → 0.9004
    found = deflated_sharpe(2.5 / math.sqrt(250), 1250, -3.0, 10.0, trials=100, trial_variance=0.5 / 250)
    assert found == pytest.approx(0.9004, abs=5e-5)


@pytest.mark.parametrize(("trials", "skew", "kurtosis"), [(46, -3.0, 10.0), (88, 0.0, 3.0)])
def test_the_paper_s_limits_of_trials_leave_95_per_cent(trials, skew, kurtosis):
    """The same paper: 46 trials were still significant, with normal returns 88."""
    found = deflated_sharpe(2.5 / math.sqrt(250), 1250, skew, kurtosis, trials=trials, trial_variance=0.5 / 250)
    assert found == pytest.approx(0.9505, abs=5e-5)


def test_the_probabilistic_sharpe_of_the_paper_by_hand():
    """Bailey and López de Prado (2012): 24 monthly returns with a Sharpe ratio of 0.458."""
    # normal: 0.458 × √23 = 2.196480; √(1 + 0.5 × 0.209764) = 1.051133; 2.089630 → 0.982
    assert probabilistic_sharpe(0.458, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    # as they were: √(1 + 2.448 × 0.458 + 9.164/4 × 0.209764) = √2.601753 = 1.612995; 1.361740 → 0.913
    assert probabilistic_sharpe(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(
    ("per_year", "skew", "kurtosis", "years"),
    [(250, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99)],
)
def test_the_minimum_track_records_of_the_paper(per_year, skew, kurtosis, years):
    """The same paper: years until an annual Sharpe ratio of 2 is above 1, daily, weekly, monthly, and not normal."""
    root = math.sqrt(per_year)
    found = min_track_record_length(2 / root, skew, kurtosis, benchmark=1 / root)
    assert found / per_year == pytest.approx(years, abs=5e-3)


def test_the_minimum_track_record_by_hand():
    # 1 + (1 + 0.5 × 0.01) × (1.644854 / 0.1)² = 1 + 1.005 × 270.5543 = 272.9071
    assert min_track_record_length(0.1, 0.0, 3.0) == pytest.approx(272.9071, abs=1e-3)


def test_at_the_minimum_track_record_the_probability_is_the_confidence():
    length = min_track_record_length(0.12, -0.8, 6.0, benchmark=0.03, confidence=0.99)
    assert probabilistic_sharpe(0.12, length, -0.8, 6.0, benchmark=0.03) == pytest.approx(0.99)


# Mean of the largest of n standard normals: Tippett's table (Biometrika, 1925), to five digits by Harter (1961).
LARGEST = {3: 0.84628, 5: 1.16296, 10: 1.53875, 20: 1.86748, 50: 2.24907, 100: 2.50759, 1000: 3.24144}


@pytest.mark.parametrize("trials", LARGEST)
def test_the_expected_maximum_is_within_3_per_cent_of_the_exact_one_and_never_below(trials):
    assert 1.0 <= expected_max_sharpe(trials) / LARGEST[trials] < 1.03


def test_one_trial_has_nothing_to_deflate():
    assert expected_max_sharpe(1) == 0.0
    alone = deflated_sharpe(0.1, 500, -0.5, 5.0, trials=1, trial_variance=0.01)
    assert alone == probabilistic_sharpe(0.1, 500, -0.5, 5.0)
    assert deflated_sharpe(0.1, 500, -0.5, 5.0, trials=50, trial_variance=0.0) == alone


def test_more_trials_are_never_less_luck():
    found = [expected_max_sharpe(trials) for trials in (1, 1.1, 1.5, 2, 3, 10, 1e3, 1e9, 1e300)]
    assert found == sorted(found)
    assert math.isfinite(found[-1])


def test_a_sharpe_at_its_benchmark_is_a_coin_toss_and_none_below_it_has_a_length():
    assert probabilistic_sharpe(0.1, 300, -1.0, 7.0, benchmark=0.1) == pytest.approx(0.5)
    assert min_track_record_length(0.05, 0.0, 3.0, benchmark=0.05) == math.inf
    assert min_track_record_length(-0.05, 0.0, 3.0) == math.inf


def test_a_distribution_at_the_bound_of_its_moments_still_has_an_answer():
    # two values, 1 - 2 × 1 + (2 - 1)/4 × 4 = 0: the estimate has no error left
    assert probabilistic_sharpe(2.0, 10, 1.0, 2.0) == 1.0
    assert probabilistic_sharpe(2.0, 10, 1.0, 2.0, benchmark=3.0) == 0.0
    assert probabilistic_sharpe(2.0, 10, 1.0, 2.0, benchmark=2.0) == 0.5


@pytest.mark.parametrize("skewed", [False, True])
def test_the_probability_is_right_about_as_often_as_it_says(skewed):
    """Of 4,000 histories with a true Sharpe ratio of 0.1, about 5 % claim with 95 % that it is above 0.1."""
    random = np.random.default_rng(5)
    noise = 1.0 - random.exponential(1.0, (4000, 400)) if skewed else random.normal(0.0, 1.0, (4000, 400))
    returns = 0.1 + noise
    found = []
    for row in returns:
        less = row - row.mean()
        spread = math.sqrt((less**2).mean())
        skew, kurtosis = (less**3).mean() / spread**3, (less**4).mean() / spread**4
        found.append(probabilistic_sharpe(row.mean() / row.std(ddof=1), 400, skew, kurtosis, benchmark=0.1))
    assert np.mean(np.array(found) > 0.95) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_the_best_of_many_worthless_trials_looks_good_until_it_is_deflated():
    random = np.random.default_rng(11)
    fooled = deflated = 0
    for _ in range(300):
        returns = random.normal(0.0, 0.01, (250, 40))
        sharpes = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
        best = float(sharpes.max())
        fooled += probabilistic_sharpe(best, 250, 0.0, 3.0) > 0.95
        deflated += deflated_sharpe(best, 250, 0.0, 3.0, 40, float(sharpes.var(ddof=1))) > 0.95
    assert fooled / 300 > 0.8  # of 40 draws the best passes a 5 % test with 1 - 0.95^40 = 87 %
    assert deflated / 300 < 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: expected_max_sharpe(0), "trials is 0; it must be a number of at least 1"),
        (lambda: expected_max_sharpe(math.nan), "trials is nan"),
        (lambda: probabilistic_sharpe(0.1, 1, 0.0, 3.0), "n is 1; it must be a number of at least 2"),
        (lambda: probabilistic_sharpe(0.1, 100, 2.0, 4.0), "kurtosis 4 is below 1 + skew² = 5"),
        (lambda: probabilistic_sharpe(0.1, 100, 0.0, 0.0), "3 for a normal"),
        (lambda: probabilistic_sharpe(math.nan, 100, 0.0, 3.0), "sharpe is nan"),
        (lambda: probabilistic_sharpe(0.1, 100, math.inf, 3.0), "skew is inf"),
        (lambda: deflated_sharpe(0.1, 100, 0.0, 3.0, 0, 0.1), "trials is 0"),
        (lambda: deflated_sharpe(0.1, 100, 0.0, 3.0, 10, -0.1), "trial_variance is -0.1"),
        (lambda: deflated_sharpe(0.1, 100, 0.0, 3.0, 10, math.nan), "trial_variance is nan"),
        (lambda: min_track_record_length(0.1, 0.0, 3.0, confidence=0.5), "confidence 0.5 is not between 0.5 and 1"),
        (lambda: min_track_record_length(0.1, 1.0, 1.5), "kurtosis 1.5 is below"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(call, words):
    with pytest.raises(InputRefused) as refused:
        call()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
