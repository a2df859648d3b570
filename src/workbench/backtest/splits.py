"""The one splitter: training windows that end well before the test begins, test windows that tile the rest.

    rolling   |--train--| gap |-test-|
                   |--train--| gap |-test-|
    anchored  |--train--| gap |-test-|
              |-----train-----| gap |-test-|

The gap is ``purge + embargo`` sessions in both modes: purged sessions have outcomes that lie in the test, embargoed
ones still echo in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.errors import InputRefused
from workbench.params import WalkForwardParams


@dataclass(frozen=True)
class Fold:
    """Half-open row ranges of one step: train ends ``gap`` rows before test starts."""

    number: int
    train: slice
    test: slice


def folds(rows: int, params: WalkForwardParams) -> list[Fold]:
    """Return the folds of ``rows`` sessions; the last test window may be shorter, but not below a quarter."""
    gap = params.purge_sessions + params.embargo_sessions
    first_test = params.train_sessions + gap
    if rows < first_test + params.test_sessions:
        raise InputRefused(
            f"walk_forward: train_sessions {params.train_sessions} + gap {gap} + test_sessions {params.test_sessions} "
            f"= {first_test + params.test_sessions} is longer than the data ({rows} sessions); "
            "shorten the windows or read more"
        )
    return list(_folds(rows, params, first_test, gap))


def _folds(rows: int, params: WalkForwardParams, first_test: int, gap: int) -> Iterator[Fold]:
    for number, start in enumerate(range(first_test, rows, params.test_sessions)):
        stop = min(start + params.test_sessions, rows)
        if number and stop - start < params.test_sessions / 4:
            return
        train_stop = start - gap
        train_start = 0 if params.mode == "anchored" else train_stop - params.train_sessions
        yield Fold(number, slice(train_start, train_stop), slice(start, stop))
