"""The ledger: what counts, that nothing is lost or taken out of it, and how many different bets it holds."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workbench
from workbench.backtest.engine import simulate
from workbench.backtest.kernel.crosses import sweep_sma_crosses
from workbench.backtest.kernel.weights import sweep_returns
from workbench.backtest.trials import (
    Ledger,
    Question,
    count_trials,
    record,
    record_failure,
    record_walk_forward,
    source_digest,
)
from workbench.backtest.walkforward import walk_forward
from workbench.errors import CannotWrite, DataRefused, InputRefused
from workbench.params import CostParams, Paths, PortfolioParams, Settings, StrategyParams

QUESTION = Question("Does holding what rises pay?", "sample")
OTHER = Question("Does selling what rises pay?", "sample")


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "a state" / "trials.db")


def returns_of(seed: int = 0, columns: int = 3, rows: int = 500, start: str = "2018-01-01") -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(0.0003, 0.01, (rows, columns))
    return pd.DataFrame(values, index=pd.bdate_range(start, periods=rows))


def cells_of(columns: int = 3, **more: object) -> list[dict[str, object]]:
    return [{"fast": number, **more} for number in range(columns)]


def record_three(ledger: Ledger, **changes):
    given = {"question": QUESTION, "cells": cells_of(), "returns": returns_of(), "source": "sweep", **changes}
    return record(ledger, strategy="sma_cross", **given)


@contextlib.contextmanager
def opened(ledger: Ledger, guarded: bool = True):
    """The file as someone with a SQLite browser has it; unguarded, after the triggers were dropped."""
    with contextlib.closing(sqlite3.connect(ledger.file)) as connection, connection:
        if not guarded:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in names:
                connection.execute(f"DROP TRIGGER {name}")
        yield connection


# --- what counts ------------------------------------------------------------------------------------------------------


def test_a_file_whose_first_batch_is_not_there_yet_counts_nothing(ledger):
    ledger.file.parent.mkdir()
    ledger.file.touch()
    assert ledger.count() == ledger.verify().trials == 0
    assert record_three(ledger).trials == 3


def test_nothing_recorded_counts_nothing(ledger):
    assert ledger.count() == ledger.count(QUESTION) == 0
    assert ledger.effective(QUESTION).trials == 0
    assert ledger.verify().batches == 0
    assert ledger.questions().empty
    assert not ledger.file.exists()


def test_who_may_only_read_the_ledger_reads_it(as_nobody):
    with tempfile.TemporaryDirectory() as name:  # not under the folder of pytest, into which nobody else may look
        folder = Path(name)
        folder.chmod(0o755)
        ledger = Ledger(folder / "trials.db")
        record_three(ledger)
        ledger.file.chmod(0o444)
        folder.chmod(0o555)
        with as_nobody():
            assert (ledger.count(), ledger.verify().trials) == (3, 3)
            with pytest.raises(CannotWrite):
                record_three(ledger, question=OTHER)
        folder.chmod(0o755)


def test_every_cell_counts_for_its_question(ledger):
    receipt = record_three(ledger, run_id="run-1")
    assert (receipt.evaluated, receipt.added, receipt.trials) == (3, 3, 3)
    record_three(ledger, question=OTHER, source="notebook")
    assert (ledger.count(QUESTION), ledger.count(OTHER), ledger.count()) == (3, 3, 6)
    table = ledger.trials(QUESTION)
    assert set(table["params"]) == {'{"fast": 0}', '{"fast": 1}', '{"fast": 2}'}
    assert set(table["source"]) == {"sweep"}
    assert set(table["run_id"]) == {"run-1"}
    assert ledger.questions()["text"].tolist() == [QUESTION.text, OTHER.text]


def test_the_same_search_in_other_words_is_seen_from_each_question(ledger):
    record_three(ledger)
    record_three(ledger, question=OTHER, cells=cells_of(2), returns=returns_of(columns=2))
    record_three(ledger, question=Question(QUESTION.text, "real"))
    assert ledger.elsewhere(QUESTION, "sma_cross") == 2
    assert ledger.elsewhere(OTHER, "sma_cross") == 3
    assert ledger.elsewhere(OTHER, "xs_momentum") == 0
    assert ledger.elsewhere(Question("Never asked before?", "sample"), "sma_cross") == 5


def test_the_same_search_under_another_name_and_question_is_seen_by_its_returns(ledger):
    record_three(ledger)
    copied = pd.concat([returns_of(), returns_of(seed=7, columns=2)], axis=1)
    record(
        ledger, strategy="sma_cross_2", question=OTHER, cells=cells_of(5), returns=copied.set_axis(range(5), axis=1),
        source="sweep",
    )  # fmt: skip
    record(
        ledger, strategy="reversal", question=Question("Does a fall come back?", "sample"), cells=cells_of(4),
        returns=returns_of(seed=9, columns=4), source="sweep",
    )  # fmt: skip
    assert ledger.elsewhere(QUESTION, "sma_cross") == 5
    assert ledger.elsewhere(OTHER, "sma_cross_2") == 3
    assert ledger.elsewhere(Question("Does a fall come back?", "sample"), "reversal") == 0


def test_strategies_that_both_did_nothing_are_not_the_same(ledger):
    idle = returns_of() * 0.0
    record_three(ledger, returns=idle)
    record(ledger, strategy="asleep", question=OTHER, cells=cells_of(), returns=idle, source="sweep")
    assert ledger.elsewhere(QUESTION, "sma_cross") == ledger.elsewhere(OTHER, "asleep") == 0


def test_the_same_cell_of_the_same_code_and_data_is_the_same_trial(ledger):
    made_by = {"data": {"prices_daily": 3}}
    record_three(ledger, made_by=made_by)
    again = record_three(ledger, made_by=made_by, run_id="run-2")
    assert (again.evaluated, again.added, again.trials, again.batch) == (3, 0, 3, 2)
    assert ledger.questions()["evaluations"].tolist() == [6]


@pytest.mark.parametrize(
    "change",
    [
        {"made_by": {"data": {"prices_daily": 4}}},
        {"made_by": {"data": {"prices_daily": 3}, "settings": "other"}},
        {"cells": cells_of(slow=100)},
    ],
    ids=["other data", "other settings", "other parameters"],
)
def test_anything_that_shapes_the_returns_makes_another_trial(ledger, change):
    record_three(ledger, made_by={"data": {"prices_daily": 3}})
    assert record_three(ledger, **{"made_by": {"data": {"prices_daily": 3}}, **change}).added == 3


def test_other_code_makes_another_trial(ledger, monkeypatch):
    record_three(ledger)
    monkeypatch.setattr("workbench.backtest.trials.rows.source_digest", lambda strategy: "edited")
    assert record_three(ledger).added == 3


def test_the_source_of_a_strategy_is_its_file_and_all_that_it_imports():
    assert len(source_digest("sma_cross")) == 64
    assert source_digest("sma_cross") != source_digest("xs_momentum")
    assert source_digest("made_up_in_a_notebook") == ""


RULE = """
import pandas as pd

SESSIONS = 20

def rising(close: pd.DataFrame) -> pd.DataFrame:
    return close > close.rolling(SESSIONS).mean()
"""
IDEA = """
from dataclasses import dataclass
import pandas as pd
from workbench.sizing_params import SizingParams
from workbench.features.myrule import rising

@dataclass(frozen=True)
class Rising:
    symbols: tuple[str, ...]
    sizing: SizingParams
    fast: int = 1
    name: str = "rising_rule"
    lookback: int = 40

    def weights(self, bars):
        return rising(bars.close[list(self.symbols)]).astype(float) / len(self.symbols)
"""
LOOK = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from workbench.backtest.trials import Ledger, Question, keys_of, record
from workbench.sizing_params import SizingParams
from workbench.strategies.classes import build
from workbench.types import Bars

random, days = np.random.default_rng(3), pd.bdate_range("2020-01-01", periods=500)
close = pd.DataFrame(np.exp(random.normal(0.0003, 0.02, (500, 4)).cumsum(axis=0)) * 50, days, list("ABCD"))
frames = {"open": close, "high": close * 1.01, "low": close * 0.99, "close": close, "traded_close": close}
bars = Bars(**frames, volume=close * 0 + 1e6, market="sample", sectors={})
weights = build("rising_rule", bars.symbols, SizingParams(), {}).weights(bars)
returns = (weights.shift(1) * close.pct_change(fill_method=None)).sum(axis=1).to_frame()
ledger, question = Ledger(Path(sys.argv[1])), Question("Does what rises go on?", "sample")
record(ledger, question, "rising_rule", [{"fast": 1}], returns, source="sweep", made_by={"data": 1})
key = keys_of(question, "rising_rule", [{"fast": 1}], {"data": 1})[0]
print(ledger.count(), ledger.trials().iloc[-1]["sharpe"], key)
"""


def test_an_edited_rule_that_a_strategy_imports_makes_other_trials_with_the_returns_of_now(tmp_path):
    package = tmp_path / "src" / "workbench"
    shutil.copytree(Path(workbench.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    rule = package / "features" / "myrule.py"
    (package / "strategies" / "rising_rule.py").write_text(IDEA)

    def look(content: str) -> list[str]:
        rule.write_text(content)
        command = [sys.executable, "-c", LOOK, str(tmp_path / "trials.db")]
        path = {**os.environ, "PYTHONPATH": str(package.parent)}
        done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    first = look(RULE)
    assert first[0] == "1"
    edited = look(RULE.replace("20", "35"))
    assert edited[0] == "2"
    assert edited[1] != first[1]  # the Sharpe ratio of the edited rule is in the ledger
    assert edited[2] != first[2]  # the key alone tells them apart, whatever the returns
    other = look(RULE.replace("20", "35") + "# a word more\n")
    assert (other[0], other[1]) == ("3", edited[1])


# --- what a key does not tell -----------------------------------------------------------------------------------------


def test_ten_series_by_hand_under_one_name_are_ten_trials(ledger):
    series = returns_of(columns=10)
    for column in series:
        record(ledger, QUESTION, "sma_cross", [{"fast": 5}], series[[column]], source="notebook")
    assert ledger.count(QUESTION) == 10
    for column in series:  # the same again are the same
        assert record(ledger, QUESTION, "sma_cross", [{"fast": 5}], series[[column]], source="notebook").added == 0
    expected = (series.mean() / series.std()).to_numpy()
    assert sorted(ledger.trials()["sharpe"]) == pytest.approx(sorted(expected))
    assert ledger.verify().trials == 10


def test_ten_series_of_one_batch_under_one_name_are_ten_trials_and_copies_are_one(ledger):
    series = returns_of(columns=10)
    twice = pd.concat([series, series], axis=1)
    given = {"cells": [{}] * 20, "returns": twice, "source": "notebook"}
    assert (record_three(ledger, **given).added, record_three(ledger, **given).added) == (10, 0)


SMALL = Settings(
    sizing={"volatility_sessions": 20},
    data={"benchmark": "HLT00"},
    walk_forward={"warm_up_sessions": 60, "train_sessions": 100, "test_sessions": 50},
)
PARAMS = StrategyParams(question=QUESTION.text, grid={"fast": [5, 10], "slow": [20, 40]})


def test_what_a_notebook_walked_or_swept_is_counted_by_one_verb(ledger, walk):
    found = walk_forward("sma_cross", PARAMS, walk, SMALL)
    assert count_trials(found, ledger=ledger).trials == 4
    assert count_trials(found, ledger=ledger).added == 0  # the same again
    half = walk_forward("sma_cross", PARAMS, walk.until(walk.index[-60]), SMALL)
    assert count_trials(half, ledger=ledger).added == 4  # other data
    assert set(ledger.trials()["source"]) == {"notebook"}

    close = walk.close
    weights = [(close > close.rolling(n).mean()) / close.shape[1] for n in (10, 20, 30)]
    asked = {"question": QUESTION.text, "market": walk.market, "ledger": ledger}
    returns = sweep_returns(weights, walk, SMALL.portfolio, SMALL.costs)
    assert count_trials(returns, **asked).added == 3
    one = simulate(weights[0], walk, SMALL.portfolio, SMALL.costs)
    assert count_trials(one, QUESTION.text, [{"window": 10}], strategy="above", ledger=ledger).added == 1
    assert count_trials(one.returns.rename("x") * 0.5, **asked).added == 1
    assert ledger.count(QUESTION) == 13


def test_a_sweep_without_returns_counts_every_cell_and_every_symbol_that_is_an_account(ledger, walk):
    account = PortfolioParams(whole_shares=False)
    costs = CostParams(schedule="proportional", impact=0)
    pairs = [(5, 20), (10, 40)]
    sweep = sweep_sma_crosses(pairs, walk, account, costs, [slice(0, 100), slice(100, 300)])
    asked = {"question": QUESTION.text, "market": walk.market, "ledger": ledger}
    cells = [{"fast": fast, "slow": slow} for fast, slow in pairs]
    receipt = count_trials(sweep, cells=cells, strategy="crosses", **asked)
    assert receipt.added == 2 * len(walk.symbols)
    assert count_trials(sweep, cells=cells, strategy="crosses", **asked).added == 0
    row = ledger.trials().set_index("params").loc[json.dumps({"fast": 10, "slow": 40, "symbol": walk.symbols[3]})]
    # the ratio of a session, of the longest window
    assert row["sharpe"] == pytest.approx(sweep["sharpe"][1, 1, 3] / np.sqrt(252))
    assert row["n"] == 200
    later = sweep_sma_crosses(pairs, walk.between(walk.index[5]), account, costs, [slice(0, 100), slice(100, 300)])
    assert count_trials(later, cells=cells, strategy="crosses", **asked).added > len(walk.symbols)  # few never trade


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": " "}, "no question; give the one that this was tried for"),
        ({"market": ""}, r"no market; give market=bars\.market"),
        ({"cells": [{}]}, "1 cells and 3 columns of returns"),
    ],
)
def test_what_was_tried_without_a_question_or_market_is_refused(ledger, change, words):
    given = {"question": QUESTION.text, "market": "sample", **change}
    with pytest.raises(InputRefused, match=words):
        count_trials(returns_of(), ledger=ledger, **given)
    assert not ledger.file.exists()


def test_a_strategy_typed_into_a_notebook_is_told_apart_by_its_returns(ledger):
    for number in range(3):
        receipt = record(
            ledger, QUESTION, "mine", [{}], returns_of(number, 1), source="notebook", made_by={"data": "today's"}
        )
    assert receipt.trials == 3


@pytest.mark.parametrize(
    ("change", "added"),
    [
        (lambda returns: returns + 1e-8, 0),  # what rounding, or one share of an order, makes
        (lambda returns: returns * 2.0, 3),  # as good a Sharpe ratio, twice the risk
        (lambda returns: returns.iloc[:-1], 3),
        (lambda returns: returns * 0.0, 3),  # never traded
    ],
    ids=["rounding", "leverage", "a day less", "nothing held"],
)
def test_other_returns_under_a_known_key_are_another_trial_and_rounding_is_not(ledger, change, added):
    made_by = {"data": 1}
    record_three(ledger, made_by=made_by)
    assert record_three(ledger, made_by=made_by, returns=change(returns_of())).added == added
    assert ledger.verify().trials == 3 + added


def test_a_failed_run_counts_one_and_the_same_failure_once(ledger):
    first = record_failure(ledger, QUESTION, "sma_cross", "ZeroDivisionError: division by zero", run_id="run-1")
    assert (first.added, first.trials) == (1, 1)
    assert record_failure(ledger, QUESTION, "sma_cross", "ZeroDivisionError: division by zero").added == 0
    assert record_failure(ledger, QUESTION, "sma_cross", "KeyError: 'close'").added == 1
    assert ledger.count(QUESTION) == 2
    assert set(ledger.trials(QUESTION)["status"]) == {"failed"}
    assert ledger.questions()["failed"].tolist() == [2]
    assert ledger.effective(QUESTION).trials == 0  # nothing was measured, so nothing could be chosen


def test_a_walk_forward_records_its_grid(ledger, walk_forward_made):
    receipt = record_walk_forward(ledger, walk_forward_made, run_id="abc")
    assert (receipt.added, receipt.question) == (9, Question(walk_forward_made.question, "sample").id)
    table = ledger.trials()
    assert set(table["params"]) == {
        f'{{"fast": {fast}, "slow": {slow}}}' for fast in (10, 20, 50) for slow in (100, 150, 200)
    }
    assert set(table["source"]) == {"walk_forward"}


def test_one_trial_of_a_search_is_recorded_with_its_moments_by_hand(ledger):
    # 0.03, -0.01, 0.01, 0.01: mean 0.01; deviations 0.02, -0.02, 0, 0: variance (n - 1) 0.0008 / 3, Sharpe 0.61237;
    # skew 0; fourth moment 2 × 1.6e-7 / 4 = 8e-8 over (2e-4)² = 2
    returns = pd.Series([0.03, -0.01, 0.01, 0.01], index=pd.bdate_range("2024-01-04", periods=4))
    record(ledger, QUESTION, "sma_cross", [{"fast": np.int64(7)}], returns.to_frame(), source="optuna")
    (row,) = ledger.trials().to_dict("records")
    assert (row["params"], row["n"], row["source"], row["status"]) == ('{"fast": 7}', 4, "optuna", "done")
    assert (row["sharpe"], row["skew"], row["kurtosis"]) == pytest.approx((0.612372, 0.0, 2.0), abs=1e-6)
    with opened(ledger) as connection:
        week, weekly = connection.execute("SELECT week, weekly FROM trials").fetchone()
    # 4 January 2024 is a Thursday, 2,817 weeks after Monday 5 January 1970; the other two days lie in the next week
    assert week == 2817
    assert np.frombuffer(weekly, "<f4") == pytest.approx([0.02, 0.02])


def test_a_gap_in_the_dates_is_a_week_of_nothing(ledger):
    dates = pd.DatetimeIndex(["2024-01-01", "2024-01-02", "2024-01-22"])
    record(ledger, QUESTION, "sma_cross", [{}], pd.DataFrame({0: [0.01, 0.02, 0.05]}, index=dates), source="notebook")
    with opened(ledger) as connection:
        (weekly,) = connection.execute("SELECT weekly FROM trials").fetchone()
    assert np.frombuffer(weekly, "<f4") == pytest.approx([0.03, 0.0, 0.0, 0.05])


def test_missing_returns_are_left_out_and_a_cell_that_never_traded_has_no_sharpe(ledger):
    returns = returns_of()
    returns.iloc[:9, 1] = np.nan
    returns.iloc[9, 1] = np.inf
    returns[2] = 0.0
    record_three(ledger, returns=returns)
    table = ledger.trials().set_index("params")
    assert table.loc['{"fast": 1}', "n"] == 490
    clean = returns[1].iloc[10:]
    assert table.loc['{"fast": 1}', "sharpe"] == pytest.approx(clean.mean() / clean.std())
    assert table["sharpe"].isna().tolist() == (table.index == '{"fast": 2}').tolist()
    assert (ledger.count(QUESTION), ledger.effective(QUESTION).measured) == (3, 2)


def test_a_cell_that_is_constant_but_for_rounding_has_no_sharpe(ledger):
    returns = returns_of()
    returns[2] = np.diff(1.0001 ** np.arange(len(returns) + 1.0)) / 1.0001 ** np.arange(float(len(returns)))
    record_three(ledger, returns=returns)
    table = ledger.trials().set_index("params")
    assert table["sharpe"].isna().tolist() == (table.index == '{"fast": 2}').tolist()


def test_a_question_is_its_words_and_its_market():
    assert Question("Does  it\nPAY?", "sample").id == Question("does it pay?", "sample").id
    assert Question("Does it pay?", "sample").id != Question("Does it pay?", "real").id
    assert Question("Does it pay?", "sample").id != Question("Does it pay now?", "sample").id


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "swep"}, "unknown source 'swep'. Did you mean 'sweep'?"),
        ({"cells": cells_of(2)}, "2 cells and 3 columns of returns"),
        ({"returns": returns_of().reset_index(drop=True)}, "no ascending dates"),
        ({"returns": returns_of().iloc[::-1]}, "no ascending dates"),
    ],
)
def test_what_cannot_be_recorded_is_refused(ledger, change, words):
    with pytest.raises(InputRefused) as refused:
        record_three(ledger, **change)
    assert words in str(refused.value)
    assert not ledger.file.exists()


# --- nothing is lost --------------------------------------------------------------------------------------------------

WRITER = """
import sys
import numpy as np, pandas as pd
from pathlib import Path
from workbench.backtest.trials import Ledger, Question, record
ledger, name = Ledger(Path(sys.argv[1])), sys.argv[2]
question = Question("Does holding what rises pay?", "sample")
days = pd.bdate_range("2020-01-01", periods=300)
returns = pd.DataFrame(np.random.default_rng(0).normal(0, 0.01, (300, 40)), index=days)
print("ready", flush=True)
for batch in range(int(sys.argv[3])):
    cells = [{"by": name, "batch": batch, "cell": cell} for cell in range(40)]
    record(ledger, question, "sma_cross", cells, returns, source="sweep", run_id=name)
"""


@pytest.fixture
def writer(ledger):
    """Starts processes that append batches of 40; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, batches: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, str(ledger.file), name, str(batches)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_writers_and_a_reader_at_the_same_time_lose_nothing(ledger, writer):
    processes = [writer(name, 12) for name in ("one", "two")]
    seen = [0]
    while any(process.poll() is None for process in processes):
        chain = ledger.verify()
        assert chain.trials == 40 * chain.batches
        seen.append(ledger.count())
    assert [process.wait() for process in processes] == [0, 0]
    assert seen == sorted(seen)
    assert ledger.verify().batches == 24
    assert ledger.count(QUESTION) == 2 * 12 * 40
    assert ledger.trials().groupby("run_id").size().to_dict() == {"one": 480, "two": 480}


def test_a_writer_killed_in_the_middle_leaves_whole_batches(ledger, writer):
    for name, seconds in (("first", 0.02), ("second", 0.07), ("third", 0.15)):
        process = writer(name, 100_000)
        assert process.stdout is not None
        process.stdout.readline()
        before = ledger.count()
        while ledger.count() < before + 40:
            time.sleep(0.005)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        chain = ledger.verify()
        assert chain.trials == ledger.count() == 40 * chain.batches
    record_three(ledger)
    assert ledger.verify().trials == ledger.count()


def test_a_batch_that_cannot_be_written_leaves_nothing(ledger):
    record_three(ledger)
    with opened(ledger, guarded=False) as connection:
        connection.execute("CREATE TRIGGER broken BEFORE INSERT ON trials BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(CannotWrite, match=r"trials\.db: disk full, so trials cannot be counted"):
        record_three(ledger, question=OTHER)
    assert ledger.verify().batches == 1


# --- nothing is taken out ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["DELETE FROM trials", "UPDATE trials SET sharpe = 0", "DELETE FROM batches"])
def test_the_file_itself_refuses_changes(ledger, statement):
    record_three(ledger)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"), opened(ledger) as connection:
        connection.execute(statement)
    assert ledger.verify().trials == 3


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM trials WHERE batch = 2 AND params = '{\"fast\": 1}'", "batch 2 of .* 2 trials are left of 3"),
        ("UPDATE trials SET sharpe = 0.0 WHERE batch = 2", "batch 2 of .* it was changed"),
        ("UPDATE trials SET weekly = zeroblob(400) WHERE batch = 2", "batch 2 of .* it was changed"),
        ("UPDATE trials SET batch = 3 WHERE batch = 2", "batch 2 of .* 0 trials are left of 3"),
        ("UPDATE batches SET question = 'another' WHERE number = 2", "batch 2 of .* it was changed"),
        ("UPDATE batches SET added = 0 WHERE number = 2", "batch 2 of .* 3 trials are left of 0"),
        ("DELETE FROM batches WHERE number = 2", r"batch 3 of .* follows batch 1: what lay between was deleted"),
        ("UPDATE batches SET number = 9 WHERE number = 1", "batch 2 of .* follows batch 0"),
    ],
)
def test_the_first_broken_link_is_named(ledger, statement, words):
    for number in range(4):
        record_three(ledger, made_by={"number": number}, run_id=f"run-{number + 1}")
    assert ledger.verify().batches == 4
    with opened(ledger, guarded=False) as connection:
        connection.execute(statement)
    with pytest.raises(DataRefused, match=words) as broken:
        ledger.verify()
    assert "restore the file from a backup" in str(broken.value)
    assert "\n" not in str(broken.value)


def test_trials_slipped_in_are_found(ledger):
    record_three(ledger)
    with opened(ledger) as connection:
        values = "strategy, params, status, error, sharpe, n, skew, kurtosis, week, weekly"
        connection.execute(f"INSERT INTO trials SELECT 'x', 9, {values} FROM trials LIMIT 1")
    with pytest.raises(DataRefused, match="1 trials belong to no batch"):
        ledger.verify()


def test_what_was_cut_off_the_end_is_missed_by_the_runs_that_keep_its_head(ledger):
    heads = {}
    for number in range(3):
        heads[f"run-{number}"] = record_three(ledger, made_by={"number": number}).head
    assert ledger.verify(heads).head == heads["run-2"]
    with opened(ledger, guarded=False) as connection:
        connection.execute("DELETE FROM trials WHERE batch = 3")
        connection.execute("DELETE FROM batches WHERE number = 3")
    assert ledger.verify().batches == 2  # in itself the chain is whole
    with pytest.raises(DataRefused, match="that run run-2 wrote is gone, the last of 2 is"):
        ledger.verify(heads)


def test_a_ledger_that_is_gone_altogether_is_missed_too(ledger):
    head = record_three(ledger).head
    ledger.file.unlink()
    with pytest.raises(DataRefused, match="that run abc wrote is gone, the last of 0 is none"):
        ledger.verify({"abc": head})


def test_a_damaged_file_is_refused_in_one_line(ledger):
    record_three(ledger)
    ledger.file.write_bytes(b"not a database at all" * 100)
    for call in (ledger.count, ledger.verify, lambda: record_three(ledger)):
        with pytest.raises(DataRefused, match=r"trials\.db: damaged"):
            call()


def test_a_place_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="so trials cannot be counted"):
        record_three(Ledger(tmp_path / "file" / "trials.db"))


def test_the_ledger_lies_in_the_state_folder(tmp_path):
    assert Paths(tmp_path).trials == tmp_path / "data" / "state" / "trials.db"


# --- how many different bets ------------------------------------------------------------------------------------------


def families(count: int, each: int, own: float, seed: int = 0, rows: int = 1500) -> pd.DataFrame:
    """Return trials that share a factor in each family; ``own`` is their own noise over the factor's."""
    random = np.random.default_rng(seed)
    values = np.repeat(random.normal(0.0, 0.01, (rows, count)), each, axis=1)
    values += own * random.normal(0.0, 0.01, values.shape)
    return pd.DataFrame(values, index=pd.bdate_range("2015-01-01", periods=rows))


def effective_of(ledger: Ledger, returns: pd.DataFrame):
    record(ledger, QUESTION, "sma_cross", cells_of(returns.shape[1]), returns, source="sweep")
    return ledger.effective(QUESTION)


@pytest.mark.parametrize(("count", "each", "own"), [(5, 20, 0.5), (5, 20, 0.9), (3, 2, 0.4), (12, 10, 0.3)])
def test_families_of_trials_are_counted_as_families(ledger, count, each, own):
    found = effective_of(ledger, families(count, each, own))
    assert found.trials == count
    assert found.measured == found.clustered == count * each


def test_copies_are_one_trial_and_unrelated_ones_are_all_their_own(ledger, tmp_path):
    assert effective_of(ledger, families(1, 30, 0.05)).trials == 1
    assert effective_of(Ledger(tmp_path / "other.db"), families(30, 1, 0.0)).trials == 30
    assert effective_of(Ledger(tmp_path / "one.db"), families(1, 1, 0.0)).trials == 1


def test_where_no_families_show_all_trials_count(ledger):
    assert effective_of(ledger, families(1, 40, 0.7)).trials == 40  # correlation 1 / (1 + 0.49) = 0.67


def test_the_same_returns_of_other_years_are_another_bet(ledger):
    early, late = returns_of(1, 1), returns_of(1, 1, start="2021-01-04")
    record(ledger, QUESTION, "sma_cross", [{"year": 2018}], early, source="sweep")
    record(ledger, QUESTION, "sma_cross", [{"year": 2021}], late, source="sweep")
    assert ledger.effective(QUESTION).trials == 2


def test_only_trials_that_have_every_week_are_compared_and_the_others_are_counted(ledger):
    weeks = range(2817, 2821)  # of 2024-01-01 to 2024-01-22
    assert (ledger.covering(QUESTION, weeks).returns.shape, ledger.covering(QUESTION, weeks).left_out) == ((4, 0), 0)
    early = pd.DataFrame({0: [0.01, 0.02, 0.04]}, index=pd.to_datetime(["2024-01-04", "2024-01-05", "2024-01-08"]))
    late = pd.DataFrame({0: [0.03, -0.01, 0.02]}, index=pd.to_datetime(["2024-01-15", "2024-01-16", "2024-01-22"]))
    whole = pd.DataFrame(
        {0: [0.5, 0.01, -0.04, 0.02, 0.03]}, index=pd.date_range("2023-12-27", periods=5, freq="W-WED")
    )
    for number, frame in enumerate((early, late, whole)):
        record(ledger, QUESTION, "sma_cross", [{"year": number}], frame, source="sweep")
    found = ledger.covering(QUESTION, weeks)
    assert found.returns.astype(float).round(4).T.tolist() == [[0.01, -0.04, 0.02, 0.03]]
    assert (found.trials, found.left_out) == (1, 2)
    first_two = ledger.covering(QUESTION, range(2817, 2819))
    assert sorted(first_two.returns.astype(float).round(4).T.tolist()) == [[0.01, -0.04], [0.03, 0.04]]
    assert (first_two.trials, first_two.left_out) == (2, 1)


def test_one_more_quarter_of_data_is_the_same_bet(ledger):
    whole = returns_of(1, 1, rows=1500)
    record(ledger, QUESTION, "sma_cross", [{"rows": 1440}], whole.iloc[:1440], source="sweep")
    record(ledger, QUESTION, "sma_cross", [{"rows": 1500}], whole, source="sweep")
    assert ledger.effective(QUESTION).trials == 1


@pytest.mark.parametrize(("count", "each"), [(6, 100), (600, 1)])
def test_very_many_trials_are_judged_by_a_sample(ledger, monkeypatch, count, each):
    monkeypatch.setattr("workbench.backtest.trials.ledger.MOST_CLUSTERED", 200)
    found = effective_of(ledger, families(count, each, 0.3 if each > 1 else 0.0, rows=1000))
    assert (found.measured, found.clustered) == (600, 200)
    assert found.trials == count
