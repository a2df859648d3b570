"""What a session would send and what the gate says of it; nothing is written, nothing leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count

from workbench.live import protection
from workbench.live.deciding import make_decision, require_fresh
from workbench.live.decision import Decision, Leg, Line
from workbench.live.gate import Decision as Verdict
from workbench.live.runner import judge
from workbench.live.session import Desk
from workbench.live.view import view


@dataclass(frozen=True)
class Preview:
    """A decision, the verdict on each of its orders, and the stops and targets that there would be afterwards."""

    decision: Decision
    verdicts: tuple[tuple[Line, Verdict], ...]
    protected: tuple[tuple[str, str, Leg], ...] = ()  # strategy, symbol, levels


def preview(desk: Desk, moment: datetime) -> Preview:
    """Decide for a moment and ask the gate; each order is held against those before it, as if they were sent."""
    numbers = count(1)
    data = require_fresh(desk, moment)
    decision = make_decision(desk, moment, data, lambda: f"dry-{next(numbers)}")
    lines = sorted(decision.lines, key=lambda line: line.signed > 0)
    state = view(desk, data, {line.symbol for line in lines})
    back = {one.order.key for one in protection.protecting(desk.journal.book, decision.symbols)}  # taken back before
    state = replace(state, open_orders=tuple(one for one in state.open_orders or () if one.order.key not in back))
    verdicts = []
    for line in lines:
        verdict, after = judge(desk, protection.family_of(decision, line, lambda: f"dry-{next(numbers)}"), state)
        verdicts.append((line, verdict))
        state = after if verdict.passes else state
    protected = tuple(
        (one.strategy, symbol, leg)
        for one in decision.wanted
        for symbol, leg in one.legs.items()
        if leg.side and (leg.stop or leg.target)
    )
    return Preview(decision, tuple(verdicts), protected)
