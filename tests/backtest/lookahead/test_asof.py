"""As-of replay on the sample market: the CPI of a month is released, revised a month later and again a year later."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth
from workbench.backtest.lookahead.asof import LakeThen
from workbench.data.lake import Lake
from workbench.errors import InputRefused
from workbench.sessions import Calendar
from workbench.strategies.sma_cross import SmaCross

CALENDAR = Calendar()
FEW = Depth(cuts=8)


SESSIONS = CALENDAR.sessions("2022-01-03", "2024-11-29")[::21]


def inflation(lake: Lake, as_known: bool) -> pd.Series:
    """Return each session's last CPI that is at least 75 days old, as it was known then or as it is known now."""
    found = {}
    for session in SESSIONS:
        moment = CALENDAR.closes(session) if as_known else None
        rows = lake.read("macro", ["CPI"], end=(session - pd.Timedelta(days=75)).date(), as_of=moment)
        found[session] = rows["value"][-1]
    return pd.Series(found)


def test_a_revised_value_is_caught_and_both_values_are_named(lake):
    report = lookahead.examine(lambda lake: inflation(lake, as_known=False), lake, name="surprise", depth=FEW)
    assert [finding.kind for finding in report.findings] == ["revised value"]
    assert report.reads_ahead
    finding = report.findings[0]
    session = pd.Timestamp(finding.date)
    period = (session - pd.Timedelta(days=75)).date().replace(day=1)
    now = lake.read("macro", ["CPI"], start=period, end=period)
    then = lake.read("macro", ["CPI"], start=period, end=period, as_of=CALENDAR.closes(session))
    assert finding.text == (
        f"surprise on {finding.date} uses macro CPI {period} = {now['value'][0]}, known from "
        f"{now['known_at'][0]:%Y-%m-%dT%H:%MZ}, after the decision at {CALENDAR.closes(session):%Y-%m-%dT%H:%MZ}: a "
        f"revision; known then was {then['value'][0]}"
    )
    assert (finding.field, finding.symbol) == ("macro", "CPI")


def test_the_same_read_as_of_each_decision_is_honest(lake):
    report = lookahead.examine(lambda lake: inflation(lake, as_known=True), lake, depth=FEW)
    assert report.clean, str(report)
    assert {check.name: check.dates for check in report.checks}["as of"] >= 8


def test_a_value_used_before_its_release_is_caught(lake):
    def by_period(lake: Lake) -> pd.Series:
        rows = lake.read("macro", ["CPI"])
        cpi = pd.Series(rows["value"].to_list(), index=pd.DatetimeIndex(rows["period"].to_list()))
        return cpi.reindex(SESSIONS, method="ffill")

    finding = lookahead.examine(by_period, lake, depth=FEW).findings[0]
    assert finding.kind == "used before known"
    assert "nothing of it was known then" in finding.text
    assert f"macro CPI {finding.date[:7]}-01 = " in finding.text


def test_only_the_dataset_that_leaks_is_named(lake):
    def both(lake: Lake) -> pd.Series:
        bars = lake.bars(["TEC01"])
        trend = bars.close["TEC01"].pct_change(20, fill_method=None).reindex(SESSIONS)
        return trend * inflation(lake, as_known=False)

    finding = lookahead.examine(both, lake, depth=FEW).findings[0]
    assert finding.kind == "revised value"
    assert finding.field == "macro"


def test_the_level_of_adjusted_prices_tells_of_later_dividends(lake):
    level = lookahead.examine(lambda lake: lake.bars(["TEC01", "FIN02"]).close, lake, name="level", depth=FEW)
    assert level.findings[0].kind == "used before known"
    assert "use returns or traded_close" in level.findings[0].text
    for honest in (
        lambda lake: lake.bars(["TEC01", "FIN02"]).traded_close,
        lambda lake: lake.bars(["TEC01", "FIN02"]).close.pct_change(5, fill_method=None),
    ):
        assert lookahead.examine(honest, lake, depth=FEW).clean


def test_a_strategy_and_a_feature_are_examined_on_the_bars_of_each_date(lake):
    strategy = SmaCross(("TEC01", "FIN02", "HLT03"), fast=5, slow=20)
    report = lookahead.examine(strategy, lake, depth=FEW)
    assert report.clean, str(report)
    assert report.kind == "strategy"


def test_a_lake_of_then_answers_as_the_lake_did(lake):
    moment = datetime(2023, 5, 1, 21, 0, tzinfo=UTC)
    then = LakeThen(lake, moment)
    assert then.read("macro", ["CPI"]).equals(lake.read("macro", ["CPI"], as_of=moment))
    earlier = "2022-05-01T21:00:00Z"
    assert then.read("macro", ["CPI"], as_of=earlier).equals(lake.read("macro", ["CPI"], as_of=earlier))
    later = "2024-05-01T21:00:00Z"
    assert then.read("macro", ["CPI"], as_of=later).equals(lake.read("macro", ["CPI"], as_of=moment))
    assert then.bars(["TEC01"]).index[-1] == pd.Timestamp("2023-05-01")
    assert str(then.newest("prices_daily")) == "2023-05-01"
    assert LakeThen(lake, moment, {"prices_daily"}).read("macro", ["CPI"]).equals(lake.read("macro", ["CPI"]))
    with pytest.raises(InputRefused, match="has no time zone"):
        then.read("macro", as_of="2022-05-01T21:00:00")


def test_a_moment_that_is_none_is_left_for_the_lake_to_refuse(lake):
    with pytest.raises(InputRefused, match="is not a date"):
        LakeThen(lake, datetime(2023, 5, 1, tzinfo=UTC)).read("macro", as_of="soon")


def test_dates_on_which_nothing_was_known_are_left_out_and_said(lake):
    def needs_a_year(lake: Lake) -> pd.Series:
        bars = lake.bars(["TEC01"])
        if len(bars) < 500:
            raise ValueError("needs two years")
        return bars.close["TEC01"].pct_change(5, fill_method=None)

    report = lookahead.examine(needs_a_year, lake, depth=FEW)
    assert report.clean
    assert any("it raised on the lake as it was" in note for note in report.notes)


def test_an_answer_without_sessions_is_refused(lake):
    with pytest.raises(InputRefused, match="no row a session"):
        lookahead.examine(lambda lake: 3.0, lake)


def test_random_numbers_are_told_from_look_ahead_on_the_lake_too(lake):
    import numpy as np

    def noisy(lake: Lake) -> pd.Series:
        return lake.bars(["TEC01"]).close["TEC01"] * np.random.default_rng().random()

    assert lookahead.examine(noisy, lake, depth=FEW).verdict == "not repeatable"
