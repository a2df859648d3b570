"""The track record of a stage, with what parity found: what the gates of the next step read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from workbench.disk import write_whole, writing
from workbench.errors import DataRefused
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.params import Paths
from workbench.parity.compare import Parity, SessionParity
from workbench.registry.gates.record_files import RecordFiles
from workbench.registry.gates.track_record import (
    EXPLAINED,
    Break,
    SessionRecord,
    TrackRecord,
    read_session,
)
from workbench.registry.packs.canonical import jsonable
from workbench.registry.packs.files import is_there


def note_parity(
    paths: Paths,
    version: int,
    stage: str,
    found: Parity,
    closed: tuple[SessionRecord, ...],
    journal: Journal,
    now: datetime,
) -> int | None:
    """Write which sessions of the account's record are equal, and return how many; None where the runner kept none.

    A record that is not what the journal says was written last is left as it is.
    """
    files = RecordFiles(paths, "strategy", found.period.strategy, version, stage)
    file = files.of(journal.account)
    if not is_there(file, paths.short(file)):
        return None
    kept = files.read(file, now)
    if journal.sync().past.records.get(kept.key) != kept.digest:
        raise DataRefused(
            f"{paths.short(file)}: is not what the journal of {journal.account} says was written last; nothing was "
            "written. Trade one more session, which makes it again from the journal; then compare again: "
            f"workbench parity {kept.strategy}"
        )
    record = noted(kept, found, closed)
    with writing(file):
        write_whole(file, record.bytes(), flushed=True)
    journal.append(journaled(record, Kind.OPERATOR, record.sessions))
    compared = {session.session for session in found.sessions}
    return sum(session.date in compared for session in record.sessions)


def noted(record: TrackRecord, found: Parity, closed: tuple[SessionRecord, ...] = ()) -> TrackRecord:
    """Return a record in which a session is equal only if neither the runner nor parity saw other positions.

    ``closed`` are the sessions of the journal: one that was closed there when its runner was killed is put in.
    """
    compared = {session.session: session for session in found.sessions}
    judged = {
        one.date: _judged(one, compared[one.date]) if one.date in compared else one
        for one in put_in(record.sessions, closed)
    }
    return replace(record, sessions=_in_order(judged))


def put_in(sessions: Iterable[SessionRecord], closed: Iterable[SessionRecord]) -> tuple[SessionRecord, ...]:
    """Return the sessions of a record with those that the journal has closed and the record lacks."""
    return _in_order({one.date: one for one in closed} | {one.date: one for one in sessions})


def journaled(record: TrackRecord, kind: Kind, told: tuple[SessionRecord, ...]) -> Draft:
    """Return the event that says how a record was written: its digest, and the sessions that are new or judged anew."""
    return Draft(kind, {"record": record.digest, "sessions": [jsonable(one) for one in told]}, record.key)


def sessions_again(journal: Journal, kept: TrackRecord) -> tuple[SessionRecord, ...]:
    """Return the sessions of a record as the journal has them; of what was kept, only what speaks against it stays."""
    found = {one.date: one for one in closed_sessions(journal, kept.strategy, kept.pack, kept.stage)}
    for event in journal.events():
        if event.key == kept.key and "record" in event.data:
            told = (read_session(row) for row in event.data["sessions"])
            found |= {one.date: one for one in told if one.date in found}
    for one in kept.sessions:
        if again := found.get(one.date):
            equal = False if one.positions_equal is False else again.positions_equal
            breaks = tuple(dict.fromkeys((*again.breaks, *one.breaks)))
            found[one.date] = replace(again, positions_equal=equal, breaks=breaks)
    return _in_order(found)


def _in_order(found: Mapping[date, SessionRecord]) -> tuple[SessionRecord, ...]:
    sessions: list[SessionRecord] = []
    for _, one in sorted(found.items()):
        before = sessions[-1].equity if sessions else one.equity - one.pnl
        sessions.append(replace(one, equity=before + one.pnl))
    return tuple(sessions)


def _judged(one: SessionRecord, again: SessionParity) -> SessionRecord:
    """Return a session with what both saw; what differs is explained only where neither saw anything else."""
    equal = again.equal and one.positions_equal is not False
    explained = not equal and (again.equal or again.explained) and (one.explained or one.positions_equal is not False)
    rest = tuple(found for found in one.breaks if found != EXPLAINED)
    return replace(one, positions_equal=equal, breaks=(*rest, EXPLAINED) if explained else rest)


def closed_sessions(journal: Journal, strategy: str, pack: str, stage: str) -> tuple[SessionRecord, ...]:
    """Return the sessions that the journal has closed for a strategy under this pack at this stage.

    It sat there from the first to the last of a day's begins that name it. Where nobody sat there all day, what it made
    or lost with what it held is of its last seat.
    """
    book, found = journal.whole(), []
    day: date | None = None
    opened, worth = 0.0, 0.0
    seat: dict[str, Any] | None = None
    seated = False  # whether anybody sat there that day
    keys: list[str] = []
    breaks: tuple[Break, ...] = ()
    for event in journal.events():
        data = event.data
        if event.kind is Kind.SESSION and "date" in data:
            if date.fromisoformat(data["date"]) != day:
                day, opened, keys, seated = date.fromisoformat(data["date"]), data["equity"], [], False
            if seats := data["seats"]:
                seat, seated = seats.get(strategy, seat if seated else None), True
        elif event.kind is Kind.INTENT and strategy in data["shares"]:
            keys.append(event.key)
        elif event.kind is Kind.RECONCILE and "differences" in data:
            breaks = tuple(Break("severe" if one["ours"] else "minor", one["text"]) for one in data["differences"])
        elif event.kind is Kind.RECONCILE and "closing" in data:
            before, worth = worth, data["closing"]["worth"].get(strategy, 0.0)
            made = worth - before
            if seat is None or day is None or (seat["pack"], seat["stage"]) != (pack, stage) or not (seated or made):
                continue
            capital = seat["share"] * opened
            capital = capital if seat["capital"] is None else min(capital, seat["capital"])
            trades = sum(bool(book.of_order(key)) for key in keys)
            found.append(SessionRecord(day, capital + made, made, trades, capital, None, breaks))
    return tuple({one.date: one for one in found}.values())
