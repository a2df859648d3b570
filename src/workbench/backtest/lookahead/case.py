"""One subject on one world: what every check needs to run it and to compare what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any

import numpy as np

from workbench.backtest.lookahead.answer import Answer, Label, compare
from workbench.backtest.lookahead.cold import Cold, Unanswered, open_cold
from workbench.backtest.lookahead.dates import decided_at
from workbench.backtest.lookahead.finding import day
from workbench.backtest.lookahead.noise import nudged
from workbench.backtest.lookahead.opened import in_doubt, opened
from workbench.backtest.lookahead.recipe import Recipe
from workbench.backtest.lookahead.subject import STRATEGY, Raised, Run, Runner, Subject
from workbench.backtest.lookahead.world import World
from workbench.errors import InputRefused

# A difference that so small a change of the inputs makes as well is rounding at a tie: two averages that are equal.
# A tie falls to either side by half of the nudges, so that sixteen leave none unseen.
NUDGE, NUDGES = 1e-12, 16
NOT_COLD = "not run cold, {}: what it kept from an earlier call was not looked for"


@dataclass(frozen=True)
class Case:
    """A subject, the world it is examined on, and its answer there."""

    subject: Subject
    world: World
    seed: int
    run: Run
    base: Answer
    first: int  # the first row in which it says something
    cold: Cold | None = None  # runs it as if it had never run, where that can be done
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def answer(self, world: World, moments: Mapping[str, datetime] | None = None) -> Answer | None:
        """Return the answer on another world, None where the subject refuses it."""
        try:
            return self.run(world, moments)
        except Raised:
            return None

    def is_rounding(self, row: int, label: Label, size: float, nudge: float = NUDGE) -> bool:
        """Return whether a change of the inputs as small as rounding moves this cell at least half as far."""
        for seed in range(NUDGES):
            found = self.answer(nudged(self.world, row, nudge, seed))
            if found is None:
                continue
            apart = compare(self.base, found, slice(row, row + 1))
            for column, moved in zip(apart.columns, apart.sizes, strict=True):
                if apart.labels[column] == label and moved >= size / 2:
                    return True
        return False

    def day(self, row: int) -> str:
        """Return the date of a row."""
        return day(self.world.index[row])

    def moment(self, row: int) -> datetime:
        """Return when a row was decided."""
        return decided_at(self.world.index, row)

    def close(self) -> None:
        """End what was started for it."""
        if self.cold is not None:
            self.cold.end()


def open_case(subject: Subject, world: World, seed: int, data: Any = None, recipe: Recipe = None) -> Case:
    """Run the subject once on all of the data; an error there is the user's, and is passed on."""
    size, lookback = len(world), subject.lookback
    if lookback is not None and lookback > size - 2:
        raise InputRefused(
            f"{subject.name}: its lookback is {lookback} bars and the data has {size}; examine it on at least "
            f"{lookback + 2}, better several times as many"
        )
    cold, notes = None, []
    try:
        cold = open_cold(subject, world, data, recipe)
    except Unanswered as error:
        notes.append(NOT_COLD.format(error))
    try:
        begin = perf_counter()
        run = Runner(subject)
        with opened() as seen:
            base = run(world)
        if cold is not None:
            cold.wait_longer(perf_counter() - begin)
        return Case(subject, world, seed, run, base, _first(subject, base, size), cold, notes, in_doubt(seen))
    except BaseException as error:
        if cold is not None:
            cold.end()
        if isinstance(error, Raised):
            raise InputRefused(
                f"{subject.name}: it raises on the data itself, so nothing was examined: {error}"
            ) from error.__cause__
        raise


def _first(subject: Subject, base: Answer, size: int) -> int:
    """Return the first row in which something is said: no position says nothing."""
    said = ~np.isnan(base.values) if subject.kind != STRATEGY else base.values != 0.0
    rows = np.flatnonzero(said.any(axis=1))
    return min(int(rows[0]), size - 2) if len(rows) else size // 3
