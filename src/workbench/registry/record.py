"""What a run keeps of a walk-forward: numbers, curves, parameters, tags and files, before anyone sends them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import workbench
from workbench.backtest.overfit import Overfitting
from workbench.backtest.result import WalkForward
from workbench.disk import write_whole, writing
from workbench.params import Settings, StrategyParams
from workbench.registry.checkout import Checkout
from workbench.registry.store import masked
from workbench.types import SAMPLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE_POINTS = 300  # of each curve: finer than a chart shows, and half the time of the whole batch
TABLE_ROWS = 2000
FIRST_SESSION = "2000-01-03"  # step 0 of every curve: runs of other years overlay at their own dates
PACKAGES = ("numpy", "pandas", "polars", "pyarrow", "deltalake", "vectorbt", "TA-Lib", "matplotlib", "mlflow")
PICTURES = ("equity", "drawdown", "heat_map", "folds")
TABLES = ("folds", "cells", "trades")
# What of the settings shaped a walk-forward.
SECTIONS = ("market", "sample", "data", "walk_forward", "sizing", "portfolio", "costs")

Table = Mapping[str, Any] | int | str
Tables = Mapping[str, Table]


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """Return the versions of what computed the run."""
    found = {"python": f"{platform.python_version()} on {platform.system()} {platform.machine()}"}
    found["workbench"] = workbench.__version__
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def lock_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each lock file."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((root / "locks").glob("*.lock"))
        if file.name in ("research.lock", "lab.lock", "dev.lock")
    }


def write_artifacts(
    folder: Path,
    wf: WalkForward,
    settings: Settings,
    params: StrategyParams | None,
    code: Checkout,
    provenance: Mapping[str, str],
    files: Iterable[Path] = (),
    overfitting: Overfitting | None = None,
) -> Path:
    """Write into ``folder`` what the run keeps, and return the tear sheet among it."""
    from workbench.backtest import figures, tearsheet

    names = (*PICTURES, *(["robustness"] if wf.robustness else []))
    pictures: dict[str, Figure] = {name: figures.FIGURES[name](wf) for name in names}
    for name, picture in pictures.items():
        figures.png(picture, folder / f"{name}.png")
    sheet = folder / "tearsheet.html"
    sheet.write_text(tearsheet.render(wf, settings, provenance, pictures, overfitting))
    wf.save(folder / "result")
    for name, table in _tables(wf).items():
        write_table(folder / "tables" / f"{name}.json", table)
    (folder / "settings.json").write_text(masked(settings.model_dump_json(indent=1)))
    (folder / "environment.json").write_text(json.dumps(dict(provenance), indent=1))
    if params is not None:
        (folder / f"{wf.strategy}.params.json").write_text(params.model_dump_json(indent=1))
    if code.diff:
        (folder / "dirty.diff").write_text(code.diff)
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return sheet


def _tables(wf: WalkForward) -> dict[str, pd.DataFrame]:
    """Return the tables that MLflow shows, each short enough for its viewer."""
    folds = wf.folds.assign(params=[json.dumps(params) for params in wf.folds["params"]])
    return {
        "folds": folds,
        "cells": wf.cells.round(4).head(TABLE_ROWS),
        "trades": wf.simulation.trades.head(TABLE_ROWS),
    }


def write_table(file: Path, table: pd.DataFrame) -> None:
    """Write a table in the form that MLflow's viewer reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shown = table.copy()
    for name in shown.columns:
        if isinstance(shown[name].dtype, pd.DatetimeTZDtype) or shown[name].dtype.kind == "M":
            shown[name] = shown[name].dt.strftime("%Y-%m-%d")
    shown.to_json(file, orient="split", index=False)


def publish(sheet: Path, target: Path) -> Path:
    """Copy the tear sheet to where people look for it, in one step."""
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, sheet.read_bytes())
    return target


def statistics(wf: WalkForward) -> tuple[dict[str, float], list[str]]:
    """Return every statistic by its metric name, and those that are not finite: MLflow has no place for them."""
    found = {f"oos_{name}": float(value) for name, value in wf.out_of_sample.items()}
    for name, (low, high) in wf.intervals.items():
        found |= {f"oos_{name}_low": float(low), f"oos_{name}_high": float(high)}
    found |= {f"is_{name}": float(value) for name, value in wf.in_sample.items()}
    found |= wf.robustness.metrics() if wf.robustness else {}
    odd = [f"{name}={value}" for name, value in found.items() if not np.isfinite(value)]
    return {name: value for name, value in found.items() if np.isfinite(value)}, odd


def curves(wf: WalkForward) -> list[tuple[str, float, int, int]]:
    """Return equity (growth of 1) and drawdown, point by point: name, value, time in ms, step (weekdays since 2000)."""
    index = pd.DatetimeIndex(wf.simulation.equity.index)
    index = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
    rows = np.unique(np.linspace(0, len(index) - 1, min(CURVE_POINTS, len(index))).round().astype(int))
    days = index[rows].to_numpy().astype("datetime64[D]")
    intraday = len(np.unique(index.to_numpy().astype("datetime64[D]"))) < len(index)
    steps = rows if intraday else np.busday_count(FIRST_SESSION, days)
    times = index[rows].to_numpy().astype("datetime64[ms]").astype(np.int64)
    drawn = {
        "equity": (wf.simulation.equity / wf.simulation.cash).to_numpy(dtype=float)[rows],
        "drawdown": wf.simulation.drawdown.to_numpy(dtype=float)[rows],
    }
    return [
        (name, value, at, step)
        for name, values in drawn.items()
        for value, at, step in zip(values.tolist(), times.tolist(), steps.tolist(), strict=True)
        if np.isfinite(value)
    ]


def parameters(settings: Settings, params: StrategyParams | None, wf: WalkForward) -> dict[str, str]:
    """Return what shaped the run, flat: the newest choice, the grid and the settings."""
    flat: dict[str, Any] = {f"chosen.{name}": value for name, value in wf.params.items()}
    sizing: Mapping[str, Any] = {}
    if params is not None:
        flat |= {f"grid.{name}": values for name, values in params.grid.items()}
        flat |= {f"fixed.{name}": value for name, value in params.params.items() if name not in params.grid}
        flat["universe"] = " ".join((*params.universe.sectors, *params.universe.symbols)) or "all"
        sizing = params.sizing
    content = settings.model_dump(mode="json", include=set(SECTIONS))
    for section in SECTIONS:
        if section == "sample" and settings.market != SAMPLE:
            continue
        if isinstance(content[section], Mapping):
            own = {**content[section], **(sizing if section == "sizing" else {})}
            flat |= {f"{section}.{name}": value for name, value in own.items()}
    return {key(name): _value(value)[:6000] for name, value in flat.items()}


def tags(
    wf: WalkForward, code: Checkout, tables: Tables, locks: Mapping[str, str], odd: Sequence[str]
) -> dict[str, str]:
    """Return what runs are searched and told apart by, and what the interface shows of them."""
    found = {
        "market": wf.market,
        "question": wf.question,
        "git.commit": code.commit,
        "git.dirty": str(code.dirty).lower(),
        "git.left_out": "; ".join(code.left_out),
        "mlflow.source.git.commit": code.commit,
        "mlflow.loggedArtifacts": json.dumps([{"path": f"tables/{name}.json", "type": "table"} for name in TABLES]),
        "mlflow.note.content": note(wf),
        "robust.verdict": wf.robustness.verdict if wf.robustness else "",
        "not_finite": ", ".join(odd),
        **{f"data.{name}": table_text(table) for name, table in tables.items()},
        **{f"lock.{name}": text for name, text in locks.items()},
    }
    return {key(name): value[:5000] for name, value in found.items() if value}


def note(wf: WalkForward) -> str:
    """Return the description that MLflow shows above a run, in Markdown."""
    from workbench.backtest import tearsheet

    stamp = f"**SAMPLE MARKET.** {tearsheet.MADE_DATA}\n\n" if wf.market == SAMPLE else ""
    pictures = ", ".join(f"`{name}.png`" for name in PICTURES)
    holds = f"{wf.robustness.verdict}\n\n" if wf.robustness else ""
    return (
        f"{stamp}**{tearsheet.headline(wf)}** {tearsheet.verdict(wf)}\n\n{holds}*{wf.question}*\n\n"
        f"Under *Artifacts*: `tearsheet.html` (everything on one page), {pictures}, "
        f"tables ({', '.join(TABLES)}), the result as Parquet."
    )


def table_facts(table: Table) -> dict[str, Any]:
    """Return what is known of a table that was read: its version, its digest, and what else was given."""
    if isinstance(table, Mapping):
        return dict(table)
    return {"version": table} if isinstance(table, int) else {"digest": table}


def table_text(table: Table) -> str:
    """Return a table's facts on one line: ``version 3, digest 9f86…``."""
    facts = table_facts(table)
    parts = [f"version {facts['version']}"] if "version" in facts else []
    return ", ".join(parts + [f"{name} {value}" for name, value in facts.items() if name != "version"])


def key(name: object) -> str:
    """Return a name that MLflow takes as the key of a metric, a parameter or a tag."""
    return re.sub(r"[^\w.\-/ :]", "_", str(name))[:250]


def _value(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
