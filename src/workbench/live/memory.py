"""The memory of a process that runs for weeks."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Return to the system what nothing refers to any more; the C library keeps it otherwise, in pieces, for later."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # only glibc can
        ctypes.CDLL(None).malloc_trim(0)
