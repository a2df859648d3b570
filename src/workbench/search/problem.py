"""What every cell is measured on, and how: the one function that workers run.

A cell trades through all bars once, exactly as in a walk-forward; the statistics of each training and test window are
taken from that walk. Training and test stay apart by name: nothing that begins with ``test`` may choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.kernel.weights import sweep_cells
from workbench.backtest.splits import Fold, folds_after_warm_up
from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.params import CostParams, PortfolioParams, Settings, SizingParams, StrategyParams, read_sizing
from workbench.source import source_digest
from workbench.strategies import catalog
from workbench.strategies.exits import exits_of
from workbench.types import Bars

Array = NDArray[np.float64]
Cell = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """Bars, costs and windows of a search; frozen, sent to each worker once."""

    strategy: str
    symbols: tuple[str, ...]
    sizing: SizingParams
    portfolio: PortfolioParams
    costs: CostParams
    bars: Bars
    folds: tuple[Fold, ...]
    select_by: str
    code: str  # digest of the code that computes it

    @property
    def tested(self) -> slice:
        """The rows of all test windows: they tile without a gap."""
        return slice(self.folds[0].test.start, self.folds[-1].test.stop)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of a cell's numbers."""
        names = [f"{kind}_{fold.number + 1:02d}" for kind in ("train", "test") for fold in self.folds]
        return (*names, "train_turnover", "train_cost", "test_score", "test_turnover", "test_cost")


@dataclass(frozen=True)
class Measured:
    """What became of some cells: small enough to travel.

    ``numbers`` is cells × ``Problem.columns``, NaN where there is none; ``returns`` is cells × rows of what was judged:
    the test windows, or the training windows of a cell that was judged on ``folds`` of them only.
    """

    numbers: Array
    returns: Array
    errors: tuple[str, ...]  # of each cell, empty where it was measured
    folds: int


def pose(strategy: str, params: StrategyParams, bars: Bars, settings: Settings) -> tuple[Problem, list[dict[str, Any]]]:
    """Return the problem, and the valid cells of the grid in its order."""
    benchmark = settings.data.benchmark
    if benchmark not in bars.symbols:
        raise NoData(f"data.benchmark '{benchmark}' is not in the bars.{did_you_mean(benchmark, bars.symbols)}")
    candidates = catalog.candidates(strategy, params, bars, settings.sizing, benchmark)
    lookbacks = [one.lookback for _, one in candidates]
    problem = Problem(
        strategy=strategy,
        symbols=tuple(candidates[0][1].symbols),
        sizing=read_sizing(settings.sizing, params.sizing, strategy),
        portfolio=settings.portfolio,
        costs=settings.costs,
        bars=bars,
        folds=tuple(folds_after_warm_up(strategy, lookbacks, len(bars), settings.walk_forward)),
        select_by=settings.walk_forward.select_by,
        code=code_digest(strategy),
    )
    return problem, [cell for cell, _ in candidates]


def measure(problem: Problem, cells: Sequence[Cell], folds: int | None = None) -> Measured:
    """Return the numbers of some cells; one that fails says why and does not stop the others.

    With ``folds``, only the first training windows are measured, on bars that end with the last of them.
    """
    if code_digest(problem.strategy) != problem.code:
        raise InputRefused(
            f"a worker has another version of workbench or of {problem.strategy} than the command; "
            "update its checkout and start it again"
        )
    folds = folds or len(problem.folds)
    try:
        return _measure(problem, cells, folds)
    except (MemoryError, OSError, ImportError):
        raise  # the machine's failure, not the cell's
    except Exception as error:  # noqa: BLE001 (a strategy may raise anything)
        if len(cells) > 1:
            return joined([measure(problem, [cell], folds) for cell in cells])
        text = " ".join(f"{type(error).__name__}: {error}".split())[:1000]
        rows = judged_rows(problem, folds)
        nothing = np.full((1, len(problem.columns)), np.nan), np.full((1, rows.stop - rows.start), np.nan)
        return Measured(*nothing, (text,), folds)


def joined(parts: Sequence[Measured]) -> Measured:
    """Return several results as one."""
    return Measured(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.returns for part in parts]),
        tuple(error for part in parts for error in part.errors),
        parts[0].folds,
    )


def judged_rows(problem: Problem, folds: int) -> slice:
    """Return the rows that ``Measured.returns`` covers."""
    if folds == len(problem.folds):
        return problem.tested
    return slice(problem.folds[0].train.start, problem.folds[folds - 1].train.stop)


def code_digest(strategy: str) -> str:
    """Return the digest of the code that a cell's numbers come from: an edit elsewhere does not change them."""
    return source_digest("search.problem", f"strategies.{strategy}")


def _measure(problem: Problem, cells: Sequence[Cell], folds: int) -> Measured:
    whole = folds == len(problem.folds)
    some = problem.folds[:folds]
    bars = problem.bars if whole else problem.bars.until(problem.bars.index[some[-1].train.stop - 1])
    windows = [fold.train for fold in some]
    windows += [*(fold.test for fold in some), problem.tested] if whole else []
    made = [catalog.build(problem.strategy, problem.symbols, problem.sizing, cell) for cell in cells]
    weights = (strategy.weights(bars) for strategy in made)
    found, returns = sweep_cells(
        weights, bars.select(problem.symbols), problem.portfolio, problem.costs, windows, workers=1,
        exits=[exits_of(strategy) for strategy in made],
    )  # fmt: skip
    score = found[problem.select_by].T  # cells × windows
    numbers = pd.DataFrame(np.nan, index=range(len(cells)), columns=list(problem.columns))
    for number in range(folds):
        numbers[f"train_{number + 1:02d}"] = score[:, number]
    numbers["train_turnover"] = found["turnover"][:folds].mean(axis=0)
    numbers["train_cost"] = found["cost_per_year"][:folds].mean(axis=0)
    if whole:
        for number in range(folds):
            numbers[f"test_{number + 1:02d}"] = score[:, folds + number]
        numbers["test_score"] = score[:, -1]
        numbers["test_turnover"], numbers["test_cost"] = found["turnover"][-1], found["cost_per_year"][-1]
    rows = judged_rows(problem, folds)
    return Measured(numbers.to_numpy(dtype=float), returns.to_numpy()[rows].T.copy(), ("",) * len(cells), folds)
