"""What stands behind a version: its pack, the run that made it, the notebooks that were executed, the code."""

from __future__ import annotations

import json
from typing import Any

from workbench.errors import WorkbenchError
from workbench.params import Paths, Settings
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.packs.candidate import FOLDER, PACK
from workbench.registry.packs.pack import PARTS, Pack
from workbench.registry.storing import STRATEGY

NOTEBOOKS = "notebooks/"


def evidence_lines(settings: Settings, paths: Paths, strategy: str, version: int, pack: str) -> list[str]:
    """Return the lines that lead from a strategy to the cell that tested it; what is gone is said."""
    lines = [f"pack      {strategy} version {version}: {pack[:12]}"]
    try:
        desk = Desk.open(settings, paths)
        found = desk.candidate(desk.known(STRATEGY, strategy), version).pack
    except WorkbenchError as error:
        return [*lines, f"          its evidence cannot be read now: {error}"]
    if found.digest != pack:
        return [*lines, f"          version {version} holds pack {found.digest[:12]} now; see: workbench status"]
    code = f", code {found.code.entry_point} at commit {found.code.commit[:12]}" if found.code else ""
    lines.append(f"run       MLflow {found.run_id}, pipeline run {found.pipeline_run}{code}")
    tables = ", ".join(f"{table} {facts['version']}" for table, facts in sorted(found.json("data.json").items()))
    lines.append(f"tested on {tables}")
    notebooks = [path for path in sorted(found.files) if path.startswith(NOTEBOOKS) and path.endswith(".ipynb")]
    lines += [f"notebook  {path.removeprefix(NOTEBOOKS)}{_cell(found, path)}" for path in notebooks]
    folder = desk.models.connection.artifact_folder(found.run_id)
    if notebooks and folder is not None:
        lines.append(f"          as they were executed: {paths.short(folder / FOLDER / PACK / PARTS / NOTEBOOKS)}")
    return lines


def _cell(pack: Pack, path: str) -> str:
    """Name the cell that walked the strategy forward; cells are counted from 1, those with text too."""
    cells: list[Any] = pack.json(path).get("cells", [])
    for number, cell in enumerate(cells, 1):
        if cell.get("cell_type") == "code" and "walk_forward(" in "".join(cell.get("source", ())):
            return f", cell {number}: {_call(''.join(cell['source']))}"
    return ""


def _call(source: str) -> str:
    line = next(line for line in source.splitlines() if "walk_forward(" in line)
    return json.dumps(line.strip())
