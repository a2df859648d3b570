"""The technical family: returns, volatility, trend, volume. Indicators with a name of their own come from TA-Lib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, log1p
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.errors import InputRefused
from workbench.types import Bars

Compute = Callable[[Bars, int], pd.DataFrame]
# The last close is carried over a halt of at most so many sessions (Bars.last_close).
HALT = 5


@dataclass(frozen=True)
class Technical:
    """A feature of the family at one window, named ``momentum_63``."""

    by_symbol: ClassVar[bool] = True
    kind: str
    window: int
    inputs: tuple[str, ...]
    lookback: int
    function: Compute

    @property
    def name(self) -> str:
        """The column's name."""
        return f"{self.kind}_{self.window}"

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        if self.window > len(bars):
            raise InputRefused(
                f"{self.name}: window {self.window} is longer than the data ({len(bars)} bars); shorten it or read more"
            )
        return self.function(bars, self.window)


def momentum(window: int) -> Technical:
    """Return the return over ``window`` sessions."""
    return Technical(
        "momentum", window, ("close",), window + 1 + HALT, lambda b, n: b.last_close().pct_change(n, fill_method=None)
    )


def volatility(window: int) -> Technical:
    """Return the annual standard deviation of daily returns."""
    return Technical("volatility", window, ("close",), window + 1 + HALT, _volatility)


def distance(window: int) -> Technical:
    """Return the close over its simple average, minus one."""
    return Technical("distance", window, ("close",), window + HALT, _distance)


def volume_surprise(window: int) -> Technical:
    """Return the log of the volume over its average of the sessions before."""
    return Technical("volume_surprise", window, ("volume",), window + 1, _volume_surprise)


def rsi(window: int) -> Technical:
    """Return Wilder's relative strength index, 0 to 100 (TA-Lib)."""
    return Technical("rsi", window, ("close",), 1 + settled(window), _rsi)


def atr(window: int) -> Technical:
    """Return Wilder's average true range as a share of the close (TA-Lib)."""
    return Technical("atr", window, ("high", "low", "close"), 1 + settled(window), _atr)


def basic() -> tuple[Technical, ...]:
    """Return the small set that the features notebook shows."""
    return (momentum(21), momentum(126), volatility(21), distance(50), volume_surprise(21), rsi(14), atr(14))


def settled(window: int) -> int:
    """Return after how many bars Wilder's smoothing has forgotten all but 1e-9 of what came before its window."""
    return window + ceil(log(1e9) / -log1p(-1.0 / window)) if window > 1 else window


def _volatility(bars: Bars, window: int) -> pd.DataFrame:
    daily: pd.DataFrame = bars.last_close().pct_change(fill_method=None).rolling(window).std()
    return daily * float(np.sqrt(252))


def _distance(bars: Bars, window: int) -> pd.DataFrame:
    close = bars.last_close()
    return close / close.rolling(window).mean() - 1.0


def _volume_surprise(bars: Bars, window: int) -> pd.DataFrame:
    volume = bars.volume.where(bars.volume > 0)
    usual = volume.shift(1).rolling(window, min_periods=window // 2).mean()
    return pd.DataFrame(np.log((volume / usual).to_numpy()), index=bars.index, columns=list(bars.symbols))


def _rsi(bars: Bars, window: int) -> pd.DataFrame:
    import talib

    return each_symbol(bars, ("close",), lambda rows: talib.RSI(rows["close"].to_numpy(), window))


def _atr(bars: Bars, window: int) -> pd.DataFrame:
    import talib

    def share(rows: pd.DataFrame) -> np.ndarray:
        high, low, close = (rows[name].to_numpy() for name in ("high", "low", "close"))
        found: np.ndarray = talib.ATR(high, low, close, window) / close
        return found

    return each_symbol(bars, ("high", "low", "close"), share)


def each_symbol(bars: Bars, inputs: Sequence[str], function: Callable[[pd.DataFrame], np.ndarray]) -> pd.DataFrame:
    """Apply a TA-Lib function symbol by symbol on the bars that exist: it cannot step over a gap."""
    columns = {}
    for symbol in bars.symbols:
        rows = pd.DataFrame({name: getattr(bars, name)[symbol] for name in inputs}).dropna()
        values = function(rows) if len(rows) else np.empty(0)
        columns[symbol] = pd.Series(values, index=rows.index)
    return pd.DataFrame(columns, index=bars.index, columns=list(bars.symbols))
