"""Whether a track record ends where a journal of trading stood: the runner writes both, a hand only one of them."""

from __future__ import annotations

import sqlalchemy as sql

from workbench.params import Paths, Settings
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.packs.canonical import short
from workbench.state.store import Store

_JOURNAL = sql.table("journal", sql.column("head"), sql.column("at"))


def not_journaled(settings: Settings, paths: Paths, record: TrackRecord) -> str:
    """Say why a record is not one of trading here, or nothing: its last event is in a journal, not before its end."""
    store = Store.named(settings, paths)
    asked = sql.select(_JOURNAL.c.at).where(_JOURNAL.c.head == record.journal_head)
    found = None
    if store.file is None or store.file.exists():
        engine = store.engine()
        try:
            with store.explained(), engine.connect() as connection:
                found = connection.execute(asked).scalar_one_or_none() if _has_journal(connection) else None
        finally:
            engine.dispose()
    where = f"the {record.stage} record of {record.strategy} version {record.version}"
    if found is None:
        return (
            f"{where} ends with event {short(record.journal_head)} of a journal, and {store.shown} has no such event: "
            "promote where it was traded"
        )
    last = record.sessions[-1].date if record.sessions else None
    if last is not None and str(found)[:10] < last.isoformat():
        return (
            f"{where} goes on to {last}, and the event of its journal is of {str(found)[:10]}: it was not traded here"
        )
    return ""


def _has_journal(connection: sql.Connection) -> bool:
    return sql.inspect(connection).has_table(_JOURNAL.name)
