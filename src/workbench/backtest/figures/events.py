"""Event studies as pictures: the cumulative abnormal return with its band, and every single event."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.backtest.events.study import EventStudy
from workbench.backtest.text import number, percent
from workbench.errors import InputRefused
from workbench.figures.axis import name_axis, percent_axis
from workbench.figures.canvas import axis_name, blank, end_labels, place, room, strip, write, zero_line
from workbench.figures.style import DIVERGING, SERIES, STYLE, symmetric

Places = NDArray[np.int64]
# Of the map: more are thinner than the eye tells apart.
LINES = 60


def caar(studies: EventStudy | Mapping[str, EventStudy], title: str = "Around the events") -> Figure:
    """Draw the mean cumulative abnormal return of a study, or of each of some groups, with its interval."""
    groups = {"all events": studies} if isinstance(studies, EventStudy) else dict(studies)
    if not groups:
        raise InputRefused("caar: no study to draw; give one, or a mapping of them by name")
    first = next(iter(groups.values()))
    names = [f"{name}, {len(study):,}" for name, study in groups.items()]
    subtitle = f"Mean abnormal return since the event's eve; {first.design.interval}"
    figure = blank(4.1, title, subtitle, first.market)
    axes = place(figure, bottom=0.62, right=room(*names))
    colours = [STYLE["own"], *SERIES[1:]] if len(groups) > 1 else [STYLE["own"]]
    labels = []
    for turn, (name, study) in enumerate(zip(names, groups.values(), strict=True)):
        colour = colours[turn % len(colours)]
        path, at = study.path, study.path.index.to_numpy(dtype=float)
        axes.fill_between(at, path["low"], path["high"], color=colour, alpha=0.13, linewidth=0, zorder=2)
        axes.plot(at, path["cumulative"], color=colour, linewidth=1.8, zorder=4)
        last = float(path["cumulative"].iloc[-1])
        labels.append((last, f"{name}\n{percent(last, 2)}", colour))
    zero_line(axes, zorder=3)
    _event_axis(axes, first)
    percent_axis(axes)
    end_labels(axes, labels)
    return figure


def event_map(study: EventStudy, by: str | None = None, title: str = "Every event") -> Figure:
    """Draw the cumulative abnormal return of each event since the event, a line each, sorted by time or by a number."""
    first, last = study.design.windows.window
    lines = np.array_split(_order(study, by), min(len(study), LINES))
    values = study.since_eve.to_numpy(dtype=float)
    since = np.array([values[line].mean(axis=0) for line in lines])
    sorted_by = "by time, the newest below" if by is None else f"by {by}, the highest above"
    each = f", a line the mean of {len(study) / LINES:.0f} neighbours" if len(study) > LINES else ""
    subtitle = f"Abnormal return since the event's eve, {len(study):,} events sorted {sorted_by}{each}"
    figure = blank(4.6, title, subtitle, study.market)
    axes = place(figure, bottom=0.62, left=0.75, right=1.3)
    norm = symmetric(since)
    axes.imshow(
        since,
        cmap=DIVERGING,
        norm=norm,
        aspect="auto",
        interpolation="nearest",
        extent=(first - 0.5, last + 0.5, len(lines), 0),
        zorder=1,
    )
    axes.axvline(-0.5, color=STYLE["ink"], linewidth=0.8, zorder=3)
    strip(axes)
    _event_axis(axes, study)
    places = np.linspace(0, len(lines) - 1, min(6, len(lines))).round().astype(int)
    middles = [study.events.iloc[lines[row][len(lines[row]) // 2]] for row in places]
    texts = [f"{event['session']:%Y-%m}" if by is None else number(event[by], 1) for event in middles]
    name_axis(axes.yaxis, places + 0.5, texts)
    edge = float(norm.vmax or 0.0)
    for share, value in ((0.80, edge), (0.5, 0.0), (0.20, -edge)):
        box = {"boxstyle": "square,pad=0.5", "facecolor": DIVERGING(norm(value)), "edgecolor": STYLE["grid"]}
        look = {"transform": axes.transAxes, "clip_on": False}
        write(axes, 1.03, share, "  ", STYLE["ink"], 8, bbox=box, **look)
        write(axes, 1.075, share, percent(value), STYLE["soft"], 8.5, **look)
    return figure


def _order(study: EventStudy, by: str | None) -> Places:
    if by is None:
        return study.events["session"].to_numpy().argsort(kind="stable")
    return (-study.numbers(by)).argsort(kind="stable")


def _event_axis(axes: Axes, study: EventStudy) -> None:
    first, last = study.design.windows.window
    step = max(1, (last - first) // 6)
    ticks = sorted({0, *range(0, last + 1, step), *range(0, first - 1, -step)})
    name_axis(axes.xaxis, ticks, [f"{tick}".replace("-", "−") for tick in ticks])
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.axvline(0, color=STYLE["faint"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    axes.set_xlabel(f"sessions from the event; {study.design.expected}", **axis_name())
