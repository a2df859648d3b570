"""The page of a search: one file that opens offline, with the sentence, the pictures, the best cells and the doubts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from workbench.backtest.figures import svg
from workbench.backtest.tearsheet import MADE_DATA
from workbench.backtest.text import chance, multiple, number, percent, short, whole
from workbench.figures.sheet import style_sheet
from workbench.search.found import Found
from workbench.search.plateau import assigned
from workbench.search.table import COLUMNS, DONE, FAILED, PRUNED
from workbench.types import SAMPLE

ROWS = 20
SHOWN = ("plateau", "train_score", "train_worst", "neighbours", "train_turnover", "train_cost", "test_score")
CAPTIONS: Mapping[str, str] = {
    "heat_map": "The training score over the parameters",
    "company": "Each cell's own training score against the median of its neighbourhood",
    "parallel": "Every cell as a line through its parameters and its training score",
}


def render(found: Found, pictures: Mapping[str, Figure]) -> str:
    """Return the page as HTML."""
    statuses = found.table["status"].value_counts()
    return _TEMPLATE.render(
        style=style_sheet(_RULES),
        found=found,
        cells=whole(found.cells),
        made_data=MADE_DATA if found.market == SAMPLE else "",
        sentence=found.terrain.sentence,
        verdict=verdict(found),
        counts=", ".join(f"{int(statuses[name]):,} {name}" for name in (DONE, PRUNED, FAILED) if name in statuses),
        tiles=_tiles(found),
        pictures={name: Markup(svg(figure)) for name, figure in pictures.items()},  # noqa: S704 (our own drawing)
        captions=CAPTIONS,
        head=[*found.varied, *SHOWN],
        rows=[_row(row, found) for _, row in found.plateaus.head(ROWS).iterrows()],
        definitions={name: COLUMNS[name] for name in SHOWN},
        missing=found.luck.missing,
        failed=_failed(found.table, found.varied),
        sources=sources(found),
    )


def verdict(found: Found) -> str:
    """Return what choosing anew in each window would have brought, by the peak and by the plateau."""
    peak, plateau = found.rules
    score = found.select_by.capitalize()
    return (
        f"Choosing anew in each of {found.folds} windows and trading the next, the peak had a mean {score} of "
        f"{number(peak.mean)} and the best plateau {number(plateau.mean)}."
    )


def sources(found: Found) -> list[tuple[str, str]]:
    """Return what the numbers come from, a name and a text each; what is empty is left out."""
    asked, shape = found.asked, dict(found.asked.shape)
    data = shape.pop("data", None)
    tables = data if isinstance(data, Mapping) else {"": data}
    digests = {f"{name}, digest": shape.pop(name, None) for name in ("settings", "code")}
    trials = f"{asked.trials:,} by {asked.sampler}, seed {asked.seed}, {asked.at_once} at once" if asked.trials else ""
    rows = {
        "run": found.run_id,
        "trials": trials,
        **{f"grid {name}": values for name, values in asked.grid.items()},
        **{f"fixed {name}": short(value) for name, value in asked.fixed.items()},
        **shape,
        **{f"data {name}".strip(): text for name, text in tables.items()},
        **digests,
        "trial ledger": found.head or "nothing new to count",
    }
    return [(name, text) for name, value in rows.items() if (text := _told(value))]


def _told(value: object) -> str:
    """Return a fact in words, nothing for none."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, each in value.items() if (text := _told(each)))
    if isinstance(value, (list, tuple)):
        return ", ".join(short(each) for each in value)
    return "" if value is None else short(value)


def _tiles(found: Found) -> list[tuple[str, str, str]]:
    score, luck, plateau = found.select_by.capitalize(), found.luck, found.terrain.plateau
    row = found.table.iloc[plateau.place]
    heights = f"median {score} {number(plateau.around)} in training, the cell itself {number(plateau.score)}"
    return [
        ("Best plateau", assigned(plateau.params), heights),
        (f"{score}, held over all tests", number(float(row["test_score"])), "seen after the choice"),
        ("Trials of this question", whole(luck.trials), f"different bets: {whole(luck.bets)}"),
        (
            "Deflated Sharpe ratio",
            chance(luck.dsr),
            f"beta {number(luck.beta)} taken off, {chance(luck.dsr_raw)} with it; "
            f"probability of overfitting {chance(luck.pbo)}",
        ),
    ]


def _row(row: pd.Series, found: Found) -> list[str]:
    forms = {"train_turnover": multiple, "train_cost": lambda value: percent(value, 2), "neighbours": whole}
    own = [short(row[name]) for name in found.varied]
    return own + [forms.get(name, number)(float(row[name])) for name in SHOWN]


def _failed(table: pd.DataFrame, names: list[str]) -> list[tuple[str, str]]:
    some = table[table["status"] == FAILED].head(5).to_dict("records")
    return [(assigned({name: row[name] for name in names}), str(row["error"])) for row in some]


_RULES = """\
.soft { color: var(--soft) }
.small { color: var(--soft); font-size: 12.5px }
.tiles b { font-size: 18px; line-height: 1.4; overflow-wrap: anywhere; letter-spacing: 0 }
th { text-align: right }
td { text-align: right; overflow-wrap: anywhere }
table.facts td { text-align: left }
th.test, td.test { color: var(--soft); font-style: italic }
tr:first-child td { font-weight: 600 }
table.facts td { font-weight: 400 }
table.facts td:first-child { white-space: nowrap; padding-right: 18px; vertical-align: top }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ found.asked.strategy }}: sweep{{ " (sample market)" if made_data }}</title>
{{ style }}
</head>
<body>
{% if made_data %}<div class="banner" role="note"><b>SAMPLE MARKET</b> {{ made_data }}</div>{% endif %}
<h1>{{ found.asked.strategy }}</h1>
<p class="soft">{{ found.asked.question }}</p>
<p class="small">{{ "Trials" if found.asked.trials else "Sweep" }}: {{ cells }} cells ({{ counts }})
 on {{ found.folds }} training windows, market {{ found.market }}, tests {{ found.tested[0].date() }} to
 {{ found.tested[1].date() }}</p>
{% if found.failure %}<p class="failure"><b>{{ found.failure }}</b></p>
{% endif %}
<section class="verdict"><b>{{ sentence }}</b><p>{{ verdict }}</p></section>
<section class="tiles">
{% for name, value, more in tiles %}<div><span>{{ name }}</span><b>{{ value }}</b><span>{{ more }}</span></div>
{% endfor %}</section>
{% for name, picture in pictures.items() %}<figure role="img" aria-label="{{ captions[name] }}">{{ picture }}</figure>
{% endfor %}
<h2>The best {{ rows|length ~ ' plateaus' if rows|length > 1 else 'plateau' }}</h2>
<div class="scroll"><table><thead><tr>{% for name in head %}<th class="{{ 'test' if name.startswith('test') }}">
{{- name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td class="{{ 'test' if head[loop.index0].startswith('test') }}">
{{- cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<p class="small">Everything but the last column comes from training windows and may choose. <i>test_score</i> is seen
after the choice: whoever chooses by it has no test left. Training windows of later folds cover earlier tests, so the
honest result of the whole procedure is the walk-forward (make backtest), not this column.</p>
<table class="facts"><tbody>{% for name, text in definitions.items() %}
<tr><td>{{ name }}</td><td class="small">{{ text }}</td></tr>{% endfor %}</tbody></table>
{% if missing %}<p class="small">{% for name, why in missing.items() %}{{ name }}: {{ why }}. {% endfor %}</p>
{% endif %}
{% if failed %}<h2>What failed</h2><table class="facts"><tbody>{% for name, why in failed %}
<tr><td>{{ name }}</td><td class="small">{{ why }}</td></tr>{% endfor %}</tbody></table>{% endif %}
<h2>Where this comes from</h2>
<table class="facts"><tbody>
{% for name, text in sources %}<tr><td>{{ name }}</td><td class="small">{{ text }}</td></tr>
{% endfor %}
</tbody></table>
</body>
</html>
"""

_TEMPLATE = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(
    _PAGE
)
