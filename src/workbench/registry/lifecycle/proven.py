"""Which candidate a step takes where no version was named: the one whose evidence was found true last.

Evidence made again for code that went back to what it was proves an older version again, not the newest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import DataRefused, PackRefused, PromotionRefused
from workbench.registry.lifecycle.desk import Desk
from workbench.registry.lifecycle.evaluation import choose, evaluate
from workbench.registry.lifecycle.stages import RETIRED
from workbench.registry.lifecycle.state import State
from workbench.registry.storing import DIGEST, candidate_folder, pack_runs


@dataclass(frozen=True)
class Proven:
    """A candidate's folder, its version (0: none yet), and why no step would be taken with it, where that is so."""

    folder: Path
    version: int
    wrong: tuple[str, ...]


def choose_proven(desk: Desk, state: State, version: int | None) -> int:
    """Return the version to take a step with: the one asked for, or the one whose evidence was found true last."""
    found = None if version is not None else _last(desk, state)
    return found[1] if found and found[1] else choose(state, version)


def proven(desk: Desk, kind: str, name: str) -> Proven:
    """Return the candidate that a step would take now; nothing is written."""
    state = desk.record.state(kind, name)
    found = _last(desk, state)
    if found is None:
        choose(desk.known(kind, name), None)  # says what is missing: a pack, or a version that is not retired
        raise PackRefused(
            f"{name}: the packs of its versions are gone from MLflow; restore {desk.models.connection.shown} from a "
            "backup, or make the evidence again"
        )
    run_id, version = found
    folder = candidate_folder(desk.models.connection, run_id)
    return Proven(folder, version, _wrong(desk, state, version))


def _last(desk: Desk, state: State) -> tuple[str, int] | None:
    """Return the run and the version (0: none yet) of the evidence that was true last, retired ones left out."""
    for run in pack_runs(desk.models.connection, state.kind, state.name):
        known = state.with_pack(run.data.tags[DIGEST])
        if known is None or known.stage != RETIRED:
            return str(run.info.run_id), known.version if known else 0
    return None


def _wrong(desk: Desk, state: State, version: int) -> tuple[str, ...]:
    if not version:
        return (f"{state.name}: this pack is no version yet; promote makes it one, if it is sound",)
    try:
        voids = evaluate(desk, state, version).voids
    except (DataRefused, PromotionRefused) as error:
        return (str(error),)
    return tuple(f"{state.name} version {version}: promote refuses it: {why}" for why in voids)
