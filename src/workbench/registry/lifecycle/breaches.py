"""Which rule the sessions of a track record break: drift, a drawdown beyond the band, positions that differ."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from workbench.registry.gates.policy import Policy
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.lifecycle.stages import STAGED
from workbench.registry.lifecycle.state import Standing
from workbench.registry.packs.approvers import CLOCKS_APART
from workbench.registry.packs.candidate import Candidate
from workbench.registry.packs.pack import Pack
from workbench.registry.storing import STRATEGY
from workbench.sessions import Calendar

CONFIDENCE = "0.99"  # of the drawdown band
DRIFT = 0.2  # where the gates name no other bound


def breaches(policy: Policy, pack: Pack, record: TrackRecord) -> list[str]:
    """Say everything that the sessions of a record, and its drift, break."""
    found = drifted(record, _drift_bound(policy, pack.kind))
    return [*found, *beyond_band(pack, record), *not_equal(record)] if record.sessions else found


def since(record: TrackRecord, seen: datetime | None) -> TrackRecord:
    """Return the sessions that closed after a lifting was proposed: what was before, people saw and accepted."""
    if seen is None:
        return record
    day, calendar = seen.date(), Calendar()
    today = calendar.is_session(day) and calendar.closes(day) > seen
    return replace(
        record, sessions=tuple(one for one in record.sessions if one.date > day or (one.date == day and today))
    )


def last_seen(candidate: Candidate, standing: Standing, now: datetime) -> datetime | None:
    """Return when people were asked to lift what they had seen, or None: what came after that, nobody accepted.

    By a clock that ran ahead nothing came after that: then everything is judged.
    """
    if standing.restored is None:
        return None
    # A copy from before the lifting does not hold its proposal.
    asked = [one.made_at for one in candidate.proposals if one.digest == standing.proposal]
    seen = min([standing.restored, *asked])
    return seen if seen <= now + CLOCKS_APART else None


def beyond_band(pack: Pack, record: TrackRecord) -> list[str]:
    """Say whether the drawdown is deeper than 99 % of the past's own paths of at least as many sessions."""
    if pack.kind != STRATEGY:
        return []
    lost = drawdown(record)
    try:
        bounds = {int(sessions): float(row[CONFIDENCE]) for sessions, row in _bounds(pack).items()}
    except (KeyError, TypeError, ValueError):
        return ["the pack has no drawdown band to hold its drawdown against"]
    horizon = min((one for one in bounds if one >= len(record.sessions)), default=max(bounds))
    if lost < bounds[horizon]:
        return [
            f"drawdown {-lost:.1%} in {len(record.sessions)} sessions, 99 % of paths of {horizon} sessions stay within "
            f"{-bounds[horizon]:.1%}"
        ]
    return []


def drawdown(record: TrackRecord) -> float:
    """Return the largest loss from a high, zero or negative, of the capital that each session had at work.

    Capital that is added, taken out or stepped is no gain or loss; a session that begins with less than the one before
    closed with still holds what that one held.
    """
    pnl = np.array([session.pnl for session in record.sessions])
    capital = np.array([session.capital for session in record.sessions])
    held = np.concatenate([[0.0], (capital + np.minimum(pnl, 0.0))[:-1]])
    begun = np.maximum(capital, held)
    returns = np.divide(pnl, begun, out=np.where(pnl < 0.0, -1.0, 0.0), where=begun > 0.0)
    growth = np.cumprod(1.0 + np.maximum(returns, -1.0))
    return float((growth / np.maximum.accumulate(np.maximum(growth, 1.0)) - 1.0).min())


def drifted(record: TrackRecord, bound: float) -> list[str]:
    """Say which features no longer look as they did in training."""
    far = {name: value for name, value in record.drift.items() if value >= bound}
    named = ", ".join(f"{name} {far[name]:.2f}" for name in sorted(far, key=lambda name: -far[name])[:3])
    return [f"drift of {named}, the bound is {bound:g}"] if far else []


def not_equal(record: TrackRecord) -> list[str]:
    """Say in which sessions account, journal and research disagree; what the limits denied is no disagreement."""
    apart = [
        str(session.date) for session in record.sessions if session.positions_equal is False and not session.explained
    ]
    severe = [
        f"{session.date} {found.text}"
        for session in record.sessions
        for found in session.breaks
        if found.severity == "severe"
    ]
    wrong = [f"positions other than research computes on {', '.join(apart[:3])}"] if apart else []
    return wrong + ([f"severe break on {severe[0]}"] if severe else [])


def _bounds(pack: Pack) -> dict[str, dict[str, float]]:
    bounds: dict[str, dict[str, float]] = pack.json("statistics.json")["drawdown_band"]["bounds"]
    if not bounds:
        raise KeyError("bounds")
    return bounds


def _drift_bound(policy: Policy, kind: str) -> float:
    for gate in policy.step(kind, STAGED).gates:
        if gate.name == "drift":
            return float(getattr(gate, "below", DRIFT))
    return DRIFT
