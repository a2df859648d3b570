"""The axes of the pictures: dates, growth of 1, per cent, names; and the test windows behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from workbench.figures.style import STYLE, Array

STEPS = [1, 2, 2.5, 5, 10]


def days(index: pd.Index) -> Array:
    """Return times as matplotlib's numbers."""
    found: Array = mdates.date2num(naive(pd.DatetimeIndex(index)).to_numpy())
    return found


def naive(moment: Any) -> Any:
    """Return times without their zone, which matplotlib would convert one by one."""
    return moment.tz_convert("UTC").tz_localize(None) if moment.tz is not None else moment


def rows(table: pd.DataFrame) -> list[Any]:
    """Return the rows of a table as named tuples."""
    return list(table.itertuples())


def time_axis(axes: Axes, places: Array, labels: bool = True) -> None:
    """Set the horizontal axis to these days, with a tick at each new year, or closer ones for a short time."""
    first, last = float(places[0]), float(places[-1])
    years = (last - first) / 365.25
    if years > 2.5:
        begin, end = mdates.num2date(first).year, mdates.num2date(last).year
        every = 1 if years <= 12 else 2 if years <= 24 else 5
        starts = {year: float(mdates.date2num(date(year, 1, 1))) for year in range(begin, end + 1)}
        # A first session of 4 January still belongs to the tick of its year.
        first = starts[begin] if first - starts[begin] < 8 else first
        shown = [year for year in starts if year % every == 0 and first <= starts[year] <= last]
        name_axis(axes.xaxis, [starts[year] for year in shown], [str(year) for year in shown])
    else:
        locator = mdates.AutoDateLocator(minticks=3, maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.set_xlim(first, max(last, first + 1.0))
    axes.xaxis.set_minor_locator(NullLocator())
    if not labels:
        axes.set_xticklabels([])


def name_axis(axis: Axis, places: Iterable[float], labels: Sequence[str]) -> None:
    """Set an axis to names at these places."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_ticklabels(labels)


def score_axis(axes: Axes, ticks: int = 5) -> None:
    """Set the vertical axis to a few round numbers."""
    axes.yaxis.set_major_locator(MaxNLocator(ticks, steps=STEPS))


def percent_axis(axes: Axes, ticks: int = 5) -> None:
    """Set the vertical axis to per cent."""
    score_axis(axes, ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):,.4g} %".replace("-", "−")))


def growth_axis(axes: Axes, values: Array) -> None:
    """Set a log axis with round multiples as ticks and a line at 1; linear where something was lost entirely."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low <= 0.0:
        axes.set_ylim(min(low, 0.0), high * 1.05)
        score_axis(axes, 6)
    else:
        axes.set_yscale("log")
        room = max((high / low) ** 0.05, 1.01)
        axes.set_ylim(low / room, high * room)
        axes.yaxis.set_major_locator(FixedLocator(growth_ticks(low / room, high * room)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}×"))
    axes.axhline(1.0, color=STYLE["faint"], linewidth=0.8, zorder=1)


def growth_ticks(low: float, high: float) -> list[float]:
    """Return four to nine round multiples between two positive values, for a log axis."""
    decades = [10.0**power for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    found: list[float] = []
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), np.arange(1, 10, 0.5), np.arange(1, 10, 0.2)):
        found = [float(d * s) for d in decades for s in steps if low <= d * s <= high]
        if len(found) >= 4:
            break
    else:
        step = (high - low) / 4
        size = 10.0 ** np.floor(np.log10(step))
        step = next(size * s for s in (1, 2, 5, 10) if size * s >= step * 0.7)
        found = [float(v) for v in np.arange(np.ceil(low / step) * step, high, step)]
    return [round(value, 10) for value in (found[:: 1 + len(found) // 10])]
