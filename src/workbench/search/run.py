"""One search on disk, in data/runs/<run_id>/, known again by a key of all that its numbers depend on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.disk import read_json, write_json, writing
from workbench.errors import InputRefused, did_you_mean
from workbench.params import Paths, Settings, digest, freeze_settings
from workbench.runs import held, new_run_id
from workbench.step import SETTINGS

FACTS, PARTS = "sweep.json", "cells"
# What of the settings shapes a cell's numbers.
SECTIONS = ("market", "sample", "data", "walk_forward", "sizing", "portfolio", "costs")
FORMAT = 1  # raise it when a number means something else than before


@dataclass(frozen=True)
class Asked:
    """What a search is asked for; two searches with the same key find the same."""

    strategy: str
    question: str
    grid: Mapping[str, list[Any]]
    fixed: Mapping[str, Any]
    shape: Mapping[str, Any]  # universe, sizing, settings, data, code: digests and versions
    trials: int = 0  # 0: every cell of the grid
    sampler: str = ""
    seed: int = 0
    at_once: int = 0

    @property
    def key(self) -> str:
        """The digest of all that the result depends on."""
        return digest([FORMAT, self.stored()])[:16]

    def stored(self) -> dict[str, Any]:
        """Return what is asked as it is written into the run's folder."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class SearchRun:
    """An open run: nobody else works at the same search."""

    run_id: str
    folder: Path
    resumed: bool

    @property
    def parts(self) -> Path:
        """The folder of finished batches."""
        return self.folder / PARTS

    def save(self, asked: Asked, status: str, **facts: Any) -> None:
        """Write what is known of the run; facts of before stay."""
        content = {"run_id": self.run_id, "key": asked.key, "status": status, "asked": asked.stored(), **facts}
        write_json(self.folder / FACTS, {**self.facts(), **content})

    def facts(self) -> dict[str, Any]:
        """Return what was written of the run."""
        return read_json(self.folder / FACTS) or {}


@contextmanager
def opened(paths: Paths, settings: Settings, asked: Asked, *, fresh: bool = False) -> Iterator[SearchRun]:
    """Open the run of a search: the newest one that was asked for the same, or a new one."""
    known = None if fresh else find(paths, asked.key)
    run_id = known or new_run_id(f"sweep-{asked.strategy}")
    run = SearchRun(run_id, paths.runs / run_id, known is not None)
    with held(paths.state / f"sweep-{asked.key}.lock", paths, f"this sweep of {asked.strategy}", run_id):
        with writing(run.folder):
            run.parts.mkdir(parents=True, exist_ok=True)
            if known is None:
                freeze_settings(settings, run.folder / SETTINGS)
        run.save(asked, "running")
        yield run


def find(paths: Paths, key: str) -> str | None:
    """Return the newest run that was asked for this, or None."""
    for folder in sorted(paths.runs.glob("*-sweep-*/"), reverse=True):
        facts = read_json(folder / FACTS)
        if facts is not None and facts["key"] == key:
            return str(facts["run_id"])
    return None


def recall(paths: Paths, run_id: str) -> tuple[Asked, Path]:
    """Return what an earlier run was asked for, and its frozen settings."""
    known = [folder.parent.name for folder in paths.runs.glob(f"*/{FACTS}")]
    found = [name for name in known if name.startswith(run_id)] if run_id else []
    if len(found) != 1:
        several = f" is the beginning of {len(found)} runs" if found else ": no such sweep"
        raise InputRefused(f"--resume {run_id}{several} in {paths.short(paths.runs)}/.{did_you_mean(run_id, known)}")
    folder = paths.runs / found[0]
    facts = read_json(folder / FACTS)
    if facts is None:
        raise InputRefused(f"--resume {run_id}: {paths.short(folder / FACTS)} cannot be read; start the sweep again")
    return Asked(**facts["asked"]), folder / SETTINGS


def differences(before: Asked, now: Asked) -> list[str]:
    """Return what has changed since a run was begun: its cells cannot be mixed with new ones."""
    old, new = before.stored(), now.stored()
    shape = {name for name in {*old["shape"], *new["shape"]} if old["shape"].get(name) != new["shape"].get(name)}
    others = {name for name in old if name != "shape" and digest(old[name]) != digest(new[name])}
    return sorted(shape | others)
