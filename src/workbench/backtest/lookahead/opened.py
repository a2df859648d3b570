"""What code opens by itself while it runs: no change of the data shows what it knows from there.

>>> with opened() as seen:
...     strategy.weights(bars)
>>> seen                                    # {'…/signs.parquet'}

Told is what people's own code asked for. What a library opens while it is imported, the programs that one asks about
the machine, and a file that the run itself wrote say nothing about the future.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from workbench.data.watch import bystanders

# What Python says when something else than a file is opened, and how it is told; a file is told by its path.
PROGRAM, PROCESS, DATABASE = "another program", "another process", "a database"
ELSEWHERE = {
    "socket.connect": "a network connection",
    "sqlite3.connect": DATABASE,
    "subprocess.Popen": PROGRAM,
    "os.posix_spawn": PROGRAM,
    "os.system": PROGRAM,
    "os.fork": PROCESS,
    "os.forkpty": PROCESS,
}
PACKAGES = tuple({os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("purelib", "platlib")})
LIBRARIES = tuple({os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix)} | set(PACKAGES))
MACHINE = ("/proc/", "/sys/", "/etc/", "/usr/share/", "/dev/null", "/dev/urandom", "/dev/random", "/dev/tty")
HOME = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
CACHES = tuple(os.path.realpath(f"{HOME}/{name}") + os.sep for name in (".cache", ".config"))
# Code is read by what runs or shows it; a file that is only named so, and read as any other, is data.
CODE = (".py", ".pyc", ".pyi", ".so", ".nbi", ".nbc")
LOADERS = {"importlib", "linecache", "tokenize", "inspect", "runpy", "pkgutil", "zipimport", "numba"}
# These ask other programs about the machine; what joblib starts, it starts for the code that calls it.
ASKING, STARTING = {"platform", "ctypes.util", "uuid"}, "joblib"
# Libraries that open files below Python are heard by the names of their readers, processes by what starts them.
READERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("pandas", "polars", "pyarrow", "deltalake", "duckdb"))
READS = ("read_", "scan_", "open_")
NAMED = {
    "ParquetFile.__init__", "ParquetDataset.__init__", "ORCFile.__init__", "DeltaTable.__init__", "dataset",
    "DataFrame.deserialize", "LazyFrame.deserialize", "SQLContext.execute",
}  # fmt: skip
QUERIES = ("/pandas/io/sql.py", "/polars/io/database/")
STARTS = {"spawnv_passfds", "fork_exec"}
IN_SQL = re.compile(r"read_\w+\(\s*'([^']+)'")
# What the lake reads is held to the moment of decision; the parameters are part of the code.
OURS, GUARD = ("workbench.data.", "workbench.params"), "workbench.backtest.lookahead."


@dataclass(frozen=True, eq=False)
class _Watch:
    others: frozenset[int]  # threads that do something of their own
    seen: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)  # files that were written meanwhile


_watching: list[_Watch] = []
_hooked = False


@contextmanager
def opened() -> Iterator[set[str]]:
    """Give the files and other sources that are opened for reading meanwhile, but for the lake."""
    global _hooked
    if not _hooked:  # for ever: Python has no way to take it back
        sys.addaudithook(_hear)
        _hooked = True
    watch = _Watch(bystanders())
    before = sys.getprofile()
    _watching.append(watch)
    sys.setprofile(_called)
    threading.setprofile(_called)
    try:
        yield watch.seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
        _watching.remove(watch)


def in_doubt(seen: Iterable[str]) -> list[str]:
    """Return what is said of files and other sources that were opened."""
    return [f"it reads {what}, where no check reaches: nobody can say when it was known" for what in sorted(seen)]


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _watching or (event != "open" and event not in ELSEWHERE):
        return
    frame = sys._getframe(1)
    if event == "open":
        _tell(_file(args, frame), frame)
    elif event != "sqlite3.connect" or ":memory:" not in str(args[0]):
        _tell(ELSEWHERE[event], frame)


def _called(frame: FrameType, event: str, _: Any) -> None:
    if event != "call":
        return
    code = frame.f_code
    if code.co_name in STARTS:
        _tell(PROCESS, frame)
    elif (code.co_name.startswith(READS) or code.co_qualname in NAMED) and any(
        one in code.co_filename for one in READERS
    ):
        names = code.co_varnames[: code.co_argcount]
        _given(next((frame.f_locals[name] for name in names if name not in ("self", "cls")), None), frame)


def _given(given: Any, frame: FrameType) -> None:
    """Tell the files that a reader is given, one, several, or within a query."""
    if any(one in frame.f_code.co_filename for one in QUERIES):
        _tell(DATABASE, frame)
        return
    several = IN_SQL.findall(str(given)) if frame.f_code.co_name == "execute" else given
    for each in several if isinstance(several, (list, tuple)) else [several]:
        if isinstance(each, (str, os.PathLike)):
            path = os.fspath(each)
            _tell(path if "://" in path else _own(path), frame)


def _tell(what: str, frame: FrameType) -> None:
    if not what or _by_us(frame):
        return
    between = list(_libraries(frame))
    if any(each.f_code.co_name == "<module>" for each in between):  # one of them is imported
        return
    if what in (PROGRAM, PROCESS) and any(map(_is_about_the_machine, between)):
        return
    thread = threading.get_ident()
    for watch in _watching:
        if what not in watch.made and thread not in watch.others:
            watch.seen.add(what)


def _file(args: tuple[Any, ...], frame: FrameType) -> str:
    """Return a file that Python opens to read it; one that is only written, or written first, tells nothing."""
    path, _, flags = args
    if not isinstance(path, (str, bytes, os.PathLike)):
        return ""
    name, flags = _own(os.fsdecode(path)), flags or 0
    if not name:
        return ""
    try:
        there = Path(name).stat()
        is_empty = bool(flags & os.O_TRUNC) or (stat.S_ISREG(there.st_mode) and not there.st_size)
        is_folder = stat.S_ISDIR(there.st_mode)
    except OSError:
        is_empty, is_folder = True, False
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    if writes and is_empty:
        for watch in _watching:
            watch.made.add(name)
    if is_folder or is_empty or flags & os.O_ACCMODE == os.O_WRONLY:
        return ""
    if name.endswith(CODE) and any(_name(each).partition(".")[0] in LOADERS for each in _libraries(frame)):
        return ""
    return name


def _own(path: str) -> str:
    """Return the path where it is no part of the environment, of the machine, or of a cache."""
    name = os.path.realpath(path)
    return "" if name.startswith((*LIBRARIES, *MACHINE, *CACHES)) else name


def _libraries(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of libraries that were at work, the last call first, up to people's own code."""
    while frame is not None and _stands_in(_where(frame), LIBRARIES):
        yield frame
        frame = frame.f_back


def _is_about_the_machine(frame: FrameType) -> bool:
    """Return whether a program is asked for by what asks for the machine, or for its own part, as a library does."""
    name = _name(frame)
    return name in ASKING or (_stands_in(_where(frame), PACKAGES) and name.partition(".")[0] != STARTING)


def _by_us(frame: FrameType | None) -> bool:
    while frame is not None:
        name = _name(frame)
        if name.startswith((*OURS, GUARD)):
            return name.startswith(OURS)
        frame = frame.f_back
    return False


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).replace("_frozen_importlib", "importlib")


def _where(frame: FrameType) -> str:
    return str(frame.f_globals.get("__file__") or frame.f_code.co_filename)


@cache
def _stands_in(file: str, folders: tuple[str, ...]) -> bool:
    return file.startswith("<frozen ") or os.path.realpath(file).startswith(folders)
