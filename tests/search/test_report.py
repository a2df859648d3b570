import json
import re
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest

from workbench.backtest.text import number
from workbench.cli.research import _show_sweep
from workbench.registry.connection import Connection
from workbench.search.bar import LogBar, duration
from workbench.search.figures import draw
from workbench.search.page import render, sources
from workbench.search.report import Left, next_lines, report
from workbench.strategies.sma_cross import SmaCross

# MLflow's schema uses what SQLAlchemy will take away.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
WIDE = ("fast=2:20:1", "slow=6:60:3")


@pytest.fixture
def found(desk):
    return desk.sweep()


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_map_has_the_number_of_every_cell_beside_its_neighbourhoods(found):
    figure = draw(found)["heat_map"]
    own, around = figure.axes
    shown = [text.get_text() for text in own.texts]
    assert sorted(shown) == sorted(f"{score:.2f}".replace("-", "−") for score in found.table["train_score"])
    assert len(around.texts) == int(found.table["plateau"].notna().sum())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["The cell itself", "Median of its neighbourhood"]
    assert "SAMPLE MARKET" in [text.get_text() for text in figure.texts]


def test_a_third_parameter_gives_a_map_for_each_of_its_values_and_lines(desk):
    from workbench.params import StrategyParams
    from workbench.search.sweep import Request, sweep

    params = StrategyParams(
        question="Do extremes come back in days?",
        params={"window": 5, "hold": 5, "max_volatility": 0.45},
        grid={"window": [2, 5], "hold": [2, 4], "max_volatility": [None, 0.2, 0.45]},
    )
    made_by = {"data": "a walk"}
    request = Request("mean_reversion")
    found = sweep(request, params, desk.bars, desk.settings, desk.paths, made_by=made_by)
    pictures = draw(found)
    assert set(pictures) == {"heat_map", "company", "parallel"}
    across = {axes.get_title(loc="left").rsplit(" ", 1)[0] for axes in pictures["heat_map"].axes}
    assert len(across) == 1
    assert across < {"window", "hold", "max_volatility"}
    assert [label.get_text() for label in pictures["parallel"].axes[0].get_xticklabels()] == [
        *("window", "hold", "max_volatility", "sharpe")
    ]


def test_trials_and_one_parameter_have_their_pictures_too(desk):
    assert set(draw(desk.sweep(*WIDE, trials=12, seed=1))) == {"heat_map", "company", "parallel"}
    line = draw(desk.sweep("slow=[12]"))["heat_map"]
    assert len(line.axes[0].lines[0].get_xdata()) == 3


def test_a_sweep_is_one_run_in_mlflow_with_its_best_cells_nested(found, desk):
    settings = desk.settings.model_copy(update={"search": desk.settings.search.model_copy(update={"best": 3})})
    left = report(found, settings, desk.paths)
    assert left.page.parent == desk.paths.reports
    client = Connection(settings, desk.paths).client()
    experiment = client.get_experiment_by_name("sweep")
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.info.run_id == left.mlflow_run_id)
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == left.mlflow_run_id]
    assert (len(runs), len(children)) == (4, 3)
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert json.loads(parent.data.params["grid.fast"]) == [2, 4, 8]
    assert parent.data.metrics["cells"] == 8.0
    assert parent.data.tags["trials.head"] == found.head
    best = found.table.iloc[0]
    first = next(run for run in children if run.data.tags["mlflow.runName"].startswith("1 · "))
    assert first.data.params == {"fast": str(best["fast"]), "slow": str(best["slow"])}
    assert first.data.metrics["plateau"] == pytest.approx(best["plateau"])
    names = {file.path for file in client.list_artifacts(left.mlflow_run_id)}
    assert {"table.parquet", "sweep.html", "heat_map.png", "company.png", "tables"} <= names
    assert isinstance(parent, mlflow.entities.Run)
    # Asked again, nothing is recorded again.
    again = report(desk.sweep(), settings, desk.paths)
    assert again.mlflow_run_id == left.mlflow_run_id
    assert len(client.search_runs([experiment.experiment_id])) == 4


def test_the_page_says_it_all_and_loads_nothing(found, desk):
    page = report(found, desk.settings, desk.paths).page.read_text()
    assert found.terrain.sentence.replace("'", "&#39;") in page
    assert "SAMPLE MARKET" in page
    assert "Choosing anew in each of 4 windows" in page
    assert len(re.findall(r"<svg", page)) == 3
    assert not re.findall(r"""(?:src|href)=["']?https?://""", page)


def test_a_page_calls_no_cell_a_plateau_that_is_none_and_one_height_is_told_everywhere(failing):
    plateaus = int(failing.scored["plateau"].notna().sum())
    assert plateaus == 5 < len(failing.scored)
    pictures = draw(failing)
    page = render(failing, pictures)
    rows = page.partition("<h2>The best 5 plateaus</h2>")[2].partition("</table>")[0].partition("<tbody>")[2]
    assert rows.count("<tr>") == plateaus
    assert "–" not in rows
    (subtitle,) = [text.get_text() for text in pictures["parallel"].texts if "thick: " in text.get_text()]
    assert "thick: the 5 best plateaus, the best in yellow" in subtitle
    assert len(pictures["parallel"].axes[0].collections[1].get_segments()) == plateaus
    best = failing.table.iloc[0]
    (tile,) = re.findall(r"<span>(median Sharpe .*?)</span>", page)
    assert tile == f"median Sharpe {number(best['plateau'])} in training, the cell itself {number(best['train_score'])}"
    assert failing.terrain.plateau.around == best["plateau"]


def test_a_probability_is_never_rounded_to_certainty(found, desk, capsys):
    sure = replace(found, luck=replace(found.luck, dsr=0.99996, dsr_raw=1.0, pbo=0.0))
    assert "<b>&gt;99.9 %</b>" in (page := render(sure, {}))
    assert "&gt;99.9 % with it; probability of overfitting &lt;0.1 %" in page
    _show_sweep(sure, Left(desk.paths.reports / "page.html", ""), desk.paths)
    assert "Deflated Sharpe ratio >99.9 %, probability of overfitting <0.1 %." in capsys.readouterr().out


@pytest.fixture
def failing(desk, monkeypatch):
    """A search in which two of eight cells fail: those with slow=24 raise when they look at the bars, save the last."""
    weights = SmaCross.weights

    def raising(self, bars):
        if self.slow == 24 and self.fast < 8:
            raise ValueError(f"no average of {self.slow}")
        return weights(self, bars)

    monkeypatch.setattr(SmaCross, "weights", raising)
    return desk.sweep()


def test_failed_cells_are_told_with_the_first_error_and_where(failing, desk, capsys):
    told = "2 of 8 cells failed, the first: ValueError: no average of 24 at fast=2 slow=24"
    assert failing.failure == told
    left = report(failing, desk.settings, desk.paths)
    assert f"<b>{told}</b>" in left.page.read_text()
    _show_sweep(failing, left, desk.paths)
    shown = capsys.readouterr().out
    assert shown.count(told) == 1
    # What failed is no row of the best: it would be a row of dashes.
    assert failing.scored["slow"].eq(24).sum() == 1
    rows = re.findall(r"^ *(\d+) +(\d+) ", shown, re.MULTILINE)
    assert len(rows) == 5  # nor is what is no plateau: too few of its neighbours were measured
    assert not {("2", "24"), ("8", "24")} & set(rows)


def test_nothing_is_said_of_failures_where_nothing_failed(found, desk, capsys):
    left = report(found, desk.settings, desk.paths)
    assert "failed" not in left.page.read_text()
    _show_sweep(found, left, desk.paths)
    assert "failed" not in capsys.readouterr().out


def test_the_page_tells_its_sources_in_words_and_leaves_out_what_is_empty(desk):
    made_by = {
        "settings": "4f5e", "universe": ["TEC00", "FIN01"], "sizing": {},
        "data": {"prices_daily": "version 3, digest 9f86", "actions": "version 1, digest 11aa"},
    }  # fmt: skip
    found = desk.sweep(made_by=made_by)
    told = sources(found)
    assert told[:4] == [
        ("run", found.run_id), ("grid fast", "2, 4, 8"), ("grid slow", "6, 12, 24"), ("universe", "TEC00, FIN01")
    ]  # fmt: skip
    assert told[4:6] == [("data prices_daily", "version 3, digest 9f86"), ("data actions", "version 1, digest 11aa")]
    assert [name for name, _ in told[6:]] == ["settings, digest", "code, digest", "trial ledger"]
    page = report(found, desk.settings, desk.paths).page.read_text()
    facts = page.partition("Where this comes from")[2]
    assert not re.search(r"[{}\[\]]|&#39;|None|sizing", facts)


def test_the_next_lines_hold_the_plateau_and_one_step_around_it(found):
    fast, slow = (int(found.table.iloc[0][name]) for name in ("fast", "slow"))
    around = {"fast": {2: [2, 4], 4: [2, 4, 8], 8: [4, 8]}, "slow": {6: [6, 12], 12: [6, 12, 24], 24: [12, 24]}}
    assert next_lines(found) == (
        f"  params: {{fast: {fast}, slow: {slow}}}\n"
        f"  grid:\n    fast: {around['fast'][fast]}\n    slow: {around['slow'][slow]}"
    )


def test_kept_returns_belong_to_the_cells_of_the_table(found):
    parts = pd.concat([pd.read_parquet(file) for file in (found.folder / "cells").glob("*.parquet")])
    assert len(parts) == 8
    row = parts[parts["cell"] == '{"fast": 4, "slow": 12}'].iloc[0]
    returns = np.asarray(row["returns"])
    assert returns.mean() / returns.std(ddof=1) * np.sqrt(252) == pytest.approx(row["test_score"])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (42, "42 s"), (200, "3 min"), (9000, "2.5 h"), (400_000, "4.6 days")]
)
def test_a_duration_is_said_as_people_say_it(seconds, text):
    assert duration(seconds) == text


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr("workbench.search.bar.LINE_SECONDS", 0.0)
    bar = LogBar()
    bar.begin(10, 4)
    bar.advance(2)
    bar.advance(4)
    bar.end()
    lines = capsys.readouterr().err.splitlines()
    assert [line[9:].partition(",")[0] for line in lines[:1]] == ["6 of 10"]
    assert lines[-1][9:] == "10 of 10 in 1 s"
