"""The whole way in one command, on the sample market: what a person would type, printed and really run, step by step.

It works in a project of its own under data/demo/ (a copy of this one, with its own git, runs, trial ledger and keys),
so nothing of yours is counted, promoted or signed. The same seed gives the same numbers every time.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputRefused, WorkbenchError
from workbench.params import Paths

# What a project is made of; data, runs and environments stay behind.
COPIED = ("params", "pipelines", "notebooks", "locks", "src", "pyproject.toml", "Makefile", ".gitignore")
REFUSED, KILLED = 4, -9
LIMIT_SECONDS = 900.0
MINUTES = 4  # on two cores

EDGE, LUCK = "xs_momentum", "sma_cross"
PEOPLE = ("ada", "ben")
SESSIONS, KILLED_IN = 40, 16
MOMENT = 0.1  # seconds into the session that is killed
# In the prices of these sectors nothing is planted: what earns here was lucky.
HUNT = """\
question: Does a crossing of averages time the stocks of Consumer and Utilities?
universe: {sectors: [Consumer, Utilities]}
params: {fast: 20, slow: 100}
grid:
  fast: [5, 10, 15, 20, 30, 40]
  slow: [60, 80, 100, 120, 160, 200]
"""


@dataclass(frozen=True)
class Act:
    """One command: what it is for, what a person types, what the program is given, and how it must end."""

    why: str
    typed: str
    words: tuple[str, ...]
    ends: int = 0
    killed_at: str = ""  # kill -9 a moment after a line begins so


@dataclass(frozen=True)
class Stage:
    """Where the demo plays: a project, and a folder of keys outside it."""

    project: Path
    keys: Path

    def environment(self) -> dict[str, str]:
        """Return the environment in which the same program works on the demo's project."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WORKBENCH_")}
        return {**kept, "WORKBENCH_ROOT": str(self.project), "WORKBENCH_KEYS": str(self.keys)}


def acts(stage: Stage) -> Generator[Act, str, None]:
    """Give the acts one after the other; each is answered with what it printed."""
    allowed = ["approvers:"]
    for name in PEOPLE:
        said = yield Act(
            f"{name.title()} makes a signing key. The private half stays on {name.title()}'s machine.",
            f"workbench keys new {name}",
            ("keys", "new", name),
        )
        allowed += [line for line in said.splitlines() if line.startswith(f"  {name}:")]
    (stage.project / "params" / "approvers.yaml").write_text("\n".join(allowed) + "\n")
    commit(stage, "Ada and Ben may approve")
    yield Act(
        "Three strategies walk forward out of sample, on a market whose truth is known.",
        "make backtest",
        ("backtest",),
    )
    yield Act(
        f"The evidence for {EDGE}, an effect that is really there: data audited, the look-ahead guard, every number.",
        f"make evidence STRATEGY={EDGE}",
        ("evidence", EDGE),
    )
    yield Act(
        "The gates are asked. All pass; now somebody on the allow-list must sign.",
        f"make promote STRATEGY={EDGE}",
        ("promote", EDGE, "--yes"),
        REFUSED,
    )
    yield Act(
        "Ada reads the verdicts, and signs exactly these bytes.",
        f"workbench approve {EDGE} --as ada",
        ("approve", EDGE, "--as", "ada"),
    )
    yield Act("Now it moves.", f"make promote STRATEGY={EDGE}", ("promote", EDGE, "--yes"))
    (stage.project / "params" / "strategies" / f"{LUCK}.yaml").write_text(HUNT)
    commit(stage, f"{LUCK} hunts where nothing is planted")
    yield Act(
        f"Somebody hunts with {LUCK} where nothing is planted. The best of the cells looks good, and each is counted.",
        f"make sweep STRATEGY={LUCK}",
        ("sweep", LUCK, "--yes"),
    )
    yield Act(f"The evidence for {LUCK}.", f"make evidence STRATEGY={LUCK}", ("evidence", LUCK))
    yield Act(
        "It earned in most years, and is refused: so does the best of as many tries that are worth nothing.",
        f"make promote STRATEGY={LUCK}",
        ("promote", LUCK, "--yes"),
        REFUSED,
    )
    yield Act(
        f"{EDGE} may not go on to money either: nobody has seen it trade on paper.",
        f"make promote STRATEGY={EDGE}",
        ("promote", EDGE, "--yes"),
        REFUSED,
    )
    yield from _trading_acts()
    yield Act("Where everything stands.", "make status", ("status",))


def _trading_acts() -> Iterator[Act]:
    """Give the acts on paper: killed in the middle, gone on with, held against research, stopped."""
    yield Act(
        f"{EDGE} trades on paper: {SESSIONS} sessions in simulated time, through the runner, the gate and the journal "
        f"that trade for real. Only its verified pack is loaded. In session {KILLED_IN} the machine dies: kill -9.",
        f"make paper ARGS='--sessions {SESSIONS}'   # and elsewhere: kill -9",
        ("paper", "--sessions", str(SESSIONS)),
        KILLED,
        killed_at=f"  {KILLED_IN - 1}/{SESSIONS} ",
    )
    yield Act(
        "The same command again. It asks the broker what became of every order, and goes on with what was decided.",
        f"make paper ARGS='--sessions {SESSIONS}'",
        ("paper", "--sessions", str(SESSIONS)),
    )
    yield Act(
        "Was it what research says? Each session is computed again; each difference has a cause and its money.",
        f"workbench parity {EDGE}",
        ("parity", EDGE),
    )
    yield Act(
        "To money it may still not go: these sessions lie before its evidence, which has seen them. Here the demo ends "
        "where the truth does: the gates ask for 30 days that nobody knew, and two signatures.",
        f"make promote STRATEGY={EDGE}",
        ("promote", EDGE, "--yes"),
        REFUSED,
    )
    yield Act(
        "The emergency stop: halt, cancel, close everything, and see at the broker that it is closed.",
        "make kill REASON='the drill of the demo'",
        ("kill", "--reason", "the drill of the demo", "--by", "ada"),
    )
    yield Act(
        "The books learn what the stop traded, and agree with the broker's.",
        "workbench reconcile",
        ("reconcile",),
    )
    yield Act(
        "Only a person brings trading back, with a reason that stays in the journal.",
        "make resume REASON='the drill is over'",
        ("resume", "--reason", "the drill is over", "--by", "ada"),
    )


def set_the_stage(paths: Paths) -> Stage:
    """Copy the project to data/demo/ and commit it there; an earlier demo's is replaced."""
    if shutil.which("git") is None:
        raise InputRefused("demo: git is not installed, and evidence names a commit; install git")
    place = paths.data / "demo"
    shutil.rmtree(place, ignore_errors=True)
    stage = Stage(place / "project", place / "keys")
    stage.project.mkdir(parents=True)
    leave = shutil.ignore_patterns("__pycache__", "*.egg-info", ".ipynb_checkpoints")
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


def play(stage: Stage, announce: Callable[[int, Act], None], show: Callable[[str], None]) -> None:
    """Perform every act in turn."""
    script = acts(stage)
    act = next(script)
    for number in itertools.count(1):
        announce(number, act)
        try:
            act = script.send(perform(stage, act, show))
        except StopIteration:
            return


def perform(stage: Stage, act: Act, show: Callable[[str], None]) -> str:
    """Run one command, show what it prints and return it; another ending than the expected one stops the demo."""
    started, said = time.monotonic(), ""
    with subprocess.Popen(  # noqa: S603 (our own program, a list of words)
        [sys.executable, "-m", "workbench.cli", *act.words],
        env=stage.environment(),
        cwd=stage.project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
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
