import numpy as np
import pandas as pd
import pytest

from workbench.errors import InputRefused
from workbench.features import technical
from workbench.features.engine import evaluate
from workbench.features.indicators import classic_feature, talib_feature
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


def test_all_columns_lie_in_one_table(walk):
    table = evaluate(technical.basic(), walk).to_long()
    assert table.shape == (600 * 12, 7)
    assert table.loc[(walk.index[-1], "FIN02"), "momentum_21"] == pytest.approx(
        walk.close["FIN02"].iloc[-1] / walk.close["FIN02"].iloc[-22] - 1, rel=1e-6
    )


NAMED = [
    talib_feature("ADX", timeperiod=14),
    talib_feature("MACD", output="macdhist"),
    talib_feature("BBANDS", timeperiod=20),
    talib_feature("MFI", timeperiod=14),
    classic_feature("fisher", output="FISHERT_9_1", length=9, lookback=120),
    classic_feature("rsi", length=14, lookback=400),
]


@pytest.mark.parametrize("feature", [*technical.basic(), *NAMED], ids=lambda f: f.name)
def test_the_lookback_is_enough(feature, walk):
    whole = feature.compute(walk).iloc[-1]
    few = feature.compute(walk.between(walk.index[-feature.lookback])).iloc[-1]
    np.testing.assert_allclose(few, whole, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("feature", NAMED, ids=lambda f: f.name)
def test_an_indicator_by_name_looks_at_the_past_only(feature, walk):
    whole = feature.compute(walk)
    assert whole.iloc[-1].notna().all()
    for day in (250, 401, 530):
        pd.testing.assert_frame_equal(
            whole.iloc[: day + 1], feature.compute(walk.until(walk.index[day])), check_freq=False
        )


def test_an_indicator_by_name_is_the_librarys_own(walk):
    import pandas_ta_classic as ta
    import talib

    high, low, close = (getattr(walk, name)["TEC00"] for name in ("high", "low", "close"))
    for feature, expected in [
        (talib_feature("ADX", timeperiod=14), talib.ADX(high.to_numpy(), low.to_numpy(), close.to_numpy(), 14)),
        (talib_feature("MACD", output="macdhist"), talib.MACD(close.to_numpy())[2]),
        (talib_feature("BBANDS", output="lowerband", timeperiod=20), talib.BBANDS(close.to_numpy(), 20)[2]),
        (classic_feature("adx", output="ADX_14", length=14), ta.adx(high, low, close, 14, talib=True)["ADX_14"]),
        (classic_feature("ema", length=10), talib.EMA(close.to_numpy(), 10)),
    ]:
        np.testing.assert_array_equal(feature.compute(walk)["TEC00"], expected, err_msg=feature.name)


def test_pinned_values(walk):
    # As TA-Lib 0.8.2 and pandas-ta-classic 0.8.32 gave them: an upgrade that changes one is seen here.
    expected = {
        "momentum_21": 0.0412475045804,
        "momentum_126": 0.353265270784,
        "volatility_21": 0.240375492464,
        "distance_50": 0.0461889100557,
        "volume_surprise_21": 0,
        "rsi_14": 61.5056611381,
        "atr_14": 0.030547479634,
        "talib_adx_14": 22.8879351909,
        "talib_macd_macdhist": 0.178748448498,
        "talib_bbands_upperband_20": 93.3753964563,
        "talib_mfi_14": 64.4278914712,
        "classic_fisher_FISHERT_9_1_9": 0.131009935596,
        "classic_rsi_14": 61.5056611381,
    }
    found = {feature.name: float(feature.compute(walk)["TEC00"].iloc[-1]) for feature in [*technical.basic(), *NAMED]}
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: talib_feature("ADXX"), r"TA-Lib has no function 'ADXX'. Did you mean 'ADX"),
        (lambda: talib_feature("RSI", period=14), "RSI: no setting 'period'. Did you mean 'timeperiod'"),
        (lambda: talib_feature("MACD", output="hist"), "MACD: no output 'hist'"),
        (lambda: talib_feature("OBV"), "OBV adds up all volume since the first bar"),
        (lambda: classic_feature("rsii"), "pandas-ta-classic has no indicator 'rsii'. Did you mean 'rsi'"),
    ],
)
def test_what_a_library_does_not_have_is_refused(make, says):
    with pytest.raises(InputRefused, match=says):
        make()


def test_an_indicator_with_several_columns_wants_one_named(walk):
    with pytest.raises(InputRefused, match="fisher: gives several columns"):
        classic_feature("fisher", length=9).compute(walk)


def test_what_pandas_ta_classic_draws_centred_is_given_as_it_was_known(walk):
    close = walk.close["TEC00"]
    found = classic_feature("dpo", length=20).compute(walk)["TEC00"]
    # The price less the average of 20 bars as it was 20 / 2 + 1 bars ago; centred it would be that 11 bars ahead.
    expected = close - close.rolling(20).mean().shift(11)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_rows_that_an_indicator_fills_only_when_more_bars_come_stay_empty(walk):
    feature = classic_feature("supertrend", output="SUPERT_7_3.0")
    whole = feature.compute(walk)
    assert whole.iloc[:6].isna().all(axis=None)
    assert whole.iloc[6:].notna().any(axis=None)
    for rows in (1, 3, 7, 8):
        alone = feature.compute(walk.until(walk.index[rows - 1]))
        pd.testing.assert_frame_equal(whole.iloc[:rows], alone, check_freq=False)


def test_the_first_bar_of_a_listing_has_its_value_on_the_day(walk):
    for feature in (talib_feature("AVGPRICE"), classic_feature("hl2")):
        first = feature.compute(walk.until(walk.index[0]))
        assert first.notna().all(axis=None)
        pd.testing.assert_frame_equal(first, feature.compute(walk).iloc[:1], check_freq=False)


@pytest.mark.parametrize(
    ("function", "settings", "says"),
    [
        ("vp", {}, "vp fits the whole sample at once, so every row reads ahead"),
        ("obv", {}, "obv adds up from the first bar on"),
        ("rsi", {"lenght": 14}, "rsi: no setting 'lenght'. Did you mean 'length'?"),
        ("mavp", {}, "mavp reads 'periods', which bars do not have"),
        ("xsignals", {}, "xsignals reads 'signal', which bars do not have"),
        ("fisherr", {}, "pandas-ta-classic has no indicator 'fisherr'. Did you mean 'fisher'?"),
    ],
)
def test_an_indicator_that_no_past_decides_is_refused(function, settings, says):
    with pytest.raises(InputRefused) as refused:
        classic_feature(function, **settings)
    assert str(refused.value).startswith(says)
