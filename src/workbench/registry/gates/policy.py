"""What is asked before each step, read from params/gates.yaml: kinds, their steps, and each step's gates.

>>> Policy.read(Paths().params / "gates.yaml").step("strategy", "paper").gates
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from workbench.errors import ParamsRefused, did_you_mean
from workbench.params import Paths, read_yaml
from workbench.registry.gates.catalog import GATES
from workbench.registry.gates.gate import STRICT, Gate
from workbench.registry.gates.targets import MISSES
from workbench.registry.packs.approvers import STAGES
from workbench.registry.packs.canonical import canonical, sha256
from workbench.registry.packs.pack import KINDS

FILE = "gates.yaml"
# Money needs two people, whatever the policy says; staged live is these amounts, a policy can only narrow them.
LEAST_APPROVALS: Mapping[str, int] = {"paper": 0, "staged_live": 2, "production": 2}
CAPITAL_LOW, CAPITAL_HIGH = 1_000.0, 10_000.0
# What every policy asks, whatever else it says: one without these proves nothing, however many signed it. Numbers and
# targets are the file's; ``asked_always`` has a step's.
_EVIDENCE = ("validation", "lookahead", "out_of_sample", "folds", "deflated_sharpe", "overfitting", "track_length",
             "costs", "clean_commit", "same_code", "ledger", "pack_age", "model_age")  # fmt: skip
_RECORD = ("live_days", "live_trades", "positions_equal", "slippage", "no_severe_breaks", "drift")
_ALWAYS: Mapping[str, tuple[str, ...]] = {
    "strategy": _EVIDENCE,
    "weights": ("weight_bounds", "weight_evidence", "improvement", "reason", "pack_age"),
    "risk": ("risk_limits", "reason", "pack_age"),
    "prompt": ("prompt_text", "prompt_cases", "reason", "pack_age"),
}
_OF_STEP: Mapping[str, tuple[str, ...]] = {
    "paper": ("no_later_trials",),
    "staged_live": _RECORD,
    "production": (*_RECORD, "capital_stepped"),
}

# How pydantic calls them, of a section and of a gate.
UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")

_Capital = Annotated[float, Field(ge=CAPITAL_LOW, le=CAPITAL_HIGH)]
_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Step:
    """What one step asks: gates, how many people, for how long a proposal stands, and what the stage may do."""

    kind: str
    to_stage: str
    approvals: int
    valid_days: int
    gates: tuple[Gate, ...]
    limits: Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """``digest`` names what the file says: a comment does not change it, a number does."""

    digest: str
    profile: str
    pack_valid_days: int
    kinds: Mapping[str, Mapping[str, Step]]
    shown: str

    @classmethod
    def read(cls, file: Path, paths: Paths | None = None) -> Policy:
        """Return the policy, or the first line of it that makes no sense."""
        paths = paths or Paths()
        shown = paths.short(file)
        content = read_yaml(file, paths)
        top = _read(_File, content, shown, "")
        kinds = {}
        for kind, steps in top.kinds.items():
            if kind not in KINDS:
                raise ParamsRefused(f"{shown}: unknown kind 'kinds.{kind}'.{did_you_mean(str(kind), KINDS)}")
            kinds[kind] = _steps(kind, steps, top.profile, shown)
        return cls(sha256(canonical(content)), top.profile, top.pack_valid_days, kinds, shown)

    def first_step(self, kind: str) -> tuple[str, Step]:
        """Return the first stage that a kind can be moved to, and what that step asks."""
        stage = next((stage for stage in STAGES if stage in self.kinds.get(kind, ())), STAGES[0])
        return stage, self.step(kind, stage)

    def step(self, kind: str, to_stage: str) -> Step:
        """Return what a step asks, or say that there is no such step."""
        if kind not in self.kinds:
            raise ParamsRefused(f"{self.shown}: has no kind '{kind}'.{did_you_mean(kind, self.kinds)}")
        if to_stage not in self.kinds[kind]:
            known = did_you_mean(to_stage, self.kinds[kind])
            raise ParamsRefused(f"{self.shown}: kinds.{kind}.steps has no step to '{to_stage}'.{known}")
        return self.kinds[kind][to_stage]


def asked_always(kind: str, to_stage: str) -> tuple[str, ...]:
    """Return the gates that no policy may leave out of a step."""
    return (*_ALWAYS[kind], *(_OF_STEP[to_stage] if kind == "strategy" else ()))


class _Section(BaseModel):
    model_config = {**STRICT, "frozen": True}


class _Limits(_Section):
    capital_steps: list[_Capital] = []

    @model_validator(mode="after")
    def _rising(self) -> _Limits:
        if sorted(set(self.capital_steps)) != self.capital_steps:
            raise ValueError(f"capital_steps {self.capital_steps} must rise from one to the next")
        return self


class _Step(_Section):
    approvals: Annotated[int, Field(ge=0, le=10)]
    valid_days: Annotated[int, Field(ge=1, le=90)]
    limits: dict[str, Any] = {}
    gates: dict[str, Any] = {}


class _Kind(_Section):
    every_step: dict[str, Any]
    steps: Annotated[dict[str, Any], Field(min_length=1)]


class _File(_Section):
    profile: Literal["research", "strict"]
    pack_valid_days: Annotated[int, Field(ge=1, le=730)]
    kinds: Annotated[dict[str, Any], Field(min_length=1)]


def _steps(kind: str, content: Any, profile: str, shown: str) -> dict[str, Step]:
    path = f"kinds.{kind}"
    read = _read(_Kind, content, shown, path)
    found = {}
    for stage, step in read.steps.items():
        if stage not in STAGES:
            raise ParamsRefused(f"{shown}: unknown step '{path}.steps.{stage}'.{did_you_mean(str(stage), STAGES)}")
        found[stage] = _step(kind, stage, read.every_step, step, profile, shown)
    return found


def _step(kind: str, stage: str, always: Mapping[str, Any], content: Any, profile: str, shown: str) -> Step:
    path = f"kinds.{kind}.steps.{stage}"
    read = _read(_Step, content, shown, path)
    if read.approvals < LEAST_APPROVALS[stage]:
        raise ParamsRefused(
            f"{shown}: {path}.approvals is {read.approvals}; {stage} needs at least {LEAST_APPROVALS[stage]} people"
        )
    limits = _read(_Limits, read.limits, shown, f"{path}.limits").model_dump(exclude_unset=True)
    if (kind, stage) == ("strategy", "staged_live") and not limits.get("capital_steps"):
        raise ParamsRefused(f"{shown}: {path}.limits.capital_steps is missing; write [1_000, 10_000] or steps between")
    asked = {name: (numbers, f"kinds.{kind}.every_step") for name, numbers in always.items()}
    asked |= {name: (numbers, f"{path}.gates") for name, numbers in read.gates.items()}  # a step's own numbers win
    if not asked:
        raise ParamsRefused(f"{shown}: {path} asks nothing; name its gates, or take the step out")
    gates = tuple(_gate(name, numbers, profile, shown, where) for name, (numbers, where) in asked.items())
    if lacking := [name for name in asked_always(kind, stage) if name not in asked]:
        raise ParamsRefused(
            f"{shown}: {path} does not ask {', '.join(lacking)}; without {'that' if len(lacking) == 1 else 'those'} "
            f"nothing is proven: put {'it' if len(lacking) == 1 else 'them'} back, numbers may be yours"
        )
    return Step(kind, stage, read.approvals, read.valid_days, gates, limits)


def _gate(name: str, numbers: Any, profile: str, shown: str, path: str) -> Gate:
    if name not in GATES:
        raise ParamsRefused(f"{shown}: unknown gate '{path}.{name}'.{did_you_mean(str(name), GATES)}")
    noun = GATES[name]
    usual = {"miss": MISSES[profile]} if "miss" in noun.__dataclass_fields__ else {}
    given = {**usual, **numbers} if isinstance(numbers, Mapping) else numbers
    made: Gate = _read(noun, given, shown, f"{path}.{name}")
    return made


def _read(noun: type[_Model], content: Any, shown: str, path: str) -> _Model:
    """Return a noun of the file, or one line with the place, the value and what is wrong."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise ParamsRefused(f"{shown}: {path or 'the file'} is {content!r}; it must hold 'key: value' lines")
    try:
        return noun(**content)
    except ValidationError as error:
        found = error.errors(include_url=False)
    first = next((one for one in found if one["type"] in UNKNOWN), found[0])  # a typo is also a missing key
    place = ".".join(part for part in (path, *map(str, first["loc"])) if part)
    if first["type"] in UNKNOWN:
        raise ParamsRefused(f"{shown}: unknown key '{place}'.{did_you_mean(str(first['loc'][0]), _known(noun))}")
    if first["type"] in MISSING:
        raise ParamsRefused(f"{shown}: '{place}' is missing")
    value = "" if isinstance(first["input"], Mapping) else f" is {first['input']!r}"
    raise ParamsRefused(f"{shown}: {place or 'the file'}{value}: {first['msg'].removeprefix('Value error, ')}")


def _known(noun: type[Any]) -> Iterable[str]:
    fields: Mapping[str, Any] = noun.model_fields if issubclass(noun, BaseModel) else noun.__dataclass_fields__
    return list(fields)
