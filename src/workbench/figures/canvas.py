"""An empty picture with its heading and stamp, and what is written and marked on its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workbench.figures.image import Picture
from workbench.figures.style import STYLE, WIDTH, family
from workbench.types import SAMPLE


def blank(height: float, title: str, subtitle: str, market: str) -> Figure:
    """Return a picture of this height, in inches, with its heading and, where the data is made, its stamp."""
    figure = Picture(figsize=(WIDTH, height), facecolor=STYLE["paper"])
    FigureCanvasAgg(figure)
    left = 0.2 / WIDTH

    def head(x: float, down: float, text: str, size: float, colour: str, **more: Any) -> None:
        figure.text(x, 1 - down / height, text, fontsize=size, color=colour, va="baseline", fontfamily=family(), **more)

    head(left, 0.34, title, 12, STYLE["ink"], fontweight="bold")
    head(left, 0.56, subtitle, 9, STYLE["soft"])
    if market == SAMPLE:
        box = {"boxstyle": "round,pad=0.42", "facecolor": "none", "edgecolor": STYLE["stamp"], "linewidth": 0.8}
        head(1 - 0.28 / WIDTH, 0.34, "SAMPLE MARKET", 7.5, STYLE["stamp"], ha="right", fontweight="bold", bbox=box)
    return figure


def place(figure: Figure, left: float = 0.62, right: float = 1.15, top: float = 0.78, bottom: float = 0.42) -> Axes:
    """Return axes placed by margins in inches."""
    width, height = float(figure.get_figwidth()), float(figure.get_figheight())
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(STYLE["faint"])
    axes.grid(True, axis="y", color=STYLE["grid"], linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(
        colors=STYLE["soft"], labelsize=8.5, length=0, pad=5, labelfontfamily=family()[0], labelcolor=STYLE["soft"]
    )
    return axes


def picture(
    title: str, subtitle: str, market: str, height: float, bottom: float = 0.42, name: str = ""
) -> tuple[Figure, Axes]:
    """Return a picture with one pair of axes; ``name`` is the longest that will stand at their right end."""
    figure = blank(height, title, subtitle, market)
    return figure, place(figure, bottom=bottom, right=room(name))


def notice(title: str, market: str, line: str, more: str) -> Figure:
    """Return a picture that says why there is nothing to draw."""
    figure = blank(1.6, title, line, market)
    figure.text(0.2 / WIDTH, 0.28, more, fontsize=9.5, color=STYLE["ink"], fontfamily=family())
    return figure


def room(*names: str) -> float:
    """Return the right margin, in inches, that end labels with these names need."""
    return float(np.clip(0.25 + 0.078 * max(len(name) for name in names), 1.15, 2.6))


def strip(axes: Axes) -> None:
    """Take away the grid and the frame."""
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def write(axes: Axes, x: float, y: float, text: str, colour: str, size: float, **more: Any) -> None:
    """Write at a point of the axes."""
    axes.text(
        x, y, text, **{"color": colour, "fontsize": size, "va": "center_baseline", "fontfamily": family(), **more}
    )


def beside(axes: Axes, y: float, text: str, colour: str, **more: Any) -> None:
    """Write in the right margin at a share of the axes' height."""
    look = {"transform": axes.transAxes, "va": "center", "linespacing": 1.15, "clip_on": False}
    write(axes, 1.012, y, text, colour, 8.5, **look, **more)


def note(axes: Axes, x: float, y: float, text: str, colour: str, size: float, gap: float = 3) -> None:
    """Write a small text above a bar, or below one that hangs."""
    axes.annotate(
        text,
        (x, y),
        xytext=(0, gap if y >= 0 else -gap),
        textcoords="offset points",
        ha="center",
        va="bottom" if y >= 0 else "top",
        color=colour,
        fontsize=size,
        fontfamily=family(),
        bbox={"facecolor": STYLE["paper"], "edgecolor": "none", "pad": 0.4},
        zorder=6,
    )


def axis_name() -> dict[str, Any]:
    """Return how the name of an axis is written."""
    return {"color": STYLE["soft"], "fontsize": 9, "fontfamily": family()}


def tile(axes: Axes, column: float, row: float, inset: tuple[float, float], **look: Any) -> None:
    """Draw the cell of a table whose cells are one unit wide and high."""
    across, down = inset
    corner = (column + across, row + down)
    axes.add_artist(mpl.patches.Rectangle(corner, 1 - 2 * across, 1 - 2 * down, **look))


def zero_line(axes: Axes, zorder: float = 3) -> None:
    """Draw the line between gain and loss."""
    axes.axhline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=zorder)


def mean_line(axes: Axes, value: float, colour: str, zorder: float = 3) -> None:
    """Draw a dashed line at the mean of what is shown."""
    axes.axhline(value, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=zorder)


@dataclass(frozen=True)
class _Label:
    y: float
    text: str
    colour: str


def end_labels(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each label (value, text, colour) beside the right end of its line, moved apart where they would touch."""
    box = axes.get_position()
    inches = box.height * float(axes.figure.get_figheight())  # type: ignore[union-attr]
    wanted = []
    for value, text, colour in labels:
        at = float(axes.transAxes.inverted().transform(axes.transData.transform((0.0, value)))[1])
        wanted.append(_Label(float(np.clip(at, 0.02, 0.98)), text, colour))
    wanted.sort(key=lambda label: label.y)
    half = [0.075 * (1 + label.text.count("\n")) / inches for label in wanted]
    places = [label.y for label in wanted]
    for _ in range(60):
        for low in range(len(places) - 1):
            gap = half[low] + half[low + 1] - (places[low + 1] - places[low])
            if gap > 1e-6:
                places[low] -= gap / 2
                places[low + 1] += gap / 2
    shift = max(0.0, (places[-1] + half[-1]) - 1.02) if places else 0.0
    for label, at in zip(wanted, places, strict=True):
        beside(axes, at - shift, label.text, label.colour, fontweight="bold")
