import numpy as np
import pandas as pd
import pytest

from workbench.backtest import stats
from workbench.backtest.ranking import correlations, ranking, titled
from workbench.backtest.result import WalkForward
from workbench.backtest.text import remarks
from workbench.backtest.walkforward import params_text, walk_forward
from workbench.errors import InputRefused, NoData
from workbench.params import Settings, SizingParams, StrategyParams, Universe, WalkForwardParams

SHORT = WalkForwardParams(
    warm_up_sessions=0, train_sessions=120, test_sessions=60, purge_sessions=1, embargo_sessions=2
)
PARAMS = StrategyParams(
    question="Does it pay on a random walk?",
    universe=Universe(sectors=("Technology", "Finance")),
    params={"fast": 5, "slow": 20},
    grid={"fast": [5, 10], "slow": [20, 40]},
)


@pytest.fixture
def settings() -> Settings:
    return Settings(
        walk_forward=SHORT,
        sizing=SizingParams(volatility_sessions=20),
        data={"benchmark": "HLT00"},
    )


@pytest.fixture
def result(walk, settings):
    return walk_forward("sma_cross", PARAMS, walk, settings)


def test_the_result_covers_the_test_windows_and_nothing_else(result, walk):
    folds = result.folds
    assert result.simulation.returns.index[0] == folds["test_start"].iloc[0]
    assert result.simulation.returns.index[-1] == folds["test_end"].iloc[-1]
    assert len(result.benchmark) == len(result.simulation.returns) == len(result.cell_returns)
    for fold in folds.itertuples():
        gap = walk.index.get_loc(fold.test_start) - walk.index.get_loc(fold.train_end) - 1
        assert gap == 3


def test_each_fold_chose_the_best_cell_of_its_training_window(result, walk, settings):
    from workbench.backtest.engine import simulate_cells
    from workbench.strategies import catalog

    candidates = catalog.candidates("sma_cross", PARAMS, walk, settings.sizing, "HLT00")
    universe = walk.select(candidates[0][1].symbols)
    returns = simulate_cells([s.weights(walk) for _, s in candidates], universe, settings.portfolio, settings.costs)
    for fold in result.folds.itertuples():
        window = returns.loc[fold.train_start : fold.train_end]
        scores = [stats.sharpe(window[cell]) for cell in window]
        assert fold.params == candidates[int(np.argmax(scores))][0]
        assert fold.train_score == pytest.approx(max(scores))
        assert len(window) == 120


def test_what_comes_after_a_window_cannot_change_what_was_chosen_or_earned_in_it(walk, settings):
    """The whole pipeline, cut short: the folds it still has are the same."""
    whole = walk_forward("sma_cross", PARAMS, walk, settings)
    cut_at = whole.folds["test_end"].iloc[1]
    cut = walk_forward("sma_cross", PARAMS, walk.until(cut_at), settings)
    assert cut.folds["params"].tolist() == whole.folds["params"].iloc[:2].tolist()
    same = whole.simulation.returns.loc[:cut_at]
    assert cut.simulation.returns.to_numpy() == pytest.approx(same.to_numpy(), abs=1e-9)


def test_the_statistics_are_those_of_the_stitched_curve(result):
    assert result.out_of_sample["sharpe"] == stats.sharpe(result.simulation.returns)
    low, high = result.intervals["sharpe"]
    assert low < result.out_of_sample["sharpe"] < high
    assert set(result.out_of_sample) <= set(stats.DEFINITIONS)
    assert result.out_of_sample["cost_per_year"] > 0


def test_cells_tell_how_often_each_was_chosen(result):
    assert len(result.cells) == 4
    assert result.cells["chosen"].sum() == len(result.folds)
    assert {"fast", "slow", "train_score", "test_score"} <= set(result.cells)


def test_the_market_is_carried_on(result):
    assert result.market == result.simulation.market == "sample"


def test_windows_longer_than_the_data_are_refused(walk, settings):
    with pytest.raises(InputRefused, match="is longer than the data"):
        walk_forward("sma_cross", PARAMS, walk.until(walk.index[200]), settings)
    # 40 of the slow average, 5 over a halt, 26 of the volatility: 20 returns, their first close, 5 over a halt
    with pytest.raises(InputRefused, match=r"warm-up of 71 sessions .* is longer than the data \(51\)"):
        walk_forward("sma_cross", PARAMS, walk.until(walk.index[50]), settings)


def test_an_unknown_benchmark_is_refused(walk, settings):
    lost = settings.model_copy(update={"data": settings.data.model_copy(update={"benchmark": "HLT0"})})
    with pytest.raises(NoData, match=r"data.benchmark 'HLT0' is not in the bars. Did you mean 'HLT0"):
        walk_forward("sma_cross", PARAMS, walk, lost)


def test_a_strategy_without_a_grid_still_walks(walk, settings):
    plain = PARAMS.model_copy(update={"grid": {}})
    result = walk_forward("sma_cross", plain, walk, settings)
    assert result.cells["chosen"].tolist() == [len(result.folds)]


def test_parameters_on_one_line():
    assert params_text({"fast": 20, "kind": "ema", "cap": None}) == "fast=20 kind=ema cap=null"


def test_a_future_that_is_known_would_be_seen(walk, settings):
    """A strategy that peeks one bar ahead earns an absurd Sharpe ratio here: the machinery does not hide it."""
    from workbench.backtest.engine import simulate

    ahead = np.sign(walk.returns().shift(-1)).fillna(0.0) * 0.08
    ahead = ahead.sub(ahead.mean(axis=1), axis=0)
    peeking = simulate(pd.DataFrame(ahead), walk, settings.portfolio, settings.costs)
    assert stats.sharpe(peeking.returns) > 5


def test_a_result_survives_being_saved(result, tmp_path):
    result.save(tmp_path / "result")
    again = WalkForward.load(tmp_path / "result")
    for name in ("folds", "cells", "cell_returns"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name), check_freq=False)
    for name in ("positions", "costs", "orders", "trades"):
        pd.testing.assert_frame_equal(
            getattr(again.simulation, name), getattr(result.simulation, name), check_freq=False
        )
    pd.testing.assert_series_equal(again.simulation.returns, result.simulation.returns, check_freq=False)
    assert again.out_of_sample == result.out_of_sample
    assert again.intervals == result.intervals
    assert again.market == again.simulation.market == "sample"


def test_a_missing_result_is_not_an_empty_one(tmp_path):
    with pytest.raises(NoData, match="no walk-forward result there"):
        WalkForward.load(tmp_path)


def test_the_ranking_puts_the_best_first(result):
    from dataclasses import replace

    better = replace(result, strategy="better", out_of_sample={**result.out_of_sample, "sharpe": 9.0})
    table = ranking([result, better])
    assert table["strategy"].tolist() == ["better", "sma_cross"]
    assert table["folds"].tolist() == [len(result.folds)] * 2
    assert correlations([result, better]).iloc[0, 1] == pytest.approx(1.0)
    with pytest.raises(NoData, match="no result to rank"):
        ranking([])


@pytest.mark.parametrize("first_named", ["sma_cross", "slow_cross"])
def test_a_ranking_says_who_was_traded_over_other_dates_whoever_is_named_first(walk, settings, result, first_named):
    from dataclasses import replace

    grid = {**PARAMS.grid, "slow": [20, 130]}
    slow = replace(
        walk_forward("sma_cross", PARAMS.model_copy(update={"grid": grid}), walk, settings), strategy="slow_cross"
    )
    begins = [wf.simulation.returns.index[0] for wf in (result, slow)]
    table = ranking(sorted([result, slow], key=lambda wf: wf.strategy != first_named)).set_index("strategy", drop=False)
    assert table["first"].to_dict() == {"sma_cross": str(begins[0].date()), "slow_cross": str(begins[1].date())}
    later = walk.index.get_loc(begins[1]) - walk.index.get_loc(begins[0])
    assert table["later"].to_dict() == {"sma_cross": 0, "slow_cross": later}
    (said,) = remarks(table.to_dict("records"))
    assert f"slow_cross {begins[1].date()} to {slow.simulation.returns.index[-1].date()}" in said
    assert f"raise that by {later} sessions or more" in said
    assert titled(table).loc["slow_cross", "From"] == str(begins[1].date())
    raised = settings.model_copy(update={"walk_forward": SHORT.model_copy(update={"warm_up_sessions": 130 + later})})
    both = [walk_forward("sma_cross", PARAMS.model_copy(update={"grid": g}), walk, raised) for g in (PARAMS.grid, grid)]
    assert remarks(ranking(both).to_dict("records")) == []


def test_a_ranking_over_the_same_dates_needs_no_dates_and_no_remark(result):
    table = ranking([result])
    assert remarks(table.to_dict("records")) == []
    page = titled(table)
    assert page.index.tolist() == ["sma_cross"]
    assert {"Sharpe ratio", "95 %", "Maximum drawdown", "Windows that earned"} < set(page)
    assert not {"From", "To", "sharpe_low", "later"} & set(page)
