"""What code reads of the lake while it runs, and the moment each read is held to: how the guard asks what was known.

>>> with watched(lambda name: closes) as reads:      # no read by the code of this block knows more
...     strategy.weights(bars)
>>> reads                                            # {'macro': False}: read, and not every time with as_of
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType

# The latest moment at which a dataset may be known; None: no bound.
Bound = Callable[[str], datetime | None]


@dataclass(frozen=True)
class _Watch:
    bound: Bound
    reads: dict[str, bool] = field(default_factory=dict)


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)
# Each watch with the threads that do something of their own: any other one that asks works for its code.
_RUNNING: list[tuple[_Watch, frozenset[int]]] = []
# Where a thread stands that waits for work: one of a pool, or any that takes it from a queue.
WAITING = ("concurrent.futures.thread", "multiprocessing.pool", "queue")


@contextmanager
def watched(bound: Bound) -> Iterator[dict[str, bool]]:
    """Hold every read to its bound, and give which datasets were read: whether each read of one said ``as_of``."""
    watch = _Watch(bound)
    before, running = _WATCH.set(watch), (watch, bystanders())
    _RUNNING.append(running)
    try:
        yield watch.reads
    finally:
        _RUNNING.remove(running)
        _WATCH.reset(before)


def bystanders() -> frozenset[int]:
    """Return the threads that do something of their own now: not this one, nor one of a pool that waits for work."""
    threads, here = sys._current_frames(), threading.get_ident()
    return frozenset(thread for thread, frame in threads.items() if thread != here and not _waits(frame))


def _waits(frame: FrameType) -> bool:
    last = [frame, frame.f_back] if frame.f_back is not None else [frame]
    return any(each is not None and each.f_globals.get("__name__") in WAITING for each in last)


def held(name: str, as_of: datetime | None) -> datetime | None:
    """Return the moment a read is answered at: the one asked for, or the bound where that is earlier."""
    watch = _WATCH.get()
    if watch is None:
        here = threading.get_ident()
        watch = next((one for one, others in reversed(_RUNNING) if here not in others), None)
    if watch is None:
        return as_of
    watch.reads[name] = watch.reads.get(name, True) and as_of is not None
    bound = watch.bound(name)
    return min((each for each in (as_of, bound) if each is not None), default=None)
