"""One subject on one world: what every check needs to run it and to compare what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from workbench.backtest.lookahead.answer import Answer, Label, compare
from workbench.backtest.lookahead.finding import day
from workbench.backtest.lookahead.noise import nudged
from workbench.backtest.lookahead.subject import Raised, Runner, Subject
from workbench.backtest.lookahead.world import World
from workbench.errors import InputRefused

# A difference that so small a change of the inputs makes as well is rounding at a tie: two averages that are equal.
# A tie falls to either side by half of the nudges, so that sixteen leave none unseen.
NUDGE, NUDGES = 1e-12, 16


@dataclass(frozen=True)
class Case:
    """A subject, the world it is examined on, and its answer there."""

    subject: Subject
    world: World
    seed: int
    run: Runner
    base: Answer
    first: int  # the first row at which it can say something
    notes: list[str] = field(default_factory=list)

    def answer(self, world: World) -> Answer | None:
        """Return the answer on another world, None where the subject refuses it."""
        try:
            return self.run(world)
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


def open_case(subject: Subject, world: World, seed: int) -> Case:
    """Run the subject once on all of the data; an error there is the user's, and is passed on."""
    size, lookback = len(world), subject.lookback
    # Where no lookback is known, a third of the data is left for it to warm up.
    first = size // 3 if lookback is None else lookback
    if first > size - 2:
        raise InputRefused(
            f"{subject.name}: its lookback is {lookback} bars and the data has {size}; examine it on at least "
            f"{first + 2}, better several times as many"
        )
    run = Runner(subject)
    try:
        base = run(world)
    except Raised as error:
        raise InputRefused(
            f"{subject.name}: it raises on the data itself, so nothing was examined: {error}"
        ) from error.__cause__
    return Case(subject, world, seed, run, base, first)
