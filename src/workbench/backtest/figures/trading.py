"""What was held, what was traded, and what that cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from workbench.backtest.figures.bands import bands
from workbench.backtest.result import WalkForward
from workbench.backtest.text import multiple, percent
from workbench.figures.axis import days, naive, percent_axis, score_axis, time_axis
from workbench.figures.canvas import blank, end_labels, notice, picture, place, zero_line
from workbench.figures.style import SERIES, STYLE, darker

KINDS = ("#0b5cad", "#5f9bd1", "#e3a55c", "#a8b0ba", *SERIES)  # of costs
CURVE_POINTS = 500  # finer than a picture shows


def exposure(wf: WalkForward) -> Figure:
    """Draw gross and net exposure over time, and below the value traded each month."""
    positions = wf.simulation.positions
    gross, net = positions.abs().sum(axis=1).to_numpy(dtype=float), positions.sum(axis=1).to_numpy(dtype=float)
    subtitle = "Share of equity held at the close, and traded a month"
    figure = blank(4.2, f"{wf.strategy}: exposure", subtitle, wf.market)
    top = place(figure, bottom=1.65)
    at = days(positions.index)
    bands(top, wf)
    top.fill_between(at, gross, 0.0, color=STYLE["train"], alpha=0.45, linewidth=0, zorder=2)
    top.plot(at, net, color=STYLE["own"], linewidth=1.2, zorder=4)
    zero_line(top)
    percent_axis(top)
    time_axis(top, at, labels=False)
    top.spines["bottom"].set_visible(False)
    sides = (("gross", gross, STYLE["soft"]), ("net", net, STYLE["own"]))
    end_labels(
        top, [(float(held.mean()), f"{side}\nmean {percent(held.mean(), 0)}", colour) for side, held, colour in sides]
    )
    below = place(figure, top=2.85, bottom=0.42)
    traded = monthly_turnover(wf)
    starts = mdates.date2num(traded.index.to_numpy())
    edges = np.column_stack([starts + 2, starts + 27]).ravel()
    heights = np.column_stack([traded.to_numpy(dtype=float), np.zeros(len(traded))]).ravel()
    below.fill_between(edges, heights, 0.0, step="post", color=STYLE["benchmark"], linewidth=0, zorder=3)
    below.set_ylim(0.0, max(float(traded.max()) * 1.08, 0.01))
    percent_axis(below, ticks=3)
    time_axis(below, at)
    yearly = float(wf.out_of_sample.get("turnover", np.nan))
    if np.isfinite(yearly):
        end_labels(below, [(float(traded.mean()), f"traded\n{multiple(yearly)} a year", STYLE["soft"])])
    return figure


def monthly_turnover(wf: WalkForward) -> pd.Series:
    """Return the value traded in each month over the mean equity of that month, both sides counted."""
    equity_by_month = _by_month(wf.simulation.equity).mean()
    orders = wf.simulation.orders
    traded = _by_month(pd.Series(orders["value"].to_numpy(dtype=float), index=pd.DatetimeIndex(orders["session"])))
    share: pd.Series = traded.sum().reindex(equity_by_month.index).fillna(0.0) / equity_by_month
    return share.rename("turnover")


def costs(wf: WalkForward) -> Figure:
    """Draw what trading has cost so far, by kind."""
    table = wf.simulation.costs.fillna(0.0).cumsum()
    total = float(table.iloc[-1].sum()) if len(table) else 0.0
    if total <= 0.0:
        return notice(f"{wf.strategy}: costs", wf.market, "This run paid no costs.", "costs.schedule none")
    unit, name = _unit(total)
    per_year = float(wf.out_of_sample.get("cost_per_year", np.nan))
    rate = f", {1e4 * per_year:.0f} bp of equity a year" if np.isfinite(per_year) else ""
    subtitle = f"Out of sample, paid so far{name}: {total / unit:,.1f} in all{rate}"
    figure, axes = picture(f"{wf.strategy}: costs", subtitle, wf.market, 3.1)
    some = np.unique(np.append(np.arange(0, len(table), 1 + len(table) // CURVE_POINTS), len(table) - 1))
    table = table.iloc[some]
    at = days(table.index)
    kinds = [str(kind) for kind in table.sum().sort_values(ascending=False).index if float(table[kind].iloc[-1]) > 0]
    floor = np.zeros(len(table))
    labels = []
    for kind, colour in zip(kinds, KINDS, strict=False):
        ceiling = floor + table[kind].to_numpy(dtype=float) / unit
        axes.fill_between(at, floor, ceiling, color=colour, alpha=0.85, linewidth=0, zorder=3)
        labels.append(((floor[-1] + ceiling[-1]) / 2, f"{kind}\n{ceiling[-1] - floor[-1]:,.1f}", darker(colour)))
        floor = ceiling
    axes.set_ylim(0.0, float(floor[-1]) * 1.06)
    score_axis(axes)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    time_axis(axes, at)
    end_labels(axes, labels)
    return figure


def _by_month(series: pd.Series) -> Any:
    index = naive(pd.DatetimeIndex(series.index))
    return series.groupby(index.to_period("M").to_timestamp())


def _unit(total: float) -> tuple[float, str]:
    for unit, name in ((1e9, ", billions"), (1e6, ", millions"), (1e3, ", thousands")):
        if total >= 2 * unit:
            return unit, name
    return 1.0, ""
