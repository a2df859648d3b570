"""All parameters side by side: a line a cell, coloured by its score, those of the best plateau on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from workbench.backtest.text import number, short
from workbench.figures.axis import name_axis
from workbench.figures.canvas import picture, strip, write
from workbench.figures.style import DIVERGING, STYLE, symmetric
from workbench.search.found import Found
from workbench.search.grid import is_number
from workbench.search.table import DONE

# More lines than this are no picture: an even sample is drawn, the plateau always.
MOST_LINES = 1500
TOP = 10


def parallel(found: Found) -> Figure:
    """Draw every cell as a line through its parameters and its training score; the ten best plateaus stand out."""
    names = found.varied
    table = found.table[found.table["status"] == DONE].reset_index(drop=True)
    scores = table["train_score"].to_numpy(dtype=float)
    places = np.array([_shares([row[name] for name in names], names, found) for row in table.to_dict("records")])
    low, high = float(scores.min()), float(scores.max())
    lines = np.column_stack([places, (scores - low) / (high - low or 1.0)])
    spread = np.random.default_rng(0).uniform(-0.012, 0.012, lines.shape)  # equal values would hide each other
    spread[:, -1] = 0.0
    top = np.arange(min(TOP, len(found.plateaus)))
    rest = np.unique(np.linspace(len(top), len(lines) - 1, MOST_LINES).astype(int))[: len(lines) - len(top)]
    subtitle = f"Each line is a cell, coloured by its {found.select_by.capitalize()} in training; "
    subtitle += (
        f"thick: the {len(top)} best plateaus, the best in yellow" if len(top) > 1 else "yellow: the best plateau"
    )
    figure, axes = picture(f"{found.asked.strategy}: all parameters", subtitle, found.market, 4.4, 0.5)
    at = np.arange(len(names) + 1, dtype=float)
    norm = symmetric(scores)
    for some, width, alpha, order in ((rest[::-1], 0.8, 0.45, 2), (top[::-1], 2.0, 1.0, 4)):
        shades = DIVERGING(norm(scores[some]))
        drawn = [np.column_stack([at, line]) for line in (lines + spread)[some]]
        axes.add_collection(LineCollection(drawn, colors=shades, linewidths=width, alpha=alpha, zorder=order))
    best = (lines + spread)[0]
    axes.plot(at, best, color=STYLE["mark"], linewidth=2.4, zorder=6, marker="s", markersize=5)
    ground = {"facecolor": STYLE["paper"], "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
    for x, name in enumerate(names):
        axes.axvline(x, color=STYLE["faint"], linewidth=0.9, zorder=5)
        for value in _ticks(found.asked.grid[name]):
            y = _shares([value], [name], found)[0]
            write(axes, x - 0.03, y, short(value), STYLE["ink"], 8, ha="right", bbox=ground, zorder=7)
    axes.axvline(len(names), color=STYLE["faint"], linewidth=0.9, zorder=5)
    for share in (0.0, 0.5, 1.0):
        write(axes, len(names) + 0.03, share, number(low + share * (high - low)), STYLE["soft"], 8, ha="left")
    name_axis(axes.xaxis, at, [*names, found.select_by])
    axes.yaxis.set_visible(False)
    axes.set_xlim(-0.25, len(names) + 0.2)
    axes.set_ylim(-0.06, 1.06)
    strip(axes)
    return figure


def _shares(values: Sequence[Any], names: Sequence[str], found: Found) -> list[float]:
    """Return where each value lies between the ends of its axis."""
    shares = []
    for value, name in zip(values, names, strict=True):
        known = found.asked.grid[name]
        if all(is_number(one) for one in known):
            low, high = min(known), max(known)
            shares.append(float((value - low) / (high - low or 1.0)))
        else:
            shares.append([str(one) for one in known].index(str(value)) / max(len(known) - 1, 1))
    return shares


def _ticks(values: Sequence[Any]) -> list[Any]:
    ordered = sorted(values) if all(is_number(value) for value in values) else list(values)
    return [ordered[place] for place in np.unique(np.linspace(0, len(ordered) - 1, 6).round().astype(int))]
