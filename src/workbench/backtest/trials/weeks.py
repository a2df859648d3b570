"""Returns by week, as the ledger keeps them: small enough for every trial, and trials of unlike days line up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MONDAY = np.datetime64("1970-01-05", "D")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Weekly:
    """Returns summed by week, from ``week`` on (weeks since 1970)."""

    week: int
    returns: Floats

    @property
    def end(self) -> int:
        """The week after the last."""
        return self.week + len(self.returns)


def weeks_of(index: pd.Index) -> NDArray[np.int64]:
    """Return the week of each day, counted from the first Monday of 1970."""
    days = pd.DatetimeIndex(index).tz_localize(None).to_numpy().astype("datetime64[D]")
    found: NDArray[np.int64] = (days - MONDAY).astype(np.int64) // 7
    return found


def by_week(returns: pd.Series) -> Weekly:
    """Return daily returns summed by week; what is not finite counts as nothing."""
    weeks = weeks_of(returns.index)
    values = np.nan_to_num(returns.to_numpy(dtype=float), nan=0.0, posinf=0.0, neginf=0.0)
    sums = np.bincount(weeks - weeks[0], weights=values)
    return Weekly(int(weeks[0]), sums.astype(np.float32))


def aligned(trials: Sequence[Weekly], weeks: range) -> Floats:
    """Return the weekly returns, a row a week and a column a trial; 0 where a trial has no week."""
    found = np.zeros((len(trials), len(weeks)), dtype=np.float32)  # a trial's weeks lie side by side: quick to fill
    for row, trial in zip(found, trials, strict=True):
        first, last = max(trial.week, weeks.start), min(trial.end, weeks.stop)
        if first < last:
            row[first - weeks.start : last - weeks.start] = trial.returns[first - trial.week : last - trial.week]
    return found.T


def span(trials: Sequence[Weekly]) -> range:
    """Return the weeks from the first of any trial to the last."""
    if not trials:
        return range(0)
    return range(min(trial.week for trial in trials), max(trial.end for trial in trials))
