import numpy as np
import pandas as pd
import pytest

from workbench.errors import InputRefused, NoData
from workbench.features import technical
from workbench.features.crosssection import beta, neutral, ranked, scored, winsorised
from workbench.features.engine import evaluate


class Given:
    """A feature whose numbers are given."""

    name, inputs, lookback = "given", ("close",), 1

    def __init__(self, row):
        self.row = row

    def compute(self, bars):
        return pd.DataFrame([self.row] * len(bars), index=bars.index, columns=list(bars.symbols))


@pytest.fixture
def five(bars_of):
    return bars_of(np.full((3, 5), 10.0), list("ABCDE"), sectors=dict(zip("ABCDE", "xxyyy", strict=True)))


def row(feature, bars):
    return feature.compute(bars).iloc[-1].tolist()


def test_ranks_share_places_and_skip_what_is_missing(five):
    assert row(ranked(Given([3.0, 1.0, 3.0, np.nan, 9.0])), five) == pytest.approx(
        [2.5 / 4, 1 / 4, 2.5 / 4, np.nan, 1.0], nan_ok=True
    )


def test_scores_are_standard_deviations_from_the_mean_and_stop_at_the_limit(five):
    # mean 3, squares 4 1 0 1 4 over 4: a standard deviation of 1.5811
    assert row(scored(Given([1.0, 2.0, 3.0, 4.0, 5.0])), five) == pytest.approx(
        [-1.2649, -0.6325, 0, 0.6325, 1.2649], abs=1e-4
    )
    assert row(scored(Given([1.0, 2.0, 3.0, 4.0, 5.0]), 1.0), five)[0] == -1.0
    assert np.isnan(row(scored(Given([2.0] * 5)), five)).all()


def test_winsorised_values_stop_at_the_quantiles(five):
    # quantiles 0.25 and 0.75 of 1 2 3 4 100 are 2 and 4
    assert row(winsorised(Given([1.0, 2.0, 3.0, 4.0, 100.0]), 0.25), five) == [2.0, 2.0, 3.0, 4.0, 4.0]
    # of four values the quantile 0.25 lies at place 0.75, the quantile 0.75 at place 2.25: 1.75 and 27.25
    found = row(winsorised(Given([100.0, 1.0, np.nan, 3.0, 2.0]), 0.25), five)
    assert found == pytest.approx([27.25, 1.75, np.nan, 3.0, 2.0], nan_ok=True)
    assert np.isnan(row(winsorised(Given([np.nan] * 5)), five)).all()


def test_a_sector_neutral_feature_is_what_its_sector_does_not_explain(five):
    assert row(neutral(Given([1.0, 3.0, 10.0, 20.0, 60.0])), five) == pytest.approx([-1, 1, -20, -10, 30])


def test_a_beta_neutral_feature_is_the_residual_of_a_regression(walk):
    feature = neutral(technical.momentum(21), sector=True, beta="TEC00", window=60)
    found, betas = feature.compute(walk).iloc[-1], beta(walk, "TEC00", 60).iloc[-1]
    values = technical.momentum(21).compute(walk).iloc[-1]
    sectors = pd.get_dummies(pd.Series(walk.sectors)).astype(float)
    design = np.column_stack([sectors.to_numpy(), betas.to_numpy()])
    fitted = design @ np.linalg.lstsq(design, values.to_numpy(), rcond=None)[0]
    np.testing.assert_allclose(found, values - fitted, atol=1e-12)


def test_a_beta_by_hand(bars_of):
    market = 100 * np.cumprod([1.0, *([1.01, 0.98] * 20)])
    twice = 100 * np.cumprod([1.0, *([1.02, 0.96] * 20)])
    found = beta(bars_of(np.column_stack([market, twice]), ["MKT", "TWO"]), "MKT", 40).iloc[-1]
    assert found.tolist() == pytest.approx([1.0, 2.0])


def test_who_has_no_sector_has_no_residual(five, bars_of):
    some = bars_of(np.full((3, 5), 10.0), list("ABCDE"), sectors={"A": "x", "B": "x"})
    assert row(neutral(Given([1.0, 3.0, 5.0, 7.0, 9.0])), some) == pytest.approx([-1, 1, *[np.nan] * 3], nan_ok=True)
    with pytest.raises(NoData, match="no sector is known"):
        neutral(Given([1.0] * 5)).compute(bars_of(np.full((3, 5), 10.0), list("ABCDE")))


@pytest.mark.parametrize(
    "feature",
    [ranked(technical.momentum(5)), scored(technical.rsi(14), 3.0), winsorised(technical.momentum(5)),
     neutral(technical.momentum(5), beta="FIN00", window=60)],
    ids=lambda feature: feature.name,
)  # fmt: skip
def test_no_row_changes_when_later_rows_are_removed(feature, walk):
    whole = evaluate([feature], walk).values
    for day in (250, 401, 530):
        np.testing.assert_array_equal(evaluate([feature], walk.until(walk.index[day])).values, whole[:, :, : day + 1])


def test_wrong_settings_are_refused():
    inner = technical.momentum(5)
    with pytest.raises(InputRefused, match="to what"):
        neutral(inner, sector=False)
    with pytest.raises(InputRefused, match="window 5 is below 20"):
        neutral(inner, beta="A", window=5)
    with pytest.raises(InputRefused, match=r"tail 0\.7"):
        winsorised(inner, 0.7)
    with pytest.raises(InputRefused, match="limit 0"):
        scored(inner, 0)
