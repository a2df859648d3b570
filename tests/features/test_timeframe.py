import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.data.sample import generate
from workbench.errors import DataRefused, NoData
from workbench.features import technical
from workbench.features.alpha158 import alpha158
from workbench.features.intraday import Intraday, session_vwap
from workbench.features.timeframe import monthly, resampled, sessions, weekly
from workbench.params import SampleParams
from workbench.sessions import Calendar
from workbench.types import Bars


def test_a_weeks_value_is_known_at_the_close_of_its_last_session_and_not_before(bars_of):
    # From Monday 2020-01-06; Monday 2020-01-20 is a holiday.
    bars = bars_of(np.arange(1.0, 18.0), start="2020-01-06")
    found = weekly(technical.momentum(1)).compute(bars).iloc[:, 0]
    assert found.loc[:"2020-01-16"].isna().all()
    assert found["2020-01-17"] == pytest.approx(10 / 5 - 1)  # Friday over Friday
    assert found["2020-01-23"] == pytest.approx(10 / 5 - 1)
    assert found["2020-01-24"] == pytest.approx(14 / 10 - 1)
    assert found.iloc[-1] == pytest.approx(14 / 10 - 1)


def test_a_week_that_ends_on_thursday_is_known_on_thursday(bars_of):
    # Good Friday 2020-04-10 is no session.
    bars = bars_of(np.arange(1.0, 16.0), start="2020-03-30")
    found = weekly(technical.momentum(1)).compute(bars).iloc[:, 0]
    assert np.isnan(found["2020-04-08"])
    assert found["2020-04-09"] == pytest.approx(9 / 5 - 1)


@pytest.mark.parametrize("feature", [weekly(technical.rsi(5)), monthly(technical.momentum(3))], ids=lambda f: f.name)
def test_no_row_changes_when_later_rows_are_removed(feature, walk):
    whole = feature.compute(walk)
    assert whole.iloc[-1].notna().all()
    for day in (*range(400, 424), 530):
        cut = feature.compute(walk.until(walk.index[day]))
        pd.testing.assert_frame_equal(whole.iloc[: day + 1], cut, check_freq=False)


def test_a_longer_bar_adds_up_its_days(walk):
    weeks, known = resampled(walk, "week")
    days = walk.between("2020-03-09", "2020-03-13")
    week = weeks.between("2020-03-13", "2020-03-13")
    symbol = "FIN01"
    assert week.open[symbol].iloc[0] == days.open[symbol].iloc[0]
    assert week.high[symbol].iloc[0] == days.high[symbol].max()
    assert week.low[symbol].iloc[0] == days.low[symbol].min()
    assert week.close[symbol].iloc[0] == days.close[symbol].iloc[-1]
    assert week.volume[symbol].iloc[0] == 5e6
    assert list(walk.index[known]) == list(weeks.index)


def test_too_little_for_one_period_is_refused(bars_of):
    with pytest.raises(NoData, match="no whole month between 2020-01-06"):
        resampled(bars_of(np.arange(1.0, 9.0), start="2020-01-06"), "month")


@pytest.fixture(scope="module")
def five_minutes():
    """Two sessions of five-minute bars: closes rise by 0.1 a bar, volume is 100, in a session's first bar 1,000."""
    calendar = Calendar()
    index = calendar.minutes("2024-07-02").append(calendar.minutes("2024-07-03"))  # the second is a half day
    assert len(index) == 78 + 42
    close = 50.0 + 0.1 * np.arange(1, len(index) + 1)
    volume = np.full(len(index), 100.0)
    volume[[0, 78]] = 1000.0

    def frame(values):
        return pd.DataFrame(values[:, None], index=index, columns=["AAA"])

    return Bars(frame(close - 0.1), frame(close + 0.05), frame(close - 0.15), frame(close), frame(volume), frame(close))


def test_sessions_add_up_their_bars(five_minutes):
    days = sessions(five_minutes)
    assert list(days.index) == [pd.Timestamp("2024-07-02"), pd.Timestamp("2024-07-03")]
    assert days.open["AAA"].tolist() == pytest.approx([50.0, 57.8])
    assert days.close["AAA"].tolist() == pytest.approx([57.8, 62.0])
    assert days.volume["AAA"].tolist() == [1000 + 77 * 100, 1000 + 41 * 100]


def test_a_session_counts_when_its_last_bar_has_come(five_minutes):
    before_last = five_minutes.until(five_minutes.index[-2])
    assert list(sessions(before_last).index) == [pd.Timestamp("2024-07-02")]
    assert list(Intraday().compute(before_last).index) == [pd.Timestamp("2024-07-02")]


def test_intraday_columns_by_hand(five_minutes):
    found = Intraday(edge_bars=6).compute(five_minutes)
    first = {name: found.frame(name).iloc[0, 0] for name in found}
    assert first["morning_return"] == pytest.approx(50.6 / 50.0 - 1, rel=1e-5)
    assert first["evening_return"] == pytest.approx(57.8 / 57.2 - 1, rel=1e-5)
    assert first["morning_volume"] == pytest.approx(1500 / 8700, rel=1e-6)
    steps = np.diff(np.log(50.0 + 0.1 * np.arange(79)))
    assert first["realised_volatility"] == pytest.approx(np.sqrt((steps**2).sum() * 252), rel=1e-5)
    # Typical prices lie 0.0333 below the close; the first bar counts ten times.
    typical = 50.0 + 0.1 * np.arange(1, 79) - 0.1 / 3
    vwap = (typical.sum() * 100 + typical[0] * 900) / 8700
    assert first["close_to_vwap"] == pytest.approx(57.8 / vwap - 1, rel=1e-4)
    assert session_vwap(five_minutes).iloc[0, 0] == pytest.approx(vwap)


def test_the_vwap_of_the_sessions_feeds_the_library(five_minutes):
    days = sessions(five_minutes)
    found = alpha158(["VWAP0"], session_vwap(five_minutes)).compute(days).frame("VWAP0")
    assert found.iloc[0, 0] == pytest.approx(session_vwap(five_minutes).iloc[0, 0] / 57.8, rel=1e-6)


def test_five_minute_bars_of_the_sample_market_add_up_to_its_days(tmp_path):
    made = generate(SampleParams(years=2, symbols_per_sector=2, intraday_sessions=3))
    lake = Lake(tmp_path / "lake", "sample")
    for name in ("symbols", "actions", "prices_daily", "prices_5min"):
        put(lake, name, getattr(made, name).with_columns(source=pl.lit("sample")))
    few = sessions(lake.bars(dataset="prices_5min", adjusted=False))
    days = lake.bars(list(few.symbols), start=few.index[0].date(), adjusted=False)
    assert len(few) == 3
    found = Intraday().compute(lake.bars(dataset="prices_5min", adjusted=False))
    assert found.values.shape == (5, 13, 3)
    volatility = found.frame("realised_volatility").mean().mean()
    assert 0.1 < volatility < 0.6  # the market's stocks have 18 to 58 % a year (docs/sample-market.md)
    assert found.frame("morning_volume").stack().between(0, 1).all()
    for name in ("open", "high", "low", "close", "volume"):
        pd.testing.assert_frame_equal(getattr(few, name), getattr(days, name), check_freq=False)


def test_daily_and_intraday_bars_are_not_mixed_up(five_minutes, walk):
    with pytest.raises(DataRefused, match="make daily bars of them first"):
        weekly(technical.momentum(1)).compute(five_minutes)
    with pytest.raises(DataRefused, match="daily already"):
        sessions(walk)
