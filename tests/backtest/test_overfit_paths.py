"""Bootstrapped paths where the answer is known: constant returns, normal ones, blocks that are there to be found."""

import math

import numpy as np
import pytest

from workbench.backtest.overfit import block_length, monte_carlo
from workbench.errors import InputRefused


def test_constant_growth_has_one_path():
    found = monte_carlo(np.full(30, 0.01), draws=20)
    assert found.equity.loc[30].to_numpy() == pytest.approx([1.01**30] * 5)
    assert found.equity.index.tolist() == list(range(1, 31))
    assert found.max_drawdowns == pytest.approx(np.zeros(20))
    assert found.sharpes == pytest.approx(np.zeros(20))  # no risk
    assert found.probability_of_loss == 0.0


def test_a_first_loss_is_a_drawdown_from_the_start():
    found = monte_carlo(np.full(20, -0.1), draws=10, horizon=3)
    assert found.drawdown.loc[3, 0.5] == pytest.approx(0.9**3 - 1.0)
    assert found.max_drawdown() == pytest.approx(0.9**3 - 1.0)
    assert found.probability_of_loss == 1.0


def test_the_chance_of_a_loss_is_that_of_the_normal():
    # log returns with mean 0.0005 and deviation 0.01 exactly: after 250, z = 0.0005 × √250 / 0.01 = 0.790569 → 21.5 %
    log_returns = np.random.default_rng(4).normal(0.0, 1.0, 1000)
    log_returns = 0.0005 + 0.01 * (log_returns - log_returns.mean()) / log_returns.std()
    found = monte_carlo(np.expm1(log_returns), draws=4000, horizon=250, mean_block=1)
    assert found.probability_of_loss == pytest.approx(0.215, abs=0.025)
    # the median of the log of the final value: 250 × 0.0005
    assert math.log(found.equity.loc[250, 0.5]) == pytest.approx(0.125, abs=0.01)
    # and its 5 % quantile: 0.125 - 1.645 × 0.01 × √250 = -0.135
    assert math.log(found.equity.loc[250, 0.05]) == pytest.approx(-0.135, abs=0.02)
    # Sharpe ratio per period of simple returns: (0.0005 + 0.00005) / 0.01
    assert found.sharpes.mean() == pytest.approx(0.055, abs=0.006)


def test_bands_are_ordered_and_the_seed_decides():
    returns = np.random.default_rng(1).normal(0.0, 0.01, 300)
    one, same, other = (monte_carlo(returns, draws=200, seed=seed) for seed in (1, 1, 2))
    assert one.equity.equals(same.equity)
    assert not one.equity.equals(other.equity)
    assert (np.diff(one.equity.to_numpy(), axis=1) >= 0).all()
    assert one.max_drawdown(0.99) <= one.max_drawdown(0.5) <= 0.0
    assert (one.max_drawdowns <= 0.0).all()


def test_paths_are_as_many_as_asked_for_when_memory_is_short(monkeypatch):
    monkeypatch.setattr("workbench.backtest.overfit.paths.AT_ONCE", 3000)
    found = monte_carlo(np.random.default_rng(1).normal(0.0, 0.01, 300), draws=25, horizon=1000)
    assert len(found.finals) == 25
    assert len(set(found.finals.tolist())) == 25
    assert len(found.equity) == 1000


def test_blocks_follow_the_memory_of_the_returns():
    random = np.random.default_rng(2)
    quiet = random.normal(0.0, 0.01, 2000)
    assert block_length(quiet) < 5
    trend = np.zeros(2000)
    for row in range(1, 2000):
        trend[row] = 0.9 * trend[row - 1] + quiet[row]
    assert block_length(trend) > 15
    # no trend, but calm years and wild ones
    wild = quiet * np.repeat(random.choice([0.3, 2.0], 20), 100)
    assert block_length(wild) > 15
    assert block_length(np.full(50, 0.01)) == 1.0


def test_rounding_has_no_memory():
    steady = np.diff(1.0001 ** np.arange(1001.0)) / 1.0001 ** np.arange(1000.0)  # 0.0001, give or take 1e-16
    assert steady.std() > 0.0
    assert block_length(steady) == 1.0
    found = monte_carlo(steady, draws=20)
    assert found.sharpes.tolist() == [0.0] * 20


def test_longer_blocks_keep_runs_of_losses_together():
    returns = np.concatenate([np.full(100, 0.01), np.full(50, -0.02)] * 4)
    apart = monte_carlo(returns, draws=300, mean_block=1).max_drawdown(0.5)
    together = monte_carlo(returns, draws=300, mean_block=100).max_drawdown(0.5)
    assert together < apart - 0.1


@pytest.mark.parametrize(
    ("returns", "changes", "words"),
    [
        (np.zeros(10), {}, "10 returns are too few; give at least 20"),
        (np.full(30, 0.01), {"draws": 1}, "draws is 1"),
        (np.full(30, 0.01), {"horizon": 0}, "horizon is 0"),
        (np.full(30, 0.01), {"horizon": 20.0}, "horizon is 20.0; give a whole number"),
        (np.full(30, 0.01), {"mean_block": 0.5}, "mean_block is 0.5"),
        (np.full(30, -1.5), {}, "loses more than everything"),
        (np.array([np.nan] + [0.01] * 30), {}, "1 of 31 returns are missing"),
    ],
)
def test_monte_carlo_refuses_in_one_line(returns, changes, words):
    with pytest.raises(InputRefused) as refused:
        monte_carlo(returns, **changes)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_confidence_outside_of_0_and_1_is_refused():
    with pytest.raises(InputRefused, match="confidence 1"):
        monte_carlo(np.full(30, 0.01), draws=10).max_drawdown(1.0)
