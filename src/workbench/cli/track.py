"""The record of a strategy's time at a stage, one session longer after each: what the gates of the next step read."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.clock import read_clock
from workbench.disk import write_whole, writing
from workbench.live.book import Book
from workbench.live.report import Result, SessionReport, slippage
from workbench.live.seats import LEAVING
from workbench.live.session import Seat
from workbench.params import Paths, Settings
from workbench.registry.gates.track_record import EXPLAINED, Break, SessionRecord, TrackRecord, read_track_record


def write_records(paths: Paths, seats: Sequence[Seat], report: SessionReport, book: Book, settings: Settings) -> None:
    """Write the record of every strategy of a session; the same session again replaces itself."""
    clock = read_clock(settings.market, paths)
    for seat in seats:
        if seat.stage == LEAVING:
            continue  # what closes the positions of a retired version proves nothing
        result = next(one for one in report.results if one.strategy == seat.name)
        file = paths.state / "records" / "strategy" / seat.name / str(seat.version) / f"{seat.stage}.json"
        before: tuple[SessionRecord, ...] = ()
        if file.is_file():
            kept = read_track_record(file.read_bytes(), paths.short(file), clock.now())
            # Another pack, or another account, begins a record of its own.
            began = book.past.began if kept.pack == seat.pack else report.session
            before = tuple(one for one in kept.sessions if began and began <= one.date < report.session)
        fills, bps = slippage(book, seat)
        record = TrackRecord(
            seat.name, seat.version, seat.pack, seat.stage, settings.live.mode, settings.market,
            (*before, _session(result, report, before)), fills, bps, seat.model_bps, report.head,
            simulated=clock.simulated,
        )  # fmt: skip
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, record.bytes(), flushed=True)


def _session(result: Result, report: SessionReport, before: Sequence[SessionRecord]) -> SessionRecord:
    equity = (before[-1].equity if before else result.capital) + result.pnl
    breaks = tuple(Break("severe" if one.ours else "minor", one.text) for one in report.differences)
    breaks += (EXPLAINED,) if result.explained else ()
    return SessionRecord(report.session, equity, result.pnl, result.trades, result.capital, result.equal, breaks)
