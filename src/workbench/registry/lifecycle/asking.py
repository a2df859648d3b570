"""The proposal of a step: what is asked of people, what it was made after, and why one that was made counts no more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from workbench.errors import DataRefused, WorkbenchError
from workbench.registry.gates.policy import Step
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.lifecycle.breaches import breaches, last_seen, since
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.stages import RESTORE
from workbench.registry.lifecycle.state import TICK, State
from workbench.registry.loader.load import FOLDER as LOADER
from workbench.registry.loader.memory import Memory
from workbench.registry.packs.approvers import CLOCKS_APART
from workbench.registry.packs.candidate import Candidate
from workbench.registry.packs.canonical import jsonable, short
from workbench.registry.packs.pack import Pack
from workbench.registry.packs.proposal import Proposal


@dataclass(frozen=True)
class Next:
    """The step that a version can take from where it stands; a restoration ends where it begins."""

    action: str
    from_stage: str
    to_stage: str


@dataclass(frozen=True)
class Kept:
    """The records of a version that may only reduce, of where it stands; ``unknown``: why they cannot be read."""

    records: tuple[TrackRecord, ...] = ()
    unknown: str = ""


def new_proposal(
    desk: Desk,
    state: State,
    version: int,
    step: Next,
    pack: Pack,
    asked: Step,
    verdicts: tuple[Verdict, ...],
    line: tuple[Proposal, ...],
) -> Proposal:
    """Return the proposal of a step as it would be made now, after ``line``: those that followed the last step."""
    # A written reason of the second approver needs a second approver.
    reviews = any(verdict.outcome is Outcome.REVIEW for verdict in verdicts)
    return Proposal(
        kind=state.kind,
        name=state.name,
        version=version,
        market=pack.market,
        pack=pack.digest,
        from_stage=step.from_stage,
        to_stage=step.to_stage,
        policy=desk.policy.digest,
        verdicts=tuple(jsonable(verdict) for verdict in verdicts),
        record="",
        trials_head="",
        limits=jsonable(asked.limits),
        approvals=max(asked.approvals, 2 if reviews else 0),
        made_by=desk.who,
        made_at=_after(state.versions[version].moved, desk.now),
        expires_at=(desk.now + timedelta(days=asked.valid_days)).replace(microsecond=0),
        after=line[-1].digest if line else state.versions[version].head,
    )


def _after(last: datetime, now: datetime) -> datetime:
    """Return when a proposal is made: now, and after the version's last step also where the clock stands still.

    A last step that lies ahead was taken by another clock; that the proposal names it must do.
    """
    now = now.replace(microsecond=0)
    return now if last > now + CLOCKS_APART else max(now, last.replace(microsecond=0) + TICK)


def _ahead(desk: Desk, state: State, version: int) -> str:
    """Say that a version's last step is of a later time than the clock shows: one of the two clocks is wrong."""
    last = state.versions[version].at
    if last <= desk.now + CLOCKS_APART:
        return ""
    return (
        f"the last step of version {version} is dated {last:%Y-%m-%d %H:%M} UTC, and it is {desk.now:%Y-%m-%d %H:%M} "
        "UTC here: set the clock right; where it is, that step's was wrong, and what is proposed and signed now counts"
    )


def told(desk: Desk, state: State, version: int, proposal: Proposal) -> tuple[str, ...]:
    """Return what people should know before they sign."""
    found, halted = [_ahead(desk, state, version)], state.versions[version].halted
    if halted:
        found.append(f"it may only reduce since {halted.at:%Y-%m-%d}: {halted.reason or halted.sentence}")
    if proposal.broke:
        found.append(f"it broke, and who signs accepts: {proposal.broke}")
    return tuple(line for line in found if line)


def kept_here(desk: Desk, state: State, version: int, step: Next) -> Kept:
    """Return what is kept here of where a version stands that may only reduce."""
    if step.action != RESTORE:
        return Kept()
    try:
        return Kept(desk.track_records(state, version, step.to_stage))
    except WorkbenchError as error:
        return Kept(unknown=str(error))


def broken(desk: Desk, state: State, step: Next, candidate: Candidate, kept: Kept) -> str:
    """Return what a version broke where it stands since people lifted it last, by the rules that demote it."""
    standing = state.standing.get(step.to_stage)
    if standing is None:
        return ""
    seen, found = last_seen(candidate, standing, desk.now), []
    for record in (one for one in kept.records if one.sessions):
        of = f" (account {record.account})" if len(kept.records) > 1 and record.account else ""
        found += [f"{why}{of}" for why in breaches(desk.policy, candidate.pack, since(record, seen))]
    return "; ".join(found)


def set_back(desk: Desk, state: State, version: int) -> list[str]:
    """Say that it is the clock of now that is wrong, by the latest moment at which something was loaded here."""
    if not _ahead(desk, state, version):
        return []
    folder = desk.paths.state / LOADER
    memory = Memory(folder, desk.paths.short(folder))
    try:
        memory.read().check_clock(desk.now, memory.shown)
    except DataRefused as error:
        return [str(error)]
    return []


def unused(fresh: Proposal, state: State) -> Proposal:
    """Return a proposal that no step was taken by: where the clock stands still, the same again is a moment younger."""
    while fresh.digest in state.used:
        fresh = replace(fresh, made_at=fresh.made_at + TICK)
    return fresh


def outdated_by(
    before: Proposal,
    fresh: Proposal,
    desk: Desk,
    state: State,
    candidate: Candidate,
    kept: Kept,
) -> str:
    """Say why a stored proposal no longer asks for what would be asked now, or nothing.

    What names the version's last step, by itself or by the proposals before it, was made after that, whatever a clock
    said; one that names none was, where its time is later.
    Numbers may have grown since, such as the days on paper; what was signed is that every gate answered as it does now.
    """
    if before.digest in state.used:
        return "it was taken already, and what was signed for it holds for that one step"
    last = state.versions[before.version]
    line = candidate.line(before.version, before.to_stage, last.head)
    if before not in line and (before.after or before.made_at <= last.moved):
        why = f" ({last.reason})" if last.reason else ""
        return f"the last step of version {last.version} came after it, at {last.at:%Y-%m-%d %H:%M} UTC{why}"
    if desk.now > before.expires_at:
        return f"it expired on {before.expires_at:%Y-%m-%d %H:%M} UTC"
    if desk.now < before.made_at - CLOCKS_APART:
        return f"it was made at {before.made_at:%Y-%m-%d %H:%M} UTC, in the future: check this machine's clock"
    if before.policy != fresh.policy:
        return f"the gates changed ({short(before.policy)} then, {short(fresh.policy)} now)"
    if (before.from_stage, before.approvals, before.limits) != (fresh.from_stage, fresh.approvals, fresh.limits):
        return "it asks for another step, other limits or fewer approvals"
    then, now = _outcomes(before), _outcomes(fresh)
    changed = sorted(gate for gate in then.keys() | now.keys() if then.get(gate) != now.get(gate))
    if changed:
        return f"another verdict of {', '.join(changed)}"
    return _broke(before, fresh, desk, candidate.pack, kept)


def _broke(before: Proposal, fresh: Proposal, desk: Desk, pack: Pack, kept: Kept) -> str:
    """Say what the version broke where it stands that nobody saw who signed its lifting, or that it is not known."""
    if before.from_stage != before.to_stage:
        return ""
    if kept.unknown:
        return f"what came since it was proposed is not known: {kept.unknown}"
    seen = (since(record, before.made_at) for record in kept.records)
    wrong = dict.fromkeys(why for one in seen if one.sessions for why in breaches(desk.policy, pack, one))
    if wrong:
        return f"since it was proposed on {before.made_at:%Y-%m-%d}: {'; '.join(wrong)}"
    return f"it did not say what the version broke: {fresh.broke}" if fresh.broke and not before.broke else ""


def _outcomes(proposal: Proposal) -> dict[str, Any]:
    return {row["gate"]: row["outcome"] for row in proposal.verdicts}
