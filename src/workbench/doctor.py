"""Is this machine and clone fit to work? Each finding says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.params import Paths, load_settings, load_strategy_params, strategy_names

GIB = 1024**3
ENOUGH_DISK, ENOUGH_MEMORY = 2 * GIB, 3 * GIB


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``mend`` is empty when it is well."""

    what: str
    found: str
    mend: str = ""


def examine(paths: Paths) -> list[Finding]:
    """Return what was found, in the order in which a person would check it."""
    return list(_examine(paths))


def _examine(paths: Paths) -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding("Python", version, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")
    yield _packages(paths)
    yield _memory()
    free = shutil.disk_usage(paths.root).free
    yield Finding(
        "disk", f"{free / GIB:.0f} GiB free", "" if free > ENOUGH_DISK else "free some space: 2 GiB are needed"
    )
    for folder in (paths.data, paths.mlruns):
        yield _writable(folder, paths)
    yield _git(paths)
    yield _guarded("settings", lambda: f"params/base.yaml and environment, market {load_settings(paths).market}")
    yield _guarded("strategies", lambda: _strategies(paths))
    yield _lake(paths)
    yield _runs(paths)


def _packages(paths: Paths) -> Finding:
    lock = paths.root / "locks" / "research.lock"
    if not lock.is_file():
        return Finding("packages", "no locks/research.lock", "git checkout locks/research.lock")
    from packaging.markers import Marker

    wrong = []
    pinned = r"^([A-Za-z0-9_.-]+)==([^ ;\\]+) *(?:;([^\\\n]*))?\\?$"
    for name, wanted, where in re.findall(pinned, lock.read_text(), flags=re.MULTILINE):
        if where.strip() and not Marker(where.strip()).evaluate():
            continue
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            have = "missing"
        if have != wanted:
            wrong.append(f"{name} {have}, not {wanted}")
    if wrong:
        return Finding("packages", f"{len(wrong)} differ from the lock: {wrong[0]}", "make clean setup")
    return Finding("packages", "as locked")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = os.cpu_count() or 1
    mend = "" if total > ENOUGH_MEMORY else "3 GiB are needed: close other programs or use a larger machine"
    return Finding("machine", f"{cores} cores, {total / GIB:.0f} GiB memory", mend)


def _writable(folder: Path, paths: Paths) -> Finding:
    probe = folder / f".doctor-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        return Finding(f"{paths.short(folder)}/", str(error.strerror), f"make {paths.short(folder)}/ writable for you")
    return Finding(f"{paths.short(folder)}/", "writable")


def _git(paths: Paths) -> Finding:
    try:
        commit = subprocess.run(  # noqa: S603
            ["git", "-C", str(paths.root), "rev-parse", "--short", "HEAD"],  # noqa: S607
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return Finding("git", "not a git checkout", "git clone: a run without a commit cannot be promoted later")
    return Finding("git", f"commit {commit.stdout.strip()}")


def _guarded(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, look())
    except WorkbenchError as error:
        return Finding(what, str(error), "mend that line")


def _strategies(paths: Paths) -> str:
    names = strategy_names(paths)
    for name in names:
        load_strategy_params(name, paths)
    return f"{len(names)}: {', '.join(names)}"


def _lake(paths: Paths) -> Finding:
    tables: dict[str, list[str]] = {}
    for log in sorted(paths.lake.glob("*/*/_delta_log/")):
        tables.setdefault(log.parent.parent.name, []).append(log.parent.name)
    for lake in sorted(paths.data.glob("samples/*/lake/")):
        tables[f"another sample ({lake.parent.name})"] = sorted(log.parent.name for log in lake.glob("*/*/_delta_log/"))
    if not tables:
        return Finding("lake", "empty: the first make backtest fills it")
    from workbench.data.inventory import inventory
    from workbench.data.lake import Lake

    markets = "; ".join(f"{market}: {', '.join(names)}" for market, names in tables.items())
    try:
        for root, market in sorted({(log.parents[2], log.parents[1].name) for log in _logs(paths)}):
            inventory(Lake(root, market))
    except WorkbenchError as error:
        return Finding("lake", f"{markets}; {error}", "mend that table, and see: workbench lake")
    return Finding("lake", markets)


def _logs(paths: Paths) -> list[Path]:
    """Return the log folder of every table of every lake; what is kept out of a table lies a level deeper."""
    return [*paths.lake.glob("*/*/_delta_log/"), *paths.data.glob("samples/*/lake/*/*/_delta_log/")]


def _runs(paths: Paths) -> Finding:
    store = paths.mlruns / "mlflow.db"
    if not store.is_file():
        return Finding("runs", "none yet: make backtest")
    try:
        with closing(sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            count = connection.execute("select count(*) from runs where lifecycle_stage = 'active'").fetchone()[0]
    except sqlite3.Error as error:
        return Finding("runs", f"mlruns/mlflow.db: {error}", "stop what holds it, or restore it from a backup")
    return Finding("runs", f"{count} in mlruns/mlflow.db")
