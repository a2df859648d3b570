"""Selection bias by hand, by brute force, and on noise where the answer is known."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.overfit import combinatorial_purged, hedge, pbo, spa
from workbench.errors import InputRefused


def noise(seed: int, rows: int = 400, columns: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (rows, columns))


def test_an_overfit_pair_by_hand():
    # Each is good in one half: mean 2, deviation √2, so Sharpe √2; in its other half mean 0. What is best in sample is
    # the worse of two outside: rank 1, odds 1 / (3 - 1), logit ln 0.5.
    probability, logits, degradation = pbo([[3.0, 1.0], [1.0, -1.0], [1.0, 3.0], [-1.0, 1.0]], splits=2)
    assert probability == 1.0
    assert logits == pytest.approx([math.log(0.5)] * 2)
    assert degradation.in_sample == pytest.approx([math.sqrt(2)] * 2)
    assert degradation.out_of_sample == pytest.approx([0.0, 0.0])
    assert degradation.probability_of_loss == 0.0


def test_a_pair_that_keeps_its_order_by_hand():
    found = pbo([[3.0, 1.0], [1.0, -1.0], [5.0, 1.0], [1.0, -1.0]], splits=2)
    assert found.probability == 0.0
    assert found.logits == pytest.approx([math.log(2.0)] * 2)  # rank 2 of 2: odds 2 / (3 - 2)
    # halves of the first column: 2 / √2 = 1.41421, and 3 / √8 = 1.06066: the line through both has slope -1
    assert found.degradation.slope == pytest.approx(-1.0)
    assert found.degradation.intercept == pytest.approx(1.41421 + 1.06066, abs=1e-5)
    assert found.degradation.r_squared == pytest.approx(1.0)


@pytest.mark.parametrize("rows", [60, 65])
def test_block_sums_give_what_brute_force_gives(rows):
    returns = noise(3, rows=rows, columns=7)
    bounds = [int(number * rows / 6) for number in range(7)]
    blocks = [returns[bounds[number] : bounds[number + 1]] for number in range(6)]
    expected = []
    for inside in itertools.combinations(range(6), 3):
        train = np.vstack([blocks[number] for number in inside])
        test = np.vstack([blocks[number] for number in range(6) if number not in inside])
        best = int(np.argmax(train.mean(axis=0) / train.std(axis=0, ddof=1)))
        outside = test.mean(axis=0) / test.std(axis=0, ddof=1)
        rank = sorted(outside.tolist()).index(outside[best]) + 1
        expected.append(math.log(rank / (8 - rank)))
    found = pbo(pd.DataFrame(returns), splits=6)
    assert found.logits == pytest.approx(expected)
    assert found.probability == sum(logit <= 0 for logit in expected) / 20


def test_choosing_among_noise_is_a_coin_toss():
    found = [pbo(noise(seed), splits=8).probability for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)  # one has a deviation of 0.17, their mean of 0.022


def test_one_truly_good_column_is_not_overfit():
    returns = noise(1, rows=1000)
    returns[:, 7] += 0.003
    found = pbo(returns)
    assert found.probability < 0.01
    assert len(found.logits) == math.comb(16, 8)
    assert found.degradation.probability_of_loss == 0.0


def test_the_number_of_columns_at_once_changes_nothing(monkeypatch):
    returns = noise(2, rows=200)
    whole = pbo(returns, splits=10)
    monkeypatch.setattr("workbench.backtest.overfit.selection.AT_ONCE", 300)
    assert pbo(returns, splits=10).logits.tolist() == pytest.approx(whole.logits.tolist())


def test_trials_that_are_all_the_same_share_the_middle_rank():
    one = noise(4, rows=64, columns=1)
    found = pbo(np.hstack([one, one, one]), splits=4)
    assert found.logits == pytest.approx(np.zeros(6))
    assert found.probability == 1.0


def test_a_cell_that_never_traded_counts_as_one_that_earned_nothing():
    returns = np.hstack([noise(5, rows=64, columns=2) - 0.02, np.zeros((64, 1))])
    found = pbo(returns, splits=4)
    assert found.probability == 0.0  # doing nothing was best on either side
    assert found.degradation.out_of_sample == pytest.approx(np.zeros(6))


def test_a_constant_return_is_a_sharpe_ratio_of_nothing_and_not_of_billions():
    # The standard deviation of a column of 0.0001, added up, is not zero but 1.8e-14 of it.
    returns = np.hstack([noise(5, rows=1000, columns=2) + 0.02, np.full((1000, 1), 0.0001)])
    found = pbo(returns, splits=4)
    assert found.degradation.in_sample.max() < 4.0  # what earns 0.02 ± 0.01 a period has about 2
    assert found.degradation.out_of_sample.max() < 4.0
    assert found.logits.tolist() == pbo(np.hstack([returns[:, :2], np.zeros((1000, 1))]), splits=4).logits.tolist()
    paths = combinatorial_purged(returns, folds=5, test_folds=2)
    assert 2 not in paths.chosen
    assert paths.sharpes.max() < 4.0


@pytest.mark.parametrize(
    ("returns", "splits", "words"),
    [
        (noise(0), 7, "splits is 7; it must be even"),
        (noise(0), 0, "splits is 0"),
        (noise(0), 40, "from 2 to 20"),
        (noise(0, columns=1), 16, "1 column(s) of returns; it compares at least 2"),
        (noise(0, rows=31), 16, "31 returns are too few; give at least 32"),
        (noise(0)[:, 0], 16, "1 dimensions"),
        (np.zeros((64, 3)), 16, "no column ever changes"),
        (np.full((100, 3), 0.001), 16, "no column ever changes"),
        (noise(0), 16.0, "splits is 16.0; give a whole number"),
        (noise(0), "16", "splits is '16'; give a whole number"),
        (np.where(np.arange(400)[:, None] == 17, np.nan, noise(0)), 16, "20 of 8,000 returns are missing or infinite"),
    ],
)
def test_pbo_refuses_in_one_line(returns, splits, words):
    with pytest.raises(InputRefused) as refused:
        pbo(returns, splits=splits)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_first_missing_row_is_named():
    returns = noise(0)
    returns[17, 3] = np.nan
    with pytest.raises(InputRefused, match="the first in row 17"):
        pbo(returns)


def test_paths_are_recombined_as_brute_force_does():
    returns = noise(8, rows=60, columns=5)
    folds = np.array_split(np.arange(60), 5)
    segments: dict[int, list[int]] = {number: [] for number in range(5)}
    for tests in itertools.combinations(range(5), 2):
        train = np.concatenate([folds[number] for number in range(5) if number not in tests])
        best = int(np.argmax(returns[train].mean(axis=0) / returns[train].std(axis=0, ddof=1)))
        for number in tests:
            segments[number].append(best)
    paths = [
        np.concatenate([returns[folds[number], segments[number][path]] for number in range(5)]) for path in range(4)
    ]
    expected = [path.mean() / path.std(ddof=1) for path in paths]
    found = combinatorial_purged(returns, folds=5, test_folds=2, purge=0, embargo=0)
    assert (found.splits, len(found.sharpes)) == (10, 4)
    assert found.sharpes == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(expected))


def test_what_lies_beside_a_test_fold_is_not_trained_on():
    # Three folds of six, one trained on at a time. The second column shines only in row 12, the first one after the
    # tests in rows 0 to 11; a purge of one row takes that away.
    returns = np.zeros((18, 2))
    returns[:, 0] = np.tile([0.02, 0.01], 9)
    returns[:, 1] = np.tile([0.001, -0.001], 9)
    returns[12, :] = (-1.0, 0.5)
    assert combinatorial_purged(returns, 3, 2, purge=0, embargo=0).chosen[0] == 1
    assert combinatorial_purged(returns, 3, 2, purge=1, embargo=0).chosen[0] == 0
    assert combinatorial_purged(returns, 3, 2, purge=0, embargo=1).chosen[0] == 0


def test_choosing_among_noise_earns_nothing_on_the_paths():
    found = [combinatorial_purged(noise(seed, rows=500), folds=6, test_folds=2).mean for seed in range(30)]
    assert abs(np.mean(found)) < 0.02  # one has a deviation of about 1 / √500 = 0.045, their mean of 0.008


def test_a_good_column_is_found_on_every_path():
    returns = noise(9, rows=1000)
    returns[:, 4] += 0.003
    found = combinatorial_purged(returns)
    assert set(found.chosen.tolist()) == {4}
    assert found.probability_of_loss == 0.0
    assert len(found.sharpes) == math.comb(10, 3) * 3 // 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"folds": 2, "test_folds": 2}, "n_folds"),
        ({"test_folds": 1}, "n_test_folds"),
        ({"purge": 30, "embargo": 30}, "purge 30, embargo 30, 400 periods"),
        ({"folds": 10.0}, "folds is 10.0; give a whole number"),
        ({"embargo": 2.5}, "embargo is 2.5; give a whole number"),
    ],
)
def test_folds_that_cannot_be_cut_are_refused_in_one_line(changes, words):
    with pytest.raises(InputRefused) as refused:
        combinatorial_purged(noise(0), **changes)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_superiority_of_noise_is_about_uniform():
    found = np.array([spa(noise(seed, 250, 5), draws=200, mean_block=1, seed=seed).p for seed in range(80)])
    assert 0.4 < found.mean() < 0.62
    assert 0.02 < (found < 0.1).mean() < 0.2  # 10 % of 80 have a deviation of 3.4 %
    assert (found > 0.5).mean() > 0.35


def test_one_good_trial_among_noise_is_superior_and_named():
    returns = noise(12, rows=750)
    returns[:, 3] += 0.002
    found = spa(returns)
    assert found.best == 3
    assert found.p < 0.01
    assert 0.0 < found.lower <= found.p <= found.upper


def test_a_benchmark_as_good_takes_superiority_away():
    returns = noise(12, rows=750, columns=5)
    returns += 0.002
    assert spa(returns).p < 0.01
    assert spa(returns, benchmark=noise(40, 750, 1)[:, 0] + 0.002).p > 0.1


def test_leverage_does_not_make_a_trial_superior():
    returns = noise(13, rows=500, columns=4)
    levered = returns * np.array([1.0, 10.0, 100.0, 1e-3])
    assert spa(levered, mean_block=5).p == pytest.approx(spa(returns, mean_block=5).p)


def test_a_cell_that_did_nothing_is_not_superior_to_losses():
    losing = np.random.default_rng(1).normal(-0.0006, 0.008, (1000, 8))
    losing -= losing.mean(axis=0) + 0.0001  # each loses for sure
    for idle in (0.0, 0.0001, -0.0001):
        found = spa(np.column_stack([losing, np.full(1000, idle)]), draws=200)
        assert (found.lower, found.p, found.upper) == (1.0, 1.0, 1.0)
        assert found.best == 8  # a Sharpe ratio of 0 is better than a loss


@pytest.mark.parametrize("value", [0.0, 0.001, -0.001, 0.0001])
def test_returns_that_never_took_risk_prove_nothing(value):
    found = spa(np.full((1000, 3), value))
    assert (found.lower, found.p, found.upper) == (1.0, 1.0, 1.0)
    assert found.mean_block == 1.0


def test_an_idle_or_constant_cell_beside_others_changes_nothing():
    returns = noise(14, rows=500, columns=4) + 0.0004
    alone = spa(returns, draws=500)
    assert 1 / 501 < alone.p < 1.0
    assert spa(np.column_stack([returns, np.zeros(500), np.full(500, 0.0001)]), draws=500) == alone


def test_what_is_the_benchmark_but_for_rounding_is_not_superior_to_it():
    returns = noise(15, rows=500, columns=1)
    same = np.column_stack([returns, returns + 1e-17, 3.0 * returns / 3.0, returns + 0.0001])
    found = spa(same, benchmark=returns[:, 0])
    assert (found.lower, found.p, found.upper) == (1.0, 1.0, 1.0)


def test_the_market_itself_held_and_hedged_is_not_superior():
    market = np.random.default_rng(16).normal(0.0005, 0.01, 1000)
    found = spa(hedge(np.column_stack([market, 0.5 * market]), market).returns)
    assert (found.lower, found.p, found.upper) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: spa(noise(0), draws=1000.0), "draws is 1000.0; give a whole number"),
        (lambda: spa(noise(0, rows=10)), "10 returns are too few"),
        (lambda: spa(noise(0), draws=10), "draws is 10"),
        (lambda: spa(noise(0), benchmark=np.zeros(5)), "the benchmark has 5 rows, the trials 400"),
    ],
)
def test_spa_refuses_in_one_line(call, words):
    with pytest.raises(InputRefused, match=words):
        call()
