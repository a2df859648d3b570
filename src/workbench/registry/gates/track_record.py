"""A period on paper, staged live or in production, session by session: written by the live runner, judged by gates.

Kept in canonical form in data/state/records/<kind>/<name>/<version>/, a file an account.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from workbench.errors import DataRefused
from workbench.registry.packs.canonical import canonical, jsonable, read_canonical, sha256

STAGES = ("paper", "staged_live", "production")
ACCOUNT_MODES = ("embedded", "paper", "live")
SEVERITIES = ("note", "minor", "severe")
MARKETS = ("sample", "real")


@dataclass(frozen=True)
class Break:
    """One difference that a reconciliation found; a severe one means that an account and its journal disagree."""

    severity: str
    text: str

    def __post_init__(self) -> None:
        _one_of("breaks.severity", self.severity, SEVERITIES)
        _text("breaks.text", self.text)


@dataclass(frozen=True)
class SessionRecord:
    """One session: ``positions_equal`` is None where the positions were not computed again from the journal."""

    date: date
    equity: float
    pnl: float
    trades: int
    capital: float
    positions_equal: bool | None = None
    breaks: tuple[Break, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.date, date) or isinstance(self.date, datetime):
            raise DataRefused(f"track record: date {self.date!r} is no session date; write 2026-01-30")
        where = f"session {self.date}"
        _number(f"{where}: equity", self.equity)
        _number(f"{where}: pnl", self.pnl)
        _number(f"{where}: capital", self.capital, low=0.0)
        _count(f"{where}: trades", self.trades)
        if not (self.positions_equal is None or isinstance(self.positions_equal, bool)):
            raise DataRefused(
                f"track record: {where}: positions_equal is {self.positions_equal!r}; it is true, false or null"
            )

    @property
    def explained(self) -> bool:
        """Whether positions that differ do so only by what was denied or not filled."""
        return EXPLAINED in self.breaks


@dataclass(frozen=True)
class TrackRecord:
    """A period of one version at one stage; ``drift`` has the population stability index by feature, empty: no model.

    ``slippage_bps`` is the measured mean weighted by value, ``slippage_model_bps`` what the costs of the pack assume;
    both are None before the first fill.
    """

    strategy: str
    version: int
    pack: str
    stage: str
    account_mode: str
    market: str
    sessions: tuple[SessionRecord, ...]
    fills: int
    slippage_bps: float | None
    slippage_model_bps: float | None
    journal_head: str
    drift: Mapping[str, float] = field(default_factory=dict)
    simulated: bool = False  # of simulated time
    account: str = ""  # empty in a record from before it was kept

    def __post_init__(self) -> None:
        for name in ("strategy", "pack", "journal_head"):
            _text(name, getattr(self, name))
        _count("version", self.version, low=1)
        _one_of("stage", self.stage, STAGES)
        _one_of("account_mode", self.account_mode, ACCOUNT_MODES)
        _one_of("market", self.market, MARKETS)
        if not isinstance(self.account, str):
            raise DataRefused(f"track record: account is {self.account!r}; it must be a text")
        if type(self.simulated) is not bool or (self.simulated and self.market != MARKETS[0]):
            raise DataRefused(
                f"track record: simulated is {self.simulated!r} on the {self.market} market; it is true or false, and "
                f"true on the {MARKETS[0]} market alone"
            )
        _count("fills", self.fills)
        if self.slippage_bps is not None:
            _number("slippage_bps", self.slippage_bps)
        if self.slippage_model_bps is not None:
            _number("slippage_model_bps", self.slippage_model_bps, low=0.0)
        for name, value in self.drift.items():
            _number(f"drift of {name}", value, low=0.0)
        for before, after in pairwise(session.date for session in self.sessions):
            if before == after:
                raise DataRefused(
                    f"track record: session {after} is there twice; the record was not written by a runner"
                )
            if before > after:
                raise DataRefused(f"track record: session {after} comes after {before}; sessions are kept in order")

    @property
    def trades(self) -> int:
        """How many trades were made in all sessions."""
        return sum(session.trades for session in self.sessions)

    @property
    def key(self) -> str:
        """What the journal keeps its digest under, each time that it is written."""
        return f"record {self.strategy}/{self.version}/{self.stage}"

    @property
    def digest(self) -> str:
        """The record's name: what a proposal keeps of it."""
        return sha256(self.bytes())

    def bytes(self) -> bytes:
        """Return the record as it is stored."""
        facts = jsonable(self)
        later = {name: value for name in ("simulated", "account") if (value := facts.pop(name))}
        return canonical({**facts, **later})  # without them it is what it was before they were kept

    def require_past(self, now: datetime) -> None:
        """Raise where a session lies in the future of ``now``."""
        if self.sessions and self.sessions[-1].date > now.date():
            raise DataRefused(
                f"track record: session {self.sessions[-1].date} is in the future, it is {now.date()}; "
                "check the clock of this machine and of the runner's"
            )


def read_track_record(content: bytes, name: str, now: datetime) -> TrackRecord:
    """Return a stored record; one that is not canonical, incomplete, unsorted or of the future is refused."""
    facts = read_canonical(content, name)
    try:
        facts = {"simulated": False, "account": "", **facts}
        sessions = tuple(read_session(row) for row in _exactly(facts, TrackRecord)["sessions"])
        record = TrackRecord(**{**facts, "sessions": sessions})
        record.require_past(now)
    except DataRefused as error:
        raise DataRefused(f"{name}: {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DataRefused(f"{name}: track record: {error}; it was written by something else") from error
    return record


def read_session(row: Any) -> SessionRecord:
    """Return one session of a stored record."""
    facts = _exactly(row, SessionRecord)
    breaks = tuple(Break(**_exactly(found, Break)) for found in facts["breaks"])
    return SessionRecord(**{**facts, "date": date.fromisoformat(facts["date"]), "breaks": breaks})


def _exactly(facts: Any, noun: type[Any]) -> dict[str, Any]:
    wanted = {known.name for known in fields(noun)}
    if not isinstance(facts, dict) or facts.keys() != wanted:
        found = sorted(facts.keys() ^ wanted) if isinstance(facts, dict) else type(facts).__name__
        raise DataRefused(f"track record: a {noun.__name__} has {sorted(wanted)}; missing or unknown: {found}")
    return facts


def _number(name: str, value: Any, low: float = -math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DataRefused(f"track record: {name} is {value!r}; it must be a finite number")
    if value < low:
        raise DataRefused(f"track record: {name} is {value:g}; it must be at least {low:g}")


def _count(name: str, value: Any, low: int = 0) -> None:
    if type(value) is not int or value < low:
        raise DataRefused(f"track record: {name} is {value!r}; it must be a whole number of at least {low}")


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataRefused(f"track record: {name} is {value!r}; it must be one of {', '.join(known)}")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise DataRefused(f"track record: {name} is {value!r}; it must be a text")


# Beside positions that differ: research gives the same weights, the rest was denied by the limits or not filled.
EXPLAINED = Break("note", "positions differ by what the limits denied or nobody filled")
