"""What holding the market gives is taken off, by hand; what is no market is refused."""

import numpy as np
import pytest

from workbench.backtest.overfit import hedge
from workbench.errors import InputRefused

MARKET = np.array([0.01, -0.02, 0.03, 0.00])


def test_beta_times_the_market_is_taken_off():
    # 0.5 times the market, and a part that is unrelated to it: deviations of the market 0.005 -0.025 0.025 -0.005
    own = np.array([0.001, 0.001, 0.001, -0.003])
    # own less its mean of 0: with the deviations it is (5 - 25 + 25 + 15) e-6 = 2e-5, of 5 x 13 x 2 e-5 = 1.3e-3
    found = hedge(0.5 * MARKET + own, MARKET)
    beta = 0.5 + 2e-5 / 1.3e-3
    assert found.betas == pytest.approx([beta])
    assert found.returns == pytest.approx(0.5 * MARKET + own - beta * MARKET)


def test_the_market_alone_leaves_nothing():
    found = hedge(np.column_stack([MARKET, 3.0 * MARKET]), MARKET)
    assert found.betas == pytest.approx([1.0, 3.0])
    assert not found.returns.any()


@pytest.mark.parametrize("value", [0.0, 0.001, 0.0001, -0.01, 1e-12, 1e6])
def test_a_market_that_never_moves_is_refused_whatever_rounding_leaves_of_it(value):
    own = np.random.default_rng(0).normal(0.0, 0.01, (1000, 3))
    with pytest.raises(InputRefused, match="the benchmark never moves, so there is no market to take off"):
        hedge(own, np.full(1000, value))


def test_a_column_that_saw_the_market_stand_still_has_no_beta():
    market = np.concatenate([np.full(500, 0.0001), np.random.default_rng(1).normal(0.0, 0.01, 500)])
    own = np.random.default_rng(2).normal(0.0, 0.01, (1000, 2))
    own[500:, 1] = np.nan
    found = hedge(own, market)
    assert found.betas[1] == 0.0
    assert found.returns[:500, 1].tolist() == own[:500, 1].tolist()
    assert found.betas[0] != 0.0
