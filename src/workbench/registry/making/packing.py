"""From parts to a pack: the gates of the first step judge it before it is closed, and their verdicts are in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from workbench.clock import read_clock
from workbench.params import Paths
from workbench.registry.gates.case import Case, LedgerFacts
from workbench.registry.gates.judge import judge
from workbench.registry.gates.policy import FILE, Policy
from workbench.registry.gates.verdict import Verdict
from workbench.registry.making.parts import GATES, TRIALS
from workbench.registry.packs.canonical import canonical, jsonable
from workbench.registry.packs.code import Code
from workbench.registry.packs.pack import Pack, make_pack
from workbench.registry.runs import user_name

# What moves in trials.json with every batch, of other questions too, while the evidence stays the same.
MOVING = ("batch", "head", "recorded", "elsewhere")


@dataclass(frozen=True)
class Judged:
    """A pack, and the verdicts of the gates of its first step; ``parts/gates.json`` has the same."""

    pack: Pack
    stage: str
    verdicts: tuple[Verdict, ...]

    @classmethod
    def of(cls, pack: Pack) -> Judged:
        """Return what a pack says of itself."""
        facts = pack.json(GATES)
        verdicts = tuple(Verdict.read(row, f"{pack.shown}: {GATES}") for row in facts["verdicts"])
        return cls(pack, facts["stage"], verdicts)


def judged_pack(
    kind: str,
    name: str,
    market: str,
    files: Mapping[str, bytes],
    paths: Paths,
    now: datetime,
    *,
    code: Code | None = None,
    ledger: LedgerFacts | None = None,
    champion: Pack | None = None,
    run_id: str = "",
    pipeline_run: str = "",
) -> Judged:
    """Return the pack of these files, judged by the gates of the first step that its kind can take."""
    policy = Policy.read(paths.params / FILE, paths)
    stage, step = policy.first_step(kind)
    facts: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "market": market,
        "made_by": user_name(),
        "made_at": now,
        "expires_at": now + timedelta(days=policy.pack_valid_days),
        "policy": policy.digest,
        "code": code,
        "run_id": run_id,
        "pipeline_run": pipeline_run,
        "simulated": read_clock(market, paths).simulated,
    }
    draft = make_pack(files=files, **facts)
    case = Case(pack=draft, version=0, to_stage=stage, now=now, code=code, ledger=ledger, champion=champion)
    verdicts = judge(step, case)
    gates = {"policy": policy.digest, "stage": stage, "verdicts": verdicts}
    return Judged(make_pack(files={**files, GATES: canonical(jsonable(gates))}, **facts), stage, verdicts)


def same_evidence(one: Pack, other: Pack) -> bool:
    """Return whether two packs prove the same: made at another time, by another person, beside other questions."""
    return _proven(one) == _proven(other)


def _proven(pack: Pack) -> dict[str, Any]:
    facts = {name: getattr(pack, name) for name in ("kind", "name", "market", "policy", "run_id", "code", "simulated")}
    facts["parts"] = [part for part in pack.parts if part.path not in (GATES, TRIALS)]
    if pack.has(TRIALS):
        facts["trials"] = {key: value for key, value in pack.json(TRIALS).items() if key not in MOVING}
    return facts
