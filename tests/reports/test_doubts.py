from dataclasses import replace

import pandas as pd
import pytest

from workbench.backtest.walkforward import walk_forward
from workbench.params import Settings, SizingParams, StrategyParams, WalkForwardParams
from workbench.reports.doubts import doubts


@pytest.fixture
def result(walk):
    settings = Settings(
        walk_forward=WalkForwardParams(warm_up_sessions=0, train_sessions=120, test_sessions=60),
        sizing=SizingParams(volatility_sessions=20),
        data={"benchmark": "HLT00"},
    )
    params = StrategyParams(question="Does it pay on a random walk?", params={"fast": 5, "slow": 20})
    return walk_forward("sma_cross", params, walk, settings)


def spoken(result, **changes) -> str:
    return " | ".join(doubt for _, doubt in doubts([replace(result, **changes)]))


def test_every_doubt_is_raised_by_its_number_and_not_without_it(result):
    good = {**result.out_of_sample, "sharpe": 1.5, "max_drawdown": -0.05, "crowded_orders": 0}
    sound = {
        "out_of_sample": good,
        "in_sample": {"sharpe": 1.6},
        "intervals": {"sharpe": (0.5, 2.5)},
        "folds": result.folds.assign(test_score=1.0),
        "market": "real",
    }
    quiet = spoken(result, **sound)
    for words, changes in {
        "includes zero": {"intervals": {"sharpe": (-0.1, 2.5)}},
        "did not carry over": {"in_sample": {"sharpe": 2.0}},
        "test windows earned money": {"folds": result.folds.assign(test_score=-1.0)},
        "deeper than −15.0 %": {"out_of_sample": {**good, "max_drawdown": -0.2}},
        "large share of their session's volume": {"out_of_sample": {**good, "crowded_orders": 3}},
        "made data": {"market": "sample"},
        "keeps moving": {
            "folds": result.folds.assign(test_score=1.0, params=[{"n": n} for n in range(len(result.folds))])
        },
    }.items():
        assert words not in quiet
        assert words in spoken(result, **{**sound, **changes})


def test_one_of_something_is_written_as_one(result):
    crowded = {**result.out_of_sample, "crowded_orders": 1}
    assert "1 order was a large share of its session's volume" in spoken(result, out_of_sample=crowded)
    row = {"strategy": "sma_cross", "trials": 1, "dsr": 0.5, "pbo": None, "missing": "", "elsewhere": 1}
    said = " | ".join(doubt for _, doubt in doubts([result], pd.DataFrame([row], dtype=object)))
    assert "with its 1 trial counted" in said
    assert "1 trial of it counts for other questions of this market" in said


def test_the_search_raises_its_doubts_by_its_numbers_and_not_without_them(result):
    def about(**changes: object) -> str:
        row = {"strategy": "sma_cross", "trials": 40, "dsr": 0.99, "pbo": 0.1, "missing": "", **changes}
        return " | ".join(doubt for _, doubt in doubts([result], pd.DataFrame([row], dtype=object)))

    for words, changes in {
        "with its 40 trials counted, the Sharpe ratio is above zero at 62.0 % only": {"dsr": 0.62},
        "in 55.0 % of the splits the best cell of one half was below the median": {"pbo": 0.55},
        "7 trials of it count for other questions of this market: where only the words differ": {"elsewhere": 7},
        "not all could be judged: pbo: one cell only": {"pbo": None, "missing": "pbo: one cell only"},
    }.items():
        assert words not in about()
        assert words in about(**changes)
