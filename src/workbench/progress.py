"""What a person sees while a pipeline runs: a live table in a terminal, a line an event anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

SIGNS = {"done": "✓", "reused": "↺", "running": "▶", "failed": "✗", "stopped": "✗", "not run": "–", "waiting": "·"}
STYLES = {"done": "green", "reused": "cyan", "running": "yellow", "failed": "red", "stopped": "red"}

State = Mapping[str, Mapping[str, Any]]  # step: status, seconds or started, note


class Progress(Protocol):
    """Anything that can show the states of the steps, again and again."""

    def show(self, state: State) -> None:
        """Show the state of all steps."""
        ...

    def end(self, summary: str) -> None:
        """Show the end of the run."""
        ...


class Silence:
    """Shows nothing."""

    def show(self, state: State) -> None:
        """Show nothing."""

    def end(self, summary: str) -> None:
        """Show nothing."""


class Lines:
    """One line whenever a step changes."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Any, ...]] = {}

    def show(self, state: State) -> None:
        """Print what is new."""
        for step, facts in state.items():
            now = (facts["status"], facts.get("attempt"))
            if facts["status"] != "waiting" and self._seen.get(step) != now:
                self._seen[step] = now
                took = f"{facts['seconds']:.1f} s" if facts.get("seconds") else ""
                self._print(
                    f"{SIGNS.get(facts['status'], ' ')} {step:<28} {facts['status']:<8} {took:>8}  {_note(facts)}"
                )

    def end(self, summary: str) -> None:
        """Print the summary."""
        self._print(summary)

    def _print(self, line: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {line.rstrip()}", file=sys.stderr, flush=True)  # noqa: T201


class Table:
    """A table of the steps that stays in place; rich is loaded when there is something to watch."""

    def __init__(self) -> None:
        self._live: Any = None

    def show(self, state: State) -> None:
        """Draw the table."""
        from rich import box, live, markup, table

        grid = table.Table(box=box.SIMPLE, show_header=False, padding=(0, 1))
        for step, facts in state.items():
            status, style = facts["status"], STYLES.get(facts["status"], "dim")
            running = status == "running" and facts.get("started")
            seconds = time.time() - facts["started"] if running else facts.get("seconds")
            took = f"{seconds:.1f} s" if seconds else ""
            grid.add_row(SIGNS.get(status, " "), step, status, took, markup.escape(_note(facts)), style=style)
        if self._live is None:
            from rich.console import Console

            self._live = live.Live(console=Console(stderr=True), auto_refresh=False)
            self._live.start()
        self._live.update(grid, refresh=True)

    def end(self, summary: str) -> None:
        """Leave the table as it is and print the summary below."""
        if self._live is not None:
            self._live.stop()
        print(f"  {summary}", file=sys.stderr)  # noqa: T201


def watched() -> Progress:
    """Return a table for a person at a terminal, lines for a log."""
    return Table() if is_watched() else Lines()


def is_watched() -> bool:
    """Return whether what is written goes to a person at a terminal."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return sys.stderr.isatty() and not in_ci and os.environ.get("TERM") != "dumb"


def _note(facts: Mapping[str, Any]) -> str:
    if facts.get("error") and facts["status"] in ("failed", "not run", "stopped"):
        return str(facts["error"])
    if facts.get("reused_from"):
        return f"from {facts['reused_from']}"
    notes = [f"attempt {facts['attempt']}"] if facts.get("attempt", 1) > 1 else []
    # Why a kernel was not forked, when it should have been.
    kernel = facts["attempts"][-1]["kernel"] if facts.get("attempts") else ""
    return ", ".join(notes + ([f"kernel {kernel}"] if ": " in kernel else []))
