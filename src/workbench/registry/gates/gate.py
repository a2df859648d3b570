"""What every gate is: a name, what it asks in words, and an answer. Its numbers come from params/gates.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Protocol

from pydantic import ConfigDict, Field

from workbench.registry.gates.case import Case
from workbench.registry.gates.verdict import Outcome, Verdict

# The numbers of a gate are checked where it is made: no unknown one, no text for a number, no NaN.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Days = Annotated[int, Field(ge=1, le=3650)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
# No strategy at daily bars has a Sharpe ratio beyond this: a larger one is an error, not a find.
BELIEVABLE_SHARPE = 25.0
MOST_DIGITS = 6


class Gate(Protocol):
    """One question to a candidate; a frozen dataclass of its numbers. ``of_record`` marks who asks a track record."""

    name: ClassVar[str]

    @property
    def asked(self) -> str:
        """What is asked, with its number: ``≥ 0.95``."""
        ...

    def judge(self, case: Case) -> Verdict:
        """Answer with numbers; what cannot be evaluated raises, and so fails."""
        ...


def passes(gate: Gate, measured: str) -> Verdict:
    """Return the verdict that all is as asked."""
    return Verdict(gate.name, gate.asked, measured, Outcome.PASS)


def fails(gate: Gate, measured: str, why: str, remedy: str, outcome: Outcome = Outcome.FAIL) -> Verdict:
    """Return the verdict that something is not as asked."""
    return Verdict(gate.name, gate.asked, measured, outcome, why, remedy)


def number(value: float, *bounds: float, digits: int = 2) -> str:
    """Return a number with as many digits as it takes to see on which side of the bounds it lies.

    >>> number(0.9499, 0.95), number(0.7, 0.95)
    ('0.9499', '0.70')
    """
    while digits < MOST_DIGITS and any(_side(round(value, digits), bound) != _side(value, bound) for bound in bounds):
        digits += 1
    return f"{value:,.{digits}f}"


def percent(value: float, *bounds: float, digits: int = 0) -> str:
    """Return a share in percent, by the rule of ``number``."""
    return f"{number(100 * value, *(100 * bound for bound in bounds), digits=digits)} %"


def named(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 trade``, ``1,240 trades``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)
