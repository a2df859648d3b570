"""The other side of ``cold``: a process that has not run the subject, and a child of it for every run.

The process itself never calls the subject, so that each child finds it as it was before its first call. A child that
hangs, for a lock that no thread of it holds any more, is ended by its own alarm.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from workbench.backtest.lookahead import wire
from workbench.backtest.lookahead.environment import LIBRARIES, stands_in
from workbench.backtest.lookahead.opened import opened
from workbench.backtest.lookahead.recipe import make
from workbench.backtest.lookahead.subject import Raised, Runner, Subject, read_subject
from workbench.backtest.lookahead.wire import Arrays, Head
from workbench.backtest.lookahead.world import World
from workbench.data.watch import watched
from workbench.errors import InputRefused

Reply = tuple[Head, Arrays]


def serve(asked: int, told: int, answer: Callable[[Head, Arrays], Reply], here: Callable[[Head], Head | None]) -> None:
    """Answer until the other side is gone: ``here`` what this process must know itself, all else in a child."""
    while (message := wire.receive(asked)) is not None:
        head, arrays = message
        if (known := here(head)) is not None:
            wire.send(told, known)
            continue
        gc.freeze()  # or a collection in the child touches, and so copies, all memory
        child = os.fork()
        if child == 0:
            _answer_once(told, answer, head, arrays)
        _, status = os.waitpid(child, 0)
        if status != 0:
            late = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            why = f"no answer within {head['limit']:.0f} s" if late else "its process ended without an answer"
            wire.send(told, {"broken": why})


def serve_forked(asked: int, told: int, subject: Subject, world: World) -> NoReturn:
    """Answer as a copy of the process that examines, made before the subject was first called there."""
    try:
        _be_silent()
        serve(asked, told, lambda head, arrays: run(subject, wire.world_read(head, arrays, world), head), _nothing)
    finally:
        os._exit(0)


def serve_fresh() -> None:
    """Answer in a process that was started for it, over what were its standard input and output."""
    asked, told = os.dup(0), os.dup(1)
    _be_silent()
    serve(asked, told, _remade, _Imports().get)
    os._exit(0)


def run(subject: Subject, world: World, head: Head) -> Reply:
    """Return what the subject says of a world, or that it raised."""
    moments: Mapping[str, str] | None = head["moments"]
    runner = Runner(subject)
    with opened() as seen:
        reply, arrays = _told(runner, world, moments)
    return {**reply, "reads": runner.reads, "opened": sorted(seen)}, arrays


def _told(runner: Runner, world: World, moments: Mapping[str, str] | None) -> Reply:
    try:
        then = None if moments is None else {name: datetime.fromisoformat(each) for name, each in moments.items()}
        return wire.answer_told(runner(world, then))
    except (Raised, InputRefused) as error:
        return {"raised": str(error)}, []


def _answer_once(told: int, answer: Callable[[Head, Arrays], Reply], head: Head, arrays: Arrays) -> NoReturn:
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, head["limit"])
        try:
            reply, values = answer(head, arrays)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the other side must hear of it
            reply, values = {"broken": f"{type(error).__name__}: {error}"}, ()
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        wire.send(told, reply, values)
        os._exit(0)
    finally:
        os._exit(1)


def _remade(head: Head, arrays: Arrays) -> Reply:
    """Make the subject anew, and run it unless only that was asked."""
    before = set(sys.modules)
    os.environ.clear()
    os.environ.update(head["environment"])
    os.chdir(head["folder"])
    with _read_beforehand() as seen:
        subject = read_subject(make(head["recipe"]), head["lookback"])
    subject = subject.called(head["name"])
    if "bars" not in head:
        return {"made": subject.name, "opened": sorted(seen)}, ()
    reply, values = run(subject, wire.bars_read(head["bars"], head, arrays), head)
    return {**reply, "libraries": _libraries(sys.modules.keys() - before)}, values


@contextmanager
def _read_beforehand() -> Iterator[set[str]]:
    """Give what is opened meanwhile, the lake too: no row is decided yet, so that nothing holds it to a moment."""
    with opened() as seen, watched(lambda name: None) as reads:
        try:
            yield seen
        finally:
            seen |= {f"{name} of the lake before its first call" for name in reads}


class _Imports:
    """What this process imported of people's own code, and whether that is still what lies on disk."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._opened: dict[str, set[str]] = {}

    def get(self, head: Head) -> Head | None:
        """Import what a message names, None where it names nothing."""
        for name in head.get("libraries", ()):  # a child loaded them: no later one needs to
            with suppress(Exception):
                import_module(name)
        if "libraries" in head:
            return {}
        if "modules" not in head:
            return None
        # What was opened when a helper was imported is told to the first module only that needs it.
        if any(self._opened.values()) and not self._opened.keys() >= set(head["modules"]):
            return {"stale": True}
        sys.path[:] = head["path"]
        invalidate_caches()
        try:
            found = {name: str(getattr(self._import(name), "__file__", "")) for name in head["modules"]}
        except BaseException as error:  # noqa: BLE001 - whatever a user's module raises, sys.exit included
            return {"broken": f"{type(error).__name__}: {error}"}
        read = sorted(set().union(*(self._opened[name] for name in head["modules"])))
        return {"stale": found != head["modules"] or self._changed(), "opened": read}

    def _import(self, name: str) -> ModuleType:
        """Import a module, and remember what it opened when it was first imported."""
        with _read_beforehand() as seen:
            found = import_module(name)
        self._opened.setdefault(name, seen)
        return found

    def _changed(self) -> bool:
        now = {file: Path(file).stat().st_mtime_ns for file in _own_files() if Path(file).exists()}
        before, self._seen = self._seen, now
        return any(now.get(file) != when for file, when in before.items())


def _own_files() -> list[str]:
    """Return the files of all modules that are no part of the environment."""
    files = map(_file, list(sys.modules))
    return [file for file in files if file.endswith(".py") and not stands_in(file, LIBRARIES)]


def _libraries(names: Iterable[str]) -> list[str]:
    """Return those modules that are part of the environment: they keep nothing of the subject's."""
    return [name for name in names if stands_in(_file(name), LIBRARIES)]


def _file(name: str) -> str:
    return str(getattr(sys.modules[name], "__file__", None) or "")


def _nothing(_: Head) -> None:
    return None


def _be_silent() -> None:
    """Say nothing where a person reads, and leave Ctrl-C to the process that examines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - as long as it lives
