"""The calibration's own counting, on verdicts made by hand; what it measures takes a night."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

GATES = ("out_of_sample", "folds", "deflated_sharpe", "overfitting", "track_length", "costs")


def market(calibration, seed, effect=0.0):
    return calibration.Market(seed, effect, 15)


def verdict(calibration, seed=1000, effect=0.0, **outcomes):
    """A verdict whose best walk-forward trades where momentum is planted; every gate passes but for ``outcomes``."""
    gates = {**dict.fromkeys(GATES, "pass"), **outcomes}
    pick = calibration.Judged(
        "xs_momentum", ("Technology", "Finance"), 1.2, 1.4, 0.99, 0.1, 0.97, 0.98, 0.1, gates, {"sharpe": "warn"}
    )
    planted = (1.5, 1.3) if effect else ()
    return calibration.Verdict(market(calibration, seed, effect), "p" * 64, 180, 60, pick, pick, pick, planted)


def figures(capsys):
    return {figure["figure"]: figure for figure in map(json.loads, capsys.readouterr().out.splitlines())}


def test_it_asks_every_statistical_gate_of_the_policy_and_the_targets_apart(calibration):
    policy, gates, targets = calibration.policy_of_now()
    assert tuple(gate.name for gate in gates.gates) == GATES
    assert [gate.name for gate in targets.gates] == ["drawdown", "sharpe", "profit_factor"]
    assert len(policy.digest) == 64


def test_what_passed_and_what_each_gate_refused_is_counted_with_what_it_alone_refused(calibration, capsys):
    found = [
        verdict(calibration, 1000),
        verdict(calibration, 1001, out_of_sample="fail"),
        verdict(calibration, 1002, out_of_sample="fail", deflated_sharpe="fail"),
        verdict(calibration, 1003, overfitting="review"),
    ]
    calibration.show(found, "walk_forward", dict.fromkeys(GATES, "asked"))
    told = figures(capsys)
    passed = told["best walk-forward: false passes where nothing is planted"]
    assert (passed["value"], passed["peer_value"], passed["size"]["with_review"]) == (0.25, 1.0, 0.5)
    assert passed["size"]["without_out_of_sample"] == 0.5
    refused = {gate: told[f"best walk-forward: refused by {gate}"] for gate in GATES}
    assert {gate: (line["value"], line["peer_value"]) for gate, line in refused.items() if line["value"]} == {
        "out_of_sample": (0.5, 0.25), "deflated_sharpe": (0.25, 0.0), "overfitting": (0.25, 0.25),
    }  # fmt: skip
    assert told["best walk-forward: target sharpe missed"]["value"] == 1.0


def test_where_something_is_planted_only_a_pick_that_trades_it_counts(calibration, capsys):
    right, wrong = verdict(calibration, 1000, 1.0), verdict(calibration, 1001, 1.0)
    wrong = replace(wrong, walk_forward=replace(wrong.walk_forward, universe=("Health", "Energy")))
    calibration.show([right, wrong], "walk_forward", dict.fromkeys(GATES, "asked"))
    found = figures(capsys)["best walk-forward: found where effects of 1 are planted"]
    assert (found["value"], found["size"]["sharpe_planted"]) == (0.5, 1.5)


def test_a_run_goes_on_where_it_was_and_judges_again_what_other_gates_judged(calibration, tmp_path):
    file = tmp_path / "verdicts.jsonl"
    first, other = verdict(calibration, 1000), replace(verdict(calibration, 1001), policy="q" * 64)
    lines = [json.dumps(asdict(one)) for one in (first, other)]
    file.write_text("\n".join([*lines, lines[0][:50]]))
    markets = {first.market, other.market}
    assert calibration.kept(file, markets, "p" * 64) == [first]
    assert calibration.kept(file, {other.market}, "p" * 64) == []
    assert calibration.kept(None, markets, "p" * 64) == []


def test_the_interval_of_a_share_is_wilsons(calibration):
    # Agresti and Coull (1998): of 0 in 10 the upper end is z²/(n + z²) = 3.8416 / 13.8416.
    assert calibration.share(0, 10) == pytest.approx((0.0, 0.0, 0.27754), abs=1e-5)
