"""The events planted in the sample market, found through the lake and the study; and real meetings with real prices.

What is planted where stands in docs/sample-market.md: a surprise in Consumer foretells the company's own moves of the
session that first knows of it and of the ten after. A company's own daily volatility there is about 21 % a year by the
market's own making (``companies._CHARACTER``), 1.3 % a day.
"""

import numpy as np
import pandas as pd
import pytest

from tests.data.by_hand import put
from workbench.backtest.events.fed import fed_statements
from workbench.backtest.events.study import EventStudy, event_study
from workbench.data.lake import Lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.errors import DataRefused, NoData
from workbench.params import SampleParams
from workbench.sessions import Calendar
from workbench.types import Bars

SEEDS = (7, 101, 102, 103)
# 0.0711 and 0.3999 of a daily volatility for a surprise of one; the mean size of a normal surprise is 0.798.
OWN_VOLATILITY = 0.21 / np.sqrt(252)
DRIFT = 10 * 0.0711 * 0.798 * OWN_VOLATILITY
REACTION = 0.3999 * 0.798 * OWN_VOLATILITY


def lake_of(folder, seed: int, **effects: float) -> Lake:
    source = SampleSource(SampleParams(seed=seed, intraday_sessions=0, **effects))
    lake = Lake(folder / f"lake-{seed}", "sample")
    for name in ("symbols", "prices_daily", "actions", "events"):
        put(lake, name, source.fetch(Request(name)).rows)
    return lake


def study_of(lake: Lake, code: str) -> EventStudy:
    bars, events = lake.bars(), lake.read("events").to_pandas()
    return event_study(bars, events[events["symbol"].str.startswith(code)], "MKT00")


@pytest.fixture(scope="module")
def lakes(tmp_path_factory):
    return [lake_of(tmp_path_factory.mktemp("lakes"), seed) for seed in SEEDS]


def test_the_planted_drift_is_found_at_its_size(lakes):
    """Each estimate has an error of some 0.17 %, the mean of four seeds one of half of that."""
    signed = [study_of(lake, "CON").signed("surprise") for lake in lakes]
    drift, reaction = [study.car(1, 10) for study in signed], [study.car(0, 0) for study in signed]
    assert np.mean([found.mean for found in drift]) == pytest.approx(DRIFT, abs=0.0026)  # of 0.0075
    assert np.mean([found.mean for found in reaction]) == pytest.approx(REACTION, abs=0.0012)  # of 0.0042
    assert sum(found.low <= DRIFT <= found.high for found in drift) >= 3
    assert sum(found.low > 0.0 for found in drift) >= 3
    assert all(found.t > 4.0 for found in reaction)
    # Nothing before, and nothing once it is over: errors of 0.09 % and 0.1 %.
    assert abs(np.mean([study.car(-10, -1).mean for study in signed])) < 0.0027
    assert abs(np.mean([study.car(11, 20).mean for study in signed])) < 0.0030


def test_the_sides_drift_apart_and_the_larger_surprise_farther(lakes):
    study = study_of(lakes[0], "CON")
    sides = study.split("surprise")
    assert sides["surprise above 0"].car(0, 10).mean > 0.0 > sides["surprise below 0"].car(0, 10).mean
    thirds = [part.car(0, 10).mean for part in study.split("surprise", buckets=3).values()]
    assert thirds[0] < thirds[1] < thirds[2]


def test_nothing_is_found_where_nothing_is_planted(lakes, tmp_path):
    quiet = [study_of(lake, "UTL").signed("surprise").car(1, 10) for lake in lakes]
    quiet += [study_of(lake_of(tmp_path, seed, events=0.0), "CON").signed("surprise").car(1, 10) for seed in SEEDS[:2]]
    # Of six tests at 1 % one fails by chance in 6 %: two would be news.
    assert sum(found.p < 0.01 for found in quiet) <= 1
    assert abs(np.mean([found.mean for found in quiet])) < 0.0020  # error 0.06 %


def test_shuffled_dates_find_nothing_more_often_than_they_may(lakes):
    """Forty studies of reports moved to other days with their surprises kept: two are expected below 5 %."""
    lake = lakes[0]
    bars, events = lake.bars(), lake.read("events").to_pandas()
    events = events[events["symbol"].str.startswith("CON")].reset_index(drop=True)
    closes, random = Calendar().closing_times(bars.index), np.random.default_rng(11)
    places = closes.searchsorted(pd.DatetimeIndex(events["known_at"]))
    found = []
    for _ in range(40):
        # A season's reports move together to another season, so that they stay a crowd.
        season = places // 63
        moved = np.minimum(63 * random.permutation(season.max() + 1)[season] + places % 63, len(closes) - 1)
        placebo = events.assign(known_at=closes[moved] - pd.Timedelta(hours=1))
        found.append(event_study(bars, placebo, "MKT00").signed("surprise").car(1, 10))
    # Seven or more of forty at 5 % happen once in 300 times.
    assert sum(estimate.p < 0.05 for estimate in found) <= 6
    assert sum(not estimate.low <= 0.0 <= estimate.high for estimate in found) <= 7
    assert abs(np.mean([estimate.mean for estimate in found])) < 0.0015


# --- real meetings -------------------------------------------------------------------------------------------------


@pytest.fixture
def index_bars(shared) -> Bars:
    """The S&P 500 as recorded, 2016 to 2024."""
    rows = pd.read_parquet(shared / "prices" / "index_daily_2016_2024.parquet")
    rows = rows[rows["symbol"] == "^SPX"].set_index(pd.DatetimeIndex(rows.loc[rows["symbol"] == "^SPX", "date"]))
    fields = {name: rows[[name]].astype(float).set_axis(["^SPX"], axis=1) for name in ("open", "high", "low", "close")}
    volume = rows[["volume"]].astype(float).set_axis(["^SPX"], axis=1)
    return Bars(**fields, volume=volume, traded_close=fields["close"])


@pytest.fixture
def statements(shared) -> pd.DataFrame:
    return fed_statements(shared / "fomc" / "fed_statements_minutes.csv.gz", "^SPX")


def test_each_statement_falls_to_the_session_that_first_knew_of_it(index_bars, statements):
    study = event_study(index_bars, statements, window=(-2, 5), model="mean_adjusted")
    sessions = dict(zip(study.events["known_at"].dt.strftime("%Y-%m-%d"), study.events["session"], strict=True))
    assert sessions["2022-06-15"] == pd.Timestamp("2022-06-15")  # a Wednesday, at 14:00
    assert sessions["2020-03-15"] == pd.Timestamp("2020-03-16")  # a Sunday evening
    assert study.events["session"].is_monotonic_increasing
    assert len(study) + len(study.dropped) == len(statements)
    assert len(study) >= 40


def test_the_index_moved_as_recorded_on_the_days_of_the_statements(index_bars, statements):
    """S&P 500 closes of 15 and 16 March 2020's statement and of 14 and 15 June 2022, as every chronicle has them."""
    study = event_study(index_bars, statements, window=(-2, 5), model="mean_adjusted")
    day = study.abnormal[0] + study.events["alpha"]
    by_session = dict(zip(study.events["session"], day, strict=True))
    assert by_session[pd.Timestamp("2020-03-16")] == pytest.approx(2386.13 / 2711.02 - 1.0, abs=1e-4)
    assert by_session[pd.Timestamp("2022-06-15")] == pytest.approx(3789.99 / 3735.48 - 1.0, abs=1e-4)
    # Five years hold some forty meetings: enough for an interval, which holds zero unless the years were very odd.
    around = study.car(0, 0)
    assert around.clusters >= 35
    assert around.low < around.mean < around.high
    # The days of statements are livelier than usual ones: 2022 alone had nine moves beyond 1 %.
    usual = index_bars.returns()["^SPX"].loc["2020":].abs().median()
    assert day.abs().median() > usual


def test_a_table_of_releases_that_is_not_there_or_not_one_is_refused(tmp_path):
    with pytest.raises(NoData, match=r"releases.csv: no such file"):
        fed_statements(tmp_path / "releases.csv", "SPY")
    (tmp_path / "releases.csv").write_text("date,title\n20240131,Statement\n")
    with pytest.raises(DataRefused, match=r"releases.csv: no column kind; it needs date, kind and title"):
        fed_statements(tmp_path / "releases.csv", "SPY")


def test_statements_are_known_at_two_in_the_afternoon_in_new_york(tmp_path):
    text = "date,kind,title\n20240731,statement,b\n20240131,statement,a\n20240221,minutes,m\n20240131,statement,a\n"
    (tmp_path / "releases.csv").write_text(text)
    found = fed_statements(tmp_path / "releases.csv", "SPY")
    assert found["known_at"].to_list() == [
        pd.Timestamp("2024-01-31 19:00", tz="UTC"),
        pd.Timestamp("2024-07-31 18:00", tz="UTC"),  # summer time
    ]
    assert found["title"].to_list() == ["a", "b"]
    assert set(found["symbol"]) == {"SPY"}
