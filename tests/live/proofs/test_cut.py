"""A journal whose last transaction was cut off, at every byte: it opens, and the whole prefix is there."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.conftest import Project, wanted
from workbench.live.journal.event import Draft, Event, Kind
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.params import Paths

FRAME = 24 + 4096  # of the log: a header and a page


@dataclass(frozen=True)
class Files:
    """A database and its log, with where in the log the last transaction begins."""

    base: bytes
    log: bytes
    begins: int
    events: list[Event]

    def put(self, folder: Path, log: bytes) -> Project:
        """Write both as a machine that lost its power would leave them."""
        made = Project(Paths(folder))
        state = made.paths.state
        state.mkdir(parents=True, exist_ok=True)
        (state / "workbench.db-shm").unlink(missing_ok=True)
        (state / "workbench.db").write_bytes(self.base)
        (state / "workbench.db-wal").write_bytes(log)
        return made


@pytest.fixture
def files(project: Project, journal: Journal) -> Files:
    """A session with some orders; the last transaction has two intents."""
    journal.intend([wanted("k1")], 1)
    journal.append(Draft(Kind.ALERT, {"text": "something"}))
    journal.intend([wanted("k2", limit=90.0)], 1)
    base, log = project.paths.state / "workbench.db", project.paths.state / "workbench.db-wal"
    begins = log.stat().st_size
    journal.intend([wanted("k3"), wanted("k4", limit=90.0)], 1)
    found = Files(base.read_bytes(), log.read_bytes(), begins, list(journal.events()))
    assert len(found.events) == 6
    assert (found.begins - 32) % FRAME == (len(found.log) - 32) % FRAME == 0
    return found


def opened(project: Project) -> list[Event]:
    journal = Journal.open(project.settings, project.paths, project.account, clock=project.clock)
    try:
        return list(journal.events())
    finally:
        journal.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)])
def test_a_log_that_was_cut_at_any_byte_of_its_last_transaction_opens_with_all_before_it(
    quick_path: Path, files: Files, step: int, figures: Callable[..., None]
) -> None:
    ends = range(files.begins, len(files.log), FRAME)
    edges = {at + near for at in ends for near in (-1, 0, 1, 23, 24, 25)} - {files.begins - 1}
    cuts = sorted({*range(files.begins, len(files.log), step), *edges, len(files.log) - 1})
    for at in cuts:
        assert opened(files.put(quick_path / "cut", files.log[:at])) == files.events[:4], f"cut at {at}"
    assert opened(files.put(quick_path / "cut", files.log)) == files.events  # whole, both or none of the two
    figures(cuts=len(cuts), bytes_of_the_transaction=len(files.log) - files.begins)


def test_a_log_that_ends_in_zeros_or_rubbish_opens_with_all_before_it(quick_path: Path, files: Files) -> None:
    draw = random.Random(1)
    for _ in range(100):
        at = draw.randrange(files.begins, len(files.log) - 1)
        rest = len(files.log) - at
        tail = draw.choice([bytes(rest), draw.randbytes(rest)])
        if tail == files.log[at:]:
            continue
        assert opened(files.put(quick_path / "torn", files.log[:at] + tail)) == files.events[:4], f"torn at {at}"


def test_what_was_cut_off_is_written_again_under_the_same_numbers(quick_path: Path, files: Files) -> None:
    for at in (files.begins, files.begins + 1, files.begins + FRAME, len(files.log) - 1):
        project = files.put(quick_path / str(at), files.log[:at])
        lease = Lease.seize(project.settings, project.paths, project.account, "runner")  # its holder is dead
        journal = project.journal(lease)
        again = journal.intend([wanted("k3"), wanted("k4", limit=90.0)], 1)
        assert [one.order_id for one in again] == [3, 4]
        assert journal.verify() == 6
        project.close()
