"""What is asked of packs that are no strategy: weights, risk limits and prompts, each one file and a reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import yaml
from pydantic import Field
from pydantic.dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.registry.gates.case import Case
from workbench.registry.gates.facts import Facts, Unknown
from workbench.registry.gates.gate import (
    BELIEVABLE_SHARPE,
    STRICT,
    Count,
    Share,
    counted,
    fails,
    named,
    number,
    passes,
    percent,
)
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.packs.pack import Pack
from workbench.risk_limits import PROFILES, Limits, parse_limits

REASON, EVALUATION = "reason.json", "evaluation.json"
SUM_WITHIN = 1e-6


@dataclass(frozen=True, config=STRICT)
class Reason:
    """Somebody wrote why."""

    min_letters: Count
    name: ClassVar[str] = "reason"

    @property
    def asked(self) -> str:
        return f"a reason of ≥ {counted(self.min_letters, 'letter')}"

    def judge(self, case: Case) -> Verdict:
        reason = " ".join(case.facts(REASON).at("reason").text().split())
        measured = f"{counted(len(reason), 'letter')}: {reason[:60]}{'…' if len(reason) > 60 else ''}"
        if len(reason) < self.min_letters:
            return fails(self, measured, "it does not say why", f'{case.again} --reason "…"')
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class WeightBounds:
    """No strategy has nearly nothing or nearly everything, and the weights share out the whole."""

    low: Share
    high: Share
    min_strategies: Count
    name: ClassVar[str] = "weight_bounds"

    @property
    def asked(self) -> str:
        bounds = f"{percent(self.low)} to {percent(self.high)}"
        return f"≥ {counted(self.min_strategies, 'weight')}, each {bounds}, together 100 %"

    def judge(self, case: Case) -> Verdict:
        weights = {name: weight.number() for name, weight in _json_payload(case).at("weights").items()}
        total = math.fsum(weights.values())
        shown = ", ".join(f"{name} {percent(weight, self.low, self.high)}" for name, weight in weights.items())
        measured = f"{shown or 'none'}: together {percent(total, 1.0)}"
        outside = [name for name, weight in weights.items() if not self.low <= weight <= self.high]
        remedy = f"solve the weights again within the bounds, then: {case.again}"
        if len(weights) < self.min_strategies:
            return fails(self, measured, f"{self.min_strategies - len(weights)} too few", remedy)
        if outside:
            few = len(weights) * self.high < 1.0
            why = f"{len(weights)} weights within {percent(self.high)} cannot make 100 %: add strategies" if few else ""
            return fails(self, measured, why or f"out of bounds: {named(outside)}", remedy)
        if abs(total - 1.0) > SUM_WITHIN:
            return fails(self, measured, "they do not share out the whole", remedy)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class WeightEvidence:
    """Each strategy that gets a weight has signals enough to judge it, and earns."""

    min_signals: Count
    above_sharpe: Annotated[float, Field(ge=0.0, le=BELIEVABLE_SHARPE)]
    name: ClassVar[str] = "weight_evidence"

    @property
    def asked(self) -> str:
        return f"each ≥ {counted(self.min_signals, 'signal')} and Sharpe ratio > {self.above_sharpe:g}"

    def judge(self, case: Case) -> Verdict:
        payload = _json_payload(case)
        weighted, known = [name for name, _ in payload.at("weights").items()], payload.at("strategies")
        if not weighted:
            raise Unknown("the payload has no weights", case.again)
        found = {
            name: (
                known.at(name).at("signals").count(),
                known.at(name).at("sharpe").number(-BELIEVABLE_SHARPE, BELIEVABLE_SHARPE),
            )
            for name in weighted
        }
        fewest = min(weighted, key=lambda name: found[name][0])
        lowest = min(weighted, key=lambda name: found[name][1])
        measured = (
            f"at least {counted(found[fewest][0], 'signal')} ({fewest}), "
            f"Sharpe ratio {number(found[lowest][1], self.above_sharpe)} ({lowest})"
        )
        short = [name for name in weighted if found[name][0] < self.min_signals or found[name][1] <= self.above_sharpe]
        if short:
            return fails(self, measured, f"not enough: {named(short)}", f"leave them out, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class Improvement:
    """The new weights are expected to be better than those of now, in Sharpe ratio."""

    above: Annotated[float, Field(ge=0.0, le=BELIEVABLE_SHARPE)]
    name: ClassVar[str] = "improvement"

    @property
    def asked(self) -> str:
        return f"expected Sharpe ratio > {self.above:g} better"

    def judge(self, case: Case) -> Verdict:
        better = _json_payload(case).at("expected_improvement").number(-BELIEVABLE_SHARPE, BELIEVABLE_SHARPE)
        measured = number(better, self.above)
        if better <= self.above:
            return fails(self, measured, "nothing is gained by the change", "keep the weights of now")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class RiskLimits:
    """The limits are a mapping of finite numbers; whoever loosens one against the champion's writes down why.

    More is looser, except for ``min_…``, where less is; a limit that is gone is loosened altogether. The first one is
    held against the workbench's own, which hold where nothing was promoted. What the runner reads it must be able to.
    """

    name: ClassVar[str] = "risk_limits"

    @property
    def asked(self) -> str:
        return "finite numbers, none looser than the champion's or our own; else a written reason"

    def judge(self, case: Case) -> Verdict:
        limits = _limits(case, case.pack)
        _require_whole(case)
        if case.champion is None:
            own = Limits().model_dump()
            before = {name: float(own[name]) for name in limits if name in own}
            beside = "; no champion, so held against the workbench's own"
        else:
            before, beside = _limits(case, case.champion), ""
        loosened = [
            f"{name} {before[name]:g} → {f'{limits[name]:g}' if name in limits else 'gone'}"
            for name in before
            if name not in limits or _looser(name, before[name], limits[name])
        ]
        tightened = sum(name in limits and _looser(name, limits[name], before[name]) for name in before)
        measured = (
            f"{counted(len(limits), 'limit')}: {len(loosened)} loosened, {tightened} tightened, "
            f"{len(limits.keys() - before.keys())} new{beside}"
        )
        if loosened:
            remedy = case.approve_with_reason
            return fails(self, measured, f"looser: {named(loosened, most=len(loosened))}", remedy, Outcome.REVIEW)
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class PromptText:
    """The prompt is a text that a person can read."""

    name: ClassVar[str] = "prompt_text"

    @property
    def asked(self) -> str:
        return "UTF-8 text, not empty"

    def judge(self, case: Case) -> Verdict:
        path, content = case.payload()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unknown(
                f"{path}: byte {error.start} is not UTF-8", f"save it as UTF-8, then: {case.again}"
            ) from error
        strange = sorted({letter for letter in text if not (letter.isprintable() or letter in "\n\r\t")})
        measured = f"{counted(len(text.split()), 'word')}, {counted(len(text), 'letter')}"
        if not text.strip():
            return fails(self, measured, "it says nothing", f"write it, then: {case.again}")
        if strange:
            shown = ", ".join(f"U+{ord(letter):04X}" for letter in strange[:3])
            return fails(self, measured, f"letters that nobody sees: {shown}", f"take them out, then: {case.again}")
        return passes(self, measured)


@dataclass(frozen=True, config=STRICT)
class PromptCases:
    """The prompt was tried on cases whose answers are known."""

    min_cases: Count
    min_share: Annotated[float, Field(gt=0.0, le=1.0)]
    name: ClassVar[str] = "prompt_cases"

    @property
    def asked(self) -> str:
        return f"≥ {percent(self.min_share)} of ≥ {counted(self.min_cases, 'case')} passed"

    def judge(self, case: Case) -> Verdict:
        cases = {row.at("name").text(): row.at("passed").flag() for row in case.facts(EVALUATION).at("cases").rows()}
        missed = [name for name, passed in cases.items() if not passed]
        measured = f"{len(cases) - len(missed)} of {counted(len(cases), 'case')} passed"
        if len(cases) < self.min_cases:
            return fails(
                self, measured, f"{self.min_cases - len(cases)} cases too few", f"add cases, then: {case.again}"
            )
        if len(cases) - len(missed) < self.min_share * len(cases):
            return fails(self, measured, f"not passed: {named(missed)}", f"mend the prompt, then: {case.again}")
        return passes(self, measured)


def _json_payload(case: Case) -> Facts:
    path, _ = case.payload()
    if not path.endswith(".json"):
        raise Unknown(f"{path}: the gates read weights from a .json file", case.again)
    return Facts(case.pack.json(path), path)


def _limits(case: Case, pack: Pack) -> dict[str, float]:
    """Return every limit by its dotted name."""
    path, content = case.payload(pack)
    try:
        read = yaml.safe_load(content.decode("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise Unknown(f"{path} of {pack.shown} is not YAML ({' '.join(str(error).split())})", case.again) from error
    limits = dict(_flat(Facts(read, path)))
    if not limits:
        raise Unknown(f"{path} of {pack.shown} has no limit", case.again)
    return limits


def _require_whole(case: Case) -> None:
    """Raise where these are limits that the runner reads, and it could not."""
    name, (path, content) = case.pack.name, case.payload()
    if name not in PROFILES:
        return
    try:
        parse_limits(content, path)
    except WorkbenchError as error:
        told = f"the runner, which reads the limits of this name, could not: {error}"
        again = f'workbench pack make {name} --kind {case.pack.kind} --file params/risk/{name}.yaml --reason "…"'
        raise Unknown(told, f"change your numbers in params/risk/{name}.yaml, then: {again}") from error


def _flat(facts: Facts, prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in facts.items():
        full = f"{prefix}{name}"
        found += _flat(value, f"{full}.") if isinstance(value.value, Mapping) else [(full, value.number())]
    return found


def _looser(name: str, before: float, after: float) -> bool:
    return after < before if name.rpartition(".")[2].startswith("min_") else after > before
