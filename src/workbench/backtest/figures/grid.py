"""The grid of parameters: the score of every cell, and how often each was chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from workbench.backtest.result import WalkForward
from workbench.backtest.text import MISSING, listed, number, short
from workbench.figures.axis import name_axis, score_axis
from workbench.figures.canvas import (
    axis_name,
    blank,
    end_labels,
    note,
    notice,
    picture,
    place,
    strip,
    tile,
    write,
    zero_line,
)
from workbench.figures.style import DIVERGING, STYLE, WIDTH, family, symmetric, text_on


def heat_map(wf: WalkForward) -> Figure:
    """Draw the score of every cell of the grid, in training and held out of sample, and how often each was chosen."""
    names = varied(wf)
    if not names:
        line, chosen = "Nothing to choose: the grid has one cell.", listed(wf.params) or "no parameters"
        return notice(f"{wf.strategy}: parameters", wf.market, line, chosen)
    return _one_parameter(wf, names[0]) if len(names) == 1 else _two_parameters(wf, names)


def varied(wf: WalkForward) -> list[str]:
    """Return the parameters that differ between the cells of the grid."""
    names = [str(name) for name in wf.cells.columns if name not in ("train_score", "test_score", "chosen")]
    return [name for name in names if wf.cells[name].map(str).nunique() > 1]


def _one_parameter(wf: WalkForward, name: str) -> Figure:
    order = {label: number for number, label in enumerate(_levels(wf.cells[name]))}
    cells = wf.cells.sort_values(name, key=lambda values: values.map(lambda value: order[short(value)]))
    subtitle = f"{wf.select_by.capitalize()} by {name}: in training (mean of folds) "
    subtitle += "and held over the whole out-of-sample period"
    figure, axes = picture(f"{wf.strategy}: parameters", subtitle, wf.market, 3.4)
    at = np.arange(len(cells), dtype=float)
    train, test = cells["train_score"].to_numpy(dtype=float), cells["test_score"].to_numpy(dtype=float)
    axes.plot(at, train, "o-", color=STYLE["benchmark"], linewidth=1.3, markersize=5, zorder=3)
    axes.plot(at, test, "o-", color=STYLE["own"], linewidth=1.7, markersize=5.5, zorder=4)
    zero_line(axes, zorder=2)
    ring: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "markeredgecolor": STYLE["mark"], "zorder": 5}
    for x, times, value in zip(at, cells["chosen"].to_numpy(dtype=int), test, strict=True):
        if times and np.isfinite(value):
            axes.plot([x], [value], "o", **ring)
            note(axes, x, value, f"chosen {times}×", STYLE["ink"], 8, gap=9)
    name_axis(axes.xaxis, at, [short(value) for value in cells[name]])
    axes.set_xlabel(name, **axis_name())
    axes.set_xlim(-0.4, len(cells) - 0.6)
    axes.margins(y=0.2)
    score_axis(axes)
    end_labels(axes, [(train[-1], "in training", STYLE["soft"]), (test[-1], "held out\nof sample", STYLE["own"])])
    return figure


def _two_parameters(wf: WalkForward, names: list[str]) -> Figure:
    cells = wf.cells
    across, down = sorted(_strongest(cells, names), key=names.index, reverse=True)
    others = [name for name in names if name not in (across, down)]
    columns, rows = _levels(cells[across]), _levels(cells[down])
    width = (WIDTH - 0.85 - 0.25 - 0.35) / 2
    height = min(max(0.42 * len(rows), 1.5), 4.5)
    rest = f", mean over {', '.join(others)}" if others else ""
    subtitle = f"{wf.select_by.capitalize()} of every cell{rest}; ×n: chosen in n folds"
    figure = blank(height + 1.63, f"{wf.strategy}: parameters", subtitle, wf.market)
    keys = [cells[down].map(short), cells[across].map(short)]

    def table(values: pd.Series, how: str) -> pd.DataFrame:
        found: pd.DataFrame = values.groupby(keys).agg(how).unstack().reindex(index=rows, columns=columns)
        return found

    norm = symmetric(cells[["train_score", "test_score"]].to_numpy(dtype=float))
    chosen = table(cells["chosen"], "sum").fillna(0).astype(int)
    titles = {"train_score": "In training, mean of folds", "test_score": "Held over the whole out-of-sample period"}
    for panel, (name, title) in enumerate(titles.items()):
        left = 0.85 + panel * (width + 0.25)
        axes = place(figure, left=left, right=WIDTH - left - width, top=1.08, bottom=0.55)
        _scores(axes, table(cells[name], "mean"), chosen, norm)
        name_axis(axes.xaxis, np.arange(len(columns)) + 0.5, columns)
        name_axis(axes.yaxis, np.arange(len(rows)) + 0.5, [] if panel else rows)
        axes.set_xlabel(across, **axis_name())
        if not panel:
            axes.set_ylabel(down, **axis_name())
        axes.set_title(title, loc="left", fontsize=9, color=STYLE["ink"], fontfamily=family(), pad=6)
        strip(axes)
    return figure


def _scores(axes: Axes, scores: pd.DataFrame, chosen: pd.DataFrame, norm: TwoSlopeNorm) -> None:
    """Draw one table of scores, with a frame around the cells that were chosen; a large one without its numbers."""
    grid, picked = scores.to_numpy(dtype=float), chosen.to_numpy(dtype=int)
    small = max(grid.shape) <= 12
    size = 8.5 if grid.shape[1] <= 6 else 7
    for row, column in np.ndindex(*grid.shape):
        value, times = float(grid[row, column]), int(picked[row, column])
        if not np.isfinite(value):
            axes.text(column + 0.5, row + 0.5, MISSING, ha="center", va="center", color=STYLE["faint"], fontsize=8)
            continue
        shade = DIVERGING(norm(value))
        tile(axes, column, row, (0.015, 0.02), color=shade, linewidth=0)
        if times:
            tile(axes, column, row, (0.03, 0.045), fill=False, edgecolor=STYLE["mark"], linewidth=2.0)
        if small:
            text = number(value) + (f"  ×{times}" if times else "")
            weight = "bold" if times else "normal"
            write(axes, column + 0.5, row + 0.5, text, text_on(shade), size, ha="center", fontweight=weight)
    axes.set_xlim(0, grid.shape[1])
    axes.set_ylim(grid.shape[0], 0)


def _strongest(cells: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the two parameters whose values move the held-out score most."""
    if len(names) == 2:
        return names
    effect = {name: float(np.ptp(cells["test_score"].groupby(cells[name].map(short)).mean())) for name in names}
    return sorted(names, key=lambda name: -effect[name])[:2]


def _levels(values: pd.Series) -> list[str]:
    """Return the distinct values as labels, numbers by size, others in the order of the grid."""
    distinct = {short(value): value for value in values}
    if all(isinstance(value, (int, float, np.number)) for value in distinct.values()):
        return sorted(distinct, key=lambda label: float(distinct[label]))
    return list(distinct)
