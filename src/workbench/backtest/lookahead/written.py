"""What a run wrote itself: files by their number on the disk, so that another one in the place of one is another one.

A file is its own where it was made or emptied by the run, and that is looked at afterwards: opening it may have failed.
"""

from __future__ import annotations

import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

# What puts a file in the place of another one: said by Python beforehand.
MOVES = {"os.rename", "os.link", "os.symlink"}

_State = tuple[int, int, int]


@dataclass
class Written:
    """The files that were written meanwhile, and those that are about to be."""

    _files: set[tuple[int, int]] = field(default_factory=set)
    _begun: dict[int, dict[str, _State | None]] = field(default_factory=dict)  # by thread
    _calls: dict[FrameType, tuple[str, _State | None]] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        """Remember a file that this thread makes or empties next, and what is there now; what is empty is its own."""
        before = _state(name)
        if before is not None and not Path(name).stat().st_size:
            self._files.add(before[:2])
        self._begun.setdefault(threading.get_ident(), {})[name] = before

    def call(self, frame: FrameType, name: str) -> None:
        """Remember a file that a library writes in this call."""
        self._calls[frame] = (name, _state(name))

    def returned(self, frame: FrameType) -> None:
        """Look at what the call wrote."""
        if frame in self._calls:
            self._judge(*self._calls.pop(frame))

    def settle(self, *, all_threads: bool = False) -> None:
        """Look at the files that were begun: none of them is made or emptied any more."""
        for thread in list(self._begun) if all_threads else [threading.get_ident()]:
            for name, before in self._begun.pop(thread, {}).items():
                self._judge(name, before)

    def holds(self, name: str) -> bool:
        """Return whether the file of this name is the run's own."""
        self.settle()
        for begun in list(self._begun.values()):  # of other threads, which may be at it still
            for each, before in list(begun.items()):
                self._judge(each, before)
        now = _state(name)
        return now is not None and now[:2] in self._files

    def _judge(self, name: str, before: _State | None) -> None:
        now = _state(name)
        if now is not None and now != before:
            self._files.add(now[:2])


def _state(name: str) -> _State | None:
    """Return the number of a file and when it was written last; None where there is none."""
    try:
        there = Path(name).stat()
    except (OSError, ValueError):
        return None
    return (there.st_dev, there.st_ino, there.st_mtime_ns) if stat.S_ISREG(there.st_mode) else None
