"""The table of a search: a row a cell, the best plateau first; its columns say whether they may choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.search.grid import is_number
from workbench.search.plateau import Places, around, neighbourhoods, positions

DONE, PRUNED, FAILED = "done", "pruned", "failed"

# What each column means; those that begin with "test" come from test windows and may not choose.
COLUMNS: Mapping[str, str] = {
    "train_score": "mean score of the training windows; one without trades counts 0",
    "train_worst": "the lowest of them",
    "plateau": "median train_score of the neighbourhood: the cell and all cells one step away; unknown with too few",
    "plateau_worst": "the lowest train_score of the neighbourhood",
    "neighbours": "cells of the neighbourhood that were measured, the cell's own left out",
    "train_turnover": "value traded in a year over average equity, mean of the training windows",
    "train_cost": "all costs of a year over average equity, mean of the training windows",
    "test_score": "score of the cell held over all test windows; seen after the choice",
    "test_turnover": "value traded in a year over average equity, over all test windows",
    "test_cost": "all costs of a year over average equity, over all test windows",
}
FIRST = tuple(COLUMNS)


@dataclass(frozen=True)
class Rule:
    """What choosing anew in every fold would have earned: chosen on its training window, scored on its test window."""

    by: str
    test_scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean test score of what was chosen."""
        return float(np.mean(self.test_scores))


def build_table(
    cells: Sequence[Mapping[str, Any]],
    numbers: pd.DataFrame,
    errors: Sequence[str],
    folds: Sequence[int],
    axes: Mapping[str, Sequence[Any]],
    stepped: bool = True,
) -> tuple[pd.DataFrame, Places]:
    """Return the table, and the neighbourhoods of its rows; the best plateau first, the higher own score where equal.

    ``folds`` says on how many training windows each cell was judged; only cells judged on all of them are compared.
    """
    table = pd.DataFrame({name: _column([cell[name] for cell in cells]) for name in axes})
    training = [name for name in numbers.columns if name.startswith("train_") and name[6:].isdigit()]
    testing = [name.replace("train", "test") for name in training]
    status = [
        FAILED if error else DONE if seen == len(training) else PRUNED
        for error, seen in zip(errors, folds, strict=True)
    ]
    table["status"], table["error"] = status, list(errors)
    done = (table["status"] == DONE).to_numpy()
    windows = _known(numbers[training], done)
    hoods = neighbourhoods(positions(cells, axes, stepped))
    table["train_score"], table["train_worst"] = windows.mean(axis=1), windows.min(axis=1)
    scores = table["train_score"].to_numpy(dtype=float)
    median, worst, count = around(scores, hoods)
    # Nobody measured it, or so few around it that a corner of the grid would win by chance: not a plateau.
    alone = ~np.isfinite(scores) | (2 * (count - 1) < (count - 1).max())
    table["plateau"], table["plateau_worst"] = np.where(alone, np.nan, median), np.where(alone, np.nan, worst)
    table["neighbours"] = np.where(np.isfinite(scores), count - 1, 0)
    for name in ("train_turnover", "train_cost", "test_score", "test_turnover", "test_cost"):
        table[name] = numbers[name].to_numpy(dtype=float)
    table[training], table[testing] = numbers[training].to_numpy(), numbers[testing].to_numpy()
    table = table[[*axes, *FIRST, *training, *testing, "status", "error"]]
    order = table.sort_values(["plateau", "train_score"], ascending=False, kind="stable", na_position="last").index
    # The neighbourhoods follow their rows.
    place = np.empty(len(order), dtype=np.int64)
    place[order.to_numpy()] = np.arange(len(order))
    hoods = hoods[order.to_numpy()]
    moved = np.where(hoods >= 0, place[hoods], -1)
    table = table.loc[order].reset_index(drop=True)
    table.attrs = {
        "may_choose": [str(name) for name in table.columns if str(name).startswith(("train", "plateau"))],
        "seen_after_the_choice": [str(name) for name in table.columns if str(name).startswith("test")],
    }
    return table, moved


def compare_rules(table: pd.DataFrame, hoods: Places) -> tuple[Rule, Rule]:
    """Return what the highest cell and the best plateau of each training window scored in the test window after it."""
    training = [str(name) for name in table.columns if str(name).startswith("train_") and str(name)[6:].isdigit()]
    done = (table["status"] == DONE).to_numpy()
    windows, tested = _known(table[training], done), table[[name.replace("train", "test") for name in training]]
    peaks: list[float] = []
    plateaus: list[float] = []
    for fold in range(len(training)):
        scores = windows[:, fold]
        medians = np.where(table["plateau"].notna(), around(scores, hoods)[0], np.nan)
        after = tested.iloc[:, fold].to_numpy(dtype=float)
        for found, by in ((peaks, scores), (plateaus, medians)):
            value = float(after[np.where(np.isfinite(by), by, -np.inf).argmax()])
            found.append(value if np.isfinite(value) else 0.0)
    return Rule("peak", tuple(peaks)), Rule("plateau", tuple(plateaus))


def _column(values: Sequence[Any]) -> pd.Series:
    """Return values as a column; of words and numbers, none turns into another, not even nothing into NaN."""
    return pd.Series(list(values), dtype=None if all(map(is_number, values)) else object)


def _known(windows: pd.DataFrame, done: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the scores of cells that were measured: what never traded, or never lost, has none and counts 0."""
    values = windows.to_numpy(dtype=float)
    return np.where(done[:, None], np.where(np.isfinite(values), values, 0.0), np.nan)
