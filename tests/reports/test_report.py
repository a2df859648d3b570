"""The report's notebook: its tables as the page shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from tests.data.by_hand import put
from workbench.data.lake import open_lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.params import Paths, SampleParams, Settings

NOTEBOOK = json.loads((Path(__file__).parents[2] / "notebooks" / "steps" / "report.ipynb").read_text())


def shown(part: str, **names: Any) -> str:
    """Return what the cell with some words shows, as HTML."""
    opening, cell = (
        next("".join(cell["source"]) for cell in NOTEBOOK["cells"] if words in "".join(cell["source"]))
        for words in ("import pandas", part)
    )
    exec(opening.partition("step = ")[0], names)
    *lines, last = cell.splitlines()
    exec("\n".join(lines), names)
    return str(eval(last, names).to_html())


def test_a_year_that_a_strategy_did_not_trade_is_no_black_cell(walk_forward_made):
    simulation = walk_forward_made.simulation
    returns = simulation.returns
    later = replace(simulation, returns=returns.set_axis(returns.index + pd.DateOffset(years=1)))
    results = [walk_forward_made, replace(walk_forward_made, strategy="later", simulation=later)]
    page = shown("yearly = ", results=results)
    black = [rule for rule in page.split("}") if "background-color: #000000" in rule]
    assert len(black) == 1
    # The last word of a rule counts.
    assert black[0].index("background-color: #000000") < black[0].index("background-color: transparent")
    assert black[0].index("color: #f1f1f1") < black[0].index("color: inherit")


def test_the_size_of_a_table_is_in_megabytes(tmp_path):
    settings, paths = Settings(sample=SampleParams(years=2, symbols_per_sector=2)), Paths(tmp_path)
    rows = SampleSource(settings.sample).fetch(Request("symbols")).rows
    put(open_lake(settings, paths), "symbols", rows)
    page = shown("overview(", settings=settings, step=SimpleNamespace(paths=paths))
    titles = [text.partition("<")[0].strip() for text in page.partition("<tbody>")[0].split("col_heading")[1:]]
    assert [title.partition(">")[2].strip() for title in titles] == [
        "Dataset", "Version", "Rows", "First", "Last", "MB", "Quarantined",
    ]  # fmt: skip
