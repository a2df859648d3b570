"""Growth of 1 beside the benchmark's, and the falls from its highest point."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.backtest.figures.bands import bands
from workbench.backtest.result import Curve, Simulation, WalkForward
from workbench.backtest.text import multiple, percent
from workbench.figures.axis import days, growth_axis, naive, percent_axis, rows, time_axis
from workbench.figures.canvas import beside, blank, end_labels, picture, place, write
from workbench.figures.style import STYLE, WHITE


def growth(simulation: Simulation | Curve, benchmark: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the growth of 1 of a simulation and of its benchmark."""
    return simulation.equity / simulation.cash, (1.0 + benchmark.fillna(0.0)).cumprod()


def equity(wf: WalkForward) -> Figure:
    """Draw the out-of-sample growth of 1 on a log scale beside the benchmark; bands are the test windows."""
    subtitle = f"Out of sample, after costs, growth of 1, log scale. Bands: the {len(wf.folds)} test windows"
    figure, axes = picture(f"{wf.strategy}: equity", subtitle, wf.market, height=4.3, name=wf.strategy)
    bands(axes, wf)
    _both(axes, *growth(wf.simulation, wf.benchmark), wf.strategy)
    return figure


def curve(simulation: Simulation | Curve, benchmark: pd.Series, title: str) -> Figure:
    """Draw one simulation's growth beside the benchmark's, and its drawdown below: quick enough to play with."""
    index = simulation.equity.index
    figure = blank(4.8, title, "After costs, growth of 1, log scale; below: drawdown", simulation.market)
    top = place(figure, bottom=1.75)
    _both(top, *growth(simulation, benchmark.reindex(index)), "this one", labels=False)
    below = place(figure, top=3.25, bottom=0.42)
    falls = simulation.drawdown.to_numpy(dtype=float)
    below.fill_between(days(index), falls, 0.0, color=STYLE["loss"], alpha=0.4, linewidth=0, zorder=3)
    below.set_ylim(min(float(np.nanmin(falls)) * 1.1, -0.01), 0.0)
    percent_axis(below, ticks=3)
    time_axis(below, days(index))
    beside(below, 0.5, f"worst\n{percent(float(np.nanmin(falls)))}", STYLE["loss"], fontweight="bold")
    return figure


def drawdown(wf: WalkForward) -> Figure:
    """Draw the loss from the highest equity so far, with the three deepest falls named."""
    own = wf.simulation.drawdown
    _, grown = growth(wf.simulation, wf.benchmark)
    other = grown / grown.cummax().clip(lower=1.0) - 1.0
    subtitle = "Out of sample, loss from the highest equity so far; grey: the benchmark's"
    figure, axes = picture(f"{wf.strategy}: drawdown", subtitle, wf.market, 3.3)
    at = days(own.index)
    bands(axes, wf)
    axes.plot(at, other.to_numpy(), color=STYLE["faint"], linewidth=0.7, zorder=3)
    axes.fill_between(at, own.to_numpy(), 0.0, color=STYLE["loss"], alpha=0.3, linewidth=0, zorder=4)
    axes.plot(at, own.to_numpy(), color=STYLE["loss"], linewidth=1.1, zorder=5)
    low = min(float(own.min()), float(other.min()), -0.01)
    axes.set_ylim(low * 1.1, 0.0)
    percent_axis(axes)
    time_axis(axes, at)
    for number, fall in enumerate(rows(worst_drawdowns(wf, 3)), start=1):
        lowest = float(mdates.date2num(naive(fall.lowest)))
        axes.plot([lowest], [fall.depth], "o", color=STYLE["loss"], markersize=10, clip_on=False, zorder=6)
        write(axes, lowest, fall.depth, str(number), WHITE, 7.5, fontweight="bold", ha="center", zorder=7)
        top = 0.97 - (number - 1) * 0.2
        text = f"{fall.sessions} session{'s' * (fall.sessions != 1)}{'' if fall.recovered else ', open'}"
        beside(axes, top, f"{number}   {percent(fall.depth)}", STYLE["loss"], fontweight="bold")
        beside(axes, top - 0.075, f"     {text}", STYLE["soft"])
    return figure


def worst_drawdowns(wf: WalkForward, count: int = 5) -> pd.DataFrame:
    """Return the deepest falls: peak, lowest, recovered (or None), depth and sessions under water."""
    falls = wf.simulation.drawdown
    index = pd.DatetimeIndex(falls.index)
    values = falls.to_numpy(dtype=float)
    below = values < -1e-12
    edges = np.diff(np.concatenate([[0], below.astype(int), [0]]))
    found = []
    starts, stops = np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()
    for start, stop in zip(starts, stops, strict=True):
        lowest = start + int(values[start:stop].argmin())
        found.append(
            {
                "peak": index[max(start - 1, 0)],
                "lowest": index[lowest],
                "recovered": index[stop] if stop < len(index) else pd.NaT,
                "depth": float(values[lowest]),
                "sessions": int(stop - start),
            }
        )
    columns = ["peak", "lowest", "recovered", "depth", "sessions"]
    table = pd.DataFrame(found, columns=columns).sort_values("depth", ignore_index=True).head(count)
    return table.assign(
        recovered=lambda frame: frame["recovered"].astype(object).where(frame["recovered"].notna(), None)
    )


def _both(axes: Axes, own: pd.Series, other: pd.Series, name: str, labels: bool = True) -> None:
    """Draw both curves with their axes, and name them where they end."""
    at = days(own.index)
    axes.plot(at, other.to_numpy(), color=STYLE["benchmark"], linewidth=1.1, zorder=3)
    axes.plot(at, own.to_numpy(), color=STYLE["own"], linewidth=1.7, zorder=4)
    growth_axis(axes, np.concatenate([own.to_numpy(), other.to_numpy()]))
    time_axis(axes, at, labels)
    ends = ((own, name, STYLE["own"]), (other, "benchmark", STYLE["soft"]))
    end_labels(
        axes, [(float(line.iloc[-1]), f"{who}\n{multiple(line.iloc[-1], 2)}", colour) for line, who, colour in ends]
    )
