"""One line of the journal, chained to the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from workbench.errors import DataRefused
from workbench.registry.packs.canonical import canonical, sha256


class Kind(StrEnum):
    """What happened."""

    SESSION = "session"  # the runner began
    DECISION = "decision"  # what was wanted and why; shares that strategies passed to each other
    INTENT = "intent"  # an order, written before anything of it is sent
    SENT = "sent"  # its bytes leave, or left without an answer
    ACKNOWLEDGED = "acknowledged"  # what the broker says of an order
    FILL = "fill"
    COMMISSION = "commission"
    CANCEL = "cancel"  # a cancel is asked for
    DENIAL = "denial"  # the gate says no
    RECONCILE = "reconcile"
    OPERATOR = "operator"
    STATE = "state"
    ALERT = "alert"


@dataclass(frozen=True)
class Draft:
    """What is to be written; number, time and chain are given by the journal."""

    kind: Kind
    data: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    symbol: str = ""


@dataclass(frozen=True)
class Event:
    """What was written; ``head`` covers everything but itself, and by ``previous`` all that was written before."""

    account: str
    number: int
    at: datetime
    session: str
    kind: Kind
    key: str
    symbol: str
    data: Mapping[str, Any]
    previous: str
    head: str

    @classmethod
    def after(cls, last: Event | None, draft: Draft, account: str, session: str, at: datetime) -> Event:
        """Return a draft chained to the last event."""
        number, previous = (last.number + 1, last.head) if last else (1, "")
        text = data_text(draft)
        head = _digest(account, number, time_text(at), session, draft.kind, draft.key, draft.symbol, text, previous)
        data = json.loads(text)  # as it will be read: a fold of what was written equals a fold of what is read
        return cls(account, number, at, session, draft.kind, draft.key, draft.symbol, data, previous, head)

    @classmethod
    def read(cls, row: Mapping[str, Any], last: Event | None, shown: str) -> Event:
        """Return a row that follows the last event, or say what was done to it."""
        number, previous = (last.number + 1, last.head) if last else (1, "")
        where = f"{shown}: event {row['number']} of {row['account']}"
        if row["number"] != number or row["previous"] != previous:
            raise DataRefused(f"{where} does not follow event {number - 1}: events were deleted or added; {_RESTORE}")
        if _digest(*(row[name] for name in _COVERED)) != row["head"]:
            raise DataRefused(f"{where}, {row['kind']} at {row['at']}, was changed; {_RESTORE}")
        facts = {**row, "at": read_time(row["at"]), "kind": Kind(row["kind"]), "data": json.loads(row["data"])}
        return cls(**facts)

    @property
    def row(self) -> dict[str, Any]:
        """The event as the table holds it."""
        return {
            "account": self.account, "number": self.number, "at": time_text(self.at), "session": self.session,
            "kind": self.kind.value, "key": self.key, "symbol": self.symbol, "data": canonical(self.data).decode(),
            "previous": self.previous, "head": self.head,
        }  # fmt: skip


_COVERED = ("account", "number", "at", "session", "kind", "key", "symbol", "data", "previous")
_RESTORE = "nothing is traded from it; restore the database from a backup, then reconcile"


def time_text(moment: datetime) -> str:
    """Return a moment to the microsecond, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def read_time(text: str) -> datetime:
    """Return a moment that ``time_text`` wrote."""
    return datetime.fromisoformat(text)


def data_text(draft: Draft) -> str:
    """Return the facts of a draft in their one spelling; a number that is none is refused."""
    try:
        return canonical(draft.data).decode()
    except (ValueError, TypeError) as error:
        raise DataRefused(
            f"{draft.kind} {draft.key or draft.symbol}: cannot be journaled ({error}); send nothing"
        ) from error


def _digest(*facts: object) -> str:
    return sha256(canonical([str(fact) for fact in facts]))
