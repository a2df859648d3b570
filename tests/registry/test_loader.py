"""The only door into the runner: what it lets through, and everything that it does not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.registry.conftest import NOW, Project
from workbench.errors import DataRefused, InputRefused, NoData, PackRefused, WorkbenchError
from workbench.params import SizingParams
from workbench.registry.connection import Connection
from workbench.registry.lifecycle.state import Standing
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.loader import AccountMode, Loaded, LoadedPayload, load, load_payload
from workbench.registry.loader.memory import Memory, Seen
from workbench.registry.packs.approvers import Approvers
from workbench.registry.packs.canonical import canonical, sha256
from workbench.registry.packs.code import installed_code
from workbench.registry.packs.keys import load_key
from workbench.registry.packs.pack import Pack
from workbench.registry.packs.proposal import Proposal, sign

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
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


# What is let through


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
        "limits.json", {"max_gross": 1.2, "per_symbol": {"max_weight": 0.1}},
    )  # fmt: skip
    for kind in ("strategy", "rubbish"):
        with pytest.raises(InputRefused, match="is none of weights, risk, prompt"):
            load_payload(kind, "limits", "paper", **asked)


# Files: every one of a candidate


COUNT = 11  # seven parts, the manifest, the proposal, two approvals


@pytest.fixture(scope="module")
def stood(store_made, tmp_path_factory):
    """A runner with one candidate on paper, made once: each test takes its own copy."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("stood")
        patch.setenv("WORKBENCH_KEYS", str(root / "keys"))
        place = root / "project"
        (place / "mlruns").mkdir(parents=True)
        shutil.copy(store_made, place / "mlruns" / "mlflow.db")
        checkout = Path(__file__).parents[2] / "params"
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


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("attack", ["flipped", "cut", "missing", "linked"])
def test_any_file_flipped_cut_missing_or_linked_is_refused(fresh, tmp_path, number, attack):
    files = sorted(path for path in only(fresh).rglob("*") if path.is_file())
    assert len(files) == COUNT
    file = files[number]
    content = file.read_bytes()
    if attack == "flipped":
        file.write_bytes(bytes([content[0] ^ 4, *content[1:]]))
    elif attack == "cut":
        file.write_bytes(content[:-1])
    elif attack == "missing":
        file.unlink()
    else:
        file.rename(tmp_path / "same bytes")
        file.symlink_to(tmp_path / "same bytes")
    said = fresh.refusal()
    named = file.name if file.name == "manifest.json" else file.name[:12]
    counted = attack == "missing" and ("lacks 1 approval" in said or "was taken away" in said)
    exchanged = file.name == "manifest.json" and "it was exchanged" in said  # another manifest is another pack
    assert named in said or counted or exchanged
    assert not list((fresh.project.paths.state / "loader").glob("candidates/*"))


@pytest.mark.parametrize(
    "path",
    ["MLmodel", "pack/parts/model/MLmodel", "pack/parts/model/python_model.pkl", "pack/parts/model.json",
     "code/loader_module.py", "pack/loader.yaml", "approvals/alice.json"],
)  # fmt: skip
def test_any_file_added_is_refused_and_nothing_of_it_runs(fresh, tmp_path, path):
    trap = tmp_path / "ran"
    content = {
        ".pkl": f"cposix\nsystem\n(S'touch {trap}'\ntR.",
        ".json": f"cposix\nsystem\n(S'touch {trap}'\ntR.",
        ".py": f"open({str(trap)!r}, 'w')",
    }.get(Path(path).suffix, "flavors:\n  python_function:\n    loader_module: evil\n    code_paths: [code]\n")
    file = only(fresh) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    assert path in fresh.refusal()
    assert not trap.exists()


@pytest.mark.parametrize("place", ["promotion", "promotion/pack", "promotion/pack/parts", "promotion/approvals"])
def test_a_folder_that_is_a_link_out_of_the_store_is_refused(fresh, tmp_path, place):
    folder = only(fresh).parent / place
    folder.rename(tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside", target_is_directory=True)
    assert "link" in fresh.refusal()


def test_the_run_folder_as_a_link_out_of_the_store_is_refused(fresh, tmp_path):
    run = only(fresh).parent.parent
    run.rename(tmp_path / "outside")
    run.symlink_to(tmp_path / "outside", target_is_directory=True)
    assert "is a link or no folder" in fresh.refusal()


def test_a_run_whose_artifacts_mlflow_says_lie_elsewhere_is_refused(runner, tmp_path):
    pack = runner.stand()
    shutil.copytree(runner.project.run_folder(pack).parent, tmp_path / "elsewhere")
    with sqlite3.connect(runner.project.root / "mlruns" / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = ?", ((tmp_path / "elsewhere").as_uri(),))
    database.close()
    assert "lies outside of where artifacts are kept" in runner.refusal()


def test_a_store_swapped_while_loading_gives_the_verified_bytes_or_a_refusal(fresh):
    folder = only(fresh)
    evil, aside = folder.with_name("evil"), folder.with_name("aside")
    shutil.copytree(folder, evil)
    params = evil / "pack" / "parts" / "params.json"
    params.write_bytes(params.read_bytes().replace(b"20", b"21"))
    expected = sha256((folder / "pack" / "parts" / "params.json").read_bytes())
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            evil.rename(folder)
            folder.rename(evil)
            aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    results = {"loaded": 0, "refused": 0}
    try:
        for _ in range(25):
            try:
                found = fresh.load()
            except PackRefused:
                results["refused"] += 1
                continue
            results["loaded"] += 1
            assert found.strategy.fast == 20
            assert sha256(found.pack.read("params.json")) == expected
    finally:
        stop.set()
        thread.join()
    assert sum(results.values()) == 25
    assert fresh.load().strategy.fast == 20


# Keys and signatures


def test_a_proposal_signed_by_an_unlisted_key_is_refused(runner):
    runner.project.person("mallory", listed=False)
    runner.stand(signers=("alice", "mallory"))
    said = runner.refusal()
    assert "lacks 1 approval more of 2 (signed by alice" in said
    assert "mallory: not in params/approvers.yaml" in said


def test_a_person_taken_off_the_list_no_longer_counts(runner):
    runner.stand()
    runner.load()
    del runner.project.people["bob"]
    runner.project.write_approvers()
    assert "bob: not in params/approvers.yaml" in runner.refusal()


@pytest.mark.parametrize(("stage", "asked", "signers"), [
    ("paper", 0, ()), ("staged_live", 1, ("alice",)), ("production", 0, ()), ("production", 1, ("alice",)),
])  # fmt: skip
def test_no_proposal_lowers_the_number_of_people_below_the_floor(runner, stage, asked, signers):
    runner.stand(stage, proposal={"approvals": asked}, signers=signers)
    account = AccountMode.PAPER if stage == "paper" else AccountMode.LIVE
    assert "approval" in runner.refusal(stage=stage, account=account)


def test_a_proposal_that_asks_for_more_than_the_floor_gets_more(runner):
    runner.stand(proposal={"approvals": 3})
    assert "lacks 1 approval more of 3" in runner.refusal()


def test_a_signature_made_after_the_step_does_not_count(runner):
    pack = runner.stand(signers=("alice",))
    desk = runner.project.desk()
    state, standing = desk.record.state("strategy", "sma_cross"), runner.standing()
    proposal = desk.candidate(state, 1).proposal(standing.proposal)
    late = sign(proposal, load_key("bob", runner.project.paths), "bob", "", NOW + timedelta(hours=3))
    desk.models.keep(state, 1, f"approvals/{proposal.digest}/bob.json", late.bytes())
    assert pack.digest == standing.pack
    assert "bob: signed at 2026-03-02T18:00:00Z, after the step" in runner.refusal()


def test_a_review_needs_the_second_approvers_written_reason(runner):
    review = {"gate": "overfitting", "asked": "< 0.3", "measured": "0.4", "outcome": "review", "why": "", "remedy": ""}
    runner.stand(proposal={"verdicts": (review,)})
    assert "lacks the second approver's written reason for overfitting" in runner.refusal()
    runner.stand(proposal={"verdicts": (review,)}, reason="the plateau is wide")
    assert runner.load().version == 2


FAILED = {"gate": "deflated_sharpe", "asked": "≥ 0.95", "measured": "0.81", "outcome": "fail", "why": "", "remedy": ""}


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [((FAILED,), "deflated_sharpe: FAIL: asked ≥ 0.95, measured 0.81; a failed gate loads nothing"),
     ((), "holds no verdict"), (({**FAILED, "outcome": "passed"},), "is none of pass, warn, review, fail"),
     (({**FAILED, "more": "x"},), "is no verdict of a gate")],
)  # fmt: skip
def test_a_proposal_without_passed_gates_is_refused_whoever_signed_it(runner, verdicts, why):
    runner.stand(proposal={"verdicts": verdicts})
    assert why in runner.refusal()


def test_what_was_forced_is_let_into_paper_with_a_warning_and_nowhere_else(runner):
    runner.stand(proposal={"verdicts": (FAILED,)}, forced=True)
    assert "was forced against deflated_sharpe" in runner.load().warnings[0]
    runner.stand("staged_live", forced=True)
    assert "nothing forced goes beyond" in runner.refusal(stage="staged_live", account=AccountMode.LIVE)


# The proposal, the record and MLflow


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


# Accounts and markets


@pytest.mark.parametrize(
    ("stage", "account", "said"),
    [
        ("paper", AccountMode.LIVE, "paper trades in a embedded or paper account, this one is live"),
        ("staged_live", AccountMode.PAPER, "staged_live trades in a live account, this one is paper"),
        ("staged_live", AccountMode.EMBEDDED, "staged_live trades in a live account, this one is embedded"),
        ("production", AccountMode.PAPER, "production trades in a live account, this one is paper"),
        ("production", AccountMode.EMBEDDED, "production trades in a live account, this one is embedded"),
    ],
)
def test_an_account_of_another_kind_than_the_stages_is_refused(runner, stage, account, said):
    runner.stand(stage)
    assert said in runner.refusal(stage=stage, account=account)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("account", [AccountMode.PAPER, AccountMode.LIVE])
def test_the_sample_market_never_trades_in_a_brokers_account(runner, stage, account):
    runner.stand(stage, market="sample")
    said = runner.refusal(stage=stage, account=account, market="sample")
    assert (
        f"its evidence is of the sample market, which is made, so it never trades in a broker's {account} account"
        in said
    )
    assert runner.load(stage, AccountMode.EMBEDDED, market="sample").pack.market == "sample"


def test_evidence_of_one_market_is_refused_on_the_data_of_the_other(runner):
    runner.stand()
    assert "its evidence is of the real market, the settings read the sample one" in runner.refusal(market="sample")


@pytest.mark.parametrize(
    "limits",
    [{}, {"capital_steps": []}, {"capital_steps": [999]}, {"capital_steps": [10_001]}, {"capital_steps": [5000, 1000]},
     {"capital_steps": ["1000"]}, {"capital_steps": [True]}, {"capital_steps": 1000}, {"capital_steps": [1000, 1000]}],
)  # fmt: skip
def test_staged_live_never_lacks_its_bound(runner, limits):
    runner.stand("staged_live", proposal={"limits": limits})
    said = runner.refusal(stage="staged_live", account=AccountMode.LIVE)
    assert "staged live trades rising steps of 1,000 to 10,000 dollars" in said


# Code and parameters


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": {**installed_code("sma_cross").files, "strategies/sizing.py": "0" * 64}},
         "the code is not the one that was approved: strategies/sizing.py was edited"),
        ({"entry_point": "workbench.strategies.sma_cross:Other"}, "its entry point is workbench.strategies.sma_cro"),
    ],
)  # fmt: skip
def test_other_code_than_the_approved_is_refused(runner, change, said):
    runner.stand(code=replace(installed_code("sma_cross"), **change))
    assert said in runner.refusal()


def test_a_strategy_without_code_is_refused(runner):
    runner.stand(code=None)
    assert "its pack names no code" in runner.refusal()


@pytest.mark.e2e
def test_source_edited_after_the_approval_is_refused_before_it_runs(runner, tmp_path):
    runner.stand()
    source = Path(__file__).parents[2] / "src" / "workbench"
    shutil.copytree(source, tmp_path / "src" / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom datetime import datetime\nfrom pathlib import Path\n"
        "from workbench.errors import WorkbenchError\nfrom workbench.params import Paths, Settings\n"
        "from workbench.registry.loader import AccountMode, load\n"
        "from workbench.registry.packs.approvers import Approvers\n"
        "paths = Paths(sys.argv[1])\n"
        "approvers = Approvers.read(paths.params / 'approvers.yaml', paths)\n"
        "try:\n"
        "    found = load('sma_cross', 'paper', account=AccountMode.PAPER, settings=Settings(market='real'),\n"
        "                 paths=paths, approvers=approvers, now=datetime.fromisoformat(sys.argv[2]))\n"
        "    print('loaded', found.version)\n"
        "except WorkbenchError as error:\n    print('refused', error)\n"
    )

    def run() -> str:
        done = subprocess.run(
            [sys.executable, str(script), str(runner.project.root), LATER.isoformat()], capture_output=True, text=True,
            env={"PYTHONPATH": str(tmp_path / "src"), "PATH": "", "HOME": str(tmp_path)}, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert run() == "loaded 1"
    edited = tmp_path / "src" / "workbench" / "strategies" / "sma_cross.py"
    edited.write_text(edited.read_text() + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "the code is not the one that was approved: strategies/sma_cross.py was edited" in run()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strategy": "xs_momentum"}, "params.json is of 'xs_momentum'"),
        ({"params": {"fast": 20, "slow": 150, "leverage": 9}}, "unknown parameter 'leverage'"),
        ({"params": {"fast": "20", "slow": 150}}, "parameter 'fast' is '20'"),
        ({"params": [20, 150]}, "lacks or misspells params"),
        ({"symbols": []}, "lacks or misspells symbols"),
        ({"symbols": "AAA00"}, "lacks or misspells"),
        ({"sizing": {"max_weight": 99.0}}, "lacks or misspells"),
        ({"lookback": 20}, "the strategy looks back 155 bars, its evidence 20"),
    ],
)
def test_parameters_that_are_not_those_of_the_evidence_are_refused(runner, changes, said):
    runner.stand(spoil=lambda parts: complete(parts, **changes))
    assert said in runner.refusal()


# With MLflow away


def test_without_mlflow_the_verified_copy_is_used_and_said(runner):
    pack = runner.stand()
    runner.load()
    runner.away()
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert found.warnings == ("MLflow: mlruns/mlflow.db is gone; loaded from the verified copy kept here",)
    assert not (runner.project.root / "mlruns").exists()


def test_without_mlflow_and_without_a_copy_nothing_is_loaded(runner):
    pack = runner.stand()
    runner.away()
    said = runner.refusal()
    assert said.endswith(
        f"no verified copy of pack {pack.digest[:12]} is kept here, so nothing is loaded; bring MLflow back"
    )


def test_a_copy_is_verified_again_in_every_file(runner):
    runner.stand()
    runner.load()
    runner.away()
    kept = [path for path in (runner.project.paths.state / "loader" / "candidates").rglob("*") if path.is_file()]
    assert len(kept) == COUNT
    for file in kept:
        content = file.read_bytes()
        file.write_bytes(content[:-1])
        runner.refusal()
        file.write_bytes(content)
    assert runner.load().source == "cache"


def test_a_copy_grows_no_older_than_the_rules(runner):
    runner.stand()
    runner.load()
    runner.away()
    assert "its evidence expired" in runner.refusal(now=NOW + timedelta(days=100))
    del runner.project.people["bob"]
    runner.project.write_approvers()
    assert "bob: not in params/approvers.yaml" in runner.refusal()


def test_a_copy_of_an_earlier_stage_does_not_hold_the_later_ones_proposal(runner):
    pack = runner.stand()
    runner.load()
    runner.step(pack, 1, "paper", "staged_live", NOW + timedelta(minutes=10))
    runner.away()
    assert "is not with the pack; it was taken away" in runner.refusal(stage="staged_live", account=AccountMode.LIVE)


def test_copies_that_can_never_be_loaded_again_are_dropped(runner):
    first = runner.stand()
    runner.load()
    second = runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    runner.load()
    kept = runner.project.paths.state / "loader" / "candidates"
    assert {path.name for path in kept.iterdir()} == {first.digest, second.digest}  # the first may be rolled back to
    desk = runner.project.desk()
    desk.record.append(
        Transition(kind="strategy", name="sma_cross", version=1, action="retire", from_stage="retired",
                   to_stage="retired", pack=first.digest, who="quinn", at=NOW, reason="never again"),
        after=desk.record.state("strategy", "sma_cross"),
    )  # fmt: skip
    runner.load()
    assert {path.name for path in kept.iterdir()} == {second.digest}


@pytest.mark.parametrize("what", ["version", "run", "folder", "damaged", "unreachable"])
def test_mlflow_that_lost_or_cannot_say_what_is_asked_is_away(runner, what):
    pack = runner.stand()
    runner.load()
    connection = Connection(runner.project.settings, runner.project.paths)
    if what == "version":
        connection.client().delete_registered_model("sma_cross")
    elif what == "run":
        connection.client().delete_run(pack.run_id)
    elif what == "folder":
        shutil.rmtree(runner.project.run_folder(pack))
    elif what == "damaged":
        (runner.project.root / "mlruns" / "mlflow.db").write_bytes(b"not a database" * 100)
    else:
        tracking = runner.project.settings.tracking.model_copy(update={"uri": "http://127.0.0.1:9"})
        runner.project.settings = runner.project.settings.model_copy(update={"tracking": tracking})
    found = runner.load()
    assert (found.source, found.pack) == ("cache", pack)
    assert "loaded from the verified copy kept here" in found.warnings[0]


def test_bytes_that_were_changed_are_refused_although_a_good_copy_is_kept(runner):
    pack = runner.stand()
    runner.load()
    (runner.project.run_folder(pack) / "pack" / "parts" / "params.json").write_bytes(b"{}")
    assert "params.json: has 2 bytes instead of" in runner.refusal()


# What is asked


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
    source = Path(__file__).parents[2] / "src" / "workbench" / "registry"
    for file in [*(source / "loader").glob("*.py"), *(source / "packs").glob("*.py")]:
        text = file.read_text()
        for word in ("load_model", "pyfunc", "import pickle", "cloudpickle", "joblib", "exec(", "eval(", "torch"):
            assert word not in text.replace("literal_eval(", ""), f"{file.name}: {word}"


def answering(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Put a client that answers otherwise in front of the real store."""
    real = Connection.client

    def client(connection: Connection) -> Any:
        inner = real(connection)

        class Other(type(inner)):  # type: ignore[misc]
            def get_model_version(self, name: str, version: str) -> Any:
                return change(super().get_model_version, name, version)

        return Other(tracking_uri=connection.uri, registry_uri=connection.uri)

    monkeypatch.setattr(Connection, "client", client)


def test_mlflow_answering_with_another_version_than_asked_is_refused(runner, monkeypatch):
    runner.stand()
    runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))
    assert runner.load().version == 2
    answering(monkeypatch, lambda ask, name, version: ask(name, "1"))
    assert "sma_cross version 2: MLflow (mlruns/mlflow.db) answers with sma_cross version 1" in runner.refusal()


def test_mlflow_answering_with_the_right_number_and_another_run_is_refused(runner, monkeypatch):
    old = runner.stand()
    new = runner.stand(spoil=lambda parts: complete(parts, params={"fast": 10, "slow": 150}))

    def swapped(ask: Any, name: str, version: str) -> Any:
        found = ask(name, version)
        found._run_id = old.run_id
        return found

    answering(monkeypatch, swapped)
    assert f"holds pack {old.digest[:12]}, the record names {new.digest[:12]}" in runner.refusal()


@pytest.mark.parametrize("run_id", ["", "../../etc", "x" * 32, None])
def test_mlflow_naming_a_run_that_is_none_is_refused(runner, monkeypatch, run_id):
    runner.stand()

    def renamed(ask: Any, name: str, version: str) -> Any:
        found = ask(name, version)
        found._run_id = run_id
        return found

    answering(monkeypatch, renamed)
    assert "which is none; it was changed by hand" in runner.refusal()


def test_two_loaders_at_once_do_not_take_back_what_the_other_saw(tmp_path):
    memory = Memory(tmp_path / "loader", "data/state/loader")
    seen = [Seen(number, f"{number:064d}", NOW + timedelta(minutes=number)) for number in range(1, 21)]
    threads = [threading.Thread(target=memory.keep, args=(one,)) for one in (*seen[10:], *seen[:10])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.read() == seen[-1]


@pytest.fixture
def served(runner, tmp_path):
    """A real MLflow server that keeps its artifacts itself, and a runner that knows it by its address only."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    kept = tmp_path / "server"
    kept.mkdir()
    shutil.copy(runner.project.root / "mlruns" / "mlflow.db", kept / "mlflow.db")
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{kept / 'mlflow.db'}",
         "--artifacts-destination", str(kept / "artifacts"), "--port", str(port), "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(600):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert process.poll() is None
            time.sleep(0.1)
        tracking = runner.project.settings.tracking.model_copy(update={"uri": f"http://127.0.0.1:{port}"})
        runner.project.settings = runner.project.settings.model_copy(update={"tracking": tracking})
        yield runner, kept
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.mark.e2e
def test_from_a_server_the_bytes_are_fetched_verified_and_missed_when_it_is_gone(served):
    runner, kept = served
    pack = runner.stand()
    found = runner.load()
    assert (found.source, found.pack, found.warnings) == ("mlflow", pack, ())
    (params,) = kept.rglob("params.json")
    content = params.read_bytes()
    params.write_bytes(content.replace(b"20", b"21"))
    assert "params.json: was changed" in runner.refusal()
    params.unlink()
    assert "params.json: is missing" in runner.refusal()
    shutil.rmtree(params.parents[2])
    assert runner.load().source == "cache"
