"""Packs, proposals and steps over a real MLflow server: wherever it stops, nothing is half moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.registry.conftest import Project, Server
from tests.registry.making.conftest import NOW, Bench, make_bench
from workbench.errors import PackRefused, WorkbenchError
from workbench.registry import storing
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import Evaluation, evaluate
from workbench.registry.lifecycle.promote import Ruling, approve, propose, rule
from workbench.registry.lifecycle.promote import commit as move
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.loader import AccountMode, load
from workbench.registry.making.data import make_data_pack
from workbench.registry.packs.candidate import read_candidate, verify_folder
from workbench.registry.packs.pack import MANIFEST

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]
NAME = ("strategy", "sma_cross")
WHY = "to measure its fills on paper"


@pytest.fixture
def bench(server: Server, tmp_path, monkeypatch, walk_forward_of) -> Bench:
    """A committed project that records on the server, with one walk-forward and two people who may sign."""
    monkeypatch.setenv("WORKBENCH_KEYS", str(tmp_path / "keys"))
    made = make_bench(tmp_path / "project", server.settings.tracking.uri, "served", walk_forward_of)
    people = Project(made.paths.root)
    for who in ("alice", "bob"):
        people.person(who)  # and commits the list
    return made


def desk_of(bench: Bench) -> Desk:
    return Desk.open(bench.settings, bench.paths, NOW + timedelta(hours=1))


def look(bench: Bench) -> tuple[Desk, Evaluation]:
    desk = desk_of(bench)
    return desk, evaluate(desk, desk.state(*NAME), 1)


def signed(bench: Bench) -> tuple[Desk, Ruling]:
    """The step to paper, forced because the walk-forward by hand does not pass every gate: proposed and signed."""
    desk, found = look(bench)
    propose(desk, rule(found, WHY))
    desk, found = look(bench)
    approve(desk, found, "alice", "", "")
    return look_again(bench)


def look_again(bench: Bench) -> tuple[Desk, Ruling]:
    desk, found = look(bench)
    return desk, rule(found, WHY)


def one_line(told: pytest.ExceptionInfo[WorkbenchError], *said: str) -> None:
    text = str(told.value)
    assert "\n" not in text
    for word in said:
        assert word in text


def cutting(monkeypatch: pytest.MonkeyPatch, call: str, server: Server, when: Callable[..., bool]) -> None:
    """Stop the server before the first call of MLflow's client that ``when`` says."""
    from mlflow import MlflowClient

    real = getattr(MlflowClient, call)

    def cut(self: object, *args: object, **named: object) -> object:
        if server.process is not None and when(*args):
            server.stop()
        return real(self, *args, **named)

    monkeypatch.setattr(MlflowClient, call, cut)


def test_evidence_is_made_moved_loaded_and_verified_over_http(bench: Bench, server: Server, tmp_path):
    made = bench.evidence()
    assert made.new
    assert made.folder.is_relative_to(bench.paths.state)  # a copy: the bytes lie with the server
    (kept,) = server.folder.rglob(MANIFEST)
    assert read_candidate(kept.parents[1]).pack.digest == made.judged.pack.digest
    again = bench.evidence(NOW + timedelta(minutes=5))
    assert (again.new, again.run_id, again.judged.pack.digest) == (False, made.run_id, made.judged.pack.digest)

    desk, ruling = signed(bench)
    step = move(desk, ruling)
    assert (step.to_stage, step.pack, step.forced) == ("paper", made.judged.pack.digest, True)
    assert desk.models.find(*NAME).aliases == {"paper": 1}
    later = NOW + timedelta(hours=2)
    found = load(
        "sma_cross", "paper", account=AccountMode.EMBEDDED, settings=bench.settings, paths=bench.paths,
        approvers=desk.approvers, now=later,
    )  # fmt: skip
    assert (found.source, found.approved_by, found.pack.digest) == ("mlflow", ("alice",), made.judged.pack.digest)
    checked = verify_folder(storing.candidate_folder(bench.tracking, made.run_id), desk.approvers, later)
    assert (checked.sound, checked.signed) == (True, True)

    limits = tmp_path / "limits.yaml"
    limits.write_text("max_order_value: 5_000\n")
    house = make_data_pack("risk", "house", limits, "first limits of the house", bench.settings, bench.paths, now=NOW)
    assert read_candidate(house.folder).pack.read("payload/limits.yaml") == b"max_order_value: 5_000\n"

    for file in server.folder.rglob("alice.json"):  # taken away on the server: the copy here must not keep it
        file.unlink()
    assert look(bench)[0].candidate(desk.record.state(*NAME), 1).approvals == ()
    (part,) = (path for path in server.folder.rglob("params.json") if "sma_cross" in path.read_text())
    part.write_bytes(part.read_bytes().replace(b"20", b"21"))
    with pytest.raises(PackRefused, match=r"params\.json: was changed") as told:
        look(bench)
    one_line(told, "make the evidence again")


def test_a_pack_that_was_half_uploaded_is_no_pack_and_the_next_attempt_heals_it(bench, server, monkeypatch):
    with monkeypatch.context() as patch:
        cutting(patch, "log_artifact", server, lambda run, file, *_: str(file).endswith(MANIFEST))
        with pytest.raises(WorkbenchError) as told:
            bench.evidence()
    one_line(told, f"store the pack with run {bench.run_id}", server.settings.tracking.uri)
    assert list(server.folder.rglob("statistics.json"))
    assert not list(server.folder.rglob(MANIFEST))  # it comes last

    server.start()
    assert desk_of(bench).register(*NAME) == []  # half of a pack is no candidate
    with pytest.raises(PackRefused, match=r"no manifest\.json; that is no evidence pack, or it was cut short"):
        storing.stored_pack(bench.tracking, bench.run_id)
    made = bench.evidence()
    assert made.new
    assert made.run_id != bench.run_id
    assert [step.pack for step in desk_of(bench).register(*NAME)] == [made.judged.pack.digest]


@pytest.mark.slow
def test_a_pack_that_was_stored_and_not_marked_is_found_by_the_next_attempt(bench, server, monkeypatch):
    with monkeypatch.context() as patch:
        cutting(patch, "set_tag", server, lambda run, key, *_: key == storing.NAME)
        with pytest.raises(WorkbenchError) as told:
            bench.evidence()
    one_line(told, f"mark run {bench.run_id}")
    server.start()
    assert storing.pack_runs(bench.tracking, "strategy") == []
    made = bench.evidence(NOW + timedelta(minutes=5))
    assert (made.new, made.run_id) == (False, bench.run_id)
    assert [step.pack for step in desk_of(bench).register(*NAME)] == [made.judged.pack.digest]


def test_a_server_that_stops_in_the_middle_of_a_step_moves_all_of_it_or_nothing(bench, server, monkeypatch):
    bench.evidence()
    with monkeypatch.context() as patch:  # before the proposal is kept: nothing
        cutting(patch, "log_artifact", server, lambda run, file, place: "proposals" in place)
        desk, found = look(bench)
        with pytest.raises(WorkbenchError) as told:
            propose(desk, rule(found, WHY))
        one_line(told, "keep proposals/paper/")
    with pytest.raises(WorkbenchError) as told:
        look(bench)
    one_line(told, "no answer", "start that server")
    assert [step.action for step in desk.record.transitions()] == ["register"]

    server.start()
    desk, ruling = signed(bench)
    server.stop()  # after the last look, before the step: it is judged once more, which cannot be done, so nothing
    with pytest.raises(WorkbenchError) as told:
        move(desk, ruling)
    one_line(told, "no answer", "start that server")
    assert desk.record.current(*NAME, "paper") is None

    server.start()
    with monkeypatch.context() as patch:  # after the record, before it is shown: recorded, and said so
        record = Lifecycle.append

        def recorded(self: Lifecycle, *words: Any, **facts: Any) -> Any:
            done = record(self, *words, **facts)
            server.stop()
            return done

        patch.setattr(Lifecycle, "append", recorded)
        desk, ruling = look_again(bench)
        with pytest.raises(WorkbenchError) as told:
            move(desk, ruling)
    one_line(told, "promoted version 1 to paper", "that is recorded and holds, MLflow does not show it yet")
    assert desk.record.current(*NAME, "paper").version == 1

    server.start()
    later = desk_of(bench)
    assert later.models.find(*NAME).aliases == {}
    assert [step.action for step in later.finish(*NAME)] == ["promote"]
    assert later.models.find(*NAME).aliases == {"paper": 1}


@pytest.mark.slow
def test_a_server_that_stops_while_a_pack_is_fetched_leaves_the_copy_of_before(bench, server, monkeypatch):
    made = bench.evidence()
    before = read_candidate(made.folder)
    with monkeypatch.context() as patch:
        cutting(patch, "download_artifacts", server, lambda *_: True)
        with pytest.raises(WorkbenchError) as told:
            storing.candidate_folder(Connection(bench.settings, bench.paths), made.run_id)
    one_line(told, "fetch the candidate of run")
    assert read_candidate(made.folder) == before
    assert [path.name for path in made.folder.parent.iterdir() if path.is_dir()] == ["promotion"]
