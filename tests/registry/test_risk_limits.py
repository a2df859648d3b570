"""Looser limits hold from the moment a pack of the same numbers is promoted: through the real record and signatures."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.registry.conftest import NOW
from workbench.cli import main
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.operator import keep_limits, watch_limits
from workbench.params import LiveParams
from workbench.registry.lifecycle.demote import demote
from workbench.registry.lifecycle.rollback import plan_rollback, roll_back

# Inside MLflow, which has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def account(staffed):
    """A broker's paper account of this project, and what watches its limits."""
    shutil.copytree(ROOT / "params" / "risk", staffed.root / "params" / "risk")
    live = LiveParams(mode="paper", account="DU1")
    settings = staffed.settings.model_copy(update={"market": "real", "live": live})
    journal = Journal.open(settings, staffed.paths, "DU1")
    yield watch_limits(journal, settings, staffed.paths, lambda: NOW + timedelta(minutes=1))
    journal.close()


def loosen(staffed, before: int = 5, after: int = 9) -> None:
    file = staffed.root / "params" / "risk" / "default.yaml"
    file.write_text(file.read_text().replace(f"max_positions: {before}", f"max_positions: {after}"))


def promote(staffed, positions: int) -> None:
    limits = Limits().model_copy(update={"max_positions": positions}).model_dump()
    parts = {"payload/default.json": limits, "reason.json": {"reason": "nine positions after the review of May"}}
    staffed.candidate("default", "risk", parts=parts, market="real")
    staffed.promote("default", "risk", signers=("alice", "bob"), reason="nine positions, as in the review of May")


def test_looser_limits_hold_once_their_pack_is_promoted(staffed, account):
    loosen(staffed)
    refused = account.poll()
    assert refused.limits.max_positions == 5
    assert "default: nothing stands at paper" in refused.refused
    promote(staffed, 9)
    reading = account.poll()
    assert (reading.limits.max_positions, reading.refused) == (9, "")


def test_a_pack_of_other_numbers_loosens_nothing(staffed, account):
    promote(staffed, 8)
    loosen(staffed)
    reading = account.poll()
    assert reading.limits.max_positions == 5
    assert "(promoted are " in reading.refused


def test_limits_that_were_rolled_back_are_out_of_force_at_the_next_session_and_demoted_ones_stay_until_the_file(
    staffed, account
):
    promote(staffed, 7)
    promote(staffed, 9)
    loosen(staffed)
    assert account.poll(begins=True).limits.max_positions == 9
    desk = staffed.desk()
    roll_back(desk, plan_rollback(desk, desk.state("risk", "default"), "paper"), "nine were too many in June")
    assert account.poll().limits.max_positions == 9  # not in the middle of a session
    reading = account.poll(begins=True)
    assert (reading.limits.max_positions, [str(one) for one in reading.changes]) == (7, ["max_positions 9 → 7"])
    assert "loosens max_positions 7 → 9" in reading.refused
    demote(desk, desk.state("risk", "default"), 1, "seven were too many as well")
    assert account.bound() == ("", ())
    assert account.poll(begins=True).limits.max_positions == 7  # no way out of a position is closed by a record
    loosen(staffed, 9, 3)
    assert account.poll().limits.max_positions == 3


def test_the_commands_that_undo_promoted_limits_say_what_is_in_force(staffed, account, monkeypatch, capsys):
    def typed(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["workbench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out

    monkeypatch.setenv("WORKBENCH_ROOT", str(staffed.root))
    monkeypatch.setattr("workbench.clock.MachineClock.now", lambda _: NOW + timedelta(minutes=1))
    broker = ("--set", "live.mode=paper", "--set", "live.account=DU1", "--set", "market=real")
    promote(staffed, 7)
    promote(staffed, 9)
    loosen(staffed)
    journal = Journal.open(staffed.settings, staffed.paths, "DU1")
    keep_limits(journal, account.poll(), "default")
    journal.close()
    assert "promoted" not in typed("limits", *broker)
    out = typed("rollback", "default", "--kind", "risk", "--stage", "paper", "--yes")
    assert "From the next session on nothing looser than version 1 is in force; with its numbers in params/risk/" in out
    assert "from the next session on, by version 1 at paper of the promoted limits: max_positions 9 → 7" in typed(
        "limits", *broker
    )
    out = typed("demote", "default", "--kind", "risk", "--reason", "seven were too many as well")
    assert "What is in force stays as it is; to tighten it within a minute, write the numbers into params/risk/" in out
    assert "its limits loosen nothing until a new approval lifts that:" in out
    assert (
        "no promoted limits stand for this any more, and it stays in force until params/risk/default.yaml is tighter: "
        "max_positions 5 → 9"
    ) in typed("limits", *broker)
    out = typed(
        "retire", "default", "--kind", "risk", "--version", "1", "--reason", "no limits of June any more", "--yes"
    )
    assert "What is in force stays as it is" in out
