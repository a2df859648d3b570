"""The prices follow from the seed; a recorded bar is walked through by its own corners; history agrees with both."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.tws.wire import Wire
from workbench.tws import Simulator, SimulatorRefused
from workbench.tws.history import History, read_end
from workbench.tws.hours import ALWAYS, Hours
from workbench.tws.recorded import read_bars
from workbench.tws.settings import Settings

MONDAY = date(2026, 1, 5)
DAILY = """date,symbol,open,high,low,close,volume
2024-03-07,AAA,99,101,98,100,1000
2024-03-08,AAA,100,110,95,105,2000
2024-03-08,BBB,20,21,19,20,3000
2024-03-11,AAA,106,108,104,107,4000
"""
# The clocks in New York went forward on 2024-03-10: 10:00 is 15:00 UTC on the 8th and 14:00 UTC on the 11th.
FRIDAY_TEN = "2024-03-08T15:00:00+00:00"


@pytest.fixture
def daily(tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text(DAILY)
    return file


def market_of(**settings):
    return Settings(**settings).open_market()


def test_a_walk_starts_at_the_price_asked_for_and_repeats():
    first, second = (market_of(symbols={"AAA": 50.0}, seed=3).path("AAA", MONDAY) for _ in range(2))
    assert first.mid[0] == pytest.approx(5_000, abs=5)
    assert (first.mid == second.mid).all()
    assert (first.mid != market_of(symbols={"AAA": 50.0}, seed=4).path("AAA", MONDAY).mid).any()


def test_a_walk_moves_as_much_as_it_says():
    market = market_of(symbols={"AAA": 50.0})
    closes = [market.path("AAA", day).mid[-1] for day in market.hours.before(MONDAY, 500)]
    # 1.2 per cent a calendar day; a weekend counts as three, so that 1.4 times as much falls on the average weekday
    assert np.diff(np.log(closes)).std() == pytest.approx(0.012 * np.sqrt(7 / 5), rel=0.1)


def test_the_book_is_never_crossed_and_the_last_price_is_one_of_its_sides():
    path = market_of(symbols={"AAA": 50.0}, spread_bps=4.0).path("AAA", MONDAY)
    for second in range(0, 23_400, 997):
        book = path.at(second)
        assert book.ask - book.bid == 2  # four hundredths of a per cent of 50 dollars
        assert book.last in (book.bid, book.ask)
        assert book.last == path.last(second, second + 1)[0]
        assert 100 <= book.bid_size <= 1_600


def test_a_recorded_day_touches_its_open_extremes_and_close(daily):
    market = market_of(market=str(daily), start=FRIDAY_TEN)
    mid = market.path("AAA", date(2024, 3, 8)).mid
    assert (mid[0], mid.max(), mid.min(), mid[-1]) == (10_000, 11_000, 9_500, 10_500)
    assert market.hours.trades_on(date(2024, 3, 8))
    assert not market.hours.trades_on(date(2024, 3, 6))  # a Wednesday, but not in the file


def test_a_symbol_without_a_bar_stands_still(daily):
    market = market_of(market=str(daily), start=FRIDAY_TEN)
    assert set(market.path("BBB", date(2024, 3, 11)).mid) == {2_000}


def test_history_of_recorded_days_is_the_file_and_never_shows_what_has_not_happened(daily):
    with Simulator(market=str(daily), start=FRIDAY_TEN, factor=0) as sim, Wire(sim.port) as wire:
        ask = (
            20,
            7,
            0,
            "AAA",
            "STK",
            "",
            0,
            "",
            "",
            "SMART",
            "",
            "USD",
            "",
            "",
            0,
            "",
            "1 day",
            "5 D",
            1,
            "TRADES",
            1,
            0,
            "",
        )
        wire.send(*ask)
        bars = wire.until("17")
        assert bars[4] == "2"
        assert bars[5:11] == ["20240307", "99", "101", "98", "100", "1000"]
        assert bars[13] == "20240308"
        assert bars[17] != "105"  # the session is on: its close is not known yet
        sim.advance(7 * 3_600)
        wire.send(*ask)
        assert wire.until("17")[13:19] == ["20240308", "100", "110", "95", "105", "2000"]


def test_bars_of_a_session_are_made_of_its_seconds():
    market = market_of(symbols={"AAA": 50.0})
    history, path = History(market), market.path("AAA", MONDAY)
    opened = market.hours.open_of(MONDAY)
    bars = history.bars(history.wanted("AAA", "5 mins", "TRADES", "1"), "1 D", opened + 899, opened + 899)
    last = path.last() / 100
    assert [(bar.at - opened, bar.open, bar.close) for bar in bars] == [
        (0, last[0], last[299]),
        (300, last[300], last[599]),
        (600, last[600], last[899]),
    ]
    assert bars[1].high == last[300:600].max()
    assert bars[1].volume == path.volume(300, 600).sum()


def test_weeks_and_months_are_made_of_days():
    market = market_of(symbols={"AAA": 50.0})
    history, now = History(market), float(market.hours.open_of(MONDAY) + 23_400)
    days = history.bars(history.wanted("AAA", "1 day", "TRADES", "1"), "2 W", now, now)
    weeks = history.bars(history.wanted("AAA", "1 week", "TRADES", "1"), "2 W", now, now)
    assert (len(days), len(weeks)) == (10, 3)  # from Tuesday the 23rd of December to Monday the 5th of January
    assert weeks[0].open == days[0].open
    assert weeks[1].high == max(day.high for day in days[4:9])
    assert weeks[1].close == days[8].close


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20260105 16:00:00 America/New_York", 1_767_646_800),
        ("20260105 16:00:00 US/Eastern", 1_767_646_800),
        ("20260105 16:00:00", 1_767_646_800),
        ("20260105-21:00:00", 1_767_646_800),
        ("", 5.0),
    ],
)
def test_the_end_of_a_request_is_read_in_every_form(text, seconds):
    assert read_end(text, 5.0) == seconds


def test_sessions_know_weekends_and_summer_time():
    hours = Hours()
    assert hours.open_of(date(2024, 3, 8)) == 1_709_908_200  # 14:30 UTC
    assert hours.open_of(date(2024, 3, 11)) == 1_710_163_800  # 13:30 UTC
    assert hours.next_open(1_709_908_200 + 23_400) == 1_710_163_800
    assert not hours.is_open(1_709_908_200 + 23_400)
    assert hours.last_day(1_709_908_200 - 1) == date(2024, 3, 7)
    assert ALWAYS.is_open(1_710_000_000)


def test_around_the_clock_orders_for_the_day_end_at_midnight_and_others_go_on():
    with Simulator(hours="always", start="2026-01-04T23:59:00+00:00", factor=0) as sim, Wire(sim.port) as wire:
        wire.place(1, kind="LMT", limit=150.0)
        wire.place(2, kind="LMT", limit=150.0, tif="GTC")
        wire.quiet()
        sim.advance(120)
        assert [order["status"] for order in sim.orders()] == ["Cancelled", "Submitted"]
        wire.place(3)
        wire.quiet()
        assert sim.positions() == {"AAPL": 100}


def test_recorded_minutes_of_the_real_world_are_walked_through(shared):
    recorded = read_bars(shared / "intraday" / "bars_5min_2024.parquet", seed=7)
    assert not recorded.daily
    day = sorted(recorded.days)[3]
    mids = recorded.mids("SPY", day, 23_400)
    one = recorded.series["SPY"]
    opened = Hours().open_of(day)
    rows = (one.at >= opened) & (one.at < opened + 23_400)
    assert rows.sum() > 70
    assert mids.max() == pytest.approx(one.prices[rows, 1].max())
    assert mids.min() == pytest.approx(one.prices[rows, 2].min())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 lines"),
        ("date,symbol,open,high,low\n2024-01-02,A,1,1,1\n", "no column close"),
        ("symbol,open,high,low,close\nA,1,1,1,1\n", "no column a time"),
        ("date,symbol,open,high,low,close\nyesterday,A,1,1,1,1\n", "date 'yesterday' is not a date"),
        ("date,symbol,open,high,low,close\n2024-01-02,A,1,x,1,1\n", "not a number"),
        ("date,symbol,open,high,low,close\n2024-01-02,A,0,1,1,1\n", "no bar with four positive prices"),
    ],
)
def test_a_market_file_that_makes_no_sense_is_refused_in_one_line(tmp_path, text, said):
    file = tmp_path / "bars.csv"
    file.write_text(text)
    with pytest.raises(SimulatorRefused, match=said) as refused:
        read_bars(file, seed=7)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server_version": 158}, "server_version 158"),
        ({"server_version": 200}, "server_version 200"),
        ({"port": 70_000}, "port 70000"),
        ({"factor": -1}, "factor -1: at least 0"),
        ({"hours": "uk"}, "hours 'uk'"),
        ({"account": "U123"}, "account 'U123'"),
        ({"start": "soon"}, "start 'soon'"),
        ({"market": "a.csv", "symbols": {"A": 1.0}}, "give one of the two"),
    ],
)
def test_settings_that_make_no_sense_are_refused_in_one_line(settings, said):
    with pytest.raises(SimulatorRefused) as refused:
        Settings(**settings)
    assert said in str(refused.value)
