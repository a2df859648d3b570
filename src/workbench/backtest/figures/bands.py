"""The test windows of a walk-forward, shaded below a picture over time."""

from __future__ import annotations

from matplotlib import dates as mdates
from matplotlib.axes import Axes

from workbench.backtest.result import WalkForward
from workbench.figures.axis import naive, rows
from workbench.figures.style import STYLE


def bands(axes: Axes, wf: WalkForward) -> None:
    """Shade every other test window."""
    for row in rows(wf.folds)[::2]:
        first, last = mdates.date2num([naive(row.test_start), naive(row.test_end)])
        axes.axvspan(first, last, color=STYLE["band"], linewidth=0, zorder=0)
