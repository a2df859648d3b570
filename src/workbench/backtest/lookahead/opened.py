"""What code opens by itself while it runs: no change of the data shows what it knows from there.

>>> with opened() as seen:
...     strategy.weights(bars)
>>> seen                                    # {'…/signs.parquet'}
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# What Python says when something else than a file is opened, and how it is told; a file is told by its path.
ELSEWHERE = {
    "socket.connect": "a network connection",
    "sqlite3.connect": "a database",
    "subprocess.Popen": "another program",
    "os.posix_spawn": "another program",
    "os.system": "another program",
}
CODE = (".py", ".pyc", ".pyi", ".so", ".nbi", ".nbc")
LIBRARIES = tuple({sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()})
MACHINE = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/share/zoneinfo/")
# Libraries that open files below Python are heard by the names of their readers.
READERS = tuple(f"{os.sep}{name}{os.sep}" for name in ("pandas", "polars", "pyarrow", "deltalake", "duckdb"))
READS = ("read_", "scan_", "open_")
# What the lake reads is held to the moment of decision.
LAKE, GUARD = "workbench.data.", "workbench.backtest.lookahead."

_watching: list[set[str]] = []
_hooked = False


@contextmanager
def opened() -> Iterator[set[str]]:
    """Give the files and other sources that are opened for reading meanwhile, but for the lake."""
    global _hooked
    if not _hooked:  # for ever: Python has no way to take it back
        sys.addaudithook(_hear)
        _hooked = True
    seen: set[str] = set()
    before = sys.getprofile()
    _watching.append(seen)
    sys.setprofile(_called)
    threading.setprofile(_called)
    try:
        yield seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before)
        _watching.remove(seen)


def in_doubt(seen: Iterable[str]) -> list[str]:
    """Return what is said of files and other sources that were opened."""
    return [f"it reads {what}, where no check reaches: nobody can say when it was known" for what in sorted(seen)]


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if _watching and (event == "open" or event in ELSEWHERE):
        _tell(ELSEWHERE.get(event) or _file(args), sys._getframe(1))


def _called(frame: FrameType, event: str, _: Any) -> None:
    code = frame.f_code
    if event != "call" or not code.co_name.startswith(READS) or not any(one in code.co_filename for one in READERS):
        return
    given = next((frame.f_locals[name] for name in code.co_varnames[: code.co_argcount] if name != "self"), None)
    if isinstance(given, (str, os.PathLike)):
        _tell(_own(os.fspath(given)), frame)


def _tell(what: str, frame: FrameType) -> None:
    if what and not _by_the_lake(frame):
        for seen in _watching:
            seen.add(what)


def _file(args: tuple[Any, ...]) -> str:
    """Return a file that Python opens to read it; one that is only written tells nothing."""
    path, _, flags = args
    if not isinstance(path, (str, bytes, os.PathLike)) or (flags or 0) & os.O_ACCMODE == os.O_WRONLY:
        return ""
    return _own(os.fsdecode(path))


def _own(path: str) -> str:
    """Return the path where it is no part of the environment, of the machine, or of a cache."""
    name = os.path.abspath(path)  # noqa: PTH100 - no file is asked for
    is_cache = f"{os.sep}." in name or f"{os.sep}__pycache__" in name
    return "" if is_cache or name.endswith(CODE) or name.startswith((*LIBRARIES, *MACHINE)) else name


def _by_the_lake(frame: FrameType | None) -> bool:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith((LAKE, GUARD)):
            return name.startswith(LAKE)
        frame = frame.f_back
    return False
