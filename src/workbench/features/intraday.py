"""What five-minute bars tell about a session, one row a session, known when its last bar is.

>>> Intraday().compute(lake.bars(dataset="prices_5min")).frame("realised_volatility")
>>> alpha158(vwap=session_vwap(lake.bars(dataset="prices_5min")))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.features.columns import Columns
from workbench.features.timeframe import aggregated, by_session
from workbench.types import Bars


@dataclass(frozen=True)
class Intraday:
    """The family of intraday features; ``edge_bars`` is how many bars count as the morning and as the evening."""

    edge_bars: int = 6
    exchange: str = "XNYS"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return ("realised_volatility", "morning_return", "evening_return", "morning_volume", "close_to_vwap")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        return ("open", "high", "low", "close", "volume")

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t: those of one session of XNYS."""
        return 78

    def compute(self, bars: Bars) -> Columns:
        """Return session × symbol columns; a session without its last bar is left out.

        Realised volatility is annual, from the returns inside the session. Morning and evening are its first and last
        bars, as returns; the morning's volume is a share of the session's.
        """
        number, days, whole = by_session(bars, self.exchange)
        begins = np.searchsorted(number, np.arange(len(days)))
        place = np.arange(len(number)) - begins[number]
        length = np.diff(np.r_[begins, len(number)])[number]
        day = aggregated(bars, number)
        before = _only(bars.open, place == 0).fillna(_only(bars.close.groupby(number).ffill().shift(1), place > 0))
        squares = ((bars.close / before).map(np.log) ** 2).groupby(number).sum(min_count=2)
        morning = _only(bars.close, place < self.edge_bars).groupby(number).last()
        before_evening = _only(bars.close, place < length - self.edge_bars).groupby(number).last()
        early = _only(bars.volume, place < self.edge_bars).groupby(number).sum(min_count=1)
        vwap = _vwap(bars, number)
        columns: dict[str, pd.DataFrame] = {
            "realised_volatility": (squares * 252.0) ** 0.5,
            "morning_return": morning / day["open"] - 1.0,
            "evening_return": day["close"] / before_evening - 1.0,
            "morning_volume": early / day["volume"].where(day["volume"] > 0),
            "close_to_vwap": day["close"] / vwap - 1.0,
        }
        values = np.stack([columns[name].to_numpy(dtype=np.float32)[whole].T for name in self.names])
        return Columns(self.names, bars.symbols, days[whole], values)


def _only(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return the frame with every other row missing."""
    return frame.where(np.broadcast_to(rows[:, None], frame.shape))


def session_vwap(bars: Bars, exchange: str = "XNYS") -> pd.DataFrame:
    """Return session × symbol, the average of the bars' typical prices by volume; complete sessions only."""
    number, days, whole = by_session(bars, exchange)
    return _vwap(bars, number).set_axis(days).loc[whole]


def _vwap(bars: Bars, number: np.ndarray) -> pd.DataFrame:
    typical = (bars.high + bars.low + bars.close) / 3.0
    volume = bars.volume.groupby(number).sum(min_count=1)
    return (typical * bars.volume).groupby(number).sum(min_count=1) / volume.where(volume > 0)
