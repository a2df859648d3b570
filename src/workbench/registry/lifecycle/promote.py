"""Promotion: a step that every gate allows and enough people signed is recorded, then shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from workbench.errors import InputRefused, PromotionRefused
from workbench.registry.lifecycle.agreement import LEAST_REASON, says_why
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import Evaluation, check_force, evaluate, store_proposal
from workbench.registry.lifecycle.stages import ACTIVE
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.approvers import Approver
from workbench.registry.packs.candidate import APPROVALS
from workbench.registry.packs.keys import load_key
from workbench.registry.packs.lines import promote_line
from workbench.registry.packs.proposal import Approval, sign


@dataclass(frozen=True)
class Ruling:
    """What may happen now: ``refusal`` is the one line why not, ``reason`` the reason of a force."""

    found: Evaluation
    refusal: str
    reason: str
    waits: bool  # for signatures only

    @property
    def forced(self) -> bool:
        """Whether a gate that failed is overridden."""
        return bool(self.reason)


def rule(found: Evaluation, force: str | None = None) -> Ruling:
    """Return whether a step may be taken; ``force`` overrides failed gates on the way to paper, and nothing else."""
    reason = check_force(force, found.step) if force is not None else ""
    where = f"{found.state.name} version {found.version} to {found.step.to_stage}"
    if found.voids:
        return Ruling(found, f"{where}: refused: {found.voids[0]}", "", waits=False)
    if force is not None and not found.failed:
        raise InputRefused(f"--force: every gate of {where} passes; leave it out")
    if found.failed and not reason:
        first, more = found.failed[0], len(found.failed) - 1
        others = f" and {more} more, see the table" if more else ""
        why = f": {first.why}" if first.why else ""
        return Ruling(
            found, f"{where}: refused by {first.gate} (asked {first.asked}, measured {first.measured}{why}){others}",
            "", waits=False,
        )  # fmt: skip
    if found.waits_for:
        return Ruling(found, f"{where}: waits for {found.waits_for}; nothing was moved", reason, waits=True)
    return Ruling(found, "", reason, waits=False)


def propose(desk: Desk, ruling: Ruling) -> None:
    """Store the proposal of a step that waits for signatures, or is about to be taken."""
    store_proposal(desk, ruling.found)


def commit(desk: Desk, ruling: Ruling) -> Transition:
    """Record the step, then show it in MLflow; of two people at once one wins and the other is told.

    It is judged again first, by the gates and the list as they lie on disk now: somebody thought about it meanwhile.
    """
    if not ruling.refusal:
        desk = replace(desk)  # one that has read nothing yet
        again = evaluate(desk, ruling.found.state, ruling.found.version)
        ruling = rule(again, ruling.reason if ruling.forced else None)
    if ruling.refusal:
        raise PromotionRefused(ruling.refusal)
    found = ruling.found
    store_proposal(desk, found)
    replaces = found.state.standing.get(found.step.to_stage)
    step = Transition(
        kind=found.state.kind,
        name=found.state.name,
        version=found.version,
        action=found.step.action,
        from_stage=found.step.from_stage,
        to_stage=found.step.to_stage,
        pack=found.pack.digest,
        proposal=found.proposal.digest,
        replaces=replaces.version if replaces and replaces.version != found.version else 0,
        who=desk.who,
        at=desk.now,
        reason=ruling.reason,
        forced=ruling.forced,
        mode=ACTIVE,
    )
    placed = desk.record.append(step, after=found.state)
    desk.show(placed)
    return placed


def may_sign(desk: Desk, found: Evaluation) -> list[Approver]:
    """Return who on the list may approve the step and has not."""
    return [
        approver
        for approver in desk.approvers.known.values()
        if found.step.to_stage in approver.may
        and (approver.until is None or desk.now.date() <= approver.until)
        and approver.name not in found.signed.names
    ]


def approve(desk: Desk, found: Evaluation, approver: str, reason: str, passphrase: str) -> Approval:
    """Sign the newest proposal for a version's next step, and put the signature beside it."""
    where = f"{found.state.name} version {found.version} to {found.step.to_stage}"
    if found.voids:
        raise PromotionRefused(f"{where}: nothing to approve: {found.voids[0]}")
    if not found.stored:
        why = f": {found.outdated}" if found.outdated else ""
        again = promote_line(found.state.kind, found.state.name, found.version)
        old = "the proposal no longer stands" if found.outdated else "nobody proposed it yet"
        raise PromotionRefused(f"{where}: {old}{why}; first: {again}")
    if found.reviewed and found.signed.names and not says_why(reason) and approver not in found.signed.names:
        gates = ", ".join(verdict.gate for verdict in found.reviewed)
        raise PromotionRefused(
            f"{where}: {gates} asks the second approver for a written reason of at least {LEAST_REASON} letters; "
            'add --reason "…"'
        )
    private = load_key(approver, desk.paths, passphrase)
    before = found.candidate.approvals_of(found.proposal)
    # Who signs second is the second, also by a clock that is some minutes behind: never earlier than what lies there.
    counted = [one.signed_at + timedelta(seconds=1) for one in before if one.approver in found.signed.names]
    approval = sign(found.proposal, private, approver, reason, max([desk.now, *counted]))
    checked = desk.approvers.check(found.proposal, [*before, approval], desk.now)
    if approver in found.signed.names:
        raise InputRefused(f"{where}: {approver} has approved it already; a second person must")
    if approver not in checked.names:
        refused = next((line for line in reversed(checked.refusals) if line.startswith(f"{approver}:")), "")
        raise PromotionRefused(f"{where}: not signed: {refused or 'the approval would not count'}")
    path = f"{APPROVALS}/{found.proposal.digest}/{approver}.json"
    desk.models.keep(found.state, found.version, path, approval.bytes())
    return approval
