"""What must hold before a verified candidate is handed to the runner; the first that does not is the one line.

The floors stand here in code, beside those of params/gates.yaml: a policy that was loosened, and signed, loads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workbench.clock import kind_of_time
from workbench.errors import PackRefused
from workbench.registry.gates.models import CARD
from workbench.registry.gates.policy import CAPITAL_HIGH, CAPITAL_LOW, asked_always
from workbench.registry.gates.verdict import Outcome, Verdict
from workbench.registry.lifecycle.agreement import missing
from workbench.registry.lifecycle.stages import ACTIVE, PAPER, PRODUCTION, REDUCE_ONLY, STAGED
from workbench.registry.lifecycle.state import Standing
from workbench.registry.loader.account import AccountMode, refused_account
from workbench.registry.packs.approvers import CLOCKS_APART, Approvers, Signed
from workbench.registry.packs.candidate import Candidate
from workbench.registry.packs.canonical import moment_text, read_moment, short
from workbench.registry.packs.code import entry_point, running_otherwise
from workbench.registry.packs.lines import evidence_line, promote_line, typed
from workbench.registry.packs.pack import Pack
from workbench.registry.packs.proposal import Proposal
from workbench.registry.storing import STRATEGY
from workbench.source import deciding_files

LEAST_APPROVALS: Mapping[str, int] = {PAPER: 1, STAGED: 2, PRODUCTION: 2}


@dataclass(frozen=True)
class Asked:
    """What the runner asks for; ``market`` is the one that its data comes from."""

    kind: str
    name: str
    stage: str
    account: AccountMode
    market: str
    now: datetime
    simulated: bool = False  # whether that moment is of simulated time


@dataclass(frozen=True)
class Agreed:
    """The proposal that a candidate stands by, who signed it, and what a person should know all the same."""

    proposal: Proposal
    names: tuple[str, ...]
    warnings: tuple[str, ...]


def agree(asked: Asked, standing: Standing, candidate: Candidate, approvers: Approvers) -> Agreed:
    """Return by what a candidate may be loaded, or raise with the first reason why not."""
    where = f"{asked.name} version {standing.version} at {asked.stage}"
    pack, warnings = candidate.pack, []
    _refuse(where, _identity(asked, standing, pack))
    proposal = candidate.proposal(standing.proposal)
    reason, ahead = _step(asked, standing, pack, proposal)
    _refuse(where, reason)
    reason, forced = _verdicts(asked, standing, proposal)
    _refuse(where, reason)
    # What may only reduce is unwound also where its step was signed by a clock that ran ahead.
    judged = max(asked.now, standing.taken) if standing.mode == REDUCE_ONLY else asked.now
    signed = _signed(candidate, proposal, approvers, standing, judged)
    _refuse(where, _approvals(asked, standing, proposal, signed, approvers))
    _refuse(where, _market(asked, pack))
    reason, expired = _expiry(asked, standing, pack)
    _refuse(where, reason)
    _refuse(where, _limits(asked, proposal))
    if pack.kind == STRATEGY:
        _refuse(where, _code(pack))
    warnings += [text for text in (ahead, forced, expired) if text]
    return Agreed(proposal, signed.names, tuple(f"{where}: {text}" for text in warnings))


def _refuse(where: str, reason: str) -> None:
    if reason:
        raise PackRefused(f"{where}: {reason}")


def _identity(asked: Asked, standing: Standing, pack: Pack) -> str:
    if (pack.kind, pack.name) != (asked.kind, asked.name):
        return f"its pack is of {pack.kind} {pack.name}; see workbench status"
    if standing.mode not in (ACTIVE, REDUCE_ONLY):
        return f"mode '{standing.mode}' is none of {ACTIVE}, {REDUCE_ONLY}; see workbench status"
    return ""


def _step(asked: Asked, standing: Standing, pack: Pack, proposal: Proposal) -> tuple[str, str]:
    """Return why the step by which it stands is none, and what a clock that ran ahead left of what may only reduce."""
    if reason := _wrong_step(asked, standing, pack, proposal):
        return reason, ""
    if standing.at <= asked.now + CLOCKS_APART:
        return "", ""
    text = (
        f"it was moved here at {moment_text(standing.at)}, and the clock says {moment_text(asked.now)}; "
        "set the clock right"
    )
    of = asked.kind, asked.name, standing.version
    if standing.mode == REDUCE_ONLY:
        return "", f"{text}; where it is, that step's was wrong: it may only reduce until {promote_line(*of)}"
    return f"{text}; where it is, that step's was wrong: {_anew(asked, standing)}", ""


def _wrong_step(asked: Asked, standing: Standing, pack: Pack, proposal: Proposal) -> str:
    if (proposal.version, proposal.to_stage) != (standing.version, asked.stage):
        return f"its proposal {short(proposal.digest)} is for {proposal.step}; see workbench status"
    if proposal.policy != pack.policy:
        return (
            f"the gates of the proposal ({short(proposal.policy)}) are not those that the pack was made under "
            f"({short(pack.policy)}); {_again(pack)}"
        )
    taken = moment_text(standing.taken)
    if standing.taken > proposal.expires_at + CLOCKS_APART:
        return f"its step was taken at {taken}, the proposal ended at {moment_text(proposal.expires_at)}"
    latest = max(pack.made_at, proposal.made_at)
    if latest > standing.taken + CLOCKS_APART:
        return f"its step was taken at {taken}, before its evidence of {moment_text(latest)}"
    return ""


def _verdicts(asked: Asked, standing: Standing, proposal: Proposal) -> tuple[str, str]:
    """Return why the verdicts stop it, and what was forced."""
    verdicts = [Verdict.read(row, f"proposal {short(proposal.digest)}") for row in proposal.verdicts]
    if not verdicts:
        return f"proposal {short(proposal.digest)} holds no verdict, so no gate was asked; {_anew(asked, standing)}", ""
    failed = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    if standing.forced and asked.stage != PAPER:
        return "it was forced into paper, and nothing forced goes beyond; promote a version that passes", ""
    if failed and not standing.forced:
        return f"{failed[0].line}; a failed gate loads nothing", ""
    answered = {verdict.gate for verdict in verdicts}
    if lacking := [name for name in asked_always(asked.kind, asked.stage) if name not in answered]:
        return f"its policy did not ask {', '.join(lacking)}; without that nothing is proven, so nothing is loaded", ""
    return "", f"was forced against {', '.join(verdict.gate for verdict in failed)}" if failed else ""


def _signed(
    candidate: Candidate, proposal: Proposal, approvers: Approvers, standing: Standing, now: datetime
) -> Signed:
    """Return whose signatures count, those made after the step left out: it was taken without them."""
    found = candidate.approvals_of(proposal)
    late = [one for one in found if one.signed_at > standing.taken + CLOCKS_APART]
    signed = approvers.check(proposal, [one for one in found if one not in late], now)
    lines = [f"{one.approver}: signed at {moment_text(one.signed_at)}, after the step" for one in late]
    return replace(signed, refusals=(*signed.refusals, *lines))


def _approvals(asked: Asked, standing: Standing, proposal: Proposal, signed: Signed, approvers: Approvers) -> str:
    floor = LEAST_APPROVALS[asked.stage]
    lacking = missing(replace(proposal, approvals=max(floor, proposal.approvals)), signed)
    if not lacking:
        return ""
    why = f" ({'; '.join(signed.refusals)})" if signed.refusals else ""
    names = ", ".join(signed.names) or "nobody"
    return f"lacks {lacking} (signed by {names}, list {approvers.shown}){why}; {_anew(asked, standing)}"


def _market(asked: Asked, pack: Pack) -> str:
    if pack.simulated != asked.simulated:
        return (
            f"its evidence is of {kind_of_time(pack.simulated)} time, this project is on "
            f"{kind_of_time(asked.simulated)} time, where it counts for nothing; {_again(pack)}"
        )
    if reason := refused_account(pack.market, asked.stage, asked.account, simulated=asked.simulated):
        return reason
    if pack.market != asked.market:
        return (
            f"its evidence is of the {pack.market} market, the settings read the {asked.market} one; "
            f"--set market={pack.market}"
        )
    return ""


def _expiry(asked: Asked, standing: Standing, pack: Pack) -> tuple[str, str]:
    """Return why evidence or model are too old; what may only reduce is still loaded, or it could never be unwound."""
    ends = {"evidence": pack.expires_at}
    if any(path.startswith("model/") for path in pack.files):
        card = pack.json(CARD)
        ends["model"] = read_moment(card.get("expires_at") if isinstance(card, dict) else None, f"{CARD}: expires_at")
    what, end = min(ends.items(), key=lambda item: item[1])
    if asked.now < end:
        return "", ""
    text = f"its {what} expired at {moment_text(end)}"
    if standing.mode == REDUCE_ONLY:
        return "", f"{text}; it may only reduce"
    unwind = f"{typed('demote', pack.kind, pack.name, standing.version)} --reason …"
    return f"{text}; to unwind it: {unwind}; to go on: {_again(pack)}", ""


def _limits(asked: Asked, proposal: Proposal) -> str:
    """Say what is wrong with the money that a stage may lose its way with; staged live never lacks a bound."""
    if (asked.kind, asked.stage) != (STRATEGY, STAGED):
        return ""
    steps: Any = proposal.limits.get("capital_steps")
    sound = isinstance(steps, (list, tuple)) and bool(steps)
    sound = sound and all(type(step) in (int, float) and CAPITAL_LOW <= step <= CAPITAL_HIGH for step in steps)
    if sound and sorted(set(steps)) == list(steps):
        return ""
    return (
        f"its limits name capital_steps {steps!r}; staged live trades rising steps of {CAPITAL_LOW:,.0f} to "
        f"{CAPITAL_HIGH:,.0f} dollars; mend params/gates.yaml, then: {evidence_line(proposal.kind, proposal.name)}"
    )


def _code(pack: Pack) -> str:
    """Say how the installed code differs from the approved one; nothing is imported before its bytes are known."""
    if pack.code is None:
        return f"its pack names no code; {_again(pack)}"
    files = deciding_files(pack.name)
    if differs := replace(pack.code, files=files).differs_from(pack.code):
        return f"the code is not the one that was approved: {differs}; install that one, or {_again(pack)}"
    installed = entry_point(pack.name)
    if installed != pack.code.entry_point:
        return f"its entry point is {pack.code.entry_point}, installed is {installed}; {_again(pack)}"
    if running := running_otherwise(files):
        return f"this process runs another {running} than lies on disk; start it again"
    return ""


def _again(pack: Pack) -> str:
    return evidence_line(pack.kind, pack.name)


def _anew(asked: Asked, standing: Standing) -> str:
    """Return what brings new signatures to a step that was taken: none that is made after it counts for it."""
    of = asked.kind, asked.name, standing.version
    return f"sign anew: {typed('demote', *of)} --reason …, then: {promote_line(*of)}"
