"""The command: every strategy and feature of the workbench, on a small market of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.data.by_hand import put
from workbench import strategies
from workbench.backtest.lookahead import Check, Finding, Report, examine
from workbench.backtest.lookahead.survey import (
    check_writable,
    feature_names,
    grid_corners,
    lines,
    opened_lake,
    sentences,
    survey,
    survey_or_say,
)
from workbench.backtest.lookahead.survey import eventful as eventful_symbols
from workbench.cli.research import lookahead
from workbench.data.lake import Lake, open_lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.errors import CannotWrite, InputRefused, NoData, StrategyRefused
from workbench.params import Paths, StrategyParams, load_settings
from workbench.strategies import catalog, classes

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> Paths:
    """A root with the parameters of this checkout, a smaller market and no lake."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(ROOT / "params", root / "params")
    base = root / "params" / "base.yaml"
    settings = yaml.safe_load(base.read_text())
    settings["sample"] |= {"years": 3, "symbols_per_sector": 2, "intraday_sessions": 5}
    base.write_text(yaml.safe_dump(settings))
    return Paths(root)


@pytest.fixture(scope="module")
def reports(paths) -> list[Report]:
    """Examine in a process of its own, as the command does: one that ran many tests is large, and slow to be copied."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        return apart.submit(examine_all, paths.root).result()


def examine_all(root: Path) -> list[Report]:
    return list(survey(load_settings(Paths(root)), Paths(root)))


def test_everything_there_is_is_examined_and_clean(reports):
    found = lines(reports)
    assert {line.name for line in found} == {*catalog.names(), *feature_names()}
    for line in found:
        assert line.verdict == "clean", line.findings
        assert line.tried > 0
    by_name = {line.name: line for line in found}
    assert "as of" in by_name["sma_cross"].checks
    assert "lookback" in by_name["alpha158"].checks
    assert {line.family for line in found} == {
        "strategy", "technical", "weeks and months", "across symbols", "neutral", "TA-Lib", "pandas-ta-classic",
        "five minutes", "Alpha158",
    }  # fmt: skip


def test_where_the_market_lacks_something_the_rest_is_examined_and_it_is_said(paths, tmp_path):
    settings, mine = load_settings(paths), Paths(tmp_path)
    source, lake = SampleSource(settings.sample), Lake(mine.lake, "sample")
    for name in ("symbols", "prices_daily", "actions"):
        put(lake, name, source.fetch(Request(name)).rows)
    one = replace(lake.bars(start="2024-05-01"), sectors={})  # 169 sessions: too few for half a year of months
    reports = [survey_or_say(name, one, lake, "MKT00", 7) for name in feature_names()]
    found = {line.name: line for line in lines(reports)}
    assert found["intraday"].verdict.startswith("not examined: intraday: the lake has no prices_5min")
    assert "no sector is known" in found["momentum_126_neutral_sector"].verdict
    assert found["momentum_6_month"].verdict.startswith("not examined: momentum_6_month: its lookback is 322 bars")
    assert found["momentum_21"].verdict == "clean"
    unexamined = found["intraday"].reports[0]
    assert not unexamined.clean
    assert not unexamined.reads_ahead
    assert unexamined.line.startswith("– intraday: not examined")
    assert Report.from_json(unexamined.to_json()) == unexamined


def test_a_doubt_is_said_below_the_table_and_nothing_says_that_all_is_well():
    def made(name: str, *doubts: str, findings: tuple[Finding, ...] = (), tried: bool = True) -> Report:
        checks = (Check("truncation", 4, 4),) if tried else ()
        return Report(name, "feature", {}, "", "bars", 7, checks, (), findings, ("no data",), doubts)

    doubt = "it reads signs.parquet, where no check reaches: nobody can say when it was known"
    found = lines([made("plain"), made("mine", doubt), made("mine", doubt), made("other", tried=False)])
    assert [line.column for line in found] == ["clean", "in doubt", "not examined"]
    assert sentences(found) == [
        f"? mine: {doubt}",
        "– other: not examined: no data",
        "In doubt: mine. No check reaches what is said above: docs/lookahead.md, As evidence.",
    ]
    assert sentences(found[:1]) == ["Nothing reads ahead."]
    wrong = lines([made("mine", doubt, findings=(Finding("reads ahead", "mine: it does"),))])
    assert sentences(wrong) == ["✗ reads ahead: mine: it does", f"? mine: {doubt}"]


def test_a_grid_is_examined_at_its_corners(reports):
    cells = [(r.params["fast"], r.params["slow"]) for r in reports if r.name == "sma_cross"]
    assert set(cells) == {(20, 100), (10, 100), (10, 200), (50, 100), (50, 200)}
    assert grid_corners(
        StrategyParams(question="Does anything pay?", params={"a": 1}, grid={"b": [1, 2, 3], "c": [4]})
    ) == [
        {"a": 1, "b": 1, "c": 4},
        {"a": 1, "b": 3, "c": 4},
    ]
    assert grid_corners(StrategyParams(question="Does anything pay?")) == []


def test_what_is_named_is_examined_and_nothing_else(paths):
    found = list(survey(load_settings(paths), paths, ["sma_cross"], ["rsi_14"]))
    assert {report.name for report in found} == {"sma_cross", "rsi_14"}
    for wrong, error in ((["sma_crss"], StrategyRefused), (["sma_cross"], InputRefused)):
        with pytest.raises(error, match="Did you mean"):
            next(survey(load_settings(paths), paths, wrong, ["rsi_15"]))


def test_a_market_without_intraday_sessions_is_looked_through_without_5_minute_bars(paths, tmp_path):
    settings = load_settings(paths, ["sample.intraday_sessions=0"])
    with opened_lake(settings, Paths(tmp_path)) as made:
        assert set(made.versions()) == {"symbols", "prices_daily", "actions"}
        assert "the lake has no prices_5min" in survey_or_say("intraday", made.bars(), made, "MKT00", 7).notes[0]


def test_the_lake_is_used_where_there_is_one(paths, tmp_path):
    settings = load_settings(paths)
    mine = Paths(tmp_path)
    with opened_lake(settings, mine) as made:
        assert not made.root.is_relative_to(tmp_path)
        assert len(made.bars(["TEC01"])) > 700
    own = open_lake(settings, mine)
    put(own, "symbols", SampleSource(settings.sample).fetch(Request("symbols")).rows)
    with opened_lake(settings, mine) as found:
        assert found.root == own.root
    with (
        pytest.raises(NoData, match="the lake of the real market is empty"),
        opened_lake(settings.model_copy(update={"market": "real"}), mine),
    ):
        pass


def test_symbols_with_gaps_and_splits_come_first(eventful):
    assert set(eventful_symbols(eventful, 6)) >= {"TEC00", "TEC03", "FIN01", "FIN03", "HLT00", "HLT02"}
    assert len(eventful_symbols(eventful, 100)) == 12
    hardly = eventful.close.copy()
    hardly.iloc[:500, 0] = np.nan
    assert "TEC00" not in eventful_symbols(_with_close(eventful, hardly), 100)


MINE = """
from dataclasses import dataclass

from workbench.features import technical
from workbench.features.crosssection import ranked

ready = ranked(technical.momentum(10))
number = 3


def made():
    return ready


def centred(bars):
    return bars.close.rolling(5, center=True).mean()


def of_one_symbol(bars):
    return bars.close["CON01"].pct_change(fill_method=None)


def breaks():
    raise ValueError("out of luck")


@dataclass(frozen=True)
class Range:
    name: str = "range"
    inputs: tuple[str, ...] = ("high", "low")
    lookback: int = 1

    def compute(self, bars):
        return bars.high - bars.low


@dataclass(frozen=True)
class Needs:
    window: int


class TwoStocks:
    name, symbols, lookback = "two_stocks", ("TEC01", "FIN01"), 21

    def weights(self, bars):
        close = bars.close[list(self.symbols)]
        return 0.5 * (close.shift(-1) > close)
"""


@pytest.fixture
def mine(paths):
    (paths.root / "mine_to_examine.py").write_text(MINE)
    return paths


@pytest.mark.parametrize("name", ["ready", "made", "Range", "of_one_symbol"])
def test_a_feature_of_ones_own_is_examined_by_its_address(mine, name):
    (report,) = survey(load_settings(mine), mine, (), [f"mine_to_examine:{name}"])
    assert report.clean, report
    assert report.tried > 0
    assert lines([report])[0].family == "your own"


@pytest.mark.parametrize(("name", "ahead"), [("centred", 1), ("TwoStocks", 1)])
def test_what_reads_ahead_in_ones_own_is_named(mine, name, ahead):
    (report,) = survey(load_settings(mine), mine, (), [f"mine_to_examine:{name}"])
    assert (report.findings[0].kind, report.findings[0].field) == ("reads ahead", "close")
    assert report.findings[0].sessions_ahead == ahead


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mine_to_examine:redy", "mine_to_examine has no 'redy'. Did you mean 'ready'?"),
        ("nowhere:ready", "nowhere:ready: no module 'nowhere' in the environment"),
        ("mine_to_examine:", "'mine_to_examine:' is no address of a feature"),
        ("mine_to_examine:number", "mine_to_examine:number is of type int; it must be a feature"),
        ("mine_to_examine:Needs", "mine_to_examine:Needs is a class that needs window"),
        ("mine_to_examine:breaks", "mine_to_examine:breaks: making it raises ValueError: out of luck"),
        ("broken_to_examine:x", "broken_to_examine:x: importing broken_to_examine raises ZeroDivisionError"),
        ("lacking_to_examine:x", "lacking_to_examine imports 'not_installed_anywhere', which is not there"),
    ],
)
def test_a_wrong_address_is_refused_in_one_line(mine, address, says):
    (mine.root / "broken_to_examine.py").write_text("1 / 0")
    (mine.root / "lacking_to_examine.py").write_text("import not_installed_anywhere")
    with pytest.raises(InputRefused) as refused:
        next(survey(load_settings(mine), mine, (), [address]))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_number_of_a_session_is_known_at_the_end_of_its_last_bar(paths):
    with opened_lake(load_settings(paths), paths) as lake:
        five = lake.bars(dataset="prices_5min")

    def share_of_day(bars, ahead):
        days = bars.index.tz_localize(None).normalize()
        return bars.volume.groupby(days).sum().shift(-ahead)

    assert examine(lambda bars: share_of_day(bars, 0), five).clean
    (finding,) = examine(lambda bars: share_of_day(bars, 1), five).findings
    assert (finding.kind, finding.field) == ("reads ahead", "volume")
    assert finding.sessions_ahead == 1
    assert "(1 bar later)" in finding.text


def _with_close(bars, close):
    return replace(bars, close=close)


def run(paths: Paths, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WORKBENCH_ROOT": str(paths.root), "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "workbench.cli", "lookahead", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)


@pytest.mark.e2e
def test_the_command_shows_a_table_and_writes_the_evidence(paths, tmp_path):
    done = run(paths, "sma_cross", "--feature", "momentum_21", "--json", str(tmp_path / "guard.json"))
    assert done.returncode == 0, done.stderr
    assert "Nothing reads ahead." in done.stdout
    assert "dates tried" in done.stdout
    assert "✓ sma_cross fast=20 slow=100" in done.stderr
    kept = json.loads((tmp_path / "guard.json").read_text())
    assert [report["verdict"] for report in kept] == ["clean"] * len(kept)
    assert {report["name"] for report in kept} == {"sma_cross", "momentum_21"}


@pytest.mark.e2e
def test_evidence_that_cannot_be_written_is_refused_before_anything_is_examined(paths, tmp_path):
    done = run(paths, "--feature", "momentum_21", "--json", str(tmp_path / "nowhere" / "guard.json"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {tmp_path}/nowhere/guard.json: No such file or directory; name a file that can be written, in a "
        "folder that exists\n"
    )


def test_where_the_disk_is_full_at_the_end_the_table_is_shown_all_the_same(paths, tmp_path, monkeypatch, capsys):
    shutil.copytree(paths.params, tmp_path / "params")
    source, lake = SampleSource(load_settings(paths).sample), Lake(Paths(tmp_path).lake, "sample")
    for name in ("symbols", "prices_daily", "actions"):
        put(lake, name, source.fetch(Request(name)).rows)
    monkeypatch.setenv("WORKBENCH_ROOT", str(tmp_path))
    with pytest.raises(CannotWrite, match=r"^/dev/full: No space left on device; "):
        lookahead(feature=["momentum_21"], json="/dev/full")
    assert "Nothing reads ahead." in capsys.readouterr().out


def test_to_ask_whether_a_file_can_be_written_changes_nothing(tmp_path):
    check_writable(str(tmp_path / "new.json"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "old.json").write_text("[]")
    check_writable(str(tmp_path / "old.json"))
    assert (tmp_path / "old.json").read_text() == "[]"
    with pytest.raises(CannotWrite, match="Is a directory; name a file"):
        check_writable(str(tmp_path))


BROKEN = {
    "def x(:": "SyntaxError: invalid syntax (broken.py, line 1)",
    "raise RuntimeError('no luck\\nat all')": "RuntimeError: no luck",
    "from dataclasses import dataclass\n@dataclass\nclass Broken:\n    symbols: tuple\n    sizing: object\n"
    "    name = 'broken'\n    def __post_init__(self):\n        self.nothing.more": (
        "AttributeError: 'Broken' object has no attribute 'nothing'"
    ),
}


@pytest.mark.parametrize("code", BROKEN, ids=["it is no Python", "its import raises", "making it raises"])
def test_a_strategy_whose_own_file_raises_is_told_in_one_line(paths, tmp_path, monkeypatch, code):
    (tmp_path / "broken.py").write_text(code)
    shutil.copytree(paths.params, tmp_path / "params")
    (tmp_path / "params" / "strategies" / "broken.yaml").write_text("question: Does a broken file pay?\n")
    settings, mine = load_settings(paths), Paths(tmp_path)
    monkeypatch.setattr(classes, "__file__", str(tmp_path / "classes.py"))
    monkeypatch.setattr(strategies, "__path__", [*strategies.__path__, str(tmp_path)])
    for named in (["broken"], []):
        sys.modules.pop("workbench.strategies.broken", None)
        with pytest.raises(StrategyRefused) as refused:
            list(survey(settings, mine, named))
        assert str(refused.value) == (
            f"src/workbench/strategies/broken.py: {BROKEN[code]}; mend it, then: workbench lookahead broken"
        )
    sys.modules.pop("workbench.strategies.broken", None)


@pytest.mark.e2e
def test_the_command_ends_with_one_and_a_sentence_where_something_reads_ahead(paths):
    done = run(paths, "sma_cross", "--set", "portfolio.lag_bars=0", "--set", "portfolio.fill=close")
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("✗ ")]
    assert len(said) == 1
    assert said[0].startswith("✗ same-bar fill: sma_cross: weight of ")
    assert said[0].endswith("(fast=20 slow=100) and at 4 other parameters")
    assert done.stderr.splitlines()[-1] == "error: 1 to mend, see above; what each means: docs/lookahead.md"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sma_crss"], "Did you mean 'sma_cross'?"),
        (["--feature", "rsi_15"], "Did you mean 'rsi_14'?"),
        (["--feature", "nowhere:rsi"], "no module 'nowhere'"),
        (["sma_cross", "--set", "data.as_of=soon"], "data.as_of"),
    ],
)
def test_wrong_words_are_refused_before_anything_runs(paths, words, says):
    done = run(paths, *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
