"""The one way to the broker: every order is asked twenty rules, and what cannot be evaluated is denied.

>>> decision = decide(Asked(order, Origin.STRATEGY, shares, packs, decision="d1", planned=100), state)
>>> if decision.passes: ...                    # send, and go on with state.after(asked)
>>> elif decision.outcome is Outcome.WAITS: ...  # for: workbench confirm KEY
>>> else: journal the denial: decision.reasons
"""

from workbench.live.gate.facts import Asked, Cancel, Day, GateState, Hours, Origin, Sent
from workbench.live.gate.gate import RULES, Decision, Outcome, check, decide

__all__ = [
    "RULES",
    "Asked",
    "Cancel",
    "Day",
    "Decision",
    "GateState",
    "Hours",
    "Origin",
    "Outcome",
    "Sent",
    "check",
    "decide",
]
