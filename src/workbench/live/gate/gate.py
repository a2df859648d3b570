"""Twenty rules in a fixed order; all are asked, and the first that denies is the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from workbench.live.gate import exposure, flow, market, money, size, standing
from workbench.live.gate.facts import Asked, Cancel, GateState, Origin, worth
from workbench.live.gate.rule import Rule, deny

RULES: tuple[Rule, ...] = (
    *standing.RULES,
    *market.RULES,
    *size.RULES,
    *exposure.RULES,
    *money.RULES,
    *flow.RULES,
)


class Outcome(StrEnum):
    """What becomes of an order."""

    PASSES = "passes"
    WAITS = "waits"  # no rule is against it, but a person must confirm it
    DENIED = "denied"


@dataclass(frozen=True)
class Decision:
    """What the gate says, with every reason."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether the order may be sent."""
        return self.outcome is Outcome.PASSES

    @property
    def reason(self) -> str | None:
        """The first reason why it is not sent, None where it passes."""
        return self.reasons[0] if self.reasons else None


def decide(asked: Asked | Cancel, state: GateState) -> Decision:
    """Return whether an order may be sent; a cancel always may."""
    if isinstance(asked, Cancel):
        return Decision(Outcome.PASSES)
    reducing = _reduces(asked, state)
    reasons = tuple(reason for rule in RULES for reason in rule.denials(asked, state, reducing))
    if reasons:
        return Decision(Outcome.DENIED, reasons)
    # What protects a holding that a person confirmed, or need not, waits for none: meanwhile it would lie bare.
    at_once = asked.origin in (Origin.EMERGENCY, Origin.PROTECTION)
    if reducing or at_once or asked.order.key in state.confirmed:
        return Decision(Outcome.PASSES)
    value = worth(asked.order, state)
    if value > state.limits.confirm_above:
        waits = deny("WAITS_FOR_CONFIRMATION", confirm_above=state.limits.confirm_above, notional=value)
        return Decision(Outcome.WAITS, (f"{waits}; workbench confirm {asked.order.key}",))
    return Decision(Outcome.PASSES)


def check(asked: Asked | Cancel, state: GateState) -> str | None:
    """Return why an order is not sent, None where it may be."""
    return decide(asked, state).reason


def _reduces(asked: Asked, state: GateState) -> bool:
    try:
        return state.reduces(asked)
    except Exception:  # noqa: BLE001 (not known to reduce: every rule is asked)
        return False
