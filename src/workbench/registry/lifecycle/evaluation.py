"""One step of one version, judged: the gates' verdicts, what voids the evidence, who agreed and who is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from workbench.clock import kind_of_time
from workbench.errors import InputRefused, PromotionRefused, WorkbenchError
from workbench.registry.gates.case import LEAVES, Case
from workbench.registry.gates.judge import judge
from workbench.registry.gates.policy import LEAST_APPROVALS
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.lifecycle.agreement import missing
from workbench.registry.lifecycle.asking import (
    Next,
    broken,
    kept_here,
    new_proposal,
    outdated_by,
    set_back,
    told,
    unused,
)
from workbench.registry.lifecycle.desk import Desk, newest_of
from workbench.registry.lifecycle.journaled import not_journaled
from workbench.registry.lifecycle.shares import WEIGHTS, unproven_shares
from workbench.registry.lifecycle.stages import (
    NEXT,
    PAPER,
    PRODUCTION,
    PROMOTE,
    REDUCE_ONLY,
    RESTORE,
    RETIRED,
)
from workbench.registry.lifecycle.state import TICK, State
from workbench.registry.packs.approvers import CLOCKS_APART, Signed, uncommitted
from workbench.registry.packs.candidate import PROPOSALS, Candidate
from workbench.registry.packs.canonical import short
from workbench.registry.packs.code import Code, installed_code
from workbench.registry.packs.lines import evidence_line
from workbench.registry.packs.pack import Pack
from workbench.registry.packs.proposal import Proposal
from workbench.registry.storing import STRATEGY

FORCE_REASON = 10  # letters at least


@dataclass(frozen=True)
class Evaluation:
    """What is known about a step. ``proposal`` is the stored one that still stands, or the one to store."""

    state: State
    version: int
    step: Next
    candidate: Candidate
    verdicts: tuple[Verdict, ...]
    voids: tuple[str, ...]  # what no reason can lift: the evidence does not count any more
    proposal: Proposal
    stored: bool
    outdated: str  # why an earlier proposal, and what was signed for it, does not count any more
    signed: Signed
    champion: Pack | None
    champion_version: int
    told: tuple[str, ...] = ()  # what people should know before they sign

    @property
    def failed(self) -> list[Verdict]:
        """The gates that say no."""
        return [verdict for verdict in self.verdicts if verdict.outcome is Outcome.FAIL]

    @property
    def reviewed(self) -> list[Verdict]:
        """The gates that ask for the second approver's written reason."""
        return [verdict for verdict in self.verdicts if verdict.outcome is Outcome.REVIEW]

    @property
    def waits_for(self) -> str:
        """What is missing of the approvals, or nothing."""
        return missing(self.proposal, self.signed)

    @property
    def pack(self) -> Pack:
        """The evidence."""
        return self.candidate.pack


def choose(state: State, version: int | None) -> int:
    """Return the version to look at: the one asked for, or the newest that is not retired."""
    if version is not None:
        return state.version(version).version
    alive = [known.version for known in state.versions.values() if known.stage != RETIRED]
    if not alive:
        raise InputRefused(
            f"{state.name}: all {len(state.versions)} versions are retired; make new evidence: "
            f"{anew(state.kind, state.name)}"
        )
    return max(alive)


def anew(kind: str, name: str) -> str:
    """Return what makes evidence of its own where the same is there already, and its version is out for good."""
    if kind == STRATEGY:
        return f"workbench evidence {name} --fresh"
    return f"{evidence_line(kind, name)}, with another reason"


def next_step(state: State, version: int) -> Next:
    """Return the step that a version can take, or say that there is none."""
    known = state.version(version)
    if known.stage == RETIRED:
        raise PromotionRefused(
            f"{state.name} version {version}: is retired ({known.reason or 'no reason was given'}); make new evidence: "
            f"{anew(state.kind, state.name)}"
        )
    if known.mode == REDUCE_ONLY:
        return Next(RESTORE, known.stage, known.stage)
    if known.stage == PRODUCTION:
        raise PromotionRefused(
            f"{state.name} version {version}: stands in production since {known.at:%Y-%m-%d}; no stage is next"
        )
    return Next(PROMOTE, known.stage, NEXT[known.stage])


def evaluate(desk: Desk, state: State, version: int) -> Evaluation:
    """Judge the next step of a version on what is known now; nothing is written."""
    step = next_step(state, version)
    candidate = desk.candidate(state, version)
    asked = desk.policy.step(state.kind, step.to_stage)
    code, unknown_code = installed(candidate.pack)
    ledger, ledger_head = desk.ledger(candidate.pack)
    leaves = LEAVES.get(step.to_stage)
    records = desk.track_records(state, version, leaves) if leaves else ()
    record = newest_of(records)
    champion_version = state.champion(step.to_stage, version)
    champion = desk.candidate(state, champion_version).pack if champion_version else None
    case = Case(
        pack=candidate.pack,
        version=version,
        to_stage=step.to_stage,
        now=desk.now,
        code=code,
        ledger=ledger,
        record=record,
        champion=champion,
        whose=f"account {record.account}, of {len(records)} that traded it" if record and len(records) > 1 else "",
        restores=step.action == RESTORE,
    )
    verdicts = judge(asked, case)
    line = candidate.line(version, step.to_stage, state.versions[version].head)
    kept = kept_here(desk, state, version, step)
    fresh = new_proposal(desk, state, version, step, candidate.pack, asked, verdicts, line)
    fresh = replace(fresh, broke=broken(desk, state, step, candidate, kept))
    fresh = unused(replace(fresh, record=record.digest if record else "", trials_head=ledger_head), state)
    before = line[-1] if line else candidate.newest(version, step.to_stage)
    outdated = outdated_by(before, fresh, desk, state, candidate, kept) if before else ""
    if before and outdated and before.made_at <= desk.now + CLOCKS_APART:  # never one that was signed before
        fresh = replace(fresh, made_at=max(fresh.made_at, before.made_at + TICK))
    proposal = before if before and not outdated else fresh
    return Evaluation(
        state=state,
        version=version,
        step=step,
        candidate=candidate,
        verdicts=verdicts,
        voids=(
            *_voids(desk, candidate.pack, code, unknown_code, state, version, step, champion),
            *_unjournaled(desk, record),
            *_unknown(step, kept.unknown),
        ),
        proposal=proposal,
        stored=proposal is before,
        outdated=outdated,
        signed=candidate.signed(proposal, desk.approvers, desk.now),
        champion=champion,
        champion_version=champion_version,
        told=told(desk, state, version, proposal),
    )


def proposed(desk: Desk, state: State, version: int) -> Evaluation:
    """Return the stored proposal of a version's next step as a person signs it, on whichever machine.

    Pack, policy, code and every gate that asks the pack are judged again here. Ledger and track record belong to the
    machine that promotes: their verdicts are those of the proposal, and the promotion itself judges them again. What a
    version broke that may only reduce is in its proposal, and is asked of the records here where there are any.
    """
    step = next_step(state, version)
    candidate = desk.candidate(state, version)
    asked = desk.policy.step(state.kind, step.to_stage)
    code, unknown_code = installed(candidate.pack)
    champion_version = state.champion(step.to_stage, version)
    champion = desk.candidate(state, champion_version).pack if champion_version else None
    restores = step.action == RESTORE
    case = Case(candidate.pack, version, step.to_stage, desk.now, code, champion=champion, restores=restores)
    line = candidate.line(version, step.to_stage, state.versions[version].head)
    before = line[-1] if line else candidate.newest(version, step.to_stage)
    stored = {row["gate"]: Verdict.read(row, short(before.digest)) for row in before.verdicts} if before else {}
    verdicts = tuple(
        stored[one.gate] if one.gate in stored and one.why.startswith(_NOT_HERE) else one for one in judge(asked, case)
    )
    kept = kept_here(desk, state, version, step)
    fresh = new_proposal(desk, state, version, step, candidate.pack, asked, verdicts, line)
    fresh = replace(fresh, broke=broken(desk, state, step, candidate, kept))
    outdated = outdated_by(before, fresh, desk, state, candidate, kept) if before else ""
    proposal = before if before and not outdated else fresh
    return Evaluation(
        state=state,
        version=version,
        step=step,
        candidate=candidate,
        verdicts=verdicts,
        voids=(
            *_voids(desk, candidate.pack, code, unknown_code, state, version, step, champion),
            *_unknown(step, kept.unknown),
        ),
        proposal=proposal,
        stored=proposal is before,
        outdated=outdated,
        signed=candidate.signed(proposal, desk.approvers, desk.now),
        champion=champion,
        champion_version=champion_version,
        told=told(desk, state, version, proposal),
    )


# What a gate says that asks for a ledger or a track record where none was given.
_NOT_HERE = (
    "cannot be evaluated: the trial ledger was not read",
    *(f"cannot be evaluated: no {stage} record yet" for stage in LEAVES.values()),
)


def store_proposal(desk: Desk, found: Evaluation) -> None:
    """Put the proposal beside the pack, so that people can sign it; it is there already where it still stands."""
    if not found.stored:
        path = f"{PROPOSALS}/{found.step.to_stage}/{found.proposal.digest}.json"
        desk.models.keep(found.state, found.version, path, found.proposal.bytes())


def _voids(
    desk: Desk,
    pack: Pack,
    code: Code | None,
    unknown_code: str,
    state: State,
    version: int,
    step: Next,
    champion: Pack | None,
) -> tuple[str, ...]:
    again = evidence_line(pack.kind, pack.name)
    found = set_back(desk, state, version)
    if pack.policy != desk.policy.digest:
        found.append(
            f"{desk.policy.shown} is not the one that the pack was made under ({short(pack.policy)} then, "
            f"{short(desk.policy.digest)} now); {again}"
        )
    if pack.simulated != desk.simulated:
        found.append(
            f"the pack is of {kind_of_time(pack.simulated)} time, this project is on {kind_of_time(desk.simulated)} "
            f"time: what one proves counts for nothing in the other; {again}"
        )
    if pack.kind == STRATEGY:
        found += _code_voids(pack, code, unknown_code, again)
    if pack.kind == WEIGHTS:
        restores = step.action == RESTORE
        found += unproven_shares(desk, pack, step.to_stage, again, champion, restores=restores)
    if LEAST_APPROVALS[step.to_stage] > 1 and (unread := uncommitted(desk.paths)):
        found.append(f"{unread}; then run again")
    if desk.now >= pack.expires_at:
        found.append(f"the evidence expired on {pack.expires_at:%Y-%m-%d}; {again}")
    if desk.now < pack.made_at - timedelta(minutes=5):
        found.append(
            f"the pack was made at {pack.made_at:%Y-%m-%d %H:%M} UTC, in the future: this machine's clock is wrong; "
            "set it, and run again"
        )
    forced = state.versions[version].forced
    if forced and step.to_stage != PAPER:
        found.append(
            f"it was forced into paper ({forced}), and only what passed may go on; mend what failed, then: {again}"
        )
    return tuple(found)


def _unjournaled(desk: Desk, record: TrackRecord | None) -> list[str]:
    said = not_journaled(desk.settings, desk.paths, record) if record else ""
    return [said] if said else []


def _unknown(step: Next, why: str) -> list[str]:
    """Say that nobody can sign for what nobody can read, and what mends it."""
    again = "the next session makes a damaged record again from the journal"
    return [f"what it did at {step.to_stage} is not known: {why}; {again}"] if why else []


def _code_voids(pack: Pack, code: Code | None, unknown_code: str, again: str) -> list[str]:
    if pack.code is None:
        return [f"the pack names no code; {again}"]
    found = []
    if pack.code.changed:
        names = ", ".join(pack.code.changed[:3]) + (", …" if len(pack.code.changed) > 3 else "")
        found.append(
            f"the evidence was made from a working tree with changes ({names}) on commit {short(pack.code.commit)}; "
            f"commit them, then: {again}"
        )
    if code is None:
        found.append(f"the strategy cannot be imported ({unknown_code}); mend it, then: {again}")
    elif (code.digest, code.entry_point) != (pack.code.digest, pack.code.entry_point):
        differs = code.differs_from(pack.code) or f"{pack.code.entry_point} then, {code.entry_point} now"
        found.append(f"the code is not that of the evidence: {differs}; {again}")
    return found


def installed(pack: Pack) -> tuple[Code | None, str]:
    """Return the code that is installed now for a pack, or why there is none; other kinds have no code."""
    if pack.kind != STRATEGY:
        return None, ""
    try:
        return installed_code(pack.name), ""
    except WorkbenchError as error:
        return None, str(error)


def check_force(reason: str, step: Next) -> str:
    """Return the reason for a force, or refuse it: it exists for paper alone."""
    if step.to_stage != PAPER:
        raise PromotionRefused(
            f"--force: does not exist for {step.to_stage}; only evidence and signatures lead there, see the table"
        )
    reason = " ".join(reason.split())
    if len(reason) < FORCE_REASON:
        raise InputRefused(f"--force '{reason}': say why in at least {FORCE_REASON} letters; it stays visible for ever")
    return reason
