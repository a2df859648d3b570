"""With MLflow away: the verified copy, or nothing."""

from __future__ import annotations

import errno
import io
import os
import shutil
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from tests.registry.conftest import NOW
from tests.registry.loader.conftest import COUNT, complete
from workbench.errors import WorkbenchError
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.demote import check, demote
from workbench.registry.lifecycle.status import status
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.loader import AccountMode
from workbench.registry.loader.cache import Cache
from workbench.registry.packs import files

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def test_without_mlflow_the_verified_copy_is_used_and_said(runner):
    pack = runner.stand()
    runner.load()
    runner.away()
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert found.warnings == ("MLflow: mlruns/mlflow.db is gone; loaded from the verified copy kept here",)
    assert not (runner.project.root / "mlruns").exists()


def test_without_mlflow_and_without_a_copy_nothing_is_loaded(runner):
    pack = runner.stand()
    runner.away()
    said = runner.refusal()
    assert said.endswith(
        f"no verified copy of pack {pack.digest[:12]} is kept here, so nothing is loaded; bring MLflow back"
    )


def test_a_copy_is_verified_again_in_every_file(runner):
    runner.stand()
    runner.load()
    runner.away()
    kept = [path for path in (runner.project.paths.state / "loader" / "candidates").rglob("*") if path.is_file()]
    assert len(kept) == COUNT
    for file in kept:
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        runner.refusal()
        file.write_bytes(content)
    assert runner.load().source == "cache"


def test_a_copy_grows_no_older_than_the_rules(runner):
    runner.stand()
    runner.load()
    runner.away()
    assert "its evidence expired" in runner.refusal(now=NOW + timedelta(days=100))
    del runner.project.people["bob"]
    runner.project.write_approvers()
    assert "bob: not in params/approvers.yaml" in runner.refusal()


def test_a_copy_of_an_earlier_stage_does_not_hold_the_later_ones_proposal(runner):
    pack = runner.stand()
    runner.load()
    runner.step(pack, 1, "paper", "staged_live", NOW + timedelta(minutes=10))
    runner.away()
    assert "is not with the pack; it was taken away" in runner.refusal(stage="staged_live", account=AccountMode.LIVE)


def test_copies_that_can_never_be_loaded_again_are_dropped(runner):
    first = runner.stand()
    runner.load()
    second = runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    runner.load()
    kept = runner.project.paths.state / "loader" / "candidates"
    assert {path.name for path in kept.iterdir()} == {first.digest, second.digest}  # the first may be rolled back to
    desk = runner.project.desk()
    desk.record.append(
        Transition(kind="strategy", name="sma_cross", version=1, action="retire", from_stage="retired",
                   to_stage="retired", pack=first.digest, who="quinn", at=NOW, reason="never again"),
        after=desk.record.state("strategy", "sma_cross"),
    )  # fmt: skip
    runner.load()
    assert {path.name for path in kept.iterdir()} == {second.digest}


@pytest.mark.parametrize("what", ["version", "run", "folder", "damaged", "unreachable"])
def test_mlflow_that_lost_or_cannot_say_what_is_asked_is_away(runner, what):
    pack = runner.stand()
    runner.load()
    connection = Connection(runner.project.settings, runner.project.paths)
    if what == "version":
        connection.client().delete_registered_model("sma_cross")
    elif what == "run":
        connection.client().delete_run(pack.run_id)
    elif what == "folder":
        shutil.rmtree(runner.project.run_folder(pack))
    elif what == "damaged":
        (runner.project.root / "mlruns" / "mlflow.db").write_bytes(b"not a database" * 100)
    else:
        tracking = runner.project.settings.tracking.model_copy(update={"uri": "http://127.0.0.1:9"})
        runner.project.settings = runner.project.settings.model_copy(update={"tracking": tracking})
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert "loaded from the verified copy kept here" in found.warnings[0]


def test_bytes_that_were_changed_are_refused_although_a_good_copy_is_kept(runner):
    pack = runner.stand()
    runner.load()
    (runner.project.run_folder(pack) / "pack" / "parts" / "params.json").write_bytes(b"{}")
    assert "params.json: has 2 bytes instead of" in runner.refusal()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_disk_that_does_not_answer_is_away_and_accuses_nobody(runner, monkeypatch, number):
    pack = runner.stand()
    runner.load()
    answering, copies = os.open, []

    def silent(name, flags, *more, dir_fd=None):
        if name == "statistics.json" and not copies:
            raise OSError(number, os.strerror(number))
        return answering(name, flags, *more, dir_fd=dir_fd)

    monkeypatch.setattr(files.os, "open", silent)
    monkeypatch.setattr(Cache, "read", lambda *asked, read=Cache.read: (copies.append(1), read(*asked))[1])
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert f"cannot be read ({os.strerror(number)}); see what the disk or the network has" in found.warnings[0]
    copies.clear()
    desk = runner.project.desk()
    (one,) = check(desk, desk.record.state("strategy", "sma_cross"))
    assert (one.wrong, one.demoted) == ((), None)


@pytest.fixture
def unanswering(monkeypatch):
    """A disk that says of a file or folder neither that it is there nor that it is gone, as NFS and FUSE may."""
    silent: set[Path] = set()

    def asked(answer):
        def ask(path=".", *more, **how):
            if isinstance(path, (str, Path)) and Path(path) in silent:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
            return answer(path, *more, **how)

        return ask

    for room, name in ((os, "stat"), (os, "lstat"), (os, "listdir"), (os, "open"), (io, "open")):
        monkeypatch.setattr(room, name, asked(getattr(room, name)))
    return silent


@pytest.mark.parametrize("what", ["evidence", "database"])
def test_a_disk_that_does_not_even_say_whether_it_is_there_is_away_and_accuses_nobody(runner, unanswering, what):
    pack = runner.stand()
    runner.load()
    database = runner.project.root / "mlruns" / "mlflow.db"
    unanswering.add(runner.project.run_folder(pack) if what == "evidence" else database)
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert "cannot be read (Stale file handle); see what the disk or the network has" in found.warnings[0]
    desk = runner.project.desk()
    (one,) = check(desk, desk.record.state("strategy", "sma_cross"))
    assert (one.wrong, one.demoted, one.failed) == ((), None, "")
    assert "sma_cross" in {line.name for line in status(desk).lines if line.version == 1}
    copy = runner.project.paths.state / "loader" / "candidates" / pack.digest
    unanswering.add(copy)
    assert "no verified copy of pack" in runner.refusal()
    (one,) = check(desk, desk.record.state("strategy", "sma_cross"))
    assert (one.wrong, one.demoted) == ((), None)
    assert one.failed.endswith("try again; and no verified copy is kept here")


@pytest.mark.parametrize("name", ["paper.json", ""])
def test_a_record_of_which_the_disk_says_nothing_gets_no_verdict(runner, unanswering, name):
    pack = runner.stand()
    runner.project.track(pack, 1, "paper", sessions=())
    unanswering.add(runner.project.paths.state / "records" / "strategy" / "sma_cross" / "1" / name)
    desk = runner.project.desk()
    (one,) = check(desk, desk.record.state("strategy", "sma_cross"))
    assert (one.wrong, one.demoted) == ((), None)
    assert "cannot be read (Stale file handle)" in one.failed


def test_a_demotion_of_which_mlflows_disk_says_nothing_is_recorded_and_told(runner, unanswering):
    runner.stand()
    unanswering.add(runner.project.root / "mlruns" / "mlflow.db")
    desk = runner.project.desk()
    with pytest.raises(
        WorkbenchError, match=r"that is recorded and holds, MLflow does not show it yet: .* file handle"
    ):
        demote(desk, desk.record.state("strategy", "sma_cross"), 1, "the feed looks wrong")
    assert desk.record.current("strategy", "sma_cross", "paper").mode == "reduce_only"


def test_a_socket_in_the_place_of_a_part_is_no_silent_disk(runner):
    runner.stand()
    runner.load()
    (part,) = (path for path in (runner.project.root / "mlruns").rglob("statistics.json"))
    part.unlink()
    here = Path.cwd()
    os.chdir(part.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(part.name)
    finally:
        os.chdir(here)
    assert "cannot be read (No such device or address); a pack holds plain files only" in runner.refusal()
