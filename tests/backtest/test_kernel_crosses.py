"""Sweeps of crossings against vectorbt's signals and the simulator, and against holdings worked by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.backtest import engine, stats, walkforward
from workbench.backtest.kernel.crosses import sweep_crosses, sweep_sma_crosses
from workbench.backtest.kernel.lines import moving_averages
from workbench.backtest.tape import fill_prices
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

FREE = CostParams(schedule="none", spread_bps=0, impact=0)
AT_CLOSE = PortfolioParams(fill="close", whole_shares=False)
FIVE_BP = CostParams(schedule="proportional", proportional_bps=5, spread_bps=0, impact=0)


def random_bars(bars_of, random: np.random.Generator, rows: int) -> Bars:
    """Return prices in cents (averages of them are often equal) with gaps, halts, late listings and delistings."""
    close = np.round(20 * np.exp(np.cumsum(random.normal(0, 0.02, (rows, 4)), axis=0)), 2)
    close[random.random(close.shape) < 0.02] = np.nan
    at = int(random.integers(20, rows - 20))
    close[at:, 1] = np.nan
    close[:at, 2] = np.nan
    close[at : at + 9, 3] = np.nan
    opened = np.round(close * np.exp(random.normal(0, 0.01, close.shape)), 2)
    return bars_of(close, open=opened, high=np.fmax(opened, close), low=np.fmin(opened, close))


def by_signals(held: list[pd.DataFrame], bars: Bars, account: PortfolioParams, costs: CostParams, window: slice) -> Any:
    """Return vectorbt's portfolio of signals inside a window, each symbol of each frame an account of its own."""
    import vectorbt as vbt

    price, last_row = fill_prices(bars, account)
    count = len(held)
    above = np.hstack([frame.to_numpy() for frame in held])[window]
    lagged = np.zeros_like(above)
    lagged[account.lag_bars :] = above[: len(above) - account.lag_bars]
    gone = np.arange(len(bars))[window, None] >= np.tile(np.where(last_row < 0, len(bars), last_row), count)
    return vbt.Portfolio.from_signals(
        np.tile(bars.close.ffill().to_numpy()[window], count),
        entries=lagged & ~gone,
        exits=~lagged | gone,
        price=np.tile(price[window], count),
        fees=costs.proportional_bps / 1e4 if costs.schedule == "proportional" else 0.0,
        slippage=costs.spread_bps / 2e4,
        init_cash=account.cash,
        freq="1D",
    )


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32 - 1),
    lag=st.integers(0, 3),
    fill=st.sampled_from(["open", "close"]),
    schedule=st.sampled_from(["none", "proportional"]),
    spread=st.sampled_from([0.0, 10.0]),
    cuts=st.lists(st.integers(0, 200), min_size=2, max_size=6, unique=True),
)
def test_any_crossings_give_what_vectorbt_gives(bars_of, seed, lag, fill, schedule, spread, cuts):
    random = np.random.default_rng(seed)
    rows = int(random.integers(200, 300))
    bars = random_bars(bars_of, random, rows)
    account = PortfolioParams(fill=fill, lag_bars=max(lag, fill == "open"), whole_shares=False)
    costs = CostParams(schedule=schedule, proportional_bps=20, spread_bps=spread, impact=0)
    windows = [slice(a, b) for a, b in zip(sorted(cuts), sorted(cuts)[1:], strict=False)] + [slice(0, rows)]
    pairs = [(1, 2), (2, 5), (5, 20), (20, 5)]
    sweep = sweep_sma_crosses(pairs, bars, account, costs, windows)
    close, half = bars.last_close(), costs.spread_bps / 2e4
    held = [close.rolling(fast).mean() > close.rolling(slow).mean() for fast, slow in pairs]
    for number, window in enumerate(windows):
        made = by_signals(held, bars, account, costs, window)
        returns, value, orders = made.returns().to_numpy(), made.value().to_numpy(), made.orders.values
        length = window.stop - window.start
        for column, (cell, symbol) in enumerate(np.ndindex(len(pairs), 4)):
            own, filled = returns[:, column], orders[orders["col"] == column]
            buys = filled["side"] == 0
            traded = filled["size"] * filled["price"] / np.where(buys, 1 + half, 1 - half)
            per_year = value[:, column].mean() * length / 252
            expected = {
                "total_return": stats.total_return(own),
                "max_drawdown": stats.max_drawdown(own),
                "turnover": traded.sum() / per_year,
                "cost_per_year": (filled["fees"] + traded * half).sum() / per_year,
                "trades": (~buys).sum(),
            }
            # A few cents lost to rounding in vectorbt's account are no deviation to divide by.
            if length > 1 and (own.std() > 1e-12 or not own.any()):
                expected["sharpe"] = stats.sharpe(own)
            for name, right in expected.items():
                found = sweep[name][number, cell, symbol]
                assert found == pytest.approx(right, rel=1e-9, abs=1e-10, nan_ok=True), (name, window, pairs[cell])


def test_a_symbol_gives_what_the_simulator_gives_for_it_alone(walk):
    account = PortfolioParams(whole_shares=False)
    costs = CostParams(schedule="proportional", spread_bps=4, impact=0)
    sweep = sweep_sma_crosses([(5, 30)], walk, account, costs)
    close = walk.last_close()
    above = close.rolling(5).mean() > close.rolling(30).mean()
    for number, symbol in enumerate(walk.symbols):
        simulation = engine.simulate(above[[symbol]].astype(float), walk, account, costs)
        found = walkforward.statistics(simulation, simulation.returns * 0.0)
        for name in ("total_return", "sharpe", "max_drawdown", "turnover", "cost_per_year", "trades"):
            assert sweep[name][0, 0, number] == pytest.approx(found[name], rel=1e-9), name


def test_averages_equal_those_of_pandas_to_the_last_bit():
    random = np.random.default_rng(8)
    lengths = np.array([1, 2, 5, 20, 50])
    for kind in ("cents", "gaps", "constant"):
        values = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.01, 600))), 2)
        if kind == "gaps":
            values[random.random(600) < 0.05] = np.nan
        if kind == "constant":
            values[:30], values[100:300] = np.nan, 33.33
        lines = np.empty((len(lengths), 600))
        moving_averages(values, lengths, lines)
        for line, length in zip(lines, lengths, strict=True):
            assert np.array_equal(line, pd.Series(values).rolling(length).mean().to_numpy(), equal_nan=True)


def test_a_holding_worked_by_hand(bars_of):
    bars = bars_of([100.0, 110.0, 100.0, 90.0, 120.0, 60.0])
    price, line = bars.close, bars.close * 0 + 95.0
    # above 95 at 100, 110, 100 and at 120: bought at 110, sold at 120, bought at 60
    sweep = sweep_crosses([price, line], [(0, 1), (1, 0)], bars, AT_CLOSE, FIVE_BP, [slice(0, 6), slice(1, 4)])
    fee = 1 / 1.0005, 1 - 0.0005
    sold = 120 / 110 * fee[0] * fee[1]
    assert sweep["total_return"][0, 0, 0] == pytest.approx(sold * fee[0] - 1)
    # the fee has already been lost when the fall to 90 is measured: the start capital counts as a high
    assert sweep["max_drawdown"][0, 0, 0] == pytest.approx(90 / 110 * fee[0] - 1)
    assert sweep["trades"][:, 0, 0].tolist() == [1, 0]
    # the second window buys at 100 and sees 90
    assert sweep["total_return"][1, 0, 0] == pytest.approx(0.9 * fee[0] - 1)
    assert sweep["max_drawdown"][1, 0, 0] == pytest.approx(0.9 * fee[0] - 1)
    # below 95 only at 90 and at 60: bought at 120, sold at 60
    assert sweep["total_return"][0, 1, 0] == pytest.approx(60 / 120 * fee[0] * fee[1] - 1)


def test_an_order_that_waits_is_forgotten_when_the_lines_cross_back(bars_of):
    bars = bars_of([100.0, 100.0, np.nan, np.nan, 100.0, 150.0])
    line = bars.close * 0 + 50.0
    above = pd.DataFrame([[0.0], [99.0], [0.0], [0.0], [0.0], [0.0]], index=bars.index, columns=list(bars.symbols))
    stays = above.replace(0.0, 99.0)
    found = sweep_crosses([line.ffill(), above, stays], [(1, 0), (2, 0)], bars, AT_CLOSE, FREE)
    assert found["total_return"][0, 0, 0] == 0.0
    assert found["turnover"][0, 0, 0] == 0.0
    # bought at the first bar after its decision, a missing bar sells nothing
    assert found["total_return"][0, 1, 0] == pytest.approx(0.5)


def test_a_delisted_holding_is_paid_out(bars_of):
    bars = bars_of([[100, 10], [100, 10], [120, 10], [np.nan, 10], [np.nan, 10]])
    ones, zeros = bars.close.ffill(), bars.close.ffill() * 0
    found = sweep_crosses([ones, zeros], [(0, 1)], bars, AT_CLOSE, FREE)
    assert found["total_return"][0, 0].tolist() == pytest.approx([0.2, 0.0])
    assert found["trades"][0, 0].tolist() == [1, 0]


def test_symbols_are_pooled_where_they_have_a_value(walk):
    sweep = sweep_sma_crosses([(5, 590), (5, 20)], walk, AT_CLOSE, FIVE_BP, [slice(0, 300), slice(300, 600)])
    # no average over 590 bars is known before row 589: nothing trades, nothing has a Sharpe ratio
    assert np.isnan(sweep.pooled("sharpe")[0, 0])
    assert sweep.best().tolist()[0] == 1
    assert sweep.pooled("total_return")[1, 1] == pytest.approx(sweep["total_return"][1, 1].mean())
    table = sweep.table([{"fast": 5, "slow": 590}, {"fast": 5, "slow": 20}])
    assert len(table) == 2 * 2 * 12
    assert table.loc[13, ["window", "slow", "symbol"]].tolist() == [0, 20, "TEC01"]
    assert table.loc[13, "sharpe"] == sweep["sharpe"][0, 1, 1]


def test_one_worker_and_many_find_the_same(walk):
    one = sweep_sma_crosses([(3, 9), (5, 20)], walk, AT_CLOSE, FIVE_BP, workers=1)
    many = sweep_sma_crosses([(3, 9), (5, 20)], walk, AT_CLOSE, FIVE_BP, workers=3)
    assert all(np.array_equal(one[name], many[name], equal_nan=True) for name in one.statistics)


def test_what_cannot_be_swept_is_refused(walk):
    with pytest.raises(InputRefused, match=r"costs.schedule is ib_fixed; a sweep of crossings needs proportional or"):
        sweep_sma_crosses([(5, 20)], walk, AT_CLOSE, CostParams(impact=0))
    with pytest.raises(InputRefused, match=r"costs.impact is 0.1; a sweep of crossings needs 0"):
        sweep_sma_crosses([(5, 20)], walk, AT_CLOSE, CostParams(schedule="none"))
    with pytest.raises(InputRefused, match=r"portfolio.whole_shares is True; .* needs false"):
        sweep_sma_crosses([(5, 20)], walk, PortfolioParams(), FREE)
    with pytest.raises(InputRefused, match="no pairs"):
        sweep_sma_crosses([], walk, AT_CLOSE, FREE)
    with pytest.raises(InputRefused, match="a moving average over 0 bars"):
        sweep_sma_crosses([(0, 20)], walk, AT_CLOSE, FREE)
    with pytest.raises(InputRefused, match=r"pair \(0, 2\) of 2 lines; their numbers are 0 to 1"):
        sweep_crosses([walk.close, walk.open], [(0, 2)], walk, AT_CLOSE, FREE)
    with pytest.raises(DataRefused, match="line 1 has other rows or symbols than the bars"):
        sweep_crosses([walk.close, walk.open.iloc[1:]], [(0, 1)], walk, AT_CLOSE, FREE)
