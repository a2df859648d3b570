"""The machine that trades, in a folder, with what stands there put by hand."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.conftest import NOW, Project
from workbench.errors import WorkbenchError
from workbench.params import SizingParams
from workbench.registry.gates.policy import asked_always
from workbench.registry.lifecycle.state import Standing
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.loader import AccountMode, Loaded, load
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.keys import load_key
from workbench.registry.packs.pack import Pack
from workbench.registry.packs.proposal import Proposal, sign

LATER = NOW + timedelta(days=1)
SIZING = SizingParams(target_volatility=None)
STAGES = ("paper", "staged_live", "production")


def complete(parts: dict[str, Any], **changes: Any) -> None:
    """Give a candidate the parameters that a real pack has."""
    parts["params.json"] |= {"sizing": SIZING.model_dump(mode="json"), "lookback": 155} | changes


@dataclass
class Runner:
    """The machine that trades: a project, its own key list, and one approved candidate."""

    project: Project

    def stand(self, to: str = "paper", name: str = "sma_cross", **changes: Any) -> Pack:
        """Approve a candidate up to a stage, by proposals, signatures and transitions as they are kept."""
        facts = {"market": "real", "spoil": complete} | {key: value for key, value in changes.items() if key in FACTS}
        pack = self.project.candidate(name, **facts)
        desk = self.project.desk()
        state = desk.state("strategy", name)
        version = state.with_pack(pack.digest).version
        before = "backtest"
        for number, stage in enumerate(STAGES[: STAGES.index(to) + 1]):
            at = NOW + timedelta(minutes=10 * number)
            self.step(pack, version, before, stage, at, **changes)
            before = stage
        return pack

    def step(self, pack: Pack, version: int, before: str, stage: str, at: datetime, **changes: Any) -> Proposal:
        """Propose, sign and record one step of a version, whatever the gates would have said."""
        verdict = {"gate": "sharpe", "asked": "> 1.5", "measured": "1.8", "outcome": "pass", "why": "", "remedy": ""}
        proposal = Proposal(
            kind=pack.kind, name=pack.name, version=version, market=pack.market, pack=pack.digest,
            from_stage=before, to_stage=stage, policy=pack.policy, verdicts=(verdict,), record="", trials_head="",
            limits={"capital_steps": [1000, 2500]} if stage == "staged_live" else {},
            approvals=2, made_by="quinn", made_at=at, expires_at=at + timedelta(days=7),
        )  # fmt: skip
        proposal = replace(proposal, **changes.get("proposal", {}))
        if proposal.verdicts:
            told = {row["gate"] for row in proposal.verdicts} | set(changes.get("unasked", ()))
            rest = [{**verdict, "gate": name} for name in asked_always(pack.kind, stage) if name not in told]
            proposal = replace(proposal, verdicts=(*proposal.verdicts, *rest))
        desk = self.project.desk(at)
        state = desk.record.state(pack.kind, pack.name)
        path = f"proposals/{proposal.to_stage}/{proposal.digest}.json"
        desk.models.keep(state, version, path, proposal.bytes())
        for who in changes.get("signers", ("alice", "bob")):
            approval = sign(proposal, load_key(who, self.project.paths), who, changes.get("reason", ""), at)
            desk.models.keep(state, version, f"approvals/{proposal.digest}/{who}.json", approval.bytes())
        here = state.standing.get(stage)
        desk.record.append(
            Transition(
                kind=pack.kind, name=pack.name, version=version, action="promote", from_stage=before, to_stage=stage,
                pack=pack.digest, proposal=changes.get("recorded", proposal.digest), who="quinn", at=at,
                replaces=here.version if here else 0, reason="forced once" if changes.get("forced") else "",
                forced=bool(changes.get("forced")) and stage == "paper",
            ),
            after=state,
        )  # fmt: skip
        desk.finish(pack.kind, pack.name)
        return proposal

    def standing(self, stage: str = "paper", name: str = "sma_cross") -> Standing:
        found = self.project.desk().record.current("strategy", name, stage)
        assert found is not None
        return found

    @property
    def approvers(self) -> Approvers:
        return Approvers.read(self.project.root / "params" / "approvers.yaml", self.project.paths)

    def load(
        self, stage: str = "paper", account: AccountMode = AccountMode.PAPER, now: datetime = LATER,
        market: str = "real", name: str = "sma_cross",
    ) -> Loaded:  # fmt: skip
        settings = self.project.settings.model_copy(update={"market": market})
        return load(name, stage, account=account, settings=settings, paths=self.project.paths,
                    approvers=self.approvers, now=now)  # fmt: skip

    def refusal(self, **asked: Any) -> str:
        """Return the one line with which a load is refused."""
        with pytest.raises(WorkbenchError) as refused:
            self.load(**asked)
        text = str(refused.value)
        assert "\n" not in text
        return text

    def files(self, pack: Pack) -> list[Path]:
        return sorted(path for path in self.project.run_folder(pack).rglob("*") if path.is_file())

    def away(self) -> None:
        """Take MLflow away, database and artifacts."""
        (self.project.root / "mlruns").rename(self.project.root / "mlruns.gone")


FACTS = {"market", "spoil", "code", "expires_at", "made_at", "policy", "parts"}


@pytest.fixture
def runner(staffed: Project) -> Runner:
    return Runner(staffed)


COUNT = 12  # eight parts, the manifest, the proposal, two approvals


@pytest.fixture(scope="module")
def stood(store_made, tmp_path_factory):
    """A runner with one candidate on paper, made once: each test takes its own copy."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("stood")
        patch.setenv("WORKBENCH_KEYS", str(root / "keys"))
        place = root / "project"
        (place / "mlruns").mkdir(parents=True)
        shutil.copy(store_made, place / "mlruns" / "mlflow.db")
        checkout = Path(__file__).parents[3] / "params"
        shutil.copytree(checkout, place / "params")
        project = Project(place)
        for name in ("alice", "bob"):
            project.person(name)
        runner = Runner(project)
        runner.stand()
        yield runner


@pytest.fixture
def fresh(stood: Runner):
    """The made runner, put back as it was after the test."""
    kept = stood.project.root.parent / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(stood.project.root, kept, symlinks=True)
    yield stood
    shutil.rmtree(stood.project.root)
    kept.rename(stood.project.root)


def only(runner: Runner) -> Path:
    """The one candidate's folder."""
    found = list((runner.project.root / "mlruns").rglob("promotion"))
    assert len(found) == 1
    return found[0]
