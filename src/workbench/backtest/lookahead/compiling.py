"""Numba at work: nothing that it calls to compile a function is the subject's own reading.

A profile function hears every call, and the millions of the compiler take three times as long with one. What Python
itself opens meanwhile is heard by its audit hook all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from types import ModuleType
from typing import Any

COMPILES = "numba:compile"


@contextmanager
def unheard() -> Iterator[None]:
    """Take the profile function of a thread off while numba compiles in it, where numba is loaded."""
    event: ModuleType | None = sys.modules.get("numba.core.event")
    if event is None:
        yield
        return
    kept = local()

    class Pause(event.Listener):  # type: ignore[misc, name-defined]
        def on_start(self, _: Any) -> None:
            kept.heard_by = [*getattr(kept, "heard_by", []), sys.getprofile()]
            sys.setprofile(None)

        def on_end(self, _: Any) -> None:
            before = kept.heard_by.pop()
            if before is not None:  # what compiles within another compilation found none, and leaves none
                sys.setprofile(before)

    with event.install_listener(COMPILES, Pause()):
        yield
