"""How the kernel's functions are compiled: kept on disk, without the interpreter's lock, IEEE arithmetic throughout.

Parallel work is threads that run these functions without the lock. ``parallel=True`` is not used: its threads do not
survive the forks that warm notebook kernels are made by, and numba's disk cache does not tell the two apart.

That cache looks at the one file of a function. So a compiled function uses its arguments and its own file, nothing
else: a commission changed in ``commissions`` would stay as it was in code compiled before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Return the function as machine code; division by zero gives inf or NaN, as in numpy."""
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))
