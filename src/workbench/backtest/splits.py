"""The one splitter: training windows that end well before the test begins, test windows that tile the rest.

    rolling   |--train--| gap |-test-|
                   |--train--| gap |-test-|
    anchored  |--train--| gap |-test-|
              |-----train-----| gap |-test-|

The gap is ``purge + embargo`` sessions in both modes: purged sessions have outcomes that lie in the test, embargoed
ones still echo in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workbench.errors import InputRefused
from workbench.params import WalkForwardParams


@dataclass(frozen=True)
class Fold:
    """Half-open row ranges of one step: train ends ``gap`` rows before test starts."""

    number: int
    train: slice
    test: slice


def folds(rows: int, params: WalkForwardParams, warm_up: int = 0) -> list[Fold]:
    """Return the folds of ``rows`` sessions; the last test window may be shorter, but not below a quarter.

    ``warm_up`` sessions were taken off before: a refusal says so.
    """
    gap = params.purge_sessions + params.embargo_sessions
    first_test = params.train_sessions + gap
    if rows < first_test + params.test_sessions:
        name = "warm_up_sessions" if warm_up == params.warm_up_sessions else "longest lookback"
        raise InputRefused(
            f"walk_forward: {f'{name} {warm_up} + ' if warm_up else ''}train_sessions {params.train_sessions} "
            f"+ gap {gap} + test_sessions {params.test_sessions} = {warm_up + first_test + params.test_sessions} "
            f"is longer than the data ({warm_up + rows} sessions); shorten the windows or read more"
        )
    return list(_folds(rows, params, first_test, gap))


def folds_after_warm_up(name: str, lookbacks: Iterable[int], rows: int, params: WalkForwardParams) -> list[Fold]:
    """Return the folds of ``rows`` sessions that begin when every indicator is warm: the longest lookback counts."""
    warm_up = max(params.warm_up_sessions, *lookbacks)
    if warm_up >= rows:
        raise InputRefused(
            f"{name}: warm-up of {warm_up} sessions (walk_forward.warm_up_sessions, or the grid's longest lookback) "
            f"is longer than the data ({rows}); shorten it or read more"
        )
    return [_shifted(fold, warm_up) for fold in folds(rows - warm_up, params, warm_up)]


def _shifted(fold: Fold, by: int) -> Fold:
    return Fold(
        fold.number,
        slice(fold.train.start + by, fold.train.stop + by),
        slice(fold.test.start + by, fold.test.stop + by),
    )


def _folds(rows: int, params: WalkForwardParams, first_test: int, gap: int) -> Iterator[Fold]:
    for number, start in enumerate(range(first_test, rows, params.test_sessions)):
        stop = min(start + params.test_sessions, rows)
        if number and stop - start < params.test_sessions / 4:
            return
        train_stop = start - gap
        train_start = 0 if params.mode == "anchored" else train_stop - params.train_sessions
        yield Fold(number, slice(train_start, train_stop), slice(start, stop))
