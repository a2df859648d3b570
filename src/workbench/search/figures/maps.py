"""Where in the grid the score is high: a map of two parameters, one for each value of a third; a line for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from workbench.backtest.text import number, short
from workbench.figures.axis import name_axis, score_axis
from workbench.figures.canvas import axis_name, blank, end_labels, picture, place, strip, tile, write
from workbench.figures.style import DIVERGING, STYLE, WIDTH, family, symmetric, text_on
from workbench.search.found import Found
from workbench.search.grid import is_number
from workbench.search.plateau import Summit
from workbench.search.table import DONE

# Numbers are written into the tiles of a map up to this many rows or columns.
MOST_NUMBERED = 12
MOST_PANELS, PANELS_A_ROW = 6, 3
MOST_LABELS = 14


def heat_map(found: Found) -> Figure:
    """Draw the training score over the parameters, with the peak and the plateau marked."""
    names = found.varied
    table = found.table[found.table["status"] == DONE]
    if len(names) == 1:
        return _line(found, table, names[0])
    across, down = sorted(_strongest(table, names), key=names.index, reverse=True)
    if len(names) == 2 and not found.asked.trials:
        panels = {"The cell itself": (table, "train_score"), "Median of its neighbourhood": (table, "plateau")}
    else:
        third = next(name for name in [*names, ""] if name not in (across, down))
        panels = _by_third(found, table, third)
    return _maps(found, panels, across, down)


def _by_third(found: Found, table: pd.DataFrame, third: str) -> dict[str, tuple[pd.DataFrame, str]]:
    if not third or found.asked.trials:
        return {"Each cell that was measured": (table, "train_score")}
    values = found.asked.grid[third]
    places = np.unique(np.linspace(0, len(values) - 1, min(MOST_PANELS, len(values))).round().astype(int))
    chosen = {f"{third} {short(values[at])}": table[table[third].map(str) == str(values[at])] for at in places}
    return {title: (some, "train_score") for title, some in chosen.items()}


def _maps(found: Found, panels: Mapping[str, tuple[pd.DataFrame, str]], across: str, down: str) -> Figure:
    columns, rows = _levels(found.asked.grid[across]), _levels(found.asked.grid[down])
    each = min(len(panels), 2 if len(panels) == 2 else PANELS_A_ROW)
    lines = -(-len(panels) // each)
    width = (WIDTH - 0.85 - 0.25 * each - 0.1) / each
    height = float(np.clip(0.30 * len(rows), 1.5, 3.4 if lines > 1 else 4.6))
    band = height + 0.95
    others = [name for name in found.varied if name not in (across, down)]
    averaged = [name for name in others if not any(title.startswith(f"{name} ") for title in panels)]
    rest = f", mean over {', '.join(averaged)}" if averaged and not found.asked.trials else ""
    subtitle = f"{found.select_by.capitalize()} in training, mean of {found.folds} windows{rest};"
    subtitle += " ring: the peak, frame: the best plateau"
    figure = blank(0.75 + lines * band, f"{found.asked.strategy}: where the score is", subtitle, found.market)
    norm = symmetric(found.table["train_score"].to_numpy(dtype=float))
    for panel, (title, (table, column)) in enumerate(panels.items()):
        line, at = divmod(panel, each)
        left = 0.85 + at * (width + 0.25)
        top = 1.08 + line * band
        bottom = 0.75 + lines * band - top - height
        axes = place(figure, left=left, right=WIDTH - left - width, top=top, bottom=bottom)
        if found.asked.trials:
            _dots(axes, table, found, across, down, norm)
        else:
            _tiles(axes, table, column, (down, across), (rows, columns), norm)
            _marks(axes, found, (down, across), (rows, columns), table, norm)
            _label(axes, columns, [] if at else rows)
        axes.set_xlabel(across, **axis_name())
        if not at:
            axes.set_ylabel(down, **axis_name())
        axes.set_title(title, loc="left", fontsize=9, color=STYLE["ink"], fontfamily=family(), pad=6)
        strip(axes)
    return figure


def _tiles(
    axes: Axes,
    table: pd.DataFrame,
    column: str,
    names: tuple[str, str],
    levels: tuple[Sequence[str], Sequence[str]],
    norm: TwoSlopeNorm,
) -> None:
    down, across = names
    keys = [table[down].map(short), table[across].map(short)]
    found = table[column].groupby(keys).mean().unstack().reindex(index=list(levels[0]), columns=list(levels[1]))
    grid = found.to_numpy(dtype=float)
    small = max(grid.shape) <= MOST_NUMBERED
    if not small:
        shades = np.where(np.isfinite(grid)[..., None], DIVERGING(norm(np.nan_to_num(grid))), 1.0)
        # One picture instead of thousands of tiles; a cell that nobody could measure stays paper.
        axes.imshow(shades, extent=(0, grid.shape[1], grid.shape[0], 0), aspect="auto", interpolation="nearest")
    for row, place_ in np.argwhere(np.isfinite(grid)) if small else ():
        value = float(grid[row, place_])
        shade = DIVERGING(norm(value))
        tile(axes, place_, row, (0.015, 0.02), color=shade, linewidth=0)
        size = 8 if grid.shape[1] <= 8 else 6.5
        write(axes, place_ + 0.5, row + 0.5, number(value), text_on(shade), size, ha="center")
    axes.set_xlim(0, grid.shape[1])
    axes.set_ylim(grid.shape[0], 0)


def _marks(
    axes: Axes,
    found: Found,
    names: tuple[str, str],
    levels: tuple[Sequence[str], Sequence[str]],
    table: pd.DataFrame,
    norm: TwoSlopeNorm,
) -> None:
    """Ring the peak and frame the plateau, where this panel shows them."""
    for summit in (found.terrain.plateau, found.terrain.peak):
        if not _shown(summit, table):
            continue
        row, column = (list(some).index(short(summit.params[name])) for some, name in zip(levels, names, strict=True))
        if summit is found.terrain.plateau:
            tile(axes, column, row, (0.04, 0.05), fill=False, edgecolor=STYLE["mark"], linewidth=2.2, zorder=5)
            continue
        look: dict[str, Any] = {"markersize": 19, "markerfacecolor": "none", "markeredgewidth": 1.5, "zorder": 6}
        colour = text_on(DIVERGING(norm(summit.score)))
        axes.plot([column + 0.5], [row + 0.5], "o", markeredgecolor=colour, **look)


def _shown(summit: Summit, table: pd.DataFrame) -> bool:
    same = [table[name].map(str) == str(value) for name, value in summit.params.items()]
    return bool(np.logical_and.reduce(same).any())


def _label(axes: Axes, columns: Sequence[str], rows: Sequence[str]) -> None:
    for axis, labels in ((axes.xaxis, columns), (axes.yaxis, rows)):
        every = 1 + max(len(labels) - 1, 0) // MOST_LABELS
        name_axis(axis, np.arange(len(labels))[::every] + 0.5, list(labels)[::every])


def _dots(axes: Axes, table: pd.DataFrame, found: Found, across: str, down: str, norm: TwoSlopeNorm) -> None:
    """Draw each measured cell where it lies; words stand side by side."""
    at = {name: _places(table[name], found.asked.grid[name]) for name in (across, down)}
    shade = DIVERGING(norm(table["train_score"].to_numpy(dtype=float)))
    axes.scatter(at[across], at[down], s=46, color=shade, edgecolors=STYLE["faint"], linewidths=0.5, zorder=3)
    for summit, marker, colour in (
        (found.terrain.plateau, "s", STYLE["mark"]),
        (found.terrain.peak, "o", STYLE["ink"]),
    ):
        x, y = (_places(pd.Series([summit.params[name]]), found.asked.grid[name])[0] for name in (across, down))
        axes.plot([x], [y], marker, markersize=13, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.8)
    axes.margins(0.06)


def _line(found: Found, table: pd.DataFrame, name: str) -> Figure:
    subtitle = f"{found.select_by.capitalize()} in training by {name}, mean of {found.folds} windows"
    figure, axes = picture(f"{found.asked.strategy}: where the score is", subtitle, found.market, 3.4, 0.55)
    at = _places(table[name], found.asked.grid[name])
    order = np.argsort(at)
    own, around = (table[column].to_numpy(dtype=float)[order] for column in ("train_score", "plateau"))
    axes.plot(at[order], own, "o-", color=STYLE["benchmark"], linewidth=1.2, markersize=4.5, zorder=3)
    axes.plot(at[order], around, "-", color=STYLE["own"], linewidth=2.0, zorder=4)
    summit = found.terrain.plateau
    x = _places(pd.Series([summit.params[name]]), found.asked.grid[name])
    axes.plot(x, [summit.score], "s", markersize=11, markerfacecolor="none", markeredgecolor=STYLE["mark"], zorder=5)
    axes.set_xlabel(name, **axis_name())
    score_axis(axes)
    ends = [(own[-1], "the cell", STYLE["soft"]), (around[-1], "with its\nneighbours", STYLE["own"])]
    end_labels(axes, [end for end in ends if np.isfinite(end[0])])
    return figure


def _levels(values: Sequence[Any]) -> list[str]:
    numbers = sorted(value for value in values if is_number(value))
    return [short(value) for value in [*numbers, *(value for value in values if not is_number(value))]]


def _places(values: pd.Series, known: Sequence[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return values as places on an axis: numbers as they are, words by their order."""
    if all(is_number(value) for value in known):
        return values.to_numpy(dtype=float)
    order = [str(value) for value in known]
    return np.array([order.index(str(value)) for value in values], dtype=float)


def _strongest(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return the two parameters whose values move the score most."""
    spread = {name: float(table.groupby(table[name].map(str))["train_score"].mean().std(ddof=0)) for name in names}
    return sorted(names, key=lambda name: (-spread[name], names.index(name)))[:2]
