"""The sample market's shape: the same rows every time, in the lake's schemas, each known when it could be."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from workbench.data.datasets import DATASETS
from workbench.data.sample import SampleMarket, generate
from workbench.data.sample.market import actions, macro, prices_5min, prices_daily, symbols
from workbench.params import SampleParams

PARAMS = SampleParams()
DATASET_NAMES = ("symbols", "prices_daily", "prices_5min", "actions", "macro", "events")
# Written from the exchange's published calendar: full sessions are 78 five-minute bars, 13:00 closes leave 42.
HALF_DAYS = (date(2024, 11, 29), date(2024, 12, 24))


@pytest.fixture(scope="module")
def market() -> SampleMarket:
    return generate(PARAMS)


def test_the_same_seed_gives_the_same_rows_in_another_process(market: SampleMarket) -> None:
    program = (
        "from workbench.data.sample import generate; from workbench.params import SampleParams; import hashlib\n"
        "m = generate(SampleParams())\n"
        f"for n in {DATASET_NAMES}:\n"
        "    print(hashlib.sha256(getattr(m, n).write_csv().encode()).hexdigest())"
    )
    env = {**os.environ, "PYTHONHASHSEED": "4711"}
    run = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True, timeout=120
    )
    here = [hashlib.sha256(getattr(market, name).write_csv().encode()).hexdigest() for name in DATASET_NAMES]
    assert len(set(here)) == 6
    assert run.stdout.split() == here


def test_another_seed_gives_another_market(market: SampleMarket) -> None:
    other = generate(PARAMS.model_copy(update={"seed": 8, "intraday_sessions": 2}))
    for name in DATASET_NAMES:
        assert not getattr(market, name).equals(getattr(other, name)), name


def test_every_dataset_has_its_contract_with_unique_keys_and_no_gaps(market: SampleMarket) -> None:
    for name in DATASET_NAMES:
        rows, contract = getattr(market, name), DATASETS[name]
        assert dict(rows.schema) == {k: v for k, v in contract.schema.items() if k != "source"}, name
        assert not rows.select(*contract.key, "known_at").is_duplicated().any(), name
        for column in set(rows.columns) - contract.nullable:
            assert rows[column].null_count() == 0, (name, column)
        for column in rows.select(pl.selectors.float()).columns:
            assert rows[column].is_finite().all(), (name, column)


def test_the_default_market_has_sixty_companies_and_a_fund(market: SampleMarket) -> None:
    listed = market.symbols.unique("symbol")
    assert sorted(listed["sector"].unique()) == [
        "Benchmark", "Consumer", "Energy", "Finance", "Health", "Technology", "Utilities",
    ]  # fmt: skip
    assert listed["sector"].value_counts().filter(pl.col("count") == 10).height == 6
    assert listed.filter(pl.col("kind") == "benchmark")["symbol"].to_list() == ["MKT00"]
    assert listed["name"].n_unique() == 61


def test_no_symbol_can_be_a_real_ticker(market: SampleMarket) -> None:
    # A US ticker has letters only (and a dot or a dash for classes), never a digit.
    assert market.symbols["symbol"].str.contains(r"^(TEC|HLT|ENR|FIN|CON|UTL|MKT)\d{2}$").all()


def test_fifteen_years_end_on_the_last_session_of_2024(market: SampleMarket) -> None:
    sessions = market.prices_daily["session"].unique().sort()
    # 2010 opened on Monday the 4th; the exchange had 3,774 sessions to the end of 2024.
    assert (sessions[0], sessions[-1], len(sessions)) == (date(2010, 1, 4), date(2024, 12, 31), 3774)


def test_prices_are_whole_cents_and_the_bar_is_consistent(market: SampleMarket) -> None:
    for bars in (market.prices_daily, market.prices_5min):
        low, high = bars["low"], bars["high"]
        for price in (bars["open"], bars["close"]):
            assert ((low <= price) & (price <= high)).all()
        assert low.min() >= 0.01
        assert (bars["close"] == bars["close"].round(2)).all()
        assert (bars["volume"] == bars["volume"].round()).all()
        assert bars["volume"].min() >= 0.0
    assert market.prices_daily["volume"].min() >= 1000.0


def test_five_minute_bars_add_up_to_the_daily_bar_exactly(market: SampleMarket) -> None:
    added = (
        market.prices_5min.sort("symbol", "ts")
        .group_by("symbol", session=pl.col("ts").cast(pl.Date))
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            bars=pl.len(),
        )
    )
    first = added["session"].min()
    daily = market.prices_daily.filter(pl.col("session") >= first)
    both = daily.join(added, on=["symbol", "session"], suffix="_added")
    assert daily["session"].n_unique() == 60
    assert both.height == daily.height == added.height
    for field in ("open", "high", "low", "close", "volume"):
        assert (both[field] == both[f"{field}_added"]).all(), field
    half = pl.col("session").is_in(HALF_DAYS)
    assert set(both.filter(half)["bars"]) == {42}
    assert set(both.filter(~half)["bars"]) == {78}


def test_a_daily_bar_is_known_at_its_close_and_a_short_bar_at_its_end(market: SampleMarket) -> None:
    known = dict(market.prices_daily.filter(symbol="MKT00").select("session", "known_at").iter_rows())
    assert known[date(2024, 1, 16)] == datetime(2024, 1, 16, 21, 0, tzinfo=UTC)
    assert known[date(2024, 7, 16)] == datetime(2024, 7, 16, 20, 0, tzinfo=UTC)  # summer time
    assert known[date(2024, 7, 3)] == datetime(2024, 7, 3, 17, 0, tzinfo=UTC)  # closes at 13:00
    bars = market.prices_5min
    assert ((bars["known_at"] - bars["ts"]) == timedelta(minutes=5)).all()
    half_day = bars.filter((pl.col("ts").cast(pl.Date) == date(2024, 11, 29)) & (pl.col("symbol") == "MKT00"))
    assert half_day["ts"].min() == datetime(2024, 11, 29, 14, 30, tzinfo=UTC)
    assert half_day["known_at"].max() == datetime(2024, 11, 29, 18, 0, tzinfo=UTC)


def test_actions_are_announced_twenty_sessions_before_the_ex_date(market: SampleMarket) -> None:
    place = {day: row for row, day in enumerate(market.prices_daily["session"].unique().sort())}
    for ex, known_at in market.actions.select("session", "known_at").iter_rows():
        assert place[ex] - place[known_at.date()] == 20


def test_all_kinds_of_action_happen(market: SampleMarket) -> None:
    splits = market.actions.filter(kind="split")
    assert set(splits["value"]) == {2.0, 3.0, 0.1}
    assert set(market.actions["kind"]) == {"split", "dividend"}
    dividends = market.actions.filter(kind="dividend")
    assert dividends["value"].min() >= 0.01
    # 15 years of quarters, less the ends; the fund pays as well.
    assert 57 <= dividends.filter(symbol="MKT00").height <= 60


def test_companies_are_listed_late_and_delisted_early(market: SampleMarket) -> None:
    rows = market.symbols
    late = rows.filter(pl.col("listed") > date(2010, 1, 4), pl.col("delisted").is_null())
    assert late["sector"].n_unique() == late.height == 6  # one in eight of each sector's ten
    gone = rows.filter(pl.col("delisted").is_not_null())
    assert gone.height == 2  # one in twenty-five of sixty
    spans = {
        symbol: (first, last)
        for symbol, first, last in market.prices_daily.group_by("symbol")
        .agg(pl.col("session").min(), pl.col("session").max().alias("last"))
        .iter_rows()
    }
    for symbol, listed, known_at in late.select("symbol", "listed", "known_at").iter_rows():
        assert spans[symbol][0] == listed == known_at.date()
    for symbol, delisted in gone.select("symbol", "delisted").iter_rows():
        assert spans[symbol][1] == delisted < date(2024, 12, 31)
        # Before the announcement nobody can know: the first row has no delisting date.
        history = rows.filter(symbol=symbol).sort("known_at")
        assert history["delisted"].to_list() == [None, delisted]
        assert timedelta(days=26) <= datetime(*delisted.timetuple()[:3], tzinfo=UTC) - history["known_at"][1]


def test_a_few_halted_days_are_missing_rows_and_hide_no_action(market: SampleMarket) -> None:
    sessions = market.prices_daily["session"].unique().sort().to_frame()
    spans = market.prices_daily.group_by("symbol").agg(
        pl.col("session").min().alias("first"), pl.col("session").max().alias("last")
    )
    expected = spans.join(sessions, how="cross").filter(pl.col("session").is_between("first", "last"))
    missing = expected.join(market.prices_daily, on=["symbol", "session"], how="anti")
    assert missing.height == 12  # one company in five, one session each
    assert missing["symbol"].n_unique() == 12
    assert missing.join(market.actions, on=["symbol", "session"], how="semi").is_empty()


def test_switching_momentum_off_moves_only_the_sectors_that_have_it() -> None:
    on, off = SampleParams(years=4), SampleParams(years=4, momentum=0.0)
    without = pl.col("symbol").str.slice(0, 3).is_in(["HLT", "ENR", "CON", "UTL"])
    for build in (prices_daily, prices_5min, actions):
        assert build(on).filter(without).equals(build(off).filter(without))
    assert not prices_daily(on).filter(symbol="TEC02").equals(prices_daily(off).filter(symbol="TEC02"))
    assert macro(on).equals(macro(off))
    assert symbols(on).equals(symbols(off))


def test_fewer_intraday_sessions_are_the_end_of_more() -> None:
    many, few = SampleParams(years=4), SampleParams(years=4, intraday_sessions=3)
    assert prices_daily(many).equals(prices_daily(few))
    tail = prices_5min(few)
    assert tail["ts"].cast(pl.Date).n_unique() == 3
    assert prices_5min(many).filter(pl.col("ts") >= tail["ts"].min()).equals(tail)


def test_cpi_and_unemployment_are_revised_and_nothing_is_known_too_early(market: SampleMarket) -> None:
    rows = market.macro
    assert set(rows["series"]) == {"POLICY_RATE", "YIELD_10Y", "CPI", "UNEMPLOYMENT", "VOLINDEX"}
    assert rows["known_at"].max() <= datetime(2024, 12, 31, 21, 0, tzinfo=UTC)
    for series, days, share in (("CPI", 11, 0.9), ("UNEMPLOYMENT", 3, 0.2)):
        history = rows.filter(series=series).sort("period", "known_at").group_by("period", maintain_order=True)
        releases = history.agg(pl.len(), pl.col("value").n_unique().alias("values"), pl.col("known_at").min())
        # A period is a whole month: its end is at most 31 days after its first day.
        lag = releases["known_at"].dt.date() - releases["period"]
        assert lag.min() >= timedelta(days=28 + days)
        assert lag.max() <= timedelta(days=31 + days + 5)
        assert (releases["len"] > 1).mean() > share
        assert set(releases["len"]) <= {1, 2, 3}
    cpi = rows.filter(series="CPI", period=date(2015, 3, 1)).sort("known_at")
    assert cpi.height == 3
    assert cpi["known_at"][0] == datetime(2015, 4, 13, 12, 30, tzinfo=UTC)  # the 12th was a Sunday; 8:30 in New York
    # The first release is off by about 0.06 %, the second by a third of that.
    errors = (cpi["value"] / cpi["value"][-1] - 1.0).abs()
    assert errors.max() < 0.003


def test_the_policy_rate_moves_in_quarter_points_at_eight_meetings_a_year(market: SampleMarket) -> None:
    rate = market.macro.filter(series="POLICY_RATE")
    assert (rate["value"] % 0.25 == 0.0).all()
    assert rate.filter(pl.col("period").dt.year() == 2018).height == 8
    assert rate["period"].min() < date(2010, 1, 4)
    # Third Wednesday of June 2024 was Juneteenth, so the meeting ended the day after, at 14:00 in New York.
    june = rate.filter(pl.col("period").dt.year() == 2024, pl.col("period").dt.month() == 6)
    assert june["known_at"].to_list() == [datetime(2024, 6, 20, 18, 0, tzinfo=UTC)]


def test_a_small_market_and_an_odd_end_work() -> None:
    small = generate(SampleParams(years=2, symbols_per_sector=2, intraday_sessions=1, end=date(2023, 7, 4)))
    assert small.prices_daily["symbol"].n_unique() == 13
    assert small.prices_daily["session"].max() == date(2023, 7, 3)  # the 4th is a holiday
    assert small.prices_5min.group_by("symbol").len()["len"].unique().to_list() == [42]  # and the 3rd a half day
