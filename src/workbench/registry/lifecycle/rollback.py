"""Rollback: the version that stood at a stage before comes back in one step, its evidence and signatures checked."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import InputRefused, PromotionRefused, did_you_mean
from workbench.registry.lifecycle.agreement import missing
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import choose, installed
from workbench.registry.lifecycle.stages import (
    ACTIVE,
    KEEP,
    POSITIONS,
    PRODUCTION,
    REDUCE_ONLY,
    RETIRE,
    RETIRED,
    ROLLBACK,
    TRADED,
)
from workbench.registry.lifecycle.state import State
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.canonical import short
from workbench.registry.packs.lines import typed
from workbench.registry.packs.pack import Pack
from workbench.registry.storing import STRATEGY

REASON = 10  # letters at least


@dataclass(frozen=True)
class Return:
    """A rollback that is possible: from which version to which, on what evidence, and how it may trade."""

    state: State
    stage: str
    version: int
    instead_of: int
    pack: Pack
    names: tuple[str, ...]
    mode: str
    positions: str


def plan_rollback(desk: Desk, state: State, stage: str = PRODUCTION, positions: str = KEEP) -> Return:
    """Return what a rollback would do, after checking all of its evidence; nothing is written."""
    if stage not in TRADED:
        raise InputRefused(f"--stage '{stage}': no version is traded there.{did_you_mean(stage, TRADED)}")
    check_positions(positions)
    before = state.replaced.get(stage, ())
    if not before:
        here = state.standing.get(stage)
        stands = f"version {here.version} is the first that stood there" if here else "no version ever stood there"
        raise PromotionRefused(
            f"{state.name}: nothing to return to at {stage}: {stands}; to stop it: "
            f"{_stop('demote', state, stage)}, or {_stop('retire', state, stage)}"
        )
    version, known = before[-1], state.versions[before[-1]]
    where = f"{state.name}: rollback of {stage} to version {version}"
    candidate = desk.candidate(state, version)
    proposal = candidate.proposal(known.proposal)
    signed = candidate.signed(proposal, desk.approvers, desk.now)
    lacks = missing(proposal, signed)
    if proposal.to_stage != stage or lacks:
        told = "".join(f" ({line})" for line in signed.refusals[:1])
        raise PromotionRefused(f"{where}: its approval no longer holds: {lacks or 'for another stage'}{told}")
    if desk.now >= candidate.pack.expires_at:
        raise PromotionRefused(
            f"{where}: its evidence expired on {candidate.pack.expires_at:%Y-%m-%d}; stop what trades now instead: "
            f"{_stop('demote', state, stage)}"
        )
    if candidate.pack.kind == STRATEGY:
        _require_code(candidate.pack, where)
    here = state.standing.get(stage)
    mode = REDUCE_ONLY if REDUCE_ONLY in (known.mode, positions) else ACTIVE
    return Return(state, stage, version, here.version if here else 0, candidate.pack, signed.names, mode, positions)


def roll_back(desk: Desk, plan: Return, reason: str = "") -> Transition:
    """Record the rollback in one step, and show it."""
    step = Transition(
        kind=plan.state.kind,
        name=plan.state.name,
        version=plan.version,
        action=ROLLBACK,
        from_stage=plan.state.versions[plan.version].stage,
        to_stage=plan.stage,
        pack=plan.pack.digest,
        proposal=plan.state.versions[plan.version].proposal,
        replaces=plan.instead_of,
        who=desk.who,
        at=desk.now,
        reason=" ".join(reason.split()),
        positions=plan.positions,
        mode=plan.mode,
    )
    placed = desk.record.append(step, after=plan.state)
    desk.show(placed)
    return placed


def retire(desk: Desk, state: State, version: int, reason: str, positions: str = KEEP) -> Transition:
    """Take a version out for good: it stands nowhere, and no rollback brings it back."""
    check_positions(positions)
    known = state.version(version)
    step = Transition(
        kind=state.kind,
        name=state.name,
        version=version,
        action=RETIRE,
        from_stage=known.stage,
        to_stage=RETIRED,
        pack=known.pack,
        who=desk.who,
        at=desk.now,
        reason=reason_of(reason),
        positions=positions if known.stage in TRADED else "",
    )
    placed = desk.record.append(step, after=state)
    desk.show(placed)
    return placed


def choose_standing(state: State, version: int | None, command: str) -> int:
    """Return the version to stop: the one asked for, else the one that stands; between two nobody guesses."""
    standing = {stage: one.version for stage, one in state.standing.items()}
    if version is not None or not standing:
        return choose(state, version)
    if len(standing) > 1:
        lines = [
            f"{stage}: {typed(command, state.kind, state.name, standing[stage])} --reason …"
            for stage in reversed(TRADED)
            if stage in standing
        ]
        raise InputRefused(f"{command}: {len(standing)} versions of {state.name} stand; name one; {'; '.join(lines)}")
    return next(iter(standing.values()))


def check_positions(positions: str) -> None:
    """Refuse a word that does not say what becomes of open positions."""
    if positions not in POSITIONS:
        raise InputRefused(f"--positions '{positions}': unknown.{did_you_mean(positions, POSITIONS)}")


def reason_of(reason: str) -> str:
    """Return a written reason, or ask for one."""
    reason = " ".join(reason.split())
    if len(reason) < REASON:
        raise InputRefused(f"--reason '{reason}': say why in at least {REASON} letters; it stays in the record")
    return reason


def _stop(verb: str, state: State, stage: str) -> str:
    here = state.standing.get(stage)
    return f"{typed(verb, state.kind, state.name, here.version if here else 0)} --reason …"


def _require_code(pack: Pack, where: str) -> None:
    """Refuse a return to code that is not installed: the runner could not load it."""
    code, unknown = installed(pack)
    then = pack.code
    if then is None:
        raise PromotionRefused(f"{where}: its pack names no code")
    if code is None or (code.digest, code.entry_point) != (then.digest, then.entry_point):
        why = unknown or (code.differs_from(then) if code else "") or "another entry point"
        raise PromotionRefused(
            f"{where}: the installed code is not that of its evidence ({why}); git checkout {short(then.commit)}, "
            "then roll back"
        )
