"""Is the model in the pack still of its time? A pack without a model has rules, which do not age."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from workbench.registry.gates.case import Case
from workbench.registry.gates.facts import Unknown
from workbench.registry.gates.gate import STRICT, counted, fails, named, number, passes
from workbench.registry.gates.verdict import Verdict
from workbench.registry.packs.canonical import read_moment

CARD = "model/card.json"
NO_MODEL = "no model, rules only"


@dataclass(frozen=True, config=STRICT)
class ModelAge:
    """The model's card says until when it may be used, and that is not over."""

    name: ClassVar[str] = "model_age"

    @property
    def asked(self) -> str:
        return "not expired"

    def judge(self, case: Case) -> Verdict:
        if not case.has_model():
            case.facts("params.json").at("strategy").text()  # a pack that lost its parts proves no absence
            return passes(self, NO_MODEL)
        expires = read_moment(case.facts(CARD).at("expires_at").value, f"{CARD}: expires_at")
        measured = f"valid until {expires:%Y-%m-%d}"
        if case.now >= expires:
            return fails(self, measured, "the model has expired", f"train it again, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Drift:
    """What the model's features look like live is what they looked like in training (population stability index)."""

    below: Annotated[float, Field(gt=0.0, le=1.0)]
    name: ClassVar[str] = "drift"
    of_record: ClassVar[bool] = True

    @property
    def asked(self) -> str:
        return f"PSI < {self.below:g} for every feature"

    def judge(self, case: Case) -> Verdict:
        drift = case.require_record().drift
        if not drift:
            if case.has_model():
                raise Unknown("the pack has a model, and the record says nothing of its features' drift")
            return passes(self, NO_MODEL)
        farthest = max(drift, key=lambda feature: drift[feature])
        measured = f"{number(drift[farthest], self.below)} at most ({farthest}) of {counted(len(drift), 'feature')}"
        beyond = sorted(feature for feature, value in drift.items() if value >= self.below)
        if beyond:
            return fails(self, measured, f"drifted: {named(beyond)}", f"train it on newer data, then: {case.again}")
        return passes(self, measured)
