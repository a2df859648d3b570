"""What a careful colleague would object to in a walk-forward, in plain words with the numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.backtest.result import WalkForward
from workbench.backtest.text import chance, counted, percent

# Below this share of the in-sample Sharpe ratio, the choice of parameters did not carry over.
CARRIED_OVER = 0.8
DEEP_DRAWDOWN = -0.15
# What a deflated Sharpe ratio must reach, and what the probability of overfitting must stay below.
CONFIDENCE, COIN_TOSS = 0.95, 0.5
# One month that earned more than this share of everything is luck until shown otherwise.
ONE_MONTH = 0.25


def doubts(results: Sequence[WalkForward], ranked: pd.DataFrame | None = None) -> list[tuple[str, str]]:
    """Return (strategy, doubt) for every objection; a strategy without one is not named.

    A ranking that was made with the trial ledger adds what the search for the result leaves of it.
    """
    counted = {} if ranked is None else {row["strategy"]: row for row in ranked.to_dict("records")}
    return [
        (result.strategy, doubt)
        for result in results
        for doubt in (*_doubts(result), *_search_doubts(counted.get(result.strategy, {})))
    ]


def _search_doubts(row: Mapping[Hashable, Any]) -> Iterator[str]:
    deflated, overfit = row.get("dsr"), row.get("pbo")
    if deflated is not None and deflated < CONFIDENCE:
        trials = counted(row["trials"], "trial")
        yield f"with its {trials} counted, the Sharpe ratio is above zero at {chance(deflated)} only"
    if overfit is not None and overfit >= COIN_TOSS:
        splits = percent(overfit)
        yield f"in {splits} of the splits the best cell of one half was below the median in the other: overfit"
    if row.get("elsewhere"):
        elsewhere = int(row["elsewhere"])
        other = f"{counted(elsewhere, 'trial')} of it {'counts' if elsewhere == 1 else 'count'} for other questions"
        yield f"{other} of this market: where only the words differ, ask in the old ones (workbench trials)"
    if row.get("missing"):
        yield f"not all could be judged: {row['missing']}"


def _doubts(result: WalkForward) -> Iterator[str]:
    sharpe, trained = result.out_of_sample["sharpe"], result.in_sample["sharpe"]
    low, high = result.intervals["sharpe"]
    if not low > 0:
        yield f"the 95 % interval of the Sharpe ratio, {low:.2f} to {high:.2f}, includes zero: it may be luck"
    if trained > 0 and sharpe < CARRIED_OVER * trained:
        yield f"Sharpe {sharpe:.2f} out of sample against {trained:.2f} in sample: parameters did not carry over"
    good, count = int((result.folds["test_score"] > 0).sum()), len(result.folds)
    if 2 * good <= count:
        yield f"only {good} of {counted(count, 'test window')} earned money"
    choices = len({str(params) for params in result.folds["params"]})
    if count > 2 and choices > count / 2:
        yield f"{choices} different parameter sets in {count} windows: the best one keeps moving"
    worst = result.out_of_sample["max_drawdown"]
    if worst < DEEP_DRAWDOWN:
        yield f"a drawdown of {percent(worst)} is deeper than {percent(DEEP_DRAWDOWN)}"
    costs = float(result.simulation.costs.to_numpy().sum())
    gained = float(result.simulation.equity.iloc[-1]) - result.simulation.cash
    if costs > 0.5 * (gained + costs) > 0:
        took = percent(costs / (gained + costs))
        yield f"costs took {took} of what was earned before them: twice the costs leave nothing"
    if gained > 0:
        monthly = result.simulation.returns.resample("ME").sum()
        share = float(monthly.max() / monthly.sum()) if monthly.sum() > 0 else 0.0
        if share > ONE_MONTH:
            yield f"{monthly.idxmax():%Y-%m} alone earned {percent(share)} of the whole"
    crowded = int(result.out_of_sample.get("crowded_orders", 0))
    if crowded:
        were = "was a large share of its" if crowded == 1 else "were a large share of their"
        yield f"{counted(crowded, 'order')} {were} session's volume: fills like that are not to be had"
    if result.market == "sample":
        yield "made data: whatever was found here was planted"
