"""A whole sweep in this process: the numbers, the ledger, and going on after an interruption."""

import json

import numpy as np
import pandas as pd
import pytest

from workbench.backtest import stats
from workbench.backtest.engine import simulate
from workbench.backtest.trials import Ledger, Question
from workbench.errors import AlreadyRunning, InputRefused, StrategyRefused
from workbench.search.bar import NoBar
from workbench.search.problem import measure, pose
from workbench.search.run import opened, recall
from workbench.strategies.sma_cross import SmaCross

# Of fast 2, 4, 8 × slow 6, 12, 24, one makes no sense: 8 above 6.
CELLS = 8


class Impatient(NoBar):
    """Somebody who presses Ctrl-C after so many cells."""

    def __init__(self, cells: int) -> None:
        self.left = cells

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


def trials(desk) -> pd.DataFrame:
    return Ledger(desk.paths.trials).trials(Question(desk.params.question, "sample"))


def test_every_valid_cell_is_in_the_table_and_in_the_ledger_once(desk):
    found = desk.sweep()
    assert found.measured == found.cells == CELLS
    assert sorted(zip(found.table["fast"], found.table["slow"], strict=True)) == [
        *((2, 6), (2, 12), (2, 24), (4, 6), (4, 12), (4, 24), (8, 12), (8, 24))
    ]
    counted = trials(desk)
    assert len(counted) == CELLS
    assert set(counted["source"]) == {"sweep"}
    assert found.luck.trials == CELLS
    kept = pd.read_parquet(found.folder / "table.parquet")
    assert kept.columns.tolist() == found.table.columns.tolist()
    assert json.loads((found.folder / "sweep.json").read_text())["status"] == "done"


def test_a_cells_scores_are_those_of_the_simulator_window_by_window(desk):
    found = desk.sweep()
    strategy = SmaCross(tuple(s for s in desk.bars.symbols if s != "TEC00"), 4, 12, desk.settings.sizing)
    universe = desk.bars.select(strategy.symbols)
    simulation = simulate(strategy.weights(desk.bars), universe, desk.settings.portfolio, desk.settings.costs)
    row = found.table[(found.table["fast"] == 4) & (found.table["slow"] == 12)].iloc[0]
    # 100 sessions of warm-up; 160 to train, 5 of gap, then tests of 80: rows 265, 345, 425 and 505 to 585.
    trains = [slice(100 + 80 * fold, 260 + 80 * fold) for fold in range(4)]
    tests = [slice(265 + 80 * fold, 345 + 80 * fold) for fold in range(4)]
    for fold, (train, test) in enumerate(zip(trains, tests, strict=True), start=1):
        assert row[f"train_{fold:02d}"] == pytest.approx(stats.sharpe(simulation.returns.iloc[train]), abs=1e-6)
        assert row[f"test_{fold:02d}"] == pytest.approx(stats.sharpe(simulation.returns.iloc[test]), abs=1e-6)
    assert row["train_score"] == pytest.approx(np.mean([row[f"train_{fold:02d}"] for fold in range(1, 5)]))
    assert row["test_score"] == pytest.approx(stats.sharpe(simulation.returns.iloc[265:585]), abs=1e-6)
    years, equity = 320 / 252, simulation.equity.iloc[265:585].mean()
    traded = simulation.orders.set_index("session")["value"].loc[desk.bars.index[265] : desk.bars.index[584]].sum()
    assert row["test_turnover"] == pytest.approx(traded / equity / years, rel=1e-5)


def test_training_scores_do_not_change_when_the_last_test_window_does(desk, walk):
    before = desk.sweep().table.set_index(["fast", "slow"]).sort_index()
    late = walk.close.copy()
    late.iloc[505:] = late.iloc[505:].to_numpy() * np.linspace(1.0, 3.0, len(late) - 505)[:, None]
    frames = {name: getattr(walk, name).where(late.eq(walk.close), late) for name in ("close", "open", "high", "low")}
    changed = type(walk)(**frames, volume=walk.volume, traded_close=late, market="sample", sectors=walk.sectors)
    after = type(desk)(desk.params, changed, desk.settings, desk.paths).sweep(made_by={"data": "another"})
    other = after.table.set_index(["fast", "slow"]).sort_index()
    chosen = [*before.attrs["may_choose"]]
    pd.testing.assert_frame_equal(before[chosen], other[chosen], check_exact=False, rtol=1e-9)
    assert not np.allclose(before["test_04"], other["test_04"])


def test_a_sweep_that_was_asked_before_measures_nothing_again(desk):
    first = desk.sweep()
    second = desk.sweep()
    assert second.run_id == first.run_id
    assert second.measured == 0
    pd.testing.assert_frame_equal(second.table, first.table)
    assert len(trials(desk)) == CELLS


def test_an_interrupted_sweep_goes_on_where_it_was_and_finds_the_same(desk, walk, tmp_path):
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        desk.sweep(bar=Impatient(2), say=said.append)
    assert said[-1].startswith("stopped with 6 measurements; go on with: workbench sweep --resume 2")
    run_id = said[-1].split()[-1]
    asked, _ = recall(desk.paths, run_id)
    resumed = desk.sweep(resume=(run_id, asked))
    assert (resumed.run_id, resumed.measured) == (run_id, CELLS - 6)
    elsewhere = type(desk)(desk.params, walk, desk.settings, type(desk.paths)(tmp_path / "elsewhere"))
    pd.testing.assert_frame_equal(resumed.table, elsewhere.sweep().table)
    assert len(trials(desk)) == CELLS


def test_other_data_are_another_search_and_cannot_be_resumed(desk):
    first = desk.sweep()
    assert desk.sweep(made_by={"data": "of tomorrow"}).run_id != first.run_id
    asked, _ = recall(desk.paths, first.run_id)
    with pytest.raises(InputRefused, match=f"--resume {first.run_id}: data changed since it was begun"):
        desk.sweep(made_by={"data": "of tomorrow"}, resume=(first.run_id, asked))
    with pytest.raises(InputRefused, match="--resume 1999: no such sweep"):
        recall(desk.paths, "1999")


def test_two_processes_do_not_work_at_the_same_sweep(desk):
    asked, _ = recall(desk.paths, desk.sweep().run_id)
    with (
        opened(desk.paths, desk.settings, asked),
        pytest.raises(AlreadyRunning, match="this sweep of sma_cross is already running"),
    ):
        desk.sweep()


def test_a_cell_that_fails_is_counted_and_stops_no_other(desk, monkeypatch):
    weights = SmaCross.weights

    def fragile(self, bars):
        if (self.fast, self.slow) == (4, 12):
            raise ZeroDivisionError("no such market")
        return weights(self, bars)

    monkeypatch.setattr(SmaCross, "weights", fragile)
    found = desk.sweep()
    failed = found.table[found.table["status"] == "failed"]
    assert failed[["fast", "slow", "error"]].to_numpy().tolist() == [[4, 12, "ZeroDivisionError: no such market"]]
    counted = trials(desk)
    assert counted["status"].value_counts().to_dict() == {"done": CELLS - 1, "failed": 1}
    assert counted[counted["status"] == "failed"]["params"].tolist() == ['{"fast": 4, "slow": 12}']


def test_where_the_first_cells_all_fail_the_rest_is_not_tried(desk, monkeypatch):
    def broken(self, bars):
        raise ValueError("half written")

    monkeypatch.setattr(SmaCross, "weights", broken)
    with pytest.raises(StrategyRefused, match="the first 4 cells failed, with: ValueError: half written"):
        desk.sweep()
    assert len(trials(desk)) == 4


def test_a_very_large_sweep_asks_first_and_says_how_long(desk):
    small = desk.with_settings(workers=1, confirm_cells=5)
    asked: list[str] = []
    with pytest.raises(
        InputRefused, match=r"8 cells take about 1 s and are more than search\.confirm_cells 5; say --yes"
    ):
        small.sweep(confirm=lambda question: bool(asked.append(question)))
    assert asked == ["8 cells will take about 1 s. Go on?"]
    assert small.sweep(confirm=lambda question: True).cells == CELLS


def test_a_grid_of_which_the_strategy_takes_no_cell_is_refused(desk):
    with pytest.raises(StrategyRefused, match="fast 30 must be at least 1 and below slow 6"):
        desk.sweep("fast=[30, 40]")


def test_a_worker_with_other_code_refuses(desk):
    problem, cells = pose("sma_cross", desk.params, desk.bars, desk.settings)
    stale = type(problem)(**{**vars(problem), "code": "0" * 64})
    with pytest.raises(InputRefused, match="a worker has another version"):
        measure(stale, cells[:1])
