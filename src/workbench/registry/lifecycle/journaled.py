"""Whether a journal of trading says that a track record was written so: a hand that edits one leaves the journal."""

from __future__ import annotations

import json

import sqlalchemy as sql

from workbench.params import Paths, Settings
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.packs.canonical import canonical, sha256, short
from workbench.state.store import RESTORE, Store

# What an event's head covers, in this order.
_COVERED = ("account", "number", "at", "session", "kind", "key", "symbol", "data", "previous")
_COLUMNS = (*_COVERED, "head")
_JOURNAL = sql.table("journal", *(sql.column(name) for name in _COLUMNS))
_WRITERS = ("reconcile", "operator")  # the runner, and a person's parity


def not_journaled(settings: Settings, paths: Paths, record: TrackRecord) -> str:
    """Say why a record is not one of trading here, or nothing.

    Its last event is in a journal, which says that this very record was written last, and not before its end; from
    there on that journal is the chain that its writer makes.
    """
    store = Store.named(settings, paths)
    ends = (
        sql.select(_JOURNAL.c.account, _JOURNAL.c.number)
        .where(_JOURNAL.c.head == record.journal_head)
        .where(sql.or_(_JOURNAL.c.account == record.account, sql.literal(record.account) == ""))
        .order_by(_JOURNAL.c.number)
        .limit(1)
    )
    written = (
        sql.select(_JOURNAL.c.at, _JOURNAL.c.data, _JOURNAL.c.number)
        .where(_JOURNAL.c.account == record.account)
        .where(_JOURNAL.c.key == record.key, _JOURNAL.c.kind.in_(_WRITERS))
        .order_by(_JOURNAL.c.number.desc())
        .limit(1)
    )
    end, last, broken = None, None, 0
    if store.file is None or store.file.exists():
        engine = store.engine()
        try:
            with store.explained(), engine.connect() as connection:
                if sql.inspect(connection).has_table(_JOURNAL.name):
                    end = connection.execute(ends).one_or_none()
                    last = connection.execute(written).one_or_none()
                if end is not None and last is not None:
                    broken = _broken(connection, end.account, min(end.number, last.number))
        finally:
            engine.dispose()
    where = f"the {record.stage} record of {record.strategy} version {record.version}"
    if end is None:
        of = f" of account {record.account}" if record.account else ""
        return (
            f"{where} ends with event {short(record.journal_head)} of a journal, and {store.shown} has no such event"
            f"{of}: promote where it was traded"
        )
    account = end.account
    again = (
        "trade one more session, which makes it again from the journal, then compare all of them: "
        f"workbench parity {record.strategy}"
    )
    if last is None:
        return f"{where} was kept before the journal of account {account} named what was written; {again}"
    if broken:
        return (
            f"{where} rests on the journal of account {account}, whose event {broken} was added or changed by hand; "
            f"{RESTORE}"
        )
    if json.loads(last.data).get("record") != record.digest:
        return f"{where} is not what the journal of account {account} says was written last; {again}"
    day = record.sessions[-1].date if record.sessions else None
    if day is not None and str(last.at)[:10] < day.isoformat():
        return (
            f"{where} goes on to {day}, and the event of its journal is of {str(last.at)[:10]}: it was not traded here"
        )
    return ""


def _broken(connection: sql.Connection, account: str, first: int) -> int:
    """Return the number of the first event from ``first`` on that does not follow from the one before, or 0."""
    number, before = 0, ""
    rows = sql.select(_JOURNAL).where(_JOURNAL.c.account == account, _JOURNAL.c.number >= first - 1)
    for row in connection.execute(rows.order_by(_JOURNAL.c.number)).mappings():
        follows = row["number"] == number + 1 and row["previous"] == before
        begins = row["number"] == first - 1
        if not (follows or begins) or _digest(row) != row["head"]:
            return int(row["number"])
        number, before = row["number"], row["head"]
    return 0


def _digest(row: sql.RowMapping) -> str:
    return sha256(canonical([str(row[name]) for name in _COVERED]))
