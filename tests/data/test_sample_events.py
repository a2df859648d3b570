"""The planted events: published when they could be, telling of the moves that are said, and moving no price."""

from datetime import date

import numpy as np
import pandas as pd
import polars as pl
import pytest

from workbench.data.sample import market
from workbench.data.sample.tape import tape
from workbench.data.sample.truth import event_correlations
from workbench.params import SampleParams
from workbench.sessions import Calendar

SEEDS = (7, 1, 2, 3)


def bare(**changes: float) -> SampleParams:
    return SampleParams(intraday_sessions=0, **changes)


def with_shocks(seed: int, code: str) -> tuple[np.ndarray, np.ndarray]:
    """Each report's surprise, and the company's own shocks around the session that first knew of it, row by row."""
    printed = tape(bare(seed=seed), Calendar())
    surprises, shocks = [], []
    for symbol, known_at, surprise in market.events(bare(seed=seed)).select("symbol", "known_at", "surprise").rows():
        # Before the open it is known to that day's session, after the close to the next.
        day = pd.Timestamp(known_at).tz_convert("America/New_York")
        place = int(printed.sessions.searchsorted(day.tz_localize(None).normalize())) + (day.hour > 12)
        if symbol.startswith(code) and 15 <= place < len(printed.sessions) - 21:
            column = printed.symbols.index(symbol)
            surprises.append(surprise)
            shocks.append(printed.process.own[place - 15 : place + 21, column])
    return np.array(surprises), np.array(shocks)


def test_no_price_knows_of_the_events() -> None:
    none, many = SampleParams(years=3, events=0.0), SampleParams(years=3, events=5.0)
    for name, build in market.BUILDERS.items():
        assert build(none).equals(build(many)) == (name != "events"), name


def test_each_company_reports_once_a_season_while_it_is_listed() -> None:
    reports, listed = market.events(bare()), market.symbols(bare())
    assert reports["symbol"].n_unique() == 60
    assert set(reports["kind"]) == {"earnings"}
    per_company = reports.group_by("symbol").len().sort("symbol")["len"]
    # 3,774 sessions are 60 seasons of 63; one company in eight came late, and one in twenty-five left.
    assert per_company.max() == 60
    assert (per_company >= 58).sum() >= 50
    for symbol, first, last in listed.select("symbol", "listed", "delisted").rows():
        mine = reports.filter(symbol=symbol)["ts"].dt.date()
        assert mine.is_empty() or mine.min() > first
        assert last is None or mine.is_empty() or mine.max() <= last
    assert "MKT00" not in set(reports["symbol"])


def test_reports_come_in_crowds_before_the_open_or_after_the_close() -> None:
    reports, printed = market.events(bare()), tape(bare(), Calendar())
    day = reports.with_columns(at=pl.col("ts").dt.convert_time_zone("America/New_York"))
    assert set(day["at"].dt.strftime("%H:%M")) == {"07:30", "16:30"}
    assert day.group_by("symbol").agg(pl.col("at").dt.time().n_unique())["at"].max() == 1
    places = printed.sessions.searchsorted(pd.DatetimeIndex(day["at"].dt.date().to_numpy()))
    assert (places % 63 < 20).all()
    assert (reports["known_at"] == reports["ts"]).all()
    assert reports["known_at"].max() <= printed.closes[-1]
    assert reports["ts"].dt.date().min() >= date(2010, 1, 5)


def test_surprises_tell_of_ten_sessions_in_consumer_and_of_nothing_elsewhere() -> None:
    """Correlations over four seeds: some 2,300 reports a sector, so an error of 0.021 each."""
    reaction, drift = event_correlations(1.0)
    assert (reaction, drift) == pytest.approx((0.45 / 1.2665**0.5, 0.08 / 1.2665**0.5))
    for code in ("CON", "UTL", "TEC"):
        found = [with_shocks(seed, code) for seed in SEEDS]
        surprise, shock = (np.concatenate(parts) for parts in zip(*found, strict=True))
        assert abs(surprise.mean()) < 0.08
        assert surprise.std() == pytest.approx(1.0, abs=0.06)
        by_session = np.array([np.corrcoef(surprise, column)[0, 1] for column in shock.T])
        before, first, after, later = by_session[:15], by_session[15], by_session[16:26], by_session[26:]
        assert abs(before.mean()) < 0.02
        assert abs(later.mean()) < 0.025
        told = code == "CON"
        assert first == pytest.approx(reaction if told else 0.0, abs=0.065)
        assert after.mean() == pytest.approx(drift if told else 0.0, abs=0.021)


def test_more_seeds_noise_or_size_change_what_they_say_and_not_when() -> None:
    one, none, twice = (market.events(bare(years=4, events=size)) for size in (1.0, 0.0, 2.0))
    assert one.drop("surprise").equals(none.drop("surprise"))
    assert one.drop("surprise").equals(twice.drop("surprise"))
    elsewhere = ~pl.col("symbol").str.starts_with("CON")
    assert one.filter(elsewhere).equals(twice.filter(elsewhere))
    assert not one.filter(~elsewhere).equals(none.filter(~elsewhere))
    assert not one.equals(market.events(bare(years=4, seed=8)))
