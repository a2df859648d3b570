"""What is left of a finished search for people: pictures and page, its run in MLflow, and the lines to go on with."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.backtest.figures import png
from workbench.backtest.tearsheet import MADE_DATA
from workbench.disk import read_json, write_json, writing
from workbench.params import Paths, Settings
from workbench.registry import record
from workbench.registry.connection import Connection
from workbench.registry.sweeps import BestCell, SweepRecord, record_sweep
from workbench.search.figures import draw
from workbench.search.found import Found, plain
from workbench.search.grid import is_number
from workbench.search.page import render, verdict
from workbench.search.plateau import assigned
from workbench.search.run import FACTS
from workbench.search.table import DONE, FAILED, PRUNED
from workbench.types import SAMPLE

PAGE, TABLE = "sweep.html", "tables/cells.json"


@dataclass(frozen=True)
class Left:
    """Where to look: the page, and the run in MLflow."""

    page: Path
    mlflow_run_id: str


def report(found: Found, settings: Settings, paths: Paths) -> Left:
    """Write pictures and page into the run's folder and data/reports/, and record the search in MLflow once."""
    figures = draw(found)
    with writing(found.folder):
        for name, figure in figures.items():
            png(figure, found.folder / f"{name}.png")
        (found.folder / PAGE).write_text(render(found, figures))
    page = record.publish(found.folder / PAGE, paths.reports / f"{found.run_id}.html")
    facts = read_json(found.folder / FACTS) or {}
    known = facts.get("mlflow_run_id", "")
    if not known or found.measured:
        known = _record(found, settings, paths)
        write_json(found.folder / FACTS, {**facts, "mlflow_run_id": known})
    return Left(page, known)


def next_lines(found: Found) -> str:
    """Return how to put the plateau into the strategy's file: its cell, and the grid one step around it."""
    lines = [f"  params: {_yaml(found.best)}", "  grid:"]
    for name in found.varied:
        lines.append(f"    {name}: {json.dumps(_beside(found.best[name], found.asked.grid[name]))}")
    return "\n".join(lines)


def _record(found: Found, settings: Settings, paths: Paths) -> str:
    with tempfile.TemporaryDirectory(prefix="workbench-sweep-") as name:
        folder = Path(name)
        for file in (*found.folder.glob("*.png"), *found.folder.glob("*.parquet"), *found.folder.glob("*.html")):
            shutil.copy2(file, folder / file.name)
        record.write_table(folder / TABLE, found.table.head(record.TABLE_ROWS).round(4))
        statuses = found.table["status"].value_counts()
        counts = {f"cells_{status}": float(statuses.get(status, 0)) for status in (DONE, PRUNED, FAILED)}
        luck, terrain = found.luck, found.terrain
        numbers: dict[str, float | None] = {
            "cells": float(found.cells),
            **counts,
            "seconds": found.seconds,
            "peak.train_score": terrain.peak.score,
            "peak.keeps": terrain.peak.keeps,
            "plateau.train_score": terrain.plateau.score,
            "plateau.keeps": terrain.plateau.keeps,
            "plateau.test_score": float(found.table["test_score"].iloc[terrain.plateau.place]),
            **{f"rule.{rule.by}.test_score": rule.mean for rule in found.rules},
            "trials": float(luck.trials),
            "overfit.dsr": luck.dsr,
            "overfit.pbo": luck.pbo,
        }
        asked = found.asked
        return record_sweep(
            Connection(settings, paths),
            SweepRecord(
                strategy=asked.strategy,
                run_id=found.run_id,
                note=_note(found),
                params={
                    **{f"grid.{name}": values for name, values in asked.grid.items()},
                    **{f"fixed.{name}": value for name, value in asked.fixed.items()},
                    **{f"plateau.{name}": value for name, value in plain(terrain.plateau.params).items()},
                    **{f"peak.{name}": value for name, value in plain(terrain.peak.params).items()},
                    **({"trials": asked.trials, "sampler": asked.sampler, "seed": asked.seed} if asked.trials else {}),
                    "select_by": found.select_by,
                },
                numbers={name: value for name, value in numbers.items() if value is not None},
                tags={
                    "question": asked.question,
                    "trials.head": found.head,
                    "folder": paths.short(found.folder),
                    **{f"data.{name}": text for name, text in asked.shape.get("data", {}).items()},
                    "settings.digest": str(asked.shape["settings"]),
                },
                seconds=found.seconds,
                folder=folder,
                table=TABLE,
                best=_best(found, settings.search.best),
            ),
        )


def _best(found: Found, count: int) -> list[BestCell]:
    cells = []
    rows = found.table[(found.table["status"] == DONE) & found.table["plateau"].notna()].head(count)
    for place, (_, row) in enumerate(rows.iterrows(), start=1):
        params = plain({name: row[name] for name in found.asked.grid})
        numbers = {
            str(name): float(row[name]) for name in row.index if str(name).startswith(("train", "test", "plateau"))
        }
        shown = assigned({name: params[name] for name in found.varied})
        cells.append(BestCell(f"{place} · {shown}", {**found.asked.fixed, **params}, numbers))
    return cells


def _note(found: Found) -> str:
    """Return the description that MLflow shows above the run, in Markdown."""
    stamp = f"**SAMPLE MARKET.** {MADE_DATA}\n\n" if found.market == SAMPLE else ""
    return (
        f"{stamp}**{found.terrain.sentence}** {verdict(found)}\n\n*{found.asked.question}*\n\n"
        f"Under *Artifacts*: `{PAGE}` (everything on one page), pictures, `table.parquet` (every cell). "
        "The nested runs are the best plateaus."
    )


def _beside(value: Any, values: list[Any]) -> list[Any]:
    """Return the value with one step of its axis on each side."""
    if not is_number(value):
        return [value]
    ordered = sorted(one for one in values if is_number(one))
    nearest = min(range(len(ordered)), key=lambda place: abs(ordered[place] - value))
    around = ordered[max(nearest - 1, 0) : nearest + 2]
    return sorted({*around, value})


def _yaml(params: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {json.dumps(value)}" for name, value in params.items()) + "}"
