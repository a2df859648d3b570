import numpy as np
import pandas as pd
import pytest

from workbench.errors import DataRefused, NoData


def test_a_negative_price_is_refused_by_symbol_and_day(bars_of):
    with pytest.raises(DataRefused, match=r"close of AAA01 on 2020-01-03 is -5; it must be finite and positive"):
        bars_of([[1.0, 2.0], [1.0, -5.0]], low=[[1.0, 2.0], [1.0, 1.0]], high=[[1.0, 2.0], [1.0, 2.0]])


@pytest.mark.parametrize("price", [0.0, np.inf])
def test_a_zero_or_infinite_price_is_refused(bars_of, price):
    with pytest.raises(DataRefused, match="must be finite and positive"):
        bars_of([[1.0], [price]])


def test_a_missing_bar_is_allowed(bars_of):
    assert np.isnan(bars_of([[1.0], [np.nan], [1.1]]).close.iloc[1, 0])


def test_unsorted_duplicate_and_zoneless_times_are_refused(bars_of):
    from workbench.types import check_index

    with pytest.raises(DataRefused, match="not sorted"):
        check_index(pd.DatetimeIndex(["2020-01-03", "2020-01-02"]), "bars")
    with pytest.raises(DataRefused, match="2020-01-02 appears twice"):
        check_index(pd.DatetimeIndex(["2020-01-02", "2020-01-02"]), "bars")
    with pytest.raises(DataRefused, match="no time zone; localise intraday times to UTC"):
        check_index(pd.DatetimeIndex(["2020-01-02 09:30"]), "bars")
    with pytest.raises(DataRefused, match="times are in America/New_York"):
        check_index(pd.DatetimeIndex(["2020-01-02 09:30"], tz="America/New_York"), "bars")
    with pytest.raises(DataRefused, match="must be a DatetimeIndex"):
        check_index(pd.RangeIndex(3), "bars")


def test_until_keeps_the_day_itself_and_nothing_later(bars_of):
    bars = bars_of([[1.0], [2.0], [3.0]])
    assert list(bars.until("2020-01-03").close.iloc[:, 0]) == [1.0, 2.0]


def test_between_refuses_reversed_dates_and_an_empty_range(bars_of):
    bars = bars_of([[1.0], [2.0], [3.0]])
    with pytest.raises(DataRefused, match="start 2020-02-01 is after end 2020-01-01; swap them"):
        bars.between("2020-02-01", "2020-01-01")
    with pytest.raises(NoData, match="the bars have 2020-01-02 to 2020-01-06"):
        bars.between("2021-01-01", "2021-02-01")
    with pytest.raises(DataRefused, match="'yesterday-ish' is not a date"):
        bars.until("yesterday-ish")


def test_an_unknown_symbol_names_the_nearest(bars_of):
    bars = bars_of([[1.0, 1.0]], ["TEC01", "FIN01"])
    with pytest.raises(NoData, match=r"unknown symbol 'TEC1'\. Did you mean 'TEC01'"):
        bars.select(["TEC1"])
    with pytest.raises(NoData, match="universe is empty"):
        bars.select([])


def test_select_keeps_the_order_asked_for_and_only_its_sectors(bars_of):
    bars = bars_of([[1.0, 2.0]], ["A", "B"], sectors={"A": "x", "B": "y"})
    picked = bars.select(["B"])
    assert picked.symbols == ("B",)
    assert picked.sectors == {"B": "y"}


def test_a_close_is_carried_over_a_short_halt_only(bars_of):
    bars = bars_of([1.0, np.nan, np.nan, np.nan])
    assert bars.last_close(max_gap_bars=2).iloc[:, 0].tolist()[:3] == [1.0, 1.0, 1.0]
    assert np.isnan(bars.last_close(max_gap_bars=2).iloc[3, 0])


def test_frames_of_another_shape_are_refused(bars_of):
    from dataclasses import replace

    bars = bars_of([[1.0, 2.0], [1.0, 2.0]])
    with pytest.raises(DataRefused, match="'volume' has another index or other columns"):
        replace(bars, volume=bars.volume.iloc[:1])
