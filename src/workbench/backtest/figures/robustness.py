"""The robustness card as a picture: what each change leaves of the Sharpe ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import GROUPS, REGIMES, STRESSES, YEARS, Robustness, Variant
from workbench.backtest.text import number, percent
from workbench.figures.axis import STEPS, name_axis
from workbench.figures.canvas import axis_name, blank, notice, place, write
from workbench.figures.style import STYLE, WIDTH

ROW = 0.205  # inches
LEFT, MIDDLE, RIGHT = 1.95, 2.3, 0.75  # inches: names, names of the second column with the shares of the first, shares


def robustness(wf: WalkForward) -> Figure:
    """Draw the Sharpe ratio that each change leaves: stresses on the left, regimes and years on the right."""
    card = wf.robustness
    title = f"{wf.strategy}: robustness"
    if card is None:
        more = "Make the card: replace(result, robustness=robustness(name, params, bars, settings, result))"
        return notice(title, wf.market, "No robustness card was made of this result.", more)
    columns = [_lines(card, STRESSES), _lines(card, (REGIMES, YEARS))]
    rows = max(len(lines) for lines in columns)
    subtitle = "Sharpe ratio that each change leaves, and the share of the result's own"
    figure = blank(1.45 + ROW * rows, title, subtitle, wf.market)
    width = (WIDTH - LEFT - MIDDLE - RIGHT) / 2
    for left, lines in zip((LEFT, LEFT + width + MIDDLE), columns, strict=True):
        axes = place(figure, left=left, right=WIDTH - left - width, top=0.95, bottom=0.5)
        _draw(axes, lines, card, rows)
    return figure


def _lines(card: Robustness, groups: Sequence[str]) -> list[Variant | str]:
    """Return the rows from top to bottom: each group's title, then its variants."""
    found: list[Variant | str] = []
    for group in groups:
        variants = card.group(group)
        if variants:
            found += [GROUPS[group], *variants]
    return found


def _draw(axes: Axes, lines: Sequence[Variant | str], card: Robustness, rows: int) -> None:
    axes.grid(False)
    axes.grid(True, axis="x", color=STYLE["grid"], linewidth=0.8)
    base = card.base.sharpe
    axes.axvline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=2)
    if np.isfinite(base):
        axes.axvline(base, color=STYLE["soft"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
        write(axes, base, -0.9, f"as traded {number(base)}", STYLE["soft"], 8, ha="center")
    beside = {"transform": axes.get_yaxis_transform(), "clip_on": False}
    for row, line in enumerate(lines):
        if isinstance(line, str):
            write(axes, -0.03, row, line, STYLE["ink"], 8.5, ha="right", fontweight="bold", **beside)
            continue
        colour = STYLE["gain"] if line.sharpe > 0 else STYLE["loss"]
        axes.plot([base, line.sharpe], [row, row], color=colour, linewidth=1.1, alpha=0.45, zorder=3)
        axes.plot([line.sharpe], [row], "o", color=colour, markersize=4.6, zorder=4)
        write(axes, -0.03, row, line.name, STYLE["soft"], 8.5, ha="right", **beside)
        share = number(line.sharpe) if np.isnan(line.kept) or line.group == YEARS else percent(line.kept, 0)
        write(axes, 1.02, row, share, colour, 8.5, ha="left", **beside)
    axes.set_ylim(rows - 0.4, -0.5)
    name_axis(axes.yaxis, [], [])
    axes.locator_params(axis="x", nbins=4, steps=STEPS)
    axes.margins(x=0.08)
    axes.set_xlabel("Sharpe ratio", **axis_name())
