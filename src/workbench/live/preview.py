"""What a session would send and what the gate says of it; nothing is written, nothing leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

from workbench.live.decision import Decision, Line
from workbench.live.gate import Decision as Verdict
from workbench.live.gate import decide
from workbench.live.runner import make_decision, require_fresh
from workbench.live.session import Desk
from workbench.live.view import margin_of, view


@dataclass(frozen=True)
class Preview:
    """A decision and the verdict on each of its orders."""

    decision: Decision
    verdicts: tuple[tuple[Line, Verdict], ...]


def preview(desk: Desk, moment: datetime) -> Preview:
    """Decide for a moment and ask the gate; each order is held against those before it, as if they were sent."""
    numbers = count(1)
    data = require_fresh(desk, moment)
    decision = make_decision(desk, moment, data, lambda: f"dry-{next(numbers)}")
    lines = sorted(decision.lines, key=lambda line: line.signed > 0)
    state = view(desk, data, {line.symbol for line in lines}, reconciled=not desk.journal.book.differences)
    verdicts = []
    for line in lines:
        asked = decision.asked(line)
        if not state.reduces(asked.order):
            state = replace(state, what_if=margin_of(desk, asked.order))
        verdict = decide(asked, state)
        verdicts.append((line, verdict))
        if verdict.passes:
            state = state.after(asked)
    return Preview(decision, tuple(verdicts))
