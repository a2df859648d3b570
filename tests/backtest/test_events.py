"""Event studies: abnormal returns by hand, events at the session that first knew of them, honest intervals."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats as distributions

from workbench.backtest.events.abnormal import Windows, first_sessions
from workbench.backtest.events.inference import means
from workbench.backtest.events.study import EventStudy, event_study
from workbench.errors import DataRefused, InputRefused, NoData
from workbench.sessions import Calendar

SMALL = {"window": (-2, 3), "estimation": (-30, -5)}


@pytest.fixture(scope="module")
def quiet(bars_of):
    """A fund, and stocks that follow it exactly: AAA = 0.1 % + 1.5 × fund, BBB = 0.5 × fund, but for planted moves."""
    fund = 0.01 * np.sin(np.arange(120) * 1.7)
    moves = np.column_stack([fund, 0.001 + 1.5 * fund, 0.5 * fund])
    moves[60, 1] += 0.02  # AAA on its event
    moves[61, 1] += 0.01  # and a session later
    moves[80, 2] -= 0.03  # BBB on its event
    return bars_of(100.0 * np.cumprod(1.0 + moves, axis=0), ["FND", "AAA", "BBB"], market="sample")


def noon(bars, row: int) -> datetime:
    """Twelve o'clock in New York or an hour off, while session ``row`` trades."""
    return bars.index[row].to_pydatetime().replace(hour=17, tzinfo=UTC)


def events_of(bars, *rows: tuple[str, int], **columns: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"symbol": [s for s, _ in rows], "known_at": [noon(bars, row) for _, row in rows]})
    return table.assign(**columns)


def test_the_abnormal_return_is_what_the_market_model_does_not_expect(quiet):
    study = event_study(quiet, events_of(quiet, ("AAA", 60), ("BBB", 80)), "FND", **SMALL)
    assert study.events["alpha"].to_list() == pytest.approx([0.001, 0.0], abs=1e-12)
    assert study.events["beta"].to_list() == pytest.approx([1.5, 0.5])
    assert study.abnormal.columns.to_list() == [-2, -1, 0, 1, 2, 3]
    assert study.abnormal.to_numpy() == pytest.approx(
        np.array([[0, 0, 0.02, 0.01, 0, 0], [0, 0, -0.03, 0, 0, 0]]), abs=1e-12
    )
    assert study.path["average"].to_list() == pytest.approx([0, 0, -0.005, 0.005, 0, 0], abs=1e-12)
    assert study.path["cumulative"].to_list() == pytest.approx([0, 0, -0.005, 0, 0, 0], abs=1e-12)
    assert study.car(0, 1).mean == pytest.approx(0.0, abs=1e-12)
    assert study.car(1).mean == pytest.approx(0.005)
    assert study.market == "sample"


def test_the_other_models_expect_the_benchmark_or_the_mean(quiet):
    event = events_of(quiet, ("AAA", 60))
    fund, own = (quiet.returns()[name].to_numpy() for name in ("FND", "AAA"))
    adjusted = event_study(quiet, event, "FND", model="market_adjusted", **SMALL)
    assert adjusted.abnormal.loc[0].to_list() == pytest.approx((own - fund)[58:64].tolist())
    mean = event_study(quiet, event, model="mean_adjusted", **SMALL)
    assert mean.abnormal.loc[0].to_list() == pytest.approx((own - own[30:56].mean())[58:64].tolist())


def test_nothing_of_the_window_or_after_it_enters_what_was_expected(quiet, bars_of):
    close = quiet.close.to_numpy().copy()
    close[58:] *= np.linspace(1.3, 0.4, len(close) - 58)[:, None]
    twisted = bars_of(close, list(quiet.symbols))
    asked = events_of(quiet, ("AAA", 60))
    before, after = (event_study(bars, asked, "FND", **SMALL).events for bars in (quiet, twisted))
    for fact in ("alpha", "beta", "residual", "estimated"):
        assert before[fact].to_list() == after[fact].to_list(), fact


@pytest.mark.parametrize(
    ("known_at", "session"),
    [
        ("2024-01-16 12:30", "2024-01-16"),  # before the open
        ("2024-01-16 20:59", "2024-01-16"),  # while it trades
        ("2024-01-16 21:00", "2024-01-17"),  # at the close
        ("2024-01-16 21:30", "2024-01-17"),  # after it
        ("2024-01-12 22:00", "2024-01-16"),  # Friday evening; Monday was a holiday
        ("2024-01-14 15:00", "2024-01-16"),  # Sunday
        ("2024-07-03 16:59", "2024-07-03"),  # the 3rd closed at 13:00 in New York
        ("2024-07-03 17:00", "2024-07-05"),
        ("2024-07-16 20:00", "2024-07-17"),  # summer time
    ],
)
def test_an_event_belongs_to_the_first_session_that_ended_knowing_of_it(known_at, session):
    index = pd.DatetimeIndex(Calendar().sessions("2024-01-02", "2024-12-31"))
    place = first_sessions(pd.DatetimeIndex([known_at], tz="UTC"), index, Calendar())[0]
    assert index[place] == pd.Timestamp(session)


def test_every_event_that_is_dropped_says_why(quiet):
    rows = [("AAA", 60), ("AAA", 60), ("ZZZ", 60), ("AAA", 119), ("BBB", 1), ("BBB", 15), ("BBB", 80)]
    asked = events_of(quiet, *rows)
    late = pd.DataFrame({"symbol": ["AAA"], "known_at": [datetime(2024, 1, 2, 15, tzinfo=UTC)]})
    study = event_study(quiet, pd.concat([asked, late]), "FND", **SMALL)
    assert len(study) == 2
    assert study.dropped["symbol"].to_list() == ["AAA", "ZZZ", "AAA", "BBB", "BBB", "AAA"]
    assert study.dropped["reason"].to_list() == [
        "another event of the symbol has the same session",
        "its symbol is not in the bars",
        "the window ends 3 sessions after the last bar",
        "the window begins 1 sessions before the first bar",
        "10 of 26 estimation sessions have a return, fewer than two thirds",
        "known after the last bar had closed",
    ]
    assert study.reasons["the window ends n sessions after the last bar"] == 1


def test_a_symbol_that_leaves_inside_the_window_stays_with_zeros(quiet, bars_of):
    close = quiet.close.to_numpy().copy()
    close[61:, 1] = np.nan
    study = event_study(bars_of(close, list(quiet.symbols)), events_of(quiet, ("AAA", 60)), "FND", (-2, 12), (-30, -5))
    fund = quiet.returns()["FND"].to_numpy()
    # Its last close is carried for five bars, as over a halt: a return of zero against alpha and beta; then nothing.
    expected = [0, 0, 0.02, *(-(0.001 + 1.5 * fund[61:66])), *[0.0] * 7]
    assert study.abnormal.loc[0].to_list() == pytest.approx(expected, abs=1e-12)
    assert study.events["missing"].to_list() == [7]


def test_a_symbol_that_does_not_trade_on_its_session_is_dropped(quiet, bars_of):
    close = quiet.close.to_numpy().copy()
    close[50:, 1] = np.nan
    with pytest.raises(NoData, match="none of 1 events can be measured; most often: the symbol has no return"):
        event_study(bars_of(close, list(quiet.symbols)), events_of(quiet, ("AAA", 60)), "FND", **SMALL)


def test_groups_are_made_by_sign_by_buckets_or_by_text(quiet):
    rows = [("AAA", 60), ("BBB", 80), ("AAA", 40), ("BBB", 50)]
    asked = events_of(quiet, *rows, surprise=[2.0, -1.0, 0.0, np.nan]).assign(kind=["x", "x", "y", None])
    study = event_study(quiet, asked, "FND", **SMALL)
    sides = study.split("surprise")
    assert {name: len(side) for name, side in sides.items()} == {"surprise above 0": 1, "surprise below 0": 1}
    assert sides["surprise above 0"].car(0, 1).mean == pytest.approx(0.03)
    assert {name: len(part) for name, part in study.split("kind").items()} == {"kind x": 2, "kind y": 1}
    ordered = study.where(np.array([True, True, True, False])).split("surprise", buckets=3)
    assert [part.events["surprise"].iloc[0] for part in ordered.values()] == [-1.0, 0.0, 2.0]
    # In the direction of the surprise both earned: AAA 2 % and 1 %, BBB 3 %.
    signed = study.signed("surprise")
    assert len(signed) == 2
    assert signed.car(0, 1).mean == pytest.approx((0.03 + 0.03) / 2)


def test_rows_of_the_lake_are_taken_as_they_are(quiet):
    asked = pl.from_pandas(events_of(quiet, ("AAA", 60), surprise=[1.0]))
    assert event_study(quiet, asked, "FND", **SMALL).car(0, 0).mean == pytest.approx(0.02)


def test_a_column_of_the_name_of_a_measured_one_gives_way(quiet):
    asked = events_of(quiet, ("AAA", 60)).assign(session=pd.Timestamp("1999-12-31"), beta=9.0)
    study = event_study(quiet, asked, "FND", **SMALL)
    assert study.events["session"].to_list() == [quiet.index[60]]
    assert study.events["beta"].to_list() == pytest.approx([1.5])
    assert study.car(0, 0).mean == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"window": (1, 5)}, InputRefused, r"window \(1, 5\) leaves out session 0"),
        ({"window": (5, -5)}, InputRefused, r"window \(5, -5\) ends before it begins"),
        ({"estimation": (-30, -2)}, InputRefused, r"estimation \(-30, -2\) reaches into the window"),
        ({"model": "mean"}, InputRefused, "unknown model 'mean'"),
        ({"cluster": "months"}, InputRefused, "unknown cluster 'months'. Did you mean 'month'?"),
        ({"benchmark": "FNB"}, NoData, "benchmark 'FNB' is not in the bars. Did you mean 'FND'?"),
        ({"benchmark": None}, InputRefused, "model 'market' needs a benchmark"),
        ({"model": "mean_adjusted"}, InputRefused, "mean_adjusted needs no benchmark"),
        ({"confidence": 1.0}, InputRefused, "confidence 1.0 must be at least 0.5 and below 1"),
    ],
)
def test_a_study_that_means_nothing_is_refused(quiet, changed, error, said):
    with pytest.raises(error, match=said):
        event_study(quiet, events_of(quiet, ("AAA", 60)), **{"benchmark": "FND", **SMALL, **changed})


def test_events_without_a_time_zone_or_a_column_are_refused(quiet):
    asked = events_of(quiet, ("AAA", 60))
    with pytest.raises(DataRefused, match=r"known_at is datetime64.*; it must be times with a zone"):
        event_study(quiet, asked.assign(known_at=asked["known_at"].dt.tz_localize(None)), "FND", **SMALL)
    with pytest.raises(DataRefused, match=r"events have no column 'known_at'\. Did you mean 'knownat'?"):
        event_study(quiet, asked.rename(columns={"known_at": "knownat"}), "FND", **SMALL)
    study = event_study(quiet, asked, "FND", **SMALL)
    with pytest.raises(InputRefused, match="events have no 'surprize'"):
        study.split("surprize")
    with pytest.raises(InputRefused, match=r"car\(0, 9\): give sessions of the window, -2 to 3"):
        study.car(0, 9)
    with pytest.raises(InputRefused, match="'symbol' holds no numbers"):
        study.signed("symbol")


def test_intraday_bars_are_refused(quiet):
    from dataclasses import replace

    fields = ("open", "high", "low", "close", "volume", "traded_close")
    utc = {name: getattr(quiet, name).set_axis(quiet.index.tz_localize("UTC")) for name in fields}
    with pytest.raises(InputRefused, match="the bars are intraday"):
        event_study(replace(quiet, **utc), events_of(quiet, ("AAA", 60)), "FND", **SMALL)


# --- intervals -----------------------------------------------------------------------------------------------------


def test_events_by_themselves_have_the_t_of_one_sample():
    values = np.random.default_rng(4).normal(0.3, 1.0, (40, 2))
    found = means(values, np.arange(40), 0.95, seed=0)
    known = distributions.ttest_1samp(values, 0.0)
    assert found.mean == pytest.approx(values.mean(axis=0))
    assert found.t == pytest.approx(known.statistic)
    assert found.p == pytest.approx(known.pvalue)
    # Percentiles of the bootstrap are near those of t for a normal sample of 40.
    spread = values.std(axis=0, ddof=1) / np.sqrt(40)
    assert found.low == pytest.approx(values.mean(axis=0) - 2.0 * spread, abs=0.05)
    assert found.high == pytest.approx(values.mean(axis=0) + 2.0 * spread, abs=0.05)


def test_saying_the_same_five_times_makes_nothing_surer():
    values = np.random.default_rng(5).normal(0.3, 1.0, (40, 1))
    once = means(values, np.arange(40), 0.95, seed=0)
    five = means(np.repeat(values, 5, axis=0), np.repeat(np.arange(40), 5), 0.95, seed=0)
    assert five.t == pytest.approx(once.t)
    assert (five.low[0], five.high[0]) == pytest.approx((once.low[0], once.high[0]))
    alone = means(np.repeat(values, 5, axis=0), np.arange(200), 0.95, seed=0)
    assert abs(alone.t[0]) > 2.0 * abs(once.t[0])  # sqrt(5), had they been five different ones


def test_clusters_of_unequal_size_by_hand():
    # Sums 3, 5, -1, 4, 0 of sizes 2, 1, 1, 1, 1: mean 11/6; sum_c - size_c * mean = -2/3, 19/6, -17/6, 13/6, -11/6.
    values = np.array([[1.0], [2.0], [5.0], [-1.0], [4.0], [0.0]])
    found = means(values, np.array([7, 7, 1, 2, 3, 4]), 0.95, seed=0)
    squares = (4**2 + 19**2 + 17**2 + 13**2 + 11**2) / 36
    assert found.mean[0] == pytest.approx(11 / 6)
    assert found.t[0] == pytest.approx((11 / 6) / (np.sqrt(5 / 4 * squares) / 6))


def test_four_clusters_are_too_few_for_any_interval():
    found = means(np.ones((40, 1)), np.repeat(np.arange(4), 10), 0.95, seed=0)
    assert found.mean[0] == 1.0
    assert np.isnan([found.low[0], found.high[0], found.t[0], found.p[0]]).all()


def test_where_a_crowd_shares_its_luck_only_clusters_keep_the_error_rate():
    """Sixty crowds of ten with half of the variance in common: nothing is there, and 5 % may find something."""
    random, clusters = np.random.default_rng(6), np.repeat(np.arange(60), 10)
    clustered = alone = outside = 0
    for seed in range(400):
        luck = np.repeat(random.standard_normal(60), 10) + random.standard_normal(600)
        found, naive = means(luck[:, None], clusters, 0.95, seed), distributions.ttest_1samp(luck, 0.0)
        clustered += found.p[0] < 0.05
        outside += not found.low[0] <= 0.0 <= found.high[0]
        alone += naive.pvalue < 0.05
    # 20 expected; the standard deviation of such a count is 4.4. Ten of a crowd taken one by one: sqrt(5.5) too sure.
    assert 7 <= clustered <= 33
    assert 7 <= outside <= 36
    assert alone > 120


def test_windows_are_what_was_asked(quiet):
    assert list(Windows((-1, 1), (-20, -5)).sessions) == [-1, 0, 1]
    study: EventStudy = event_study(quiet, events_of(quiet, ("AAA", 60)), "FND", **SMALL)
    assert study.design.says == (
        "market model on FND, alpha and beta of sessions −30 to −5; 95 % bootstrap interval, events clustered by month"
    )
