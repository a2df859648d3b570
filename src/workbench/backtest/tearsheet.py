"""The tear sheet of one walk-forward: a single HTML file that opens anywhere, offline, by day, by night and on paper.

>>> html = tearsheet.render(wf, settings, {"git commit": "2c54e0e", "prices_daily": "version 3"})

Every number is the run's own statistic or a row of its tables; the template computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from workbench.backtest import figures, stats
from workbench.backtest.overfit import DEFINITIONS, Overfitting
from workbench.backtest.page import page
from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import Robustness
from workbench.backtest.text import MISSING, SHOWN, Shown, chance, listed, multiple, number, percent, whole
from workbench.params import Settings
from workbench.types import SAMPLE

MADE_DATA = "This is made data: it shows that the machinery works and says nothing about real markets."
# The pictures of the sheet, in reading order; months and drawdowns stand as tables.
PICTURES = ("equity", "drawdown", "folds", "heat_map", "rolling_sharpe", "exposure", "costs")


def headline(wf: WalkForward) -> str:
    """Return the verdict in one line: the sign of the result, and whether luck explains it."""
    sharpe = wf.out_of_sample.get("sharpe", float("nan"))
    low, high = wf.intervals.get("sharpe", (float("nan"), float("nan")))
    if math.isnan(sharpe):
        return "It did not trade out of sample: there is nothing to judge."
    side = "It earned money out of sample" if sharpe > 0 else "It lost money out of sample"
    if math.isnan(low) or math.isnan(high):
        return f"{side}; the period is too short for an interval."
    if low > 0 or high < 0:
        return f"{side}, and zero lies outside the 95 % interval of its Sharpe ratio."
    return f"{side}, but zero lies inside the 95 % interval of its Sharpe ratio: luck explains it too."


def verdict(wf: WalkForward) -> str:
    """Return the result in plain words with its numbers."""
    get = wf.out_of_sample.get
    first, last = span(wf)
    inside = _interval(wf, "sharpe", number)
    parts = [
        f"From {first} to {last} ({whole(get('sessions'))} sessions) the Sharpe ratio was {number(get('sharpe'))}"
        f"{f' (95 % interval {inside})' if inside else ''}, {number(wf.in_sample.get('sharpe'))} in sample.",
        f"Growth was {percent(get('cagr'))} a year at {percent(get('volatility'))} volatility, "
        f"the maximum drawdown {percent(get('max_drawdown'))}, "
        f"the longest {whole(get('max_drawdown_sessions'))} sessions.",
        f"Costs took {percent(get('cost_per_year'), 2)} of equity a year at a turnover of {multiple(get('turnover'))}.",
    ]
    return " ".join(parts)


def unsettled(wf: WalkForward) -> str:
    """Return what to know of costs that did not settle, or nothing where they did."""
    off = wf.simulation.unsettled
    if not off:
        return ""
    return (
        "The costs did not settle: commissions and impact depend on the orders and the orders on them, and after the "
        f"last pass all orders together were charged {percent(off, 4)} of the start capital too much or too little."
    )


def span(wf: WalkForward) -> tuple[str, str]:
    """Return the first and the last out-of-sample day."""
    index = wf.simulation.equity.index
    return _day(index[0]), _day(index[-1])


def render(
    wf: WalkForward,
    settings: Settings,
    provenance: Mapping[str, str],
    pictures: Mapping[str, Figure] | None = None,
    overfitting: Overfitting | None = None,
) -> str:
    """Return the tear sheet as HTML; ``pictures`` hands over figures that were drawn already."""
    drawn = dict(pictures or {})
    svgs = {
        name: Markup(figures.svg(drawn[name] if name in drawn else figures.FIGURES[name](wf)))  # noqa: S704 (ours)
        for name in (*PICTURES, *(["robustness"] if wf.robustness else []))
    }
    return page(
        wf=wf,
        sample=wf.market == SAMPLE,
        made_data=MADE_DATA,
        headline=headline(wf),
        verdict=verdict(wf),
        unsettled=unsettled(wf),
        span=span(wf),
        tiles=_tiles(wf),
        pictures=svgs,
        statistics=_statistics(wf),
        stresses=_stresses(wf.robustness) if wf.robustness else (),
        luck=_luck(overfitting) if overfitting else (),
        months=_months(wf),
        folds=_folds(wf),
        falls=_falls(wf),
        trades=_trades(wf),
        settings=_settings(settings),
        provenance=provenance,
    )


def _interval(wf: WalkForward, name: str, form: Callable[[float | None], str]) -> str:
    low, high = wf.intervals.get(name, (float("nan"), float("nan")))
    return "" if math.isnan(low) or math.isnan(high) else f"{form(low)} to {form(high)}"


def _tiles(wf: WalkForward) -> list[tuple[str, str, str]]:
    get = wf.out_of_sample.get
    return [
        ("Sharpe ratio", number(get("sharpe")), _interval(wf, "sharpe", number)),
        ("in sample", number(wf.in_sample.get("sharpe")), "mean of the training windows"),
        ("Growth a year", percent(get("cagr")), _interval(wf, "cagr", percent)),
        ("Volatility a year", percent(get("volatility")), _interval(wf, "volatility", percent)),
        ("Maximum drawdown", percent(get("max_drawdown")), f"longest {whole(get('max_drawdown_sessions'))} sessions"),
        ("Beta", number(get("beta")), f"alpha {percent(get('alpha'))} a year"),
        ("Turnover a year", multiple(get("turnover")), f"costs {percent(get('cost_per_year'), 2)} a year"),
        ("Round trips", whole(get("trades")), f"{percent(get('win_rate'))} earned money"),
    ]


def _statistics(wf: WalkForward) -> list[tuple[str, str, str, str, str]]:
    """Return title, in sample, out of sample, interval and definition of every statistic."""
    known = {**wf.in_sample, **wf.out_of_sample}
    names = [name for name in SHOWN if name in known] + sorted(name for name in known if name not in SHOWN)
    rows = []
    for name in names:
        shown = SHOWN.get(name, Shown(name.replace("_", " ")))
        definition = stats.DEFINITIONS.get(name, "")
        inside = shown.form(wf.in_sample[name]) if name in wf.in_sample else ""
        outside = shown.form(wf.out_of_sample[name]) if name in wf.out_of_sample else ""
        rows.append((shown.title, inside, outside, _interval(wf, name, shown.form), definition))
    return rows


def _stresses(card: Robustness) -> list[Sequence[str]]:
    """Return the rows of the robustness card, and after them why others are missing."""
    rows: list[Sequence[str]] = [
        (
            v.name,
            number(v.sharpe),
            percent(v.kept, 0),
            percent(v.cagr),
            percent(v.max_drawdown),
            v.verdict if v is not card.base else "",
            v.changed,
        )
        for v in (card.base, *card.variants)
    ]
    return rows + [(name, *[MISSING] * 5, why) for name, why in card.missing.items()]


def _luck(found: Overfitting) -> list[tuple[str, str, str]]:
    """Return title, number and meaning of the evidence; a number that is not there says why."""
    yearly = None if found.expected_max is None else found.expected_max * math.sqrt(stats.YEAR)
    rows = {
        "trials": ("Trials of this question", whole(found.trials)),
        "effective_trials": ("Different bets among them", whole(found.effective_trials)),
        "expected_max": ("Sharpe ratio a year of the luckiest", number(yearly)),
        "psr": ("Probabilistic Sharpe ratio", chance(found.psr)),
        "beta": ("Beta, taken off before judging", number(found.beta)),
        "dsr": ("Deflated Sharpe ratio", chance(found.dsr)),
        "dsr_raw": ("The same, the market not taken off", chance(found.dsr_raw)),
        "min_track_record": ("Minimum track record (sessions)", whole(found.min_track_record)),
        "pbo": ("Probability of backtest overfitting, grid", chance(found.pbo)),
        "pbo_all": ("The same, of all that was tried", chance(found.pbo_all)),
        "pbo_all_left_out": ("Trials of other weeks, not in that", whole(found.pbo_all_left_out)),
        "spa_p": ("Superiority over the market, p-value", number(found.spa_p, 3)),
    }
    return [(title, text, found.missing.get(name, DEFINITIONS[name])) for name, (title, text) in rows.items()]


def _months(wf: WalkForward) -> list[tuple[str, list[tuple[str, str, str]], str]]:
    table = figures.monthly_returns(wf)
    months = table.drop(columns="year")
    return [
        (
            str(year),
            [
                ("", "", "") if math.isnan(value) else (number(100 * value, 1), *colours)
                for value, colours in zip(months.loc[year].tolist(), shades, strict=True)
            ],
            number(100 * float(table.loc[year, "year"]), 1),
        )
        for year, shades in zip(table.index, figures.shades(months), strict=True)
    ]


def _folds(wf: WalkForward) -> list[Sequence[str]]:
    return [
        (
            str(row["fold"]),
            f"{_day(row['train_start'])} to {_day(row['train_end'])}",
            f"{_day(row['test_start'])} to {_day(row['test_end'])}",
            listed(row["params"]) or MISSING,
            number(row["train_score"]),
            number(row["test_score"]),
        )
        for row in _rows(wf.folds)
    ]


def _falls(wf: WalkForward) -> list[Sequence[str]]:
    return [
        (
            percent(row["depth"]),
            _day(row["peak"]),
            _day(row["lowest"]),
            _day(row["recovered"]) if row["recovered"] is not None else "not yet",
            whole(row["sessions"]),
        )
        for row in _rows(figures.worst_drawdowns(wf, 5))
    ]


def _trades(wf: WalkForward) -> list[tuple[str, list[Sequence[str]]]]:
    closed = wf.simulation.trades
    closed = closed.loc[~closed["open"].astype(bool)].sort_values("pnl", ascending=False)
    best, worst = closed.loc[closed["pnl"] > 0].head(5), closed.loc[closed["pnl"] < 0].tail(5).iloc[::-1]
    return [("Best round trips", _trade_rows(best)), ("Worst round trips", _trade_rows(worst))]


def _trade_rows(trades: pd.DataFrame) -> list[Sequence[str]]:
    return [
        (
            str(row["symbol"]),
            str(row["side"]),
            _day(row["entry"]),
            _day(row["exit"]),
            whole(row["sessions"]),
            number(row["entry_price"]),
            number(row["exit_price"]),
            whole(row["pnl"]),
            percent(row["return"]),
        )
        for row in _rows(trades)
    ]


def _settings(settings: Settings) -> list[tuple[str, str]]:
    """Return what shaped this run, flat: walk_forward.mode → rolling."""
    sections = {"market", "data", "walk_forward", "sizing", "portfolio", "costs"}
    if settings.market == SAMPLE:
        sections.add("sample")
    rows: list[tuple[str, str]] = []
    for section, content in settings.model_dump(mode="json", include=sections).items():
        if isinstance(content, Mapping):
            rows += [(f"{section}.{name}", MISSING if value is None else str(value)) for name, value in content.items()]
        else:
            rows.append((section, str(content)))
    return rows


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _day(moment: Any) -> str:
    return str(pd.Timestamp(moment).date())
