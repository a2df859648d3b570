"""What a tape knows of volatility, and when: costs of a day come from the days before it."""

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.engine import simulate, simulate_cells
from workbench.backtest.kernel.weights import sweep_returns
from workbench.backtest.tape import read_tape
from workbench.params import CostParams, PortfolioParams

COSTLY = CostParams(schedule="ib_fixed", impact=1.0)
HALF_MILLION = PortfolioParams(cash=500_000.0)


def busy_weights(bars, seed: int = 1) -> pd.DataFrame:
    values = np.random.default_rng(seed).uniform(-0.1, 0.15, (len(bars), len(bars.symbols)))
    return pd.DataFrame(values / 2.0, index=bars.index, columns=list(bars.symbols))


@pytest.mark.parametrize("rows", [4, 9, 12, 40, 200])
def test_costs_up_to_a_day_do_not_change_with_what_comes_after(walk, rows):
    weights, end = busy_weights(walk), walk.index[rows - 1]
    whole = simulate(weights, walk, HALF_MILLION, COSTLY)
    cut = simulate(weights.iloc[:rows], walk.until(end), HALF_MILLION, COSTLY)
    assert whole.costs["impact"].iloc[1:rows].gt(0.0).all()
    # what a day costs is settled in passes, to a billionth of the capital in all
    pd.testing.assert_frame_equal(cut.costs, whole.costs.iloc[:rows], rtol=1e-5)
    assert cut.returns.to_numpy() == pytest.approx(whole.returns.iloc[:rows].to_numpy(), abs=1e-8)


def test_volatility_is_taken_from_the_bars_before_the_first_weight(walk):
    weights = busy_weights(walk).iloc[100:]
    later = simulate(weights, walk, HALF_MILLION, COSTLY)
    cells = simulate_cells([weights], walk, HALF_MILLION, COSTLY)[0]
    assert cells.to_numpy() == pytest.approx(later.returns.to_numpy(), abs=1e-6)
    # the day after ten returns each symbol is known by its own, and a run that begins later knows it from its first day
    whole = read_tape(walk, HALF_MILLION).daily_volatility
    own = walk.close.iloc[37:100].pct_change(fill_method=None).std()  # 62 returns; the 63rd is that of row 37
    assert read_tape(walk.between(walk.index[100]), HALF_MILLION, walk).daily_volatility[0] == pytest.approx(whole[100])
    assert whole[100] == pytest.approx(own.to_numpy(), rel=0.05)


def test_before_ten_returns_a_symbol_is_taken_for_a_middling_one_or_a_middling_stock(bars_of):
    up = np.cumprod(np.where(np.arange(30) % 2, 1.01, 1 / 1.01))
    wild = np.cumprod(np.where(np.arange(30) % 2, 1.05, 1 / 1.05))
    late = np.where(np.arange(30) < 20, np.nan, 10.0 * wild)
    bars = bars_of(np.column_stack([100.0 * up, 50.0 * wild, late]))
    found = read_tape(bars, HALF_MILLION).daily_volatility
    assert (found[:11] == 0.02).all()  # nobody has ten returns yet
    # ±1 % in turn, and ±5 %: the third symbol came on day 20 and is in the middle of the two
    assert found[25, :2] == pytest.approx([0.01, 0.05], rel=0.06)
    assert found[25, 2] == pytest.approx(found[25, :2].mean())


def test_the_kernel_pays_the_same_impact_on_the_first_days(walk):
    weights = busy_weights(walk)
    kernel = sweep_returns([weights], walk, HALF_MILLION, COSTLY)
    simulated = simulate(weights, walk, HALF_MILLION, COSTLY).returns
    assert kernel[0].iloc[:30].to_numpy() == pytest.approx(simulated.iloc[:30].to_numpy(), abs=1e-9)
