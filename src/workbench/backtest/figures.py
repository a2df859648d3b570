"""The pictures of a walk-forward, as matplotlib figures that need no display and share no state between threads.

>>> figures.png(figures.equity(wf), Path("equity.png"))

Every picture carries its own title and says SAMPLE MARKET where the data is made.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import dates as mdates
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image

from workbench.backtest.result import Simulation, WalkForward
from workbench.errors import CannotWrite, InputRefused
from workbench.types import SAMPLE

Array = NDArray[np.float64]

# One look for every picture. The colours keep apart under the common kinds of colour blindness (after Okabe and Ito).
STYLE: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1b2430",
    "soft": "#667282",
    "faint": "#a8b0ba",
    "grid": "#e8ebef",
    "band": "#f5f7f9",
    "own": "#0b5cad",
    "benchmark": "#8a94a0",
    "train": "#b9c6d6",
    "gain": "#0b5cad",
    "loss": "#c8501e",
    "mark": "#e3a008",
    "stamp": "#a65f00",
}
SERIES = ("#0b5cad", "#e07b00", "#00866c", "#b0519a", "#4a9fd8", "#c8501e", "#9a7d0a", "#5b6673")
# On a coloured ground, the same by day and by night: one step off "paper" and "ink", which turn in dark mode.
WHITE, BLACK = "#fefefe", "#1b2431"
FAMILIES = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
WIDTH = 9.0
DPI = 150
ROLLING_SESSIONS = 252
YEAR = 252
STEPS = [1, 2, 2.5, 5, 10]

_DIVERGING = LinearSegmentedColormap.from_list(
    "loss_gain", ["#b5431a", "#dd8a63", "#f6d9c9", "#fbfbfa", "#cfe0f1", "#6fa3d4", "#0b5cad"]
)
_SVG = threading.Lock()
_NAMES = {colour: name for name, colour in reversed(list(STYLE.items()))}
_COLOURS = re.compile("|".join(_NAMES))
_SURPLUS = re.compile(r"(?<=\.\d\d)\d+")


class Picture(Figure):
    """A figure that a notebook shows by itself, at the size it was made for."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png(self), {"width": round(100 * float(self.get_figwidth()))}


def equity(wf: WalkForward) -> Figure:
    """Draw the out-of-sample growth of 1 on a log scale beside the benchmark; bands are the test windows."""
    own, other = _growth(wf)
    subtitle = f"Out of sample, after costs, growth of 1, log scale. Bands: the {len(wf.folds)} test windows"
    figure, axes = _picture(f"{_title(wf)}: equity", subtitle, wf.market, height=4.3, name=wf.strategy)
    _bands(axes, wf)
    days = _days(own.index)
    axes.plot(days, other.to_numpy(), color=STYLE["benchmark"], linewidth=1.1, zorder=3)
    axes.plot(days, own.to_numpy(), color=STYLE["own"], linewidth=1.7, zorder=4)
    values = np.concatenate([own.to_numpy(), other.to_numpy()])
    _growth_axis(axes, values)
    axes.axhline(1.0, color=STYLE["faint"], linewidth=0.8, zorder=2)
    _time_axis(axes, days)
    _end_labels(
        axes,
        [
            (float(own.iloc[-1]), f"{wf.strategy}\n{own.iloc[-1]:.2f}×", STYLE["own"]),
            (float(other.iloc[-1]), f"benchmark\n{other.iloc[-1]:.2f}×", STYLE["soft"]),
        ],
    )
    return figure


def drawdown(wf: WalkForward) -> Figure:
    """Draw the loss from the highest equity so far, with the three deepest falls named."""
    own = wf.simulation.drawdown
    growth = (1.0 + wf.benchmark.fillna(0.0)).cumprod()
    other = growth / growth.cummax().clip(lower=1.0) - 1.0
    subtitle = "Out of sample, loss from the highest equity so far; grey: the benchmark's"
    figure, axes = _picture(f"{_title(wf)}: drawdown", subtitle, wf.market, 3.3)
    days = _days(own.index)
    _bands(axes, wf)
    axes.plot(days, other.to_numpy(), color=STYLE["faint"], linewidth=0.7, zorder=3)
    axes.fill_between(days, own.to_numpy(), 0.0, color=STYLE["loss"], alpha=0.3, linewidth=0, zorder=4)
    axes.plot(days, own.to_numpy(), color=STYLE["loss"], linewidth=1.1, zorder=5)
    low = min(float(own.min()), float(other.min()), -0.01)
    axes.set_ylim(low * 1.1, 0.0)
    _percent_axis(axes, "y")
    _time_axis(axes, days)
    worst = worst_drawdowns(wf, 3)
    for number, fall in enumerate(_rows(worst), start=1):
        place = float(mdates.date2num(_naive(fall.lowest)))
        axes.plot([place], [fall.depth], "o", color=STYLE["loss"], markersize=10, clip_on=False, zorder=6)
        axes.text(
            place,
            fall.depth,
            str(number),
            color=WHITE,
            fontsize=7.5,
            fontweight="bold",
            ha="center",
            va="center_baseline",
            fontfamily=_family(),
            zorder=7,
        )
        top = 0.97 - (number - 1) * 0.2
        text = f"{fall.sessions} session{'s' * (fall.sessions != 1)}{'' if fall.recovered else ', open'}"
        _beside(axes, top, f"{number}   {_percent(fall.depth)}", STYLE["loss"], fontweight="bold")
        _beside(axes, top - 0.075, f"     {text}", STYLE["soft"])
    return figure


def heat_map(wf: WalkForward) -> Figure:
    """Draw the score of every cell of the grid, in training and held out of sample, and how often each was chosen."""
    names = varied(wf)
    if not names:
        return _nothing(
            f"{_title(wf)}: parameters",
            wf.market,
            "Nothing to choose: the grid has one cell.",
            _params_text(wf.params),
        )
    return _one_parameter(wf, names[0]) if len(names) == 1 else _two_parameters(wf, names)


def folds(wf: WalkForward) -> Figure:
    """Draw the score of each fold in training and in its test window, with the parameters it chose."""
    table = wf.folds
    train, test = table["train_score"].to_numpy(dtype=float), table["test_score"].to_numpy(dtype=float)
    subtitle = f"{_score(wf)} of the chosen parameters in training, and in the test window that follows"
    lines = max(len(params) for params in table["params"]) if len(table) <= 10 else 0
    figure, axes = _picture(f"{_title(wf)}: folds", subtitle, wf.market, 3.5 + 0.14 * lines, bottom=0.5 + 0.14 * lines)
    place = np.arange(len(table), dtype=float)
    axes.bar(place - 0.19, _finite(train), 0.36, color=STYLE["train"], zorder=3)
    colours = [STYLE["gain"] if value >= 0 else STYLE["loss"] for value in _finite(test)]
    axes.bar(place + 0.19, _finite(test), 0.36, color=colours, zorder=3)
    axes.axhline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=4)
    for values, shift, colour in ((train, -0.19, STYLE["soft"]), (test, 0.19, STYLE["ink"])):
        for at, value in zip(place, values, strict=True):
            if len(table) <= 14 and np.isfinite(value):
                _note(axes, at + shift, value, f"{value:.1f}", colour, 7.5)
    labels = []
    for row in _rows(table):
        when = f"{pd.Timestamp(row.test_start):%Y-%m}"
        labels.append("\n".join([when, *(f"{k} {_short(v)}" for k, v in row.params.items())]) if lines else when)
    axes.xaxis.set_major_locator(FixedLocator(list(place[:: max(1, len(table) // 14)])))
    axes.set_xticklabels(labels[:: max(1, len(table) // 14)])
    axes.set_xlim(-0.6, len(table) - 0.4)
    axes.margins(y=0.16)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    means = [("in training", train, STYLE["soft"]), ("in test", test, STYLE["own"])]
    _end_labels(
        axes, [(_mean(v), f"{what}\nmean {_number(_mean(v))}", c) for what, v, c in means if np.isfinite(_mean(v))]
    )
    for _, values, colour in means:
        axes.axhline(_mean(values), color=colour, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    return figure


def monthly(wf: WalkForward) -> Figure:
    """Draw the return of every month as a table of years, with the year's own at the end."""
    table = monthly_returns(wf)
    months, years = table.drop(columns="year"), table["year"]
    height = 0.95 + 0.4 + 0.27 * len(table)
    figure = _figure(WIDTH, height)
    _heading(figure, f"{_title(wf)}: months", "Out of sample, after costs, in per cent", wf.market)
    axes = _axes(figure, left=0.7, right=0.35, top=1.0, bottom=0.15)
    norm = _symmetric(months.to_numpy(dtype=float))
    for row, year in enumerate(table.index):
        for column, value in enumerate([*months.loc[year], years.loc[year]]):
            if not np.isfinite(value):
                continue
            shade = _DIVERGING(norm(value)) if column < 12 else "none"
            left = column + (0.25 if column == 12 else 0.0)
            if column < 12:
                axes.add_artist(mpl.patches.Rectangle((left + 0.02, row + 0.04), 0.96, 0.92, color=shade, linewidth=0))
            axes.text(
                left + 0.5,
                row + 0.5,
                _percent_digits(value),
                ha="center",
                va="center_baseline",
                fontsize=8,
                fontweight="bold" if column == 12 else "normal",
                color=_on(shade) if column < 12 else STYLE["gain" if value >= 0 else "loss"],
                fontfamily=_family(),
            )
    axes.set_xlim(0, 13.25)
    axes.set_ylim(len(table), 0)
    names = [pd.Timestamp(2000, month, 1).strftime("%b") for month in range(1, 13)]
    axes.xaxis.set_major_locator(FixedLocator([*(np.arange(12) + 0.5), 12.75]))
    axes.set_xticklabels([*names, "Year"])
    axes.xaxis.tick_top()
    axes.yaxis.set_major_locator(FixedLocator(list(np.arange(len(table)) + 0.5)))
    axes.set_yticklabels([str(year) for year in table.index])
    _bare(axes)
    return figure


def rolling_sharpe(wf: WalkForward) -> Figure:
    """Draw the Sharpe ratio of the year before each session, and that of the whole period."""
    returns = wf.simulation.returns
    window = min(ROLLING_SESSIONS, max(20, len(returns) // 4))
    rolled = returns.rolling(window, min_periods=window)
    values = (rolled.mean() / rolled.std().replace(0.0, np.nan)).to_numpy(dtype=float) * np.sqrt(YEAR)
    figure, axes = _picture(f"{_title(wf)}: rolling Sharpe", f"Out of sample, over {window} sessions", wf.market, 2.9)
    days = _days(returns.index)
    _bands(axes, wf)
    axes.fill_between(days, values, 0.0, where=values >= 0, color=STYLE["gain"], alpha=0.12, linewidth=0, zorder=2)
    axes.fill_between(days, values, 0.0, where=values < 0, color=STYLE["loss"], alpha=0.18, linewidth=0, zorder=2)
    axes.plot(days, values, color=STYLE["own"], linewidth=1.3, zorder=4)
    axes.axhline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=3)
    whole = float(wf.out_of_sample.get("sharpe", np.nan))
    if np.isfinite(whole):
        axes.axhline(whole, color=STYLE["soft"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=3)
        _end_labels(axes, [(whole, f"whole period\n{whole:.2f}", STYLE["soft"])])
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    _time_axis(axes, days)
    return figure


def exposure(wf: WalkForward) -> Figure:
    """Draw gross and net exposure over time, and below the value traded each month."""
    positions = wf.simulation.positions
    gross, net = positions.abs().sum(axis=1).to_numpy(dtype=float), positions.sum(axis=1).to_numpy(dtype=float)
    figure = _figure(WIDTH, 4.2)
    _heading(figure, f"{_title(wf)}: exposure", "Share of equity held at the close, and traded a month", wf.market)
    top = _axes(figure, bottom=1.65)
    days = _days(positions.index)
    _bands(top, wf)
    top.fill_between(days, gross, 0.0, color=STYLE["train"], alpha=0.45, linewidth=0, zorder=2)
    top.plot(days, net, color=STYLE["own"], linewidth=1.2, zorder=4)
    top.axhline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=3)
    _percent_axis(top, "y")
    _time_axis(top, days)
    top.set_xticklabels([])
    top.spines["bottom"].set_visible(False)
    _end_labels(
        top,
        [
            (float(gross.mean()), f"gross\nmean {_percent(gross.mean(), 0)}", STYLE["soft"]),
            (float(net.mean()), f"net\nmean {_percent(net.mean(), 0)}", STYLE["own"]),
        ],
    )
    below = _axes(figure, top=2.85, bottom=0.42)
    traded = monthly_turnover(wf)
    starts = mdates.date2num(traded.index.to_numpy())
    edges = np.column_stack([starts + 2, starts + 27]).ravel()
    heights = np.column_stack([traded.to_numpy(dtype=float), np.zeros(len(traded))]).ravel()
    below.fill_between(edges, heights, 0.0, step="post", color=STYLE["benchmark"], linewidth=0, zorder=3)
    below.set_ylim(0.0, max(float(traded.max()) * 1.08, 0.01))
    _percent_axis(below, "y", ticks=3)
    _time_axis(below, days)
    yearly = float(wf.out_of_sample.get("turnover", np.nan))
    if np.isfinite(yearly):
        _end_labels(below, [(float(traded.mean()), f"traded\n{yearly:.1f}× a year", STYLE["soft"])])
    return figure


def costs(wf: WalkForward) -> Figure:
    """Draw what trading has cost so far, by kind."""
    table = wf.simulation.costs.fillna(0.0).cumsum()
    total = float(table.iloc[-1].sum()) if len(table) else 0.0
    if total <= 0.0:
        return _nothing(f"{_title(wf)}: costs", wf.market, "This run paid no costs.", "costs.schedule none")
    unit, name = _unit(total)
    per_year = float(wf.out_of_sample.get("cost_per_year", np.nan))
    rate = f", {1e4 * per_year:.0f} bp of equity a year" if np.isfinite(per_year) else ""
    subtitle = f"Out of sample, paid so far{name}: {total / unit:,.1f} in all{rate}"
    figure, axes = _picture(f"{_title(wf)}: costs", subtitle, wf.market, 3.1)
    days = _days(table.index)
    some = np.unique(np.append(np.arange(0, len(table), 1 + len(table) // 500), len(table) - 1))
    table, days = table.iloc[some], days[some]
    kinds = [str(kind) for kind in table.sum().sort_values(ascending=False).index if float(table[kind].iloc[-1]) > 0]
    floor = np.zeros(len(table))
    labels = []
    for kind, colour in zip(kinds, ("#0b5cad", "#5f9bd1", "#e3a55c", "#a8b0ba", *SERIES), strict=False):
        ceiling = floor + table[kind].to_numpy(dtype=float) / unit
        axes.fill_between(days, floor, ceiling, color=colour, alpha=0.85, linewidth=0, zorder=3)
        labels.append(((floor[-1] + ceiling[-1]) / 2, f"{kind}\n{ceiling[-1] - floor[-1]:,.1f}", _darker(colour)))
        floor = ceiling
    axes.set_ylim(0.0, float(floor[-1]) * 1.06)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    _time_axis(axes, days)
    _end_labels(axes, labels)
    return figure


def curve(simulation: Simulation, benchmark: pd.Series, title: str) -> Figure:
    """Draw one simulation's growth beside the benchmark's, and its drawdown below: quick enough to play with."""
    index = simulation.equity.index
    own = simulation.equity / simulation.cash
    other = (1.0 + benchmark.reindex(index).fillna(0.0)).cumprod()
    figure = _figure(WIDTH, 4.8)
    _heading(figure, title, "After costs, growth of 1, log scale; below: drawdown", simulation.market)
    top = _axes(figure, bottom=1.75)
    days = _days(index)
    top.plot(days, other.to_numpy(), color=STYLE["benchmark"], linewidth=1.0, zorder=3)
    top.plot(days, own.to_numpy(), color=STYLE["own"], linewidth=1.6, zorder=4)
    _growth_axis(top, np.concatenate([own.to_numpy(), other.to_numpy()]))
    top.axhline(1.0, color=STYLE["faint"], linewidth=0.8, zorder=2)
    _time_axis(top, days)
    top.set_xticklabels([])
    _end_labels(
        top,
        [
            (float(own.iloc[-1]), f"this one\n{own.iloc[-1]:.2f}×", STYLE["own"]),
            (float(other.iloc[-1]), f"benchmark\n{other.iloc[-1]:.2f}×", STYLE["soft"]),
        ],
    )
    below = _axes(figure, top=3.25, bottom=0.42)
    falls = simulation.drawdown.to_numpy(dtype=float)
    below.fill_between(days, falls, 0.0, color=STYLE["loss"], alpha=0.4, linewidth=0, zorder=3)
    below.set_ylim(min(float(np.nanmin(falls)) * 1.1, -0.01), 0.0)
    _percent_axis(below, "y", ticks=3)
    _time_axis(below, days)
    _beside(below, 0.5, f"worst\n{_percent(float(np.nanmin(falls)))}", STYLE["loss"], fontweight="bold")
    return figure


def compare(runs: Sequence[WalkForward]) -> Figure:
    """Draw the out-of-sample curves of several walk-forwards on one scale, and their statistics in a table."""
    if not runs:
        raise InputRefused("compare: no walk-forward was given; give at least one")
    rows = 0.25 * (len(runs) + 1)
    figure = _figure(WIDTH, 4.5 + rows)
    market = SAMPLE if any(wf.market == SAMPLE for wf in runs) else runs[0].market
    _heading(figure, "Walk-forwards compared", "Out of sample, after costs, growth of 1, log scale", market)
    axes = _axes(figure, bottom=0.65 + rows, right=_room(*(wf.strategy for wf in runs)))
    labels, values, days = [], [], _days(runs[0].simulation.equity.index)
    longest = max(runs, key=lambda wf: len(wf.benchmark))
    _, other = _growth(longest)
    axes.plot(_days(other.index), other.to_numpy(), color=STYLE["faint"], linewidth=1.0, zorder=2)
    labels.append((float(other.iloc[-1]), "benchmark", STYLE["soft"]))
    values.append(other.to_numpy())
    for number, wf in enumerate(runs):
        own, _ = _growth(wf)
        colour = SERIES[number % len(SERIES)]
        axes.plot(_days(own.index), own.to_numpy(), color=colour, linewidth=1.6, zorder=4)
        labels.append((float(own.iloc[-1]), wf.strategy, colour))
        values.append(own.to_numpy())
        days = np.union1d(days, _days(own.index))
    _growth_axis(axes, np.concatenate(values))
    axes.axhline(1.0, color=STYLE["faint"], linewidth=0.8, zorder=1)
    _time_axis(axes, days)
    _end_labels(axes, labels)
    _statistics_table(figure, runs, rows)
    return figure


FIGURES: Mapping[str, Callable[[WalkForward], Figure]] = {
    "equity": equity,
    "drawdown": drawdown,
    "folds": folds,
    "heat_map": heat_map,
    "rolling_sharpe": rolling_sharpe,
    "monthly": monthly,
    "exposure": exposure,
    "costs": costs,
}


# --- what the pictures and the tear sheet show, as tables ------------------------------------------------------------
def varied(wf: WalkForward) -> list[str]:
    """Return the parameters that differ between the cells of the grid."""
    names = [str(name) for name in wf.cells.columns if name not in ("train_score", "test_score", "chosen")]
    return [name for name in names if wf.cells[name].map(str).nunique() > 1]


def monthly_returns(wf: WalkForward) -> pd.DataFrame:
    """Return compounded returns, a row a year, a column a month, and the year's own in ``year``."""
    returns = wf.simulation.returns.fillna(0.0)
    index = pd.DatetimeIndex(returns.index)
    by_month = (1.0 + returns).groupby([index.year, index.month]).prod() - 1.0
    table = by_month.unstack().reindex(columns=range(1, 13))
    table["year"] = (1.0 + returns).groupby(index.year).prod() - 1.0
    table.index.name = None
    return table


def monthly_turnover(wf: WalkForward) -> pd.Series:
    """Return the value traded in each month over the mean equity of that month, both sides counted."""
    equity_by_month = _by_month(wf.simulation.equity).mean()
    orders = wf.simulation.orders
    traded = _by_month(pd.Series(orders["value"].to_numpy(dtype=float), index=pd.DatetimeIndex(orders["session"])))
    share: pd.Series = traded.sum().reindex(equity_by_month.index).fillna(0.0) / equity_by_month
    return share.rename("turnover")


def worst_drawdowns(wf: WalkForward, count: int = 5) -> pd.DataFrame:
    """Return the deepest falls: peak, lowest, recovered (or NaT), depth and sessions under water."""
    falls = wf.simulation.drawdown
    index = pd.DatetimeIndex(falls.index)
    values = falls.to_numpy(dtype=float)
    below = values < -1e-12
    edges = np.diff(np.concatenate([[0], below.astype(int), [0]]))
    rows = []
    starts, stops = np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist()
    for start, stop in zip(starts, stops, strict=True):
        lowest = start + int(values[start:stop].argmin())
        rows.append(
            {
                "peak": index[max(start - 1, 0)],
                "lowest": index[lowest],
                "recovered": index[stop] if stop < len(index) else pd.NaT,
                "depth": float(values[lowest]),
                "sessions": int(stop - start),
            }
        )
    columns = ["peak", "lowest", "recovered", "depth", "sessions"]
    table = pd.DataFrame(rows, columns=columns).sort_values("depth", ignore_index=True).head(count)
    return table.assign(
        recovered=lambda frame: frame["recovered"].astype(object).where(frame["recovered"].notna(), None)
    )


def shades(table: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """Return the colours of each value's ground and text, blue for gains, by size within the table."""
    norm = _symmetric(table.to_numpy(dtype=float))
    grounds = _DIVERGING(norm(np.nan_to_num(table.to_numpy(dtype=float))))
    return [[(str(mpl.colors.to_hex(ground)), _on(ground)) for ground in row] for row in grounds]


# --- files -----------------------------------------------------------------------------------------------------------
def png(figure: Figure, file: Path | None = None) -> bytes:
    """Return the figure as PNG, written to ``file`` where one is given."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    # Nothing is transparent, and more compression takes longer than drawing did.
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "png", compress_level=2)
    if file is not None:
        try:
            file.write_bytes(buffer.getvalue())
        except OSError as error:
            raise CannotWrite(f"{file}: {error.strerror}; free space or choose another folder") from error
    return buffer.getvalue()


def svg(figure: Figure) -> str:
    """Return the figure as an SVG element: text stays text, and colours are CSS variables named after ``STYLE``."""
    buffer = io.StringIO()
    with _SVG, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "workbench"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.S)
    # Coordinates to a hundredth of a point: a third of the size, no difference to the eye.
    text = re.sub(r' d="[^"]+"', lambda path: _SURPLUS.sub("", path.group()), text)
    return _COLOURS.sub(lambda colour: f"var(--{_NAMES[colour.group()]}, {colour.group()})", text)


# --- one grid parameter, two, or more --------------------------------------------------------------------------------
def _one_parameter(wf: WalkForward, name: str) -> Figure:
    cells = _sorted(wf.cells, [name])
    figure, axes = _picture(
        f"{_title(wf)}: parameters",
        f"{_score(wf)} by {name}: in training (mean of folds) and held over the whole out-of-sample period",
        wf.market,
        3.4,
    )
    place = np.arange(len(cells), dtype=float)
    train, test = cells["train_score"].to_numpy(dtype=float), cells["test_score"].to_numpy(dtype=float)
    axes.plot(place, train, "o-", color=STYLE["benchmark"], linewidth=1.3, markersize=5, zorder=3)
    axes.plot(place, test, "o-", color=STYLE["own"], linewidth=1.7, markersize=5.5, zorder=4)
    axes.axhline(0.0, color=STYLE["ink"], linewidth=0.8, zorder=2)
    chosen = cells["chosen"].to_numpy(dtype=int)
    for at, times, value in zip(place, chosen, test, strict=True):
        if times and np.isfinite(value):
            axes.plot(
                [at], [value], "o", markersize=11, markerfacecolor="none", markeredgecolor=STYLE["mark"], zorder=5
            )
            _note(axes, at, value, f"chosen {times}×", STYLE["ink"], 8, gap=9)
    axes.xaxis.set_major_locator(FixedLocator(list(place)))
    axes.set_xticklabels([_short(value) for value in cells[name]])
    axes.set_xlabel(name, color=STYLE["soft"], fontsize=9, fontfamily=_family())
    axes.set_xlim(-0.4, len(cells) - 0.6)
    axes.margins(y=0.2)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
    _end_labels(axes, [(train[-1], "in training", STYLE["soft"]), (test[-1], "held out\nof sample", STYLE["own"])])
    return figure


def _two_parameters(wf: WalkForward, names: list[str]) -> Figure:
    across, down = sorted(_strongest(wf.cells, names), key=names.index, reverse=True)
    others = [name for name in names if name not in (across, down)]
    columns, rows = _levels(wf.cells[across]), _levels(wf.cells[down])
    width = (WIDTH - 0.85 - 0.25 - 0.35) / 2
    height = min(max(0.42 * len(rows), 1.5), 4.5)
    figure = _figure(WIDTH, height + 1.63)
    rest = f", mean over {', '.join(others)}" if others else ""
    _heading(figure, f"{_title(wf)}: parameters", f"{_score(wf)} of every cell{rest}; ×n: chosen in n folds", wf.market)
    keys = [wf.cells[down].map(_short), wf.cells[across].map(_short)]
    tables = {
        "In training, mean of folds": wf.cells["train_score"],
        "Held over the whole out-of-sample period": wf.cells["test_score"],
    }
    all_scores = wf.cells[["train_score", "test_score"]].to_numpy(dtype=float)
    norm = _symmetric(all_scores)
    picked = (
        wf.cells["chosen"]
        .groupby(keys)
        .sum()
        .unstack()
        .reindex(index=rows, columns=columns)
        .fillna(0)
        .to_numpy(dtype=int)
    )
    small = max(len(columns), len(rows)) > 12
    for number, (title, scores) in enumerate(tables.items()):
        left = 0.85 + number * (width + 0.25)
        axes = _axes(figure, left=left, right=WIDTH - left - width, top=1.08, bottom=0.55)
        grid = scores.groupby(keys).mean().unstack().reindex(index=rows, columns=columns).to_numpy(dtype=float)
        for row, column in np.ndindex(*grid.shape):
            value, times = float(grid[row, column]), int(picked[row, column])
            if not np.isfinite(value):
                axes.text(column + 0.5, row + 0.5, "–", ha="center", va="center", color=STYLE["faint"], fontsize=8)
                continue
            shade = _DIVERGING(norm(value))
            axes.add_artist(mpl.patches.Rectangle((column + 0.015, row + 0.02), 0.97, 0.96, color=shade, linewidth=0))
            if times:
                axes.add_artist(
                    mpl.patches.Rectangle(
                        (column + 0.03, row + 0.045), 0.94, 0.91, fill=False, edgecolor=STYLE["mark"], linewidth=2.0
                    )
                )
            if not small:
                text = f"{value:.2f}".replace("-", "−") + (f"  ×{times}" if times else "")
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    text,
                    ha="center",
                    va="center_baseline",
                    fontsize=8.5 if len(columns) <= 6 else 7,
                    fontweight="bold" if times else "normal",
                    color=_on(shade),
                    fontfamily=_family(),
                )
        axes.set_xlim(0, len(columns))
        axes.set_ylim(len(rows), 0)
        axes.xaxis.set_major_locator(FixedLocator(list(np.arange(len(columns)) + 0.5)))
        axes.set_xticklabels(columns)
        axes.yaxis.set_major_locator(FixedLocator(list(np.arange(len(rows)) + 0.5)))
        axes.set_yticklabels(rows if number == 0 else [])
        axes.set_xlabel(across, color=STYLE["soft"], fontsize=9, fontfamily=_family())
        if number == 0:
            axes.set_ylabel(down, color=STYLE["soft"], fontsize=9, fontfamily=_family())
        axes.set_title(title, loc="left", fontsize=9, color=STYLE["ink"], fontfamily=_family(), pad=6)
        _bare(axes)
    return figure


def _strongest(cells: pd.DataFrame, names: list[str]) -> list[str]:
    """Return the two parameters whose values move the held-out score most."""
    if len(names) == 2:
        return names
    effect = {name: float(np.ptp(cells["test_score"].groupby(cells[name].map(_short)).mean())) for name in names}
    return sorted(names, key=lambda name: -effect[name])[:2]


def _levels(values: pd.Series) -> list[str]:
    """Return the distinct values as labels, numbers by size, others in the order of the grid."""
    distinct = {_short(value): value for value in values}
    if all(isinstance(value, (int, float, np.number)) for value in distinct.values()):
        return sorted(distinct, key=lambda label: float(distinct[label]))
    return list(distinct)


def _sorted(cells: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    order = {label: number for number, label in enumerate(_levels(cells[names[0]]))}
    return cells.assign(_order=cells[names[0]].map(lambda value: order[_short(value)])).sort_values("_order")


def _statistics_table(figure: Figure, runs: Sequence[WalkForward], rows: float) -> None:
    columns: list[tuple[str, Callable[[WalkForward], str]]] = [
        ("Sharpe", lambda wf: _number(wf.out_of_sample.get("sharpe"))),
        ("95 %", _interval),
        ("in sample", lambda wf: _number(wf.in_sample.get("sharpe"))),
        ("CAGR", lambda wf: _percent(wf.out_of_sample.get("cagr"))),
        ("volatility", lambda wf: _percent(wf.out_of_sample.get("volatility"))),
        ("drawdown", lambda wf: _percent(wf.out_of_sample.get("max_drawdown"))),
        ("beta", lambda wf: _number(wf.out_of_sample.get("beta"))),
        ("turnover", lambda wf: _number(wf.out_of_sample.get("turnover"), 1, "×")),
        ("costs/year", lambda wf: _percent(wf.out_of_sample.get("cost_per_year"), 2)),
    ]
    axes = _axes(figure, left=0.62, right=0.3, top=float(figure.get_figheight()) - rows - 0.2, bottom=0.2)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(runs) + 1, 0)
    _bare(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    edges = np.linspace(0.25, 1.0, len(columns))

    def write(x: float, row: float, text: str, colour: str, **more: Any) -> None:
        axes.text(x, row + 0.5, text, color=colour, fontsize=8.5, va="center_baseline", fontfamily=_family(), **more)

    for edge, (name, _) in zip(edges, columns, strict=True):
        write(edge, 0, name, STYLE["soft"], ha="right")
    for number, wf in enumerate(runs, start=1):
        axes.axhline(number, color=STYLE["grid"], linewidth=0.8)
        write(0.0, number, wf.strategy, SERIES[(number - 1) % len(SERIES)], ha="left", fontweight="bold")
        for edge, (_, read) in zip(edges, columns, strict=True):
            write(edge, number, read(wf), STYLE["ink"], ha="right")


# --- the look --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Label:
    y: float
    text: str
    colour: str


@lru_cache(maxsize=1)
def _family() -> list[str]:
    known = set(font_manager.get_font_names())
    first = next(name for name in FAMILIES if name in known or name == FAMILIES[-1])
    return list(dict.fromkeys([first, FAMILIES[-1]]))  # the last one comes with matplotlib and has the odd signs


def _figure(width: float, height: float) -> Figure:
    figure = Picture(figsize=(width, height), facecolor=STYLE["paper"])
    FigureCanvasAgg(figure)
    return figure


def _picture(
    title: str, subtitle: str, market: str, height: float, bottom: float = 0.42, name: str = ""
) -> tuple[Figure, Axes]:
    figure = _figure(WIDTH, height)
    _heading(figure, title, subtitle, market)
    return figure, _axes(figure, bottom=bottom, right=_room(name))


def _heading(figure: Figure, title: str, subtitle: str, market: str) -> None:
    height = float(figure.get_figheight())
    left = 0.2 / WIDTH

    def write(x: float, down: float, text: str, size: float, colour: str, **more: Any) -> None:
        figure.text(
            x, 1 - down / height, text, fontsize=size, color=colour, va="baseline", fontfamily=_family(), **more
        )

    write(left, 0.34, title, 12, STYLE["ink"], fontweight="bold")
    write(left, 0.56, subtitle, 9, STYLE["soft"])
    if market == SAMPLE:
        box = {"boxstyle": "round,pad=0.42", "facecolor": "none", "edgecolor": STYLE["stamp"], "linewidth": 0.8}
        write(1 - 0.28 / WIDTH, 0.34, "SAMPLE MARKET", 7.5, STYLE["stamp"], ha="right", fontweight="bold", bbox=box)


def _axes(figure: Figure, left: float = 0.62, right: float = 1.15, top: float = 0.78, bottom: float = 0.42) -> Axes:
    """Return axes placed by margins in inches."""
    width, height = float(figure.get_figwidth()), float(figure.get_figheight())
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    axes.set_facecolor("none")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(STYLE["faint"])
    axes.grid(True, axis="y", color=STYLE["grid"], linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(
        colors=STYLE["soft"], labelsize=8.5, length=0, pad=5, labelfontfamily=_family()[0], labelcolor=STYLE["soft"]
    )
    return axes


def _room(*names: str) -> float:
    """Return the right margin, in inches, that end labels with these names need."""
    return float(np.clip(0.25 + 0.078 * max(len(name) for name in names), 1.15, 2.6))


def _bare(axes: Axes) -> None:
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _bands(axes: Axes, wf: WalkForward) -> None:
    """Shade every other test window."""
    for row in _rows(wf.folds)[::2]:
        first, last = mdates.date2num([_naive(row.test_start), _naive(row.test_end)])
        axes.axvspan(first, last, color=STYLE["band"], linewidth=0, zorder=0)


def _end_labels(axes: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write each label beside the right end of its line, moved apart where they would touch."""
    box = axes.get_position()
    inches = box.height * float(axes.figure.get_figheight())  # type: ignore[union-attr]
    wanted = []
    for value, text, colour in labels:
        place = float(axes.transAxes.inverted().transform(axes.transData.transform((0.0, value)))[1])
        wanted.append(_Label(float(np.clip(place, 0.02, 0.98)), text, colour))
    wanted.sort(key=lambda label: label.y)
    half = [0.075 * (1 + label.text.count("\n")) / inches for label in wanted]
    places = [label.y for label in wanted]
    for _ in range(60):
        for low in range(len(places) - 1):
            gap = half[low] + half[low + 1] - (places[low + 1] - places[low])
            if gap > 1e-6:
                places[low] -= gap / 2
                places[low + 1] += gap / 2
    shift = max(0.0, (places[-1] + half[-1]) - 1.02) if places else 0.0
    for label, place in zip(wanted, places, strict=True):
        _beside(axes, place - shift, label.text, label.colour, fontweight="bold")


def _beside(axes: Axes, y: float, text: str, colour: str, **more: Any) -> None:
    """Write in the right margin at a share of the axes' height."""
    axes.text(
        1.012,
        y,
        text,
        transform=axes.transAxes,
        color=colour,
        fontsize=8.5,
        va="center",
        linespacing=1.15,
        fontfamily=_family(),
        clip_on=False,
        **more,
    )


def _note(axes: Axes, x: float, y: float, text: str, colour: str, size: float, gap: float = 3) -> None:
    """Write a small number above a bar, or below one that hangs."""
    axes.annotate(
        text.replace("-", "−"),
        (x, y),
        xytext=(0, gap if y >= 0 else -gap),
        textcoords="offset points",
        ha="center",
        va="bottom" if y >= 0 else "top",
        color=colour,
        fontsize=size,
        fontfamily=_family(),
        bbox={"facecolor": STYLE["paper"], "edgecolor": "none", "pad": 0.4},
        zorder=6,
    )


def _time_axis(axes: Axes, days: Array) -> None:
    first, last = float(days[0]), float(days[-1])
    years = (last - first) / 365.25
    if years > 2.5:
        begin, end = mdates.num2date(first).year, mdates.num2date(last).year
        every = 1 if years <= 12 else 2 if years <= 24 else 5
        starts = {year: float(mdates.date2num(date(year, 1, 1))) for year in range(begin, end + 1)}
        # A first session of 4 January still belongs to the tick of its year.
        first = starts[begin] if first - starts[begin] < 8 else first
        shown = [year for year in starts if year % every == 0 and first <= starts[year] <= last]
        axes.xaxis.set_major_locator(FixedLocator([starts[year] for year in shown]))
        axes.set_xticklabels([str(year) for year in shown])
    else:
        locator = mdates.AutoDateLocator(minticks=3, maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    axes.set_xlim(first, max(last, first + 1.0))
    axes.xaxis.set_minor_locator(NullLocator())


def _growth_axis(axes: Axes, values: Array) -> None:
    """Set a log axis with round multiples as ticks; linear where something was lost entirely."""
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low <= 0.0:
        axes.set_ylim(min(low, 0.0), high * 1.05)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    else:
        axes.set_yscale("log")
        room = max((high / low) ** 0.05, 1.01)
        axes.set_ylim(low / room, high * room)
        axes.yaxis.set_major_locator(FixedLocator(growth_ticks(low / room, high * room)))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}×"))


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


def _percent_axis(axes: Axes, which: str, ticks: int = 5) -> None:
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(ticks, steps=STEPS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):,.4g} %".replace("-", "−")))


def _nothing(title: str, market: str, line: str, more: str) -> Figure:
    figure = _figure(WIDTH, 1.6)
    _heading(figure, title, line, market)
    figure.text(0.2 / WIDTH, 0.28, more, fontsize=9.5, color=STYLE["ink"], fontfamily=_family())
    return figure


def _symmetric(values: Array) -> TwoSlopeNorm:
    """Return a colour scale around zero that two outliers cannot flatten."""
    sizes = np.abs(values[np.isfinite(values)])
    edge = float(np.quantile(sizes, 0.98)) if len(sizes) else 1.0
    edge = edge if edge > 0 else 1.0
    return TwoSlopeNorm(0.0, -edge, edge)


def _on(shade: Any) -> str:
    """Return the text colour that reads on a shade."""
    red, green, blue = mpl.colors.to_rgb(shade)
    return WHITE if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else BLACK


def _darker(colour: str) -> str:
    red, green, blue = mpl.colors.to_rgb(colour)
    bright = 0.299 * red + 0.587 * green + 0.114 * blue
    factor = min(1.0, 0.45 / bright) if bright else 1.0
    return str(mpl.colors.to_hex((red * factor, green * factor, blue * factor)))


def _growth(wf: WalkForward) -> tuple[pd.Series, pd.Series]:
    return wf.simulation.equity / wf.simulation.cash, (1.0 + wf.benchmark.fillna(0.0)).cumprod()


def _days(index: pd.Index) -> Array:
    days: Array = mdates.date2num(_naive(pd.DatetimeIndex(index)).to_numpy())
    return days


def _naive(moment: Any) -> Any:
    """Return times without their zone, which matplotlib would convert one by one."""
    return moment.tz_convert("UTC").tz_localize(None) if moment.tz is not None else moment


def _by_month(series: pd.Series) -> Any:
    index = _naive(pd.DatetimeIndex(series.index))
    return series.groupby(index.to_period("M").to_timestamp())


def _unit(total: float) -> tuple[float, str]:
    for unit, name in ((1e9, ", billions"), (1e6, ", millions"), (1e3, ", thousands")):
        if total >= 2 * unit:
            return unit, name
    return 1.0, ""


def _rows(table: pd.DataFrame) -> list[Any]:
    """Return the rows of a table as named tuples."""
    return list(table.itertuples())


def _title(wf: WalkForward) -> str:
    return wf.strategy


def _score(wf: WalkForward) -> str:
    return wf.select_by.capitalize()


def _params_text(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items()) or "no parameters"


def _short(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, (int, float, np.number)) else str(value)


def _finite(values: Array) -> Array:
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _percent_digits(value: float) -> str:
    """Return per cent without a sign for zero: −0.04 % is 0.0."""
    return f"{round(100 * value, 1) + 0.0:.1f}".replace("-", "−")


def _interval(wf: WalkForward) -> str:
    low, high = wf.intervals.get("sharpe", (float("nan"), float("nan")))
    return f"{_number(low)} to {_number(high)}"


def _number(value: float | None, digits: int = 2, unit: str = "") -> str:
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}{unit}".replace("-", "−")


def _percent(value: float | None, digits: int = 1) -> str:
    if value is None or not np.isfinite(value):
        return "–"
    return f"{100 * value:,.{digits}f} %".replace("-", "−")
