"""What speaks for a walk-forward, and that a number that is not there says why."""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import tearsheet
from workbench.backtest.overfit import DEFINITIONS, Overfitting, evidence, pbo
from workbench.backtest.ranking import ranking, shown
from workbench.backtest.text import chance
from workbench.backtest.trials import Ledger, Question, record, record_failure, record_walk_forward
from workbench.params import Settings


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "trials.db")


def test_every_number_is_there_and_means_what_the_papers_say(ledger, walk_forward_made):
    record_walk_forward(ledger, walk_forward_made)
    found = evidence(walk_forward_made, ledger)
    own = walk_forward_made.simulation.returns.to_numpy()
    assert found.missing == {}
    assert (found.trials, found.n) == (9, len(own))
    assert found.sharpe == pytest.approx(own.mean() / own.std(ddof=1))
    assert found.pbo == pbo(walk_forward_made.cell_returns).probability
    assert 0.0 < found.spa_p < 1.0
    # nine copies of one curve with a little noise: one bet, nothing to deflate
    assert found.effective_trials == 1
    assert found.expected_max == 0.0
    assert found.dsr == found.psr
    assert set(found.metrics()) == {f"overfit.{name}" for name in DEFINITIONS}


def test_more_bets_on_the_same_question_deflate_the_same_result(ledger, walk_forward_made):
    record_walk_forward(ledger, walk_forward_made)
    before = evidence(walk_forward_made, ledger)
    question = Question(walk_forward_made.question, walk_forward_made.market)
    index = walk_forward_made.cell_returns.index
    worthless = pd.DataFrame(np.random.default_rng(3).normal(0.0, 0.01, (len(index), 30)), index=index)
    record(ledger, question, "another", [{"cell": cell} for cell in range(30)], worthless, source="notebook")
    record_failure(ledger, question, "another", "ValueError: no luck")
    after = evidence(walk_forward_made, ledger)
    assert (after.trials, after.effective_trials) == (40, 31)
    assert (after.sharpe, after.psr, after.pbo) == (before.sharpe, before.psr, before.pbo)
    # the best of 31 shows √V × 2.08 with V about 1 / n: a good part of what was found
    assert after.expected_max == pytest.approx(math.sqrt(after.trial_variance) * 2.08, rel=0.01)
    assert after.dsr < before.dsr
    # a question asked of another market is not touched
    assert ledger.count(Question(walk_forward_made.question, "real")) == 0


def test_alike_cells_that_all_pay_are_a_coin_toss_among_themselves_and_no_overfit_among_all_that_was_tried(
    ledger, walk_forward_made
):
    random, index = np.random.default_rng(5), walk_forward_made.cell_returns.index
    paying = random.normal(0.0008, 0.008, (len(index), 1)) + random.normal(0.0, 0.001, (len(index), 9))
    good = replace(walk_forward_made, cell_returns=pd.DataFrame(paying, index=index))
    record_walk_forward(ledger, good)
    alone = evidence(good, ledger)
    assert alone.pbo > 0.2
    assert alone.pbo_all > 0.2  # the same cells, by week
    worthless = pd.DataFrame(random.normal(0.0, 0.008, (len(index), 30)), index=index)
    question = Question(good.question, good.market)
    record(ledger, question, "another", [{"cell": cell} for cell in range(30)], worthless, source="notebook")
    found = evidence(good, ledger)
    assert found.pbo == alone.pbo
    assert found.pbo_all < 0.02


def test_what_skill_and_costs_add_to_the_spread_of_the_bets_is_luck_only_to_the_stricter_number(
    ledger, walk_forward_made
):
    record_walk_forward(ledger, walk_forward_made)
    random, index = np.random.default_rng(6), walk_forward_made.cell_returns.index
    question = Question(walk_forward_made.question, walk_forward_made.market)
    costly = pd.DataFrame(random.normal(-0.001, 0.008, (len(index), 5)), index=index)
    record(ledger, question, "another", [{"cell": cell} for cell in range(5)], costly, source="notebook")
    found = evidence(walk_forward_made, ledger)
    assert found.effective_trials == 6
    # five bets that lose their costs make the sixth no luckier: what worthless bets show is 1 / (n - 1)
    assert found.trial_variance == pytest.approx(1.0 / (found.n - 1), rel=0.1)
    assert found.dsr_spread < found.dsr


def test_one_cell_has_no_overfitting_of_a_grid_and_says_so(ledger, walk_forward_made):
    one = replace(
        walk_forward_made, cells=walk_forward_made.cells.head(1), cell_returns=walk_forward_made.cell_returns[[0]]
    )
    record_walk_forward(ledger, one)
    found = evidence(one, ledger)
    assert found.pbo is None
    assert found.pbo_all is None
    assert found.missing == {
        "pbo": "the grid has one cell only: there was nothing to choose",
        "pbo_all": "only one trial of this question has returns: there was nothing to choose",
    }
    assert "overfit.pbo" not in found.metrics()
    assert found.dsr is not None


def test_a_result_that_was_not_recorded_is_not_deflated(ledger, walk_forward_made):
    found = evidence(walk_forward_made, ledger)
    assert (found.dsr, found.expected_max, found.trials) == (None, None, 0)
    assert "record the walk-forward first" in found.missing["dsr"]
    assert found.psr is not None


def test_a_result_that_never_traded_says_why_it_has_no_numbers(ledger, walk_forward_made):
    flat = walk_forward_made.simulation.returns * 0.0
    nothing = replace(
        walk_forward_made,
        simulation=replace(walk_forward_made.simulation, returns=flat),
        cell_returns=walk_forward_made.cell_returns * 0.0,
    )
    record_walk_forward(ledger, nothing)
    found = evidence(nothing, ledger)
    for name in ("sharpe", "skew", "kurtosis", "psr", "dsr", "min_track_record"):
        assert getattr(found, name) is None
        assert "took no risk" in found.missing[name]
    assert "no column ever changes" in found.missing["pbo"]
    assert (found.trials, found.effective_trials) == (9, 0)


def test_a_loss_has_no_track_record_that_is_long_enough(ledger, walk_forward_made):
    returns = walk_forward_made.simulation.returns - 0.002
    losing = replace(walk_forward_made, simulation=replace(walk_forward_made.simulation, returns=returns))
    record_walk_forward(ledger, losing)
    found = evidence(losing, ledger)
    assert found.min_track_record is None
    assert "no track record is long enough" in found.missing["min_track_record"]
    assert found.dsr < 0.01


def test_a_short_history_says_how_much_is_missing(ledger, walk_forward_made):
    short = replace(
        walk_forward_made,
        cell_returns=walk_forward_made.cell_returns.tail(25),
        simulation=replace(walk_forward_made.simulation, returns=walk_forward_made.simulation.returns.tail(25)),
    )
    record_walk_forward(ledger, short)
    found = evidence(short, ledger)
    assert found.pbo is None
    assert "25 returns are too few; give at least 32" in found.missing["pbo"]


def test_every_number_has_a_definition():
    assert [field.name for field in fields(Overfitting)] == [*DEFINITIONS, "missing"]


def one_cell(wf, strategy: str = "lonely"):
    return replace(wf, strategy=strategy, cells=wf.cells.head(1), cell_returns=wf.cell_returns[[0]])


def test_a_ranking_counts_and_puts_a_dash_with_its_reason_where_there_is_no_number(ledger, walk_forward_made):
    lonely = replace(one_cell(walk_forward_made), question="Does one cell alone pay, after all?")
    for wf in (walk_forward_made, lonely):
        record_walk_forward(ledger, wf)
    table = ranking([walk_forward_made, lonely], ledger).set_index("strategy")
    assert table["trials"].to_dict() == {"sma_cross": 9, "lonely": 1}
    assert table.loc["sma_cross", "dsr"] == evidence(walk_forward_made, ledger).dsr
    assert table.loc["lonely", "pbo"] is None
    seen = shown(table)
    assert seen.loc["lonely", "pbo"] == "–"
    assert seen.loc["lonely", "missing"] == "pbo: the grid has one cell only: there was nothing to choose"
    assert seen.loc["sma_cross", "missing"] == ""
    assert "missing" not in shown(ranking([walk_forward_made], ledger))


def test_a_ranking_without_a_ledger_is_not_counted(walk_forward_made):
    table = ranking([walk_forward_made])
    assert not {"trials", "dsr", "pbo"} & set(table)
    assert shown(table)["sharpe"].tolist() == [0.87]


def test_the_tear_sheet_shows_the_evidence_or_why_there_is_none(ledger, walk_forward_made):
    lonely = one_cell(walk_forward_made)
    record_walk_forward(ledger, lonely)
    found = replace(evidence(lonely, ledger), trials=1234, dsr=0.875, expected_max=0.1)
    html = tearsheet.render(lonely, Settings(), {}, overfitting=found)
    assert '<td class="n own">1,234</td>' in html
    assert '<td class="n own">87.5 %</td>' in html
    assert '<td class="n own">1.59</td>' in html  # 0.1 × √252
    assert re.search(r">–</td><td class=.*>the grid has one cell only", html)
    assert "Skill, or the search for it?" not in tearsheet.render(lonely, Settings(), {})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.875, "87.5 %"), (0.9996, ">99.9 %"), (1.0, ">99.9 %"), (0.0, "<0.1 %"), (0.001, "0.1 %"), (None, "–")],
)
def test_a_probability_is_never_rounded_to_certainty(value, text):
    assert chance(value) == text
