"""The lake as a session sees it: what was known at a moment, up to the last session that had closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pandas as pd
import polars as pl

from workbench.data.lake import Lake
from workbench.live.session import Data, Seat
from workbench.params import DataParams
from workbench.sessions import Calendar

DAILY = "prices_daily"


def symbols_of(seats: Sequence[Seat]) -> tuple[str, ...]:
    """Return every symbol that a seat may hold."""
    return tuple(dict.fromkeys(symbol for seat in seats for symbol in seat.strategy.symbols))


def history(lake: Lake, seats: Sequence[Seat], asked: DataParams) -> Data:
    """Return all bars that the settings name, as they are known as of then: what sessions of the past are traded by."""
    bars = lake.bars(symbols_of(seats), start=asked.start, end=asked.end, as_of=asked.as_of)
    return Data(bars, lake.versions(), bad_rows(lake, bars.index[-1].date(), len(bars.symbols)))


def known(lake: Lake, seats: Sequence[Seat], calendar: Calendar, moment: datetime) -> Data:
    """Return the bars that were known at a moment, up to the last session that had closed."""
    day = newest_closed(calendar, moment)
    bars = lake.bars(symbols_of(seats), end=day, as_of=moment)
    return Data(bars, lake.versions(), bad_rows(lake, day, len(bars.symbols)))


def newest_closed(calendar: Calendar, moment: datetime) -> date:
    """Return the last session that had closed at a moment."""
    day = pd.Timestamp(moment).tz_convert("UTC").date()
    last = calendar.last(2, day)
    return next(session.date() for session in reversed(last) if calendar.closes(session) <= moment)


def bad_rows(lake: Lake, day: date, symbols: int) -> float:
    """Return which share of a day's rows is in quarantine."""
    kept_out = lake.quarantine(DAILY).filter(pl.col("session") == day)["symbol"].n_unique()
    return kept_out / symbols if symbols else 0.0
