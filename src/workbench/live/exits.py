"""When a strategy's shares are closed by the clock: before the session ends, or when they were held long enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from workbench.live.gate.facts import Hours


@dataclass(frozen=True)
class Exits:
    """What a strategy says; None: never."""

    minutes_before_close: float | None = None
    max_hold_sessions: int | None = None


@dataclass(frozen=True)
class Holding:
    """Shares of one strategy, and how many sessions ago they were opened; 0 is today."""

    strategy: str
    symbol: str
    shares: int
    sessions: int


@dataclass(frozen=True)
class Close:
    """Shares that must go: signed as the order that closes them."""

    strategy: str
    symbol: str
    shares: int
    because: str


def due(holdings: tuple[Holding, ...], exits: Mapping[str, Exits], hours: Hours, now: datetime) -> tuple[Close, ...]:
    """Return what must be closed now."""
    found = []
    for holding in holdings:
        rule = exits.get(holding.strategy)
        because = _because(rule, holding, hours, now) if rule and holding.shares else ""
        if because:
            found.append(Close(holding.strategy, holding.symbol, -holding.shares, because))
    return tuple(found)


def _because(rule: Exits, holding: Holding, hours: Hours, now: datetime) -> str:
    minutes, most = rule.minutes_before_close, rule.max_hold_sessions
    if minutes is not None and hours.closes - timedelta(minutes=minutes) <= now < hours.closes:
        return f"the session closes at {hours.closes:%H:%M}Z, {minutes:g} minutes before it nothing is held"
    if most is not None and holding.sessions >= most:
        return f"held for {holding.sessions} sessions, max_hold_sessions {most}"
    return ""
