"""The simulator against portfolios worked by hand, and against the figures that backtesting.py prints."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import engine
from workbench.backtest.engine import simulate, simulate_cells
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

FREE = CostParams(schedule="none", spread_bps=0, impact=0, borrow_bps_per_year=0)
EXACT = PortfolioParams(cash=1000.0, whole_shares=False)


def weights_like(bars: Bars, rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(np.array(rows, dtype=float), index=bars.index, columns=list(bars.symbols))


def test_a_weight_trades_at_the_next_open(bars_of):
    bars = bars_of([100.0, 100.0, 110.0, 121.0], open=[[100.0], [100.0], [105.0], [110.0]])
    simulation = simulate(weights_like(bars, [[0], [1], [1], [1]]), bars, EXACT, FREE)
    order = simulation.orders.iloc[0]
    # decided on the second close, bought at the third open
    assert (order["session"], order["price"]) == (bars.index[2], 105.0)
    assert simulation.equity.tolist() == pytest.approx([1000, 1000, 1000 * 110 / 105, 1000 * 121 / 105])


def test_a_fill_at_the_close_takes_the_close(bars_of):
    bars = bars_of([100.0, 100.0, 110.0, 121.0])
    at_close = PortfolioParams(cash=1000.0, whole_shares=False, fill="close")
    simulation = simulate(weights_like(bars, [[0], [1], [1], [1]]), bars, at_close, FREE)
    assert simulation.equity.iloc[-1] == pytest.approx(1100.0)


def test_more_lag_trades_later(bars_of):
    bars = bars_of([100.0, 100.0, 110.0, 121.0, 133.1])
    late = PortfolioParams(cash=1000.0, whole_shares=False, lag_bars=2, fill="close")
    simulation = simulate(weights_like(bars, [[0], [1], [1], [1], [1]]), bars, late, FREE)
    assert simulation.orders.iloc[0]["session"] == bars.index[3]


def test_cash_is_shared_between_symbols(bars_of):
    bars = bars_of([[100, 50], [100, 50], [110, 50], [110, 60]])
    simulation = simulate(weights_like(bars, [[0.5, 0.5]] * 4), bars, EXACT, FREE)
    # 500 each at the second bar's open: 5 and 10 shares
    assert simulation.equity.iloc[-1] == pytest.approx(5 * 110 + 10 * 60)


def test_an_unchanged_weight_is_not_traded_again_unless_asked(bars_of):
    bars = bars_of([[100, 50], [100, 50], [110, 50], [121, 60], [133, 60]])
    weights = weights_like(bars, [[0.5, 0.5]] * 5)
    assert len(simulate(weights, bars, EXACT, FREE).orders) == 2
    daily = PortfolioParams(cash=1000.0, whole_shares=False, rebalance="every_bar")
    assert len(simulate(weights, bars, daily, FREE).orders) > 2


def test_costs_by_hand(bars_of):
    bars = bars_of([100.0, 100.0, 100.0, 100.0], open=[[100.0]] * 4)
    costs = CostParams(schedule="ib_fixed", spread_bps=20, impact=0, borrow_bps_per_year=0)
    account = PortfolioParams(cash=100_000.0)
    simulation = simulate(weights_like(bars, [[0.5], [0.5], [0], [0]]), bars, account, costs)
    buy, sell = simulation.orders.to_dict("records")
    assert buy["shares"] == 500
    assert buy["commission"] == pytest.approx(2.5)
    assert buy["spread"] == pytest.approx(50_000 * 0.001)
    assert sell["commission"] == pytest.approx(2.5 + 50_000 * 27.8e-6 + 500 * 0.000166, rel=1e-3)
    lost = 2 * 50 + buy["commission"] + sell["commission"]
    assert simulation.equity.iloc[-1] == pytest.approx(100_000 - lost)
    assert simulation.costs.to_numpy().sum() == pytest.approx(lost)


def test_impact_grows_with_the_share_of_the_volume(bars_of):
    random = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, 60)))
    thin = bars_of(close, volume=np.full((60, 1), 2e3))
    thick = bars_of(close, volume=np.full((60, 1), 2e7))
    costs = CostParams(schedule="none", spread_bps=0, impact=1.0, borrow_bps_per_year=0)
    rows = [[0.0]] * 30 + [[1.0]] * 30
    small = simulate(weights_like(thick, rows), thick, PortfolioParams(), costs)
    large = simulate(weights_like(thin, rows), thin, PortfolioParams(), costs)
    assert large.orders["participation"].iloc[0] > 1.0
    assert large.costs["impact"].sum() > 50 * small.costs["impact"].sum() > 0


def test_borrow_is_charged_on_shorts_only(bars_of):
    bars = bars_of([100.0] * 253, open=[[100.0]] * 253)
    costs = CostParams(schedule="none", spread_bps=0, impact=0, borrow_bps_per_year=100)
    short = simulate(weights_like(bars, [[-0.5]] * 253), bars, EXACT, costs)
    long = simulate(weights_like(bars, [[0.5]] * 253), bars, EXACT, costs)
    # 1 % a year on half the equity over the 251 sessions after the first full day short
    assert short.equity.iloc[-1] == pytest.approx(1000 * (1 - 0.005 / 252) ** 251)
    assert long.equity.iloc[-1] == 1000.0


def test_whole_shares_are_counted_as_traded(bars_of):
    # adjusted prices are half of those on the tape: 1000 buys 9 shares of 105, that is 18 adjusted ones of 52.5
    bars = bars_of([52.5] * 4, open=[[52.5]] * 4, traded_close=[[105.0]] * 4)
    simulation = simulate(weights_like(bars, [[1]] * 4), bars, PortfolioParams(cash=1000.0), FREE)
    order = simulation.orders.iloc[0]
    assert (order["shares"], order["price"]) == (9, 105.0)


def test_a_halted_order_waits_for_the_next_price(bars_of):
    bars = bars_of([100.0, 100.0, np.nan, 100.0, 110.0])
    simulation = simulate(weights_like(bars, [[0], [1], [1], [1], [1]]), bars, EXACT, FREE)
    assert simulation.orders["session"].tolist() == [bars.index[3]]


def test_a_delisted_holding_is_paid_out_at_its_last_close(bars_of):
    bars = bars_of([[100, 10], [100, 10], [120, 10], [np.nan, 10], [np.nan, 10]])
    simulation = simulate(weights_like(bars, [[1, 0]] * 5), bars, EXACT, FREE)
    assert simulation.equity.iloc[-1] == pytest.approx(1200.0)
    assert simulation.positions.iloc[-1].tolist() == [0.0, 0.0]
    assert not simulation.trades["open"].any()


def test_long_and_short_share_the_account(bars_of):
    bars = bars_of([[100, 100], [100, 100], [110, 90], [110, 90]])
    simulation = simulate(weights_like(bars, [[1.0, -1.0]] * 4), bars, EXACT, FREE)
    assert simulation.equity.iloc[-1] == pytest.approx(1000 + 100 + 100)


@pytest.mark.parametrize("costs", [CostParams(), CostParams(schedule="ib_tiered"), CostParams(schedule="proportional")])
def test_every_cent_is_accounted_for(walk, costs):
    """With costs the final equity equals the gains of what was held, less what the orders cost."""
    random = np.random.default_rng(5)
    signs = np.repeat(random.choice([-0.06, 0.0, 0.08], (60, 12)), 10, axis=0)
    weights = pd.DataFrame(signs, index=walk.index, columns=list(walk.symbols))
    simulation = simulate(
        weights, walk, PortfolioParams(whole_shares=False), costs.model_copy(update={"borrow_bps_per_year": 0.0})
    )
    orders = simulation.orders
    signed = np.where(orders["side"] == "buy", 1.0, -1.0) * orders["value"]
    spent = signed.sum() + orders[["commission", "spread", "impact"]].to_numpy().sum()
    held = (simulation.positions.iloc[-1] * simulation.equity.iloc[-1]).sum()
    assert simulation.equity.iloc[-1] == pytest.approx(1_000_000 - spent + held, rel=1e-9)
    # the commissions charged are those of the orders as they were finally traded
    from workbench.commissions import Fills, commission

    months = (orders["session"].dt.year * 12 + orders["session"].dt.month).to_numpy()
    sold = (orders["side"] == "sell").to_numpy()
    slipped = (orders["spread"] + orders["impact"]).to_numpy()
    paid = orders["value"].to_numpy() + np.where(sold, -slipped, slipped)
    fills = Fills(orders["shares"].to_numpy(), paid, sold, months)
    assert orders["commission"].to_numpy() == pytest.approx(commission(costs)(fills), rel=1e-6, abs=1e-6)


def test_cells_give_the_returns_of_single_simulations(walk):
    random = np.random.default_rng(6)
    cells = [
        pd.DataFrame(
            np.repeat(random.uniform(-0.05, 0.08, (30, 12)), 20, axis=0), index=walk.index, columns=list(walk.symbols)
        )
        for _ in range(3)
    ]
    together = simulate_cells(cells, walk, PortfolioParams(), CostParams())
    for number, cell in enumerate(cells):
        alone = simulate(cell, walk, PortfolioParams(), CostParams()).returns
        # cells are only ranked, so they are settled to a tenth of a basis point of the capital
        assert together[number].to_numpy() == pytest.approx(alone.to_numpy(), abs=1e-5)


def test_costs_that_do_not_settle_are_told(bars_of, monkeypatch):
    bars = bars_of([100.0] * 5)
    weights = weights_like(bars, [[0.0], [0.5], [0.5], [0.5], [0.5]])
    portfolio, costs = PortfolioParams(cash=100_000.0), CostParams(spread_bps=0, impact=0)
    assert simulate(weights, bars, portfolio, costs).unsettled == 0.0
    monkeypatch.setattr(engine, "MAX_PASSES", 1)
    # 500 shares cost 2.5 at 0.005 a share, and the one pass that there was charged nothing
    assert simulate(weights, bars, portfolio, costs).unsettled == pytest.approx(2.5 / 100_000)


def test_everything_derived_says_sample(walk):
    weights = pd.DataFrame(0.01, index=walk.index, columns=list(walk.symbols))
    assert simulate(weights, walk, PortfolioParams(), CostParams()).market == "sample"


def test_weights_that_need_a_loan_are_refused(bars_of):
    bars = bars_of([[1.0, 1.0]] * 3)
    with pytest.raises(DataRefused, match=r"weights of 2020-01-02 add up to 1.400; more than all cash"):
        simulate(weights_like(bars, [[0.7, 0.7]] * 3), bars, EXACT, FREE)


def test_missing_or_misaligned_weights_are_refused(bars_of):
    bars = bars_of([[1.0, 1.0]] * 3)
    with pytest.raises(DataRefused, match=r"weight of AAA01 on 2020-01-03 is nan"):
        simulate(weights_like(bars, [[0, 0], [0, np.nan], [0, 0]]), bars, EXACT, FREE)
    with pytest.raises(DataRefused, match="compute the weights on the same bars"):
        simulate(weights_like(bars, [[0, 0]] * 3).iloc[[0, 2]], bars, EXACT, FREE)
    with pytest.raises(InputRefused, match="weights are empty"):
        simulate(weights_like(bars, [[0, 0]] * 3).iloc[:0], bars, EXACT, FREE)


def test_the_sma_cross_of_backtesting_py_on_goog(shared: Path):
    """The README figures of backtesting.py, reproduced; two conventions differ and are spelled out.

    * It charges the commission once a round trip, inside the entry price; here every order pays. A reversal trades
      twice the shares, so 10 basis points an order cost what its 20 a round trip do, but for the very first entry.
    * It sizes an order by the close of the bar that it fills on, which nobody knows at the open; here by the open.
    So trades agree to the day and the price, and the final equity to 0.2 %.
    """
    expected = json.loads((shared / "peer" / "backtestingpy_GOOG_smacross_expected.json").read_text())["expected"]
    table = pd.read_csv(shared / "peer" / "backtestingpy_GOOG.csv", index_col=0, parse_dates=True).rename(
        columns=str.lower
    )
    table.index = pd.DatetimeIndex(table.index, name=None)

    def frame(name: str) -> pd.DataFrame:
        return table[[name]].astype(float).set_axis(["GOOG"], axis=1)

    bars = Bars(*(frame(name) for name in ("open", "high", "low", "close", "volume", "close")))
    fast, slow = (bars.close["GOOG"].rolling(n).mean() for n in (10, 20))
    above = fast > slow
    crossed = (above != above.shift(1)) & slow.shift(1).notna()
    side = pd.Series(np.where(above, 1.0, -1.0), index=bars.index).where(crossed).ffill().fillna(0.0)
    costs = CostParams(schedule="proportional", proportional_bps=10, spread_bps=0, impact=0, borrow_bps_per_year=0)
    simulation = simulate(side.to_frame("GOOG"), bars, PortfolioParams(cash=10_000.0), costs)

    closed = simulation.trades[~simulation.trades["open"]]
    assert len(closed) == int(expected["# Trades"]) == 93
    assert (closed["pnl"] > 0).mean() * 100 == pytest.approx(float(expected["Win Rate [%]"]), abs=0.01)
    assert simulation.equity.iloc[-1] == pytest.approx(float(expected["Equity Final [$]"]), rel=0.002)
    assert simulation.drawdown.min() * 100 == pytest.approx(float(expected["Max. Drawdown [%]"]), abs=0.05)
    assert closed["return"].max() * 100 == pytest.approx(float(expected["Best Trade [%]"]), abs=0.15)
    assert closed["return"].min() * 100 == pytest.approx(float(expected["Worst Trade [%]"]), abs=0.15)
    held = [(trade.exit - trade.entry).days for trade in closed.itertuples()]
    assert f"{max(held)} days" in expected["Max. Trade Duration"]
    # every fill is at the open after the crossing
    crossings = bars.index[np.flatnonzero(crossed) + 1]
    assert simulation.orders["session"].tolist() == list(crossings)
    assert simulation.orders["price"].tolist() == pytest.approx(bars.open["GOOG"].loc[crossings].tolist())
