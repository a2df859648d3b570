"""The record of a strategy's time at a stage, one session longer after each: what the gates of the next step read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workbench.clock import read_clock
from workbench.disk import write_whole, writing
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.live.report import Result, SessionReport, slippage
from workbench.live.seats import LEAVING
from workbench.live.session import Seat
from workbench.params import Paths, Settings
from workbench.parity.record import journaled, sessions_again
from workbench.registry.gates.track_record import EXPLAINED, Break, SessionRecord, TrackRecord, read_track_record


def write_records(
    paths: Paths, seats: Sequence[Seat], report: SessionReport, journal: Journal, settings: Settings
) -> None:
    """Write the record of every strategy of a session; the same session again replaces itself.

    The journal keeps the digest of what was written: a record that was edited by hand has another.
    """
    clock = read_clock(settings.market, paths)
    for seat in seats:
        if seat.stage == LEAVING:
            continue  # what closes the positions of a retired version proves nothing
        result = next(one for one in report.results if one.strategy == seat.name)
        file = paths.state / "records" / "strategy" / seat.name / str(seat.version) / f"{seat.stage}.json"
        fills, bps = slippage(journal.book, seat)
        record = TrackRecord(
            seat.name, seat.version, seat.pack, seat.stage, settings.live.mode, settings.market, (), fills, bps,
            seat.model_bps, report.head, simulated=clock.simulated, account=report.account,
        )  # fmt: skip
        before = _before(file, record, report, journal, paths)
        session = _session(result, report, before)
        record = replace(record, sessions=(*before, session))
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, record.bytes(), flushed=True)
        journal.append(journaled(record, Kind.RECONCILE, (session,)))


def _before(
    file: Path, record: TrackRecord, report: SessionReport, journal: Journal, paths: Paths
) -> tuple[SessionRecord, ...]:
    """Return the sessions that the record goes on from; another pack or account begins a record of its own.

    Where what is kept is not what the journal says was written last, the journal itself says what was traded.
    """
    if not file.is_file():
        return ()
    kept = read_track_record(file.read_bytes(), paths.short(file), read_clock(record.market, paths).now())
    if (kept.pack, kept.account or record.account) != (record.pack, record.account):
        return ()
    whole = journal.book.past.records.get(record.key) == kept.digest
    sessions = kept.sessions if whole else sessions_again(journal, kept)
    began = journal.book.past.began
    return tuple(one for one in sessions if began and began <= one.date < report.session)


def _session(result: Result, report: SessionReport, before: Sequence[SessionRecord]) -> SessionRecord:
    equity = (before[-1].equity if before else result.capital) + result.pnl
    breaks = tuple(Break("severe" if one.ours else "minor", one.text) for one in report.differences)
    breaks += (EXPLAINED,) if result.explained else ()
    return SessionRecord(report.session, equity, result.pnl, result.trades, result.capital, result.equal, breaks)
