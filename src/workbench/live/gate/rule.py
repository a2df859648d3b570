"""What a rule is: a number, a code, and a function from the order and the state to denials with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workbench.live.gate.facts import Asked, GateState, Origin, Unknown


@dataclass(frozen=True)
class Denial:
    """Why an order is not sent: ``NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=10,000, notional=12,400``."""

    code: str
    facts: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        return f"{self.code}: {', '.join(f'{name}={shown(value)}' for name, value in self.facts)}"


Judge = Callable[[Asked, GateState], Iterator[Denial]]


@dataclass(frozen=True)
class Rule:
    """One check. ``code`` is what it is called where it cannot be evaluated.

    An order that only reduces is asked no rule with ``growing``; the emergency stop only those with ``always``.
    """

    number: int
    code: str
    judge: Judge
    growing: bool = False
    always: bool = False

    def denials(self, asked: Asked, state: GateState, reducing: bool) -> tuple[str, ...]:
        """Return every reason of this rule against an order; a rule that fails, denies."""
        if (self.growing and reducing) or (asked.origin is Origin.EMERGENCY and not self.always):
            return ()
        try:
            return tuple(str(denial) for denial in self.judge(asked, state))
        except Unknown as error:
            return (f"{self.code}: cannot be evaluated: {error}",)
        except Exception as error:  # noqa: BLE001 (fail closed: an error of ours must not let an order through)
            text = str(error).splitlines()[0] if str(error) else ""
            return (f"{self.code}: cannot be evaluated: {type(error).__name__} {text}".rstrip(),)


def deny(code: str, **facts: object) -> Denial:
    """Return a denial with its numbers, in this order."""
    return Denial(code, tuple(facts.items()))


def shown(value: object) -> str:
    """Return a number as a person reads it, exact enough to see which side of the bound it is on.

    >>> shown(12_400.0), shown(0.30000001), shown(10_000.005), shown(-0.5)
    ('12,400', '0.30000001', '10,000.005', '-0.5')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or (abs(value) < 1e15 and value == int(value)):
        return f"{int(value):,}"
    return f"{value:,.8f}".rstrip("0")
