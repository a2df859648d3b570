"""What holds in every parent and kernel: the program, the environment, the imports, and what grows from what."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

BASE = "base"
PROGRAM = (sys.executable, "-P", "-m", "workbench.kernels")  # parents FOLDER GROUPS, or a CONNECTION_FILE: a kernel
# Imports that only slow others down: jsonschema, below nbformat and great_expectations, tries these to check IRIs, and
# the first needs 2.5 s to build its grammar (1.1.0, seen 2026-11). Nothing here checks an IRI.
NEEDLESS = ("rfc3987_syntax", "rfc3987")
# Polars 2 starts a thread on import that deletes spill files and otherwise waits on a futex. A fork lacks it: queries
# that spill work (tried with a budget of 50 MB), their files stay, so they go to a folder that ends with the run.
PARKED = ("polars-ooc-clea",)

# What ipykernel imports itself when a kernel starts (pydevd, which it brings, is half of that time), and every step.
KERNEL_MODULES = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.extensions.storemagic",
    "psutil",
    "workbench.step",
)
KERNEL_ARGUMENTS = ("--HistoryManager.enabled=False",)
# What every step's kernel gets, warm or not, unless the environment already says otherwise.
KERNEL_ENVIRONMENT = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OPENBLAS_NUM_THREADS": "1",  # steps run side by side; numba, polars and torch keep their own threads
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
# What a parent gets on top: nothing may start a thread when it is imported.
WARM_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "_RJEM_MALLOC_CONF": "background_thread:false",
}


def available() -> bool:
    """Return whether kernels can be forked on this system."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and Path("/proc/self/task").is_dir()


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make the import of some modules fail for a while, so that packages which merely offer them go on without."""
    absent = [module for module in modules if module not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for module in absent:
            sys.modules.pop(module, None)


def lineage(groups: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the groups that ``name`` grows from, oldest first, itself last."""
    parents = [module for module in groups[name] if module in groups]
    return [*(lineage(groups, parents[0]) if parents else []), name]
