"""A pack as a person reads it: tables of its verdicts, its numbers and where each of them comes from.

>>> pack = newest_pack(tracking)
>>> provenance(pack, "out_of_sample.sharpe")
"""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.backtest.result import WalkForward
from workbench.errors import InputRefused, did_you_mean
from workbench.registry.connection import Connection
from workbench.registry.making.parts import DATA, GATES, LOCK, NOTEBOOKS, RESULT, STATISTICS, TRIALS
from workbench.registry.packs.canonical import short
from workbench.registry.packs.pack import Pack
from workbench.registry.storing import STRATEGY, pack_runs, stored_pack


def newest_pack(connection: Connection, strategy: str = "") -> Pack | None:
    """Return the newest pack of a strategy, or of any; None where none was made yet."""
    runs = pack_runs(connection, STRATEGY, strategy)
    return stored_pack(connection, str(runs[0].info.run_id)) if runs else None


def verdicts(pack: Pack | None) -> pd.DataFrame:
    """Return what the gates said when the pack was made: asked, measured, outcome and what to do."""
    columns = ["gate", "asked", "measured", "outcome", "why", "remedy"]
    return pd.DataFrame([] if pack is None else pack.json(GATES)["verdicts"], columns=columns)


def result(pack: Pack) -> WalkForward:
    """Return the walk-forward that the pack holds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in pack.files.items():
            if path.startswith(f"{RESULT}/"):
                (folder / Path(path).name).write_bytes(content)
        return WalkForward.load(folder)


def drawdown_band(pack: Pack | None) -> pd.DataFrame:
    """Return sessions × confidence, the largest drawdown that is still no news."""
    bounds = {} if pack is None else pack.json(STATISTICS)["drawdown_band"]["bounds"]
    rows = {int(horizon): bounds[horizon] for horizon in sorted(bounds, key=int)}
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("sessions")
    return table.rename(columns=lambda confidence: f"{float(confidence):.0%} of paths stay above")


def provenance(pack: Pack | None, number: str) -> pd.DataFrame:
    """Return from where a number of statistics.json comes: its part, notebook, run, data, code and environment."""
    columns = ["what", "which", "SHA-256"]
    if pack is None:
        return pd.DataFrame([], columns=columns)
    known = {part.path: short(part.sha256) for part in pack.parts}
    made = next((path for path in known if path.startswith(f"{NOTEBOOKS}/walk_forward")), "")
    trials, code = pack.json(TRIALS), pack.code
    rows = [
        (number, _number(pack, number), known[STATISTICS]),
        ("part", STATISTICS, known[STATISTICS]),
        ("result", f"{RESULT}/result.json", known[f"{RESULT}/result.json"]),
        ("notebook", made or "made by hand", known.get(made, "")),
        ("MLflow run", pack.run_id, ""),
        ("pipeline run", pack.pipeline_run or "made by hand", ""),
        *((f"table {name}", f"version {facts['version']}", short(facts["digest"])) for name, facts in _data(pack)),
        ("trials", f"{trials['trials']} for question {trials['question']}", short(trials["head"])),
        ("commit", code.commit if code else "none", ""),
        ("not committed", ", ".join(code.changed) if code and code.changed else "nothing", ""),
        ("deciding code", f"{len(code.files)} files" if code else "none", short(code.digest) if code else ""),
        ("environment", LOCK, known[LOCK]),
        ("pack", f"{pack.made_by}, {pack.made_at:%Y-%m-%d %H:%M} UTC", short(pack.digest)),
    ]
    return pd.DataFrame(rows, columns=columns)


def tables(pack: Pack | None) -> pd.DataFrame:
    """Return the tables that were read: version, id, digest of the content and rows."""
    columns = ["table", "version", "rows", "digest", "id"]
    rows = [] if pack is None else [{"table": name, **facts} for name, facts in _data(pack)]
    return pd.DataFrame(rows, columns=columns)


def cells(pack: Pack | None, step: str, word: str = "") -> str:
    """Return the code cells of a step's executed notebook that hold a word, each with what it printed or returned."""
    if pack is None:
        return ""
    known = [path.removeprefix(f"{NOTEBOOKS}/") for path in pack.files if path.startswith(f"{NOTEBOOKS}/")]
    found = [name for name in known if name.removesuffix(".ipynb").partition("-")[0] == step]
    if not found:
        raise InputRefused(f"{pack.shown}: no notebook of a step '{step}'.{did_you_mean(step, known)}")
    code = [cell for cell in pack.json(f"{NOTEBOOKS}/{found[0]}")["cells"] if cell["cell_type"] == "code"]
    shown = [
        f"{found[0]} [{cell['execution_count']}]\n{_indented(cell['source'])}\n"
        + "".join(f"→ {said.strip()}\n" for said in map(_said, cell["outputs"]) if said.strip())
        for cell in code
        if word in "".join(cell["source"])
    ]
    return "\n".join(shown) or f"{found[0]}: no cell holds '{word}'"


def _data(pack: Pack) -> list[tuple[str, dict[str, Any]]]:
    return list(pack.json(DATA).items())


def _number(pack: Pack, path: str) -> str:
    value = pack.json(STATISTICS)
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            known = value if isinstance(value, dict) else ()
            raise InputRefused(f"{pack.shown}: {STATISTICS} has no '{path}'.{did_you_mean(key, known)}")
        value = value[key]
    return str(value)


def _said(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain") or ""
    return text if isinstance(text, str) else "".join(text)


def _indented(source: str | list[str]) -> str:
    return textwrap.indent(source if isinstance(source, str) else "".join(source), "    ")
