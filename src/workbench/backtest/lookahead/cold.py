"""A run as if it were the first: in a child of a process in which the subject was never called.

A scaler fitted in the first call, a module's dictionary of winners: what is kept between calls was kept from all of the
data, and every later run in this process meets it, shortened histories too. Two processes have nothing kept:

    made anew   a process started once, that imports the subject's module and makes it again, by its ``recipe``
    a copy      a fork of this process, from before the first call: for what has no recipe, as a function of a notebook

A copy has none of this process's threads. What waits for one there, as polars does, gives no answer in time.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from workbench.backtest.lookahead import wire
from workbench.backtest.lookahead.answer import Answer
from workbench.backtest.lookahead.child import serve_forked
from workbench.backtest.lookahead.recipe import Recipe, modules_of
from workbench.backtest.lookahead.subject import Raised, Subject
from workbench.backtest.lookahead.wire import Arrays, Head
from workbench.backtest.lookahead.world import World
from workbench.types import Bars

# A run in a process made anew may load libraries and compiled code first; a copy has all that, and may hang for ever.
FRESH_SECONDS, COPY_SECONDS = 120.0, 8.0
START = "from workbench.backtest.lookahead.child import serve_fresh; serve_fresh()"


class Unanswered(Raised):
    """The other process gave no answer: nothing was learned about the subject."""


@dataclass
class Line:
    """The two pipes to another process, one question at a time."""

    asked: int
    told: int
    owner: int = field(default_factory=os.getpid)
    lock: Any = field(default_factory=Lock)
    torn: bool = False  # a question was left without its reply: the next one would get it

    def ask(self, head: Head, arrays: Arrays = ()) -> tuple[Head, Arrays]:
        """Return the reply; a process that is gone or says it is broken is ``Unanswered``."""
        with self.lock:
            if self.torn:
                raise Unanswered("its process is gone")
            self.torn = True
            try:
                wire.send(self.asked, head, arrays)
                reply = wire.receive(self.told)
            except OSError as error:
                raise Unanswered(f"its process is gone: {error}") from error
            self.torn = reply is None
        if reply is None:
            raise Unanswered("its process is gone")
        if "broken" in reply[0]:
            raise Unanswered(str(reply[0]["broken"]))
        return reply


@dataclass
class Cold:
    """Runs a subject on worlds as ``Runner`` does, every time as if it were the first."""

    line: Line
    about: Head  # what every question says of the subject
    end: Callable[[], None]
    is_copy: bool
    runs: int = 0
    reads: dict[str, bool] = field(default_factory=dict)
    opened: set[str] = field(default_factory=set)  # files and other sources beside the lake

    def wait_longer(self, seconds: float) -> None:
        """Give every run more time: one took so long here."""
        self.about["limit"] += 5.0 * seconds

    def __call__(self, world: World, moments: Mapping[str, datetime] | None = None) -> Answer:
        """Return the answer on this world; an error of the subject itself is ``Raised``."""
        self.runs += 1
        head, arrays = wire.world_told(world)
        then = None if moments is None else {name: moment.isoformat() for name, moment in moments.items()}
        reply, values = self.line.ask({**self.about, **head, "moments": then}, arrays)
        self.reads |= reply["reads"]
        self.opened |= set(reply["opened"])
        if reply.get("libraries"):
            self.line.ask({"libraries": reply["libraries"]})
        if "raised" in reply:
            raise Raised(reply["raised"])
        return wire.answer_read(reply, values)


def open_cold(subject: Subject, world: World, data: Any, recipe: Recipe) -> Cold:
    """Return how to run the subject cold; call it before the subject's first call here. ``Unanswered``: not at all."""
    if sys.platform != "linux":
        raise Unanswered(f"processes are not copied on {sys.platform}")
    if recipe is not None and isinstance(data, Bars):
        try:
            return _made_anew(subject, data, recipe)
        except Unanswered:
            pass  # its module cannot be imported again, or not by itself: a copy of this process has it
    return _copied(subject, world)


def start() -> None:
    """Start the process that makes things anew, which takes a moment, while something else is done."""
    if sys.platform == "linux":
        _Fresh.line()


def _made_anew(subject: Subject, bars: Bars, recipe: Recipe) -> Cold:
    about: Head = {"recipe": recipe, "name": subject.name, "lookback": subject.lookback, "limit": FRESH_SECONDS}
    about |= {"environment": dict(os.environ), "folder": str(Path.cwd())}
    modules = {"modules": modules_of(recipe), "path": sys.path}
    imported = _Fresh.line().ask(modules)[0]
    if imported["stale"]:
        _Fresh.end()
        imported = _Fresh.line().ask(modules)[0]
        if imported["stale"]:
            raise Unanswered("its module is another one in a new process")
    made = _Fresh.line().ask(about)[0]
    found = Cold(_Fresh.line(), {**about, "bars": wire.bars_told(bars)}, _nothing, False)
    found.opened |= {*imported["opened"], *made["opened"]}
    return found


def _copied(subject: Subject, world: World) -> Cold:
    (theirs_in, asked), (told, theirs_out) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # polars warns of forks: what hangs there is ended by its alarm
        child = os.fork()
    if child == 0:
        os.close(asked)
        os.close(told)
        serve_forked(theirs_in, theirs_out, subject, world)
    os.close(theirs_in)
    os.close(theirs_out)
    line = Line(asked, told)

    def end() -> None:
        os.kill(child, signal.SIGKILL)  # it has nothing to finish
        os.waitpid(child, 0)
        os.close(asked)
        os.close(told)

    return Cold(line, {"limit": COPY_SECONDS}, end, True)


def _nothing() -> None:
    return None


class _Fresh:
    """The one process that makes things anew, kept as long as this one lives."""

    _process: subprocess.Popen[bytes] | None = None
    _line: Line | None = None

    @classmethod
    def line(cls) -> Line:
        """Return the pipes to it, started where it is not there yet."""
        if cls._line is not None and cls._line.torn:
            cls.end()
        if cls._line is None or cls._line.owner != os.getpid():  # a copy of this process starts its own
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
            cls._process = subprocess.Popen(  # noqa: S603 - this interpreter, and words of ours
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            assert cls._process.stdin is not None
            assert cls._process.stdout is not None
            cls._line = Line(cls._process.stdin.fileno(), cls._process.stdout.fileno())
            atexit.register(cls.end)
        return cls._line

    @classmethod
    def end(cls) -> None:
        """End it, and wait for that."""
        if cls._process is not None and cls._line is not None and cls._line.owner == os.getpid():
            cls._process.kill()  # it has nothing to finish
            cls._process.communicate()
            atexit.unregister(cls.end)
        cls._process = cls._line = None
