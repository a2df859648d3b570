"""The sample market as a source: it answers what is asked, marks it as sample, and says why when it cannot."""

from datetime import date

import pytest

from workbench.data.datasets import DATASETS
from workbench.data.sample import SampleSource, market
from workbench.data.source import Request, Source
from workbench.errors import InputRefused, NoData
from workbench.params import SampleParams

SOURCE: Source = SampleSource(SampleParams(years=3, intraday_sessions=2))


def test_every_batch_is_in_the_lakes_schema_and_says_sample() -> None:
    for name in SOURCE.datasets():
        batch = SOURCE.fetch(Request(name))
        assert (batch.dataset, batch.market, batch.source) == (name, "sample", "sample")
        assert dict(batch.rows.schema) == DATASETS[name].schema
        assert set(batch.rows["source"]) == {"sample"}
        assert batch.rows.height > 0


def test_symbols_and_dates_are_filtered_with_both_ends_included() -> None:
    wanted = Request("prices_daily", ("TEC02", "MKT00"), date(2024, 7, 1), date(2024, 7, 5))
    rows = SOURCE.fetch(wanted).rows
    # The 4th of July is a holiday: four sessions of two symbols.
    assert rows.height == 8
    assert set(rows["symbol"]) == {"TEC02", "MKT00"}
    assert (rows["session"].min(), rows["session"].max()) == (date(2024, 7, 1), date(2024, 7, 5))


def test_five_minute_bars_are_filtered_by_session() -> None:
    rows = SOURCE.fetch(Request("prices_5min", ("MKT00",), date(2024, 12, 31), date(2024, 12, 31))).rows
    assert rows.height == 78


def test_macro_is_asked_for_by_series() -> None:
    rows = SOURCE.fetch(Request("macro", ("CPI",), date(2023, 1, 1), date(2023, 1, 31))).rows
    assert set(rows["series"]) == {"CPI"}
    assert set(rows["period"]) == {date(2023, 1, 1)}


def test_a_week_without_actions_is_an_empty_answer() -> None:
    assert SOURCE.fetch(Request("actions", ("MKT00",), date(2024, 1, 2), date(2024, 1, 2))).rows.is_empty()


def test_only_the_dataset_asked_for_is_generated_and_only_once() -> None:
    source = SampleSource(SampleParams(seed=99, years=2, intraday_sessions=1))
    before = market.prices_5min.cache_info().misses, market.prices_daily.cache_info().misses
    source.fetch(Request("prices_daily"))
    source.fetch(Request("prices_daily", ("TEC01",)))
    after = market.prices_5min.cache_info().misses, market.prices_daily.cache_info().misses
    assert after == (before[0], before[1] + 1)


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        (Request("prices_dayly"), InputRefused, "no dataset 'prices_dayly'. Did you mean 'prices_daily'?"),
        (Request("prices_daily", ("TEC1",)), NoData, "unknown symbol 'TEC1'. Did you mean 'TEC1"),
        (Request("macro", ("CPIX",)), NoData, "unknown series 'CPIX'. Did you mean 'CPI'?"),
        (
            Request("prices_daily", (), date(2024, 2, 1), date(2024, 1, 1)),
            InputRefused,
            "start 2024-02-01 is after end 2024-01-01; swap them",
        ),
        (
            Request("prices_daily", ("TEC02",), date(2030, 1, 1)),
            NoData,
            "for TEC02 from 2030-01-01 to the end; the sample market runs from 2022-01-03 to 2024-12-31",
        ),
        (
            Request("prices_daily", (), date(2024, 1, 6), date(2024, 1, 7)),  # a weekend
            NoData,
            "no prices_daily for any symbol from 2024-01-06 to 2024-01-07; not listed then, or no session",
        ),
        (
            Request("prices_5min", ("TEC02",), None, date(2024, 6, 28)),
            NoData,
            "it has 5-minute bars of its last 2 sessions only (sample.intraday_sessions)",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(wanted: Request, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        SOURCE.fetch(wanted)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_intraday_sessions_means_no_bars_and_a_reason() -> None:
    with pytest.raises(NoData, match=r"last 0 sessions only \(sample.intraday_sessions\)"):
        SampleSource(SampleParams(years=2, intraday_sessions=0)).fetch(Request("prices_5min"))


def test_a_market_without_intraday_sessions_serves_all_its_datasets_but_5_minute_bars() -> None:
    source = SampleSource(SampleParams(years=2, symbols_per_sector=2, intraday_sessions=0))
    assert set(SOURCE.datasets()) - set(source.datasets()) == {"prices_5min"}
    assert all(source.fetch(Request(name)).rows.height for name in source.datasets())


def test_a_market_before_the_calendar_begins_is_refused() -> None:
    with pytest.raises(InputRefused, match="outside the calendar of XNYS"):
        SampleSource(SampleParams(years=60, end=date(2010, 12, 31))).fetch(Request("prices_daily"))
