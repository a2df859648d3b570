"""Looser limits hold from the moment a pack of the same numbers is promoted: through the real record and signatures."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.registry.conftest import NOW
from workbench.live.journal.journal import Journal
from workbench.live.limits import Limits
from workbench.live.operator import watch_limits
from workbench.params import LiveParams

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


def loosen(staffed) -> None:
    file = staffed.root / "params" / "risk" / "default.yaml"
    file.write_text(file.read_text().replace("max_positions: 5", "max_positions: 9"))


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
