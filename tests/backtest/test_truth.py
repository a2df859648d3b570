"""The sample market's truth, found by the workbench's own strategies through its own lake and simulator, after costs.

What is planted where stands in docs/sample-market.md: momentum in Technology and Finance, reversion in Health and
Energy, nothing in Consumer and Utilities. Bounds are set for the mean over four seeds of fifteen years: the standard
error of such a mean Sharpe ratio is about 1 / sqrt(4 × 15) = 0.13.
"""

import numpy as np
import pytest

from tests.data.by_hand import put
from workbench.backtest import stats
from workbench.backtest.engine import simulate
from workbench.data.lake import Lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.params import SampleParams, Settings, load_strategy_params
from workbench.strategies import catalog

SEEDS = (7, 101, 102, 103)
PLANTED = {"xs_momentum": ["Technology", "Finance"], "mean_reversion": ["Health", "Energy"]}


def bars_of_seed(folder, seed: int, **effects: float):
    source = SampleSource(SampleParams(seed=seed, intraday_sessions=0, **effects))
    lake = Lake(folder / f"lake-{seed}", "sample")
    for name in ("symbols", "prices_daily", "actions"):
        put(lake, name, source.fetch(Request(name)).rows)
    return lake.bars()


def sharpe(bars, strategy: str, sectors: list[str]) -> float:
    settings, params = Settings(), load_strategy_params(strategy)
    symbols = tuple(symbol for symbol in bars.symbols if bars.sectors[symbol] in sectors)
    made = catalog.build(strategy, symbols, settings.sizing, params.params)
    simulation = simulate(made.weights(bars), bars.select(symbols), settings.portfolio, settings.costs)
    return stats.sharpe(simulation.returns)


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    return [bars_of_seed(tmp_path_factory.mktemp("lakes"), seed) for seed in SEEDS]


@pytest.mark.parametrize("strategy", PLANTED)
def test_a_planted_effect_pays_after_costs(markets, strategy):
    found = [sharpe(bars, strategy, PLANTED[strategy]) for bars in markets]
    assert np.mean(found) > 0.7
    assert min(found) > 0.2


@pytest.mark.parametrize("strategy", PLANTED)
def test_nothing_pays_where_nothing_is_planted(markets, strategy):
    found = [sharpe(bars, strategy, ["Consumer", "Utilities"]) for bars in markets]
    assert np.mean(found) < 0.35  # 2.7 standard errors above zero; costs push it below


@pytest.mark.parametrize(("strategy", "effect"), [("xs_momentum", "momentum"), ("mean_reversion", "reversion")])
def test_an_effect_that_is_switched_off_pays_nothing(tmp_path, strategy, effect):
    found = [sharpe(bars_of_seed(tmp_path, seed, **{effect: 0.0}), strategy, PLANTED[strategy]) for seed in SEEDS[:2]]
    assert np.mean(found) < 0.5  # 2.7 standard errors of a mean over two seeds
