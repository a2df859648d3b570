"""The peak and the plateau: a score that the neighbours share is worth more than a higher one that stands alone.

The neighbourhood of a cell is itself and all cells at most one step away on every axis; of values without an order
(words, true and false) it holds the cell's own only. Everything here looks at training windows only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.text import number, percent, short
from workbench.search.grid import is_number

Array = NDArray[np.float64]
Places = NDArray[np.int64]

# Neighbours that keep less of the peak's score than this leave it alone.
LONELY = 2.0 / 3.0
# Of a range that was sampled and not stepped through, what counts as one step; at least the grid's own smallest.
STEP_OF_RANGE = 0.1
APART = 1000.0
ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Summit:
    """One cell, by its place in the table: its score, and the share of it that its neighbours keep (NaN: unknown).

    ``around`` is the median of its neighbourhood, NaN where it is no plateau.
    """

    place: int
    params: Mapping[str, Any]
    score: float
    around: float
    keeps: float
    neighbours: int


@dataclass(frozen=True)
class Terrain:
    """The highest cell, and the one with the highest neighbourhood, as scored in training."""

    peak: Summit
    plateau: Summit
    score: str
    edges: tuple[str, ...]  # where the plateau touches the end of the grid: "slow=300 is its last value"

    @property
    def sentence(self) -> str:
        """What to make of it, in plain words."""
        peak, plateau, name = self.peak, self.plateau, self.score.capitalize()
        if not peak.score > 0.0:
            return (
                f"No cell earned anything in training: the best, {_named(peak)}, has a {name} of {number(peak.score)}."
            )
        own = f"The peak {_named(peak)} ({name} {number(peak.score)} in training)"
        if not peak.neighbours:
            text = f"{own}: no neighbour of it was measured, so nothing says whether it stands alone."
        elif peak.place == plateau.place:
            text = f"{own} is the top of the best plateau: {_neighbours(peak)}."
        elif peak.keeps < LONELY:
            text = f"{own} stands alone: {_neighbours(peak)}; "
            text += f"the plateau around {_named(plateau)} keeps {_share(plateau)}."
        else:
            text = (
                f"{own} is not alone: {_neighbours(peak)}; the best plateau is around {_named(plateau)} "
                f"(median {number(plateau.around)}), whose neighbours keep {_share(plateau)}."
            )
        if self.edges:
            text += f" The plateau lies at the edge of the grid ({', '.join(self.edges)}): "
            text += "a wider grid may hold a better one."
        return text


def positions(cells: Sequence[Mapping[str, Any]], axes: Mapping[str, Sequence[Any]], stepped: bool = True) -> Array:
    """Return cells × axes, in steps: values of a grid by their order, sampled ones by their share of the range."""
    found = np.empty((len(cells), len(axes)))
    for column, (name, values) in enumerate(axes.items()):
        ordered = sorted({value for value in values if is_number(value)})
        others = list(dict.fromkeys(str(value) for value in values if not is_number(value)))
        rank = {value: float(place) for place, value in enumerate(ordered)}
        low = ordered[0] if ordered else 0.0
        gaps = [after - before for before, after in pairwise(ordered)]
        width = max([STEP_OF_RANGE * (ordered[-1] - low), min(gaps)]) if gaps else 1.0
        for row, cell in enumerate(cells):
            value = cell[name]
            if not is_number(value):
                found[row, column] = -APART * (1 + others.index(str(value)))
            else:
                found[row, column] = rank[value] if stepped else (value - low) / width
    return found


def neighbourhoods(places: Array) -> Places:
    """Return for each cell the numbers of the cells around it, its own first, filled up with -1."""
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    found = tree.query_ball_point(places, r=1.0 + 1e-9, p=np.inf)
    widest = max(len(some) for some in found)
    filled = np.full((len(places), widest), -1, dtype=np.int64)
    for row, some in enumerate(found):
        filled[row, 0] = row
        filled[row, 1 : len(some)] = [other for other in sorted(some) if other != row]
    return filled


def around(scores: Array, hoods: Places, *, own: bool = True) -> tuple[Array, Array, Places]:
    """Return median, lowest and number of the known scores in each neighbourhood, with a cell's own or without."""
    median, worst = np.full(len(scores), np.nan), np.full(len(scores), np.nan)
    count = np.zeros(len(scores), dtype=np.int64)
    for first in range(0, len(scores), ROWS_AT_ONCE):
        some = hoods[first : first + ROWS_AT_ONCE, 0 if own else 1 :]
        rows = slice(first, first + len(some))
        values = np.where(some >= 0, scores[some], np.nan)
        count[rows] = np.isfinite(values).sum(axis=1)
        # Sorted, the missing stand last: the middle of the known ones is found without a warning for empty rows.
        ordered = np.sort(values, axis=1) if values.shape[1] else np.full((len(some), 1), np.nan)
        each, many = np.arange(len(some)), np.maximum(count[rows], 1)
        median[rows] = (ordered[each, (many - 1) // 2] + ordered[each, many // 2]) / 2.0
        worst[rows] = ordered[:, 0]
    return median, worst, count


def survey(table: pd.DataFrame, axes: Mapping[str, Sequence[Any]], hoods: Places, score: str) -> Terrain:
    """Return peak and plateau of a table whose rows lie as ``hoods`` numbers them; the first of equals wins."""
    scores = table["train_score"].to_numpy(dtype=float)
    medians = table["plateau"].to_numpy(dtype=float)
    beside, _, count = around(scores, hoods, own=False)

    def summit(by: Array) -> Summit:
        place = int(np.where(np.isfinite(by), by, -np.inf).argmax())
        params = {name: table[name].iloc[place] for name in axes}
        keeps = float(beside[place] / scores[place]) if scores[place] > 0.0 else float("nan")
        return Summit(place, params, float(scores[place]), float(medians[place]), keeps, int(count[place]))

    plateau = summit(medians)
    return Terrain(summit(scores), plateau, score, tuple(_edges(plateau.params, axes)))


def assigned(params: Mapping[str, Any]) -> str:
    """Return parameters as they are typed: ``fast=20 slow=150``."""
    return " ".join(f"{name}={short(value)}" for name, value in params.items())


def _edges(params: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> list[str]:
    found = []
    for name, values in axes.items():
        ordered = sorted({value for value in values if is_number(value)})
        if len(ordered) > 2 and params[name] in (ordered[0], ordered[-1]):
            end = "first" if params[name] == ordered[0] else "last"
            found.append(f"{assigned({name: params[name]})} is its {end} value")
    return found


def _named(summit: Summit) -> str:
    return assigned(summit.params)


def _share(summit: Summit) -> str:
    return percent(min(summit.keeps, 1.0), 0)  # more than all of it says no more than all


def _neighbours(summit: Summit) -> str:
    s = "" if summit.neighbours == 1 else "s"
    return f"its {summit.neighbours} neighbour{s} keep{'s' if not s else ''} {_share(summit)} of its score"
