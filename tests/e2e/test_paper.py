"""From a promoted strategy to its fills with the commands that people type, on a copy of this checkout."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from workbench.registry.packs.canonical import canonical

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def state_of(root: Path) -> dict[str, str]:
    """Return the digest of every file of the account; the loader's verified copies of evidence are its own."""
    files = sorted(path for path in (root / "data" / "state").rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.name.endswith(("-shm", "-wal")) and "loader" not in path.parts
    }


@pytest.fixture(scope="module")
def promoted(apart, tmp_path_factory):
    """The checkout with sma_cross at paper, by force: six years of a small market prove nothing."""
    clone, _ = apart
    keys = {"WORKBENCH_KEYS": str(tmp_path_factory.mktemp("keys"))}
    before = (clone.root / "params" / "approvers.yaml").read_text()
    lines = []
    for name in ("alice", "bob"):
        made = clone.run("keys", "new", name, **keys)
        assert made.returncode == 0, made.stderr
        lines.append(next(line for line in made.stdout.splitlines() if line.startswith(f"  {name}:")))
    (clone.root / "params" / "approvers.yaml").write_text("\n".join(["approvers:", *lines, ""]))
    git = ["git", "-C", str(clone.root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "commit", "-qam", "Alice and Bob may approve."], check=True)
    evidence = clone.run("evidence", "xs_momentum", timeout=600)
    assert evidence.returncode == 0, evidence.stdout + evidence.stderr
    force = ("promote", "xs_momentum", "--force", "to see its fills on paper", "--yes")
    clone.run(*force, **keys)
    for name in ("alice", "bob"):
        approve = ("approve", "xs_momentum", "--version", "1", "--as", name, "--reason", "it is for measuring only")
        assert clone.run(*approve, **keys).returncode == 0
    done = clone.run(*force, **keys)
    assert done.returncode == 0, done.stdout + done.stderr
    yield clone
    clone.run("retire", "xs_momentum", "--reason", "its fills were seen", "--yes")
    (clone.root / "params" / "approvers.yaml").write_text(before)
    subprocess.run([*git, "commit", "-qam", "Nobody approves."], check=True)


def test_with_nothing_promoted_it_says_what_to_type(apart):
    clone, _ = apart
    asked = clone.run("paper")
    if asked.returncode == 0:  # another test of this folder has promoted something
        pytest.skip("something stands at paper already")
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: nothing stands at paper, so nothing is traded: make evidence STRATEGY=")


def test_paper_trades_session_by_session_and_every_fill_can_be_explained(promoted):
    clone = promoted
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
    clone, account = promoted, ("--set", "live.account=STOPPED")
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
    clone, account = promoted, ("--set", "live.account=AWAY")
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
    clone, session = promoted, ("paper", "--once", "--sessions", "2", "--set", "live.account=JUDGED")
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
