"""What the only door into the runner lets through, and what it says where nothing stands."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.conftest import NOW
from tests.registry.loader.conftest import LATER, SIZING, Runner, complete
from workbench.errors import DataRefused, InputRefused, NoData
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.loader import AccountMode, LoadedPayload, load_payload

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def test_what_stands_at_a_stage_is_built_from_its_own_parameters(runner):
    pack = runner.stand("staged_live")
    found = runner.load("staged_live", AccountMode.LIVE)
    assert (found.strategy.name, found.strategy.symbols) == ("sma_cross", ("AAA00", "AAA01"))
    assert (found.strategy.fast, found.strategy.slow, found.strategy.sizing) == (20, 150, SIZING)
    assert (found.pack, found.version, found.stage, found.mode) == (pack, 1, "staged_live", "active")
    assert found.limits == {"capital_steps": [1000, 2500]}
    assert (found.source, found.approved_by, found.warnings) == ("mlflow", ("alice", "bob"), ())
    assert not found.reduce_only


def test_each_stage_has_its_own_version(runner):
    runner.stand("production")
    runner.stand("paper", spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    assert (runner.load().version, runner.load().strategy.fast) == (2, 10)
    assert runner.load("production", AccountMode.LIVE).version == 1


def test_reduce_only_is_passed_on(runner):
    pack = runner.stand()
    desk = runner.project.desk()
    state = desk.record.state("strategy", "sma_cross")
    desk.record.append(
        Transition(kind="strategy", name="sma_cross", version=1, action="demote", from_stage="paper", to_stage="paper",
                   pack=pack.digest, who="quinn", at=NOW, reason="drift", mode="reduce_only"), after=state,
    )  # fmt: skip
    found = runner.load()
    assert (found.mode, found.reduce_only) == ("reduce_only", True)
    late = runner.load(now=NOW + timedelta(days=101))  # its evidence is over, its positions are still there
    assert "expired at 2026-06-10T15:00:00Z; it may only reduce" in late.warnings[0]


def test_what_was_promoted_through_the_gates_is_let_through(staffed):
    staffed.candidate(spoil=complete)
    staffed.promote(signers=("alice",))
    found = Runner(staffed).load(account=AccountMode.EMBEDDED, market="sample")
    assert (found.version, found.approved_by) == (1, ("alice",))


def test_risk_limits_are_let_through_as_bytes(staffed):
    staffed.candidate("limits", "risk", market="real")
    staffed.promote("limits", "risk", signers=("alice",))
    runner = Runner(staffed)
    settings = staffed.settings.model_copy(update={"market": "real"})
    asked: dict[str, Any] = {"account": AccountMode.PAPER, "settings": settings, "paths": staffed.paths,
                             "approvers": runner.approvers, "now": LATER}  # fmt: skip
    found = load_payload("risk", "limits", "paper", **asked)
    assert isinstance(found, LoadedPayload)
    assert (found.file, json.loads(found.content)) == (
        "limits.json", {"max_gross": 1.0, "per_symbol": {"max_weight": 0.1}},
    )  # fmt: skip
    for kind in ("strategy", "rubbish"):
        with pytest.raises(InputRefused, match="is none of weights, risk, prompt"):
            load_payload(kind, "limits", "paper", **asked)


def test_nothing_at_a_stage_is_told_with_what_stands_elsewhere(runner):
    runner.stand()
    with pytest.raises(NoData, match=r"nothing stands at production \(version 1 at paper\)"):
        runner.load("production", AccountMode.LIVE)
    with pytest.raises(NoData, match=r"xs_momentum: nothing stands at paper \(nothing anywhere\)"):
        runner.load(name="xs_momentum")


def test_a_stage_an_account_or_a_moment_that_is_none_is_refused(runner):
    with pytest.raises(InputRefused, match="Did you mean 'production'"):
        runner.load("producton")
    with pytest.raises(InputRefused, match="account 'live' is none of embedded, paper, live"):
        runner.load(account="live")  # type: ignore[arg-type]
    with pytest.raises(InputRefused, match="has no time zone"):
        runner.load(now=datetime(2026, 3, 3))


def test_a_record_that_allows_what_no_rule_does_is_refused(runner):
    runner.stand()
    file = runner.project.paths.state / "workbench.db"
    with sqlite3.connect(file) as database:
        database.execute("DROP TRIGGER transitions_update")
        database.execute("UPDATE transitions SET pack = ? WHERE number = 2", ("9" * 64,))
    database.close()
    with pytest.raises(DataRefused, match="was changed: its digest is"):
        runner.load()


def test_importing_the_loader_imports_nothing_heavy():
    heavy = ["mlflow", "vectorbt", "matplotlib", "papermill", "jupyter_client", "IPython", "torch", "scipy", "sklearn",
             "workbench.backtest", "deltalake"]  # fmt: skip
    script = f"import sys, workbench.registry.loader; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_no_model_loader_and_no_unpickling_is_named_anywhere_in_the_door():
    source = Path(__file__).parents[3] / "src" / "workbench" / "registry"
    for file in [*(source / "loader").glob("*.py"), *(source / "packs").glob("*.py")]:
        text = file.read_text()
        for word in ("load_model", "pyfunc", "import pickle", "cloudpickle", "joblib", "exec(", "eval(", "torch"):
            assert word not in text.replace("literal_eval(", ""), f"{file.name}: {word}"
