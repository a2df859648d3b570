"""Indicator lines for a sweep of crossings: one symbol's values, a row a setting, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.compiled import compiled

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@compiled
def moving_averages(values: Array, lengths: Rows, lines: Array) -> None:
    """Fill ``lines`` (lengths × bars) with simple moving averages, to the last bit those of pandas' ``rolling.mean``.

    The last bit decides a crossing where two averages are equal, as they often are for prices in cents. So the sums are
    kept as pandas keeps them: compensated, and exact where all values of a window are the same.
    """
    count = len(lengths)
    total, up, down = np.zeros(count), np.zeros(count), np.zeros(count)
    last, same, missing = np.nan, 0, -1
    for t in range(len(values)):
        new = values[t]
        known = new == new
        if known:
            same = same + 1 if new == last else 1
            last = new
        else:
            missing = t
        for k in range(count):
            length = lengths[k]
            if t >= length:
                old = values[t - length]
                if old == old:
                    y = -old - down[k]
                    z = total[k] + y
                    down[k] = z - total[k] - y
                    total[k] = z
            if known:
                y = new - up[k]
                z = total[k] + y
                up[k] = z - total[k] - y
                total[k] = z
            if t - missing < length:
                lines[k, t] = np.nan
            elif same >= length:
                lines[k, t] = last
            else:
                lines[k, t] = total[k] / length
