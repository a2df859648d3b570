"""Several walk-forwards on one scale, with their statistics in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from workbench.backtest.figures.growth import growth
from workbench.backtest.result import WalkForward
from workbench.backtest.text import multiple, number, percent
from workbench.errors import InputRefused
from workbench.figures.axis import days, growth_axis, time_axis
from workbench.figures.canvas import blank, end_labels, place, room, strip, write
from workbench.figures.style import SERIES, STYLE
from workbench.types import SAMPLE


def compare(runs: Sequence[WalkForward]) -> Figure:
    """Draw the out-of-sample curves of several walk-forwards on one scale, and their statistics in a table."""
    if not runs:
        raise InputRefused("compare: no walk-forward was given; give at least one")
    rows = 0.25 * (len(runs) + 1)
    market = SAMPLE if any(wf.market == SAMPLE for wf in runs) else runs[0].market
    subtitle = "Out of sample, after costs, growth of 1, log scale"
    if len({(wf.benchmark.index[0], wf.benchmark.index[-1]) for wf in runs}) > 1:
        subtitle += "; not all over the same dates"
    figure = blank(4.5 + rows, "Walk-forwards compared", subtitle, market)
    axes = place(figure, bottom=0.65 + rows, right=room(*(wf.strategy for wf in runs)))
    longest = max(runs, key=lambda wf: len(wf.benchmark))
    _, other = growth(longest.simulation, longest.benchmark)
    axes.plot(days(other.index), other.to_numpy(), color=STYLE["faint"], linewidth=1.0, zorder=2)
    labels = [(float(other.iloc[-1]), "benchmark", STYLE["soft"])]
    values, at = [other.to_numpy()], []
    for run, wf in enumerate(runs):
        own, _ = growth(wf.simulation, wf.benchmark)
        axes.plot(days(own.index), own.to_numpy(), color=_colour(run), linewidth=1.6, zorder=4)
        labels.append((float(own.iloc[-1]), wf.strategy, _colour(run)))
        values.append(own.to_numpy())
        at.append(days(own.index))
    growth_axis(axes, np.concatenate(values))
    time_axis(axes, np.unique(np.concatenate(at)))
    end_labels(axes, labels)
    _statistics(figure, runs, rows)
    return figure


def _statistics(figure: Figure, runs: Sequence[WalkForward], rows: float) -> None:
    columns: list[tuple[str, Callable[[WalkForward], str]]] = [
        ("Sharpe", lambda wf: number(wf.out_of_sample.get("sharpe"))),
        ("95 %", _interval),
        ("in sample", lambda wf: number(wf.in_sample.get("sharpe"))),
        ("CAGR", lambda wf: percent(wf.out_of_sample.get("cagr"))),
        ("volatility", lambda wf: percent(wf.out_of_sample.get("volatility"))),
        ("drawdown", lambda wf: percent(wf.out_of_sample.get("max_drawdown"))),
        ("beta", lambda wf: number(wf.out_of_sample.get("beta"))),
        ("turnover", lambda wf: multiple(wf.out_of_sample.get("turnover"))),
        ("costs/year", lambda wf: percent(wf.out_of_sample.get("cost_per_year"), 2)),
    ]
    axes = place(figure, left=0.62, right=0.3, top=float(figure.get_figheight()) - rows - 0.2, bottom=0.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(runs) + 1, 0)
    strip(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    edges = np.linspace(0.25, 1.0, len(columns))
    put = partial(write, axes, size=8.5)
    for edge, (name, _) in zip(edges, columns, strict=True):
        put(edge, 0.5, name, STYLE["soft"], ha="right")
    for line, wf in enumerate(runs, start=1):
        axes.axhline(line, color=STYLE["grid"], linewidth=0.8)
        put(0.0, line + 0.5, wf.strategy, _colour(line - 1), ha="left", fontweight="bold")
        for edge, (_, read) in zip(edges, columns, strict=True):
            put(edge, line + 0.5, read(wf), STYLE["ink"], ha="right")


def _colour(run: int) -> str:
    return SERIES[run % len(SERIES)]


def _interval(wf: WalkForward) -> str:
    low, high = wf.intervals.get("sharpe", (float("nan"), float("nan")))
    return f"{number(low)} to {number(high)}"
