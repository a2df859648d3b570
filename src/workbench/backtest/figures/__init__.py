"""The pictures of a walk-forward, as matplotlib figures that need no display and share no state between threads.

>>> figures.png(figures.equity(wf), Path("equity.png"))

Every picture carries its own title and says SAMPLE MARKET where the data is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from workbench.backtest.figures.comparison import compare
from workbench.backtest.figures.grid import heat_map, varied
from workbench.backtest.figures.growth import curve, drawdown, equity, worst_drawdowns
from workbench.backtest.figures.months import monthly, monthly_returns
from workbench.backtest.figures.robustness import robustness
from workbench.backtest.figures.trading import costs, exposure, monthly_turnover
from workbench.backtest.figures.windows import folds, rolling_sharpe
from workbench.backtest.result import WalkForward
from workbench.figures.axis import growth_ticks
from workbench.figures.image import Picture, png, svg
from workbench.figures.style import SERIES, STYLE, shades

FIGURES: Mapping[str, Callable[[WalkForward], Figure]] = {
    "equity": equity,
    "drawdown": drawdown,
    "folds": folds,
    "heat_map": heat_map,
    "rolling_sharpe": rolling_sharpe,
    "monthly": monthly,
    "exposure": exposure,
    "costs": costs,
    "robustness": robustness,
}

__all__ = [
    "FIGURES",
    "SERIES",
    "STYLE",
    "Picture",
    "compare",
    "costs",
    "curve",
    "drawdown",
    "equity",
    "exposure",
    "folds",
    "growth_ticks",
    "heat_map",
    "monthly",
    "monthly_returns",
    "monthly_turnover",
    "png",
    "robustness",
    "rolling_sharpe",
    "shades",
    "svg",
    "varied",
    "worst_drawdowns",
]
