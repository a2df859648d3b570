"""The facts that every room hands to the next: frozen, checked when made, importing nothing of ours but errors.

``Bars`` is the one thing a strategy sees. All its frames share one shape::

    # close:              TEC01   TEC02   FIN01
    # 2024-12-30          51.20   88.10     NaN      NaN = not listed, or halted
    # 2024-12-31          51.75   87.65   20.05
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
import pandas as pd

from workbench.errors import DataRefused, NoData, did_you_mean

SAMPLE = "sample"
REAL = "real"

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Bars:
    """Prices and volumes of several symbols over time, adjusted for splits and dividends as of one moment.

    ``traded_close`` is the price as printed on the tape: commissions and whole shares are computed from it.
    ``sectors`` maps each symbol to its sector where one is known. ``market`` says where the data came from,
    and everything derived from the bars repeats it.
    """

    open: pd.DataFrame
    high: pd.DataFrame
    low: pd.DataFrame
    close: pd.DataFrame
    volume: pd.DataFrame
    traded_close: pd.DataFrame
    market: str = REAL
    sectors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_index(self.close.index, "bars")
        if self.close.columns.has_duplicates:
            twice = self.close.columns[self.close.columns.duplicated()][0]
            raise DataRefused(f"bars: symbol {twice} appears twice; keep one column per symbol")
        for name in (*FIELDS, "traded_close"):
            frame: pd.DataFrame = getattr(self, name)
            if frame.shape != self.close.shape or not (
                frame.index.equals(self.close.index) and frame.columns.equals(self.close.columns)
            ):
                raise DataRefused(f"bars: '{name}' has another index or other columns than 'close'; align them first")
            values = frame.to_numpy(dtype=float)
            bad = (values < 0) if name == "volume" else (values <= 0)
            bad |= np.isinf(values)
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise DataRefused(
                    f"bars: {name} of {frame.columns[column]} on {_day(frame.index[row])} is {values[row, column]:g}; "
                    f"it must be finite and {'not negative' if name == 'volume' else 'positive'} "
                    "(use NaN for a missing bar)"
                )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, in column order."""
        return tuple(self.close.columns)

    @property
    def index(self) -> pd.DatetimeIndex:
        """The session dates (daily bars, no time zone) or bar starts in UTC (intraday)."""
        index = self.close.index
        assert isinstance(index, pd.DatetimeIndex)
        return index

    def __len__(self) -> int:
        return len(self.close)

    def until(self, moment: date | datetime | pd.Timestamp | str) -> Bars:
        """Return the bars up to and including the one of ``moment``: what could be seen once that bar had closed."""
        return self._rows(slice(None, _timestamp(moment, self.index)))

    def between(self, start: date | datetime | str | None = None, end: date | datetime | str | None = None) -> Bars:
        """Return the bars from ``start`` to ``end``, both included."""
        first = None if start is None else _timestamp(start, self.index)
        last = None if end is None else _timestamp(end, self.index)
        if first is not None and last is not None and first > last:
            raise DataRefused(f"bars: start {_day(first)} is after end {_day(last)}; swap them")
        return self._rows(slice(first, last))

    def select(self, symbols: Iterable[str]) -> Bars:
        """Return the bars of some symbols, in the order asked for."""
        wanted = list(symbols)
        if not wanted:
            raise NoData("bars: the universe is empty; name at least one symbol")
        for symbol in wanted:
            if symbol not in self.close.columns:
                raise NoData(f"bars: unknown symbol '{symbol}'.{did_you_mean(symbol, map(str, self.symbols))}")
        frames = {name: getattr(self, name)[wanted] for name in (*FIELDS, "traded_close")}
        return replace(self, **frames, sectors={s: self.sectors[s] for s in wanted if s in self.sectors})

    def returns(self) -> pd.DataFrame:
        """Return close-to-close simple returns; the first row is NaN."""
        return self.close.pct_change(fill_method=None)

    def last_close(self, max_gap_bars: int = 5) -> pd.DataFrame:
        """Return the close, carried over a halt of at most ``max_gap_bars`` bars; NaN where nothing trades."""
        return self.close.ffill(limit=max_gap_bars)

    def _rows(self, rows: slice) -> Bars:
        frames = {name: getattr(self, name).loc[rows] for name in (*FIELDS, "traded_close")}
        if frames["close"].empty:
            have = f"{_day(self.index[0])} to {_day(self.index[-1])}" if len(self) else "no rows"
            raise NoData(f"bars: no rows between {rows.start} and {rows.stop}; the bars have {have}")
        return replace(self, **frames)


def check_index(index: pd.Index, name: str) -> None:
    """Raise unless the index is sorted, unique and either plain session dates or UTC times."""
    if not isinstance(index, pd.DatetimeIndex):
        raise DataRefused(f"{name}: the index is {type(index).__name__}; it must be a DatetimeIndex")
    if index.tz is None:
        if len(index) and not (index == index.normalize()).all():
            odd = index[index != index.normalize()][0]
            raise DataRefused(f"{name}: {odd} has a time of day but no time zone; localise intraday times to UTC")
    elif str(index.tz) != "UTC":
        raise DataRefused(f"{name}: times are in {index.tz}; convert them with .tz_convert('UTC')")
    if index.has_duplicates:
        raise DataRefused(f"{name}: {_day(index[index.duplicated()][0])} appears twice; keep one row per time")
    if not index.is_monotonic_increasing:
        raise DataRefused(f"{name}: times are not sorted; call .sort_index() first")


def _timestamp(moment: date | datetime | pd.Timestamp | str, index: pd.DatetimeIndex) -> pd.Timestamp:
    try:
        stamp = pd.Timestamp(moment)
    except ValueError as error:
        raise DataRefused(f"bars: '{moment}' is not a date; write YYYY-MM-DD") from error
    if index.tz is not None and stamp.tz is None:
        return stamp.tz_localize("UTC")
    if index.tz is None and stamp.tz is not None:
        return stamp.tz_convert("UTC").tz_localize(None)
    return stamp


def _day(moment: object) -> str:
    stamp = pd.Timestamp(moment)  # type: ignore[arg-type]
    return str(stamp.date()) if stamp == stamp.normalize() else str(stamp)
