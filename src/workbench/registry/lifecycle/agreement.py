"""Whether enough people agreed to a proposal; kept apart because the loader asks it too, and must stay light."""

from __future__ import annotations

from workbench.registry.gates.verdict import Outcome
from workbench.registry.packs.approvers import Signed
from workbench.registry.packs.proposal import Proposal

LEAST_REASON = 10  # letters of a written reason


def says_why(reason: str) -> bool:
    """Return whether a reason has letters enough to say anything; dots are no letters."""
    return sum(letter.isalnum() for letter in reason) >= LEAST_REASON


def missing(proposal: Proposal, signed: Signed) -> str:
    """Say what is missing of a proposal's approvals, or nothing; a REVIEW needs a reason of the second or a later one.

    >>> missing(proposal, Signed(("alice",), {"alice": ""}, ()))
    '1 approval more of 2'
    """
    lacking = proposal.approvals - len(signed.names)
    if lacking > 0:
        return f"{lacking} approval{'s' * (lacking > 1)} more of {proposal.approvals}"
    reviews = [row["gate"] for row in proposal.verdicts if row["outcome"] == Outcome.REVIEW]
    if reviews and not any(says_why(signed.reasons.get(name, "")) for name in signed.names[1:]):
        return f"the second approver's written reason for {', '.join(reviews)}, of {LEAST_REASON} letters at least"
    return ""
