"""Expected times come from the exchange's published hours, and from exchange_calendars' own recorded answers."""

import zipfile
from datetime import UTC, datetime

import pandas as pd
import pytest

from workbench.errors import InputRefused, StaleData
from workbench.sessions import Calendar


@pytest.fixture(scope="module")
def nyse() -> Calendar:
    return Calendar()


def test_holidays_and_weekends_are_no_sessions(nyse):
    days = nyse.sessions("2024-07-01", "2024-07-08")
    assert [str(day.date()) for day in days] == ["2024-07-01", "2024-07-02", "2024-07-03", "2024-07-05", "2024-07-08"]


def test_a_half_day_closes_at_one_in_new_york(nyse):
    assert nyse.closes("2024-07-03") == datetime(2024, 7, 3, 17, 0, tzinfo=UTC)
    assert nyse.closes("2024-07-02") == datetime(2024, 7, 2, 20, 0, tzinfo=UTC)
    assert len(nyse.minutes("2024-07-03")) == 42
    assert len(nyse.minutes("2024-07-02")) == 78
    assert nyse.half_days(nyse.sessions("2024-07-02", "2024-07-05")).tolist() == [False, True, False]


def test_the_close_moves_in_utc_when_the_clocks_change(nyse):
    assert nyse.closes("2024-03-08") == datetime(2024, 3, 8, 21, 0, tzinfo=UTC)
    assert nyse.closes("2024-03-11") == datetime(2024, 3, 11, 20, 0, tzinfo=UTC)
    assert nyse.opens("2024-11-04") == datetime(2024, 11, 4, 14, 30, tzinfo=UTC)


def test_the_last_sessions_end_on_or_before_the_day(nyse):
    assert [str(day.date()) for day in nyse.last(2, "2024-07-04")] == ["2024-07-02", "2024-07-03"]


def test_age_counts_closed_sessions_only(nyse):
    during = datetime(2024, 7, 5, 15, 0, tzinfo=UTC)
    after = datetime(2024, 7, 5, 20, 0, tzinfo=UTC)
    assert nyse.age("2024-07-03", during) == 0
    assert nyse.age("2024-07-03", after) == 1


def test_stale_data_is_refused_with_its_age(nyse):
    now = datetime(2024, 7, 10, 21, 0, tzinfo=UTC)
    nyse.require_fresh("2024-07-09", now, 1, "prices_daily")
    with pytest.raises(StaleData, match="prices_daily: the newest row is of 2024-07-03, 4 sessions old"):
        nyse.require_fresh("2024-07-03", now, 1, "prices_daily")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: c.sessions("2024-02-01", "2024-01-01"), "start 2024-02-01 is after end 2024-01-01"),
        (lambda c: c.closes("2024-07-04"), "2024-07-04 is not a session of XNYS; the next one is 2024-07-05"),
        (lambda c: c.sessions("soon", "2024-01-01"), "'soon' is not a date"),
        (lambda c: c.sessions("1890-01-01", "1891-01-01"), "outside the calendar of XNYS"),
        (lambda c: c.last(0, "2024-01-01"), "ask for at least 1"),
        (lambda c: Calendar("NYSEE"), "calendar 'NYSEE': no such exchange"),
    ],
)
def test_bad_questions_get_one_clear_line(nyse, call, says):
    with pytest.raises(InputRefused, match=says):
        call(nyse)


def test_every_recorded_session_agrees(nyse, shared):
    with zipfile.ZipFile(shared / "reference" / "exchange_calendars.zip") as archive:
        name = next(entry for entry in archive.namelist() if entry.endswith("xnys.csv"))
        recorded = pd.read_csv(archive.open(name), index_col=0, parse_dates=True)
    days = nyse.sessions(recorded.index[0], recorded.index[-1])
    assert list(days) == list(recorded.index.tz_localize(None))
    closes = nyse.closing_times(days)
    recorded_closes = pd.DatetimeIndex(pd.to_datetime(recorded["close"], utc=True))
    assert list(closes) == list(recorded_closes)
