"""The robustness card: each row by hand, the words by their rules, and regimes that know nothing of tomorrow."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import stats, tearsheet
from workbench.backtest.engine import simulate
from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import Robustness, Variant
from workbench.backtest.robustness.regimes import DOWNTREND, HIGH_VOLATILITY, LOW_VOLATILITY, UPTREND, regimes
from workbench.backtest.robustness.stress import robustness
from workbench.backtest.walkforward import walk_forward
from workbench.errors import InputRefused
from workbench.params import CostParams, Settings, SizingParams, StrategyParams, Universe, WalkForwardParams
from workbench.registry import record
from workbench.registry.checkout import Checkout
from workbench.strategies import catalog
from workbench.strategies.sma_cross import SmaCross

PARAMS = StrategyParams(
    question="Does it pay on a random walk?",
    universe=Universe(sectors=("Technology", "Finance")),
    params={"fast": 5, "slow": 20},
    grid={"fast": [5, 10, 25], "slow": [20, 40]},
)
# Proportional costs of 10 bp a trade in all: what three times as much means is then plain arithmetic.
SETTINGS = Settings(
    walk_forward=WalkForwardParams(
        warm_up_sessions=0, train_sessions=120, test_sessions=60, purge_sessions=1, embargo_sessions=2
    ),
    sizing=SizingParams(volatility_sessions=20),
    data={"benchmark": "HLT00"},
    costs=CostParams(
        schedule="proportional", proportional_bps=8.0, spread_bps=4.0, impact=0.0, borrow_bps_per_year=0.0
    ),
)


@pytest.fixture(scope="module")
def market(bars_of):
    """Twelve symbols that trend for a while, so that following trends earns something."""
    random = np.random.default_rng(5)
    trend = np.repeat(random.choice([-0.0016, 0.0022], (20, 12)), 30, axis=0)
    close = 50.0 * np.exp(np.cumsum(trend + random.normal(0.0, 0.012, (600, 12)), axis=0))
    names = {"TEC": "Technology", "FIN": "Finance", "HLT": "Health"}
    symbols = [f"{sector}{number:02d}" for sector in names for number in range(4)]
    return bars_of(close, symbols, sectors={symbol: names[symbol[:3]] for symbol in symbols}, market="sample")


@pytest.fixture(scope="module")
def result(market) -> WalkForward:
    return walk_forward("sma_cross", PARAMS, market, SETTINGS)


@pytest.fixture(scope="module")
def card(market, result) -> Robustness:
    return robustness("sma_cross", PARAMS, market, SETTINGS, result)


def test_a_result_that_paid_for_its_impact_is_judged(market):
    costly = SETTINGS.model_copy(update={"costs": CostParams(impact=1.0)})
    result = walk_forward("sma_cross", PARAMS, market, costly)
    assert result.simulation.costs["impact"].iloc[:10].sum() > 0.0  # by a volatility known before the first test window
    assert robustness("sma_cross", PARAMS, market, costly, result).base.sharpe == stats.sharpe(
        result.simulation.returns
    )


def row(card: Robustness, name: str) -> Variant:
    return next(variant for variant in card.variants if variant.name == name)


def stitched(market, result, symbols=None, **changes: dict[str, int]) -> pd.DataFrame:
    """The traded weights by the test's own loop; ``changes`` maps an axis to {chosen: other}."""
    symbols = symbols or [symbol for symbol in market.symbols if symbol[:3] in ("TEC", "FIN")]
    parts = []
    for fold in result.folds.itertuples():
        cell = {axis: changes.get(axis, {}).get(value, value) for axis, value in fold.params.items()}
        made = catalog.build("sma_cross", tuple(symbols), SETTINGS.sizing, cell)
        parts.append(made.weights(market).loc[fold.test_start : fold.test_end])
    return pd.concat(parts)


def test_the_base_is_the_result(card, result):
    assert card.base.sharpe == result.out_of_sample["sharpe"]
    assert card.base.cagr == result.out_of_sample["cagr"]
    assert card.base.max_drawdown == result.out_of_sample["max_drawdown"]
    assert card.base.kept == 1.0
    assert result.out_of_sample["sharpe"] > 0.5  # else every share kept would be undefined


@pytest.mark.parametrize("times", [2, 3])
def test_costs_are_taken_off_as_often_as_said(card, market, result, times):
    """The simulator itself, at a proportional commission and a spread of two and three times the size."""
    dearer = SETTINGS.costs.model_copy(update={"proportional_bps": 8.0 * times, "spread_bps": 4.0 * times})
    again = simulate(stitched(market, result), market.select(result.simulation.positions), SETTINGS.portfolio, dearer)
    assert row(card, f"{times}× costs").sharpe == pytest.approx(stats.sharpe(again.returns), abs=0.01)
    assert row(card, f"{times}× costs").cagr == pytest.approx(stats.cagr(again.returns), abs=1e-3)
    assert row(card, f"{times}× costs").sharpe < card.base.sharpe


def test_a_bar_later_is_a_bar_later(card, market, result):
    later = SETTINGS.portfolio.model_copy(update={"lag_bars": 2})
    again = simulate(stitched(market, result), market.select(result.simulation.positions), later, SETTINGS.costs)
    assert row(card, "traded one bar later").sharpe == pytest.approx(stats.sharpe(again.returns), abs=1e-6)


def test_a_step_moves_the_choice_of_each_fold_and_stays_at_the_edge(card, market, result):
    chosen = [params["fast"] for params in result.folds["params"]]
    assert len(set(chosen)) > 1  # else a step of each fold is a step of one cell
    # fast 25 is refused beside slow 20: such a fold stays where it was.
    parts, moved = [], 0
    for fold in result.folds.itertuples():
        cell = dict(fold.params)
        up = {5: 10, 10: 25, 25: 25}[cell["fast"]]
        if up < cell["slow"] and up != cell["fast"]:
            cell["fast"], moved = up, moved + 1
        symbols = tuple(result.simulation.positions)
        made = catalog.build("sma_cross", symbols, SETTINGS.sizing, cell)
        parts.append(made.weights(market).loc[fold.test_start : fold.test_end])
    bars = market.select(result.simulation.positions)
    again = simulate(pd.concat(parts), bars, SETTINGS.portfolio, SETTINGS.costs)
    found = row(card, "fast one step up")
    assert found.sharpe == pytest.approx(stats.sharpe(again.returns), abs=1e-6)
    assert found.changed.startswith(f"fast one grid step up in {moved} of {len(chosen)} folds")


def test_a_sector_is_left_out_of_what_the_strategy_sees(card, market, result):
    kept = [symbol for symbol in market.symbols if symbol.startswith("TEC")]
    weights = stitched(market, result, kept)
    again = simulate(weights, market.select(kept), SETTINGS.portfolio, SETTINGS.costs)
    found = row(card, "without Finance")
    assert found.sharpe == pytest.approx(stats.sharpe(again.returns), abs=1e-6)
    assert found.changed == "4 of 8 symbols"


def test_random_halves_are_the_same_every_time_and_complete_each_other(card, market, result):
    halves = [variant for variant in card.group("universe") if "half" in variant.name]
    assert [variant.name for variant in halves] == [f"on random half {number}" for number in (1, 2, 3, 4)]
    assert all(variant.changed.startswith("4 of 8 symbols") for variant in halves)
    assert len({variant.sharpe for variant in halves}) == 4
    again = robustness("sma_cross", PARAMS, market, SETTINGS, result)
    assert again == card


def test_the_best_month_and_the_best_day_are_left_out(card, result):
    returns = result.simulation.returns
    months = (1.0 + returns).resample("ME").prod() - 1.0
    best = months.idxmax()
    rest = returns[(returns.index.year != best.year) | (returns.index.month != best.month)]
    month, day = row(card, "without its best month"), row(card, "without its best day")
    assert month.sharpe == stats.sharpe(rest)
    assert month.sessions == len(rest) < len(returns)
    assert month.changed.startswith(f"{best:%Y-%m} left out")
    assert day.sharpe == stats.sharpe(returns.drop(returns.idxmax()))


def test_each_year_has_its_row_and_a_short_one_says_why_not(card, result):
    returns = result.simulation.returns
    counts = returns.groupby(returns.index.year).size()
    shown = {int(variant.name): variant for variant in card.group("years")}
    for year, count in counts.items():
        if count >= 63:
            assert shown[year].sharpe == stats.sharpe(returns[returns.index.year == year])
        else:
            assert card.missing[str(year)] == f"{count} sessions, fewer than 63"
    assert shown


def test_another_result_is_refused(market, result):
    other = replace(result, simulation=replace(result.simulation, returns=result.simulation.returns + 1e-4))
    with pytest.raises(InputRefused, match="give other returns than the result has"):
        robustness("sma_cross", PARAMS, market, SETTINGS, other)


def test_a_grid_of_one_and_a_universe_of_one_sector_say_what_is_missing(market):
    plain = PARAMS.model_copy(update={"grid": {}, "universe": Universe(symbols=("TEC00", "TEC01", "TEC02"))})
    result = walk_forward("sma_cross", plain, market, SETTINGS)
    card = robustness("sma_cross", plain, market, SETTINGS, result)
    assert card.missing["parameters"] == "the grid has one value of each parameter"
    assert card.missing["sectors"] == "the universe is one sector"
    assert card.missing["halves"] == "the universe has 3 symbols, too few to halve"
    assert not card.group("parameters")


def test_a_strategy_that_needs_every_symbol_says_so_instead_of_stopping_the_backtest(market, result, monkeypatch):
    whole = SmaCross.weights

    def needs_all(self, bars):
        if len(self.symbols) < 8:
            raise KeyError("FIN00")
        return whole(self, bars)

    monkeypatch.setattr(SmaCross, "weights", needs_all)
    card = robustness("sma_cross", PARAMS, market, SETTINGS, result)
    assert not card.group("universe")
    assert card.missing["without Finance"] == "the strategy cannot be run on it: KeyError: 'FIN00'"
    assert card.verdict.endswith("years.")


def test_a_period_of_26_sessions_has_rows_for_what_can_be_asked_of_it(market):
    brief = SETTINGS.model_copy(
        update={"walk_forward": SETTINGS.walk_forward.model_copy(update={"train_sessions": 500, "test_sessions": 20})}
    )
    result = walk_forward("sma_cross", PARAMS, market, brief)
    assert len(result.simulation.returns) == 26
    card = robustness("sma_cross", PARAMS, market, brief, result)
    assert {variant.group for variant in card.variants} <= {"costs", "delay", "parameters", "universe"}
    assert card.missing["without its best day"].endswith("sessions, fewer than 63")
    assert set(card.missing) >= {"2022", "in an uptrend", "without its best month"}


def test_the_card_survives_being_saved_with_its_result(result, card, tmp_path):
    replace(result, robustness=card).save(tmp_path / "with")
    assert WalkForward.load(tmp_path / "with").robustness == card
    result.save(tmp_path / "without")
    assert WalkForward.load(tmp_path / "without").robustness is None


# --- regimes -------------------------------------------------------------------------------------------------------


def test_what_comes_later_never_changes_a_regime(market):
    close = market.close["HLT00"]
    whole = regimes(close)
    for rows in (150, 260, 431, 599):
        assert regimes(close.iloc[:rows]).equals(whole.iloc[:rows])
        twisted = close.copy()
        twisted.iloc[rows:] *= np.linspace(0.2, 3.0, len(close) - rows)
        # The session itself is open: its own close must not decide either.
        assert regimes(twisted).iloc[: rows + 1].equals(whole.iloc[: rows + 1])


def test_regimes_are_what_they_are_called():
    index = pd.bdate_range("2020-01-01", periods=600)
    rising = pd.Series(100.0 * 1.001 ** np.arange(600), index=index)
    rising.iloc[450:] = rising.iloc[449] * 0.998 ** np.arange(1, 151)
    found = regimes(rising)
    assert not found.iloc[:200][[UPTREND, DOWNTREND]].any().any()  # no average of 200 sessions yet
    assert found[UPTREND].iloc[200:450].all()
    assert found[DOWNTREND].iloc[-1]
    swings = pd.Series(100.0 + np.where(np.arange(600) % 2, 1.0, -1.0) * np.where(np.arange(600) < 500, 0.5, 3.0))
    found = regimes(swings.set_axis(index))
    assert found[HIGH_VOLATILITY].iloc[523:].all()
    assert found[LOW_VOLATILITY].iloc[200:500].all()
    assert not (found[HIGH_VOLATILITY] & found[LOW_VOLATILITY]).any()


# --- the verdict ---------------------------------------------------------------------------------------------------


def made(*rows: tuple[str, str, float], base: float = 1.0) -> Robustness:
    """A card by hand from (group, name, Sharpe ratio)."""

    def variant(group: str, name: str, sharpe: float) -> Variant:
        return Variant(group, name, "", sharpe, 0.0, 0.0, sharpe / base if base > 0 else float("nan"), 252)

    return Robustness(variant("", "as traded", base), tuple(variant(*values) for values in rows))


SOUND = (
    ("costs", "2× costs", 0.9),
    ("costs", "3× costs", 0.71),
    ("delay", "traded one bar later", 0.8),
    ("parameters", "fast one step up", 0.95),
    ("parameters", "fast one step down", 1.1),
    ("luck", "without its best month", 0.85),
    ("universe", "without Energy", 0.6),
    ("regimes", "in high volatility", 0.7),
    ("years", "2020", 1.0),
    ("years", "2021", 2.0),
    ("years", "2022", -0.5),
)


def test_a_sound_card_holds_up_and_names_its_weakest_point_first():
    assert made(*SOUND).verdict == (
        "Holds up. At its weakest without Energy: 60 % of its Sharpe ratio is left (1.00 → 0.60). It keeps 71 % at 3× "
        "costs, 80 % traded one bar later, 95 % to 110 % one parameter step away, 85 % without its best month, 60 % on "
        "part of the universe. It earned in 2 of 3 years."
    )


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ((), "Holds up"),
        ((("costs", "3× costs", 0.50),), "Holds up"),
        ((("costs", "3× costs", 0.49),), "Holds up in part"),
        ((("regimes", "in high volatility", -0.1),), "Holds up in part"),
        ((("years", "2021", -0.1), ("years", "2020", 0.3), ("years", "2023", 0.3)), "Holds up in part"),
        ((("delay", "traded one bar later", 0.0),), "Fragile"),
        ((("parameters", "fast one step up", -0.2),), "Fragile"),
        ((("years", "2021", -0.1),), "Fragile"),
    ],
)
def test_the_level_follows_its_bounds(changed, level):
    rows = {(group, name): sharpe for group, name, sharpe in (*SOUND, *changed)}
    assert made(*((*key, sharpe) for key, sharpe in rows.items())).level == level


def test_a_loss_in_a_stress_or_a_regime_is_said_in_words():
    card = made(("delay", "traded one bar later", -0.62), ("regimes", "in a downtrend", -0.3))
    assert card.verdict == (
        "Fragile. At its weakest traded one bar later: nothing of its Sharpe ratio is left (1.00 → −0.62). "
        "It keeps nothing traded one bar later. It lost in a downtrend."
    )


@pytest.mark.parametrize(("base", "said"), [(-0.2, "−0.20"), (0.0, "0.00"), (float("nan"), "–")])
def test_what_earned_nothing_has_nothing_to_hold_up(base, said):
    card = made(("costs", "2× costs", 0.4), base=base)
    assert card.level == "Nothing to hold up"
    assert card.verdict == f"Nothing to hold up: the Sharpe ratio out of sample is {said}."
    assert card.weakest is None


def test_each_row_has_a_word_and_a_name_to_record_it_by():
    card = made(*SOUND, ("costs", "4× costs", 0.3), ("delay", "traded two bars later", -0.1))
    words = dict(zip(card.table()["name"], card.table()["verdict"], strict=True))
    assert words["as traded"] == ""
    assert words["3× costs"] == "holds"
    assert words["4× costs"] == "fades"
    assert words["traded two bars later"] == "breaks"
    assert (words["2021"], words["2022"]) == ("earned", "lost")
    metrics = card.metrics()
    assert metrics["robust.costs.3x_costs.sharpe"] == 0.71
    assert metrics["robust.costs.3x_costs.kept"] == pytest.approx(0.71)
    assert metrics["robust.weakest_kept"] == pytest.approx(-0.1)
    assert (metrics["robust.good_years"], metrics["robust.all_years"]) == (2.0, 3.0)
    assert "robust.years.2020.kept" not in metrics


# --- where it is shown ---------------------------------------------------------------------------------------------


def test_the_tear_sheet_shows_the_card_after_the_summary(walk_forward_made):
    card = replace(made(*SOUND), missing={"2019": "31 sessions, fewer than 63"})
    html = tearsheet.render(replace(walk_forward_made, robustness=card), Settings(), {})
    assert html.index("Drawdown out of sample") < html.index("Does it hold up?") < html.index("<h2>Statistics</h2>")
    assert card.verdict in html
    assert re.search(r"<td[^>]*>3× costs</td><td[^>]*>0\.71</td><td[^>]*>71 %</td>", html)
    assert re.search(r"<td[^>]*>2019</td>.*31 sessions, fewer than 63", html)
    assert "Does it hold up?" not in tearsheet.render(walk_forward_made, Settings(), {})


def test_a_run_keeps_the_card_as_numbers_words_and_a_picture(walk_forward_made, tmp_path):
    card = made(*SOUND)
    wf = replace(walk_forward_made, robustness=card)
    code = Checkout("2c54e0e")
    record.write_artifacts(tmp_path, wf, Settings(), None, code, {})
    assert (tmp_path / "robustness.png").read_bytes().startswith(b"\x89PNG")
    assert WalkForward.load(tmp_path / "result").robustness == card
    numbers, odd = record.statistics(wf)
    assert numbers["robust.delay.traded_one_bar_later.kept"] == pytest.approx(0.8)
    assert odd == []
    assert record.tags(wf, code, {}, {}, [])["robust.verdict"] == card.verdict
    assert card.verdict in record.note(wf)
    assert "robust.verdict" not in record.tags(walk_forward_made, code, {}, {}, [])
