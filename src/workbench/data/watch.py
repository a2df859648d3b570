"""What code reads of the lake while it runs, and the moment each read is held to: how the guard asks what was known.

>>> with watched(lambda name: closes) as reads:      # no read of this thread, or of one started in it, knows more
...     strategy.weights(bars)
>>> reads                                            # {'macro': False}: read, and not every time with as_of
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

# The latest moment at which a dataset may be known; None: no bound.
Bound = Callable[[str], datetime | None]


@dataclass(frozen=True)
class _Watch:
    bound: Bound
    reads: dict[str, bool] = field(default_factory=dict)


_WATCH: ContextVar[_Watch | None] = ContextVar("watch", default=None)
# Each watch with the threads that were there before it: one that its code starts is held as well.
_RUNNING: list[tuple[_Watch, frozenset[int | None]]] = []


@contextmanager
def watched(bound: Bound) -> Iterator[dict[str, bool]]:
    """Hold every read to its bound, and give which datasets were read: whether each read of one said ``as_of``."""
    watch = _Watch(bound)
    before, running = _WATCH.set(watch), (watch, frozenset(thread.ident for thread in threading.enumerate()))
    _RUNNING.append(running)
    try:
        yield watch.reads
    finally:
        _RUNNING.remove(running)
        _WATCH.reset(before)


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
