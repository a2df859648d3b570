"""What a person does to trading: resume it, only reduce, confirm a large order; each stays with name and reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import DataRefused, InputRefused, NoData, did_you_mean
from workbench.live.gate import Asked, Decision, Outcome
from workbench.live.gate.rule import deny
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import intent_data, read_intent
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits, Reading, Watch, parse_limits
from workbench.live.monitor import DRAWDOWN
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings

LEAST_REASON = 10
# A price that is older says little about the order; the next session decides again.
CONFIRM_WITHIN = timedelta(minutes=30)
STAGES = {"embedded": "paper", "paper": "paper", "live": "production"}  # whose promoted limits bind
PROFILES = {"embedded": "sample", "paper": "default", "live": "default"}


def resume(journal: Journal, halt: HaltFile, *, who: str, reason: str) -> str:
    """Bring trading back to ACTIVE, with all that the emergency stop could not journal, and say what was before.

    Where any of the halts since it was active was for the drawdown, the highest equity begins anew: a close by hand
    after the stop, or a journal that did not answer, changes nothing about why it was halted.
    """
    _require(who, reason, "resume")
    book = journal.sync()
    if book.state is TradingState.ACTIVE and not halt.reason:
        raise InputRefused(f"resume: account {journal.account} is active; there is nothing to resume")
    before = f"{book.state} ({(book.because if book.halted else halt.reason) or book.because})"
    notes = halt.noted()
    why = (*book.past.halts, halt.own_reason, *(str(note.get("reason")) for note in notes))
    if notes:
        journal.append(*(Draft(Kind.OPERATOR, {"noted": note}) for note in notes))
    if any(DRAWDOWN in one for one in why):  # measured from the old highest equity it would stop at the first look
        before += ", for a drawdown: the highest equity begins anew"
        journal.append(Draft(Kind.OPERATOR, {"new_peak": True, "who": who, "reason": reason}))
    journal.set_state(TradingState.ACTIVE, reason, who)
    halt.clear()
    return before


def reduce_only(journal: Journal, *, who: str, reason: str) -> None:
    """Allow only what shrinks a position; where trading is halted, a person loosens it to this."""
    _require(who, reason, "reduce")
    journal.set_state(TradingState.REDUCING, reason, who)


def denied(asked: Asked, decision: Decision) -> Draft:
    """Return what the gate said, as the journal keeps it; an order that waits is there whole."""
    facts = {**intent_data(asked, 0), "outcome": decision.outcome.value, "reasons": list(decision.reasons)}
    return Draft(Kind.DENIAL, facts, asked.order.key, asked.order.symbol)


def waiting(journal: Journal, now: datetime) -> dict[str, tuple[Asked, bool]]:
    """Return the orders that wait, by key, and whether a person has confirmed them; what is too old waits no more."""
    found: dict[str, tuple[Asked, bool]] = {}
    for event in journal.events():
        if now - event.at > CONFIRM_WITHIN:
            continue
        if event.kind is Kind.DENIAL and event.data.get("outcome") == Outcome.WAITS:
            found[event.key] = read_intent(event.data).asked, False
        elif event.kind is Kind.DENIAL:
            found.pop(event.key, None)
        elif event.kind is Kind.OPERATOR and event.data.get("confirmed") and event.key in found:
            found[event.key] = found[event.key][0], True
        elif event.kind is Kind.INTENT:
            found.pop(event.key, None)
    return found


def confirm(journal: Journal, key: str, *, who: str, now: datetime) -> Asked:
    """Let a large order pass that waits; the runner asks the gate once more before it sends it."""
    if not who.strip():
        raise InputRefused("confirm: nobody confirms it; say who you are")
    found = waiting(journal, now)
    if key not in found:
        minutes = int(CONFIRM_WITHIN.total_seconds() // 60)
        raise NoData(
            f"confirm: no order '{key}' waits, or it has waited for more than {minutes} minutes."
            f"{did_you_mean(key, found)}"
        )
    asked, done = found[key]
    if not done:
        journal.append(Draft(Kind.OPERATOR, {"confirmed": True, "who": who}, key, asked.order.symbol))
    return asked


def refuse_stale(journal: Journal, outbox: Outbox, now: datetime) -> None:
    """Refuse, and tell, what a person confirmed and nobody sends any more: it is too late, or was decided anew."""
    past = journal.book.past
    newest = past.decision
    lines = {line.key for line in newest.lines} if newest else set()
    for one in [one for key, one in past.waiting.items() if key in past.confirmed]:
        if now - one.at > CONFIRM_WITHIN:
            most, minutes = CONFIRM_WITHIN.total_seconds() / 60, (now - one.at).total_seconds() / 60
            why = deny("CONFIRMATION_EXPIRED", max_minutes=most, minutes=round(minutes, 1))
        elif one.key not in lines:
            why = deny("DECISION_REPLACED", newest=newest.id if newest else "none")
        else:
            continue
        facts = {"outcome": Outcome.DENIED.value, "reasons": [str(why)]}
        journal.append(Draft(Kind.DENIAL, facts, one.key, one.symbol))
        text = f"order {one.key}, {one.signed:+,} {one.symbol}, was confirmed and is not sent: {why}"
        outbox.post(Severity.WARNING, "denied", text, cooldown=f"stale {one.key}", key=one.key)


def limits_in_force(journal: Journal) -> Limits | None:
    """Return the limits that were in force when they were last written down."""
    last: dict[str, Any] | None = None
    for event in journal.events():
        if event.kind is Kind.OPERATOR and "limits" in event.data:
            last = event.data["limits"]
    return None if last is None else Limits(**last)


def keep_limits(journal: Journal, reading: Reading, profile: str) -> None:
    """Write the limits down that hold from now, so that a restart loosens nothing."""
    facts = {
        "limits": reading.limits.model_dump(mode="json"),
        "profile": profile,
        "changes": [str(change) for change in reading.changes],
    }
    journal.append(Draft(Kind.OPERATOR, facts))


def watch_limits(journal: Journal, settings: Settings, paths: Paths, clock: Callable[[], datetime]) -> Watch:
    """Return the watch over an account's profile: from what was in force, with the promoted pack asked when needed."""
    embedded = settings.live.mode == "embedded"
    profile = profile_of(settings)
    stage = STAGES[settings.live.mode]

    def standing() -> str:
        from workbench.registry.loader import stands

        version = stands("risk", profile, stage, settings=settings, paths=paths)
        return f"version {version} at {stage}" if version else ""

    def promoted() -> Limits:
        # Imported where it is needed: MLflow's client takes longer than all the rest of the runner.
        from workbench.registry.loader import AccountMode, load_payload
        from workbench.registry.packs.approvers import Approvers, list_file

        mode = settings.live.mode
        found = load_payload(
            "risk", profile, stage, account=AccountMode(mode), settings=settings, paths=paths,
            approvers=Approvers.read(list_file(settings, paths), paths), now=clock(),
        )  # fmt: skip
        if found.reduce_only:
            raise DataRefused(f"{profile} version {found.version} was demoted, so its limits count as none")
        return parse_limits(found.content, f"{profile}: {found.file}")

    in_force = None if embedded else limits_in_force(journal)
    return Watch(profile, paths, embedded=embedded, in_force=in_force, promoted=promoted, stands=standing)


def profile_of(settings: Settings) -> str:
    """Return the profile of an account: the embedded one has its own, a broker's has the strictest."""
    return PROFILES[settings.live.mode]


def asked_at(profile: str) -> dict[str, str]:
    """Return at which stage each kind of account asks the promoted limits of a profile; empty: none reads it.

    >>> asked_at("default")
    {'paper': 'paper', 'live': 'production'}
    """
    return {mode: STAGES[mode] for mode, own in PROFILES.items() if own == profile}


def _require(who: str, reason: str, verb: str) -> None:
    if not who.strip():
        raise InputRefused(f"{verb}: nobody does it; say who you are: --by NAME")
    if len(" ".join(reason.split())) < LEAST_REASON:
        raise InputRefused(
            f"{verb}: the reason has {len(reason.strip())} letters, it needs {LEAST_REASON}; say what was found and "
            'mended: --reason "…"'
        )
