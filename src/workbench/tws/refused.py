"""What the simulator refuses from its user, in one line that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SimulatorRefused(ValueError):
    """A setting, a file or a command for the simulator makes no sense; nothing was changed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the nearest known word as a question, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
