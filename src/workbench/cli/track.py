"""The record of a strategy's time at a stage, one session longer after each: what the gates of the next step read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from workbench.clock import read_clock
from workbench.disk import write_whole, writing
from workbench.errors import WorkbenchError
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.live.report import Result, SessionReport, slippage
from workbench.live.session import Seat
from workbench.params import Paths, Settings
from workbench.parity.record import closed_sessions, journaled, put_in, sessions_again
from workbench.registry.gates.record_files import RecordFiles
from workbench.registry.gates.track_record import EXPLAINED, STAGES, Break, SessionRecord, TrackRecord
from workbench.registry.packs.files import Unanswered, is_there
from workbench.sessions import Calendar

ALWAYS = datetime.max.replace(tzinfo=UTC)  # as a moment: then no session is of the future


def write_records(
    paths: Paths, seats: Sequence[Seat], report: SessionReport, journal: Journal, settings: Settings
) -> None:
    """Write the record of every strategy of a session; the same session again replaces itself.

    The journal keeps the digest of what was written: a record that was edited by hand has another. One that cannot be
    written keeps back no other's; that is raised at the end, and its session is put in with the next one.
    """
    failed: list[WorkbenchError] = []
    for seat in seats:
        if seat.stage not in STAGES:
            continue  # what closes the positions of a retired version proves nothing
        try:
            _write_record(paths, seat, report, journal, settings)
        except WorkbenchError as error:
            failed.append(error)
    if failed:
        raise type(failed[0])("; ".join(dict.fromkeys(map(str, failed)))) from failed[0]


def _write_record(paths: Paths, seat: Seat, report: SessionReport, journal: Journal, settings: Settings) -> None:
    clock = read_clock(settings.market, paths)
    result = next(one for one in report.results if one.strategy == seat.name)
    files = RecordFiles(paths, "strategy", seat.name, seat.version, seat.stage)
    fills, bps = slippage(journal.book, seat)
    record = TrackRecord(
        seat.name, seat.version, seat.pack, seat.stage, settings.live.mode, settings.market, (), fills, bps,
        seat.model_bps, report.head, simulated=clock.simulated, account=report.account,
    )  # fmt: skip
    file = files.of(report.account)
    before = _before(files, file, record, report, journal, clock.now())
    session = _session(result, report, before)
    record = replace(record, sessions=(*before, session))
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, record.bytes(), flushed=True)
    journal.append(journaled(record, Kind.RECONCILE, (session,)))


def _before(
    files: RecordFiles, file: Path, record: TrackRecord, report: SessionReport, journal: Journal, now: datetime
) -> tuple[SessionRecord, ...]:
    """Return the sessions that the record goes on from; another pack begins a record of its own.

    Where what is kept is not what the journal says was written last, or is gone, the journal itself says what was
    traded; where it lacks what the journal has closed, that is put in.
    """
    kept = _kept(files, file, record, journal)
    whole = journal.book.past.records.get(record.key) == kept.digest
    if whole:
        kept = files.read(file, now)  # with a session of the future it is refused
    if whole and Calendar().next(kept.sessions[-1].date).date() >= report.session:
        sessions = kept.sessions  # to the session before this one
    else:
        closed = closed_sessions(journal, record.strategy, record.pack, record.stage)
        sessions = put_in(kept.sessions, closed) if whole else sessions_again(journal, kept)
    began = journal.book.past.began
    return tuple(one for one in sessions if began and began <= one.date < report.session)


def _kept(files: RecordFiles, file: Path, record: TrackRecord, journal: Journal) -> TrackRecord:
    """Return what is kept of an account's record, or the one without sessions that is begun in its place."""
    if not is_there(file, files.paths.short(file)):
        return record
    try:
        kept = files.read(file, ALWAYS)
    except Unanswered:
        raise
    except WorkbenchError as error:
        if record.key in journal.book.past.records:
            return record  # what was written is in the journal
        raise type(error)(
            f"{error}; take it away: the next session makes it from the journal; to keep it, put it out of that folder"
        ) from error
    return kept if (kept.pack, kept.account or record.account) == (record.pack, record.account) else record


def _session(result: Result, report: SessionReport, before: Sequence[SessionRecord]) -> SessionRecord:
    equity = (before[-1].equity if before else result.capital) + result.pnl
    breaks = tuple(Break("severe" if one.ours else "minor", one.text) for one in report.differences)
    breaks += (EXPLAINED,) if result.explained else ()
    return SessionRecord(report.session, equity, result.pnl, result.trades, result.capital, result.equal, breaks)
