"""Planted cheats: every one is caught, and named with the field, the symbol and how far ahead it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from pandas.api.indexers import FixedForwardWindowIndexer

from workbench.backtest import lookahead
from workbench.backtest.lookahead import Finding
from workbench.params import PortfolioParams, SizingParams
from workbench.strategies.sizing import size
from workbench.strategies.sma_cross import SmaCross
from workbench.types import Bars

ANY = object()


def caught(function, data, **options) -> Finding:
    """Return the one finding about this function."""
    report = lookahead.examine(function, data, **options)
    assert report.reads_ahead, str(report)
    assert not report.clean
    assert len(report.findings) == 1, str(report)
    return report.findings[0]


def on(bars: Bars, days: np.ndarray, wrong: pd.DataFrame) -> pd.DataFrame:
    """Return the close, but another frame on some days."""
    return bars.close.where(np.repeat(~np.asarray(days)[:, None], bars.close.shape[1], axis=1), wrong)


# name: function, field, sessions to the first and to the last row that is read
READS_AHEAD = {
    "shift of minus one": (lambda b: b.close.shift(-1) / b.close - 1, "close", 1, 1),
    "shift of minus five": (lambda b: b.close.shift(-5) / b.close - 1, "close", 5, 5),
    "a centred window": (lambda b: b.close.rolling(11, center=True).mean(), "close", 1, 5),
    "a forward window": (lambda b: b.high.rolling(FixedForwardWindowIndexer(window_size=4)).max(), "high", 1, 3),
    "fillna backwards": (lambda b: b.close.bfill().pct_change(fill_method=None), "close", 1, 1),
    "fillna backwards by one": (lambda b: b.close.bfill(limit=1), "close", 1, 1),
    "interpolation over a halt": (lambda b: b.close.interpolate(limit_area="inside"), "close", 1, 1),
    "only the volume": (lambda b: b.volume.shift(-2) / b.volume.rolling(20).mean(), "volume", 2, 2),
    "only the next open": (lambda b: b.open.shift(-1) / b.close - 1, "open", 1, 1),
    "only the next low": (lambda b: (b.low.shift(-1) > b.close * 0.97).astype(float), "low", 1, 1),
    "only the close as traded": (lambda b: b.traded_close / b.traded_close.shift(-1), "traded_close", 1, 1),
    "np.roll": (lambda b: np.roll(b.close.to_numpy(), -1, axis=0), "close", 1, 1),
    "pct_change(-1) in a ranking": (lambda b: b.close.pct_change(-1, fill_method=None).rank(axis=1), "close", 1, 1),
    "a mean of the whole month": (lambda b: b.close.groupby(b.index.to_period("M")).transform("mean"), "close", 1, ANY),
    "one symbol only": (lambda b: b.close.assign(FIN02=b.close["FIN02"].shift(-1)), "close", 1, 1),
    "the 13th of a month only": (lambda b: on(b, b.index.day == 13, b.close.shift(-1)), "close", 1, 1),
    "after a jump of the volume only": (
        lambda b: b.close.where(b.volume < b.volume.rolling(60).max(), b.close.shift(-1)),
        "close",
        1,
        1,
    ),
    "scaled down to a hundred-millionth": (lambda b: b.close + 1e-8 * b.close.shift(-1), "close", 1, 1),
    "scaling on the full sample": (lambda b: (b.close - b.close.mean()) / b.close.std(), "close", 1, ANY),
    "a cumulative sum from behind": (lambda b: b.close[::-1].cumsum()[::-1], "close", 1, ANY),
}


@pytest.mark.parametrize("name", READS_AHEAD)
def test_a_read_of_later_values_is_named_with_its_field_and_distance(eventful, name):
    function, field, first, farthest = READS_AHEAD[name]
    finding = caught(function, eventful, name="it")
    assert finding.kind == "reads ahead"
    assert (finding.field, finding.sessions_ahead) == (field, first)
    assert farthest is ANY or finding.farthest_ahead == farthest
    row, read = (eventful.index.get_loc(pd.Timestamp(when)) for when in (finding.date, finding.read))
    assert read - row == first
    assert f"({first} session{'s' if first > 1 else ''} later)" in finding.text


def test_the_sentence_names_the_row_and_the_read(eventful):
    finding = caught(lambda b: b.close.assign(FIN02=b.close["FIN02"].shift(-1)), eventful, name="planted")
    assert finding.column == "planted of FIN02"
    assert finding.symbol == "FIN02"
    assert finding.text == (
        f"planted of FIN02 on {finding.date} changes when close of FIN02 on {finding.read} (1 session later) changes: "
        "it reads ahead"
    )


def test_the_symbol_that_is_read_need_not_be_the_one_that_changes(eventful):
    finding = caught(lambda b: b.close.mul(b.volume["HLT01"].shift(-3), axis=0), eventful)
    assert (finding.field, finding.symbol, finding.sessions_ahead) == ("volume", "HLT01", 3)


def test_the_end_of_what_is_read_is_named(eventful):
    month = caught(lambda b: b.close.groupby(b.index.to_period("M")).transform("mean"), eventful)
    row = eventful.index.get_loc(pd.Timestamp(month.date))
    last = eventful.index[row + month.farthest_ahead]
    assert (last.month, last.year) == (eventful.index[row].month, eventful.index[row].year)
    everything = caught(lambda b: b.close / b.close.mean(), eventful)
    assert everything.text.endswith("it reads ahead to the end of the data")


def test_several_fields_are_all_named(eventful):
    finding = caught(lambda b: (b.high + b.low).shift(-1), eventful)
    assert finding.field == "high"
    assert "(so do low)" in finding.text


def test_a_threshold_from_the_full_sample_is_caught_though_no_single_row_decides_it(eventful):
    finding = caught(lambda b: (b.close > b.close.quantile(0.9)).astype(float), eventful)
    assert finding.kind == "reads ahead"
    assert finding.field == "close"
    assert "many rows of close" in finding.text


@pytest.mark.parametrize(
    ("function", "field"),
    [
        (lambda b: b.close * len(b), "length"),
        (lambda b: b.close.rank(pct=True, axis=1) * np.linspace(0, 1, len(b))[:, None], "length"),
        (lambda b: b.close.mul((b.index[-1] - b.index).days, axis=0), "dates"),
        (lambda b: b.close.mul(np.append(b.index.month[1:] != b.index.month[:-1], True), axis=0), "dates"),
    ],
    ids=["len(bars)", "a ramp to the end", "the last date", "the last session of a month"],
)
def test_how_long_the_data_goes_on_is_future_too(eventful, function, field):
    finding = caught(function, eventful)
    assert finding.kind == "reads later dates"
    assert finding.field == field


def test_the_end_of_the_month_is_read_one_session_ahead(eventful):
    function = lambda b: b.close.mul(np.append(b.index.month[1:] != b.index.month[:-1], True), axis=0)  # noqa: E731
    assert caught(function, eventful).sessions_ahead == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda b: b.close.dropna(axis=1).rolling(5).mean(),
        lambda b: b.close.loc[:, b.close.iloc[-1].notna()].rolling(5).mean(),
        lambda b: b.close.where(b.close.shift(-1).notna() | b.close.isna(), -1.0),
        lambda b: b.close.notna().astype(float).mul(b.close.count(), axis=1),
    ],
    ids=["dropna by symbol", "what is listed at the end", "sold a day before the delisting", "weighted by history"],
)
def test_knowing_who_survives_is_caught(eventful, function):
    finding = caught(function, eventful)
    assert finding.kind == "reads gaps ahead"
    assert finding.field == "gaps"


def test_survivorship_is_caught_in_a_market_where_everyone_survives(walk):
    finding = caught(lambda b: b.close.loc[:, b.close.iloc[-1].notna()].rolling(5).mean(), walk)
    assert finding.kind == "reads gaps ahead"


@dataclass(frozen=True)
class Peeking:
    """Holds what rises on the next session, at full size or as a small part of an honest rule."""

    symbols: tuple[str, ...]
    share: float = 1.0
    sizing: SizingParams = SizingParams(target_volatility=None)
    lookback: int = 20
    name: ClassVar[str] = "peeking"

    def weights(self, bars: Bars) -> pd.DataFrame:
        bars = bars.select(self.symbols)
        honest = (bars.close > bars.close.rolling(20).mean()).astype(float)
        ahead = (bars.close.shift(-1) > bars.close).astype(float)
        return size((self.share * ahead + (1 - self.share) * honest) / len(self.symbols), bars, self.sizing)


@pytest.mark.parametrize("share", [1.0, 0.01])
def test_a_strategy_that_peeks_is_caught_through_its_sizing(eventful, share):
    finding = caught(Peeking(eventful.symbols, share=share), eventful)
    assert finding.text.startswith("peeking: weight of ")
    assert (finding.field, finding.sessions_ahead) == ("close", 1)


def test_a_fill_on_the_close_that_decided_it_is_caught(eventful):
    strategy = SmaCross(eventful.symbols, fast=5, slow=20)
    finding = caught(strategy, eventful, portfolio=PortfolioParams(lag_bars=0, fill="close"))
    assert finding.kind == "same-bar fill"
    assert finding.field == "close"
    assert "is decided by the close of" in finding.text
    assert "use lag_bars 1" in finding.text


@dataclass(frozen=True)
class Yesterday:
    """Decides on the close before and the open of the day: both are known when the close fills."""

    symbols: tuple[str, ...]
    lookback: int = 3
    name: ClassVar[str] = "yesterday"

    def weights(self, bars: Bars) -> pd.DataFrame:
        close = bars.close.shift(1)
        return ((bars.open > close) & (close > close.shift(1))).astype(float) / len(self.symbols)


def test_a_fill_on_a_close_that_decided_nothing_is_honest(eventful):
    strategy = Yesterday(eventful.symbols)
    assert lookahead.examine(strategy, eventful, portfolio=PortfolioParams(lag_bars=0, fill="close")).clean
    # An order at the open, decided by that open, cannot be: params refuse it, so it is built past them.
    at_open = PortfolioParams.model_construct(lag_bars=0, fill="open")
    assert caught(strategy, eventful, portfolio=at_open).field == "open"


def test_a_lag_of_one_bar_is_no_same_bar_fill(eventful):
    strategy = SmaCross(eventful.symbols, fast=5, slow=20)
    assert lookahead.examine(strategy, eventful, portfolio=PortfolioParams(lag_bars=1, fill="close")).clean


# What lies in the first third, before anything is surely warmed up.


def only_before(bars: Bars, end: pd.Timestamp, wrong: pd.DataFrame) -> pd.DataFrame:
    return bars.close.pct_change(5, fill_method=None).where(np.repeat((bars.index >= end)[:, None], 12, axis=1), wrong)


@pytest.mark.parametrize("share", [0.27, 0.1])
def test_a_function_that_cheats_in_its_first_rows_only_is_caught(eventful, share):
    end = eventful.index[int(share * len(eventful))]
    early = lambda b: only_before(b, end, b.close.shift(-5) / b.close - 1)  # noqa: E731
    finding = caught(early, eventful)
    assert (finding.field, finding.sessions_ahead) == ("close", 5)
    assert pd.Timestamp(finding.date) < end


def test_a_strategy_that_cheats_before_its_lookback_is_full_is_caught(eventful):
    @dataclass(frozen=True)
    class Early:
        symbols: tuple[str, ...]
        lookback: int = 200
        name: ClassVar[str] = "early"

        def weights(self, bars: Bars) -> pd.DataFrame:
            early = only_before(bars, eventful.index[150], bars.close.shift(-1) / bars.close - 1)
            return (early > 0).astype(float) / len(self.symbols)

    assert caught(Early(eventful.symbols), eventful).sessions_ahead == 1


# What is decided by several symbols or two fields together is named by a field that was read.


def test_the_largest_by_turnover_of_the_full_sample_are_named_as_a_read_of_prices_and_volumes(eventful):
    def liquid(bars: Bars) -> pd.DataFrame:
        largest = (bars.volume * bars.close).mean().nlargest(4).index
        return bars.close.pct_change(20, fill_method=None)[largest]

    finding = caught(liquid, eventful)
    assert finding.kind == "reads ahead"
    assert finding.field == "close"
    assert "(so do volume)" in finding.text


def test_a_split_that_is_known_beforehand_is_named_as_a_read_of_both_closes(eventful):
    def splits(bars: Bars) -> pd.DataFrame:
        ratio = bars.close / bars.traded_close
        ahead = (ratio.shift(-2) / ratio - 1).abs() > 0.2
        return bars.close.pct_change(5, fill_method=None) * np.where(ahead, 2, 1)

    finding = caught(splits, eventful)
    assert (finding.kind, finding.field, finding.sessions_ahead) == ("reads ahead", "close", 2)
    assert "(so do traded_close)" in finding.text


# Models: a frame with features and a label that is known five sessions later.

HORIZON = 5


def model_frame(bars: Bars) -> pd.DataFrame:
    close = bars.close["TEC01"]
    returns = close.pct_change(fill_method=None)
    return pd.DataFrame(
        {
            "past": close.pct_change(10, fill_method=None),
            "spread": returns.rolling(10).std(),
            "label": close.shift(-HORIZON) / close - 1,
        }
    )


def walk_forward_fit(frame: pd.DataFrame, purge: int, scaled_on: str) -> pd.Series:
    """Fit a line on all labels before each block of 50 rows but the last ``purge``, and predict the block."""
    x = frame[["past", "spread"]]
    if scaled_on == "everything":
        x = (x - x.mean()) / x.std()
    predicted = pd.Series(np.nan, index=frame.index)
    for start in range(150, len(frame), 50):
        train = slice(20, start - purge)
        inputs, label = x.iloc[train], frame["label"].iloc[train]
        mean, spread = inputs.mean(), inputs.std()
        known = label.notna()
        slopes, *_ = np.linalg.lstsq(((inputs - mean) / spread)[known].to_numpy(), label[known].to_numpy(), rcond=None)
        predicted.iloc[start : start + 50] = ((x - mean) / spread).iloc[start : start + 50].to_numpy() @ slopes
    return predicted


def test_a_model_that_is_purged_is_honest(eventful):
    report = lookahead.examine(
        lambda frame: walk_forward_fit(frame, HORIZON, "train"), model_frame(eventful), known_after={"label": HORIZON}
    )
    assert report.clean, str(report)


def test_labels_that_are_not_known_yet_are_caught_in_training(eventful):
    finding = caught(
        lambda frame: walk_forward_fit(frame, 0, "train"),
        model_frame(eventful),
        known_after={"label": HORIZON},
        name="fit_predict",
    )
    assert finding.field == "label"
    assert "known 1 session later" in finding.text


def label_through_normaliser(frame: pd.DataFrame) -> pd.Series:
    """Predict with past alone, but scale the prediction by the mean and spread of all labels."""
    label = frame["label"]
    return (frame["past"] - label.mean()) / label.std()


def test_a_label_that_leaks_through_a_normaliser_is_caught(eventful):
    finding = caught(label_through_normaliser, model_frame(eventful), known_after={"label": HORIZON})
    assert (finding.field, finding.sessions_ahead) == ("label", 1)
    assert "to the end of the data" in finding.text


def test_a_frame_may_hold_counts_flags_and_words(eventful):
    close = eventful.close["TEC01"]
    frame = pd.DataFrame(
        {
            "up": close.diff() > 0,
            "trades": eventful.volume["TEC01"].fillna(0).astype("int64"),
            "maybe": eventful.volume["TEC02"].round().astype("Int64"),
            "side": np.where(close.diff() > 0, "buy", "sell"),
        }
    )
    honest = lambda f: f["up"].astype(float) * f["trades"] + f["maybe"].astype(float)  # noqa: E731
    assert lookahead.examine(honest, frame).clean
    assert caught(lambda f: f["up"].shift(-1).astype(float), frame).field == "up"
    assert caught(lambda f: f["trades"].shift(-2) * 1.0, frame).sessions_ahead == 2
    assert caught(lambda f: f["maybe"].astype(float).shift(-1), frame).field == "maybe"


def test_a_scaler_fitted_on_the_test_set_is_caught(eventful):
    from sklearn.preprocessing import StandardScaler

    def scaled(frame: pd.DataFrame) -> pd.DataFrame:
        x = frame[["past", "spread"]].fillna(0.0)
        return pd.DataFrame(StandardScaler().fit_transform(x), index=frame.index, columns=x.columns)

    report = lookahead.examine(scaled, model_frame(eventful))
    assert {finding.field for finding in report.findings} == {"past", "spread"}
    assert {finding.column for finding in report.findings} == {"scaled past", "scaled spread"}


def test_each_leaking_column_of_a_panel_is_named_and_the_honest_one_is_not(eventful):
    def panel(bars: Bars) -> pd.DataFrame:
        columns = {
            "trend": bars.close / bars.close.rolling(20).mean(),
            "tomorrow": bars.close.shift(-1),
            "crowd": bars.volume.shift(-2),
        }
        return pd.DataFrame({name: column.stack(future_stack=True) for name, column in columns.items()})

    report = lookahead.examine(panel, eventful)
    assert {finding.column.split(" of ")[0]: finding.field for finding in report.findings} == {
        "tomorrow": "close",
        "crowd": "volume",
    }
