"""Features of longer bars seen from shorter ones: weeks and months from days, days from five minutes.

A week's value is known when its last session has closed, not before: the trading calendar says which session that is,
never the data, whose last row would look like the end of a week. What is not complete is not used.

>>> weekly(rsi(14))                                # a row a day; changes once a week
>>> sessions(lake.bars(dataset="prices_5min"))     # daily bars, complete sessions only
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from workbench.errors import DataRefused, NoData
from workbench.features.declared import readable, regrouped
from workbench.features.protocol import Feature
from workbench.sessions import Calendar
from workbench.types import Bars

Period = Literal["week", "month"]
_CODE = {"week": "W-SUN", "month": "M"}
_SESSIONS = {"week": 5, "month": 23}


@dataclass(frozen=True)
class Longer:
    """A feature of weekly or monthly bars, as known on each day."""

    feature: Feature
    period: Period
    exchange: str = "XNYS"

    @property
    def name(self) -> str:
        """The column's name."""
        return f"{self.feature.name}_{self.period}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        return self.feature.inputs

    @property
    def by_symbol(self) -> bool:
        """Whether a symbol's rows are decided by that symbol alone."""
        return bool(getattr(self.feature, "by_symbol", False))

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t: whole periods, and a broken one at either end."""
        return (self.feature.lookback + 2) * _SESSIONS[self.period]

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        longer, known = resampled(bars, self.period, self.exchange)
        values = self.feature.compute(longer).to_numpy(dtype=float)
        newest = np.searchsorted(known, np.arange(len(bars)), side="right") - 1
        rows = np.where(newest[:, None] >= 0, values[newest], np.nan)
        return pd.DataFrame(rows, index=bars.index, columns=list(bars.symbols))


def weekly(feature: Feature, exchange: str = "XNYS") -> Longer:
    """Return the feature of weekly bars."""
    return Longer(feature, "week", exchange)


def monthly(feature: Feature, exchange: str = "XNYS") -> Longer:
    """Return the feature of monthly bars."""
    return Longer(feature, "month", exchange)


def resampled(bars: Bars, period: Period, exchange: str = "XNYS") -> tuple[Bars, np.ndarray]:
    """Return the bars of complete weeks or months, and the row number at whose close each is known.

    A longer bar is labelled by the last of its days that has a row.
    """
    if bars.index.tz is not None:
        raise DataRefused("resampled: the bars are not daily; make daily bars of them first: sessions(bars)")
    first, last = bars.index[0], bars.index[-1]
    around = Calendar(exchange).sessions((first - pd.Timedelta(days=15)).date(), (last + pd.Timedelta(days=15)).date())
    of_session = around.to_period(_CODE[period])
    ends = pd.Series(around, index=of_session).groupby(level=0).agg(["first", "last"])
    of_row = bars.index.to_period(_CODE[period])
    periods = of_row.unique()
    begins, closes = (pd.DatetimeIndex(ends.reindex(periods)[side]) for side in ("first", "last"))
    whole = np.asarray((begins >= first) & (closes <= last))
    if not whole.any():
        raise NoData(f"resampled: no whole {period} between {first.date()} and {last.date()}; read more")
    number = pd.Series(np.arange(len(periods)), index=periods).reindex(of_row).to_numpy()
    frames = aggregated(bars, number)
    labels = bars.index[np.searchsorted(number, np.arange(len(periods)), side="right") - 1]
    chosen = {name: frame.set_axis(labels).loc[whole] for name, frame in frames.items()}
    known = np.searchsorted(bars.index, closes[whole])
    return regrouped(bars, chosen), known


def sessions(bars: Bars, exchange: str = "XNYS") -> Bars:
    """Return daily bars made of shorter ones; a session that still lacks its last bar is left out."""
    number, days, whole = by_session(bars, exchange)
    frames = {name: frame.set_axis(days).loc[whole] for name, frame in aggregated(bars, number).items()}
    return regrouped(bars, frames)


def by_session(bars: Bars, exchange: str = "XNYS") -> tuple[np.ndarray, pd.DatetimeIndex, np.ndarray]:
    """Return each bar's session number, the sessions, and which of them have their last bar."""
    if bars.index.tz is None:
        raise DataRefused("sessions: the bars are daily already; give bars with times in UTC")
    if len(bars) < 2:
        raise NoData("sessions: one bar does not tell its length; read more")
    calendar = Calendar(exchange)
    first, last = bars.index[0].tz_localize(None).normalize(), bars.index[-1].tz_localize(None).normalize()
    around = calendar.sessions(first.date(), (last + pd.Timedelta(days=5)).date())
    closes = calendar.closing_times(around)
    place = np.asarray(closes.searchsorted(bars.index, side="right"))
    used, number = np.unique(place, return_inverse=True)
    length = bars.index.to_series().diff().min()
    newest = bars.index[np.searchsorted(number, np.arange(len(used)), side="right") - 1]
    return number, around[used], np.asarray(newest + length >= closes[used])


def aggregated(bars: Bars, number: np.ndarray) -> dict[str, pd.DataFrame]:
    """Return the fields of longer bars that may be read: rows with the same number make one; NaN without a bar."""
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "traded_close": "last"}
    frames = {}
    for name in readable(bars):
        groups = getattr(bars, name).groupby(number)
        frames[name] = groups.sum(min_count=1) if name == "volume" else getattr(groups, how[name])()
    return frames
