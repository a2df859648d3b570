"""Is a search the same as another, whatever it is called? By its trials' weekly returns, beside the market's.

A copy under another name with a cost changed by a hair, other cells or other years moves with what it was copied from.
The market is taken off both, so that two strategies that hold stocks are not alike by the market alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.trials.weeks import Weekly, aligned

# As in clusters.py: trials that correlate so much are one bet.
SAME_SEARCH = 0.95
# Fewer weeks in common say nothing, nor do less than half of what the shorter one has.
LEAST_WEEKS, LEAST_SHARE = 52, 0.5
# What is left beside the market is none where it is only what float32 rounds off.
ROUNDED = 1e-6
_Span = tuple[int, int]


def same_search(ours: Sequence[Weekly], theirs: Sequence[Weekly], market: Weekly | None = None) -> bool:
    """Return whether one of these trials moves with one of those, beside the ``market``: over the weeks of all three.

    >>> trial = Weekly(2000, np.sin(np.arange(60.0)).astype("f4"))
    >>> same_search([trial], [Weekly(2004, trial.returns[4:] * 2)]), same_search([trial], [Weekly(2003, trial.returns)])
    (True, False)
    """
    mine, others = _by_span(ours, market), _by_span(theirs, market)
    for first, some in mine.items():
        for second, more in others.items():
            weeks = range(max(first[0], second[0]), min(first[1], second[1]))
            shorter = min(first[1] - first[0], second[1] - second[0])
            if len(weeks) < max(LEAST_WEEKS, LEAST_SHARE * shorter):
                continue
            if (_directions(some, weeks, market).T @ _directions(more, weeks, market)).max() >= SAME_SEARCH:
                return True
    return False


def _by_span(trials: Sequence[Weekly], market: Weekly | None) -> Mapping[_Span, list[Weekly]]:
    """Return trials by their first week and the week after their last, within what is known of the market."""
    found: dict[_Span, list[Weekly]] = {}
    for trial in trials:
        first, end = trial.week, trial.end
        if market is not None:
            first, end = max(first, market.week), min(end, market.end)
        found.setdefault((first, end), []).append(trial)
    return found


def _directions(trials: Sequence[Weekly], weeks: range, market: Weekly | None) -> NDArray[np.float64]:
    """Return a column a trial of length 1: its returns of weeks that it has all of, less their mean and the market."""
    values = aligned(trials, weeks).astype(float)
    less = values - values.mean(axis=0)
    if market is not None:
        other = aligned([market], weeks)[:, 0].astype(float)
        other -= other.mean()
        less -= np.outer(other, other @ less) / max(float(other @ other), np.finfo(float).tiny)
    length = np.linalg.norm(less, axis=0)
    there = length > ROUNDED * np.linalg.norm(values, axis=0)
    found: NDArray[np.float64] = np.divide(less, length, out=np.zeros_like(less), where=there)
    return found
