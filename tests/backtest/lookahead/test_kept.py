"""State kept from the first call: every run after it meets what was learned from all of the data, unless it is cold."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.backtest.lookahead import keepers
from tests.backtest.lookahead.honest import smooth_in_polars
from workbench.backtest import lookahead
from workbench.backtest.lookahead import Depth, cold
from workbench.backtest.lookahead.recipe import make, recipe_at, recipe_of
from workbench.features.catalog import named
from workbench.params import SizingParams
from workbench.strategies.sma_cross import SmaCross
from workbench.types import Bars

FEW = Depth(cuts=6, combs=1, windows=2, cold=2)


def kept(thing, bars, **options):
    """Return the one finding, which must say that something was kept."""
    report = lookahead.examine(thing, bars, depth=FEW, **options)
    assert report.verdict == "reads ahead", str(report)
    assert {check.name: check.dates for check in report.checks}["cold"] == 2
    (finding,) = report.findings
    assert "it keeps this from its first call on" in finding.text
    return finding


def test_a_feature_that_is_fitted_by_its_first_call_is_caught(eventful):
    finding = kept(keepers.FitOnce(), eventful)
    assert (finding.field, finding.sessions_ahead) == ("close", 1)
    assert "to the end of the data" in finding.text


def test_a_scaler_of_scikit_learn_that_is_kept_is_caught(eventful):
    address = f"{keepers.__name__}:Fitted"
    assert kept(keepers.Fitted(), eventful, recipe=recipe_at(address, Path.cwd())).field == "close"


def test_without_a_recipe_a_copy_from_before_the_first_call_catches_it_too(eventful):
    assert recipe_of(keepers.Fitted()) is None
    assert kept(keepers.Fitted(), eventful).field == "close"


def test_what_a_function_of_a_notebook_keeps_is_caught(eventful):
    memory = {}

    def cell(bars: Bars) -> pd.DataFrame:
        memory.setdefault("top", bars.close.max())
        return bars.close / memory["top"]

    assert kept(cell, eventful).field == "close"


def test_what_a_module_keeps_is_caught_though_this_process_has_long_called_it(eventful):
    keepers.kept_quantile(eventful)
    assert kept(keepers.kept_quantile, eventful).field == "close"


def test_a_strategy_that_keeps_the_winners_is_caught_though_it_was_traded_here_before(eventful):
    strategy = keepers.Winners(eventful.symbols)
    strategy.weights(eventful)
    assert kept(strategy, eventful).text.startswith("winners: weight of ")


@pytest.mark.parametrize(
    "thing",
    [keepers.kept_by_content, keepers.kept_by_argument, keepers.KeptPerBars()],
    ids=["by content", "by argument", "the last answer"],
)
def test_an_honest_cache_is_not_accused(eventful, thing):
    report = lookahead.examine(thing, eventful, depth=FEW)
    assert report.clean, str(report)
    assert {check.name: check.dates for check in report.checks}["cold"] == 2


def test_an_answer_of_the_process_is_not_called_look_ahead(eventful):
    process = os.getpid()
    report = lookahead.examine(lambda b: b.close * (1.0 if os.getpid() == process else 2.0), eventful, depth=FEW)
    assert [finding.kind for finding in report.findings] == ["not repeatable"]
    assert not report.reads_ahead
    assert "is another one in a process of its own" in report.findings[0].text


def test_what_waits_for_a_thread_that_a_copy_has_not_is_said_and_not_accused(eventful, monkeypatch):
    monkeypatch.setattr(cold, "COPY_SECONDS", 0.5)
    process = os.getpid()

    def waits(bars: Bars) -> pd.DataFrame:
        if os.getpid() != process:
            time.sleep(60)
        return bars.close.rolling(5).mean()

    begin = time.monotonic()
    report = lookahead.examine(waits, eventful, depth=FEW)
    assert report.clean, str(report)
    assert any(note.startswith("not run cold, no answer within ") for note in report.notes)
    assert time.monotonic() - begin < 30


def test_a_subject_that_ends_its_process_is_said(eventful):
    process = os.getpid()

    def ends(bars: Bars) -> pd.DataFrame:
        if os.getpid() != process:
            os.kill(os.getpid(), signal.SIGKILL)
        return bars.close

    report = lookahead.examine(ends, eventful, depth=FEW)
    assert any("its process ended without an answer" in note for note in report.notes)


def test_what_cannot_run_by_itself_is_said(eventful):
    keepers.set_up(5)
    report = lookahead.examine(keepers.needs_set_up, eventful, depth=FEW)
    assert report.clean, str(report)
    assert any(note.startswith("not run cold, for it raises there: KeyError: 'window'") for note in report.notes)


def test_polars_runs_in_a_process_made_anew(eventful):
    report = lookahead.examine(smooth_in_polars, eventful, depth=FEW)
    assert report.clean, str(report)
    assert not report.notes


def test_strategies_and_features_are_made_anew_from_what_they_are_made_of():
    for name in ("talib_adx_14", "classic_dpo_20", "intraday", "alpha158"):
        feature = named()[name]
        assert make(json.loads(json.dumps(recipe_of(feature)))) == feature, name
    strategy = SmaCross(("TEC01", "FIN02"), 5, 20, sizing=SizingParams(target_volatility=0.2))
    assert make(recipe_of(strategy)) == strategy


def test_what_has_no_name_has_no_recipe():
    counter = itertools.count()
    for nameless in (lambda bars: bars.close, counter, keepers.Fitted().compute, [object()], {1: 2}):
        assert recipe_of(nameless) is None


def test_a_module_that_is_changed_is_read_again(eventful, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "edited_between_runs.py"
    source = "def signal(bars):\n    return bars.close.rolling({}).mean()\n"
    for window in (5, 10):
        file.write_text(source.format(window))
        os.utime(file, (window, window))
        sys.modules.pop("edited_between_runs", None)
        module = __import__("edited_between_runs")
        report = lookahead.examine(module.signal, eventful, depth=FEW)
        assert report.clean, str(report)
        assert not report.notes


def test_nothing_is_left_running_when_the_process_ends():
    code = (
        "from tests.backtest.lookahead.conftest import make_eventful\n"
        "from workbench.backtest import lookahead\n"
        "from workbench.backtest.lookahead.cold import _Fresh\n"
        "from workbench.strategies.sma_cross import SmaCross\n"
        "bars = make_eventful()\n"
        "few = lookahead.Depth(cuts=2, combs=1, windows=1, cold=1)\n"
        "assert lookahead.examine(SmaCross(bars.symbols, 5, 20), bars, depth=few).clean\n"
        "assert lookahead.examine(lambda b: b.close, bars, depth=few).clean\n"
        "print(_Fresh._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
