"""The HTML of the tear sheet: one template, its colours by day and by night; nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from jinja2 import Environment, StrictUndefined

from workbench.backtest.figures.style import STYLE


def page(**content: object) -> str:
    """Return the page filled in; every string is escaped."""
    return _TEMPLATE.render(light=_variables(STYLE), dark=_variables(DARK), **content)


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
<section class="verdict"><b>{{ headline }}</b><p>{{ verdict }}</p>{% if unsettled %}<p>{{ unsettled }}</p>{% endif %}
</section>
<section class="tiles" aria-label="Key numbers, out of sample">
{% for name, value, more in tiles %}<div><span>{{ name }}</span><b>{{ value }}</b><span>{{ more }}</span></div>
{% endfor %}</section>
{{ picture("equity", "Equity out of sample beside the benchmark") }}
{{ picture("drawdown", "Drawdown out of sample") }}

{% if stresses %}<h2>Does it hold up?</h2>
<p>{{ wf.robustness.verdict }}</p>
{{ picture("robustness", "Sharpe ratio that each change leaves") }}
<details><summary>The robustness card as a table</summary>
{{ table(["", "Sharpe", "kept", "growth a year", "drawdown", "", "what was changed"],
  stresses, (1, 2, 3, 4), (1,), (6,)) }}
</details>
{% endif %}
<h2>Statistics</h2>
{{ table(["", "in sample", "out of sample", "95 % interval", "definition"], statistics, (1, 2, 3), (2,), (4,)) }}
<p class="note">In sample: the mean over the training windows of the cell chosen there. Intervals: stationary bootstrap
of the out-of-sample returns. All after costs.</p>

{% if luck %}<h2>Skill, or the search for it?</h2>
{{ table(["", "", "meaning"], luck, (1,), (1,), (2,)) }}
{% endif %}
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
