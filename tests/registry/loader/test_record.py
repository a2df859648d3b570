"""The proposal, the record and what this machine remembers: nothing is loaded from an older world."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import timedelta
from typing import Any

import pytest

from tests.registry.conftest import NOW
from tests.registry.loader.conftest import LATER, complete
from workbench.registry.connection import Connection
from workbench.registry.loader import AccountMode
from workbench.registry.loader.memory import Memory, Seen
from workbench.registry.packs.canonical import canonical

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def test_another_policy_in_the_proposal_than_in_the_pack_is_refused(runner):
    pack = runner.stand(proposal={"policy": "d" * 64})
    assert f"(dddddddddddd) are not those that the pack was made under ({pack.policy[:12]})" in runner.refusal()


def test_a_step_recorded_on_the_proposal_of_another_stage_is_refused(runner):
    pack = runner.stand("paper")
    paper = runner.standing().proposal
    runner.step(pack, 1, "paper", "staged_live", NOW + timedelta(minutes=10), recorded=paper)
    assert f"its proposal {paper[:12]} is for sma_cross version 1 to paper" in runner.refusal(
        stage="staged_live", account=AccountMode.LIVE
    )


def test_a_step_taken_after_its_proposal_ended_is_refused(runner):
    runner.stand(proposal={"made_at": NOW - timedelta(days=9), "expires_at": NOW - timedelta(days=2)})
    assert "the proposal ended at 2026-02-28T15:00:00Z" in runner.refusal()


@pytest.mark.parametrize("moved", ["2", "gone"])
def test_an_alias_moved_by_hand_is_reported_and_ignored(runner, moved):
    runner.stand("production")
    runner.stand("paper")
    client = Connection(runner.project.settings, runner.project.paths).client()
    if moved == "gone":
        client.delete_registered_model_alias("sma_cross", "production")
    else:
        client.set_registered_model_alias("sma_cross", "production", "2")
    found = runner.load("production", AccountMode.LIVE)
    said = "is gone" if moved == "gone" else "names version 2"
    assert found.version == 1
    assert found.warnings == (
        f"sma_cross: alias 'production' {said} in MLflow, by the record version 1 stands at production; an alias "
        "counts for nothing: workbench status",
    )


def test_an_older_pack_replayed_into_the_newer_versions_run_is_refused(runner):
    old = runner.stand()
    new = runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    folder = runner.project.run_folder(new)
    shutil.rmtree(folder)
    shutil.copytree(runner.project.run_folder(old), folder)
    assert f"holds pack {old.digest[:12]}, the record names {new.digest[:12]}; it was exchanged" in runner.refusal()


def test_a_record_rolled_back_to_a_backup_is_refused_once_a_newer_one_was_seen(runner):
    state = runner.project.paths.state
    runner.stand()
    for file in state.glob("workbench.db*"):
        shutil.copy(file, file.with_name(f"backup.{file.name}"))
    runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    assert runner.load().version == 2
    for file in list(state.glob("workbench.db*")):
        file.unlink()
    for file in list(state.glob("backup.*")):
        file.rename(file.with_name(file.name.removeprefix("backup.")))
    said = runner.refusal()
    assert "data/state/workbench.db: holds 2 transitions, 4 were seen here: it is an older copy" in said


def test_another_record_of_the_same_length_is_refused(runner, store_made, tmp_path):
    runner.stand()
    runner.load()
    file = runner.project.paths.state / "loader" / "seen.json"
    facts = json.loads(file.read_bytes())
    file.write_bytes(canonical(facts | {"head": "e" * 64}))
    assert "seen here was eeeeeeeeeeee: it is another record" in runner.refusal()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"at":1}', b"not json", b'{"at":"2026-03-03T15:00:00Z","format":2,'
                                     b'"head":"","transitions":0}'])  # fmt: skip
def test_a_damaged_memory_is_refused_and_not_forgotten(runner, content):
    runner.stand()
    runner.load()
    (runner.project.paths.state / "loader" / "seen.json").write_bytes(content)
    assert "data/state/loader/seen.json: damaged" in runner.refusal()


def test_a_clock_set_back_is_refused_beyond_five_minutes(runner):
    runner.stand()
    runner.load(now=LATER)
    runner.load(now=LATER - timedelta(minutes=5))
    said = runner.refusal(now=LATER - timedelta(minutes=5, seconds=1))
    assert said.startswith(
        "clock: it is 2026-03-03T14:54:59Z, and at 2026-03-03T15:00:00Z something was loaded already"
    )


def test_a_clock_before_the_record_is_refused_on_a_machine_that_remembers_nothing(runner):
    runner.stand()
    assert "it was moved here at 2026-03-02T15:00:00Z, and the clock says 2026-03-01T15:00:00Z" in runner.refusal(
        now=NOW - timedelta(days=1)
    )


def test_expired_evidence_is_refused(runner):
    runner.stand()
    said = runner.refusal(now=NOW + timedelta(days=100))
    assert "its evidence expired at 2026-06-10T15:00:00Z; to unwind it: workbench demote sma_cross" in said


def test_an_expired_model_is_refused_and_a_model_without_a_card_too(runner):
    def trained(parts: dict[str, Any]) -> None:
        complete(parts)
        parts["model/card.json"] = {"expires_at": "2026-03-02T20:00:00Z"}

    runner.stand(spoil=trained)
    runner.load(now=NOW + timedelta(hours=4))
    assert "its model expired at 2026-03-02T20:00:00Z" in runner.refusal()

    def cardless(parts: dict[str, Any]) -> None:
        complete(parts)
        parts["model/weights.json"] = [0.5]

    runner.stand(spoil=cardless)
    assert "has no part model/card.json" in runner.refusal()


def test_two_loaders_at_once_do_not_take_back_what_the_other_saw(tmp_path):
    memory = Memory(tmp_path / "loader", "data/state/loader")
    seen = [Seen(number, f"{number:064d}", NOW + timedelta(minutes=number)) for number in range(1, 21)]
    threads = [threading.Thread(target=memory.keep, args=(one,)) for one in (*seen[10:], *seen[:10])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.read() == seen[-1]
