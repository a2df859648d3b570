"""The outbox: alerts are rows in the state database before anything delivers them, so none is lost by a crash.

>>> outbox = Outbox.open(settings, paths)
>>> outbox.post(Severity.CRITICAL, "missing_order", "AAA: order 260131-1-3f2c-7 is gone at the broker", symbol="AAA")
>>> [alert.text for alert in outbox.pending()]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sql

from workbench.errors import InputRefused, NoData
from workbench.params import Paths, Settings
from workbench.state.schema import require_schema
from workbench.state.store import Store

COOLDOWN = timedelta(hours=1)

_alerts = sql.Table(
    "alerts",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    *(sql.Column(name, sql.Text) for name in ("severity", "kind", "text", "data", "cooldown", "raised_at")),
    *(sql.Column(name, sql.Text) for name in ("acknowledged_by", "acknowledged_at")),
)


class Severity(StrEnum):
    """How soon somebody must look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Alert:
    """One line for a person, with the facts it was made from."""

    id: int
    severity: Severity
    kind: str
    text: str
    data: Mapping[str, Any]
    raised_at: datetime
    acknowledged_by: str
    acknowledged_at: datetime | None


class Outbox:
    """The alerts of a project."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._engine = store.engine()
        self._clock = clock

    @classmethod
    def open(
        cls, settings: Settings, paths: Paths, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Outbox:
        """Return the outbox in the project's state database."""
        outbox = cls(Store.named(settings, paths), clock)
        require_schema(outbox._store, outbox._engine)
        return outbox

    def post(
        self, severity: Severity, kind: str, text: str, *, cooldown: str = "", quiet: timedelta = COOLDOWN, **data: Any
    ) -> int | None:
        """Keep an alert and return its number; None where one with the same ``cooldown`` key is younger than quiet.

        An acknowledged one is over: the same trouble after it is told again.
        """
        if not kind or not text.strip() or "\n" in text:
            raise InputRefused(f"alert {kind!r}: its text is {text!r}; write one line that says what is the matter")
        now = self._clock()
        row = {
            "severity": severity.value, "kind": kind, "text": text, "data": json.dumps(data, default=str),
            "cooldown": cooldown, "raised_at": _text(now), "acknowledged_by": "", "acknowledged_at": "",
        }  # fmt: skip
        same = (_alerts.c.cooldown == cooldown) & (_alerts.c.acknowledged_by == "")
        younger = sql.select(_alerts.c.id).where(same & (_alerts.c.raised_at > _text(now - quiet))).limit(1)
        with self._store.explained(), self._store.alone(self._engine, "alerts") as connection:
            if cooldown and connection.execute(younger).scalar() is not None:
                return None
            kept = connection.execute(_alerts.insert().values(**row)).inserted_primary_key
        assert kept is not None
        return int(kept[0])

    def pending(self) -> tuple[Alert, ...]:
        """Return what nobody has acknowledged, the oldest first."""
        return self._select(_alerts.c.acknowledged_by == "")

    def all(self) -> tuple[Alert, ...]:
        """Return every alert there was, the oldest first."""
        return self._select(sql.true())

    def acknowledge(self, number: int, who: str) -> Alert:
        """Mark an alert as seen by somebody; who was first stays."""
        if not who.strip():
            raise InputRefused(f"alert {number}: nobody acknowledges it; say who you are")
        mine = (_alerts.c.id == number) & (_alerts.c.acknowledged_by == "")
        seen = _alerts.update().where(mine).values(acknowledged_by=who, acknowledged_at=_text(self._clock()))
        with self._store.explained(), self._store.alone(self._engine, "alerts") as connection:
            connection.execute(seen)
        found = self._select(_alerts.c.id == number)
        if not found:
            raise NoData(f"alert {number}: there is none with this number; workbench alerts shows them")
        return found[0]

    def _select(self, where: sql.ColumnElement[bool]) -> tuple[Alert, ...]:
        with self._store.explained(), self._engine.connect() as connection:
            rows = connection.execute(sql.select(_alerts).where(where).order_by(_alerts.c.id)).mappings().all()
        return tuple(_alert(dict(row)) for row in rows)


def _alert(row: dict[str, Any]) -> Alert:
    at = row["acknowledged_at"]
    return Alert(
        row["id"], Severity(row["severity"]), row["kind"], row["text"], json.loads(row["data"]),
        datetime.fromisoformat(row["raised_at"]), row["acknowledged_by"], datetime.fromisoformat(at) if at else None,
    )  # fmt: skip


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
