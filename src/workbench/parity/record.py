"""The track record of a stage, with what parity found: what the gates of the next step read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from workbench.disk import write_whole, writing
from workbench.params import Paths
from workbench.parity.compare import Parity
from workbench.registry.gates.track_record import TrackRecord, read_track_record


def note_parity(paths: Paths, name: str, version: int, stage: str, found: Parity, now: datetime) -> int | None:
    """Write which sessions of the record are equal, and return how many; None where the runner kept no record."""
    file = paths.state / "records" / "strategy" / name / str(version) / f"{stage}.json"
    if not file.is_file():
        return None
    record = noted(read_track_record(file.read_bytes(), paths.short(file), now), found)
    with writing(file):
        write_whole(file, record.bytes(), flushed=True)
    compared = {session.session for session in found.sessions}
    return sum(session.date in compared for session in record.sessions)


def noted(record: TrackRecord, found: Parity) -> TrackRecord:
    """Return a record in which a session is equal only if neither the runner nor parity saw other positions."""
    equal = {session.session: session.equal for session in found.sessions}
    sessions = tuple(
        replace(one, positions_equal=equal[one.date] and one.positions_equal is not False) if one.date in equal else one
        for one in record.sessions
    )
    return replace(record, sessions=sessions)
