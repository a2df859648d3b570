"""Simulated time: the real time times a factor, or time that stands still until it is told to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Seconds since 1970 in the simulated world; a factor of 0 stands still between ``advance`` calls."""

    def __init__(self, start: float, factor: float, real: Callable[[], float] = time.monotonic) -> None:
        self.real = real
        self.factor = factor
        self.anchor = start
        self.since = real()

    def now(self) -> float:
        """Return the simulated time."""
        return self.anchor + (self.real() - self.since) * self.factor

    def advance(self, seconds: float) -> float:
        """Jump forward and return the time then; time never goes back."""
        if not seconds >= 0:
            raise ValueError(f"advance: {seconds} seconds; time only goes forward")
        self.anchor += seconds
        return self.now()

    def run(self, factor: float) -> None:
        """Go on from now at another speed."""
        self.anchor, self.since, self.factor = self.now(), self.real(), factor


def moment(seconds: float) -> datetime:
    """Return simulated seconds as a UTC time."""
    return datetime.fromtimestamp(seconds, UTC)
