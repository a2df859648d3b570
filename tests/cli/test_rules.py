"""The rules of demotion as the runner asks them after each session: what they find is done and told, never raised."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.registry.conftest import project, staffed, store_made  # noqa: F401
from tests.registry.loader.conftest import Runner
from workbench.alerts.outbox import Outbox
from workbench.cli.rules import keep_session
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.report import Result, SessionReport
from workbench.live.session import Seat

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def valid_days() -> int:
    """How long the evidence counts."""
    return 150


@pytest.fixture
def traded(staffed, valid_days):  # noqa: F811
    """Close a session of a strategy that stands on paper, with this profit of $50,000."""
    now = datetime.now(UTC)
    pack = staffed.candidate(made_at=now - timedelta(hours=1), expires_at=now + timedelta(days=valid_days))
    staffed.promote(signers=("alice",), now=now)
    seat = Seat(SimpleNamespace(name="sma_cross"), pack.digest, 1, "paper", model_bps=1.0)  # type: ignore[arg-type]
    outbox = Outbox.open(staffed.settings, staffed.paths)

    def close(session: date, pnl: float) -> list[str]:
        result = Result("sma_cross", 1, pack.digest, "paper", 50_000.0, pnl, 2, {}, True)
        report = SessionReport("PAPER", session, 100_000.0, pnl, (), (), 0, (result,), (), "", "head")
        lease = Lease.acquire(staffed.settings, staffed.paths, "PAPER", "a test")
        journal = Journal.open(staffed.settings, staffed.paths, "PAPER", lease=lease)
        try:
            keep_session(staffed.paths, (seat,), report, journal, staffed.settings, outbox)
        finally:
            journal.close()
            lease.release()
        return [f"{alert.severity} {alert.kind}: {alert.text}" for alert in outbox.all()]

    return close


def mode(project) -> str:  # noqa: F811
    return project.desk().record.current("strategy", "sma_cross", "paper").mode


def test_a_session_that_breaks_a_rule_demotes_and_is_told_and_one_that_does_not_is_silent(staffed, traded):  # noqa: F811
    today = datetime.now(UTC).date()
    assert traded(today, 10.0) == []
    assert mode(staffed) == "active"
    assert traded(today, -5_000.0) == [
        "critical demotion: sma_cross version 1 at paper: may only reduce from now on: drawdown 10.0% in 1 sessions, "
        "99 % of paths of 20 sessions stay within 8.0%"
    ]
    assert mode(staffed) == "reduce_only"
    assert len(traded(today, -5_000.0)) == 1  # once


@pytest.mark.parametrize("valid_days", [13])
def test_that_evidence_ends_soon_is_told_once_a_week_before_it_demotes(staffed, traded, valid_days):  # noqa: F811
    today = datetime.now(UTC).date()
    (told,) = traded(today, 10.0)
    until = f"{datetime.now(UTC) + timedelta(days=valid_days):%Y-%m-%d}"
    assert told == (
        f"warning expires: sma_cross version 1 at paper: the evidence expires on {until}, and from then on it may only "
        "reduce; new evidence takes its time: workbench evidence sma_cross --fresh, then for that version: make "
        "promote STRATEGY=sma_cross"
    )
    assert len(traded(today, 10.0)) == 1
    assert mode(staffed) == "active"


def test_weights_that_expired_are_demoted_with_who_trades_by_them_judged(staffed, traded):  # noqa: F811
    now = datetime.now(UTC)
    pack = staffed.candidate("house", "weights", made_at=now - timedelta(hours=3), expires_at=now - timedelta(hours=1))
    staffed.desk(now=now - timedelta(hours=2)).state("weights", "house")
    Runner(staffed).step(pack, 1, "backtest", "paper", now - timedelta(hours=2))
    (told,) = traded(now.date(), 10.0)
    assert told.startswith("critical demotion: house version 1 at paper: may only reduce from now on: the evidence exp")
    assert staffed.desk().record.current("weights", "house", "paper").mode == "reduce_only"
    assert mode(staffed) == "active"


def test_rules_that_cannot_be_asked_stop_no_runner(staffed, traded):  # noqa: F811
    (staffed.root / "params" / "gates.yaml").write_text("profile: strict")
    (told,) = traded(datetime.now(UTC).date(), -5_000.0)
    assert told.startswith(
        "critical demotion: sma_cross version 1 at paper: the rules of demotion: params/gates.yaml: "
    )
    assert mode(staffed) == "active"
