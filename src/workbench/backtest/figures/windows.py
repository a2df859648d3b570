"""How the result came about over time: the score of each fold, and the Sharpe ratio of each year."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.backtest.figures.bands import bands
from workbench.backtest.result import WalkForward
from workbench.backtest.stats import YEAR
from workbench.backtest.text import number, short
from workbench.figures.axis import days, name_axis, rows, score_axis, time_axis
from workbench.figures.canvas import end_labels, mean_line, note, picture, zero_line
from workbench.figures.style import STYLE, Array

ROLLING_SESSIONS = YEAR


def folds(wf: WalkForward) -> Figure:
    """Draw the score of each fold in training and in its test window, with the parameters it chose."""
    table = wf.folds
    train, test = table["train_score"].to_numpy(dtype=float), table["test_score"].to_numpy(dtype=float)
    subtitle = f"{wf.select_by.capitalize()} of the chosen parameters in training, and in the test window that follows"
    lines = max(len(params) for params in table["params"]) if len(table) <= 10 else 0
    more = 0.14 * lines
    figure, axes = picture(f"{wf.strategy}: folds", subtitle, wf.market, 3.5 + more, bottom=0.5 + more)
    place = np.arange(len(table), dtype=float)
    axes.bar(place - 0.19, _finite(train), 0.36, color=STYLE["train"], zorder=3)
    colours = [STYLE["gain"] if value >= 0 else STYLE["loss"] for value in _finite(test)]
    axes.bar(place + 0.19, _finite(test), 0.36, color=colours, zorder=3)
    zero_line(axes, zorder=4)
    for values, shift, colour in ((train, -0.19, STYLE["soft"]), (test, 0.19, STYLE["ink"])):
        for at, value in zip(place, values, strict=True):
            if len(table) <= 14 and np.isfinite(value):
                note(axes, at + shift, value, number(value, 1), colour, 7.5)
    labels = []
    for row in rows(table):
        chosen = [f"{name} {short(value)}" for name, value in row.params.items()] if lines else []
        labels.append("\n".join([f"{pd.Timestamp(row.test_start):%Y-%m}", *chosen]))
    every = max(1, len(table) // 14)
    name_axis(axes.xaxis, place[::every], labels[::every])
    axes.set_xlim(-0.6, len(table) - 0.4)
    axes.margins(y=0.16)
    score_axis(axes)
    means = [("in training", _mean(train), STYLE["soft"]), ("in test", _mean(test), STYLE["own"])]
    end_labels(axes, [(mean, f"{what}\nmean {number(mean)}", c) for what, mean, c in means if np.isfinite(mean)])
    for _, mean, colour in means:
        mean_line(axes, mean, colour, zorder=2)
    return figure


def rolling_sharpe(wf: WalkForward) -> Figure:
    """Draw the Sharpe ratio of the year before each session, and that of the whole period."""
    returns = wf.simulation.returns
    window = min(ROLLING_SESSIONS, max(20, len(returns) // 4))
    rolled = returns.rolling(window, min_periods=window)
    values = (rolled.mean() / rolled.std().replace(0.0, np.nan)).to_numpy(dtype=float) * np.sqrt(YEAR)
    figure, axes = picture(f"{wf.strategy}: rolling Sharpe", f"Out of sample, over {window} sessions", wf.market, 2.9)
    at = days(returns.index)
    bands(axes, wf)
    axes.fill_between(at, values, 0.0, where=values >= 0, color=STYLE["gain"], alpha=0.12, linewidth=0, zorder=2)
    axes.fill_between(at, values, 0.0, where=values < 0, color=STYLE["loss"], alpha=0.18, linewidth=0, zorder=2)
    axes.plot(at, values, color=STYLE["own"], linewidth=1.3, zorder=4)
    zero_line(axes)
    whole = float(wf.out_of_sample.get("sharpe", np.nan))
    if np.isfinite(whole):
        mean_line(axes, whole, STYLE["soft"])
        end_labels(axes, [(whole, f"whole period\n{number(whole)}", STYLE["soft"])])
    score_axis(axes)
    time_axis(axes, at)
    return figure


def _finite(values: Array) -> Array:
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _mean(values: Array) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
