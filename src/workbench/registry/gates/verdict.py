"""A gate's answer: what was asked, what was measured, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from workbench.errors import PackRefused


class Outcome(StrEnum):
    """PASS and WARN let a step happen, REVIEW asks the second approver for a written reason, FAIL stops it."""

    PASS = "pass"  # noqa: S105 (a verdict, not a password)
    WARN = "warn"
    REVIEW = "review"
    FAIL = "fail"


@dataclass(frozen=True)
class Verdict:
    """One gate's answer in short texts: ``≥ 0.95`` was asked, ``0.81 with 1,240 trials (31 bets)`` was measured."""

    gate: str
    asked: str
    measured: str
    outcome: Outcome
    why: str = ""
    remedy: str = ""

    @property
    def line(self) -> str:
        """The answer on one line."""
        tail = "".join(f"; {text}" for text in (self.why, self.remedy) if text)
        return f"{self.gate}: {self.outcome.upper()}: asked {self.asked}, measured {self.measured}{tail}"

    @classmethod
    def read(cls, facts: Mapping[str, Any], name: str) -> Verdict:
        """Return a verdict from the facts that a proposal or a pack keeps of it."""
        known = {field.name for field in fields(cls)}
        if facts.keys() != known or not all(isinstance(text, str) for text in facts.values()):
            raise PackRefused(f"{name}: is no verdict of a gate; it was written by something else")
        if facts["outcome"] not in set(Outcome):
            raise PackRefused(f"{name}: outcome '{facts['outcome']}' is none of {', '.join(Outcome)}")
        return cls(**{**facts, "outcome": Outcome(facts["outcome"])})


def worst(verdicts: Iterable[Verdict]) -> Outcome:
    """Return the gravest outcome; where nothing was asked nothing is proven, so that is a FAIL."""
    order = list(Outcome)
    return max((verdict.outcome for verdict in verdicts), key=order.index, default=Outcome.FAIL)
