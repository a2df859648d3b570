"""A hundred honest ways to compute something from bars: what quants write, with all that could look suspicious."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import polars as pl
from numpy.lib.stride_tricks import sliding_window_view
from scipy import signal

from workbench.features import technical
from workbench.params import SizingParams
from workbench.strategies.mean_reversion import MeanReversion
from workbench.strategies.sizing import size, sizing_lookback
from workbench.strategies.sma_cross import SmaCross
from workbench.strategies.xs_momentum import XsMomentum
from workbench.types import Bars

FIELDS = ("open", "high", "low", "close", "volume", "traded_close")


def framed(bars: Bars, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, index=bars.index, columns=bars.close.columns)


def returns(bars: Bars) -> pd.DataFrame:
    return bars.last_close().pct_change(fill_method=None)


def rolling() -> dict[str, Callable]:
    """Windows of several lengths over several fields."""
    kinds = {
        "mean": lambda w: w.mean(),
        "std": lambda w: w.std(),
        "max": lambda w: w.max(),
        "median": lambda w: w.median(),
        "skew": lambda w: w.skew(),
        "quantile": lambda w: w.quantile(0.2),
        "rank": lambda w: w.rank(pct=True),
    }
    windows = itertools.cycle((3, 5, 10, 21, 63, 126))
    made = {}
    for (kind, take), field in itertools.product(kinds.items(), ("close", "volume", "high")):
        window = next(windows)
        made[f"rolling {kind} of {field} over {window}"] = functools.partial(
            lambda bars, field, window, take: getattr(bars, field) / take(getattr(bars, field).rolling(window)),
            field=field,
            window=window,
            take=take,
        )
    return made


def decaying() -> dict[str, Callable]:
    """Exponential averages and everything since the beginning."""
    made = {}
    for span, adjust in itertools.product((5, 20, 60), (True, False)):
        made[f"ewm of span {span}, adjust {adjust}"] = functools.partial(
            lambda bars, span, adjust: bars.close / bars.close.ewm(span=span, adjust=adjust).mean(),
            span=span,
            adjust=adjust,
        )
    made |= {
        "ewm volatility": lambda b: returns(b).ewm(halflife=15).std(),
        "expanding z-score": lambda b: (b.close - b.close.expanding().mean()) / b.close.expanding(20).std(),
        "expanding rank": lambda b: b.close.expanding(20).rank(pct=True),
        "drawdown": lambda b: b.close / b.close.cummax() - 1.0,
        "balance of volume": lambda b: (np.sign(returns(b)) * b.volume).cumsum(),
        "age since the listing": lambda b: b.close.notna().cumsum(),
        "return since the first bar": lambda b: b.close / b.close.bfill().iloc[0].where(b.close.iloc[0].notna()) - 1.0,
        "equity of yesterday's winner": lambda b: (1 + (returns(b) * (returns(b).shift(1) > 0)).mean(axis=1)).cumprod(),
    }
    return made


def across() -> dict[str, Callable]:
    """Ranks and normalisers over the symbols of one date."""
    z = lambda frame: frame.sub(frame.mean(axis=1), axis=0).div(frame.std(axis=1), axis=0)  # noqa: E731
    return {
        "rank": lambda b: returns(b).rank(axis=1, pct=True),
        "z-score": lambda b: z(b.close.pct_change(21, fill_method=None)),
        "clipped z-score": lambda b: z(b.close.pct_change(5, fill_method=None)).clip(-2, 2),
        "winsorised": lambda b: returns(b).clip(
            returns(b).quantile(0.1, axis=1), returns(b).quantile(0.9, axis=1), axis=0
        ),
        "without the sector's mean": lambda b: (
            returns(b) - returns(b).T.groupby([b.sectors[s] for s in b.symbols]).transform("mean").T
        ),
        "softmax": lambda b: np.exp(z(returns(b))).div(np.exp(z(returns(b))).sum(axis=1), axis=0),
        "the three largest by volume": lambda b: (b.volume.rolling(20).mean().rank(axis=1, ascending=False) <= 3) * 1.0,
        "share of the market's turnover": lambda b: (b.close * b.volume).div((b.close * b.volume).sum(axis=1), axis=0),
        "of those with a year of data": lambda b: b.close.where(b.close.notna().rolling(252).sum() > 240).rank(axis=1),
    }


def slower() -> dict[str, Callable]:
    """Weeks and months, used only once they are over; and what a calendar tells on the day itself."""

    def last_period(bars: Bars, rule: str) -> pd.DataFrame:
        ends = bars.close.groupby(bars.index.to_period(rule)).last()
        return ends.pct_change(fill_method=None).shift(1).reindex(bars.index.to_period(rule)).set_axis(bars.index)

    def renewed(bars: Bars) -> pd.DataFrame:
        month = pd.Series(bars.index.to_period("M"), index=bars.index)
        return returns(bars).rolling(20).sum().rank(axis=1).where(month != month.shift(1)).ffill()

    return {
        "last week's return": functools.partial(last_period, rule="W"),
        "last month's return": functools.partial(last_period, rule="M"),
        "last quarter's return": functools.partial(last_period, rule="Q"),
        "resampled weeks with a lag": lambda b: (
            b.close.resample("W-FRI").last().shift(1).reindex(b.index, method="ffill")
        ),
        "the month to date": lambda b: b.close.groupby(b.index.to_period("M")).cummax(),
        "the month's mean to date": lambda b: b.close.groupby(b.index.to_period("M")).expanding().mean().droplevel(0),
        "renewed with the month": renewed,
        "Mondays only": lambda b: b.close.where(np.repeat(b.index.dayofweek.to_numpy()[:, None] == 0, 12, axis=1)),
        "days since the last session": lambda b: pd.Series(b.index, b.index).diff().dt.days,
        "every fifth row": lambda b: b.close.where(
            np.repeat((np.arange(len(b)) % 5 == 0)[:, None], 12, axis=1)
        ).ffill(),
    }


def stateful() -> dict[str, Callable]:
    """Loops that carry a state from row to row."""

    def hysteresis(bars: Bars, enter: float, leave: float) -> pd.DataFrame:
        z = ((bars.close - bars.close.rolling(20).mean()) / bars.close.rolling(20).std()).to_numpy()
        held, out = np.zeros(z.shape[1]), np.zeros(z.shape)
        for row, now in enumerate(z):
            held = np.where(now > enter, 1.0, np.where(now < leave, 0.0, held))
            out[row] = held
        return framed(bars, out)

    def kalman(bars: Bars) -> pd.DataFrame:
        prices = bars.close.to_numpy()
        level, doubt = np.full(prices.shape[1], np.nan), np.ones(prices.shape[1])
        out = np.zeros(prices.shape)
        for row, now in enumerate(prices):
            level = np.where(np.isnan(level), now, level)
            gain = (doubt + 0.1) / (doubt + 1.1)
            level = np.where(np.isnan(now), level, level + gain * (now - level))
            doubt = (1 - gain) * (doubt + 0.1)
            out[row] = level
        return framed(bars, out)

    def trailing_stop(bars: Bars) -> pd.DataFrame:
        close = bars.close.ffill().to_numpy()
        top, out = np.zeros(close.shape[1]), np.zeros(close.shape)
        for row, now in enumerate(close):
            top = np.fmax(top, now)
            out[row] = now > 0.9 * top
            top = np.where(out[row] > 0, top, now)
        return framed(bars, out)

    return {
        "hysteresis": functools.partial(hysteresis, enter=1.0, leave=0.0),
        "wide hysteresis": functools.partial(hysteresis, enter=1.5, leave=-1.5),
        "a Kalman filter": kalman,
        "a trailing stop": trailing_stop,
    }


def smooth_in_polars(bars: Bars) -> pd.DataFrame:
    return framed(bars, pl.from_pandas(bars.close).select(pl.all().rolling_mean(20)).to_numpy())


def numerical() -> dict[str, Callable]:
    """The same sums in ways whose rounding differs with the number of rows."""

    def running_sum(bars: Bars, window: int) -> pd.DataFrame:
        total = np.nancumsum(bars.close.to_numpy(), axis=0)
        return framed(bars, total - np.vstack([np.zeros((window, total.shape[1])), total[:-window]]))

    def fourier(bars: Bars) -> pd.DataFrame:
        close = bars.close.ffill().fillna(0.0).to_numpy()
        kernel = np.exp(-np.arange(40) / 10.0)[:, None]
        return framed(bars, signal.fftconvolve(close, kernel, axes=0)[: len(close)])

    def product(bars: Bars) -> pd.DataFrame:
        weights = np.random.default_rng(4).normal(size=(12, 12))
        return framed(bars, np.nan_to_num(returns(bars).to_numpy()) @ weights)

    def windows(bars: Bars) -> pd.DataFrame:
        view = sliding_window_view(np.nan_to_num(returns(bars).to_numpy()), 20, axis=0)
        spread = np.sqrt(np.einsum("tnw,tnw->tn", view, view))
        return framed(bars, np.vstack([np.full((19, 12), np.nan), spread]))

    def components(bars: Bars) -> pd.Series:
        moves = np.nan_to_num(returns(bars).to_numpy())
        out = np.zeros(len(moves))
        for row in range(60, len(moves)):
            window = moves[row - 59 : row + 1]
            out[row] = np.linalg.eigvalsh(np.cov(window.T))[-1]
        return pd.Series(out, bars.index)

    return {
        "running sums": functools.partial(running_sum, window=20),
        "long running sums": functools.partial(running_sum, window=120),
        "a Fourier convolution": fourier,
        "a recursive filter": lambda b: framed(
            b, signal.lfilter([0.1], [1, -0.9], b.close.ffill().fillna(0.0), axis=0)
        ),
        "np.convolve": lambda b: pd.Series(np.convolve(b.close["TEC01"], np.ones(10))[: len(b)], b.index),
        "a matrix product": product,
        "sliding windows": windows,
        "polars": smooth_in_polars,
        "the largest component": components,
        "single precision": lambda b: b.close.astype(np.float32).pct_change(10, fill_method=None),
        "correlation with the market": lambda b: returns(b).rolling(60).corr(returns(b).mean(axis=1)),
        "seeded noise": lambda b: framed(b, np.random.default_rng(7).normal(size=b.close.shape)),
        "seeded noise on the price": lambda b: b.close * np.random.default_rng(8).uniform(size=b.close.shape),
    }


def gaps() -> dict[str, Callable]:
    """Missing bars, handled with what was known."""
    made = {
        "filled forward": lambda b: b.close.ffill(),
        "filled forward for three bars": lambda b: b.close.ffill(limit=3),
        "missing is zero": lambda b: returns(b).fillna(0.0).rolling(10).sum(),
        "sessions since the last bar": lambda b: b.close.isna().astype(int).rolling(10).sum(),
        "drops rows with a gap": lambda b: b.close[["TEC01", "FIN00", "FIN01"]].dropna().rolling(5).mean(),
        "as true or false": lambda b: b.close > b.open,
        "as a long table": lambda b: b.close.rolling(5).mean().stack(future_stack=True),
        "as one series": lambda b: (b.close > b.close.rolling(50).mean()).mean(axis=1),
    }
    return made | {f"change of the {field}": functools.partial(_change, field=field) for field in FIELDS}


def _change(bars: Bars, field: str) -> pd.DataFrame:
    return getattr(bars, field).ffill().pct_change(3, fill_method=None)


def refitted(bars: Bars) -> pd.DataFrame:
    """A line through the past only, fitted again every 50 rows on outcomes that are known by then."""
    ahead, out = 5, np.full(bars.close.shape, np.nan)
    past = bars.close.pct_change(10, fill_method=None).to_numpy()
    outcome = (bars.close.shift(-ahead) / bars.close - 1).to_numpy()
    for start in range(100, len(bars), 50):
        x, y = past[: start - ahead].ravel(), outcome[: start - ahead].ravel()
        known = ~np.isnan(x) & ~np.isnan(y)
        slope = np.sum(x[known] * y[known]) / np.sum(x[known] ** 2)
        out[start : start + 50] = slope * past[start : start + 50]
    return framed(bars, out)


@dataclass(frozen=True)
class Inverse:
    """Equal risk: the inverse of each symbol's volatility, with or without sizing to a target."""

    symbols: tuple[str, ...]
    window: int
    sizing: SizingParams
    name: ClassVar[str] = "inverse"

    @property
    def lookback(self) -> int:
        return self.window + 6 + sizing_lookback(self.sizing)

    def weights(self, bars: Bars) -> pd.DataFrame:
        bars = bars.select(self.symbols)
        inverse = 1.0 / returns(bars).rolling(self.window).std()
        return size(inverse.div(inverse.sum(axis=1), axis=0), bars, self.sizing)


def strategies(symbols: tuple[str, ...]) -> dict[str, object]:
    """Strategies with a lookback that they must keep to."""
    plain, sized = SizingParams(target_volatility=None), SizingParams(volatility_sessions=20)
    made: dict[str, object] = {}
    for fast, slow in ((3, 10), (5, 20), (10, 50)):
        made[f"sma_cross {fast} {slow}"] = SmaCross(symbols, fast, slow, sizing=plain)
        made[f"sma_cross {fast} {slow} sized"] = SmaCross(symbols, fast, slow, sizing=sized)
    for formation in (20, 63):
        made[f"xs_momentum {formation}"] = XsMomentum(symbols, formation, skip=2, sizing=plain)
        made[f"xs_momentum {formation} sized"] = XsMomentum(symbols, formation, skip=2, sizing=sized)
    for window in (3, 10):
        made[f"mean_reversion {window}"] = MeanReversion(symbols, window, hold=3, sizing=plain)
        made[f"mean_reversion {window} sized"] = MeanReversion(symbols, window, hold=3, sizing=sized)
    for window in (10, 40):
        made[f"inverse volatility {window}"] = Inverse(symbols, window, plain)
        made[f"inverse volatility {window} sized"] = Inverse(symbols, window, sized)
    return made


def features() -> dict[str, object]:
    """Features of the workbench at other windows than its own."""
    made = (technical.momentum(7), technical.volatility(33), technical.distance(13), technical.volume_surprise(9))
    return {feature.name: feature for feature in (*made, technical.rsi(9), technical.atr(21))}


def variants(symbols: tuple[str, ...]) -> dict[str, object]:
    """Return all of them by name."""
    groups = (rolling(), decaying(), across(), slower(), stateful(), numerical(), gaps(), {"refitted": refitted})
    found: dict[str, object] = {}
    for group in (*groups, strategies(symbols), features()):
        assert not found.keys() & group.keys()
        found |= group
    return found
