"""What a cell of a sweep costs: in one process, against the simulator cell by cell, and on more processes.

    python bench/search.py --cells 60 --symbols 60 --sessions 3774 --workers 2

The peer does what a loop over cells does without the sweep: the same weights, one portfolio of vectorbt's each, the
scores of every window from its returns. Both must find the same training scores, else nothing is reported.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from figure import report

from workbench.backtest import stats
from workbench.backtest.engine import simulate
from workbench.params import DataParams, Settings, StrategyParams
from workbench.search.crew import Batch, Here, recruited
from workbench.search.problem import Problem, measure, pose
from workbench.strategies import catalog
from workbench.types import Bars

STRATEGY = "sma_cross"


def random_market(symbols: int, sessions: int) -> Bars:
    """Return random walks with a common market."""
    random = np.random.default_rng(3)
    steps = random.normal(0.0003, 0.008, (sessions, 1)) + random.normal(0.0, 0.012, (sessions, symbols + 1))
    index = pd.bdate_range("2005-01-03", periods=sessions).rename(None)
    names = ["MKT00", *(f"TEC{number:03d}" for number in range(symbols))]
    close = pd.DataFrame(50.0 * np.exp(np.cumsum(steps, axis=0)), pd.DatetimeIndex(index, freq=None), names)
    volume = pd.DataFrame(1e6, close.index, close.columns)
    return Bars(close, close * 1.01, close * 0.99, close, volume, close, market="sample")


def loop(problem: Problem, cells: list[dict[str, int]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Be the peer: one portfolio after another."""
    found = []
    universe = problem.bars.select(problem.symbols)
    for cell in cells:
        strategy = catalog.build(problem.strategy, problem.symbols, problem.sizing, cell)
        returns = simulate(strategy.weights(problem.bars), universe, problem.portfolio, problem.costs).returns
        found.append([stats.sharpe(returns.iloc[fold.train]) for fold in problem.folds])
        for fold in problem.folds:
            stats.sharpe(returns.iloc[fold.test])
    return np.array(found)


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=24)
    options.add_argument("--symbols", type=int, default=20)
    options.add_argument("--sessions", type=int, default=2520)
    options.add_argument("--workers", type=int, default=2)
    asked = options.parse_args()
    size = {name: getattr(asked, name) for name in ("cells", "symbols", "sessions", "workers")}
    grid = {"fast": list(range(2, 2 + -(-asked.cells // 6))), "slow": [100, 120, 140, 160, 180, 200]}
    params = StrategyParams(question="What does a cell of a sweep cost?", grid=grid)
    settings = Settings(data=DataParams(benchmark="MKT00"))
    problem, cells = pose(STRATEGY, params, random_market(asked.symbols, asked.sessions), settings)
    cells = cells[: asked.cells]
    measure(problem, cells[:1])
    loop(problem, cells[:1])

    some = cells[: max(2, asked.cells // 6)]
    begun = time.perf_counter()
    expected = loop(problem, some)
    by_loop = (time.perf_counter() - begun) / len(some)
    batches = [Batch(tuple(cells[first : first + 6]), len(problem.folds)) for first in range(0, len(cells), 6)]
    begun = time.perf_counter()
    alone = {str(batch.cells): found.numbers for batch, found in Here(problem).run(batches)}
    by_one = (time.perf_counter() - begun) / len(cells)
    numbers = np.concatenate([alone[key] for key in alone])[: len(some), : len(problem.folds)]
    if not np.allclose(numbers, expected, atol=1e-6, equal_nan=True):
        raise SystemExit("the sweep and the loop did not find the same training scores")
    report("sweep_cell", by_one, "vectorbt_portfolio_each", by_loop, size)

    begun = time.perf_counter()
    with recruited(problem, asked.workers) as crew:
        list(crew.run([Batch(tuple(cells[:1]), len(problem.folds)) for _ in range(asked.workers)]))
        started, begun = time.perf_counter() - begun, time.perf_counter()
        together = {str(batch.cells): found.numbers for batch, found in crew.run(batches)}
        by_more = (time.perf_counter() - begun) / len(cells)
    if not all(np.array_equal(alone[key], together[key], equal_nan=True) for key in alone):
        raise SystemExit("the processes did not find what one process found")
    report("sweep_cell_on_processes", by_more, "one_process", by_one, size)
    report("sweep_processes_started", started, None, None, size)


if __name__ == "__main__":
    main()
