"""The gate and the guard together: a strategy whose module keeps what it once saw is refused."""

import json

import pytest

from tests.backtest.lookahead.conftest import make_eventful
from tests.backtest.lookahead.keepers import Winners
from tests.registry.gates.test_gates import answer
from workbench.backtest import lookahead
from workbench.registry.gates.verdict import Outcome


@pytest.mark.slow  # tests/backtest/lookahead/test_kept.py asks the same of the guard alone
def test_a_strategy_that_keeps_the_winners_in_its_module_is_refused_by_the_lookahead_gate(make):
    bars = make_eventful()
    strategy = Winners(bars.symbols)
    strategy.weights(bars)  # a backtest came first, in this very process
    report = lookahead.examine(strategy, bars, depth=lookahead.Depth(cuts=4, combs=1, windows=1, cold=1))
    verdict = answer(make, "lookahead", ("lookahead.json", "reports.1", json.loads(report.to_json())))
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, "winners: reads ahead")
