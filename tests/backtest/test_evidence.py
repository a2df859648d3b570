"""What speaks for a walk-forward, and that a number that is not there says why."""

import math
import re
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import tearsheet
from workbench.backtest.overfit import DEFINITIONS, Overfitting, evidence, spa
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
    own, market = walk_forward_made.simulation.returns, walk_forward_made.benchmark
    assert found.missing == {}
    assert (found.trials, found.n, found.pbo_all_left_out) == (9, len(own), 0)
    assert found.sharpe_raw == pytest.approx(own.mean() / own.std())
    # it was made of a quarter of the market and something of its own
    assert found.beta == pytest.approx(0.25, abs=0.02)
    left = own - found.beta * market
    assert found.sharpe == pytest.approx(left.mean() / left.std())
    assert left.corr(market) == pytest.approx(0.0, abs=1e-9)
    assert 0.0 < found.spa_p < 1.0
    # nine copies of one curve with a little noise: hardly anything to deflate
    assert found.effective_trials == 1
    assert 0.0 < found.expected_max * math.sqrt(found.n - 1) < 0.5
    assert found.psr - 0.05 < found.dsr < found.psr
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
    # the best of 31 independent ones shows 2.06 standard deviations (Harter, 1961); nine alike ones add a little
    assert after.expected_max * math.sqrt(after.n - 1) == pytest.approx(2.08, rel=0.03)
    assert after.dsr < before.dsr
    # a question asked of another market is not touched
    assert ledger.count(Question(walk_forward_made.question, "real")) == 0


def made_of(wf, returns: pd.Series, cells: pd.DataFrame | None = None):
    """Return the walk-forward with other returns; the card of each cell is that of the nine."""
    simulation = replace(wf.simulation, returns=returns)
    return replace(wf, simulation=simulation, **({} if cells is None else {"cell_returns": cells}))


def test_holding_the_market_is_no_skill_however_well_it_is_paid(ledger, walk_forward_made):
    random, index = np.random.default_rng(8), walk_forward_made.benchmark.index
    paid = pd.Series(random.normal(0.0, 0.01, len(index)), index)
    paid += 0.0007 - paid.mean()  # a market with a Sharpe ratio of 1.1
    cells = pd.DataFrame({n: (0.4 + 0.05 * n) * paid + random.normal(0.0, 0.002, len(index)) for n in range(9)}, index)
    holder = replace(made_of(walk_forward_made, cells[8], cells), benchmark=paid)
    record_walk_forward(ledger, holder)
    found = evidence(holder, ledger)
    assert found.beta == pytest.approx(0.8, abs=0.02)
    assert found.dsr_raw > 0.99
    assert found.dsr < 0.9
    assert found.spa_p > 10 * spa(cells).p
    # and skill beside it is found: a Sharpe ratio of 2 a year in what is its own
    skilled = made_of(holder, cells[8] + 2.0 / math.sqrt(252) * 0.002)
    assert evidence(skilled, ledger).dsr > 0.99


def test_what_holds_the_market_and_nothing_else_has_nothing_of_its_own(ledger, walk_forward_made):
    mirror = made_of(walk_forward_made, 0.5 * walk_forward_made.benchmark)
    record_walk_forward(ledger, mirror)
    found = evidence(mirror, ledger)
    assert (found.beta, found.dsr) == (pytest.approx(0.5), None)
    assert re.fullmatch(r"sma_cross less the market took no risk in \d+ returns: .*", found.missing["dsr"])
    assert found.dsr_raw is not None


def test_a_market_that_never_moves_cannot_be_taken_off_so_nothing_is_proven(ledger, walk_forward_made):
    still = replace(walk_forward_made, benchmark=walk_forward_made.benchmark * 0.0)
    record_walk_forward(ledger, still)
    found = evidence(still, ledger)
    for name in ("beta", "sharpe", "dsr", "pbo", "pbo_all", "spa_p"):
        assert getattr(found, name) is None
        assert "the benchmark never moves" in found.missing[name]
    assert found.dsr_raw is not None


def test_trials_of_other_weeks_are_left_out_of_what_choosing_is_judged_by_and_counted(ledger, walk_forward_made):
    record_walk_forward(ledger, walk_forward_made)
    before = evidence(walk_forward_made, ledger)
    question = Question(walk_forward_made.question, walk_forward_made.market)
    index = walk_forward_made.cell_returns.index
    # Thirty that lost money in the first two years only: taken for zero after, the worst would be at the median.
    early = pd.DataFrame(np.random.default_rng(4).normal(-0.003, 0.01, (500, 30)), index=index[:500])
    record(ledger, question, "another", [{"cell": cell} for cell in range(30)], early, source="notebook")
    after = evidence(walk_forward_made, ledger)
    assert (after.pbo_all, after.pbo_all_left_out) == (before.pbo_all, 30)
    # one that has all of these weeks and more is compared in these weeks
    longer = pd.bdate_range(index[0] - pd.Timedelta(days=400), index[-1] + pd.Timedelta(days=400))
    other = pd.DataFrame(np.random.default_rng(5).normal(0.004, 0.01, (len(longer), 1)), index=longer)
    record(ledger, question, "another", [{"cell": 31}], other, source="notebook")
    found = evidence(walk_forward_made, ledger)
    assert found.pbo_all_left_out == 30
    assert found.pbo_all < 0.01 < after.pbo_all


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
    assert "record what was tried first" in found.missing["dsr"]
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
    assert shown(table)[["sharpe", "cagr"]].to_numpy().tolist() == [["0.87", "8.2 %"]]


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
