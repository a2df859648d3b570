"""Abnormal returns: what a symbol earned around an event beyond what was to be expected of it before.

|------ estimation -250 … -30 ------|        |--- window -10 … 20 ---|
                                                      0: the first session that ended knowing of the event
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import DataRefused, InputRefused
from workbench.sessions import Calendar
from workbench.types import Bars

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Model = Literal["market", "market_adjusted", "mean_adjusted"]

# Of the estimation window's sessions, at least this share must have a return.
ESTIMATED = 2 / 3


@dataclass(frozen=True)
class Windows:
    """Both windows in sessions relative to the event, both ends included."""

    window: tuple[int, int]
    estimation: tuple[int, int]

    def __post_init__(self) -> None:
        for name, (first, last) in (("window", self.window), ("estimation", self.estimation)):
            if first > last:
                raise InputRefused(f"event_study: {name} ({first}, {last}) ends before it begins; swap the two")
        if not self.window[0] <= 0 <= self.window[1]:
            raise InputRefused(f"event_study: window {self.window} leaves out session 0, the event; include it")
        if self.estimation[1] >= self.window[0]:
            raise InputRefused(
                f"event_study: estimation {self.estimation} reaches into the window {self.window}: the event would "
                f"explain itself; end it before {self.window[0]}"
            )

    @property
    def sessions(self) -> range:
        """The sessions of the window, relative to the event."""
        return range(self.window[0], self.window[1] + 1)


@dataclass(frozen=True)
class Measured:
    """What was measured of the events that could be: event × session, a row of facts each, and the others' reasons."""

    abnormal: Array
    facts: pd.DataFrame
    kept: Rows  # places of the measured events
    reasons: dict[int, str]  # by the place of each event that was dropped


def first_sessions(known_at: pd.DatetimeIndex, index: pd.DatetimeIndex, calendar: Calendar) -> Rows:
    """Return the place of the first session that ended after each moment, and the number of sessions where none did.

    What is known at the close or after it cannot have moved that session, so it belongs to the next.
    """
    closes = calendar.closing_times(index)
    if closes.isna().any():
        odd = index[np.asarray(closes.isna())][0]
        raise DataRefused(f"event_study: {odd.date()} is no session of {calendar.exchange}; leave it out of the bars")
    places: Rows = np.searchsorted(closes.asi8, known_at.as_unit(closes.unit).asi8, side="right")
    return places


def measure(
    bars: Bars, symbols: list[str], known_at: pd.DatetimeIndex, windows: Windows, model: Model, benchmark: str | None
) -> Measured:
    """Return the abnormal returns of each event that has what they need.

    A halted symbol's return comes when it trades again. One that stops trading inside the window was paid out: its
    abnormal returns are zero from then on, and the event stays, else only survivors would be counted.
    """
    close = bars.last_close()
    returns = close.pct_change(fill_method=None).to_numpy(dtype=float)
    market = np.zeros(len(close)) if benchmark is None else returns[:, bars.symbols.index(benchmark)]
    places = first_sessions(known_at, bars.index, Calendar())
    column = pd.Index(bars.symbols).get_indexer(pd.Index(symbols))
    reasons = dict(_unusable(returns, places, column, windows))
    kept = np.array([event for event in range(len(symbols)) if event not in reasons], dtype=np.int64)
    at, who = places[kept], column[kept]

    expected = _fit(returns, market, at, who, windows.estimation, model)
    asked = windows.estimation[1] - windows.estimation[0] + 1
    short = expected["estimated"].to_numpy() < ESTIMATED * asked
    for event, count in zip(kept[short], expected["estimated"][short], strict=True):
        reasons[int(event)] = f"{count} of {asked} estimation sessions have a return, fewer than two thirds"
    kept, at, who, expected = kept[~short], at[~short], who[~short], expected[~short].reset_index(drop=True)

    inside = at[:, None] + np.array(windows.sessions)
    alpha, beta = expected["alpha"].to_numpy()[:, None], expected["beta"].to_numpy()[:, None]
    abnormal = returns[inside, who[:, None]] - alpha - beta * market[inside]
    missing = np.isnan(abnormal)
    facts = expected.assign(session=bars.index[at], missing=missing.sum(axis=1))
    return Measured(np.where(missing, 0.0, abnormal), facts, kept, reasons)


def _unusable(returns: Array, places: Rows, column: Rows, windows: Windows) -> Iterator[tuple[int, str]]:
    """Yield the events that cannot be placed, with the reason."""
    seen: set[tuple[int, int]] = set()
    last = len(returns) - 1
    for event, (place, who) in enumerate(zip(places.tolist(), column.tolist(), strict=True)):
        if who < 0:
            yield event, "its symbol is not in the bars"
        elif place > last:
            yield event, "known after the last bar had closed"
        elif place + windows.window[1] > last:
            yield event, f"the window ends {place + windows.window[1] - last} sessions after the last bar"
        elif place + windows.window[0] < 0:
            yield event, f"the window begins {-place - windows.window[0]} sessions before the first bar"
        elif np.isnan(returns[place, who]):
            yield event, "the symbol has no return on its session"
        elif (place, who) in seen:
            yield event, "another event of the symbol has the same session"
        else:
            seen.add((place, who))


def _fit(returns: Array, market: Array, at: Rows, who: Rows, estimation: tuple[int, int], model: Model) -> pd.DataFrame:
    """Return alpha, beta, the residual deviation and the number of sessions they come from, a row an event."""
    rows = at[:, None] + np.arange(estimation[0], estimation[1] + 1)
    own = np.where(rows >= 0, returns[np.maximum(rows, 0), who[:, None]], np.nan)
    other = np.where(rows >= 0, market[np.maximum(rows, 0)], np.nan)
    known = ~(np.isnan(own) | np.isnan(other))
    count = known.sum(axis=1)
    free = {"market": 2, "market_adjusted": 0, "mean_adjusted": 1}[model]

    def mean(values: Array) -> Array:
        found: Array = np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1)
        return found

    beta, alpha = np.zeros(len(at)), np.zeros(len(at))
    if model == "market":
        own_mean, other_mean = mean(own), mean(other)
        spread = mean((other - other_mean[:, None]) ** 2)
        together = mean((own - own_mean[:, None]) * (other - other_mean[:, None]))
        beta = np.divide(together, spread, out=np.zeros(len(at)), where=spread > 0)
        alpha = own_mean - beta * other_mean
    elif model == "market_adjusted":
        beta = np.ones(len(at))
    else:
        alpha = mean(own)
    residual = own - alpha[:, None] - beta[:, None] * other
    deviation = np.sqrt(mean(residual**2) * count / np.maximum(count - free, 1))
    found: dict[str, Any] = {"alpha": alpha, "beta": beta, "residual": deviation, "estimated": count}
    return pd.DataFrame(found)
