"""Exits in the simulation: by hand, against the kernel, and nothing else than before where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.engine import simulate
from workbench.backtest.kernel.weights import sweep_cells, sweep_returns, sweep_weights
from workbench.backtest.walkforward import walk_forward
from workbench.errors import InputRefused
from workbench.params import CostParams, PortfolioParams, Settings, SizingParams, StrategyParams, WalkForwardParams
from workbench.strategies.exits import Exits
from workbench.strategies.mean_reversion import MeanReversion

FREE = CostParams(schedule="none", spread_bps=0.0, impact=0.0, borrow_bps_per_year=0.0)
BRACKET = Exits(stop_atr=2.0, target_atr=3.0)
CASH = PortfolioParams(cash=100_000.0)


def weights_of(bars, rows):
    values = np.zeros((len(bars), len(bars.symbols)))
    for row, weight in rows.items():
        values[row:] = weight
    return pd.DataFrame(values, index=bars.index, columns=list(bars.symbols))


@pytest.fixture
def flat(bars_of):
    """Twenty-four sessions at 100 with a true range of 2, and a fall to 90 on the last but three."""
    close = np.full((24, 1), 100.0)
    high, low = close + 1.0, close - 1.0
    low[20] = 90.0
    return bars_of(close, ["AAA"], open=close, high=high, low=low)


def test_a_stop_by_hand(flat):
    found = simulate(weights_of(flat, {16: 0.5}), flat, CASH, FREE, BRACKET)
    buy, sell = found.orders.to_dict("records")
    assert (buy["session"], buy["side"], buy["shares"], buy["price"]) == (flat.index[17], "buy", 500.0, 100.0)
    assert (sell["session"], sell["side"], sell["shares"], sell["price"]) == (flat.index[20], "sell", 500.0, 96.0)
    assert found.equity.tolist() == [100_000.0] * 20 + [98_000.0] * 4
    (trade,) = found.trades.to_dict("records")
    assert (trade["entry"], trade["exit"], trade["sessions"]) == (flat.index[17], flat.index[20], 3)
    assert trade["pnl"] == pytest.approx(-2_000.0)
    assert not trade["open"]
    assert (found.positions["AAA"].iloc[[16, 17, 19, 20]].round(6) == [0.0, 0.5, 0.5, 0.0]).all()


def test_a_stop_pays_half_the_spread_and_its_commission(flat):
    costs = CostParams(schedule="ib_fixed", spread_bps=20.0, impact=0.0, borrow_bps_per_year=0.0)
    found = simulate(weights_of(flat, {16: 0.5}), flat, CASH, costs, Exits(stop_atr=2.0))
    sell = found.orders.iloc[1]
    assert sell["price"] == pytest.approx(96.0 * 0.999)
    assert sell["spread"] == pytest.approx(sell["shares"] * 96.0 * 0.001)
    assert sell["commission"] > 0.005 * sell["shares"]
    assert found.costs["spread"].iloc[20] == pytest.approx(sell["spread"])


def test_a_target_is_a_limit_and_is_paid_its_own_price(bars_of):
    close = np.full((24, 1), 100.0)
    high = close + 1.0
    high[20] = 110.0
    bars = bars_of(close, ["AAA"], open=close, high=high, low=close - 1.0)
    costs = CostParams(schedule="none", spread_bps=20.0, impact=0.0, borrow_bps_per_year=0.0)
    found = simulate(weights_of(bars, {16: 0.5}), bars, CASH, costs, BRACKET)
    assert found.orders["price"].iloc[1] == pytest.approx(106.0, abs=1e-9)


def test_a_day_trader_is_flat_every_night_and_pays_each_way(flat):
    found = simulate(weights_of(flat, {19: 0.5}), flat, CASH, FREE, Exits(minutes_before_close=15))
    assert found.orders["side"].tolist() == ["buy", "sell"] * 4
    assert (found.positions["AAA"] == 0.0).all()
    assert found.orders["session"].tolist() == [day for day in flat.index[20:] for _ in range(2)]


def test_the_longest_hold_by_hand(flat):
    found = simulate(weights_of(flat, {16: 0.5}), flat, CASH, FREE, Exits(max_hold_sessions=2))
    assert found.orders["session"].tolist() == [flat.index[17], flat.index[19]]


def test_levels_of_adjusted_prices_lie_on_the_tick_that_was_traded(flat):
    halved = replace(flat, traded_close=flat.close * 3.0)  # a split of three for one came later
    found = simulate(weights_of(halved, {16: 0.5}), halved, CASH, FREE, Exits(stop_atr=1.2345))
    # 300 - 1.2345 * 6 is 292.593 as it was traded, so 292.59
    assert found.orders["price"].iloc[1] == pytest.approx(292.59)
    assert found.orders["shares"].iloc[1] == 166.0


def test_exits_that_are_never_reached_change_nothing(walk):
    weights = MeanReversion(walk.symbols, sizing=SizingParams(max_net=0.5)).weights(walk)
    plain = simulate(weights, walk, CASH, CostParams())
    far = simulate(weights, walk, CASH, CostParams(), Exits(stop_atr=1e3, max_hold_sessions=10_000))
    columns = ["session", "symbol", "side", "shares"]
    held = weights.abs().sum(axis=1).gt(0).to_numpy().argmax()
    assert held > 14  # every ATR is known before anything is opened
    pd.testing.assert_frame_equal(far.orders[columns], plain.orders[columns])
    np.testing.assert_allclose(far.returns, plain.returns, rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(far.trades, plain.trades, rtol=1e-9)


@pytest.mark.parametrize("exits", [None, [None] * 600])
def test_no_exits_are_the_same_bits_as_before(walk, exits):
    weights = MeanReversion(walk.symbols, sizing=SizingParams(max_net=0.5)).weights(walk)
    plain = simulate(weights, walk, CASH, CostParams())
    again = simulate(weights, walk, CASH, CostParams(), exits)
    assert (again.returns.to_numpy() == plain.returns.to_numpy()).all()
    swept = sweep_returns([weights], walk, CASH, CostParams(), exits=[exits])
    assert (swept.to_numpy() == sweep_returns([weights], walk, CASH, CostParams()).to_numpy()).all()


@pytest.mark.parametrize("rebalance", ["on_change", "every_bar"])
@pytest.mark.parametrize(
    "exits",
    [BRACKET, Exits(stop_atr=1.0, max_hold_sessions=3), Exits(target_atr=0.5, minutes_before_close=10)],
    ids=["bracket", "stop and hold", "target and day"],
)
def test_the_kernel_trades_exits_as_the_simulator_does(walk, exits, rebalance):
    holed = walk.close.copy()
    holed.iloc[300:303, 0] = np.nan  # a halt, and a symbol that leaves
    holed.iloc[500:, 1] = np.nan
    gone = holed.isna()
    frames = {name: getattr(walk, name).mask(gone) for name in ("open", "high", "low", "close", "traded_close")}
    bars = replace(walk, **frames)
    weights = MeanReversion(bars.symbols, sizing=SizingParams(max_net=0.5)).weights(bars)
    portfolio = PortfolioParams(rebalance=rebalance)
    found = simulate(weights, bars, portfolio, CostParams(), exits)
    plain = simulate(weights, bars, portfolio, CostParams())
    assert abs(len(found.orders) - len(plain.orders)) > 50  # it does bite
    sweep, returns = sweep_cells([weights, weights], bars, portfolio, CostParams(), exits=[exits, None])
    np.testing.assert_allclose(returns[0], found.returns, rtol=0, atol=1e-9)
    np.testing.assert_allclose(returns[1], plain.returns, rtol=0, atol=1e-9)
    closed = float((~found.trades["open"]).sum())
    assert float(sweep["trades"][0, 0]) == closed
    assert float(sweep["borrow"][0, 0]) > 0 or exits.minutes_before_close
    again = sweep_weights([weights], bars, portfolio, CostParams(), exits=[exits])
    assert float(again["sharpe"][0, 0]) == float(sweep["sharpe"][0, 0])


@pytest.mark.parametrize("day", [200, 431, 598])
def test_later_bars_change_nothing_of_what_was_traded(walk, day):
    weights = MeanReversion(walk.symbols, sizing=SizingParams(max_net=0.5)).weights(walk)
    every = Exits(stop_atr=1.5, target_atr=2.0, max_hold_sessions=4)
    whole = simulate(weights, walk, CASH, FREE, every)
    cut = simulate(weights.iloc[:day], walk.until(walk.index[day - 1]), CASH, FREE, every)
    earlier = whole.orders[whole.orders["session"] < walk.index[day]]
    pd.testing.assert_frame_equal(earlier, cut.orders)
    np.testing.assert_array_equal(whole.returns.iloc[:day], cut.returns)


def test_exits_are_for_orders_at_the_open(flat):
    with pytest.raises(InputRefused, match="portfolio\\.fill is 'close'"):
        simulate(weights_of(flat, {16: 0.5}), flat, PortfolioParams(fill="close"), FREE, BRACKET)


def test_a_walk_forward_chooses_among_exits_and_trades_the_chosen_ones(walk):
    settings = Settings(
        data={"benchmark": walk.symbols[0]},
        walk_forward=WalkForwardParams(
            warm_up_sessions=100, train_sessions=150, test_sessions=60, purge_sessions=1, embargo_sessions=0
        ),
    )
    params = StrategyParams(
        question="Does a stop help what comes back?", params={"max_volatility": None},
        grid={"stop_atr": [None, 1.0], "max_hold_sessions": [2, 9]},
    )  # fmt: skip
    found = walk_forward("mean_reversion", params, walk, settings)
    assert len(found.cells) == 4
    assert {cell["max_hold_sessions"] for cell in found.folds["params"]} <= {2, 9}
    # The stitched curve is what was traded: its longest round trip keeps to the longest hold that was chosen.
    longest = max(cell["max_hold_sessions"] for cell in found.folds["params"])
    assert found.simulation.trades["sessions"].max() <= longest
    assert {cell["stop_atr"] for cell in found.folds["params"]} == {None, 1.0}
