"""What a person sees while a search runs: a bar with the time left in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from workbench.progress import is_watched

LINE_SECONDS = 15.0


class Bar(Protocol):
    """Anything that can be told how far a search is."""

    def begin(self, total: int, done: int) -> None:
        """Start, with what was done before."""
        ...

    def advance(self, count: int) -> None:
        """Add what was finished."""
        ...

    def end(self) -> None:
        """Leave it as it is."""
        ...


class NoBar:
    """Shows nothing."""

    def begin(self, total: int, done: int) -> None:
        """Show nothing."""

    def advance(self, count: int) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Show nothing."""


class LogBar:
    """A line every quarter of a minute."""

    def begin(self, total: int, done: int) -> None:
        """Remember where the search begins."""
        self._total, self._before, self._done = total, done, done
        self._begun = self._said = time.monotonic()

    def advance(self, count: int) -> None:
        """Print a line when the last one is old enough."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS and self._done < self._total:
            self._said = now
            left = (now - self._begun) / max(self._done - self._before, 1) * (self._total - self._done)
            self._print(f"{self._done:,} of {self._total:,}, {duration(left)} left")

    def end(self) -> None:
        """Print what was done."""
        self._print(f"{self._done:,} of {self._total:,} in {duration(time.monotonic() - self._begun)}")

    def _print(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)  # noqa: T201


class LiveBar:
    """A bar that moves; rich is loaded when there is somebody to watch it."""

    def begin(self, total: int, done: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        self._bar: Any = Progress(*columns, console=Console(stderr=True), speed_estimate_period=120.0)
        self._bar.start()
        self._task = self._bar.add_task("", total=total, completed=done)

    def advance(self, count: int) -> None:
        """Move the bar."""
        self._bar.advance(self._task, count)

    def end(self) -> None:
        """Stop it where it is."""
        self._bar.stop()


def watched_bar() -> Bar:
    """Return a bar for a person at a terminal, lines for a log."""
    return LiveBar() if is_watched() else LogBar()


def duration(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``3 min``, ``2.5 h``, ``4 days``."""
    for size, name, digits in ((86400.0, "days", 1), (3600.0, "h", 1), (60.0, "min", 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {name}"
    return f"{seconds:.0f} s" if seconds >= 1.0 else "1 s"
