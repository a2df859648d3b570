"""Trials that a ledger once held and that are gone for good: said by a person, recorded in the chain, and never hidden.

A loss is a batch without trials. It has the heads that are missing, so that the runs that keep them stop the ledger no
longer, how many trials those runs knew of, and why they are gone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.backtest.trials.kept import Kept
from workbench.backtest.trials.schema import select

LOST = "lost"  # the source of such a batch


@dataclass(frozen=True)
class Loss:
    """What one loss took: at least so many trials, told by the runs that keep a head of them."""

    recorded: str
    trials: int
    reason: str
    heads: tuple[tuple[str, str], ...]  # run and head

    @property
    def sentence(self) -> str:
        """The loss in words."""
        runs = len({run for run, _ in self.heads})
        return (
            f"lost and not counted: at least {self.trials:,} {'trial' if self.trials == 1 else 'trials'} of {runs:,} "
            f"{'run' if runs == 1 else 'runs'} ({self.recorded[:10]}: {self.reason})"
        )


def loss_text(reason: str, heads: Iterable[tuple[str, str]]) -> str:
    """Return a loss as its batch keeps it."""
    return json.dumps({"reason": reason, "heads": sorted(heads)})


def losses(connection: sqlite3.Connection) -> list[Loss]:
    """Return the losses that a chain holds, the oldest first."""
    found = connection.execute(
        select("batches", "recorded, evaluated, text", "WHERE source = ? ORDER BY number"), (LOST,)
    )
    return [
        Loss(recorded, trials, told["reason"], tuple((run, head) for run, head in told["heads"]))
        for recorded, trials, told in ((recorded, trials, json.loads(text)) for recorded, trials, text in found)
    ]


def missing(kept: Iterable[Kept], heads: Iterable[str], known: Iterable[Loss]) -> list[Kept]:
    """Return what is kept of batches that are not in the chain, but for what is known as lost."""
    excused = {pair for loss in known for pair in loss.heads}
    held = frozenset(heads)
    return [each for each in kept if each.head not in held and (each.run, each.head) not in excused]
