"""What became of pipeline runs: results, the history in data/runs, finished steps by their keys, and the lock."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.disk import read_json, write_json, writing
from workbench.errors import AlreadyRunning, InputRefused, StepFailed, did_you_mean
from workbench.params import Paths
from workbench.step import MANIFEST, OUTPUTS

EXECUTED, STATUS = "notebook.ipynb", "status.json"
GOOD, OPEN = ("done", "reused"), ("waiting", "running")

Versions = Callable[[Sequence[str]], Mapping[str, Any]]


@dataclass(frozen=True)
class StepResult:
    """What became of a step: done, reused, failed, stopped or not run.

    ``folder`` is where it wrote, in an earlier run when it was reused. ``attempts`` has a row for each time that its
    notebook was executed: seconds, kernel (forked, or ordinary and why), error.
    """

    id: str
    status: str
    folder: Path
    key: str = ""
    seconds: float = 0.0
    outputs: Mapping[str, Any] = field(default_factory=dict)
    attempts: tuple[Mapping[str, Any], ...] = ()
    reused_from: str = ""
    error: str = ""

    @property
    def notebook(self) -> Path:
        """The executed notebook."""
        return self.folder / EXECUTED

    def stored(self, paths: Paths) -> dict[str, Any]:
        """Return the result as it is written into files: paths as seen from the root."""
        return {**asdict(self), "folder": paths.short(self.folder), "notebook": paths.short(self.notebook)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any], paths: Paths) -> StepResult:
        """Return a result that was stored."""
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        known |= {"folder": paths.root / stored["folder"], "attempts": tuple(stored["attempts"])}
        return cls(**known)


@dataclass(frozen=True)
class RunResult:
    """What became of a run: done, failed, stopped, interrupted (its process died) or running."""

    run_id: str
    pipeline: str
    status: str
    folder: Path
    started: str
    seconds: float
    steps: tuple[StepResult, ...]

    def step(self, id: str) -> StepResult:
        """Return one step's result."""
        for step in self.steps:
            if step.id == id:
                return step
        raise InputRefused(f"{self.run_id}: no step '{id}'.{did_you_mean(id, [step.id for step in self.steps])}")

    @property
    def summary(self) -> str:
        """The steps counted by what became of them: ``4 done, 2 reused``."""
        statuses = [step.status for step in self.steps]
        return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


class RunFailed(StepFailed):
    """One step or more failed; ``result`` has what became of the others."""

    def __init__(self, message: str, result: RunResult) -> None:
        super().__init__(message)
        self.result = result


def run_history(paths: Paths) -> list[RunResult]:
    """Return all runs, newest first; one whose process died shows as interrupted."""
    lock = paths.state / "pipeline.lock"
    alive = _holder(lock).get("run_id") if _is_locked(lock) else None
    folders = sorted(paths.runs.glob("*/"), reverse=True) if paths.runs.is_dir() else []
    found = ((folder, read_json(folder / MANIFEST)) for folder in folders)
    runs = [read_run(folder, manifest, paths, alive) for folder, manifest in found if manifest is not None]
    return sorted(runs, key=lambda run: run.started, reverse=True)  # two of one second have ids in no order


def read_run(folder: Path, manifest: Mapping[str, Any], paths: Paths, alive: str | None) -> RunResult:
    """Return the run that a manifest tells of; only the one that is ``alive`` can be running."""
    steps = tuple(StepResult.restored(step, paths) for step in manifest["steps"].values())
    status = manifest["status"]
    if status == "running" and manifest["run_id"] != alive:
        status = "interrupted"
        steps = tuple(replace(step, status=status) if step.status in OPEN else step for step in steps)
    facts = {name: manifest[name] for name in ("run_id", "pipeline", "started", "seconds")}
    return RunResult(**facts, status=status, folder=folder, steps=steps)


@dataclass(frozen=True)
class Index:
    """Finished steps by their keys, a small file each; ``versions`` says which versions tables have now."""

    paths: Paths
    versions: Versions

    def of(self, tables: Sequence[str]) -> dict[str, Any]:
        """Return the versions of these tables now, None for one that is not there."""
        now = self.versions(tables) if tables else {}
        return {table: now.get(table) for table in tables}

    def find(self, key: str) -> StepResult | None:
        """Return the finished step with this key, when all that it left behind is still as it was."""
        entry = read_json(self._file(key))
        if entry is None:
            return None
        result = StepResult.restored(entry["result"], self.paths)
        files = {result.folder / name: size for name, size in entry["files"].items()}
        there = all(file.is_file() and file.stat().st_size == size for file, size in files.items())
        there = there and all((self.paths.root / name).exists() for name in entry["paths"])
        if not there or self.of(list(entry["writes"])) != entry["writes"]:
            return None
        return replace(result, status="reused", seconds=0.0, attempts=(), reused_from=entry["run_id"])

    def add(self, result: StepResult, run_id: str, writes: Sequence[str]) -> None:
        """Make a finished step known by its key."""
        files = {file for file in result.folder.rglob("*") if file.is_file() and file.name != STATUS}
        entry = {
            "run_id": run_id,
            "files": {file.relative_to(result.folder).as_posix(): file.stat().st_size for file in sorted(files)},
            "paths": (read_json(result.folder / OUTPUTS) or {"files": []})["files"],
            "writes": self.of(writes),
            "result": result.stored(self.paths),
        }
        file = self._file(result.key)
        with writing(file):
            file.parent.mkdir(exist_ok=True)
        write_json(file, entry)

    def _file(self, key: str) -> Path:
        return self.paths.runs / "index" / f"{key}.json"


@contextmanager
def only_one(paths: Paths, pipeline: str) -> Iterator[str]:
    """Hold the lock for one run and give it its id; the lock goes with the process, however that ends."""
    run_id = new_run_id(pipeline)
    with held(paths.state / "pipeline.lock", paths, f"pipeline '{pipeline}'", run_id):
        yield run_id


def new_run_id(name: str) -> str:
    """Return the id of a run that begins now: ``20250131-090000-backtest-1f3a``."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(2)}"


@contextmanager
def held(lock: Path, paths: Paths, what: str, run_id: str) -> Iterator[None]:
    """Hold a lock while a run works, or raise with who holds it; it goes with the process, however that ends."""
    with writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+")
    with file:
        if not _locked(file.fileno()):
            other = {"what": "another run", "pid": "?", "since": "?", **_holder(lock)}
            raise AlreadyRunning(
                f"{other['what']} is already running, pid {other['pid']} since {other['since']} "
                f"({paths.short(lock)}); wait for it, or stop it: kill {other['pid']}"
            )
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        with writing(lock):
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "since": since, "what": what, "run_id": run_id}))
            file.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # beyond what is written: locked bytes cannot be read there
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # what Windows calls it
        return False
    return True


def _is_locked(lock: Path) -> bool:
    if not lock.is_file():
        return False
    with lock.open("r") as file:  # to look, also where nothing may be written
        return not _locked(file.fileno())


def _holder(lock: Path) -> dict[str, Any]:
    return read_json(lock) or {}
