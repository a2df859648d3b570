"""The kernel against the simulator on vectorbt, on markets drawn at random, and against accounts worked by hand."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from workbench import commissions as cost_model
from workbench.backtest import engine, walkforward
from workbench.backtest.kernel.weights import sweep_cells, sweep_returns, sweep_weights
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

FREE = CostParams(schedule="none", spread_bps=0, impact=0, borrow_bps_per_year=0)
EXACT = PortfolioParams(cash=1000.0, whole_shares=False)


def weights_like(bars: Bars, rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(np.array(rows, dtype=float), index=bars.index, columns=list(bars.symbols))


def random_bars(bars_of, random: np.random.Generator) -> Bars:
    """Return random walks with gaps, late listings, halts of weeks, delistings, splits and days without volume."""
    rows, symbols = int(random.integers(60, 260)), int(random.integers(1, 7))
    shape = (rows, symbols)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, shape), axis=0))
    if random.random() < 0.5:
        close = np.round(close, 2)
    close[random.random(shape) < random.choice([0.0, 0.03])] = np.nan
    for column in range(symbols):
        what = random.integers(0, 5)
        at = int(random.integers(2, rows - 12))
        if what == 0:
            close[at:, column] = np.nan
        elif what == 1:
            close[:at, column] = np.nan
        elif what == 2:
            close[at : at + 10, column] = np.nan
    opened = close * np.exp(random.normal(0, 0.01, shape))
    return bars_of(
        close,
        open=opened,
        high=np.fmax(opened, close),
        low=np.fmin(opened, close),
        volume=random.choice([0.0, 1e4, 1e6], shape),
        traded_close=close * random.choice([1.0, 2.0, 1.1], symbols),
    )


def random_weights(bars: Bars, random: np.random.Generator) -> pd.DataFrame:
    """Return weights that change every few bars: long, short and zero, some with all cash in use."""
    hold, symbols = int(random.integers(1, 12)), len(bars.symbols)
    shape = (len(bars) // hold + 1, symbols)
    weights = random.uniform(-0.6, 0.8, shape) * (random.random(shape) < 0.7)
    if random.random() < 0.5:
        weights = np.maximum(weights, 0.0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    weights /= np.maximum(np.abs(weights.sum(axis=1, keepdims=True)), 1.0)
    return weights_like(bars, np.repeat(weights, hold, axis=0)[: len(bars)])


CASES = {
    "seed": st.integers(0, 2**32 - 1),
    "account": st.builds(
        lambda fill, lag, **rest: PortfolioParams(fill=fill, lag_bars=max(lag, 1) if fill == "open" else lag, **rest),
        fill=st.sampled_from(["open", "close"]),
        lag=st.integers(0, 3),
        rebalance=st.sampled_from(["on_change", "every_bar"]),
        whole_shares=st.booleans(),
        cash=st.sampled_from([1e4, 1e6, 1e8]),
    ),
    "costs": st.builds(
        CostParams,
        schedule=st.sampled_from(["none", "proportional", "ib_fixed", "ib_tiered"]),
        spread_bps=st.sampled_from([0.0, 2.0, 30.0]),
        impact=st.sampled_from([0.0, 0.1, 1.0]),
        borrow_bps_per_year=st.sampled_from([0.0, 300.0]),
    ),
}
FIXTURES = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


def agrees_with_the_simulator(bars_of, monkeypatch, seed: int, account: PortfolioParams, costs: CostParams) -> None:
    random = np.random.default_rng(seed)
    bars = random_bars(bars_of, random)
    weights = random_weights(bars, random)
    passes = []
    with monkeypatch.context() as patch:
        # The simulator approaches costs pass by pass: here as near as numbers go.
        patch.setattr(engine, "SETTLED", 1e-14)
        patch.setattr(engine, "MAX_PASSES", 60)
        counted = engine._vectorbt
        patch.setattr(engine, "_vectorbt", lambda *args, **named: (passes.append(1), counted(*args, **named))[1])
        simulation = engine.simulate(weights, bars, account, costs)
    # Where the last cents decide over a share, its passes alternate for ever: there is nothing to compare with.
    assume(len(passes) < 60)
    returns = sweep_returns([weights], bars, account, costs)
    assert returns[0].to_numpy() == pytest.approx(simulation.returns.to_numpy(), rel=1e-9, abs=1e-9)
    sweep = sweep_weights([weights], bars, account, costs)
    expected = walkforward.statistics(simulation, pd.Series(0.0, index=bars.index))
    for name in ("total_return", "sharpe", "sortino", "calmar", "max_drawdown", "turnover", "cost_per_year", "trades"):
        assert sweep[name][0, 0] == pytest.approx(expected[name], rel=1e-9, abs=1e-9, nan_ok=True), name
    kinds = simulation.costs.sum() / simulation.equity.mean() / (len(bars) / 252)
    for kind in ("commission", "spread", "impact", "borrow"):
        assert sweep[kind][0, 0] == pytest.approx(kinds[kind], rel=1e-9, abs=1e-12), kind


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=FIXTURES)
@given(**CASES)
def test_any_weights_give_what_the_simulator_gives(bars_of, monkeypatch, seed, account, costs):
    agrees_with_the_simulator(bars_of, monkeypatch, seed, account, costs)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=1500, deadline=None, suppress_health_check=FIXTURES)
@given(**CASES)
def test_any_weights_give_what_the_simulator_gives_at_length(bars_of, monkeypatch, seed, account, costs):
    agrees_with_the_simulator(bars_of, monkeypatch, seed, account, costs)


def test_windows_are_slices_of_one_run(walk):
    random = np.random.default_rng(4)
    weights = random_weights(walk, random)
    windows = [slice(0, 250), slice(100, 350), slice(350, 600)]
    sweep = sweep_weights([weights, weights * 0.5], walk, PortfolioParams(), CostParams(), windows)
    returns = sweep_returns([weights, weights * 0.5], walk, PortfolioParams(), CostParams())
    for number, window in enumerate(windows):
        for cell in returns:
            inside = returns[cell].iloc[window]
            assert sweep["sharpe"][number, cell] == pytest.approx(walkforward.stats.sharpe(inside))
            assert sweep["max_drawdown"][number, cell] == pytest.approx(walkforward.stats.max_drawdown(inside))


def test_an_order_that_the_last_cents_decide_takes_the_smaller_size(bars_of):
    # 300 shares of 10 cost 3,000 and 1.50: two tenths of a cent too much. 299 cost 2,990 and 1.495. Charged 1.495,
    # 300 would be affordable again: the size that pays its own commission is 299.
    bars = bars_of([10.0] * 4, open=[[10.0]] * 4)
    costs = CostParams(schedule="ib_fixed", spread_bps=0, impact=0, borrow_bps_per_year=0)
    account = PortfolioParams(cash=3001.497)
    returns = sweep_returns([weights_like(bars, [[1.0]] * 4)], bars, account, costs)
    assert 3001.497 * (1 + returns[0]).prod() == pytest.approx(3001.497 - 1.495, abs=1e-9)


def test_a_cell_worked_by_hand(bars_of):
    bars = bars_of([100.0, 100.0, 110.0, 121.0], open=[[100.0], [100.0], [105.0], [110.0]])
    costs = CostParams(schedule="proportional", proportional_bps=100, spread_bps=0, impact=0)
    sweep = sweep_weights([weights_like(bars, [[0], [1], [1], [0]])], bars, EXACT, costs, [slice(0, 4), slice(2, 4)])
    # 1000 buy 1000 / 105 / 1.01 shares at the third open
    shares = 1000 / 105 / 1.01
    assert sweep["total_return"][0, 0] == pytest.approx(shares * 121 / 1000 - 1)
    assert sweep["max_drawdown"][0, 0] == 0.0
    equity = np.array([1000, 1000, shares * 110, shares * 121])
    assert sweep["turnover"][0, 0] == pytest.approx(shares * 105 / equity.mean() / (4 / 252))
    assert sweep["commission"][1, 0] == pytest.approx(shares * 105 * 0.01 / equity[2:].mean() / (2 / 252))
    assert sweep["trades"].tolist() == [[0.0], [0.0]]


def test_a_changed_commission_reaches_code_compiled_before(bars_of, monkeypatch):
    bars = bars_of([100.0] * 4, open=[[100.0]] * 4)
    costs = CostParams(schedule="ib_fixed", spread_bps=0, impact=0, borrow_bps_per_year=0)
    account, weights = PortfolioParams(cash=100_000.0), weights_like(bars, [[0.5]] * 4)
    before = sweep_returns([weights], bars, account, costs)
    monkeypatch.setattr(cost_model, "FIXED_PER_SHARE", 0.05)
    after = sweep_returns([weights], bars, account, costs)
    # 500 shares at 0.005, then at 0.05
    assert before[0].sum() == pytest.approx(-2.5 / 100_000)
    assert after[0].sum() == pytest.approx(-25.0 / 100_000)


def test_cells_are_made_and_dropped_one_after_another(walk):
    alive: list[weakref.ref] = []
    most = 0

    def cells():
        nonlocal most
        for number in range(12):
            cell = pd.DataFrame(number / 200, index=walk.index, columns=list(walk.symbols))
            alive.append(weakref.ref(cell))
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))
            yield cell
            del cell

    sweep = sweep_weights(cells(), walk, PortfolioParams(), CostParams(), workers=2)
    assert sweep["sharpe"].shape == (1, 12)
    assert most <= 4  # two in work, one waiting, one being made


def test_one_worker_and_many_find_the_same(walk):
    cells = [random_weights(walk, np.random.default_rng(number)) for number in range(5)]
    one = sweep_returns(cells, walk, PortfolioParams(), CostParams(), workers=1)
    assert one.equals(sweep_returns(cells, walk, PortfolioParams(), CostParams(), workers=4))


def test_the_best_cell_of_each_window_is_named_with_its_parameters(walk):
    cells = [pd.DataFrame(weight, index=walk.index, columns=list(walk.symbols)) for weight in (0.0, 0.02, 0.05)]
    sweep = sweep_weights(cells, walk, PortfolioParams(), FREE, [slice(0, 300), slice(300, 600)])
    # The cell that never trades has no Sharpe ratio and is not chosen.
    assert np.isnan(sweep["sharpe"][:, 0]).all()
    assert set(sweep.best()) <= {1, 2}
    table = sweep.table([{"weight": weight} for weight in (0.0, 0.02, 0.05)])
    assert table["weight"].tolist() == [0.0, 0.02, 0.05] * 2
    assert table["window"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table.loc[4, "sharpe"] == sweep["sharpe"][1, 1]


def test_what_cannot_be_swept_is_refused(walk):
    good = pd.DataFrame(0.01, index=walk.index, columns=list(walk.symbols))
    asked = (walk, PortfolioParams(), CostParams())
    with pytest.raises(DataRefused, match=r"add up to 1\.200; more than all cash"):
        sweep_weights([good, good * 10], *asked)
    missing = good.copy()
    missing.iloc[3, 2] = np.nan
    with pytest.raises(DataRefused, match="weight of TEC02 on 2020-01-07 is nan"):
        sweep_weights([missing], *asked)
    with pytest.raises(DataRefused, match="weights of cell 1 are 599 rows × 12 symbols, other rows or symbols"):
        sweep_weights([good, good.iloc[1:]], *asked)
    with pytest.raises(InputRefused, match="no cells"):
        sweep_weights([], *asked)
    with pytest.raises(InputRefused, match="window 1 is rows 500 to 700, the bars have 600"):
        sweep_weights([good], *asked, windows=[slice(0, 100), slice(500, 700)])
    with pytest.raises(InputRefused, match="no windows"):
        sweep_weights([good], *asked, windows=[])
    sweep = sweep_weights([good], *asked)
    with pytest.raises(InputRefused, match=r"no statistic 'sharp'\. Did you mean 'sharpe'"):
        sweep["sharp"]
    with pytest.raises(InputRefused, match="2 sets of parameters for 1 cells"):
        sweep.table([{}, {}])


def test_statistics_and_returns_of_one_walk_are_those_of_two(bars_of):
    random = np.random.default_rng(5)
    bars = random_bars(bars_of, random)
    cells = [random_weights(bars, random) for _ in range(3)]
    windows = [slice(0, 30), slice(20, len(bars))]
    found, returns = sweep_cells(cells, bars, PortfolioParams(), CostParams(), windows)
    apart = sweep_weights(cells, bars, PortfolioParams(), CostParams(), windows)
    assert found.windows == apart.windows
    assert all(np.array_equal(found[name], apart[name], equal_nan=True) for name in apart.statistics)
    pd.testing.assert_frame_equal(returns, sweep_returns(cells, bars, PortfolioParams(), CostParams()))
