"""Every strategy, the ones to come too: no look-ahead, caps kept, parameters checked; then each idea by hand."""

import numpy as np
import pandas as pd
import pytest

from workbench.errors import StrategyRefused
from workbench.params import Settings, SizingParams, Universe, load_strategy_params
from workbench.strategies import catalog
from workbench.strategies.mean_reversion import MeanReversion
from workbench.strategies.protocol import Strategy
from workbench.strategies.sma_cross import SmaCross
from workbench.strategies.xs_momentum import XsMomentum

UNSIZED = SizingParams(target_volatility=None, max_weight=1.0, max_gross=2.0)


def every(bars) -> list[Strategy]:
    return [
        catalog.build(name, bars.symbols, SizingParams(), load_strategy_params(name).params) for name in catalog.names()
    ]


@pytest.fixture(params=catalog.names())
def strategy(request, walk) -> Strategy:
    name = request.param
    return catalog.build(name, walk.symbols, SizingParams(), load_strategy_params(name).params)


def test_a_strategy_meets_the_protocol(strategy):
    assert isinstance(strategy, Strategy)
    assert strategy.name in catalog.names()


@pytest.mark.parametrize("day", [350, 420, 487, 555])
def test_weights_do_not_change_when_later_rows_are_removed(strategy, walk, day):
    whole = strategy.weights(walk)
    cut = strategy.weights(walk.until(walk.index[day]))
    pd.testing.assert_frame_equal(whole.iloc[: day + 1], cut, check_freq=False)


@pytest.mark.parametrize("day", [430, 599])
def test_the_lookback_is_all_a_strategy_needs(strategy, walk, day):
    whole = strategy.weights(walk).iloc[day]
    recent = walk.between(walk.index[day - strategy.lookback + 1], walk.index[day])
    assert len(recent) == strategy.lookback
    pd.testing.assert_series_equal(strategy.weights(recent).iloc[-1], whole)


def test_weights_keep_every_cap(strategy, walk):
    weights = strategy.weights(walk)
    caps = SizingParams()
    assert (weights.abs() <= caps.max_weight + 1e-9).all(axis=None)
    assert (weights.abs().sum(axis=1) <= caps.max_gross + 1e-9).all()
    assert (weights.sum(axis=1).abs() <= caps.max_net + 1e-9).all()
    assert weights.abs().sum(axis=1).iloc[-1] > 0.1  # and it does hold something


def test_weights_are_pure(strategy, walk):
    pd.testing.assert_frame_equal(strategy.weights(walk), strategy.weights(walk))


def test_nothing_is_held_that_is_not_listed(strategy, walk):
    from dataclasses import replace

    gone = {name: getattr(walk, name).copy() for name in ("open", "high", "low", "close", "volume", "traded_close")}
    for frame in gone.values():
        frame.iloc[500:, 0] = np.nan
    weights = strategy.weights(replace(walk, **gone))
    assert (weights.iloc[510:, 0] == 0).all()
    assert weights.iloc[510:, 1:].abs().to_numpy().sum() > 0


def test_sma_cross_holds_what_rises(bars_of):
    up, down = np.linspace(100, 200, 60), np.linspace(200, 100, 60)
    bars = bars_of(np.column_stack([up, down]), ["UP", "DOWN"])
    weights = SmaCross(("UP", "DOWN"), fast=5, slow=20, sizing=UNSIZED).weights(bars)
    assert weights.iloc[-1].tolist() == [0.5, 0.0]
    assert (weights.iloc[:19] == 0).all(axis=None)


def test_xs_momentum_buys_the_winner_and_sells_the_loser_of_each_sector(bars_of):
    days = np.arange(120)
    close = np.column_stack([100 * 1.003**days, 100 * 0.997**days, 100 * 1.001**days, 100 * 1.002**days])
    bars = bars_of(close, ["A", "B", "C", "D"], sectors={"A": "x", "B": "x", "C": "y", "D": "y"})
    strategy = XsMomentum(("A", "B", "C", "D"), formation=20, skip=0, quantile=0.5, sizing=UNSIZED)
    # C gained less than D in its own sector, though more than B
    assert strategy.weights(bars).iloc[-1].tolist() == [0.25, -0.25, -0.25, 0.25]


def test_xs_momentum_changes_only_with_the_month(walk):
    weights = XsMomentum(walk.symbols, formation=63, sizing=UNSIZED).weights(walk)
    changed = weights.index[(weights.diff().abs().sum(axis=1) > 0)]
    months = pd.Series(walk.index, index=walk.index).groupby(walk.index.to_period("M")).first()
    assert set(changed) <= set(months)
    assert len(changed) > 10


def test_mean_reversion_fades_the_extremes_of_a_sector(bars_of):
    flat = np.full(60, 100.0)
    jumped, fell = flat.copy(), flat.copy()
    jumped[-1], fell[-1] = 110.0, 90.0
    bars = bars_of(
        np.column_stack([jumped, fell, flat, flat, flat]), list("ABCDE"), sectors=dict.fromkeys("ABCDE", "x")
    )
    strategy = MeanReversion(tuple("ABCDE"), window=5, hold=1, quantile=0.2, max_volatility=None, sizing=UNSIZED)
    assert strategy.weights(bars).iloc[-1].tolist() == [-0.5, 0.5, 0.0, 0.0, 0.0]


def test_mean_reversion_holds_nothing_in_a_storm(walk):
    always = MeanReversion(walk.symbols, max_volatility=None, sizing=UNSIZED).weights(walk)
    never = MeanReversion(walk.symbols, max_volatility=0.001, sizing=UNSIZED).weights(walk)
    assert always.abs().to_numpy().sum() > 0
    assert never.abs().to_numpy().sum() == 0


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("sma_cross", {"fast": 100, "slow": 20}, "fast 100 must be at least 1 and below slow 20"),
        ("sma_cross", {"fst": 5}, "unknown parameter 'fst'. Did you mean 'fast'?"),
        ("sma_cross", {"fast": "5"}, "parameter 'fast' is '5', it must be int"),
        ("sma_cross", {"fast": True}, "parameter 'fast' is True, it must be int"),
        ("xs_momentum", {"skip": 200}, "skip 200 must be 0 or more and below formation 126"),
        ("xs_momentum", {"quantile": 0.7}, "quantile 0.7 must be above 0 and at most 0.5"),
        ("mean_reversion", {"window": 0}, "window 0 and hold 5 must be at least 1"),
        ("sma_crss", {}, "unknown strategy 'sma_crss'. Did you mean 'sma_cross'?"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(name, params, says):
    with pytest.raises(StrategyRefused) as caught:
        catalog.build(name, ("A",), SizingParams(), params)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_universe_is_symbols_sectors_or_everything_but_the_benchmark(walk):
    assert catalog.universe(Universe(), walk, "TEC00") == walk.symbols[1:]
    assert catalog.universe(Universe(sectors=("Finance",)), walk, "TEC00") == ("FIN00", "FIN01", "FIN02", "FIN03")
    assert catalog.universe(Universe(symbols=("HLT03", "TEC01")), walk, "TEC00") == ("TEC01", "HLT03")
    with pytest.raises(StrategyRefused, match=r"unknown sector 'Finanse'. Did you mean 'Finance'"):
        catalog.universe(Universe(sectors=("Finanse",)), walk, "TEC00")
    with pytest.raises(StrategyRefused, match="unknown symbol 'TEC9'"):
        catalog.universe(Universe(symbols=("TEC9",)), walk, "TEC00")


def test_cells_that_contradict_themselves_are_left_out_of_the_grid(walk):
    params = load_strategy_params("sma_cross").model_copy(update={"grid": {"fast": [10, 100], "slow": [50, 200]}})
    cells = [cell for cell, _ in catalog.candidates("sma_cross", params, walk, Settings().sizing, "TEC00")]
    assert cells == [{"fast": 10, "slow": 50}, {"fast": 10, "slow": 200}, {"fast": 100, "slow": 200}]
    hopeless = params.model_copy(update={"grid": {"fast": [300], "slow": [200]}})
    with pytest.raises(StrategyRefused, match="fast 300 must be"):
        catalog.candidates("sma_cross", hopeless, walk, Settings().sizing, "TEC00")
