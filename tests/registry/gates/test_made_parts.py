"""The gates read what the maker of packs writes: nothing of a real pack's parts is unknown to them."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.backtest.lookahead.finding import Check, Report
from workbench.backtest.overfit import evidence
from workbench.backtest.robustness.card import Robustness, Variant
from workbench.backtest.trials import Ledger, record
from workbench.backtest.trials.question import Question
from workbench.data.lake import Lake
from workbench.errors import PackRefused
from workbench.params import Settings, StrategyParams
from workbench.registry.gates.case import LedgerFacts
from workbench.registry.gates.judge import judge
from workbench.registry.gates.verdict import Verdict
from workbench.registry.making.parts import Finished, TrialFacts, strategy_parts
from workbench.registry.making.validation import table_facts, validation_facts
from workbench.registry.packs.canonical import canonical, jsonable
from workbench.registry.packs.pack import make_pack

KNOWN = datetime(2024, 7, 1, 22, 0, tzinfo=UTC)
CHECKS = (Check("comb", 4, 8), Check("truncation", 16, 17), Check("lookback", 8, 9))


@pytest.fixture
def lake(tmp_path):
    lake = Lake(tmp_path / "lake", "sample")
    rows = pl.DataFrame(
        {
            "symbol": ["TEC01"] * 3,
            "session": [date(2024, 6, 27), date(2024, 6, 28), date(2024, 7, 1)],
            "open": [10.0, 10.1, 10.2],
            "high": [10.5] * 3,
            "low": [9.5] * 3,
            "close": [10.1, 10.2, 10.3],
            "volume": [1000.0] * 3,
            "known_at": [KNOWN] * 3,
            "source": ["hand"] * 3,
        }
    ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))
    put(lake, "prices_daily", rows)
    return lake


@pytest.fixture
def parts(lake, tmp_path, walk_forward_made):
    """The parts of a walk-forward of which all but the curves is real: ledger, evidence, lake and validation."""
    base = Variant("base", "base", "", 0.87, 0.08, -0.13, 1.0, 2012)
    doubled = Variant("costs", "2× costs", "every cost twice", 0.55, 0.05, -0.15, 0.63, 2012)
    wf = replace(walk_forward_made, robustness=Robustness(base, (doubled,)))
    ledger, question = Ledger(tmp_path / "trials.db"), Question(wf.question, wf.market)
    cells = [{"fast": fast, "slow": slow} for fast in (10, 20, 50) for slow in (100, 150, 200)]
    receipt = record(ledger, question, wf.strategy, cells, wf.cell_returns, source="walk_forward", run_id="r")
    report = Report("sma_cross", "strategy", {"fast": 20, "slow": 150}, "s", "600 sessions", 7, CHECKS, (), ())
    found = evidence(wf, ledger)
    versions = lake.versions()
    finished = Finished(
        result=wf,
        params=StrategyParams(question=wf.question, grid={"fast": [10, 20, 50], "slow": [100, 150, 200]}),
        settings=Settings(),
        symbols=("AAA00", "AAA01"),
        lookback=200,
        tables=table_facts(lake, versions),
        validation=validation_facts(lake, versions),
        lookahead=[report.to_dict(), replace(report, name="sma_ratio", kind="feature", params={}).to_dict()],
        overfitting=found,
        trials=TrialFacts.of(question, found, ledger.verify(), {"batch": receipt.batch, "head": receipt.head}),
        files={},
    )
    return strategy_parts(finished)


def test_every_gate_of_the_first_step_can_read_the_parts_that_are_made(
    make, policy, parts, walk_forward_made, tmp_path
):
    kept = tmp_path / "result"
    walk_forward_made.save(kept)
    parts = {**parts, **{f"result/{file.name}": file.read_bytes() for file in kept.iterdir()}}
    case = make.case(ledger=LedgerFacts(True, "", 9, 9))
    made = {name: getattr(case.pack, name) for name in ("name", "market", "made_by", "made_at", "expires_at", "policy")}
    case = replace(case, pack=make_pack(kind="strategy", files=parts, code=case.pack.code, **made))
    verdicts = {verdict.gate: verdict for verdict in judge(policy.first_step("strategy")[1], case)}
    assert [verdict.line for verdict in verdicts.values() if verdict.measured == "unknown"] == []
    # What the fixture's literals say, and nothing that the gates computed.
    assert verdicts["out_of_sample"].measured == "0.67 ×: 0.87 out of sample, 1.29 in sample"
    assert verdicts["folds"].measured == "7 of 8 folds positive"
    assert verdicts["costs"].measured == "0.55, 5.0 % a year at 2× costs"
    assert verdicts["drawdown"].measured == "12.8 %"
    assert verdicts["profit_factor"].measured == "1.37 in 39 round trips"
    assert verdicts["deflated_sharpe"].measured.endswith(" with 9 trials (1 bet)")
    assert verdicts["validation"].measured.startswith("1 table, ")
    assert verdicts["validation"].measured.endswith(" rules, 3 rows")
    assert verdicts["lookahead"].measured == "2 reports, 20 dates"


def test_the_verdicts_are_kept_in_json_and_read_back(make, policy):
    verdicts = judge(policy.step("strategy", "production"), make.case(to_stage="production"))
    kept = json.loads(canonical(jsonable(verdicts)))
    assert tuple(Verdict.read(row, "gates.json") for row in kept) == verdicts


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda row: row.pop("why"), "is no verdict of a gate"),
        (lambda row: row.update(more="x"), "is no verdict of a gate"),
        (lambda row: row.update(outcome="passed"), "outcome 'passed' is none of pass, warn, review, fail"),
        (lambda row: row.update(measured=0.97), "is no verdict of a gate"),
    ],
)
def test_what_no_gate_said_is_no_verdict(make, spoil, error):
    row = jsonable(make.gate("sharpe").judge(make.case()))
    spoil(row)
    with pytest.raises(PackRefused, match=error):
        Verdict.read(row, "gates.json")
