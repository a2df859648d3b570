"""With MLflow away: the verified copy, or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from datetime import timedelta
from pathlib import Path

import pytest

from tests.registry.conftest import NOW
from tests.registry.loader.conftest import COUNT, complete
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.demote import check
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
