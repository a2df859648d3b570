"""What undoes a promotion long after it: a proposal's days are over then, and what stands must still trade."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.registry.conftest import NOW, Project
from tests.registry.lifecycle.test_undo import NAME, put_in_production
from tests.registry.loader.conftest import complete
from workbench.registry.lifecycle.demote import check, demote
from workbench.registry.lifecycle.rollback import plan_rollback, roll_back
from workbench.registry.loader import AccountMode, Loaded, load
from workbench.registry.packs.approvers import Approvers

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def loaded(project: Project, stage: str, now: datetime) -> Loaded:
    approvers = Approvers.read(project.root / "params" / "approvers.yaml", project.paths)
    return load("sma_cross", stage, account=AccountMode.EMBEDDED, settings=project.settings, paths=project.paths,
                approvers=approvers, now=now)  # fmt: skip


@pytest.mark.parametrize("days", [10, 90])
def test_what_was_rolled_back_or_demoted_days_after_its_proposal_ended_is_loaded(staffed, days):
    put_in_production(staffed, 1, spoil=complete)
    put_in_production(staffed, 2, spoil=complete)
    late = NOW + timedelta(days=days)
    desk = staffed.desk(now=late)
    roll_back(desk, plan_rollback(desk, desk.state(*NAME)), "version 2 trades odd")
    found = loaded(staffed, "production", late + timedelta(hours=1))
    assert (found.version, found.mode, found.approved_by) == (1, "active", ("alice", "bob"))
    demote(desk, desk.state(*NAME), 1, "its drift is not explained")
    found = loaded(staffed, "production", late + timedelta(hours=1))
    assert (found.version, found.mode) == (1, "reduce_only")


def test_what_the_rules_demote_late_can_still_be_unwound(staffed):
    pack = staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper", drift={"rsi": 0.31})
    late = NOW + timedelta(days=10)
    desk = staffed.desk(now=late)
    (one,) = check(desk, desk.state(*NAME))
    assert one.demoted is not None
    assert loaded(staffed, "paper", late + timedelta(hours=1)).reduce_only
