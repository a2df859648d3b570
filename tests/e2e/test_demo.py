"""The demo from its first act to its last, and what it leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench.backtest.result import WalkForward
from workbench.demo.acts import BECAUSE
from workbench.demo.stage import COPIED
from workbench.live.journal.event import Kind
from workbench.live.journal.journal import Journal
from workbench.params import Paths, Settings
from workbench.registry.lifecycle.record import Lifecycle

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, str]:
    """The demo's project after `workbench demo` in a copy of this checkout, and all that was printed."""
    root = tmp_path_factory.mktemp("demo")
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, root / name)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    done = subprocess.run(
        [sys.executable, "-m", "workbench.cli", "demo"],
        env={**clean, "PYTHONPATH": str(root / "src"), "WORKBENCH_ROOT": str(root), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=1400, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return Paths(root / "data" / "demo" / "project"), done.stdout


def test_one_version_went_through_every_stage_with_two_signatures_and_without_force(played):
    paths, said = played
    steps = [step for step in Lifecycle.open(Settings(), paths).transitions() if step.name == "xs_momentum"]
    assert [step.to_stage for step in steps] == ["backtest", "paper", "staged_live", "production"]
    assert not any(step.forced for step in steps)
    assert all(step.who.endswith("(simulated time)") for step in steps)
    assert [step.at.date().isoformat() for step in steps] == ["2024-06-28", "2024-06-28", "2024-08-26", "2024-10-22"]
    approvals = list((paths.mlruns / "artifacts").rglob("promotion/approvals/*/*.json"))
    signers = sorted((json.loads(file.read_bytes())["to_stage"], file.stem) for file in approvals)
    stages = ("paper", "production", "staged_live")
    assert signers == [(stage, name) for stage in stages for name in ("ada", "ben")]
    assert "SIMULATED TIME" in said


def test_the_reason_that_ben_writes_is_true(played):
    paths, _ = played
    (folder,) = [
        file.parent / "result"
        for file in (paths.mlruns / "artifacts").rglob("promotion/pack/parts/params.json")
        if json.loads(file.read_bytes())["strategy"] == "xs_momentum"
    ]
    cells = WalkForward.load(folder).cells
    assert len(cells) == 12
    assert f"the worst a Sharpe ratio of {cells['test_score'].min():.2f}" in BECAUSE


@pytest.mark.parametrize("stage", ["paper", "staged_live"])
def test_forty_sessions_of_each_stage_lie_after_the_evidence_and_hold_what_research_holds(played, stage):
    paths, said = played
    record = json.loads((paths.state / f"records/strategy/xs_momentum/1/{stage}.json").read_bytes())
    assert record["simulated"] is True
    assert len(record["sessions"]) == 40
    assert record["sessions"][0]["date"] > "2024-06-28"
    assert all(session["positions_equal"] for session in record["sessions"])
    assert said.count("40 of 40 sessions hold what research holds") == 2


def test_after_the_kill_at_the_gateway_no_order_is_lost_and_none_was_sent_twice(played):
    paths, said = played
    journal = Journal.open(Settings(), paths, "DU1234567")
    events = list(journal.events())
    book = journal.book
    journal.close()
    fills = [event for event in events if event.kind is Kind.FILL]
    assert len({event.key for event in events if event.kind is Kind.INTENT}) == len(book.orders)
    assert not book.open_orders
    assert not book.positions  # the emergency stop closed everything
    assert fills
    assert "the journal and the broker agree" in said
    assert "flat: no position and no open order" in said
    assert events[0].at.date() == datetime(2024, 10, 23, tzinfo=UTC).date()


def test_nothing_of_the_demo_is_in_the_project_it_was_started_from(played):
    paths, _ = played
    home = paths.root.parents[2]
    assert not (home / "mlruns").exists()
    assert not (home / "data" / "state").exists()
    with closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as store:
        (count,) = store.execute("select count(*) from model_versions").fetchone()
    assert count >= 2
