"""A project with real MLflow on SQLite in which a test puts candidates, people and time as it likes."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Ledger, Question, record
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.params import Paths, Settings, TrackingParams
from workbench.registry.connection import Connection
from workbench.registry.gates.policy import Policy
from workbench.registry.gates.track_record import SessionRecord, TrackRecord
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.models import Models
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.packs.code import installed_code
from workbench.registry.packs.keys import new_key
from workbench.registry.packs.pack import Pack, make_pack
from workbench.registry.storing import EXPERIMENT, STRATEGY, keep_pack

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
QUESTION = Question("Does holding what trades above its slow average pay, after costs?", "sample")
TRIALS = 24
ACCOUNT = "DU1234567"
DRIFT = {"sma_cross": 0.0008, "xs_momentum": 0.0006, "mean_reversion": 0.00028}


def curves(name: str) -> bytes:
    """As many returns as its statistics count, a strategy's own: three of them differ in what they earn."""
    noise = np.random.default_rng(sum(map(ord, name))).normal(0.0, 0.01, 1250)
    index = pd.bdate_range("2020-01-01", periods=1250)
    return pd.DataFrame({"return": noise - noise.mean() + DRIFT.get(name, 0.0)}, index=index).to_parquet()


def strategy_parts(name: str, head: str) -> dict[str, Any]:
    """The JSON parts of a candidate that passes every gate."""
    report = {
        "name": name, "kind": "strategy", "params": {"fast": 20, "slow": 150}, "findings": [], "doubts": [],
        "clean": True,
        "checks": [{"name": "truncation", "dates": 16, "runs": 16}],
    }  # fmt: skip
    return {
        "params.json": {
            "strategy": name, "params": {"fast": 20, "slow": 150}, "symbols": ["AAA00", "AAA01"], "set": {},
            "costs": {"schedule": "ib_fixed", "spread_bps": 2.0, "proportional_bps": 5.0},
        },
        "statistics.json": {
            "in_sample": {"sharpe": 2.0},
            "out_of_sample": {"sharpe": 1.8, "max_drawdown": -0.10, "profit_factor": 1.9, "trades": 140.0},
            "folds": [{"test_score": score} for score in (1.2, 0.4, -0.3, 2.2, 1.0)],
            "overfitting": {
                "n": 1250, "trials": TRIALS, "effective_trials": 6, "dsr": 0.97, "pbo": 0.2,
                "pbo_all": 0.12, "min_track_record": 310.4, "missing": {},
            },
            "robustness": {"variants": [{"group": "costs", "name": "2× costs", "sharpe": 1.1, "cagr": 0.06}]},
            "drawdown_band": {
                "bounds": {
                    "20": {"0.95": -0.05, "0.99": -0.08},
                    "60": {"0.95": -0.08, "0.99": -0.12},
                    "250": {"0.95": -0.13, "0.99": -0.18},
                },
                "measured": -0.10, "sessions": 1250, "draws": 4000, "mean_block": 8.0, "seed": 7,
            },
        },
        "validation.json": {
            "prices_daily": {"version": 3, "passed": True, "rows": 5000, "rules": ["close_positive"],
                             "broken": {"rows": 0, "rules": []}, "quarantined": {}}
        },
        "data.json": {"prices_daily": {"version": 3, "id": "x", "digest": "d", "rows": 5000}},
        "lookahead.json": {"strategy": name, "reports": [report]},
        "trials.json": {"head": head, "trials": TRIALS, "effective_trials": 6, "elsewhere": 0, "question": QUESTION.id,
                        "text": QUESTION.text, "market": QUESTION.market},
        "gates.json": {"stage": "paper", "policy": "", "verdicts": []},
    }  # fmt: skip


OTHER_PARTS: dict[str, dict[str, Any]] = {
    "weights": {
        "payload/weights.json": {
            "weights": {"sma_cross": 0.4, "xs_momentum": 0.35, "mean_reversion": 0.25},
            "strategies": {
                "sma_cross": {"signals": 34, "sharpe": 0.7},
                "xs_momentum": {"signals": 10, "sharpe": 0.9},
                "mean_reversion": {"signals": 51, "sharpe": 0.31},
            },
            "expected_improvement": 0.08,
        },
        "reason.json": {"reason": "xs_momentum has earned more of the risk since May"},
    },
    "risk": {
        "payload/limits.json": {"max_gross": 1.0, "per_symbol": {"max_weight": 0.1}},
        "reason.json": {"reason": "halved after the review of January"},
    },
}


@dataclass
class Project:
    """A checkout with its own store, ledger, keys and approvers."""

    root: Path
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    result: WalkForward | None = None
    made: int = 0

    @property
    def paths(self) -> Paths:
        return Paths(self.root)

    def desk(self, now: datetime = NOW, who: str = "quinn") -> Desk:
        """The desk as a person sees it at a moment; another desk shares nothing but the disk."""
        models = Models(Connection(self.settings, self.paths))
        return Desk(self.settings, self.paths, Lifecycle.open(self.settings, self.paths), models, now, who)

    def person(self, name: str, passphrase: str = "", listed: bool = True, **facts: Any) -> str:
        """Give someone a key, put them on the list, and return their public key."""
        key = new_key(name, self.paths, passphrase)
        if listed:
            self.people[name] = {"key": key.public, **facts}
            self.write_approvers()
        return key.public

    def write_approvers(self) -> None:
        (self.root / "params" / "approvers.yaml").write_text(json.dumps({"approvers": self.people}))
        if (self.root / ".git").is_dir():
            self.commit_approvers()

    def commit_approvers(self) -> None:
        """Commit the list as a person does before money is at stake."""
        git = ["git", "-C", str(self.root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
        for words in (["init", "-q"], ["add", "params/approvers.yaml"], ["commit", "-qm", "Who may.", "--allow-empty"]):
            subprocess.run([*git, *words], check=True)

    def try_cells(self, count: int = TRIALS, seed: int = 5) -> str:
        """Record trials of the question and return the ledger's head."""
        index = pd.date_range("2020-01-01", periods=60, freq="B")
        random = np.random.default_rng(seed)
        returns = pd.DataFrame(random.normal(0.0, 0.01, (60, count)), index=index)
        cells = [{"fast": 5 + seed, "slow": 50 + number} for number in range(count)]
        return record(Ledger(self.paths.trials), QUESTION, "sma_cross", cells, returns, source="sweep").head

    def candidate(
        self, name: str = "sma_cross", kind: str = STRATEGY, *, parts: dict[str, Any] | None = None,
        spoil: Callable[[dict[str, Any]], None] | None = None, **facts: Any,
    ) -> Pack:  # fmt: skip
        """Put a candidate's pack with a run of its own; ``spoil`` changes its JSON parts, ``facts`` its manifest."""
        connection = Connection(self.settings, self.paths)
        self.made += 1
        files: dict[str, bytes] = {}
        if parts is None and kind == STRATEGY:
            parts = strategy_parts(name, self.head())
        parts = copy.deepcopy(OTHER_PARTS[kind]) if parts is None else parts
        if self.result is not None and "statistics.json" in parts:
            parts["statistics.json"]["overfitting"]["n"] = len(self.result.simulation.returns)
        if spoil:
            spoil(parts)
        if self.result is not None and kind == STRATEGY:
            folder = self.root / "made" / str(self.made)
            self.result.save(folder)
            files |= {f"result/{file.name}": file.read_bytes() for file in folder.iterdir()}
        elif kind == STRATEGY:
            files["result/curves.parquet"] = curves(name)
        files |= {path: json.dumps(value).encode() for path, value in parts.items()}
        client = connection.client()
        run = client.create_run(connection.experiment_id(None if kind == STRATEGY else EXPERIMENT))
        wanted: dict[str, Any] = {
            "kind": kind, "name": name, "market": "sample", "made_by": "ann",
            "made_at": NOW - timedelta(days=40) + timedelta(minutes=self.made),
            "expires_at": NOW + timedelta(days=100),
            "policy": Policy.read(self.root / "params" / "gates.yaml", self.paths).digest,
            "code": installed_code(name, "a" * 40) if kind == STRATEGY else None,
            "run_id": run.info.run_id,
        }  # fmt: skip
        pack = make_pack(files=files, **{**wanted, **facts})
        keep_pack(connection, pack, run.info.run_id)
        client.set_terminated(run.info.run_id, "FINISHED")
        return pack

    def head(self) -> str:
        """The ledger's head, with the trials of the question in it."""
        ledger = Ledger(self.paths.trials)
        return ledger.verify().head or self.try_cells()

    def run_folder(self, pack: Pack) -> Path:
        """Where the candidate of a pack lies."""
        place = Connection(self.settings, self.paths).artifact_folder(pack.run_id)
        assert place is not None
        return place / "promotion"

    def track(self, pack: Pack, version: int, stage: str, /, **changes: Any) -> None:
        """Write what the runner would write of 38 sessions at a stage, one trade each."""
        days = [day for number in range(80) if (day := date(2026, 1, 22) + timedelta(days=number)).weekday() < 5][:28]
        steps = [1_000.0] * 7 + [2_500.0] * 7 + [5_000.0] * 7 + [10_000.0] * 7
        sessions = tuple(
            SessionRecord(date=day, equity=100_000.0 + number, pnl=1.0, trades=2, capital=held, positions_equal=True)
            for number, (day, held) in enumerate(zip(days, steps, strict=True))
        )
        facts: dict[str, Any] = {
            "strategy": pack.name, "version": version, "pack": pack.digest, "stage": stage,
            "account_mode": "embedded", "market": pack.market, "sessions": sessions, "fills": 41,
            "slippage_bps": 2.2, "slippage_model_bps": 2.0, "journal_head": self.journaled({"action": "note"}),
            "account": ACCOUNT,
        }  # fmt: skip
        if not (self.root / ".git").is_dir():
            self.commit_approvers()
        file = self.paths.state / "records" / pack.kind / pack.name / str(version) / f"{stage}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        record = TrackRecord(**{**facts, **changes})
        file.write_bytes(record.bytes())
        self.journaled({"record": record.digest, "sessions": []}, record.key)

    def journaled(self, said: dict[str, Any], key: str = "") -> str:
        """Return the event of a journal of trading, which is written for it."""
        journal = Journal.open(self.settings, self.paths, ACCOUNT, clock=lambda: NOW + timedelta(days=365))
        try:
            (event,) = journal.append(Draft(Kind.OPERATOR, said, key))
            return event.head
        finally:
            journal.close()

    def promote(
        self, name: str = "sma_cross", kind: str = STRATEGY, version: int | None = None, signers: tuple[str, ...] = (),
        now: datetime = NOW, reason: str = "", force: str | None = None,
    ) -> Any:  # fmt: skip
        """Take a version's next step as people would: propose, sign, promote; the transition comes back."""
        from workbench.registry.lifecycle.evaluation import choose, evaluate
        from workbench.registry.lifecycle.promote import approve, commit, propose, rule

        desk = self.desk(now)
        state = desk.state(kind, name)
        number = choose(state, version)
        propose(desk, rule(evaluate(desk, state, number), force))
        for signer in signers:
            approve(desk, evaluate(desk, state, number), signer, reason, "")
        return commit(desk, rule(evaluate(desk, state, number), force))


@pytest.fixture(scope="session")
def store_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in it: making them takes seconds, copying none."""
    root = tmp_path_factory.mktemp("store")
    Connection(Settings(), Paths(root)).client()
    return root / "mlruns" / "mlflow.db"


@dataclass
class Server:
    """A real MLflow server that keeps database and artifacts itself; clients know it by its address only."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        return Settings(tracking=TrackingParams(uri=f"http://127.0.0.1:{self.port}"))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
             "--artifacts-destination", str(self.folder / "artifacts"), "--port", str(self.port), "--workers", "1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # its workers take longer than it does
        )  # fmt: skip
        for _ in range(600):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError("the server did not answer within a minute")

    def stop(self) -> None:
        """Let it die as it would with its machine: at once, whatever it is doing."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None


@pytest.fixture
def server(store_made: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that runs, empty; it may be stopped and started again."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(store_made, folder / "mlflow.db")
    made = Server(folder, port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def project(store_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project of its own: parameters of this checkout, an empty MLflow, no ledger, no record, nobody on the list."""
    root = tmp_path / "a project"
    (root / "mlruns").mkdir(parents=True)
    shutil.copy(store_made, root / "mlruns" / "mlflow.db")
    (root / "params").mkdir()
    for name in ("base.yaml", "gates.yaml"):
        shutil.copy(ROOT / "params" / name, root / "params" / name)
    shutil.copytree(ROOT / "params" / "strategies", root / "params" / "strategies")
    monkeypatch.setenv("WORKBENCH_KEYS", str(tmp_path / "keys"))
    made = Project(root)
    made.write_approvers()
    return made


@pytest.fixture
def staffed(project: Project) -> Project:
    """The project with two people who may sign everything."""
    project.person("alice")
    project.person("bob")
    return project
