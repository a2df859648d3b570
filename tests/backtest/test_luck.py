"""What the best of many worthless trials shows: against exact values, and how often such a best is taken for skill."""

import math

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.overfit import expected_max_sharpe, probabilistic_sharpe
from workbench.backtest.trials import Ledger, Question, Weekly, record
from workbench.backtest.trials.ledger import DONE
from workbench.backtest.trials.luck import chance_share, expected_best
from workbench.backtest.trials.schema import Row

QUESTION = Question("Does the best of worthless trials pass?", "sample")
WEEKS = 540


def trials_of(values: np.ndarray, first: int = 2000) -> list[Weekly]:
    return [Weekly(first, column) for column in values.T.astype(np.float32)]


def best_of(values: np.ndarray, **more) -> float:
    return expected_best(trials_of(values), range(2000, 2000 + len(values)), **more)


def clustered(clusters: int, each: int, correlation: float, seed: int, rows: int = WEEKS) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = np.repeat(random.normal(0.0, 1.0, (rows, clusters)), each, axis=1)
    return math.sqrt(correlation) * common + math.sqrt(1 - correlation) * random.normal(0.0, 1.0, common.shape)


# Means of the largest of n independent normals: Harter, "Expected values of normal order statistics" (1961).
@pytest.mark.parametrize(("count", "mean"), [(2, 0.5642), (5, 1.1630), (10, 1.5388), (100, 2.5076), (400, 2.9682)])
def test_independent_trials_give_what_the_papers_formula_gives(count, mean):
    found = best_of(np.random.default_rng(count).normal(0.0, 0.01, (WEEKS, count)))
    assert found == pytest.approx(mean, rel=0.04)
    assert found == pytest.approx(expected_max_sharpe(count), rel=0.08)


def test_short_histories_make_independent_trials_no_more_alike():
    assert best_of(np.random.default_rng(1).normal(0.0, 0.01, (26, 100))) == pytest.approx(2.5076, rel=0.03)


def test_copies_of_one_trial_leave_nothing_to_choose():
    one = np.random.default_rng(2).normal(0.0, 0.01, (WEEKS, 1))
    assert best_of(np.repeat(one, 50, axis=1)) == pytest.approx(0.0, abs=0.01)
    assert best_of(one) == 0.0
    assert expected_best([], range(0)) is None


@pytest.mark.parametrize("correlation", [0.6, 0.9])
def test_one_cluster_leaves_what_its_trials_do_not_share(correlation):
    # The best of 100 that share a factor: the factor's mean is 0, the rest is √(1 - ρ) × 2.5076.
    found = best_of(clustered(1, 100, correlation, seed=3))
    assert found == pytest.approx(math.sqrt(1 - correlation) * 2.5076, rel=0.06)


def test_clusters_do_not_give_the_best_of_each_away():
    # 3 clusters of 100 at 0.6, drawn 400,000 times by hand: 2.287. Three bets alone would be 0.8463.
    assert best_of(clustered(3, 100, 0.6, seed=4)) == pytest.approx(2.287, rel=0.04)


def test_trials_of_other_years_are_independent():
    one = np.random.default_rng(5).normal(0.0, 0.01, 260).astype(np.float32)
    assert expected_best([Weekly(2000, one), Weekly(2400, one)], range(2000, 2660)) == pytest.approx(0.5642, rel=0.05)


def test_what_all_trials_have_from_the_market_makes_them_no_more_alike():
    random = np.random.default_rng(6)
    market = random.normal(0.002, 0.02, WEEKS)
    held = market[:, None] + random.normal(0.0, 0.01, (WEEKS, 30))  # correlation 0.8
    weekly = Weekly(2000, market.astype(np.float32))
    assert best_of(held) == pytest.approx(math.sqrt(0.2) * 2.0428, rel=0.08)
    assert best_of(held, market=weekly) == pytest.approx(2.0428, rel=0.05)


def test_trials_that_are_known_by_their_number_only_count_as_independent():
    assert expected_best([], range(0), unlike=100) == pytest.approx(2.5076, rel=0.02)
    ten = np.random.default_rng(7).normal(0.0, 0.01, (WEEKS, 10))
    assert best_of(ten, unlike=90) == pytest.approx(2.5076, rel=0.03)


def test_chance_is_all_of_what_unlike_trials_correlate_by_and_little_of_what_alike_ones_do():
    def share(values):
        less = values - values.mean(axis=0)
        return chance_share((less / np.linalg.norm(less, axis=0)).astype(np.float32))

    assert share(np.random.default_rng(8).normal(0.0, 1.0, (100, 60))) > 0.9
    assert share(clustered(1, 60, 0.7, seed=8, rows=100)) < 0.01


def test_every_trial_counts_however_many_there_are(tmp_path, monkeypatch):
    ledger, days = Ledger(tmp_path / "trials.db"), pd.bdate_range("2015-01-01", periods=600)
    values = np.random.default_rng(9).normal(0.0, 0.01, (len(days), 400))
    record(ledger, QUESTION, "some", [{"cell": n} for n in range(400)], pd.DataFrame(values, days), source="sweep")
    monkeypatch.setattr("workbench.backtest.trials.ledger.MOST_CLUSTERED", 50)
    assert ledger.effective(QUESTION).clustered == 50
    assert ledger.expected_best(QUESTION) == pytest.approx(2.9682, rel=0.03)
    ledger.append(QUESTION, [Row(str(n), "old", "{}", DONE, sharpe=0.01, n=600) for n in range(600)], source="sweep")
    assert ledger.expected_best(QUESTION) == pytest.approx(3.2414, rel=0.03)  # of 1,000
    assert ledger.expected_best(Question("Another?", "sample")) is None


# --- how often the best of worthless trials passes --------------------------------------------------------------------


def passes(values: np.ndarray, gain: float = 0.0) -> bool:
    """Whether the best Sharpe ratio, of columns of which the first is paid ``gain`` a week, is taken for skill."""
    values = values.copy()
    values[:, 0] += gain
    sharpes = values.mean(axis=0) / values.std(axis=0, ddof=1)
    luck = best_of(values) / math.sqrt(len(values) - 1)
    return probabilistic_sharpe(float(sharpes.max()), len(values), 0.0, 3.0, luck) >= 0.95


@pytest.mark.parametrize(
    ("clusters", "each", "correlation"),
    [(100, 1, 0.0), (3, 100, 0.6), (10, 30, 0.6), (1, 100, 0.6), (1, 60, 0.95), (2, 1, 0.0)],
    ids=["independent", "three clusters", "ten clusters", "one cluster", "nearly copies", "two trials"],
)
def test_the_best_of_worthless_trials_passes_in_one_of_twenty_at_most(clusters, each, correlation):
    draws = 200
    passed = sum(passes(clustered(clusters, each, correlation, seed, rows=260)) for seed in range(draws))
    assert passed / draws <= 0.06


@pytest.mark.parametrize(("clusters", "each", "correlation"), [(20, 1, 0.0), (3, 20, 0.6), (1, 60, 0.95)])
def test_a_trial_that_pays_is_found_among_worthless_ones(clusters, each, correlation):
    # A Sharpe ratio of 1.5 a year over ten years.
    gain, draws = 1.5 / math.sqrt(52), 60
    passed = sum(passes(clustered(clusters, each, correlation, seed, rows=520), gain) for seed in range(draws))
    assert passed / draws >= 0.8
