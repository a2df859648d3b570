"""Whether a journal of trading says that a track record was written so: a hand that edits one leaves the journal."""

from __future__ import annotations

import json

import sqlalchemy as sql

from workbench.params import Paths, Settings
from workbench.registry.gates.track_record import TrackRecord
from workbench.registry.packs.canonical import short
from workbench.state.store import Store

_COLUMNS = ("account", "number", "at", "kind", "key", "data", "head")
_JOURNAL = sql.table("journal", *(sql.column(name) for name in _COLUMNS))
_WRITERS = ("reconcile", "operator")  # the runner, and a person's parity


def not_journaled(settings: Settings, paths: Paths, record: TrackRecord) -> str:
    """Say why a record is not one of trading here, or nothing.

    Its last event is in a journal, which says that this very record was written last, and not before its end.
    """
    store = Store.named(settings, paths)
    ends = sql.select(_JOURNAL.c.account).where(_JOURNAL.c.head == record.journal_head)
    written = (
        sql.select(_JOURNAL.c.at, _JOURNAL.c.data)
        .where(_JOURNAL.c.account == record.account)
        .where(_JOURNAL.c.key == record.key, _JOURNAL.c.kind.in_(_WRITERS))
        .order_by(_JOURNAL.c.number.desc())
        .limit(1)
    )
    account, last = None, None
    if store.file is None or store.file.exists():
        engine = store.engine()
        try:
            with store.explained(), engine.connect() as connection:
                if sql.inspect(connection).has_table(_JOURNAL.name):
                    account = connection.execute(ends).scalar_one_or_none()
                    last = connection.execute(written).one_or_none()
        finally:
            engine.dispose()
    where = f"the {record.stage} record of {record.strategy} version {record.version}"
    if account is None or (record.account and account != record.account):
        of = f" of account {record.account}" if record.account else ""
        return (
            f"{where} ends with event {short(record.journal_head)} of a journal, and {store.shown} has no such event"
            f"{of}: promote where it was traded"
        )
    again = (
        "trade one more session, which makes it again from the journal, then compare all of them: "
        f"workbench parity {record.strategy}"
    )
    if last is None:
        return f"{where} was kept before the journal of account {account} named what was written; {again}"
    if json.loads(last.data).get("record") != record.digest:
        return f"{where} is not what the journal of account {account} says was written last; {again}"
    end = record.sessions[-1].date if record.sessions else None
    if end is not None and str(last.at)[:10] < end.isoformat():
        return (
            f"{where} goes on to {end}, and the event of its journal is of {str(last.at)[:10]}: it was not traded here"
        )
    return ""
