"""Code that keeps something between calls: the cheats of a hurried notebook, and honest caches that look like them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from workbench.types import Bars

_KEPT: dict[str, Any] = {}
_SEEN: dict[tuple[int, bytes], pd.DataFrame] = {}


def month(bars: Bars) -> pd.DataFrame:
    return bars.close.pct_change(20, fill_method=None)


@dataclass
class FitOnce:
    """Scales by the mean and spread of whatever it was given first."""

    name: str = "fit_once"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 30

    def __post_init__(self) -> None:
        self.mean: pd.Series | None = None

    def compute(self, bars: Bars) -> pd.DataFrame:
        moves = month(bars)
        if self.mean is None:
            self.mean, self.spread = moves.mean(), moves.std()
        return (moves - self.mean) / self.spread


class Fitted:
    """The same with a scaler of scikit-learn, and no dataclass."""

    name, inputs, lookback = "fitted", ("close",), 30

    def __init__(self) -> None:
        self.scaler = StandardScaler()

    def compute(self, bars: Bars) -> pd.DataFrame:
        moves = month(bars).fillna(0.0)
        if not hasattr(self.scaler, "mean_"):
            self.scaler.fit(moves.to_numpy())
        return pd.DataFrame(self.scaler.transform(moves.to_numpy()), moves.index, moves.columns)


def kept_quantile(bars: Bars) -> pd.DataFrame:
    """What is above a threshold that the module keeps."""
    if "quantile" not in _KEPT:
        _KEPT["quantile"] = float(np.nanquantile(month(bars), 0.9))
    return (month(bars) > _KEPT["quantile"]).astype(float)


@dataclass(frozen=True)
class Winners:
    """Holds the winners of the first data it ever saw, which the module keeps, while they trend."""

    symbols: tuple[str, ...]
    lookback: int = 20
    name: ClassVar[str] = "winners"

    def weights(self, bars: Bars) -> pd.DataFrame:
        close = bars.close
        if "winners" not in _KEPT:
            _KEPT["winners"] = (close.ffill().iloc[-1] / close.bfill().iloc[0]).nlargest(3).index
        trending = close > close.rolling(20).mean()
        return trending.mul(close.columns.isin(_KEPT["winners"])).astype(float) / 3


def kept_by_content(bars: Bars) -> pd.DataFrame:
    """An honest cache: what is kept is found again only for the same rows."""
    key = (len(bars), bars.close.to_numpy().tobytes())
    if key not in _SEEN:
        _SEEN[key] = bars.close / bars.close.rolling(20).mean()
    return _SEEN[key]


@functools.lru_cache(maxsize=64)
def _window_weights(window: int) -> np.ndarray:
    return np.exp(-np.arange(window) / window)


def kept_by_argument(bars: Bars) -> pd.DataFrame:
    """An honest cache of what no data decides."""
    weights = _window_weights(20)[::-1]
    return bars.close.rolling(20).apply(lambda rows: float(rows @ weights), raw=True)


def set_up(window: int) -> None:
    _KEPT["window"] = window


def needs_set_up(bars: Bars) -> pd.DataFrame:
    """What another call has to make ready."""
    return bars.close.rolling(_KEPT["window"]).mean()


@dataclass
class KeptPerBars:
    """An honest feature that remembers its last answer for the rows it was made of."""

    name: str = "kept_per_bars"
    inputs: tuple[str, ...] = ("close",)
    lookback: int = 20

    def __post_init__(self) -> None:
        self.last: tuple[bytes, pd.DataFrame] | None = None

    def compute(self, bars: Bars) -> pd.DataFrame:
        key = bars.close.to_numpy().tobytes()
        if self.last is None or self.last[0] != key:
            self.last = (key, bars.close.rolling(20).mean())
        return self.last[1]
