"""Trials that only their returns tell apart: different ones are counted, the same ones once, at any scale."""

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.trials import Ledger, Question, count_trials, record, record_ratios

QUESTION = Question("Does it pay?", "sample")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "trials.db")


def columns(scale: float, number: int = 10, rows: int = 500) -> pd.DataFrame:
    values = np.random.default_rng(5).normal(0.0, scale, (rows, number))
    return pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=rows))


def count(ledger: Ledger, returns: pd.DataFrame) -> int:
    return count_trials(returns, QUESTION.text, market="sample", ledger=ledger).trials


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1e-4, 0.01, 1.0])
def test_ten_different_series_are_ten_trials_however_small_they_are(ledger, scale):
    assert count(ledger, columns(scale)) == 10


@pytest.mark.parametrize("scale", [1e-6, 0.01])
def test_series_that_differ_by_rounding_are_not_counted_again(ledger, scale):
    returns = columns(scale)
    for shift in (0.0, 1e-3, -1e-3):
        assert count(ledger, returns + shift * scale) == 10
    assert count(ledger, pd.concat([returns, returns + 1e-9 * scale], axis=1)) == 10
    assert count(ledger, returns * 1.0001) == 10


def test_a_series_at_another_level_or_with_other_risk_is_another_trial(ledger):
    returns = columns(0.001, 1)
    assert count(ledger, returns) == 1
    assert count(ledger, returns + 0.0001) == 2  # a tenth of its daily deviation, each day
    assert count(ledger, returns * 1.5) == 3
    assert count(ledger, returns + 0.0001) == 3


def test_nearly_constant_series_are_told_apart_by_what_moves_in_them(ledger):
    assert count(ledger, 0.01 + columns(1e-5)) == 10


def test_a_series_that_differs_in_one_week_only_is_another_trial(ledger):
    returns = columns(0.01, 1)
    other = returns.copy()
    other.iloc[250] += 0.005
    assert count(ledger, pd.concat([returns, other], axis=1)) == 2


def test_what_has_a_name_is_compared_with_all_that_came_under_it(ledger):
    given = {"source": "notebook", "made_by": {"data": 1}}
    returns = columns(0.01, 40)
    for column in returns:
        record(ledger, QUESTION, "mine", [{"fast": 1}], returns[[column]], **given)
    again = record(ledger, QUESTION, "mine", [{"fast": 1}] * 40, returns[returns.columns[::-1]] + 1e-9, **given)
    assert (again.added, again.trials) == (0, 40)
    other = record(ledger, QUESTION, "mine", [{"fast": 2}], returns[[3]], **given)
    assert other.added == 1  # another name is another trial, as alike as it is
    assert ledger.verify().trials == 41


def test_ratios_of_one_name_are_told_apart_and_counted_once(ledger):
    def add(*ratios: float) -> int:
        return record_ratios(ledger, QUESTION, "mine", [{}] * len(ratios), ratios, 500, source="notebook").trials

    assert add(0.05, 0.06, 0.05, 0.0, np.nan) == 4
    assert add(np.nan, 0.06, 0.05 + 1e-12, 0.0) == 4
    assert add(0.0501) == 5


def test_a_sample_of_trials_without_names_is_as_even_as_one_of_others(ledger):
    # The lowest keys are the sample: half of it must be from either kind (100 of 200, four deviations are 20).
    count(ledger, columns(0.01, 200))
    named = columns(0.02, 200)
    record(ledger, QUESTION, "named", [{"fast": n} for n in range(200)], named, source="sweep")
    table = ledger.trials(QUESTION).sort_values("key").head(200)
    assert 80 <= (table["strategy"] == "named").sum() <= 120


@pytest.mark.parametrize("alike", [0.0, 0.6, 0.99])
def test_what_is_counted_by_its_settings_and_by_its_returns_is_judged_a_little_harder(ledger, alike):
    values = np.random.default_rng(9).normal(0.0, 0.01, (2500, 10))
    mixed = np.sqrt(1 - alike) * values[:, :9] + np.sqrt(alike) * values[:, 9:]
    returns = pd.DataFrame(mixed, index=pd.bdate_range("2015-01-01", periods=2500))
    cells = [{"fast": number} for number in range(9)]
    record(ledger, QUESTION, "sma_cross", cells, returns, source="walk_forward", made_by={"settings": "4f5e"})
    once, bets = ledger.expected_best(QUESTION), ledger.effective(QUESTION).trials
    record(ledger, QUESTION, "sma_cross", cells, returns, source="notebook")
    assert ledger.count(QUESTION) == 18
    assert once <= ledger.expected_best(QUESTION) <= 1.07 * once
    assert ledger.effective(QUESTION).trials == bets
