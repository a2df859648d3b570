"""From a backtest to evidence, to paper, to fills and out again, with the commands that people type."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Clone
from workbench.registry.packs.candidate import read_candidate
from workbench.registry.packs.canonical import canonical

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
SIGNERS = ("alice", "bob")
Done = subprocess.CompletedProcess[str]


def state_of(root: Path) -> dict[str, str]:
    """Return the digest of every file of the account; the loader's verified copies of evidence are its own."""
    files = sorted(path for path in (root / "data" / "state").rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.endswith(("-shm", "-wal")) and "loader" not in path.parts
    }


@dataclass(frozen=True)
class Promoted:
    """The checkout with xs_momentum at paper, and what the steps to there said."""

    clone: Clone
    keys: dict[str, str]
    refused: Done
    waits: Done
    moved: Done


@pytest.fixture(scope="module")
def allowed(apart, tmp_path_factory):
    """The checkout with two people who may approve, and where their keys are."""
    clone, _ = apart
    keys = {"WORKBENCH_KEYS": str(tmp_path_factory.mktemp("keys"))}
    file = clone.root / "params" / "approvers.yaml"
    before, lines = file.read_text(), []
    for name in SIGNERS:
        made = clone.run("keys", "new", name, **keys)
        assert made.returncode == 0, made.stderr
        lines.append(next(line for line in made.stdout.splitlines() if line.startswith(f"  {name}:")))
    file.write_text("\n".join(["approvers:", *lines, ""]))
    commit(clone, "Alice and Bob may approve.")
    yield clone, keys
    file.write_text(before)
    commit(clone, "Nobody approves.")


@pytest.fixture(scope="module")
def proven(allowed):
    """The checkout with evidence of xs_momentum, and what the command said."""
    clone, _ = allowed
    done = clone.run("evidence", "xs_momentum", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return clone, done


@pytest.fixture(scope="module")
def promoted(proven, allowed) -> Promoted:
    """The checkout with xs_momentum at paper, by force: six years of a small market prove nothing."""
    clone, keys = allowed
    refused = clone.run("promote", "xs_momentum", **keys)
    force = ("promote", "xs_momentum", "--force", "to see its fills on paper", "--yes")
    waits = clone.run(*force, **keys)
    for name in SIGNERS:  # the second is needed where a gate asks for a written reason
        approve = ("approve", "xs_momentum", "--version", "1", "--as", name, "--reason", "it is for measuring only")
        signed = clone.run(*approve, **keys)
        assert signed.returncode == 0, signed.stdout + signed.stderr
    moved = clone.run(*force, **keys)
    assert moved.returncode == 0, moved.stdout + moved.stderr
    return Promoted(clone, keys, refused, waits, moved)


def commit(clone: Clone, text: str) -> None:
    git = ["git", "-C", str(clone.root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "commit", "-qam", text], check=True)


def test_with_nothing_promoted_it_says_what_to_type(apart):
    clone, _ = apart
    asked = clone.run("paper")
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: nothing stands at paper, so nothing is traded: make evidence STRATEGY=")


def test_money_needs_two_keys(apart):
    clone, _ = apart
    one = clone.run("live", "--account", "U1234567")
    assert one.returncode == 2
    assert "live.mode is embedded: real money needs two keys" in one.stderr
    other = clone.run("live", "--account", "U7654321", "--set", "live.mode=live", "--set", "live.account=U1234567")
    assert other.returncode == 2
    assert "--account 'U7654321' is not live.account 'U1234567'" in other.stderr
    paper = clone.run("paper", "--set", "live.mode=live", "--set", "live.account=U1234567")
    assert paper.returncode == 2
    sample = clone.run("paper", "--set", "live.mode=paper", "--set", "live.account=DU1234567")
    assert sample.returncode == 1
    assert "never trades in a broker's paper account" in sample.stderr or "nothing stands at paper" in sample.stderr


def test_evidence_reuses_the_backtest_and_shows_every_gate(proven):
    _, done = proven
    lines = [line.split() for line in done.stderr.splitlines() if " ↺ " in line or " ✓ " in line]
    ended = {words[2]: words[1] for words in lines}
    assert ended["walk_forward-xs_momentum"] == "↺"  # of `backtest`, which walked two strategies
    assert (ended["audit"], ended["lookahead-xs_momentum"], ended["evidence-xs_momentum"]) == ("✓", "✓", "✓")
    assert "xs_momentum · the step to paper" in done.stdout
    for gate in ("validation", "lookahead", "deflated_sharpe", "overfitting", "clean_commit", "ledger"):
        assert gate in done.stdout
    assert "Next: make promote STRATEGY=xs_momentum" in done.stdout


def test_the_pack_lies_where_the_command_says_with_every_byte_as_it_was(proven):
    clone, _ = proven
    said = clone.run("pack", "path", "xs_momentum")
    assert said.returncode == 0, said.stderr
    assert Path(said.stdout.strip()).is_absolute()
    pack = read_candidate(Path(said.stdout.strip())).pack
    assert (pack.name, pack.market, pack.code.changed) == ("xs_momentum", "sample", ())
    verdicts = {row["gate"]: row["outcome"] for row in pack.json("gates.json")["verdicts"]}
    assert (verdicts["validation"], verdicts["lookahead"], verdicts["clean_commit"]) == ("pass", "pass", "pass")
    assert {"ingest", "validate", "walk_forward-xs_momentum", "audit", "lookahead-xs_momentum"} == {
        path.removeprefix("notebooks/").removesuffix(".ipynb") for path in pack.files if path.startswith("notebooks/")
    }
    reports = pack.json("lookahead.json")["reports"]
    chosen = pack.json("params.json")["params"]
    assert any(chosen.items() <= report["params"].items() for report in reports)
    assert set(pack.json("validation.json")) == set(pack.json("data.json")) == {"symbols", "actions", "prices_daily"}


def test_asked_again_it_is_the_same_pack(proven):
    clone, first = proven
    again = clone.run("evidence", "xs_momentum")
    assert again.returncode == 0, again.stderr
    assert "made before, and still true" in again.stdout
    pack = next(line for line in first.stdout.splitlines() if line.strip().startswith("pack "))
    assert pack in again.stdout


def test_a_person_reads_the_pack_in_a_notebook(proven, tmp_path):
    clone, _ = proven
    done = tmp_path / "read.ipynb"
    ran = clone.execute("explore/30_promotion.ipynb", done)
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.dumps(json.loads(done.read_text())["cells"])
    assert "xs_momentum (pack " in said
    assert "walk_forward-xs_momentum.ipynb [" in said


def test_a_strategy_that_there_is_not_is_one_line(apart):
    clone, _ = apart
    refused = clone.run("evidence", "sma_cros")
    assert refused.returncode == 2
    assert refused.stderr.strip().startswith("error: no params/strategies/sma_cros.yaml")
    assert "Did you mean 'sma_cross'?" in refused.stderr


def test_limits_are_packed_from_a_file(apart, tmp_path):
    clone, _ = apart
    limits = tmp_path / "limits.yaml"
    limits.write_text("max_order_value: 5_000\n")
    words = ("pack", "make", "house_limits", "--kind", "risk", "--file", str(limits), "--reason")
    made = clone.run(*words, "first limits of the house")
    assert made.returncode == 0, made.stderr
    assert "house_limits · the step to paper" in made.stdout
    found = clone.run("pack", "path", "house_limits", "--kind", "risk")
    assert read_candidate(clone.root / found.stdout.strip()).pack.read("payload/limits.yaml") == limits.read_bytes()
    refused = clone.run(*words, "because")
    assert refused.returncode == 2
    assert "the reason has 7 letters, it needs 10" in refused.stderr


def test_a_strategy_goes_to_paper_by_force_and_no_further(promoted):
    clone = promoted.clone
    assert promoted.refused.returncode == 4, promoted.refused.stdout + promoted.refused.stderr
    assert "xs_momentum version 1 · backtest → paper · sample market" in promoted.refused.stdout
    assert "✗ fail" in promoted.refused.stdout  # six years of a small market prove nothing
    last = promoted.refused.stderr.strip().splitlines()[-1]
    assert last.startswith("error: xs_momentum version 1 to paper: refused by ")
    assert promoted.waits.returncode == 4
    assert "waits for" in promoted.waits.stderr, promoted.waits.stdout + promoted.waits.stderr

    status = clone.run("status")
    assert status.returncode == 0, status.stderr
    assert "paper (forced)" in status.stdout
    assert "FORCED into paper: to see its fills on paper" in status.stdout
    folder = clone.run("pack", "path", "xs_momentum").stdout.strip()
    verified = clone.run("verify", folder)
    assert verified.returncode == 0, verified.stderr
    assert "approved by alice, bob of" in verified.stdout
    further = clone.run("promote", "xs_momentum", "--yes", **promoted.keys)
    assert further.returncode == 4
    assert "it was forced into paper (to see its fills on paper), and only what passed may go on" in further.stderr


def test_paper_trades_session_by_session_and_every_fill_can_be_explained(promoted):
    clone = promoted.clone
    before = state_of(clone.root)
    dry = clone.run("paper", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "nothing was sent or written (--dry-run)" in dry.stdout
    assert state_of(clone.root) == before

    first = clone.run("paper", "--sessions", "12")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "12/12 2024-12-31" in first.stdout
    record = json.loads((clone.root / "data/state/records/strategy/xs_momentum/1/paper.json").read_bytes())
    assert len(record["sessions"]) == 12
    assert all(session["positions_equal"] for session in record["sessions"])
    assert record["slippage_bps"] == pytest.approx(record["slippage_model_bps"], rel=1e-6)  # half the spread, each

    fill = re.search(r"workbench why (\S+)", first.stdout)
    assert fill, first.stdout
    led = clone.run("why", fill[1])
    assert led.returncode == 0, led.stderr
    require_every_link(led.stdout, fill[1], clone.root)
    again = clone.run("paper")
    assert "has traded every session up to 2024-12-31; for a new one from cash" in again.stdout
    agrees = clone.run("reconcile")
    assert agrees.stdout.strip() == "account PAPER: the journal and the broker agree"
    status = clone.run("status")
    assert "Account PAPER · embedded · active" in status.stdout
    assert "last session 2024-12-31" in status.stdout


def require_every_link(out: str, fill: str, root: Path) -> None:
    """Hold the way back against what lies on disk: fill, order, decision, its data, pack, run, notebook and cell."""
    links = (
        rf"fill      {re.escape(fill)}: (BUY|SELL) [\d,]+ \S+ at [\d,.]+, commission [\d.]+, 2024-12-\d\d .*Z",
        r"order     (\S+): (BUY|SELL) [\d,]+ \S+, market, filled",
        r"decision  2024-12-\d\dT\d\d:\d\dZ: planned at [\d,.]+, \S+ held, equity [\d,.]+",
        r"strategy  xs_momentum version 1 at paper: weight \S+ → \S+, \S+ shares to \S+ held",
        r"data      bars to 2024-12-\d\d.*, digest ([0-9a-f]{12}); tables: .*prices_daily \d+.*",
        r"limits    [0-9a-f]{12}",
        r"pack      xs_momentum version 1: ([0-9a-f]{12})",
        r"run       MLflow ([0-9a-f]{32}), pipeline run \S+, code \S+ at commit [0-9a-f]{12}",
        r"tested on .*prices_daily \d+.*",
        r"notebook  walk_forward-xs_momentum\.ipynb, cell (\d+): (\".*walk_forward\(.*\")",
        r"          as they were executed: (\S+)",
        r"journal   \d+ 2024-12-\d\d .*Z intent [0-9a-f]{12}",
    )
    found, at = {}, 0
    for link in links:
        match = re.compile(f"^{link}$", re.MULTILINE).search(out, at)
        assert match, f"{link} is not in what follows:\n{out[at:]}"
        found[link.split()[0]], at = match, match.end()
    number, code = int(found["notebook"][1]), json.loads(found["notebook"][2])
    (folder,) = re.findall(r"as they were executed: (\S+)", out)
    cells = json.loads((root / folder / "walk_forward-xs_momentum.ipynb").read_text())["cells"]
    assert code in "".join(cells[number - 1]["source"])
    assert cells[number - 1]["execution_count"]  # it was executed
    manifest = json.loads((root / folder).parents[1].joinpath("manifest.json").read_text())
    assert "notebooks/walk_forward-xs_momentum.ipynb" in manifest["parts"]
    assert found["run"][1] in folder


def test_a_stop_halts_closes_and_only_a_person_goes_on(promoted):
    clone, account = promoted.clone, ("--set", "live.account=STOPPED")
    traded = clone.run("paper", "--sessions", "6", *account)
    assert traded.returncode == 0, traded.stderr
    stopped = clone.run("kill", "--reason", "a drill of the stop", *account)
    assert stopped.returncode == 0, stopped.stderr
    assert "flat: no position and no open order" in stopped.stdout
    shown = clone.run("status", *account).stdout
    assert "HALTED (a drill of the stop)" in shown
    assert "as the broker confirmed it: flat: no position and no open order at the broker" in shown
    assert "the books below are of before it, until: workbench reconcile" in shown
    resumed = clone.run("resume", "--reason", "the drill is over", *account)
    assert resumed.returncode == 0, resumed.stderr
    agrees = clone.run("reconcile", *account)
    assert agrees.stdout.strip() == "account STOPPED: the journal and the broker agree"
    after = clone.run("status", *account).stdout
    assert "· 0 positions · 0 open orders" in after
    assert "emergency stop of" not in after


def test_evidence_that_was_changed_is_not_traded_and_without_mlflow_the_verified_copy_is(promoted, tmp_path):
    clone, account = promoted.clone, ("--set", "live.account=AWAY")
    mlruns = clone.root / "mlruns"
    mlruns.rename(tmp_path / "mlruns")
    try:
        away = clone.run("paper", "--sessions", "2", *account)
        assert away.returncode == 0, away.stderr
        assert "loaded from the verified copy kept here" in away.stdout
        assert "2/2 2024-12-31" in away.stdout
    finally:
        shutil.rmtree(mlruns, ignore_errors=True)
        (tmp_path / "mlruns").rename(mlruns)
    params = next(path for path in (mlruns / "artifacts").rglob("promotion/pack/parts/params.json") if
                  json.loads(path.read_bytes())["strategy"] == "xs_momentum")  # fmt: skip
    sound = params.read_bytes()
    params.write_bytes(sound.replace(b'"max_weight":0.1', b'"max_weight":0.9'))
    try:
        changed = clone.run("paper", "--sessions", "2", "--set", "live.account=CHANGED")
    finally:
        params.write_bytes(sound)
    assert changed.returncode == 1, changed.stdout
    assert "params.json" in changed.stderr
    assert not (clone.root / "data/state/changed.db").exists()


def test_a_rehearsal_asks_the_rules_of_demotion_at_its_end(promoted):
    clone, session = promoted.clone, ("paper", "--once", "--sessions", "2", "--set", "live.account=JUDGED")
    sound = clone.run(*session)
    assert sound.returncode == 0, sound.stderr
    assert "may only reduce" not in sound.stderr
    file = clone.root / "data/state/records/strategy/xs_momentum/1/paper.json"
    record = json.loads(file.read_bytes())
    record["sessions"][0]["breaks"] = [{"severity": "severe", "text": "100 shares more than the journal"}]
    file.write_bytes(canonical(record))
    judged = clone.run(*session)
    assert judged.returncode == 0, judged.stderr
    assert "xs_momentum version 1 at paper: may only reduce from now on: severe break on" in judged.stderr
    assert "may only reduce from now on" in clone.run("alerts").stdout
    status = clone.run("status").stdout
    assert re.search(r"! xs_momentum version 1: reduce-only since \S+: severe break on \S+ 100 shares", status), status


def test_what_was_retired_is_not_traded_any_more(promoted):
    clone = promoted.clone
    retired = clone.run("retire", "xs_momentum", "--reason", "its fills were seen", "--yes")
    assert retired.returncode == 0, retired.stderr
    asked = clone.run("paper", "--sessions", "2", "--set", "live.account=LATER")
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: nothing stands at paper, so nothing is traded: ")
