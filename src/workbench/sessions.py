"""The trading calendar: which days are sessions, and when each opens and closes, in UTC.

>>> calendar = Calendar()
>>> calendar.sessions("2024-07-01", "2024-07-05")      # the 4th is a holiday, the 3rd a half day
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Any

import exchange_calendars as xcals
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import InputRefused, StaleData

FIRST, AHEAD_DAYS = "1960-01-01", 370


@lru_cache(maxsize=8)
def _exchange(name: str, until: str) -> Any:
    try:
        return xcals.get_calendar(name, start=FIRST, end=until)
    except xcals.errors.InvalidCalendarName as error:
        raise InputRefused(f"calendar '{name}': no such exchange; use a MIC such as XNYS or XNAS") from error


class Calendar:
    """The sessions of one exchange, XNYS unless told."""

    def __init__(self, exchange: str = "XNYS") -> None:
        self.exchange = exchange
        until = pd.Timestamp.now("UTC").normalize().tz_localize(None) + pd.Timedelta(days=AHEAD_DAYS)
        self._calendar = _exchange(exchange, str(until.date()))

    def sessions(self, start: date | str, end: date | str) -> pd.DatetimeIndex:
        """Return the session dates from ``start`` to ``end``, both included, without a time zone."""
        first, last = self._day(start), self._day(end)
        if first > last:
            raise InputRefused(f"sessions: start {first.date()} is after end {last.date()}; swap them")
        found: pd.DatetimeIndex = self._calendar.sessions_in_range(first, last)
        return found

    def last(self, count: int, end: date | str) -> pd.DatetimeIndex:
        """Return the last ``count`` sessions up to and including ``end``."""
        if count < 1:
            raise InputRefused(f"sessions: asked for the last {count}; ask for at least 1")
        final = self._calendar.date_to_session(self._day(end), direction="previous")
        window: pd.DatetimeIndex = self._calendar.sessions_window(final, -count)
        return window

    def is_session(self, day: date | str) -> bool:
        """Return whether the exchange trades on the day."""
        return bool(self._calendar.is_session(self._day(day)))

    def next(self, day: date | str) -> pd.Timestamp:
        """Return the first session after the day."""
        following: pd.Timestamp = self._calendar.date_to_session(
            self._day(day) + pd.Timedelta(days=1), direction="next"
        )
        return following

    def opens(self, session: date | str) -> datetime:
        """Return when the session opens, in UTC."""
        opening: datetime = self._calendar.session_open(self._session(session)).to_pydatetime()
        return opening

    def closes(self, session: date | str) -> datetime:
        """Return when the session closes, in UTC; half days close early."""
        closing: datetime = self._calendar.session_close(self._session(session)).to_pydatetime()
        return closing

    def closing_times(self, sessions: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """Return the close of every session, in UTC."""
        if not len(sessions):
            return pd.DatetimeIndex([], tz="UTC")
        return pd.DatetimeIndex(self._calendar.closes.reindex(sessions))

    def minutes(self, session: date | str, every: int = 5) -> pd.DatetimeIndex:
        """Return the starts of the session's bars of ``every`` minutes, in UTC."""
        return pd.date_range(self.opens(session), self.closes(session), freq=f"{every}min", inclusive="left")

    def half_days(self, sessions: pd.DatetimeIndex) -> NDArray[np.bool_]:
        """Return which of the sessions close early."""
        return np.asarray(sessions.isin(self._calendar.early_closes))

    def age(self, newest: date | str, now: datetime) -> int:
        """Return how many sessions have closed since ``newest``: 0 means up to date."""
        today = pd.Timestamp(now).tz_convert("UTC")
        closed = self.sessions(newest, max(today.date(), self._day(newest).date()))
        return sum(1 for session in closed if session > self._day(newest) and self.closes(session) <= today)

    def require_fresh(self, newest: date | str, now: datetime, max_age_sessions: int, what: str) -> None:
        """Raise StaleData when more than ``max_age_sessions`` sessions have closed since ``newest``."""
        age = self.age(newest, now)
        if age > max_age_sessions:
            raise StaleData(
                f"{what}: the newest row is of {self._day(newest).date()}, {age} sessions old, more than "
                f"max_age_sessions {max_age_sessions} (data.max_age_sessions); ingest newer data: make data"
            )

    def _session(self, day: date | str) -> pd.Timestamp:
        stamp = self._day(day)
        if not self._calendar.is_session(stamp):
            after = self.next(day).date()
            raise InputRefused(f"{stamp.date()} is not a session of {self.exchange}; the next one is {after}")
        return stamp

    def _day(self, day: date | str) -> pd.Timestamp:
        try:
            stamp = pd.Timestamp(day)
        except ValueError as error:
            raise InputRefused(f"'{day}' is not a date; write YYYY-MM-DD") from error
        stamp = stamp.tz_localize(None).normalize()
        first, last = self._calendar.first_session, self._calendar.last_session
        if not pd.Timestamp(FIRST) <= stamp <= last + pd.Timedelta(days=7):
            raise InputRefused(
                f"{stamp.date()} is outside the calendar of {self.exchange}: {first.date()} to {last.date()}"
            )
        return stamp
