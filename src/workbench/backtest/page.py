"""The HTML of the tear sheet: one template, with the style that all pages share."""

from __future__ import annotations

from jinja2 import Environment, StrictUndefined

from workbench.figures.sheet import style_sheet


def page(**content: object) -> str:
    """Return the page filled in; every string is escaped."""
    return _TEMPLATE.render(style=style_sheet(_RULES), **content)


_RULES = """\
.question { color: var(--soft); font-size: 17px; margin: 2px 0 0 }
.when { color: var(--soft); font-size: 13px }
th.n, td.n { text-align: right; white-space: nowrap }
td.own { font-weight: 600 }
td.small, .note { color: var(--soft); font-size: 12.5px }
td.long { overflow-wrap: anywhere }
table.months { table-layout: fixed; border-collapse: separate; border-spacing: 2px }
table.months td, table.months th { border: 0; padding: 4px 2px; text-align: center; border-radius: 2px }
table.months td:last-child { font-weight: 600 }
details summary { cursor: pointer; color: var(--soft); margin: 8px 0 }
"""

_SHEET = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ wf.strategy }}: walk-forward{{ " (sample market)" if sample }}</title>
{{ style }}
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
