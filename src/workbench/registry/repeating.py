"""A recorded walk-forward made again: its own settings, parameters and table versions, held against what was recorded.

>>> found = repeat(Tracking(settings, paths), "63bbc6b343274a4c9ae0cbe4f3cd7651")
>>> found.worst                                     # the largest difference of a session's return: 0.0

Nothing is recorded and nothing is counted: it is the same trial.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.backtest.result import WalkForward
from workbench.backtest.walkforward import walk_forward
from workbench.data.lake import Lake, open_lake
from workbench.errors import InputRefused, LakeDamaged, NoData
from workbench.params import Settings, StrategyParams, settings_from
from workbench.registry.checkout import checkout
from workbench.registry.connection import Connection

SHORTEST_ID = 6
NEWEST = 1000
_TABLE = re.compile(r"version (?P<version>\d+), digest (?P<digest>\S+)")


@dataclass(frozen=True)
class Repeated:
    """What was recorded and what came now; ``commit`` is the recorded one, ``code`` the one of today."""

    run_id: str
    then: WalkForward
    now: WalkForward
    tables: Mapping[str, int]
    commit: str
    code: str

    @property
    def worst(self) -> float:
        """The largest difference of a session's return; infinite where the sessions differ."""
        before, after = self.then.simulation.returns, self.now.simulation.returns
        if not before.index.equals(after.index):
            return float("inf")
        return float(np.abs(before.to_numpy(dtype=float) - after.to_numpy(dtype=float)).max(initial=0.0))

    @property
    def same_code(self) -> bool:
        """Whether the run was made by a commit without changes, which is the one of today."""
        return bool(self.commit) and self.commit == self.code


def repeat(connection: Connection, run: str, say: Callable[[str], None] | None = None) -> Repeated:
    """Walk a recorded run forward again, on exactly the rows that it read."""
    run_id = find_run(connection, run)
    tags = connection.tags(run_id)
    strategy = tags.get("strategy", "")
    with connection.artifacts(run_id) as folder:
        settings, params = _asked(folder, run_id, strategy)
        then = WalkForward.load(folder / "result")
    lake = open_lake(settings, connection.paths)
    versions = pinned_tables(tags, lake, run_id)
    data = settings.data
    bars = lake.bars(start=data.start, end=data.end, as_of=data.as_of, versions=versions)
    now = walk_forward(strategy, params, bars, settings, progress=say)
    code = checkout(connection.paths.root)
    clean = tags.get("git.dirty", "true") == "false"
    return Repeated(
        run_id,
        then,
        now,
        versions,
        tags.get("git.commit", "") if clean else "",
        "" if code.dirty else code.commit,
    )


def find_run(connection: Connection, run: str) -> str:
    """Return the full id of a run named by the first digits of it, as reports and tear sheets do."""
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},32}}", run):
        raise InputRefused(f"run '{run}': an id has {SHORTEST_ID} to 32 hex digits, as in the tear sheet's name")
    if len(run) == 32:
        return run
    client, experiment = connection.client(), connection.experiment_id()
    with connection.doing("look for the run"):
        known = client.search_runs([experiment], max_results=NEWEST, order_by=["attributes.start_time DESC"])
    found = [str(one.info.run_id) for one in known if str(one.info.run_id).startswith(run)]
    if not found:
        raise NoData(f"run '{run}': none of the newest {NEWEST:,} runs begins so; make ui lists them")
    if len(found) > 1:
        raise InputRefused(f"run '{run}': {len(found)} runs begin so; write more digits")
    return found[0]


def pinned_tables(tags: Mapping[str, str], lake: Lake, run_id: str) -> dict[str, int]:
    """Return the versions that a run read, each still holding the very rows."""
    found: dict[str, int] = {}
    for tag, text in tags.items():
        told = _TABLE.search(text) if tag.startswith("data.") else None
        if told is None:
            continue
        name, version = tag.removeprefix("data."), int(told["version"])
        digest = lake.digest(name, version)
        if digest != told["digest"]:
            raise LakeDamaged(
                f"table {name} version {version} holds {digest[:12]}, run {run_id[:8]} read {told['digest'][:12]}: the "
                "table was made anew; restore data/ from a backup, or make the run anew with --fresh"
            )
        found[name] = version
    if not found:
        raise NoData(f"run {run_id[:8]} names no table versions; only runs of the backtest pipeline can be repeated")
    return found


def _asked(folder: Path, run_id: str, strategy: str) -> tuple[Settings, StrategyParams]:
    file = folder / f"{strategy}.params.json"
    if not strategy or not file.is_file():
        raise NoData(f"run {run_id[:8]} keeps no parameters; only walk-forwards of the pipeline can be repeated")
    return settings_from(folder / "settings.json"), StrategyParams.model_validate_json(file.read_text())
