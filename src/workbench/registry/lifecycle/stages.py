"""The stages of a candidate, in order, and what moves it from one to the next."""

from __future__ import annotations

RESEARCH, BACKTEST, PAPER, STAGED, PRODUCTION, RETIRED = (
    "research",
    "backtest",
    "paper",
    "staged_live",
    "production",
    "retired",
)
STAGES = (RESEARCH, BACKTEST, PAPER, STAGED, PRODUCTION, RETIRED)
TRADED = (PAPER, STAGED, PRODUCTION)  # at most one version of a name stands at each
NEXT = {BACKTEST: PAPER, PAPER: STAGED, STAGED: PRODUCTION}
ALIASES = {PAPER: "paper", STAGED: "staged", PRODUCTION: "production"}  # in MLflow

REGISTER, PROMOTE, ROLLBACK, DEMOTE, RETIRE, RESTORE = "register", "promote", "rollback", "demote", "retire", "restore"
ACTIONS = (REGISTER, PROMOTE, ROLLBACK, DEMOTE, RETIRE, RESTORE)

ACTIVE, REDUCE_ONLY = "active", "reduce_only"

KEEP, FLATTEN = "keep", "flatten"
# What becomes of the positions that are open when another version takes over, or none.
POSITIONS = {
    KEEP: "open positions stay, and the version that takes over trades from them to its own targets",
    REDUCE_ONLY: "open positions may only shrink, and nothing new is opened, until a new approval",
    FLATTEN: "open positions are closed at the next session, and what comes after starts from cash",
}
# The same where a version is retired and nothing takes over.
LEFT = {
    KEEP: "open positions stay in the account, and nothing trades them",
    REDUCE_ONLY: "open positions may only shrink, and nothing takes over",
    FLATTEN: "open positions are closed at the next session",
}
