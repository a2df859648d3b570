"""Walk-forward: choose parameters on each training window, trade them on the next, and keep only what was traded.

1. every cell of the grid gives weights on all bars (row t of a strategy's weights uses rows up to t only)
2. every cell is simulated once, after costs
3. each fold takes the cell that scored best inside its training window
4. the chosen weights are stitched over the test windows and simulated as one portfolio: the result
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.backtest import stats
from workbench.backtest.by_cell import counted_in_notebooks
from workbench.backtest.engine import simulate
from workbench.backtest.kernel.weights import sweep_returns
from workbench.backtest.result import Simulation, WalkForward
from workbench.backtest.splits import Fold, folds_after_warm_up
from workbench.errors import NoData, did_you_mean
from workbench.params import Settings, StrategyParams
from workbench.strategies import catalog
from workbench.strategies.exits import exits_of
from workbench.strategies.protocol import Strategy
from workbench.types import Bars

SCORES: Mapping[str, Callable[[pd.Series], float]] = {
    "sharpe": stats.sharpe,
    "sortino": stats.sortino,
    "calmar": stats.calmar,
}


@counted_in_notebooks
def walk_forward(
    name: str, params: StrategyParams, bars: Bars, settings: Settings, progress: Callable[[str], None] | None = None
) -> WalkForward:
    """Return the walk-forward of one strategy over its grid."""
    say = progress or (lambda text: None)
    benchmark = settings.data.benchmark
    if benchmark not in bars.symbols:
        raise NoData(f"data.benchmark '{benchmark}' is not in the bars.{did_you_mean(benchmark, bars.symbols)}")
    candidates = catalog.candidates(name, params, bars, settings.sizing, benchmark)
    lookbacks = [strategy.lookback for _, strategy in candidates]
    steps = folds_after_warm_up(name, lookbacks, len(bars), settings.walk_forward)

    universe = bars.select(candidates[0][1].symbols)
    say(f"{len(candidates)} cells × {len(steps)} folds on {len(bars):,} sessions × {len(universe.symbols)} symbols")
    weights = [strategy.weights(bars) for _, strategy in candidates]
    exits = [exits_of(strategy) for _, strategy in candidates]
    cell_returns = sweep_returns(weights, universe, settings.portfolio, settings.costs, exits=exits)

    say("choosing on the training windows")
    score = SCORES[settings.walk_forward.select_by]
    chosen, trained = _choose(cell_returns, steps, score)

    say("trading the choices out of sample")
    first = steps[0].test.start
    stitched = pd.concat([weights[cell].iloc[step.test] for cell, step in zip(chosen, steps, strict=True)])
    rows = ((cell, step.test.stop - step.test.start) for cell, step in zip(chosen, steps, strict=True))
    ends = [exits[cell] for cell, count in rows for _ in range(count)]
    simulation = simulate(stitched, universe, settings.portfolio, settings.costs, ends)
    market_returns = bars.close[benchmark].pct_change(fill_method=None).iloc[first : first + len(stitched)]
    market_returns.iloc[0] = 0.0  # the portfolio's first trade comes after the first close too

    tested = cell_returns.iloc[first : first + len(stitched)]
    own = simulation.returns
    return WalkForward(
        strategy=name,
        question=params.question,
        market=bars.market,
        folds=_fold_table(steps, chosen, trained, candidates, own, bars, score),
        cells=_cell_table(candidates, trained, tested, chosen, score),
        cell_returns=tested,
        simulation=simulation,
        benchmark=market_returns.rename("benchmark"),
        in_sample=_in_sample(cell_returns, steps, chosen),
        out_of_sample=statistics(simulation, market_returns, settings.costs.max_participation),
        intervals=stats.intervals(own, seed=settings.sample.seed),
        params=candidates[chosen[-1]][0],
        select_by=settings.walk_forward.select_by,
    )


def statistics(simulation: Simulation, benchmark: pd.Series, max_participation: float = 0.1) -> dict[str, float]:
    """Return every statistic of a simulation by name; ``stats.DEFINITIONS`` says what each means."""
    closed = simulation.trades.loc[~simulation.trades["open"].astype(bool)]
    years = len(simulation.returns) / stats.YEAR
    mean_equity = float(simulation.equity.mean())
    return {
        **stats.summary(simulation.returns, benchmark),
        "win_rate": stats.win_rate(closed["pnl"]),
        "profit_factor": stats.profit_factor(closed["pnl"]),
        "trades": float(len(closed)),
        "turnover": float(simulation.orders["value"].sum()) / mean_equity / years,
        "exposure": float(simulation.positions.abs().sum(axis=1).mean()),
        "cost_per_year": float(simulation.costs.to_numpy().sum()) / mean_equity / years,
        "crowded_orders": float((simulation.orders["participation"] > max_participation).sum()),
    }


def _choose(
    cell_returns: pd.DataFrame, steps: Sequence[Fold], score: Callable[[pd.Series], float]
) -> tuple[list[int], pd.DataFrame]:
    """Return the best cell of each fold and the training scores, fold × cell; the first wins a tie."""
    scores = pd.DataFrame([[score(cell_returns[c].iloc[step.train]) for c in cell_returns] for step in steps])
    # A cell that never traded has no score; it is chosen only where no cell has one.
    ranked = scores.replace([float("inf"), float("-inf")], float("nan")).fillna(float("-inf"))
    return [int(row.to_numpy().argmax()) for _, row in ranked.iterrows()], scores


def _fold_table(
    steps: Sequence[Fold],
    chosen: Sequence[int],
    trained: pd.DataFrame,
    candidates: Sequence[tuple[dict[str, Any], Strategy]],
    returns: pd.Series,
    bars: Bars,
    score: Callable[[pd.Series], float],
) -> pd.DataFrame:
    rows, begin = [], steps[0].test.start
    for step, cell in zip(steps, chosen, strict=True):
        rows.append(
            {
                "fold": step.number + 1,
                "train_start": bars.index[step.train.start],
                "train_end": bars.index[step.train.stop - 1],
                "test_start": bars.index[step.test.start],
                "test_end": bars.index[step.test.stop - 1],
                "train_score": trained.iloc[step.number, cell],
                "test_score": score(returns.iloc[step.test.start - begin : step.test.stop - begin]),
                "params": candidates[cell][0],
            }
        )
    return pd.DataFrame(rows)


def _cell_table(
    candidates: Sequence[tuple[dict[str, Any], Strategy]],
    trained: pd.DataFrame,
    tested: pd.DataFrame,
    chosen: Sequence[int],
    score: Callable[[pd.Series], float],
) -> pd.DataFrame:
    rows = [
        {
            **cell,
            "train_score": float(trained[number].mean()),
            "test_score": score(tested[number]),
            "chosen": sum(1 for pick in chosen if pick == number),
        }
        for number, (cell, _) in enumerate(candidates)
    ]
    return pd.DataFrame(rows)


def _in_sample(cell_returns: pd.DataFrame, steps: Sequence[Fold], chosen: Sequence[int]) -> dict[str, float]:
    """Return the mean over the training windows of each statistic of the cell chosen there."""
    found = [stats.summary(cell_returns[cell].iloc[step.train]) for cell, step in zip(chosen, steps, strict=True)]
    table = pd.DataFrame(found).replace([float("inf"), float("-inf")], float("nan"))
    return {str(name): float(value) for name, value in table.mean().items()}


def params_text(params: Mapping[str, Any]) -> str:
    """Return parameters on one line: ``fast=20 slow=100``."""
    return " ".join(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in params.items())
