"""Where the demo plays and how: a project of its own, and acts that are commands, really run.

The project lies under data/demo/ (a copy of this one, with its own git, runs, trial ledger and keys), so nothing of
yours is counted, promoted or signed.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import InputRefused, WorkbenchError
from workbench.params import Paths

# What a project is made of; data, runs and environments stay behind.
COPIED = ("params", "pipelines", "notebooks", "locks", "src", "pyproject.toml", "Makefile", ".gitignore")
REFUSED, KILLED = 4, -9
LIMIT_SECONDS = 900.0
END_SECONDS = 10.0
MOMENT = 0.1  # seconds after the line at which a program is killed
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Act:
    """One command: what it is for, what a person types, what the program is given, and how it must end.

    ``killed_at``: kill -9 a moment after a line begins so; ``killed_when``: as soon as that holds. ``stays``: it runs
    on beside the acts after it, and its first line is its answer.
    """

    why: str
    typed: str
    words: tuple[str, ...]
    ends: int = 0
    killed_at: str = ""
    killed_when: Callable[[], bool] | None = None
    stays: bool = False

    @property
    def command(self) -> list[str]:
        """The program with its words: a command of the workbench, or Python itself."""
        return [sys.executable, *(() if self.words[0] == "-c" else ("-m", "workbench.cli")), *self.words]


Script = Generator[Act, str, None]


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: a project, a folder of keys outside it, and programs that run beside the acts."""

    project: Path
    keys: Path
    beside: list[subprocess.Popen[str]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the environment in which the project's own copy of the code works on it: evidence names its commit."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WORKBENCH_")}
        own = {"WORKBENCH_ROOT": str(self.project), "WORKBENCH_KEYS": str(self.keys)}
        return {**kept, **own, "PYTHONPATH": str(self.project / "src")}

    def start(self, act: Act) -> subprocess.Popen[str]:
        """Start the program of an act."""
        return subprocess.Popen(  # noqa: S603 (our own program, a list of words)
            act.command,
            env=self.environment(),
            cwd=self.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def clear(self) -> None:
        """End what runs beside the acts."""
        for process in self.beside:
            process.terminate()
            process.wait(END_SECONDS)
            if process.stdout:
                process.stdout.close()
        self.beside.clear()


def set_the_stage(paths: Paths) -> Stage:
    """Copy the project to data/demo/ and commit it there; an earlier demo's is replaced."""
    if shutil.which("git") is None:
        raise InputRefused("demo: git is not installed, and evidence names a commit; install git")
    place = paths.data / "demo"
    shutil.rmtree(place, ignore_errors=True)
    stage = Stage(place / "project", place / "keys")
    stage.project.mkdir(parents=True)
    leave = shutil.ignore_patterns("*.egg-info", ".ipynb_checkpoints")  # what was compiled goes along
    for name in COPIED:
        source = paths.root / name
        if source.is_dir():
            shutil.copytree(source, stage.project / name, ignore=leave)
        elif source.is_file():
            shutil.copy2(source, stage.project / name)
    _git(stage, "init", "--quiet")
    return stage


def commit(stage: Stage, message: str) -> None:
    """Commit everything in the demo's project."""
    _git(stage, "add", "--all")
    _git(stage, "-c", "user.name=demo", "-c", "user.email=demo@localhost", "commit", "--quiet", "-m", message)


def play(stage: Stage, script: Script, announce: Callable[[int, Act], None], show: Callable[[str], None]) -> None:
    """Perform every act in turn; what runs beside them ends with the last one, or with the first that fails."""
    try:
        act = next(script)
        for number in itertools.count(1):
            announce(number, act)
            act = script.send(perform(stage, act, show))
    except StopIteration:
        return
    finally:
        stage.clear()


def perform(stage: Stage, act: Act, show: Callable[[str], None]) -> str:
    """Run one command, show what it prints and return it; another ending than the expected one stops the demo."""
    if act.stays:
        return _begin(stage, act, show)
    started, said = time.monotonic(), ""
    with stage.start(act) as process:
        if act.killed_when is not None:
            threading.Thread(target=_kill_when, args=(process, act.killed_when), daemon=True).start()
        lines: Iterable[str] = process.stdout or ()
        for line in lines:
            said += line
            show(line.rstrip("\n"))
            if act.killed_at and line.startswith(act.killed_at):
                time.sleep(MOMENT)
                process.kill()
        code = process.wait(timeout=LIMIT_SECONDS)
    if code != act.ends:
        raise WorkbenchError(
            f"demo: '{act.typed}' ended with {code} instead of {act.ends} after {time.monotonic() - started:.0f} s; "
            "its last lines say why"
        )
    return said


def _begin(stage: Stage, act: Act, show: Callable[[str], None]) -> str:
    """Start a program that runs beside the acts that follow, and return its first line."""
    process = stage.start(act)
    stage.beside.append(process)
    line = process.stdout.readline() if process.stdout else ""
    show(line.rstrip("\n"))
    if not line or process.poll() is not None:
        raise WorkbenchError(f"demo: '{act.typed}' ended with {process.wait(END_SECONDS)} before it began")
    return line


def _kill_when(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    """Kill a program as soon as something holds; it may end before."""
    while process.poll() is None:
        if holds():
            process.kill()
            return
        time.sleep(LOOK_SECONDS)


def _git(stage: Stage, *words: str) -> None:
    done = subprocess.run(  # noqa: S603 (a list of words, no shell)
        ["git", "-C", str(stage.project), *words],  # noqa: S607 (whichever git the user runs)
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise WorkbenchError(f"demo: git {words[0]}: {done.stderr.strip()}")
