"""The pictures of a study of features: coefficients with intervals, decay, quantiles, how long ranks last, clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from workbench.features.study import Clusters, quantile_returns
from workbench.figures.axis import days, name_axis, percent_axis, score_axis, time_axis
from workbench.figures.canvas import (
    axis_name,
    blank,
    end_labels,
    notice,
    picture,
    place,
    strip,
    write,
    zero_line,
)
from workbench.figures.style import DIVERGING, SERIES, STYLE, WIDTH
from workbench.types import Bars

ROW = 0.2  # inches
SHOWN = 30
LINES = len(SERIES)
NAMED = 60
LARGE = 5


def coefficients(summary: pd.DataFrame, horizon: int, market: str) -> Figure:
    """Draw the mean rank correlation of each feature with what followed, and its interval; the strongest on top."""
    table = summary.head(SHOWN)
    more = f"the strongest {len(table)} of {len(summary)}" if len(summary) > len(table) else "the strongest on top"
    subtitle = f"Mean rank correlation across symbols with the next {horizon} sessions, 95 % intervals; {more}"
    figure = blank(1.35 + ROW * len(table), "Information", subtitle, market)
    axes = place(figure, left=_left(table.index), right=1.15, top=0.85, bottom=0.5)
    axes.grid(False)
    axes.grid(True, axis="x", color=STYLE["grid"], linewidth=0.8)
    axes.axvline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=2)
    rows = np.arange(len(table), dtype=float)
    clear = ((table["rank_low"] > 0) | (table["rank_high"] < 0)).to_numpy()
    for row, (_, line) in zip(rows, table.iterrows(), strict=True):
        colour = STYLE["own"] if clear[int(row)] else STYLE["faint"]
        axes.plot([line["rank_low"], line["rank_high"]], [row, row], color=colour, linewidth=1.4, zorder=3)
        axes.plot([line["rank_ic"]], [row], "o", color=colour, markersize=4.5, zorder=4)
    name_axis(axes.yaxis, rows, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("blue: the interval leaves zero out", **axis_name())
    return figure


def decay(table: pd.DataFrame, market: str) -> Figure:
    """Draw how the mean rank correlation changes with the horizon, a line a feature with its interval."""
    names = list(dict.fromkeys(table.index.get_level_values("feature")))[:LINES]
    subtitle = "Mean rank correlation with the return of the next sessions, by their number; bands: 95 % intervals"
    figure, axes = picture("Decay", subtitle, market, 3.7, bottom=0.55, name=_widest(names))
    ends = []
    for number, name in enumerate(names):
        line = table.loc[name]
        colour = SERIES[number]
        axes.fill_between(line.index, line["low"], line["high"], color=colour, alpha=0.08, linewidth=0, zorder=2)
        axes.plot(line.index, line["mean"], color=colour, linewidth=1.5, marker="o", markersize=3, zorder=4)
        ends.append((float(line["mean"].iloc[-1]), str(name), colour))
    zero_line(axes)
    axes.set_xscale("log")
    horizons = sorted(set(table.index.get_level_values("horizon")))
    axes.xaxis.set_major_locator(FixedLocator(horizons))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(horizon) for horizon in horizons])
    axes.set_xlim(horizons[0] * 0.95, horizons[-1] * 1.05)
    axes.set_xlabel("sessions ahead", **axis_name())
    score_axis(axes)
    end_labels(axes, ends)
    return figure


def information_through_time(information: pd.DataFrame, horizon: int, market: str) -> Figure:
    """Draw the sum of each session's rank correlation: a straight line is an effect that lasts."""
    names = list(information.columns)[:LINES]
    summed = information[names].fillna(0.0).cumsum()
    subtitle = f"Rank correlation with the next {horizon} sessions, added up over sessions"
    figure, axes = picture("Information through time", subtitle, market, 3.5, name=_widest(names))
    places = days(summed.index)
    for number, name in enumerate(names):
        axes.plot(places, summed[name], color=SERIES[number], linewidth=1.4, zorder=4)
    zero_line(axes)
    time_axis(axes, places)
    score_axis(axes)
    end_labels(axes, [(float(summed[name].iloc[-1]), str(name), SERIES[n]) for n, name in enumerate(names)])
    return figure


def quantiles(feature: pd.DataFrame, name: str, bars: Bars, count: int = 5) -> Figure:
    """Draw what each quantile of a feature earned beyond all symbols, before costs, added up; beside it by year."""
    returns = quantile_returns(feature, bars, count)
    if not returns.notna().to_numpy().any():
        return notice(f"{name}: quantiles", bars.market, "No session has enough symbols.", "Five symbols at least.")
    summed = returns.fillna(0.0).cumsum()
    subtitle = "Return beyond the mean of all symbols, open to open, new places each session, before costs, added up"
    figure, axes = picture(f"{name}: quantiles", subtitle, bars.market, 3.7, name="highest fifth")
    places = days(summed.index)
    shades = [DIVERGING(share) for share in np.linspace(0.0, 1.0, count)]
    shades[count // 2] = STYLE["faint"] if count % 2 else shades[count // 2]
    for number in range(1, count + 1):
        edge = number in (1, count)
        axes.plot(places, summed[number], color=shades[number - 1], linewidth=1.7 if edge else 1.0, zorder=3 + edge)
    zero_line(axes)
    time_axis(axes, places)
    percent_axis(axes)
    yearly = returns.mean() * 252
    end_labels(
        axes,
        [
            (float(summed[1].iloc[-1]), f"lowest\n{100 * yearly[1]:+.1f} % a year", SERIES[5]),
            (float(summed[count].iloc[-1]), f"highest\n{100 * yearly[count]:+.1f} % a year", SERIES[0]),
        ],
    )
    return figure


def persistence(turnover: pd.DataFrame, market: str) -> Figure:
    """Draw how much of each feature's top quantile is new every session: what trading it would turn over."""
    table = turnover.sort_values("turnover").head(SHOWN)
    subtitle = "Share of the top fifth that is new each session; right: how alike ranks are 21 sessions later"
    figure = blank(1.2 + ROW * len(table), "Turnover", subtitle, market)
    axes = place(figure, left=_left(table.index), right=1.15, top=0.85, bottom=0.35)
    axes.grid(False)
    axes.grid(True, axis="x", color=STYLE["grid"], linewidth=0.8)
    rows = np.arange(len(table), dtype=float)
    axes.barh(rows, table["turnover"], 0.62, color=STYLE["train"], zorder=3)
    for row, value in zip(rows, table["lag 21"], strict=True):
        look = {"transform": axes.get_yaxis_transform(), "clip_on": False}
        write(axes, 1.02, row, f"{value:+.2f}", STYLE["soft"], 8.5, **look)
    name_axis(axes.yaxis, rows, [str(name) for name in table.index])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0.0, None)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
    return figure


def cluster_map(clusters: Clusters, market: str) -> Figure:
    """Draw the rank correlations between features, like beside like, with a frame around each cluster."""
    table = clusters.correlation
    count = len(table)
    named = count <= NAMED
    left = _left(table.index) if named else 1.4
    side = WIDTH - left - 1.6
    subtitle = (
        f"Mean rank correlation across symbols of {count} features; frames: {clusters.cluster.nunique()} clusters"
    )
    figure = blank(side + 1.0 + (0.75 if named else 0.1), "Clusters", subtitle, market)
    axes = place(figure, left=left, right=WIDTH - left - side, top=0.85, bottom=0.15 + (0.75 if named else 0.1))
    strip(axes)
    image = axes.imshow(table.to_numpy(), cmap=DIVERGING, vmin=-1.0, vmax=1.0, interpolation="nearest", aspect="auto")
    _frames(axes, clusters.cluster)
    if named:
        size = float(np.clip(5.2 * 72 / 1.25 / count / 2, 4.5, 8.5))
        name_axis(axes.yaxis, range(count), [str(name) for name in table.index])
        name_axis(axes.xaxis, range(count), [str(name) for name in table.columns])
        axes.tick_params(axis="y", labelsize=size)
        axes.tick_params(axis="x", labelsize=size, labelrotation=90)
    else:
        # Too many to name: the larger clusters by one of them, and how many stand with it.
        axes.xaxis.set_major_locator(NullLocator())
        large = [members for _, members in clusters.cluster.groupby(clusters.cluster) if len(members) >= LARGE]
        middles = [float(np.mean([table.index.get_loc(name) for name in members.index])) for members in large]
        labels = [f"{_typical(table, members.index)} +{len(members) - 1}" for members in large]
        name_axis(axes.yaxis, middles, labels)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=0, labelcolor=STYLE["soft"])
    return figure


def _frames(axes: Axes, cluster: pd.Series) -> None:
    start = 0
    for _, members in cluster.groupby(cluster, sort=False):
        end = start + len(members)
        if len(members) > 1:
            around = ([start - 0.5, end - 0.5, end - 0.5, start - 0.5, start - 0.5],
                      [start - 0.5, start - 0.5, end - 0.5, end - 0.5, start - 0.5])  # fmt: skip
            axes.plot(*around, color=STYLE["ink"], linewidth=0.9)
        start = end


def _typical(correlation: pd.DataFrame, names: pd.Index) -> str:
    """Return the feature that is most like the others of its cluster."""
    return str(correlation.loc[names, names].abs().mean().idxmax())


def _widest(names: list[str]) -> str:
    """Return the room that end labels of these names need; they are bold."""
    return max(names, key=len) + "mm"


def _left(names: pd.Index) -> float:
    """Return the left margin, in inches, that names in rows need."""
    return float(np.clip(0.35 + 0.085 * max(len(str(name)) for name in names), 0.8, 3.0))
