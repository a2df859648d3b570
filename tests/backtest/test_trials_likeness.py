"""A search under another name is seen by how its trials move, beside the market; honest ideas are not accused."""

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.engine import simulate
from workbench.backtest.trials import Ledger, Question, Weekly, by_week, record
from workbench.backtest.trials.likeness import same_search
from workbench.params import CostParams, PortfolioParams, SizingParams
from workbench.strategies import catalog

QUESTION = Question("Does a crossing of averages time stocks?", "sample")
OTHER = Question("Is still water deep?", "sample")
DAYS, STOCKS = 420, 6


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "trials.db")


@pytest.fixture(scope="module")
def nothing(bars_of):
    """A market of random walks with one factor, and its returns: no idea finds anything here."""
    random = np.random.default_rng(5)
    market = random.normal(0.0003, 0.008, (DAYS, 1))
    close = 50.0 * np.exp(np.cumsum(market + random.normal(0.0, 0.012, (DAYS, STOCKS)), axis=0))
    bars = bars_of(close, sectors={f"AAA{number:02d}": f"sector {number % 3}" for number in range(STOCKS)})
    return bars, by_week(pd.Series(market[:, 0], index=bars.close.index))


def daily(seed: int, rows: int = 520 * 5, columns: int = 1, start: str = "2010-01-04") -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(0.0003, 0.01, (rows, columns))
    return pd.DataFrame(values, index=pd.bdate_range(start, periods=rows))


def search(ledger: Ledger, name: str, question: Question, returns: pd.DataFrame) -> None:
    cells = [{"cell": number, "of": name} for number in range(returns.shape[1])]
    returns = returns.set_axis(range(returns.shape[1]), axis=1)
    record(ledger, strategy=name, question=question, cells=cells, returns=returns, source="sweep")


def test_a_copy_with_other_costs_and_other_years_under_another_name_is_the_same_search(ledger):
    hunted = daily(0, columns=6)
    search(ledger, "sma_cross", QUESTION, hunted)
    copied = hunted.iloc[90:, :2] * 1.01 - 0.00002  # begins 18 weeks later, and pays another commission
    search(ledger, "stillwater", OTHER, pd.concat([copied, daily(1).iloc[90:]], axis=1))
    assert ledger.elsewhere(OTHER, "stillwater") == 6
    assert ledger.elsewhere(QUESTION, "sma_cross") == 3


def test_two_that_hold_stocks_are_not_the_same_by_the_market_alone(ledger):
    market = daily(2)[0]
    search(ledger, "holder", QUESTION, (0.9 * market + 0.1 * daily(3)[0]).to_frame())
    search(ledger, "owner", OTHER, (1.1 * market + 0.1 * daily(4)[0]).to_frame())
    assert ledger.elsewhere(QUESTION, "holder") == 1  # where nobody says what the market was
    assert ledger.elsewhere(QUESTION, "holder", by_week(market)) == 0


def test_ideas_that_differ_are_not_accused_on_a_market_of_chance_and_one_with_its_costs_doubled_is(nothing):
    bars, market = nothing

    def trial(name: str, times: float = 1.0, **params: float) -> Weekly:
        weights = catalog.build(name, bars.symbols, SizingParams(), params).weights(bars)
        usual = CostParams()
        costs = usual.model_copy(update={"spread_bps": times * usual.spread_bps})
        return by_week(simulate(weights, bars, PortfolioParams(), costs).returns)

    slow = [trial("sma_cross", fast=20, slow=100)]
    fast = [trial("mean_reversion", window=5, hold=5, max_volatility=0.45)]
    ranked = [trial("xs_momentum", formation=63, skip=5, quantile=0.3)]
    for one, other in ((slow, fast), (slow, ranked), (fast, ranked)):
        assert not same_search(one, other, market)
        assert not same_search(one, other)
    assert same_search(slow, [trial("sma_cross", times=2.0, fast=20, slow=100)], market)


def test_too_few_weeks_in_common_say_nothing():
    values = np.random.default_rng(6).normal(0.0, 0.02, 200).astype("f4")
    whole = Weekly(2000, values)
    assert same_search([whole], [Weekly(2100, values[100:])])
    assert same_search([whole], [Weekly(2148, values[148:])])
    assert not same_search([whole], [Weekly(2149, values[149:])])  # 51 weeks
    mixed = np.concatenate([values[101:], -values[:101]])
    assert not same_search([whole], [Weekly(2101, mixed)])  # 99 weeks of 200
    assert not same_search([whole], [whole], Weekly(2149, values[149:]))  # the market is known of 51 of them


def test_what_never_moves_is_like_nothing():
    still = Weekly(2000, np.zeros(100, dtype="f4"))
    held = Weekly(2000, np.full(100, 0.001, dtype="f4"))
    assert not same_search([still, held], [still, held])
    moved = np.random.default_rng(7).normal(0.0, 0.02, 100).astype("f4")
    assert not same_search([Weekly(2000, moved)], [Weekly(2000, 2 * moved)], Weekly(2000, moved))  # the market itself


def test_many_trials_on_both_sides_are_compared_in_a_moment():
    random = np.random.default_rng(8)
    sides = [
        [
            Weekly(2300 + number % 3, row)
            for number, row in enumerate(random.normal(0.0, 0.02, (2000, 520)).astype("f4"))
        ]
        for _ in range(2)
    ]
    assert not same_search(*sides)
    assert same_search(sides[0], [*sides[1], sides[0][-1]])
