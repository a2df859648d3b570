"""Evidence as a user makes it: one command after the backtest, a pack to read, and the same one the next time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.registry.packs.candidate import read_candidate

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def proven(backtested):
    clone, _ = backtested
    done = clone.run("evidence", "sma_cross")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone, done


@pytest.mark.timeout(300)
def test_evidence_reuses_the_backtest_and_shows_every_gate(proven):
    _, done = proven
    lines = [line.split() for line in done.stderr.splitlines() if " ↺ " in line or " ✓ " in line]
    ended = {words[2]: words[1] for words in lines}
    assert ended["walk_forward-sma_cross"] == "↺"  # of `backtest`, which walked three strategies
    assert (ended["audit"], ended["lookahead-sma_cross"], ended["evidence-sma_cross"]) == ("✓", "✓", "✓")
    assert "sma_cross · the step to paper" in done.stdout
    for gate in ("validation", "lookahead", "deflated_sharpe", "overfitting", "clean_commit", "ledger"):
        assert gate in done.stdout
    assert "Next: make promote STRATEGY=sma_cross" in done.stdout


def test_the_pack_lies_where_the_command_says_with_every_byte_as_it_was(proven):
    clone, _ = proven
    said = clone.run("pack", "path", "sma_cross")
    assert said.returncode == 0, said.stderr
    assert Path(said.stdout.strip()).is_absolute()
    pack = read_candidate(Path(said.stdout.strip())).pack
    assert (pack.name, pack.market, pack.code.changed) == ("sma_cross", "sample", ())
    verdicts = {row["gate"]: row["outcome"] for row in pack.json("gates.json")["verdicts"]}
    assert (verdicts["validation"], verdicts["lookahead"], verdicts["clean_commit"]) == ("pass", "pass", "pass")
    assert {"ingest", "validate", "walk_forward-sma_cross", "audit", "lookahead-sma_cross"} == {
        path.removeprefix("notebooks/").removesuffix(".ipynb") for path in pack.files if path.startswith("notebooks/")
    }
    reports = pack.json("lookahead.json")["reports"]
    chosen = pack.json("params.json")["params"]
    assert any(chosen.items() <= report["params"].items() for report in reports)
    assert set(pack.json("validation.json")) == set(pack.json("data.json")) == {"symbols", "actions", "prices_daily"}


@pytest.mark.timeout(300)
def test_asked_again_it_is_the_same_pack(proven):
    clone, first = proven
    again = clone.run("evidence", "sma_cross")
    assert again.returncode == 0, again.stderr
    assert "made before, and still true" in again.stdout
    pack = next(line for line in first.stdout.splitlines() if line.strip().startswith("pack "))
    assert pack in again.stdout


@pytest.mark.timeout(300)
def test_a_person_reads_the_pack_in_a_notebook(proven, tmp_path):
    clone, _ = proven
    done = tmp_path / "read.ipynb"
    ran = subprocess.run(
        [sys.executable, "-m", "papermill", "--no-progress-bar", "notebooks/explore/30_promotion.ipynb", str(done)],
        cwd=clone.root,
        env={**os.environ, "PYTHONPATH": str(clone.root / "src")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    said = json.dumps(json.loads(done.read_text())["cells"])
    assert "sma_cross (pack " in said
    assert "walk_forward-sma_cross.ipynb [" in said


def test_a_strategy_that_there_is_not_is_one_line(backtested):
    clone, _ = backtested
    refused = clone.run("evidence", "sma_cros")
    assert refused.returncode == 2
    assert refused.stderr.strip().startswith("error: no params/strategies/sma_cros.yaml")
    assert "Did you mean 'sma_cross'?" in refused.stderr


def test_limits_are_packed_from_a_file(backtested, tmp_path):
    clone, _ = backtested
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
