"""Where the paper broker's prices come from: bars and a clock, or prints that somebody pushes.

A bar is two prints: its open, and at its end its close with all that was between. What lay between counts only for
orders that rested when the bar began::

    # daily bar:   09:30  open            16:00  low … high, close
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import pandas as pd

from workbench.errors import DataRefused
from workbench.sessions import Calendar
from workbench.types import Bars


@dataclass(frozen=True)
class Print:
    """Prices of one symbol from ``start`` to ``at``; ``volume`` is what traded since ``start``, None for no bound."""

    symbol: str
    at: datetime
    price: float
    low: float
    high: float
    start: datetime
    volume: float | None = None

    @classmethod
    def of(cls, symbol: str, at: datetime, price: float, volume: float | None = None) -> Print:
        """Return one price at one moment."""
        return cls(symbol, at, price, price, price, at, volume)


class Market(Protocol):
    """A source of prices."""

    def now(self) -> datetime:
        """Return the time of the market."""
        ...

    def symbols(self) -> tuple[str, ...]:
        """Return what can be traded."""
        ...

    def prints(self, after: datetime, symbols: Iterable[str]) -> Iterator[Print]:
        """Return what was printed after a moment and until now, in order."""
        ...

    def last(self, symbol: str) -> tuple[float, datetime] | None:
        """Return the last price and when it held."""
        ...


@dataclass
class SteppedClock:
    """A clock that stands where it is set, and never goes back."""

    moment: datetime

    def __call__(self) -> datetime:
        """Return the time."""
        return self.moment

    def set(self, moment: datetime) -> None:
        """Go to a later moment."""
        if moment < self.moment:
            raise DataRefused(f"clock: {moment} is before {self.moment}; simulated time does not go back")
        self.moment = moment


class PushedMarket:
    """Prices as somebody pushes them; the last one holds."""

    def __init__(self, clock: Callable[[], datetime], prices: dict[str, float]) -> None:
        self._clock = clock
        self._last = {symbol: (price, clock()) for symbol, price in prices.items()}
        self._waiting: list[Print] = []

    def push(self, *prints: Print) -> None:
        """Print these prices next."""
        self._waiting.extend(prints)

    def now(self) -> datetime:
        """Return the time of the clock."""
        return self._clock()

    def symbols(self) -> tuple[str, ...]:
        """Return what has a price."""
        return tuple(self._last)

    def prints(self, after: datetime, symbols: Iterable[str]) -> Iterator[Print]:
        """Return what was pushed since the last call."""
        del after, symbols
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self._last[one.symbol] = (one.price, one.at)
            yield one

    def last(self, symbol: str) -> tuple[float, datetime] | None:
        """Return the last price pushed."""
        return self._last.get(symbol)


class BarMarket:
    """Prices of bars, as the clock comes to them."""

    def __init__(self, bars: Bars, clock: Callable[[], datetime], calendar: Calendar | None = None) -> None:
        self._clock = clock
        self._symbols = {symbol: column for column, symbol in enumerate(bars.symbols)}
        names = ("open", "high", "low", "close", "volume")
        self._open, self._high, self._low, self._close, self._volume = (
            getattr(bars, name).to_numpy(dtype=float) for name in names
        )
        starts, ends = _times(bars.index, calendar or Calendar())
        self._starts, self._ends = starts.as_unit("us"), ends.as_unit("us")

    def now(self) -> datetime:
        """Return the time of the clock."""
        return self._clock()

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols of the bars."""
        return tuple(self._symbols)

    def prints(self, after: datetime, symbols: Iterable[str]) -> Iterator[Print]:
        """Return opens and closes after a moment and until now, in order."""
        columns = [(symbol, self._symbols[symbol]) for symbol in sorted(symbols) if symbol in self._symbols]
        now = self.now()
        first, end = self._ends.searchsorted(after, side="right"), self._starts.searchsorted(now, side="right")
        for row in range(int(first), int(end)):
            start, at = self._starts[row].to_pydatetime(), self._ends[row].to_pydatetime()
            if after < start:
                for symbol, column in columns:
                    price, volume = float(self._open[row, column]), float(self._volume[row, column])
                    if np.isfinite(price):
                        yield Print.of(symbol, start, price, volume)
            if at <= now:
                for symbol, column in columns:
                    low, high = float(self._low[row, column]), float(self._high[row, column])
                    price, volume = float(self._close[row, column]), float(self._volume[row, column])
                    if np.isfinite(price):
                        yield Print(symbol, at, price, low, high, start, volume)

    def last(self, symbol: str) -> tuple[float, datetime] | None:
        """Return the last open or close that the clock has passed; it holds now while the symbol trades."""
        column, now = self._symbols.get(symbol), self.now()
        if column is None:
            return None
        begun = int(self._starts.searchsorted(now, side="right"))
        closed = int(self._ends.searchsorted(now, side="right"))
        if begun > closed and np.isfinite(self._open[closed, column]):
            return float(self._open[closed, column]), now
        known = np.flatnonzero(np.isfinite(self._close[:closed, column]))
        if not len(known):
            return None
        row = int(known[-1])
        current = begun == closed == row + 1
        return float(self._close[row, column]), now if current else self._ends[row].to_pydatetime()


def _times(index: pd.DatetimeIndex, calendar: Calendar) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex]:
    """Return when each bar begins and ends."""
    if index.tz is None:
        opens = pd.DatetimeIndex([calendar.opens(session) for session in index])
        return opens, calendar.closing_times(index)
    step = index.to_series().diff().min() if len(index) > 1 else pd.Timedelta(minutes=5)
    return index, index + step
