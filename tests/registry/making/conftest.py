"""A project in a folder, with git, a lake, a ledger, MLflow, and walk-forwards made by hand recorded in it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import Robustness, Variant
from workbench.params import Paths, Settings, TrackingParams, load_strategy_params
from workbench.registry.making.evidence import Found, Made, make_evidence
from workbench.registry.runs import Tracking
from workbench.source import PACKAGE

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 3, 2, 15, 0, 30, tzinfo=UTC)
PINS = {"prices_daily": {"version": 3, "digest": "9f86d081"}, "actions": {"version": 1, "digest": "60303ae2"}}
REPORT = {
    "name": "sma_cross", "kind": "strategy", "params": {"fast": 20, "slow": 150}, "findings": [], "doubts": [],
    "clean": True,
    "checks": [{"name": "truncation", "dates": 16, "runs": 17}],
}  # fmt: skip


def with_card(made: WalkForward) -> WalkForward:
    """Return the walk-forward with a robustness card of two rows, made by hand."""
    base = Variant("", "as traded", "nothing", 0.87, 0.082, -0.128, 1.0, 2012)
    doubled = Variant("costs", "2× costs", "every cost twice as much", 0.55, 0.05, -0.15, 0.63, 2012)
    return replace(made, robustness=Robustness(base, (doubled,), {"sectors": "the universe is one sector"}))


@dataclass
class Bench:
    """The project, and a recorded walk-forward in it."""

    paths: Paths
    settings: Settings
    made: WalkForward
    run_id: str
    found: Found

    @property
    def tracking(self) -> Tracking:
        return Tracking(self.settings, self.paths)

    def evidence(self, now: datetime = NOW, **found: object) -> Made:
        """Make the pack of the recorded walk-forward."""
        return make_evidence("sma_cross", self.run_id, replace(self.found, **found), self.settings, self.paths, now)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a line of a file of the project, and commit it."""
        file = self.paths.root / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        commit(self.paths.root)


def commit(root: Path) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["add", "-A"], ["commit", "-qm", "A state."]):
        subprocess.run([*git, *words], check=True)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all: making its schema takes two seconds."""
    return tmp_path_factory.mktemp("store") / "mlflow.db"


@pytest.fixture
def bench(tmp_path: Path, store: Path, request: pytest.FixtureRequest, walk_forward_of: Callable[..., WalkForward]):
    """A committed project with one recorded walk-forward, and what the steps before found of it."""
    name = request.node.name.replace("[", "-").replace("]", "")[:80]
    return make_bench(tmp_path / "project", f"sqlite:///{store}", name, walk_forward_of)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory, store: Path, walk_forward_of: Callable[..., WalkForward]):
    """The same with its pack, for tests that only read."""
    bench = make_bench(tmp_path_factory.mktemp("proven"), f"sqlite:///{store}", "proven", walk_forward_of)
    return bench, bench.evidence()


def make_bench(root: Path, uri: str, name: str, walk_forward_of: Callable[..., WalkForward]) -> Bench:
    for file in ("params/base.yaml", "params/gates.yaml", "params/strategies/sma_cross.yaml", "locks/research.lock"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    shutil.copytree(PACKAGE, root / "src" / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    (root / ".gitignore").write_text("/data/\n/mlruns/\n")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    commit(root)
    paths = Paths(root)
    settings = Settings(tracking=TrackingParams(uri=uri, experiment=name))
    params = load_strategy_params("sma_cross", paths)
    made = with_card(walk_forward_of(question=params.question))
    run_id = Tracking(settings, paths).log_walk_forward(made, params=params, tables=PINS, run_id="20260302-backtest")
    notebook = paths.runs / "r" / "walk_forward-sma_cross" / "notebook.ipynb"
    notebook.parent.mkdir(parents=True)
    cell = {
        "cell_type": "code", "execution_count": 3, "metadata": {}, "source": ["result = walk_forward(strategy)\n"],
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["9 cells × 8 folds\n"]}],
    }  # fmt: skip
    notebook.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    found = Found(
        pins=PINS,
        tables={"prices_daily": {"version": 3, "id": "a-b", "digest": "9f86d081", "rows": 12}},
        validation={
            "prices_daily": {
                "version": 3, "passed": True, "rows": 12, "files": 1, "rules": ["jump"], "quarantined": {},
                "broken": {"rows": 0, "rules": []},
            }
        },
        lookahead=[REPORT],
        notebooks={"walk_forward-sma_cross.ipynb": notebook},
    )  # fmt: skip
    return Bench(paths, settings, made, run_id, found)
