"""When the simulated exchange is open: New York hours on weekdays or on given days, or always."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NEW_YORK = "America/New_York"
DAY = 86_400


@dataclass(frozen=True)
class Hours:
    """The sessions. A day is named by its date; its session is the seconds from ``open`` to ``close``."""

    zone: str = NEW_YORK
    opens: time = time(9, 30)
    seconds: int = 23_400  # of a session
    weekends: bool = False
    days: frozenset[date] | None = None  # where given, the only days with a session

    def date_of(self, at: float) -> date:
        """Return the date at the exchange."""
        return datetime.fromtimestamp(at, zone(self.zone)).date()

    def trades_on(self, day: date) -> bool:
        """Whether there is a session on this day."""
        if self.days is not None:
            return day in self.days
        return self.weekends or day.weekday() < 5

    def open_of(self, day: date) -> int:
        """Return when the session of a day opens."""
        return _open_of(self.zone, self.opens, day)

    def is_open(self, at: float) -> bool:
        """Whether orders are matched at this time; the second of the close is the last."""
        day = self.date_of(at)
        return self.trades_on(day) and 0 <= at - self.open_of(day) < self.seconds

    def last_day(self, at: float) -> date:
        """Return the day whose session is on, or was the last before this time."""
        day = self.date_of(at)
        if at < self.open_of(day):
            day -= timedelta(days=1)
        return self.at_or_before(day)

    def at_or_before(self, day: date) -> date:
        """Return the nearest day with a session that is not later."""
        return self._walk(day, -1)

    def next_open(self, at: float) -> int:
        """Return when the next session opens, later than this time."""
        day = self.date_of(at)
        if at >= self.open_of(day):
            day += timedelta(days=1)
        return self.open_of(self._walk(day, 1))

    def before(self, day: date, count: int) -> list[date]:
        """Return the last ``count`` days with a session up to this one, oldest first."""
        found: list[date] = []
        while len(found) < count and day.year > 1990:
            if self.trades_on(day):
                found.append(day)
            day -= timedelta(days=1)
        return found[::-1]

    def _walk(self, day: date, step: int) -> date:
        if self.days is not None:  # recorded days may end: the last known one stands for what is beyond
            known = sorted(self.days)
            fit = [d for d in known if d >= day] if step > 0 else [d for d in reversed(known) if d <= day]
            return fit[0] if fit else day + timedelta(days=36_500) if step > 0 else known[0]
        while not self.trades_on(day):
            day += timedelta(days=step)
        return day


ALWAYS = Hours(zone="UTC", opens=time(0, 0), seconds=DAY, weekends=True)


@lru_cache(maxsize=16)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by name."""
    return ZoneInfo(name)


@lru_cache(maxsize=16_384)
def _open_of(name: str, opens: time, day: date) -> int:
    return int(datetime.combine(day, opens, zone(name)).astimezone(UTC).timestamp())


def stamp(at: float, name: str = NEW_YORK) -> str:
    """Return a time as the wire has it: ``20260105 10:00:00 America/New_York``."""
    return f"{datetime.fromtimestamp(at, zone(name)):%Y%m%d %H:%M:%S} {name}"
