"""Asks a step's gates, one after another; what cannot be answered is a no."""

from __future__ import annotations

from dataclasses import replace

from workbench.errors import WorkbenchError
from workbench.registry.gates.case import Case
from workbench.registry.gates.gate import Gate
from workbench.registry.gates.policy import Step
from workbench.registry.gates.verdict import Outcome, Verdict

# What a missing part, a missing number or one of another kind raises.
UNANSWERED = (WorkbenchError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def judge(step: Step, case: Case) -> tuple[Verdict, ...]:
    """Return every gate's verdict, in the order of the policy."""
    return tuple(_judged(gate, case) for gate in step.gates)


def _judged(gate: Gate, case: Case) -> Verdict:
    found = _answer(gate, case)
    if case.whose and getattr(gate, "of_record", False):
        return replace(found, measured=f"{found.measured}; {case.whose}")
    return found


def _answer(gate: Gate, case: Case) -> Verdict:
    try:
        return gate.judge(case)
    except UNANSWERED as error:
        said = " ".join(str(error).split())
        text = said if isinstance(error, WorkbenchError) else f"{type(error).__name__} {said}"
        remedy = getattr(error, "remedy", "") or case.again
        return Verdict(gate.name, gate.asked, "unknown", Outcome.FAIL, f"cannot be evaluated: {text}", remedy)
