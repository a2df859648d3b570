"""In which accounts each stage may trade."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from workbench.registry.lifecycle.stages import PAPER, PRODUCTION, STAGED
from workbench.types import SAMPLE


class AccountMode(StrEnum):
    """Where orders go: the account inside the workbench, a broker's paper account, a broker's account with money."""

    EMBEDDED = "embedded"
    PAPER = "paper"
    LIVE = "live"


ACCOUNTS: Mapping[str, tuple[AccountMode, ...]] = {
    PAPER: (AccountMode.EMBEDDED, AccountMode.PAPER),
    STAGED: (AccountMode.LIVE,),
    PRODUCTION: (AccountMode.LIVE,),
}


def refused_account(market: str, stage: str, account: AccountMode, *, simulated: bool = False) -> str:
    """Say why a pack of this market cannot be traded at a stage in an account, or nothing.

    The sample market is made: its symbols are no companies, so no broker can know them, and what was earned on it says
    nothing about money. It is rehearsed in the embedded account at every stage, and nowhere else; under simulated time
    also in the paper account of a gateway whose clock proves that it is a simulated one (``clock.follow``).
    """
    if simulated and (market != SAMPLE or account is AccountMode.LIVE):
        return (
            f"time is simulated here, so nothing of the {market} market is traded in a {account} account; use the "
            f"embedded account, or a simulated gateway and a pack of the {SAMPLE} market"
        )
    if market == SAMPLE:
        if account is AccountMode.EMBEDDED or simulated:
            return ""
        return (
            f"its evidence is of the sample market, which is made, so it never trades in a broker's {account} account; "
            "make evidence on real data, or use the embedded account"
        )
    allowed = ACCOUNTS[stage]
    if account in allowed:
        return ""
    return f"{stage} trades in a {' or '.join(allowed)} account, this one is {account}; name the stage of this account"
