"""Packs of weights, risk limits and prompts: one file, one reason, and one line where they will not do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from workbench.errors import InputRefused
from workbench.registry.gates.verdict import Outcome
from workbench.registry.lifecycle.evaluation import evaluate
from workbench.registry.making.data import make_data_pack
from workbench.registry.making.payload import payload_parts
from workbench.registry.packs.candidate import read_candidate

from .conftest import NOW

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

WHY = "first limits of the house"


@pytest.fixture
def limits(tmp_path):
    file = tmp_path / "limits.yaml"
    file.write_text("max_order_value: 5_000\n")
    return file


def test_risk_limits_become_a_pack_with_their_reason(bench, limits):
    made = make_data_pack("risk", "house", limits, f"  {WHY} ", bench.settings, bench.paths, now=NOW)
    pack = read_candidate(made.folder).pack
    assert (pack.kind, pack.name, pack.market, pack.code) == ("risk", "house", "sample", None)
    assert pack.read("payload/limits.yaml") == b"max_order_value: 5_000\n"
    assert pack.json("reason.json")["reason"] == WHY
    assert pack.json("gates.json")["stage"] == "paper"
    assert {verdict.gate: verdict.outcome for verdict in made.judged.verdicts}["risk_limits"] == "pass"


def test_the_same_file_for_the_same_reason_is_packed_once(bench, limits):
    first = make_data_pack("risk", "house_once", limits, WHY, bench.settings, bench.paths, now=NOW)
    again = make_data_pack("risk", "house_once", limits, WHY, bench.settings, bench.paths, now=NOW)
    assert (again.new, again.run_id, again.judged.pack.digest) == (False, first.run_id, first.judged.pack.digest)
    other = make_data_pack("risk", "house_once", limits, "for another reason", bench.settings, bench.paths, now=NOW)
    assert other.new
    assert other.run_id != first.run_id


def test_limits_are_judged_against_the_champion_that_a_promotion_would_compare_them_with(staffed, tmp_path):
    staffed.candidate("house", "risk")
    staffed.promote("house", "risk", signers=("alice",))
    looser, tighter = tmp_path / "looser.yaml", tmp_path / "tighter.yaml"
    looser.write_text("max_gross: 1.5\nper_symbol: {max_weight: 0.1}\n")
    tighter.write_text("max_gross: 0.9\nper_symbol: {max_weight: 0.1}\n")

    def limits_of(file):
        made = make_data_pack("risk", "house", file, WHY, staffed.settings, staffed.paths, now=NOW)
        return next(verdict for verdict in made.judged.verdicts if verdict.gate == "risk_limits")

    said = limits_of(looser)
    assert (said.outcome, said.why) == (Outcome.REVIEW, "looser: max_gross 1 → 1.5")
    desk = staffed.desk()
    promoted = evaluate(desk, desk.state("risk", "house"), 2).verdicts
    assert next(verdict for verdict in promoted if verdict.gate == "risk_limits") == replace(
        said, remedy=said.remedy.replace("--version N", "--version 2")
    )
    assert limits_of(tighter).outcome is Outcome.PASS

    later = NOW + timedelta(minutes=1)
    staffed.promote("house", "risk", version=3, signers=("alice",), now=later)  # the champion moved on: 1.0 now
    assert limits_of(tighter).outcome is Outcome.PASS
    assert limits_of(looser).why == "looser: max_gross 0.9 → 1.5"


def test_what_a_prompt_was_tried_on_is_in_its_pack(tmp_path):
    prompt, cases = tmp_path / "news.md", tmp_path / "cases.json"
    prompt.write_text("Rate the news from -1 to 1.")
    cases.write_text('{"cases": [{"name": "a merger", "passed": true}]}')
    parts = payload_parts("prompt", "news", prompt, WHY, cases)
    assert set(parts) == {"payload/news.md", "reason.json", "evaluation.json"}
    assert json.loads(parts["evaluation.json"])["cases"][0]["passed"] is True


@pytest.mark.parametrize(
    ("kind", "name", "file", "content", "reason", "said"),
    [
        ("strategy", "house", "a.yaml", b"a: 1", WHY, "a strategy's pack is made by make evidence STRATEGY=house"),
        ("risks", "house", "a.yaml", b"a: 1", WHY, "kind 'risks' is none of weights, risk, prompt"),
        ("risk", "../house", "a.yaml", b"a: 1", WHY, "name '../house': use lower-case letters"),
        ("risk", "house", "a.yaml", b"a: 1", "because", "the reason has 7 letters, it needs 10"),
        ("risk", "house", "a.pkl", b"a: 1", WHY, "risk are kept as .yaml, .json"),
        ("weights", "house", "a.parquet", b"PAR1", WHY, "weights are kept as .json"),
        ("risk", "house", "a.yaml", b"", WHY, "has 0 bytes"),
        ("risk", "house", "a.yaml", b"a: [1", WHY, "cannot be read as yaml"),
        ("weights", "house", "a.json", b"{", WHY, "cannot be read as json"),
        ("prompt", "house", "a.md", b"\xff\xfe", WHY, "cannot be read as md"),
        ("prompt", "house", "gone.md", None, WHY, "No such file or directory; name a file that is there"),
    ],
)
def test_what_will_not_do_is_refused_in_one_line(tmp_path, kind, name, file, content, reason, said):
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(InputRefused) as refused:
        payload_parts(kind, name, tmp_path / file, reason)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
