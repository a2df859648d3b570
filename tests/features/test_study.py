"""Studies of features: by hand, by simulation where the answer is known, and on the market with planted effects."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.data.sample import generate
from workbench.errors import InputRefused, NoData
from workbench.features import study, technical
from workbench.features.alpha158 import alpha158
from workbench.features.columns import Columns
from workbench.features.engine import evaluate
from workbench.features.rows import correlations
from workbench.params import SampleParams


def columns_of(bars, **frames):
    values = np.stack([np.asarray(frame, dtype=np.float32).T for frame in frames.values()])
    return Columns(tuple(frames), bars.symbols, bars.index, values)


def test_forward_returns_buy_at_the_next_open_and_sell_at_a_close(bars_of):
    bars = bars_of([10.0, 11.0, 12.0, 15.0], open=np.array([[9.0], [10.5], [11.5], [14.0]]))
    found = study.forward_returns(bars, 2).iloc[:, 0]
    assert found.tolist() == pytest.approx([12 / 10.5 - 1, 15 / 11.5 - 1, np.nan, np.nan], nan_ok=True)
    with pytest.raises(InputRefused, match="horizon 0 must be at least 1"):
        study.forward_returns(bars, 0)


def test_rank_correlations_are_spearmans_over_what_both_have():
    chance = np.random.default_rng(1)
    x, y = np.round(chance.normal(size=(40, 9)), 1), np.round(chance.normal(size=(40, 9)), 1)
    x[chance.random(x.shape) < 0.2] = np.nan
    found = correlations(x, y, True, 5)
    for row in range(40):
        here = np.isfinite(x[row])
        expected = stats.spearmanr(x[row][here], y[row][here]).statistic if here.sum() >= 5 else np.nan
        assert found[row] == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_information_of_a_feature_that_is_the_future_is_one(walk):
    ahead = study.forward_returns(walk, 5)
    columns = columns_of(walk, perfect=ahead, opposite=-ahead, constant=ahead * 0.0)
    found = study.information(columns, walk, 5)
    assert found["perfect"].dropna().to_numpy() == pytest.approx(1.0)
    assert found["opposite"].dropna().to_numpy() == pytest.approx(-1.0)
    assert found["constant"].isna().all()
    assert found["perfect"].iloc[-5:].isna().all()


def test_the_interval_by_hand():
    # 40 values alternating 1, 0: deviations of 0.5 that turn sign each time. With lag 3 (4 * 0.4 ** (2 / 9) = 3.26):
    # 10 + 2 * (-0.75 * 39 / 4 + 0.5 * 38 / 4 - 0.25 * 37 / 4) = 0.25
    made = study.estimate(pd.Series([1.0, 0.0] * 20))
    assert made.mean == 0.5
    assert made.high - made.mean == pytest.approx(1.96 * np.sqrt(0.25) / 40)
    assert made.clear
    assert np.isnan(study.estimate(pd.Series([1.0, 0.0])).low)


def test_the_interval_holds_the_truth_about_95_times_in_100_although_values_overlap():
    chance = np.random.default_rng(4)
    horizon, inside = 10, 0
    for _ in range(400):
        noise = chance.normal(size=1_500 + horizon)
        overlapping = pd.Series(np.convolve(noise, np.ones(horizon) / horizon, "valid"))
        made = study.estimate(overlapping, horizon)
        inside += made.low <= 0.0 <= made.high
    # Binomial noise alone is 0.011; Newey and West's intervals are known to be somewhat short.
    assert 0.90 <= inside / 400 <= 0.975


def test_turnover_by_hand(bars_of):
    bars = bars_of(np.full((3, 5), 10.0))
    values = [[1, 2, 3, 4, 5], [1, 2, 3, 5, 4], [1, 2, 3, 5, 4]]
    found = study.turnover(columns_of(bars, given=values), lags=(1,)).loc["given"]
    assert found["turnover"] == 0.5  # the best of five changes once in two sessions
    assert found["lag 1"] == pytest.approx((0.9 + 1.0) / 2)  # one swap of neighbours: 1 - 6 * 2 / (5 * 24)


def test_quantile_returns_by_hand(bars_of):
    opened = np.array([[10.0] * 5, [10.0] * 5, [10.0, 10.1, 10.2, 10.3, 10.4], [9.0] * 5])
    bars = bars_of(np.full((4, 5), 10.0), open=opened, high=np.full((4, 5), 11.0), low=np.full((4, 5), 8.0))
    feature = pd.DataFrame([[1.0, 2.0, 3.0, 4.0, 5.0]] * 4, index=bars.index, columns=list(bars.symbols))
    found = study.quantile_returns(feature, bars, 5)
    assert found.iloc[0].tolist() == pytest.approx([-0.02, -0.01, 0.0, 0.01, 0.02])
    assert found.iloc[-2:].isna().all().all()


def test_clusters_put_like_beside_like(walk):
    chance = np.random.default_rng(2)
    one, two = (pd.DataFrame(chance.normal(size=walk.close.shape), index=walk.index) for _ in range(2))
    found = study.clusters(columns_of(walk, a=one, b=two, a_again=one**3, b_turned=-two, a_noisy=one + 0.1 * two))
    assert found.cluster["a"] == found.cluster["a_again"] == found.cluster["a_noisy"]
    assert found.cluster["b"] == found.cluster["b_turned"] != found.cluster["a"]
    assert found.correlation.loc["a", "a_again"] == pytest.approx(1.0)
    assert found.correlation.loc["b", "b_turned"] == pytest.approx(-1.0)
    names = [name[0] for name in found.correlation.index]
    assert names in (list("aaabb"), list("bbaaa"))


def test_decay_is_a_row_a_horizon(walk):
    found = study.decay(evaluate([technical.momentum(5)], walk), walk, (1, 5))
    assert list(found.index) == [("momentum_5", 1), ("momentum_5", 5)]
    assert (found["low"] <= found["mean"]).all()


def test_bars_of_other_days_are_refused(walk, bars_of):
    columns = evaluate([technical.momentum(5)], walk)
    other = bars_of(np.full((30, 12), 10.0), list(walk.symbols), start="2024-01-02")
    with pytest.raises(NoData, match="no return follows any session"):
        study.information(columns, other, 1)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    made = generate(SampleParams())
    lake = Lake(tmp_path_factory.mktemp("sample") / "lake", "sample")
    for name in ("symbols", "actions", "prices_daily"):
        put(lake, name, getattr(made, name).with_columns(source=pl.lit("sample")))
    return lake.bars()


@pytest.mark.timeout(200)
def test_what_is_planted_is_found_and_what_is_not_is_not(sample):
    """docs/sample-market.md: momentum in Technology and Finance, reversion in Health and Energy, nothing elsewhere."""

    def measured(sectors, feature, horizon):
        bars = sample.select([symbol for symbol, sector in sample.sectors.items() if sector in sectors])
        found = study.information(evaluate([feature], bars), bars, horizon)
        return study.estimate(found.iloc[:, 0], horizon)

    momentum = technical.momentum(126)
    planted = measured(("Technology", "Finance"), momentum, 21)
    assert planted.low > 0.02
    for sectors in (("Health", "Energy"), ("Consumer", "Utilities")):
        assert not measured(sectors, momentum, 21).clear, sectors
    reversal = technical.momentum(5)
    assert measured(("Health", "Energy"), reversal, 5).high < -0.03
    assert not measured(("Consumer", "Utilities"), reversal, 5).clear


def test_a_summary_has_a_row_per_feature_and_the_strongest_stands_first(sample):
    some = [name for name in alpha158().names if name.endswith("60")]
    columns = evaluate([alpha158(some)], sample)
    table = study.summary(columns, sample, 21)
    assert set(table.index) == set(some)
    assert table["rank_ic"].abs().is_monotonic_decreasing
    assert ((table["rank_low"] < table["rank_ic"]) & (table["rank_ic"] < table["rank_high"])).all()
    assert table["turnover"].between(0, 1).all()
    # A high against its low: the sum of both shares is one, so they are one cluster.
    assert table.loc["SUMP60", "cluster"] == table.loc["SUMN60", "cluster"]
