"""Height against company: what each cell scores itself, and what the cells around it score."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from workbench.figures.axis import score_axis
from workbench.figures.canvas import axis_name, note, picture, zero_line
from workbench.figures.style import STYLE
from workbench.search.found import Found
from workbench.search.plateau import assigned
from workbench.search.table import DONE


def company(found: Found) -> Figure:
    """Draw every cell by its own score and its neighbourhood's: far below the line a cell stands alone."""
    table = found.table[(found.table["status"] == DONE) & found.table["plateau"].notna()]
    own, around = table["train_score"].to_numpy(dtype=float), table["plateau"].to_numpy(dtype=float)
    title = f"{found.asked.strategy}: peak or plateau?"
    subtitle = f"{found.select_by.capitalize()} in training of each cell, and the median of its neighbourhood"
    figure, axes = picture(title, subtitle, found.market, 4.2, 0.6)
    ends = np.array([min(own.min(), around.min()), max(own.max(), around.max())])
    axes.plot(ends, ends, color=STYLE["faint"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    alpha = float(np.clip(40.0 / len(own), 0.15, 0.8))
    axes.scatter(own, around, s=26, color=STYLE["own"], alpha=alpha, linewidths=0, zorder=3)
    terrain = found.terrain
    for summit, marker, colour, name in (
        (terrain.plateau, "s", STYLE["mark"], "plateau"),
        (terrain.peak, "o", STYLE["ink"], "peak"),
    ):
        height = float(found.table["plateau"].iloc[summit.place])
        if not np.isfinite(height) or (name == "peak" and summit.place == terrain.plateau.place):
            continue
        look: dict[str, Any] = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.8, "zorder": 5}
        axes.plot([summit.score], [height], marker, markeredgecolor=colour, **look)
        text = f"{name}: {assigned(summit.params)}"
        note(axes, summit.score, height, text, STYLE["ink"], 8, gap=10 if name == "plateau" else -22)
    axes.set_xlabel("the cell itself", **axis_name())
    axes.set_ylabel("median of its neighbourhood", **axis_name())
    axes.margins(0.12)
    score_axis(axes)
    if ends[0] < 0.0 < ends[1]:
        zero_line(axes, zorder=1)
    return figure
