"""What is not look-ahead has another name, and what cannot be examined is said."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth, Report
from workbench.errors import InputRefused
from workbench.features import technical
from workbench.strategies.sma_cross import SmaCross
from workbench.types import Bars


@dataclass(frozen=True)
class Trend:
    """Holds what is above an average of ``window`` closes, and says it needs ``lookback`` bars."""

    symbols: tuple[str, ...]
    window: int
    lookback: int
    name: ClassVar[str] = "trend"

    def weights(self, bars: Bars) -> pd.DataFrame:
        return (bars.close > bars.close.rolling(self.window).mean()).astype(float) / len(self.symbols)


def test_a_lookback_that_is_too_short_is_no_look_ahead_but_another_finding(eventful):
    report = lookahead.examine(Trend(eventful.symbols, window=50, lookback=30), eventful)
    assert [finding.kind for finding in report.findings] == ["lookback too short"]
    assert not report.reads_ahead
    assert not report.clean
    assert "lookback 30 is too short, 50 would do here" in report.findings[0].text


def test_the_lookback_it_says_is_enough_where_it_is(eventful):
    assert lookahead.examine(Trend(eventful.symbols, window=50, lookback=50), eventful).clean


def test_a_strategy_that_remembers_for_ever_is_told_that_no_lookback_will_do(eventful):
    @dataclass(frozen=True)
    class Highest:
        symbols: tuple[str, ...]
        lookback: int = 60
        name: ClassVar[str] = "highest"

        def weights(self, bars: Bars) -> pd.DataFrame:
            return (bars.close / bars.close.cummax()).fillna(0.0) / 12

    finding = lookahead.examine(Highest(eventful.symbols), eventful).findings[0]
    assert finding.kind == "lookback too short"
    assert "it needs all bars there are" in finding.text


def test_a_feature_may_leave_what_decays_out_of_its_lookback(walk):
    @dataclass(frozen=True)
    class Average:
        name: str
        lookback: int
        kind: str
        inputs: tuple[str, ...] = ("close",)

        def compute(self, bars: Bars) -> pd.DataFrame:
            return bars.close.ewm(span=10).mean() if self.kind == "decays" else bars.close.expanding().mean()

    decays = lookahead.examine(Average("decays", 20, "decays"), walk)
    assert decays.clean
    assert any("decays" in note for note in decays.notes)
    stays = lookahead.examine(Average("stays", 20, "stays"), walk)
    assert [finding.kind for finding in stays.findings] == ["lookback too short"]


def test_unseeded_random_numbers_are_not_called_look_ahead(eventful):
    report = lookahead.examine(lambda b: b.close * np.random.default_rng().random(), eventful)
    assert [finding.kind for finding in report.findings] == ["not repeatable"]
    assert not report.reads_ahead
    assert "draws unseeded random numbers, reads a clock" in report.findings[0].text


def test_a_counter_between_calls_is_told_from_look_ahead(eventful):
    calls = itertools.count()
    report = lookahead.examine(lambda b: b.close + (next(calls) // 2), eventful)
    assert report.verdict == "not repeatable"


def test_code_that_fails_on_a_shorter_history_is_said_to_fail_live(eventful):
    @dataclass(frozen=True)
    class Fragile(Trend):
        name: ClassVar[str] = "fragile"

        def weights(self, bars: Bars) -> pd.DataFrame:
            bars.close.loc["2022-05-18"]  # the last session of the data
            return super().weights(bars)

    report = lookahead.examine(Fragile(eventful.symbols, 10, 10), eventful)
    assert report.findings[0].kind == "fails"
    assert "KeyError: '2022-05-18'" in report.findings[0].text


def test_a_function_that_ignores_its_data_is_said_to_be_unexamined(eventful):
    known = eventful.close.shift(-1)  # computed beforehand, on everything
    report = lookahead.examine(lambda b: known.reindex(b.index), eventful)
    assert report.verdict == "in doubt"
    assert any("it depends on no price" in doubt for doubt in report.doubts)


def test_the_data_is_not_changed_by_a_subject_that_writes_into_it(eventful):
    before = eventful.close.copy()

    def writes(bars: Bars) -> pd.DataFrame:
        bars.close.iloc[:, 0] = 1.0
        return bars.close.rolling(5).mean()

    assert lookahead.examine(writes, eventful).clean
    pd.testing.assert_frame_equal(eventful.close, before)


def test_a_tie_that_rounding_decides_is_not_held_against_honest_code(bars_of):
    # On flat closes two averages are equal, and rounding alone says which is above. Through a Fourier transform that
    # rounding depends on every row, the later ones too.
    random = np.random.default_rng(1)
    flat = np.full((400, 6), 0.1)
    flat[:30] *= random.uniform(0.5, 2.0, (30, 6))
    bars = bars_of(flat)

    def average(close: np.ndarray, window: int) -> np.ndarray:
        kernel = np.fft.rfft(np.ones(window) / window, 1024)[:, None]
        return np.fft.irfft(np.fft.rfft(close, 1024, axis=0) * kernel, 1024, axis=0)[: len(close)]

    def crossing(b: Bars) -> pd.DataFrame:
        close = b.close.ffill().fillna(0.0).to_numpy()
        return pd.DataFrame((average(close, 10) > average(close, 20)).astype(float), b.index, b.close.columns)

    whole, cut = crossing(bars), crossing(bars.until(bars.index[300]))
    assert (whole.iloc[100:301] != cut.iloc[100:301]).any(axis=None)  # so the temptation is real
    assert lookahead.examine(crossing, bars, depth=Depth(cuts=8, combs=1)).clean


@pytest.mark.parametrize("feature", technical.basic(), ids=lambda feature: feature.name)
def test_the_features_of_the_workbench_do_not_read_ahead(eventful, feature):
    report = lookahead.examine(feature, eventful, depth=Depth(cuts=8, combs=2, windows=2))
    assert not report.reads_ahead, str(report)


def test_a_report_survives_json_and_says_what_was_tried(eventful):
    report = lookahead.examine(SmaCross(eventful.symbols, fast=5, slow=20), eventful, seed=3)
    assert Report.from_json(report.to_json()) == report
    assert report.clean
    assert report.params == {"fast": 5, "slow": 20}
    assert report.source == lookahead.examine(SmaCross(eventful.symbols[:6], fast=5, slow=20), eventful).source
    assert len(report.source) == 64
    assert {check.name for check in report.checks} == {"repeat", "comb", "truncation", "injection", "cold", "lookback"}
    assert all(check.dates > 0 and check.runs > 0 for check in report.checks)
    assert len(report.dates) >= 16
    cheat = lookahead.examine(lambda b: b.close.shift(-1), eventful)
    assert Report.from_json(cheat.to_json()) == cheat
    assert "✗" in str(cheat)
    assert "<li>" in cheat._repr_html_()


def test_the_same_seed_tries_the_same_dates(eventful):
    strategy = SmaCross(eventful.symbols, fast=5, slow=20)
    few = Depth(cuts=8, combs=1, windows=2)
    first, again, other = (lookahead.examine(strategy, eventful, depth=few, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.dates != other.dates


def test_dates_before_events_are_tried(eventful):
    tried = set(lookahead.examine(lambda b: b.close, eventful, depth=Depth(cuts=40)).dates)
    for row in (199, 249, 299, 349, 399, 519, 598):  # a listing, a split, halts, delistings, the last but one
        assert str(eventful.index[row].date()) in tried or row < 200


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda b: lookahead.examine(42, b), "int is no strategy, feature or function"),
        (lambda b: lookahead.examine(lambda x: x, [1, 2]), "data is list; give bars, a frame"),
        (lambda b: lookahead.examine(lambda x: 3.0, b), "it returned float; return a frame or a series"),
        (lambda b: lookahead.examine(lambda x: x.close.reset_index(drop=True), b), "has no row a session"),
        (lambda b: lookahead.examine(lambda x: x.close.shift(1, freq="D"), b), "which is no row of the data"),
        (lambda b: lookahead.examine(lambda x: x.close.map(lambda _: "up"), b), "holds something that is not a number"),
        (lambda b: lookahead.examine(lambda x: x.clse, b), "it raises on the data itself"),
        (lambda b: lookahead.examine(SmaCross(b.symbols, slow=700), b), "its lookback is"),
        (lambda b: lookahead.examine(lambda x: x, b.close, known_after={"TEC1": 5}), "no column 'TEC1' with numbers"),
        (lambda b: lookahead.examine(lambda x: x.close, b, known_after={"close": 5}), "known_after is for the columns"),
    ],
)
def test_what_cannot_be_examined_is_refused_in_one_line(eventful, call, says):
    with pytest.raises(InputRefused, match=says) as refused:
        call(eventful)
    assert "\n" not in str(refused.value)
