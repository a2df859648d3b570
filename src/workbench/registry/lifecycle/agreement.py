"""Whether enough people agreed to a proposal; kept apart because the loader asks it too, and must stay light."""

from __future__ import annotations

from workbench.registry.gates.verdict import Outcome
from workbench.registry.packs.approvers import Signed
from workbench.registry.packs.proposal import Proposal


def missing(proposal: Proposal, signed: Signed) -> str:
    """Say what is missing of a proposal's approvals, or nothing; a REVIEW needs a reason of the second or a later one.

    >>> missing(proposal, Signed(("alice",), {"alice": ""}, ()))
    '1 approval more of 2'
    """
    lacking = proposal.approvals - len(signed.names)
    if lacking > 0:
        return f"{lacking} approval{'s' * (lacking > 1)} more of {proposal.approvals}"
    reviews = [row["gate"] for row in proposal.verdicts if row["outcome"] == Outcome.REVIEW]
    if reviews and not any(signed.reasons.get(name) for name in signed.names[1:]):
        return f"the second approver's written reason for {', '.join(reviews)}"
    return ""
