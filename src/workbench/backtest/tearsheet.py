"""The tear sheet of one walk-forward: a single HTML file that opens anywhere, offline, by day, by night and on paper.

>>> html = tearsheet.render(wf, settings, {"git commit": "2c54e0e", "prices_daily": "version 3"})

Every number is the run's own statistic or a row of its tables; the template computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from workbench.backtest import figures, stats
from workbench.backtest.result import WalkForward
from workbench.params import Settings
from workbench.types import SAMPLE

MISSING = "–"
MADE_DATA = "This is made data: it shows that the machinery works and says nothing about real markets."
# The pictures of the sheet, in reading order; months and drawdowns stand as tables.
PICTURES = ("equity", "drawdown", "folds", "heat_map", "rolling_sharpe", "exposure", "costs")


def number(value: float | None, digits: int = 2) -> str:
    """Return a number with a thousands separator and a true minus."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{digits}f}".replace("-", "−")
    return text.removeprefix("−") if not any(digit in text for digit in "123456789") else text


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent."""
    text = number(None if value is None else 100.0 * value, digits)
    return text if text == MISSING else f"{text} %"


def whole(value: float | None) -> str:
    """Return a count."""
    return number(value, 0)


def multiple(value: float | None) -> str:
    """Return a multiple: 4.2×."""
    text = number(value, 1)
    return text if text == MISSING else f"{text}×"


@dataclass(frozen=True)
class Shown:
    """How one statistic is named and written."""

    title: str
    form: Callable[[float | None], str] = number


# In the order of the table; a statistic that is not listed follows under its own name.
SHOWN: Mapping[str, Shown] = {
    "sharpe": Shown("Sharpe ratio"),
    "sortino": Shown("Sortino ratio"),
    "calmar": Shown("Calmar ratio"),
    "omega": Shown("Omega ratio"),
    "cagr": Shown("CAGR", percent),
    "volatility": Shown("Volatility a year", percent),
    "total_return": Shown("Total return", percent),
    "max_drawdown": Shown("Maximum drawdown", percent),
    "max_drawdown_sessions": Shown("Longest (sessions)", whole),
    "alpha": Shown("Alpha a year", percent),
    "beta": Shown("Beta"),
    "exposure": Shown("Gross exposure", percent),
    "turnover": Shown("Turnover a year", multiple),
    "cost_per_year": Shown("Costs a year", lambda value: percent(value, 2)),
    "trades": Shown("Round trips", whole),
    "win_rate": Shown("Win rate", percent),
    "profit_factor": Shown("Profit factor"),
    "skew": Shown("Skew"),
    "kurtosis": Shown("Kurtosis"),
    "sessions": Shown("Sessions", whole),
    "crowded_orders": Shown("Crowded orders", whole),
}


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
    parts = [
        f"From {first} to {last} ({whole(get('sessions'))} sessions) the Sharpe ratio was {number(get('sharpe'))}"
        f"{_interval_text(wf)}, {number(wf.in_sample.get('sharpe'))} in sample.",
        f"Growth was {percent(get('cagr'))} a year at {percent(get('volatility'))} volatility, "
        f"the maximum drawdown {percent(get('max_drawdown'))}, "
        f"the longest {whole(get('max_drawdown_sessions'))} sessions.",
        f"Costs took {percent(get('cost_per_year'), 2)} of equity a year at a turnover of {multiple(get('turnover'))}.",
    ]
    return " ".join(parts)


def span(wf: WalkForward) -> tuple[str, str]:
    """Return the first and the last out-of-sample day."""
    index = wf.simulation.equity.index
    return _day(index[0]), _day(index[-1])


def render(
    wf: WalkForward,
    settings: Settings,
    provenance: Mapping[str, str],
    pictures: Mapping[str, Figure] | None = None,
) -> str:
    """Return the tear sheet as HTML; ``pictures`` hands over figures that were drawn already."""
    drawn = dict(pictures or {})
    svgs = {
        name: Markup(figures.svg(drawn[name] if name in drawn else figures.FIGURES[name](wf)))  # noqa: S704 (ours)
        for name in PICTURES
    }
    return _TEMPLATE.render(
        wf=wf,
        sample=wf.market == SAMPLE,
        made_data=MADE_DATA,
        headline=headline(wf),
        verdict=verdict(wf),
        span=span(wf),
        tiles=_tiles(wf),
        pictures=svgs,
        statistics=_statistics(wf),
        months=_months(wf),
        folds=_folds(wf),
        falls=_falls(wf),
        trades=_trades(wf),
        settings=_settings(settings),
        provenance=provenance,
        light=_variables(figures.STYLE),
        dark=_variables(DARK),
    )


def _interval_text(wf: WalkForward) -> str:
    low, high = wf.intervals.get("sharpe", (float("nan"), float("nan")))
    return "" if math.isnan(low) or math.isnan(high) else f" (95 % interval {number(low)} to {number(high)})"


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
        ("Round trips", whole(get("trades")), f"{percent(get('win_rate'), 0)} earned money"),
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
            _params(row["params"]),
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


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items()) or MISSING


def _day(moment: Any) -> str:
    return str(pd.Timestamp(moment).date())


def _variables(colours: Mapping[str, str]) -> str:
    return "; ".join(f"--{name}: {colour}" for name, colour in colours.items())


DARK: Mapping[str, str] = {
    "paper": "#14181f",
    "ink": "#e6eaf0",
    "soft": "#9aa6b4",
    "faint": "#5b6673",
    "grid": "#262d37",
    "band": "#1a2029",
    "own": "#5aa2e6",
    "benchmark": "#8a94a0",
    "train": "#4a5a6e",
    "gain": "#5aa2e6",
    "loss": "#e07a4d",
    "mark": "#e3a008",
    "stamp": "#e0a04a",
}

_SHEET = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ wf.strategy }}: walk-forward{{ " (sample market)" if sample }}</title>
<style>
:root { color-scheme: light dark; {{ light }} }
@media (prefers-color-scheme: dark) { :root { {{ dark }} } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 28px 24px 64px; max-width: 980px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 "Helvetica Neue", Helvetica, Arial, "Liberation Sans", system-ui, sans-serif;
  font-variant-numeric: tabular-nums }
h1 { margin: 0; font-size: 28px; letter-spacing: -.01em }
h2 { margin: 40px 0 8px; padding-top: 14px; border-top: 1px solid var(--grid); font-size: 18px }
h3 { margin: 20px 0 4px; font-size: 14px; color: var(--soft) }
p { margin: 6px 0 }
.question { color: var(--soft); font-size: 17px; margin: 2px 0 0 }
.when { color: var(--soft); font-size: 13px }
.banner { margin: 0 0 20px; padding: 9px 14px; border: 1px solid var(--stamp); border-radius: 6px; color: var(--stamp);
  font-size: 13.5px }
.banner b { letter-spacing: .04em; margin-right: .5em }
.verdict { margin: 20px 0; padding: 14px 18px; background: var(--band); border-left: 4px solid var(--own);
  border-radius: 0 6px 6px 0 }
.verdict b { font-size: 16.5px }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; margin: 20px 0; background: var(--grid);
  border: 1px solid var(--grid); border-radius: 8px; overflow: hidden }
.tiles div { background: var(--paper); padding: 12px 14px }
.tiles span { display: block; color: var(--soft); font-size: 12.5px }
.tiles b { display: block; font-size: 23px; line-height: 1.3; letter-spacing: -.01em }
figure { margin: 14px -18px; break-inside: avoid }
svg { display: block; width: 100%; height: auto }
svg text { font-family: "Helvetica Neue", Helvetica, Arial, "Liberation Sans", system-ui, sans-serif !important }
.scroll { overflow-x: auto }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; break-inside: avoid }
th { color: var(--soft); font-weight: 500; text-align: left; vertical-align: bottom; padding: 5px 8px;
  border-bottom: 1px solid var(--faint) }
td { padding: 4px 8px; border-bottom: 1px solid var(--grid); vertical-align: top }
th.n, td.n { text-align: right; white-space: nowrap }
td.own { font-weight: 600 }
td.small, .note { color: var(--soft); font-size: 12.5px }
td.long { overflow-wrap: anywhere }
table.months { table-layout: fixed; border-collapse: separate; border-spacing: 2px }
table.months td, table.months th { border: 0; padding: 4px 2px; text-align: center; border-radius: 2px }
table.months td:last-child { font-weight: 600 }
details summary { cursor: pointer; color: var(--soft); margin: 8px 0 }
@media (max-width: 640px) { .tiles { grid-template-columns: repeat(2, 1fr) } }
@media print { :root { {{ light }} } body { max-width: none; padding: 0; font-size: 10pt }
  table { font-size: 9pt; break-inside: auto } tr { break-inside: avoid } h2, h3 { break-after: avoid }
  details { display: block } .tiles, .verdict, td { print-color-adjust: exact; -webkit-print-color-adjust: exact } }
</style>
</head>
<body>
{% macro table(head, rows, numbers=(), own=(), small=()) -%}
<div class="scroll"><table>
<thead><tr>{% for name in head -%}
<th class="{{ 'n' if loop.index0 in numbers }}">{{ name }}</th>
{%- endfor %}</tr></thead>
<tbody>
{% for row in rows -%}
<tr>{% for cell in row %}<td class="{{ 'n' if loop.index0 in numbers }}{{ ' own' if loop.index0 in own
}}{{ ' small' if loop.index0 in small }}">{{ cell }}</td>{% endfor %}</tr>
{% endfor -%}
</tbody></table></div>
{%- endmacro %}
{% macro picture(name, text) -%}
<figure role="img" aria-label="{{ text }}">{{ pictures[name] }}</figure>
{%- endmacro %}
{% if sample %}<div class="banner" role="note"><b>SAMPLE MARKET</b>{{ made_data }}</div>{% endif %}
<header>
<h1>{{ wf.strategy }}</h1>
<p class="question">{{ wf.question }}</p>
<p class="when">Walk-forward, out of sample {{ span[0] }} to {{ span[1] }}, {{ wf.folds|length }} folds,
 {{ wf.cells|length }} cells, market {{ wf.market }}</p>
</header>
<section class="verdict"><b>{{ headline }}</b><p>{{ verdict }}</p></section>
<section class="tiles" aria-label="Key numbers, out of sample">
{% for name, value, more in tiles %}<div><span>{{ name }}</span><b>{{ value }}</b><span>{{ more }}</span></div>
{% endfor %}</section>
{{ picture("equity", "Equity out of sample beside the benchmark") }}
{{ picture("drawdown", "Drawdown out of sample") }}

<h2>Statistics</h2>
{{ table(["", "in sample", "out of sample", "95 % interval", "definition"], statistics, (1, 2, 3), (2,), (4,)) }}
<p class="note">In sample: the mean over the training windows of the cell chosen there. Intervals: stationary bootstrap
of the out-of-sample returns. All after costs.</p>

<h2>What was chosen, and what came of it</h2>
{{ picture("folds", "Score of each fold in training and in test") }}
{% set score = wf.select_by|capitalize %}
{{ table(["fold", "trained on", "traded on", "chosen", score ~ " in training", score ~ " in test"],
  folds, (4, 5), (5,)) }}
{{ picture("heat_map", "Score of every cell of the grid") }}

<h2>Through time</h2>
<h3>Return by month, per cent</h3>
<div class="scroll"><table class="months">
<thead><tr><th></th>{% for name in ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
%}<th>{{ name }}</th>{% endfor %}<th>Year</th></tr></thead>
<tbody>
{% for year, months, whole in months -%}
<tr><th>{{ year }}</th>{% for text, ground, ink in months %}{% if text -%}
<td style="background:{{ ground }};color:{{ ink }}">{{ text }}</td>
{%- else %}<td></td>{% endif %}{% endfor %}<td>{{ whole }}</td></tr>
{% endfor -%}
</tbody></table></div>
{{ picture("rolling_sharpe", "Rolling Sharpe ratio") }}
<h3>Worst drawdowns</h3>
{{ table(["depth", "from", "lowest", "recovered", "sessions"], falls, (0, 4), (0,)) }}

<h2>Exposure, trading and costs</h2>
{{ picture("exposure", "Gross and net exposure and monthly turnover") }}
{{ picture("costs", "Costs by kind") }}
{% for title, rows in trades %}
<h3>{{ title }}</h3>
{% if rows %}{{ table(["symbol", "side", "entry", "exit", "sessions", "in at", "out at", "profit", "return"],
  rows, (4, 5, 6, 7, 8), (7,)) }}{% else %}<p class="note">none</p>{% endif %}
{% endfor %}

<h2>Where this comes from</h2>
<div class="scroll"><table><tbody>
{% for name, value in provenance.items() %}<tr><td class="small">{{ name }}</td><td class="long">{{ value }}</td></tr>
{% endfor %}</tbody></table></div>
<details><summary>Settings of this run</summary>
<div class="scroll"><table><tbody>
{% for name, value in settings %}<tr><td class="small">{{ name }}</td><td class="long">{{ value }}</td></tr>
{% endfor %}</tbody></table></div>
</details>
</body>
</html>
"""

_TEMPLATE = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
    _SHEET
)
