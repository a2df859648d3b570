"""Worked by hand, and against the figures of empyrical's own test suite."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.backtest import stats
from workbench.backtest.kernel import statistics
from workbench.backtest.kernel.account import Series
from workbench.errors import DataRefused, InputRefused

RETURNS = pd.Series([0.10, -0.05, 0.02, -0.01, 0.04])


def test_sharpe_by_hand():
    # mean 0.02, deviations 0.08 -0.07 0 -0.03 0.02: squares sum 0.0126, over n-1 = 4 is 0.00315
    assert stats.sharpe(RETURNS) == pytest.approx(0.02 / math.sqrt(0.00315) * math.sqrt(252))


def test_sortino_by_hand():
    # squares below zero: 0.0025 + 0.0001 over all five
    assert stats.sortino(RETURNS) == pytest.approx(0.02 / math.sqrt(0.0026 / 5) * math.sqrt(252))


def test_omega_by_hand():
    assert stats.omega(RETURNS) == pytest.approx(0.16 / 0.06)
    # above 0.02: 0.08, 0.02; below: 0.07, 0.03
    assert stats.omega(RETURNS, threshold=0.02) == pytest.approx(0.10 / 0.10)


def test_growth_by_hand():
    final = 1.10 * 0.95 * 1.02 * 0.99 * 1.04
    assert stats.total_return(RETURNS) == pytest.approx(final - 1)
    assert stats.cagr(RETURNS, periods=5) == pytest.approx(final - 1)
    assert stats.cagr(RETURNS, periods=10) == pytest.approx(final**2 - 1)


def test_drawdown_counts_the_start_as_a_high():
    assert stats.max_drawdown([-0.10, 0.05]) == pytest.approx(-0.10)
    assert stats.max_drawdown(RETURNS) == pytest.approx(-0.05)
    # after the high of 1.10: 1.045, 1.0659, 1.0552, 1.0974
    assert stats.max_drawdown_length(RETURNS) == 4


def test_calmar_is_growth_over_drawdown():
    assert stats.calmar(RETURNS, periods=5) == pytest.approx((1.10 * 0.95 * 1.02 * 0.99 * 1.04 - 1) / 0.05)


def test_moments_by_hand():
    coin = [1.0, -1.0] * 10
    assert stats.skew(coin) == pytest.approx(0.0)
    assert stats.kurtosis(coin) == pytest.approx(1.0)


def test_alpha_and_beta_by_hand():
    market = pd.Series([0.01, -0.02, 0.03, 0.00])
    alpha, beta = stats.alpha_beta(0.001 + 1.5 * market, market)
    assert beta == pytest.approx(1.5)
    assert alpha == pytest.approx(0.001 * 252)


def test_a_benchmark_of_other_dates_is_refused():
    days = pd.date_range("2024-01-01", periods=5)
    own, other = RETURNS.set_axis(days), RETURNS.set_axis(days + pd.Timedelta(days=7))
    with pytest.raises(DataRefused, match="returns and the benchmark are of different dates; align them first"):
        stats.alpha_beta(own, other)
    with pytest.raises(DataRefused, match="returns have 5 rows, the benchmark 4; align them first"):
        stats.alpha_beta(own, other.iloc[1:])


def test_a_drawdown_of_unsorted_times_is_refused():
    backwards = RETURNS.set_axis(pd.date_range("2024-01-01", periods=5)[::-1])
    with pytest.raises(DataRefused, match=r"times are not sorted; call .sort_index\(\) first"):
        stats.max_drawdown(backwards)
    assert stats.max_drawdown(backwards.sort_index()) == pytest.approx(-0.05)


@pytest.mark.parametrize("function", [stats.sharpe, stats.sortino, stats.volatility, stats.cagr, stats.calmar])
@pytest.mark.parametrize("periods", [0, -252])
def test_a_year_without_periods_is_refused(function, periods):
    with pytest.raises(InputRefused, match=f"periods is {periods}; write how many returns a year has"):
        function(RETURNS, periods)


def test_trades_by_hand():
    assert stats.win_rate([5.0, -2.0, 3.0, -1.0]) == 0.5
    assert stats.profit_factor([5.0, -2.0, 3.0, -2.0]) == 2.0
    assert stats.profit_factor([5.0]) == math.inf


@pytest.mark.parametrize(
    "function",
    [
        stats.sharpe,
        stats.sortino,
        stats.omega,
        stats.cagr,
        stats.max_drawdown,
        stats.calmar,
        stats.volatility,
        stats.win_rate,
        stats.total_return,
    ],
)
def test_nothing_known_is_nan_and_never_zero(function):
    assert math.isnan(function(np.array([])))


def test_a_flat_line_has_an_infinite_sharpe():
    assert stats.sharpe([0.01] * 9) == math.inf
    assert math.isnan(stats.sharpe([0.0] * 9))


@pytest.mark.parametrize("value", [0.0001, -0.0001, 0.001, 0.0])
def test_a_flat_line_is_flat_whatever_rounding_leaves_of_it(value):
    prices = (1.0 + value) ** np.arange(2521.0)
    flat = prices[1:] / prices[:-1] - 1.0  # the value, give or take 1e-16
    assert (stats.sharpe(flat) == math.copysign(math.inf, value)) if value else math.isnan(stats.sharpe(flat))
    assert stats.volatility(flat) == 0.0
    assert math.isnan(stats.skew(flat))
    assert math.isnan(stats.kurtosis(flat))
    assert all(math.isnan(part) for part in stats.alpha_beta(np.linspace(-0.01, 0.01, 2520), flat))
    assert all(math.isnan(bound) for bound in stats.intervals(flat)["sharpe"])


def test_the_kernel_calls_the_same_line_flat():
    prices = 1.0001 ** np.arange(101.0)
    flat = prices[1:] / prices[:-1] - 1.0
    nothing = np.zeros(100)
    found = np.empty((1, len(statistics.MEASURED)))
    statistics.measure(Series(flat, *[nothing] * 6), np.array([[0, 100]]), 1e5, 252, found)
    assert found[0, statistics.MEASURED.index("sharpe")] == stats.sharpe(flat) == math.inf


def test_losing_everything_is_minus_one():
    assert stats.cagr([0.1, -1.0, 0.5]) == -1.0


def test_missing_returns_are_left_out_of_means():
    assert stats.sharpe([0.1, np.nan, -0.05, 0.02]) == stats.sharpe([0.1, -0.05, 0.02])


def test_the_figures_of_empyrical_to_the_digits_that_they_are_given_with(shared):
    # Not ours are cum_returns and simple_returns, a compounded series and a change of prices: pandas has both.
    cases = json.loads((shared / "peer" / "empyrical_expected.json").read_text())["cases"]
    checked = 0
    for case in cases:
        given_ = {name: _series(value) for name, value in case["inputs"].items()}
        expected = given_.pop("expected")
        if case["measure"] == "sharpe_ratio":
            found = stats.sharpe(given_["returns"], risk_free=given_["risk_free"])
        elif case["measure"] == "max_drawdown":
            found = stats.max_drawdown(given_["returns"])
        elif case["measure"] == "cum_returns_final":
            start = given_["starting_value"]
            found = stats.total_return(given_["returns"])
            found = found if start == 0 else (1 + found) * start
        else:
            assert case["measure"] in ("cum_returns", "simple_returns")
            continue
        told = math.nan if expected is None else expected
        assert found == pytest.approx(told, abs=_half_a_digit(expected), nan_ok=True), case["input_names"]
        checked += 1
    assert checked == 18


def _half_a_digit(expected: float | None) -> float:
    """Return half of the last digit that is given: some are written to five decimals, most to more than eight."""
    decimals = len(repr(float(expected)).partition(".")[2]) if expected is not None else 16
    return max(1e-8, 0.500001 * 10.0**-decimals) if decimals > 1 else 1e-8


def _series(value):
    if isinstance(value, dict):
        values = [math.nan if item is None else item for item in value["values"]]
        return pd.Series(values, index=pd.to_datetime(value["dates"]), dtype=float)
    return value


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    truth = 0.05 / 1.0 * math.sqrt(252)
    hits = 0
    for number in range(60):
        low, high = stats.intervals(random.normal(0.05, 1.0, 750), seed=number)["sharpe"]
        hits += low <= truth <= high
    assert 50 <= hits <= 60  # 95 % of 60 is 57; fewer than 50 has a chance below 0.1 %


def test_too_short_a_series_has_no_interval():
    assert all(math.isnan(bound) for bound in stats.bootstrap(np.ones(10), lambda d: d.mean(axis=1)))


def test_intervals_are_of_statistics_that_do_not_depend_on_the_order_of_returns():
    # One long fall in an otherwise steady climb: blocks of it come together again in few paths.
    returns = np.concatenate([np.tile([0.012, -0.008], 500), np.full(60, -0.01), np.tile([0.012, -0.008], 500)])
    found = stats.intervals(returns)
    assert list(found) == ["sharpe", "cagr", "volatility"]
    for name, measure in (("sharpe", stats.sharpe), ("cagr", stats.cagr), ("volatility", stats.volatility)):
        low, high = found[name]
        assert low < measure(returns) < high


def test_stationary_draws_keep_neighbours_together():
    rows = stats.stationary_draws(500, 50, mean_block=20, seed=0)
    follows = (rows[:, 1:] == (rows[:, :-1] + 1) % 500).mean()
    assert 0.93 < follows < 0.97  # 1 - 1/20, and the chance of hitting the neighbour anyway


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60))
def test_drawdown_is_between_minus_one_and_zero_and_bounds_the_final_loss(returns):
    worst = stats.max_drawdown(returns)
    assert -1.0 <= worst <= 0.0
    assert stats.total_return(returns) >= worst - 1e-9


def test_every_name_in_a_summary_has_a_definition():
    assert set(stats.summary(RETURNS, RETURNS)) <= set(stats.DEFINITIONS)
