import numpy as np
import pandas as pd
import pytest

from workbench.errors import InputRefused
from workbench.features import technical
from workbench.features.protocol import Feature


@pytest.mark.parametrize("feature", technical.basic(), ids=lambda f: f.name)
def test_a_row_does_not_change_when_later_rows_are_removed(feature, walk):
    assert isinstance(feature, Feature)
    whole = feature.compute(walk)
    for day in (250, 401, 530):
        cut = feature.compute(walk.until(walk.index[day]))
        pd.testing.assert_frame_equal(whole.iloc[: day + 1], cut, check_freq=False)
    assert whole.iloc[-1].notna().all()


def test_by_hand(bars_of):
    bars = bars_of([100.0, 110.0, 121.0, 108.9])
    assert technical.momentum(2).compute(bars).iloc[2, 0] == pytest.approx(0.21)
    assert technical.distance(2).compute(bars).iloc[1, 0] == pytest.approx(110 / 105 - 1)
    # returns 0.1, 0.1, -0.1: the last two deviate by 0.1 from their mean 0
    assert technical.volatility(2).compute(bars).iloc[3, 0] == pytest.approx(np.sqrt(0.02) * np.sqrt(252))


def test_volume_surprise_by_hand(bars_of):
    bars = bars_of([1.0, 1.0, 1.0], volume=[[100.0], [300.0], [400.0]])
    assert technical.volume_surprise(2).compute(bars).iloc[2, 0] == pytest.approx(np.log(2.0))


def test_the_rsi_of_a_printed_example(bars_of):
    # The worked example of StockCharts' ChartSchool: 70.53 from closes with four decimals, here rounded to two.
    closes = [44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28]
    assert technical.rsi(14).compute(bars_of(closes)).iloc[-1, 0] == pytest.approx(70.46, abs=0.1)


def test_ta_lib_and_pandas_ta_classic_agree(walk):
    import pandas_ta_classic as ta

    close = walk.close["TEC00"]
    pd.testing.assert_series_equal(
        technical.rsi(14).compute(walk)["TEC00"], ta.rsi(close, 14, talib=True), check_names=False, check_freq=False
    )
    range_ = ta.atr(walk.high["TEC00"], walk.low["TEC00"], close, 14, talib=True) / close
    pd.testing.assert_series_equal(
        technical.atr(14).compute(walk)["TEC00"], range_, check_names=False, check_freq=False
    )


def test_a_gap_does_not_poison_what_follows(bars_of):
    close = np.linspace(100, 130, 60)
    close[30:33] = np.nan
    found = technical.rsi(14).compute(bars_of(close)).iloc[:, 0]
    assert found.iloc[30:33].isna().all()
    assert found.iloc[33:].notna().all()


def test_a_window_longer_than_the_data_is_refused(bars_of):
    with pytest.raises(InputRefused, match=r"momentum_21: window 21 is longer than the data \(4 bars\)"):
        technical.momentum(21).compute(bars_of([1.0, 1.0, 1.0, 1.0]))


def test_a_panel_has_a_row_a_session_and_symbol(walk):
    table = technical.panel(technical.basic(), walk)
    assert table.shape == (600 * 12, 7)
    assert table.loc[(walk.index[-1], "FIN02"), "momentum_21"] == pytest.approx(
        walk.close["FIN02"].iloc[-1] / walk.close["FIN02"].iloc[-22] - 1
    )
