"""From a backtest to paper and out again, with the commands that people type, on a copy of this checkout."""

from __future__ import annotations

import subprocess

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def commit(clone, text: str) -> None:
    git = ["git", "-C", str(clone.root), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "commit", "-qam", text], check=True)


def test_a_strategy_goes_to_paper_by_force_and_no_further(apart, tmp_path):
    clone, _ = apart
    keys = {"WORKBENCH_KEYS": str(tmp_path / "keys")}
    lines = []
    for name in ("alice", "bob"):
        made = clone.run("keys", "new", name, **keys)
        assert made.returncode == 0, made.stderr
        lines.append(next(line for line in made.stdout.splitlines() if line.startswith(f"  {name}:")))
    (clone.root / "params" / "approvers.yaml").write_text("\n".join(["approvers:", *lines, ""]))
    commit(clone, "Alice and Bob may approve.")

    evidence = clone.run("evidence", "sma_cross", timeout=600)
    assert evidence.returncode == 0, evidence.stdout + evidence.stderr
    asked = clone.run("promote", "sma_cross", **keys)
    assert asked.returncode == 4, asked.stdout + asked.stderr
    assert "sma_cross version 1 · backtest → paper · sample market" in asked.stdout
    assert "✗ fail" in asked.stdout  # six years of a small market prove nothing
    assert asked.stderr.strip().splitlines()[-1].startswith("error: sma_cross version 1 to paper: refused by ")

    force = ("promote", "sma_cross", "--force", "to see its fills on paper", "--yes")
    waits = clone.run(*force, **keys)
    assert waits.returncode == 4
    assert "waits for" in waits.stderr, waits.stdout + waits.stderr
    for name in ("alice", "bob"):  # the second is needed where a gate asks for a written reason
        approve = ("approve", "sma_cross", "--version", "1", "--as", name, "--reason", "it is for measuring only")
        signed = clone.run(*approve, **keys)
        assert signed.returncode == 0, signed.stdout + signed.stderr
    done = clone.run(*force, **keys)
    assert done.returncode == 0, done.stdout + done.stderr

    status = clone.run("status")
    assert status.returncode == 0, status.stderr
    assert "paper (forced)" in status.stdout
    assert "FORCED into paper: to see its fills on paper" in status.stdout
    folder = clone.run("pack", "path", "sma_cross").stdout.strip()
    verified = clone.run("verify", folder)
    assert verified.returncode == 0, verified.stderr
    assert "approved by alice, bob of" in verified.stdout

    further = clone.run("promote", "sma_cross", "--yes", **keys)
    assert further.returncode == 4
    assert "it was forced into paper (to see its fills on paper), and only what passed may go on" in further.stderr
    retired = clone.run("retire", "sma_cross", "--reason", "its fills were seen", "--yes")
    assert retired.returncode == 0, retired.stderr
