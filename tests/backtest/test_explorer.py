"""The panel of 01_explore_strategy: sliders that redraw one picture, refusals that are said, no captured outputs."""

from dataclasses import replace

import ipywidgets
import numpy as np
import pytest

from workbench.backtest import stats
from workbench.backtest.explorer import Explorer
from workbench.backtest.trials import Ledger, Question
from workbench.errors import StrategyRefused
from workbench.params import Settings, SizingParams, StrategyParams, Universe
from workbench.strategies.sma_cross import SmaCross

PARAMS = StrategyParams(
    question="Does it pay on a random walk?",
    universe=Universe(sectors=("Technology", "Finance")),
    params={"fast": 5, "slow": 20},
    grid={"fast": [5, 10, 30], "slow": [20, 40]},
)


@pytest.fixture
def explorer(walk):
    settings = Settings(sizing=SizingParams(volatility_sessions=20), data={"benchmark": "HLT00"})
    return Explorer("sma_cross", PARAMS, walk, settings)


def parts(panel):
    row, text, picture = panel.children
    return {slider.description: slider for slider in row.children}, text, picture


def test_a_moved_slider_draws_another_curve_with_its_own_numbers(explorer):
    sliders, text, picture = parts(explorer.panel())
    assert list(sliders) == ["fast", "slow"]
    before, number = bytes(picture.value), text.value
    assert before.startswith(b"\x89PNG")
    sliders["fast"].value = 5
    assert bytes(picture.value) != before
    assert text.value != number
    assert text.value == str(explorer.look(fast=5, slow=40))


def test_a_setting_that_the_strategy_refuses_is_said_and_the_last_curve_stays(explorer):
    sliders, text, picture = parts(explorer.panel())
    before = bytes(picture.value)
    sliders["fast"].value, sliders["slow"].value = 30, 40
    drawn = bytes(picture.value)
    assert drawn != before
    sliders["slow"].value = 20
    assert "fast 30 must be at least 1 and below slow 20" in text.value
    assert bytes(picture.value) == drawn


def test_a_parameter_that_is_not_named_stands_as_in_the_file(explorer):
    assert explorer.simulation(fast=10).returns.equals(explorer.simulation(fast=10, slow=20).returns)


def test_the_curve_is_that_of_the_simulator(explorer):
    look, simulation = explorer.look(fast=10), explorer.simulation(fast=10)
    np.testing.assert_allclose(look.curve.returns, simulation.returns, atol=1e-9)
    np.testing.assert_allclose(look.curve.drawdown, simulation.drawdown, atol=1e-9)
    cagr = f"{100 * stats.cagr(simulation.returns):.1f} %".replace("-", "−")
    assert f"Sharpe {stats.sharpe(simulation.returns):.2f}".replace("-", "−") in str(look)
    assert f" · CAGR {cagr} · " in str(look)
    assert f"{(~simulation.trades['open'].astype(bool)).sum():,} trades" in str(look)


def test_nothing_of_the_panel_captures_outputs(explorer):
    def every(widget):
        yield widget
        for child in getattr(widget, "children", ()):
            yield from every(child)

    assert not [widget for widget in every(explorer.panel()) if isinstance(widget, ipywidgets.Output)]


def test_every_setting_that_was_looked_at_counts_once(explorer, tmp_path):
    ledger = Ledger(tmp_path / "trials.db")
    counting = replace(explorer, ledger=ledger)
    sliders, _, _ = parts(counting.panel())  # drawn at fast 10, slow 40
    sliders["fast"].value = 5
    sliders["fast"].value = 10
    counting.simulation(fast=5, slow=40)
    question = Question(PARAMS.question, "sample")
    assert ledger.count(question) == 2
    table = ledger.trials(question)
    assert set(table["params"]) == {'{"fast": 10, "slow": 40}', '{"fast": 5, "slow": 40}'}
    assert set(table["source"]) == {"notebook"}
    # other data is another trial
    replace(counting, bars=counting.bars.until(counting.bars.index[-2])).simulation(fast=5, slow=40)
    assert ledger.count(question) == 3


@pytest.mark.parametrize("way", ["look", "simulation"])
def test_a_look_that_fails_counts_once_and_one_that_makes_no_sense_is_none(explorer, tmp_path, monkeypatch, way):
    ledger = Ledger(tmp_path / "trials.db")
    look = getattr(replace(explorer, ledger=ledger), way)

    def fails(strategy, bars):
        raise ZeroDivisionError(f"fast {strategy.fast}")

    with pytest.raises(StrategyRefused):
        look(fast=30, slow=20)
    assert ledger.count() == 0
    monkeypatch.setattr(SmaCross, "weights", fails)
    for fast in (5, 5, 10):
        with pytest.raises(ZeroDivisionError, match=f"fast {fast}"):
            look(fast=fast, slow=40)
    assert ledger.count(Question(PARAMS.question, "sample")) == 2
    table = ledger.trials()
    assert set(table["params"]) == {'{"fast": 5, "slow": 40}', '{"fast": 10, "slow": 40}'}
    assert set(table["error"]) == {"ZeroDivisionError: fast 5", "ZeroDivisionError: fast 10"}


def test_a_failed_look_that_cannot_be_counted_says_both(explorer, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(SmaCross, "weights", lambda strategy, bars: 1 / 0)
    with pytest.raises(ZeroDivisionError) as failed:
        replace(explorer, ledger=Ledger(tmp_path / "file" / "trials.db")).look(fast=5, slow=40)
    (note,) = failed.value.__notes__
    assert "the failed look is not in the trial ledger: trials.db: " in note


@pytest.mark.parametrize("name", ["open", "high", "volume", "traded_close"])
def test_bars_that_differ_in_any_field_are_other_data(explorer, tmp_path, name):
    ledger = Ledger(tmp_path / "trials.db")
    replace(explorer, ledger=ledger).look(fast=5, slow=40)
    frame = getattr(explorer.bars, name) * 1.001
    other = replace(explorer.bars, **{name: frame})
    replace(explorer, ledger=ledger, bars=other).look(fast=5, slow=40)
    assert ledger.count() == 2
