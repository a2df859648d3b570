"""The parts of a pack, held against literals of a walk-forward made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.overfit import evidence
from workbench.backtest.trials import Ledger
from workbench.params import Settings, SizingParams, StrategyParams
from workbench.registry.making.drawdown import drawdown_band
from workbench.registry.making.guard import features_in
from workbench.registry.making.parts import Finished, TrialFacts, strategy_parts
from workbench.registry.packs.canonical import read_canonical


def flat(daily: float, sessions: int = 300) -> pd.Series:
    index = pd.bdate_range("2020-01-02", periods=sessions)
    return pd.Series(np.full(sessions, daily), index=index)


@pytest.fixture
def finished(walk_forward_made, tmp_path) -> Finished:
    found = evidence(walk_forward_made, Ledger(tmp_path / "trials.db"))
    return Finished(
        result=walk_forward_made,
        params=StrategyParams(
            question=walk_forward_made.question, params={"fast": 20}, grid={"slow": [150]}, sizing={"max_weight": 0.2}
        ),
        settings=Settings(sizing=SizingParams(max_gross=1.2)),
        symbols=("AAA00", "AAA01"),
        lookback=225,
        tables={"actions": {"version": 4, "id": "x", "digest": "ab", "rows": 7}},
        validation={"actions": {"version": 4, "passed": True}},
        lookahead=[{"name": "sma_cross", "clean": True}],
        overfitting=found,
        trials=TrialFacts("q1", "Does it pay?", "sample", 9, 2, 0, 3, "head", {"batch": 1, "head": "first"}),
        files={"environment.lock": b"numpy==1.26.4\n", "result/folds.parquet": b"PAR1"},
    )


def read(finished: Finished, path: str):
    return read_canonical(strategy_parts(finished)[path], path)


def test_parameters_say_what_would_be_traded_and_how_it_was_chosen(finished):
    facts = read(finished, "params.json")
    assert facts["params"] == {"fast": 20, "slow": 150}  # the choice of the newest fold
    assert (facts["symbols"], facts["lookback"], facts["benchmark"]) == (["AAA00", "AAA01"], 225, "MKT00")
    # The strategy's own cap, the settings' gross, and the default of the rest.
    assert (facts["sizing"]["max_weight"], facts["sizing"]["max_gross"], facts["sizing"]["max_net"]) == (0.2, 1.2, 1.0)
    assert facts["schedule"] == {
        "bars": "prices_daily", "decided_at": "close", "traded_at": "open", "lag_bars": 1, "rebalance": "on_change",
    }  # fmt: skip
    assert (facts["grid"], facts["fixed"]) == ({"slow": [150]}, {"fast": 20})
    assert facts["sample"]["seed"] == 7


def test_statistics_are_those_of_the_result(finished):
    facts = read(finished, "statistics.json")
    assert (facts["in_sample"]["sharpe"], facts["out_of_sample"]["sharpe"]) == (1.29, 0.87)
    assert facts["intervals"]["sharpe"] == [0.18, 1.55]
    assert len(facts["folds"]) == 8
    assert facts["folds"][0]["test_score"] == 0.9
    assert facts["folds"][0]["train_start"] == "2013-01-02"
    assert facts["folds"][2]["params"] == {"fast": 10, "slow": 150}
    assert (facts["first"], facts["last"]) == ("2016-01-04", "2023-12-29")
    assert facts["robustness"] is None


def test_what_cannot_be_computed_is_null_and_says_why(finished):
    facts = read(finished, "statistics.json")["overfitting"]
    assert facts["dsr"] is None
    assert "no trial with returns is in the ledger" in facts["missing"]["dsr"]


def test_a_number_that_is_not_finite_is_null(finished):
    odd = {**finished.result.out_of_sample, "profit_factor": float("inf"), "alpha": float("nan")}
    facts = read(replace(finished, result=replace(finished.result, out_of_sample=odd)), "statistics.json")
    assert (facts["out_of_sample"]["profit_factor"], facts["out_of_sample"]["alpha"]) == (None, None)


def test_every_other_part_is_kept_as_it_is(finished):
    parts = strategy_parts(finished)
    assert parts["environment.lock"] == b"numpy==1.26.4\n"
    assert parts["result/folds.parquet"] == b"PAR1"
    assert json.loads(parts["lookahead.json"])["reports"] == [{"name": "sma_cross", "clean": True}]
    assert json.loads(parts["data.json"]) == {"actions": {"version": 4, "id": "x", "digest": "ab", "rows": 7}}
    assert json.loads(parts["trials.json"])["trials"] == 9


def test_the_same_run_gives_the_same_bytes(finished):
    assert strategy_parts(finished) == strategy_parts(finished)


def test_a_strategy_that_only_loses_falls_by_what_it_loses():
    # Whatever the blocks: 20 sessions of -1 % leave 0.99 ** 20 = 0.817907 of the equity.
    bounds = drawdown_band(flat(-0.01), seed=1, draws=50)["bounds"]
    assert bounds["20"]["0.95"] == pytest.approx(-0.182093, abs=1e-6)
    assert bounds["20"]["0.99"] == pytest.approx(-0.182093, abs=1e-6)
    assert bounds["60"]["0.95"] == pytest.approx(-0.452843, abs=1e-6)  # 1 - 0.99 ** 60
    assert set(bounds) == {"20", "60", "250"}


def test_a_strategy_that_only_earns_never_falls():
    assert drawdown_band(flat(0.01), seed=1, draws=50)["bounds"]["250"]["0.99"] == 0.0


def test_a_longer_horizon_and_more_certainty_allow_a_deeper_fall(walk_forward_made):
    band = drawdown_band(walk_forward_made.simulation.returns, seed=7, draws=500)
    bounds = band["bounds"]
    assert bounds["250"]["0.95"] < bounds["60"]["0.95"] < bounds["20"]["0.95"] < 0.0
    assert bounds["60"]["0.99"] < bounds["60"]["0.95"]
    assert (band["draws"], band["seed"], band["sessions"]) == (500, 7, 2012)


def test_the_features_of_a_strategy_are_those_whose_files_it_imports():
    assert features_in(["strategies/sma_cross.py", "features/within.py"]) == ()
    assert features_in(["strategies/learned.py", "features/alpha158.py"]) == ("alpha158",)
    technical = features_in(["features/technical.py"])
    assert "momentum_21" in technical
    assert "alpha158" not in technical
