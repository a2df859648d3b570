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
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from workbench.backtest.lookahead.compiling import unheard
from workbench.backtest.lookahead.environment import LIBRARIES, PACKAGES, stands_in
from workbench.backtest.lookahead.written import MOVES, Written
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
MACHINE = ("/proc/", "/sys/", "/etc/", "/usr/share/", "/dev/null", "/dev/urandom", "/dev/random", "/dev/tty")
HOME = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is none
CACHES = tuple(os.path.realpath(f"{HOME}/{name}") + os.sep for name in (".cache", ".config"))
NOT_OWN = (*LIBRARIES, *MACHINE, *CACHES)
# Code is read by what runs or shows it; a file that is only named so, and read as any other, is data.
CODE = (".py", ".pyc", ".pyi", ".so", ".nbi", ".nbc")
LOADERS = {"importlib", "linecache", "tokenize", "inspect", "runpy", "pkgutil", "zipimport", "numba"}
# These ask other programs about the machine; what joblib starts, it starts for the code that calls it.
ASKING, STARTING = {"platform", "ctypes.util", "uuid"}, "joblib"
# Libraries that open files below Python are heard by the names of their functions, processes by what starts them.
NATIVE = {"pandas", "polars", "pyarrow", "deltalake", "duckdb"}
READS = ("read_", "scan_", "open_")
NAMED = {
    "ParquetFile.__init__", "ParquetDataset.__init__", "ORCFile.__init__", "DeltaTable.__init__", "dataset",
    "DataFrame.deserialize", "LazyFrame.deserialize", "SQLContext.execute",
}  # fmt: skip
# These write one file anew, and never go on with what was there.
WRITES = {f"{verb}_{kind}" for verb in ("write", "sink") for kind in ("parquet", "ipc", "csv", "ndjson")} | {
    "to_parquet", "to_feather", "to_orc", "write_avro", "write_feather", "write_ipc_stream", "write_json",
    "write_table",
}  # fmt: skip
QUERIES = ("/pandas/io/sql.py", "/polars/io/database/")
STARTS = {"spawnv_passfds", "fork_exec"}
IN_SQL = re.compile(r"read_\w+\(\s*'([^']+)'")
# What this process has open, on systems that tell.
OPEN = Path("/proc/self/fd")
# What the lake reads is held to the moment of decision; the parameters are part of the code.
OURS, GUARD = ("workbench.data.", "workbench.params"), "workbench.backtest.lookahead."


@dataclass(frozen=True, eq=False)
class _Watch:
    others: frozenset[int]  # threads that do something of their own
    seen: set[str] = field(default_factory=set)
    written: Written = field(default_factory=Written)


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
        with unheard():
            yield watch.seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
        _watching.remove(watch)


def in_doubt(seen: Iterable[str]) -> list[str]:
    """Return what is said of files and other sources that were opened."""
    return [f"it reads {what}, where no check reaches: nobody can say when it was known" for what in sorted(seen)]


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _watching or (event != "open" and event not in ELSEWHERE and event not in MOVES):
        return
    frame = sys._getframe(1)
    if event in MOVES:
        for watch in _watching:
            watch.written.settle(all_threads=True)
    elif event == "open":
        for name in _files(args, frame):
            _tell(name, frame)
    elif event != "sqlite3.connect" or ":memory:" not in str(args[0]):
        _tell(ELSEWHERE[event], frame)


def _called(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    if code.co_name in WRITES:
        _written(frame, event)
    elif event != "call":
        return
    elif code.co_name in STARTS:
        _tell(PROCESS, frame)
    elif (code.co_name.startswith(READS) or code.co_qualname in NAMED) and _is_native(frame):
        _given(next(_values(frame), None), frame)


def _written(frame: FrameType, event: str) -> None:
    """Tell a file that a library writes, when it begins and when it is done."""
    if event == "return":
        for watch in _watching:
            watch.written.returned(frame)
    elif event == "call" and _is_native(frame):
        for path in [each for each in _values(frame) if isinstance(each, (str, os.PathLike))][:1]:
            for watch in _watching:
                watch.written.call(frame, os.path.realpath(os.fsdecode(path)))


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
        if thread not in watch.others and not watch.written.holds(what):
            watch.seen.add(what)


def _files(args: tuple[Any, ...], frame: FrameType) -> list[str]:
    """Return the files that Python may be opening to read them: several where only a part of the path is said."""
    path, mode, flags = args
    for watch in _watching:
        watch.written.settle()
    if not isinstance(path, (str, bytes, os.PathLike)):
        return []
    name = os.fsdecode(path)
    # Of os.open nothing says which folder a path is relative to: this one, or one that is open.
    folders = _open_folders() if mode is None and not Path(name).is_absolute() else []
    names = dict.fromkeys(_own(each) for each in (name, *(f"{folder}{os.sep}{name}" for folder in folders)))
    return [each for each in names if each and _is_read(each, flags or 0, frame)]


def _open_folders() -> list[str]:
    found = []
    with suppress(OSError):
        for link in OPEN.iterdir():
            with suppress(OSError):
                if stat.S_ISDIR(link.stat().st_mode):
                    found.append(str(link.readlink()))
    return found


def _is_read(name: str, flags: int, frame: FrameType) -> bool:
    """Return whether a file's content becomes known; one that is only written, or written first, tells nothing."""
    try:
        there = Path(name).stat()
        is_empty = bool(flags & os.O_TRUNC) or (stat.S_ISREG(there.st_mode) and not there.st_size)
        is_folder = stat.S_ISDIR(there.st_mode)
    except OSError:
        is_empty, is_folder = True, False
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    if writes and is_empty:
        for watch in _watching:
            watch.written.begin(name)
    if is_folder or is_empty or flags & os.O_ACCMODE == os.O_WRONLY:
        return False
    is_code = name.endswith(CODE) and any(_name(each).partition(".")[0] in LOADERS for each in _libraries(frame))
    return not is_code


def _own(path: str) -> str:
    """Return the path where it is no part of the environment, of the machine, or of a cache."""
    name = os.path.realpath(path)
    return "" if stands_in(name, NOT_OWN) else name


def _is_native(frame: FrameType) -> bool:
    return _name(frame).partition(".")[0] in NATIVE


def _values(frame: FrameType) -> Iterator[Any]:
    """Yield what a function was given."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    return (frame.f_locals[name] for name in names if name not in ("self", "cls"))


def _libraries(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of libraries that were at work, the last call first, up to people's own code."""
    while frame is not None and stands_in(_where(frame), LIBRARIES):
        yield frame
        frame = frame.f_back


def _is_about_the_machine(frame: FrameType) -> bool:
    """Return whether a program is asked for by what asks for the machine, or for its own part, as a library does."""
    name = _name(frame)
    return name in ASKING or (stands_in(_where(frame), PACKAGES) and name.partition(".")[0] != STARTING)


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
