"""From what was evaluated to rows of the ledger: cells of a sweep or a walk-forward, a notebook's run, a failed run.

>>> ledger = Ledger(Paths().trials)
>>> record(ledger, question, "sma_cross", [{"fast": 10, "slow": 50}], returns.to_frame(), source="notebook")
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.by_cell import is_counted
from workbench.backtest.result import WalkForward
from workbench.backtest.stats import ROUNDING
from workbench.backtest.trials.ledger import DONE, FAILED, SOURCES, Ledger, Receipt
from workbench.backtest.trials.question import Question, source_digest, trial_key
from workbench.backtest.trials.schema import Row
from workbench.backtest.trials.weeks import weeks_of
from workbench.errors import InputRefused, did_you_mean

# What of a walk-forward's table of cells is not a parameter.
RESULTS = ("train_score", "test_score", "chosen")
# Columns worked on at once.
AT_ONCE = 256


def record(
    ledger: Ledger,
    question: Question,
    strategy: str,
    cells: Sequence[Mapping[str, Any]],
    returns: pd.DataFrame,
    *,
    source: str,
    made_by: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> Receipt:
    """Record what was evaluated: the parameters of each cell, and a column of returns for each.

    ``made_by`` is what else shaped the returns: settings, data versions. The strategy's source is added to it.
    """
    _check_source(source)
    if len(cells) != returns.shape[1]:
        raise InputRefused(f"record: {len(cells)} cells and {returns.shape[1]} columns of returns; give one for each")
    if not isinstance(returns.index, pd.DatetimeIndex) or not returns.index.is_monotonic_increasing:
        raise InputRefused("record: the returns have no ascending dates as their index; trials are compared by date")
    keys = keys_of(question, strategy, cells, made_by)
    rows = [
        Row(key, strategy, _text(cell), DONE, "", *measured)
        for key, cell, measured in zip(keys, cells, _measure(returns), strict=True)
    ]
    return ledger.append(question, rows, source=source, run_id=run_id)


def keys_of(
    question: Question, strategy: str, cells: Sequence[Mapping[str, Any]], made_by: Mapping[str, Any] | None = None
) -> list[str]:
    """Return the key by which the ledger knows each cell."""
    context = {**(made_by or {}), "source": source_digest(strategy)}
    return [trial_key(question, strategy, json.loads(_text(cell)), context) for cell in cells]


def record_ratios(
    ledger: Ledger,
    question: Question,
    strategy: str,
    cells: Sequence[Mapping[str, Any]],
    sharpes: Sequence[float],
    sessions: int,
    *,
    source: str,
    made_by: Mapping[str, Any] | None = None,
) -> Receipt:
    """Record trials of which only the Sharpe ratio a session is known: they count as unlike all others."""
    _check_source(source)
    keys = keys_of(question, strategy, cells, made_by)
    rows = [
        Row(key, strategy, _text(cell), DONE, "", float(sharpe) if np.isfinite(sharpe) else None, sessions)
        for key, cell, sharpe in zip(keys, cells, sharpes, strict=True)
    ]
    return ledger.append(question, rows, source=source)


def record_failure(
    ledger: Ledger,
    question: Question,
    strategy: str,
    error: str,
    *,
    params: Mapping[str, Any] | None = None,
    made_by: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> Receipt:
    """Record a run that failed: it counts one, and the same failure of the same code counts once."""
    (key,) = keys_of(question, strategy, [params or {}], {**(made_by or {}), "error": error})
    row = Row(key, strategy, _text(params or {}), FAILED, error)
    return ledger.append(question, [row], source="failed", run_id=run_id)


def record_walk_forward(
    ledger: Ledger,
    wf: WalkForward,
    *,
    source: str = "walk_forward",
    made_by: Mapping[str, Any] | None = None,
    run_id: str = "",
) -> Receipt:
    """Record every cell of a walk-forward's grid, with its returns over the test windows."""
    cells = wf.cells.drop(columns=list(RESULTS)).to_dict("records")
    named: list[dict[str, Any]] = [{str(name): value for name, value in cell.items()} for cell in cells]
    receipt = record(
        ledger,
        Question(wf.question, wf.market),
        wf.strategy,
        named,
        wf.cell_returns,
        source=source,
        made_by=made_by,
        run_id=run_id,
    )
    is_counted(wf)
    return receipt


def _check_source(source: str) -> None:
    if source not in SOURCES:
        raise InputRefused(f"record: unknown source '{source}'.{did_you_mean(source, SOURCES)}")


def _text(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):  # a number of numpy's
        return value.item()
    return str(value)


Measured = tuple[float | None, int, float | None, float | None, int | None, bytes | None]


def _measure(returns: pd.DataFrame) -> list[Measured]:
    """Return Sharpe ratio per period, n, skew, kurtosis, first week and weekly sums of each column.

    What is not finite is left out. What never traded has no Sharpe ratio and no weeks: there is nothing to compare.
    """
    if returns.empty:
        return [(None, 0, None, None, None, None)] * returns.shape[1]
    weeks = weeks_of(returns.index)
    starts = np.flatnonzero(np.diff(weeks, prepend=weeks[0] - 1))
    found: list[Measured] = []
    for first in range(0, returns.shape[1], AT_ONCE):
        values = returns.iloc[:, first : first + AT_ONCE].to_numpy(dtype=float)
        there = np.isfinite(values)
        filled = np.where(there, values, 0.0)
        sums = np.zeros((int(weeks[-1] - weeks[0]) + 1, values.shape[1]), dtype="<f4")
        sums[weeks[starts] - weeks[0]] = np.add.reduceat(filled, starts)
        n = there.sum(axis=0)
        many = np.maximum(n, 1)
        mean = filled.sum(axis=0) / many
        less = np.where(there, filled - mean, 0.0)
        square = less * less
        second, third, fourth = square.sum(axis=0) / many, _dot(square, less) / many, _dot(square, square) / many
        risky = (n >= 3) & (np.sqrt(second) > ROUNDING * np.abs(filled).max(axis=0))
        for column in range(values.shape[1]):
            if not risky[column]:
                found.append((None, int(n[column]), None, None, None, None))
                continue
            variance, count = float(second[column]), int(n[column])
            found.append(
                (
                    float(mean[column]) / float(np.sqrt(variance * count / (count - 1))),
                    count,
                    float(third[column]) / variance**1.5,
                    float(fourth[column]) / variance**2,
                    int(weeks[0]),
                    np.ascontiguousarray(sums[:, column]).tobytes(),
                )
            )
    return found


def _dot(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of products of each column, without an array between."""
    found: NDArray[np.float64] = np.einsum("ij,ij->j", one, other)
    return found
