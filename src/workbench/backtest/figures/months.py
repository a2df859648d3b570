"""The return of every month, as a table of years."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.backtest.result import WalkForward
from workbench.backtest.text import number
from workbench.figures.axis import name_axis
from workbench.figures.canvas import blank, place, strip, tile, write
from workbench.figures.style import DIVERGING, STYLE, symmetric, text_on


def monthly(wf: WalkForward) -> Figure:
    """Draw the return of every month as a table of years, with the year's own at the end."""
    table = monthly_returns(wf)
    months, years = table.drop(columns="year"), table["year"]
    subtitle = "Out of sample, after costs, in per cent"
    figure = blank(0.95 + 0.4 + 0.27 * len(table), f"{wf.strategy}: months", subtitle, wf.market)
    axes = place(figure, left=0.7, right=0.35, top=1.0, bottom=0.15)
    norm = symmetric(months.to_numpy(dtype=float))
    for row, year in enumerate(table.index):
        for column, value in enumerate(months.loc[year]):
            if np.isfinite(value):
                shade = DIVERGING(norm(value))
                tile(axes, column, row, (0.02, 0.04), color=shade, linewidth=0)
                write(axes, column + 0.5, row + 0.5, number(100 * value, 1), text_on(shade), 8, ha="center")
        whole = years.loc[year]
        if np.isfinite(whole):
            colour = STYLE["gain" if whole >= 0 else "loss"]
            write(axes, 12.75, row + 0.5, number(100 * whole, 1), colour, 8, ha="center", fontweight="bold")
    axes.set_xlim(0, 13.25)
    axes.set_ylim(len(table), 0)
    names = [pd.Timestamp(2000, month, 1).strftime("%b") for month in range(1, 13)]
    name_axis(axes.xaxis, [*(np.arange(12) + 0.5), 12.75], [*names, "Year"])
    axes.xaxis.tick_top()
    name_axis(axes.yaxis, np.arange(len(table)) + 0.5, [str(year) for year in table.index])
    strip(axes)
    return figure


def monthly_returns(wf: WalkForward) -> pd.DataFrame:
    """Return compounded returns, a row a year, a column a month, and the year's own in ``year``."""
    returns = wf.simulation.returns.fillna(0.0)
    index = pd.DatetimeIndex(returns.index)
    by_month = (1.0 + returns).groupby([index.year, index.month]).prod() - 1.0
    table = by_month.unstack().reindex(columns=range(1, 13))
    table["year"] = (1.0 + returns).groupby(index.year).prod() - 1.0
    table.index.name = None
    return table
