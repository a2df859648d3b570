"""Kernels forked from a warm parent: imports are paid once a run, not once a notebook.

``WarmParents`` (client.py) starts one clean process (parent.py). It imports ipykernel, then forks a parent for every
group of modules; a group that begins with another group's name is forked from that one::

    base ── light: numpy, pandas ──┬── data: light, great_expectations
                                   └── research: light, vectorbt, mlflow

Groups import side by side, and each serves forks as soon as its own imports are done. Why this is safe:

1. A parent imports and does nothing else: no data, no pool, no event loop. It counts its threads after every import
   and refuses to fork once a module has started one (the step then gets an ordinary kernel, and the run says why).
2. Threads that start on import are switched off by ``WARM_ENVIRONMENT``; all other pools start at their first use, in
   the child. ``PARKED`` names the one thread that is tolerated.
3. Linux kills a kernel when its parent dies, and a parent when the base dies; the base ends when the pipe from the
   process that started it closes. Nothing outlives a killed run.

Only Linux has what this needs (``available``); elsewhere every kernel is an ordinary one.
"""

from __future__ import annotations

from workbench.kernels.client import ForkedKernel, NoFork, WarmParents
from workbench.kernels.conditions import (
    BASE,
    KERNEL_ENVIRONMENT,
    NEEDLESS,
    PROGRAM,
    available,
    lineage,
    without,
)

__all__ = [
    "BASE",
    "KERNEL_ENVIRONMENT",
    "NEEDLESS",
    "PROGRAM",
    "ForkedKernel",
    "NoFork",
    "WarmParents",
    "available",
    "lineage",
    "without",
]
