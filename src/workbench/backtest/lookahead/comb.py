"""A comb tries many dates in one run: bars far apart are changed, and no row before its bar should notice.

    changed bars      |              |              |
    may change         ......         ......         ......      as far as one bar is felt: the memory
    must not change          xxxxxxxx       xxxxxxxx             a row that does is a suspect

A comb only suggests dates: code that remembers for longer than it showed is suspected too, and a cut clears it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.backtest.lookahead.answer import compare
from workbench.backtest.lookahead.case import Case
from workbench.backtest.lookahead.noise import other_future, other_gaps
from workbench.backtest.lookahead.world import World

# So many rows before a changed bar are watched, and so many suspects are handed on.
WATCHED, SUSPECTS = 20, 6


@dataclass(frozen=True)
class Combed:
    """The suspected rows, and how many bars were changed to find them: none where one change is felt for too long."""

    suspects: tuple[int, ...]
    bars: int


def comb(case: Case, times: int) -> Combed:
    """Return the rows that changed although only later bars did."""
    size, memory = len(case.world), _memory(case)
    if memory * 3 > size:
        return Combed((), 0)
    random, suspects, bars = np.random.default_rng((case.seed, 2)), set(), 0
    spacing = memory + WATCHED
    for number, offset in enumerate(random.permutation(spacing)[:times]):
        at = np.arange(case.first + 1 + offset, size, spacing)
        found = case.answer(_spiked(case, at, missing=number % 4 == 3, seed=number)) if len(at) else None
        if found is None:
            continue
        bars += len(at)
        changed = np.unique(compare(case.base, found, slice(case.first, size)).rows)
        following = np.searchsorted(at, changed, side="right")
        edges = np.concatenate([[case.first - memory], at, [size + WATCHED]])
        silent = (changed - edges[following] >= memory) & (edges[following + 1] - changed <= WATCHED)
        suspects |= {int(row) for row in changed[silent] if row < size - 1}
    return Combed(tuple(int(row) for row in random.permutation(sorted(suspects))[:SUSPECTS]), bars)


def _memory(case: Case) -> int:
    """Return for how many rows one changed bar is felt, at least the lookback."""
    longest = max(case.subject.lookback or 0, 1)
    at = max(case.first, len(case.world) // 2)
    for missing in (False, True):
        found = case.answer(_spiked(case, np.array([at]), missing=missing, seed=0))
        if found is not None:
            rows = compare(case.base, found, slice(at, len(case.world))).rows
            longest = max(longest, int(rows.max()) - at + 1 if len(rows) else 0)
    return longest


def _spiked(case: Case, at: np.ndarray, *, missing: bool, seed: int) -> World:
    """Return the world with everything changed on some rows only, or with half of the symbols gone there."""
    world = case.world
    if missing and world.kind == "bars":
        half = np.random.default_rng((case.seed, seed)).random(len(world.symbols)) < 0.5
        other = other_gaps(world, slice(0, len(world)), half, lose=True)
    else:
        other = other_future(world, -1, case.seed + seed, missing=False)
    part = np.zeros((len(world), 1), dtype=bool)
    part[at] = True
    return world.changed({name: np.where(part, other.fields[name], values) for name, values in world.fields.items()})
