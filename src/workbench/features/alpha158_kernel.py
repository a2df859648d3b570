"""The compiled scan behind ``alpha158``: one pass over each symbol's bars fills all columns that are asked for."""

from __future__ import annotations

import numpy as np

from workbench.features.alpha158_flows import moves, pairs, volumes
from workbench.features.alpha158_prices import closes, extremes, order, shapes
from workbench.features.order import LANES
from workbench.features.windows import LONGEST, compiled

# Rows at a time: what a part of the scan works on stays in the core's own cache.
_ROWS = 512


@compiled
def alpha158_rows(open_, high, low, close, volume, vwap, where, first, last, out):  # type: ignore[no-untyped-def]
    """Fill ``out[where[column], symbol]`` for the symbols from ``first`` to ``last``; fields are rows × symbols.

    An empty ``vwap`` stands for the typical price. ``where`` is -1 for a column that nobody asked for.
    """
    total = close.shape[0]
    size = LONGEST + min(_ROWS, total)
    bar = np.empty((6, 8, size))
    near, far, lanes = np.empty((8, size)), np.empty((9, 5, size)), np.empty((LANES, size))
    for lane in range(first, last, 8):
        wide = min(8, last - lane)
        for start in range(0, total, _ROWS):
            rows = min(_ROWS, total - start)
            end = LONGEST + rows
            if end != near.shape[1]:  # whole arrays, so that the compiler knows them to be contiguous
                near, far, lanes = np.empty((8, end)), np.empty((9, 5, end)), np.empty((LANES, end))
            # A cache line holds eight symbols: they are gathered together. Rows before the first count as missing.
            for i in range(end):
                t = start + i - LONGEST
                for k in range(wide):
                    s = lane + k
                    known = t >= 0
                    bar[0, k, i] = open_[t, s] if known else np.nan
                    bar[1, k, i] = high[t, s] if known else np.nan
                    bar[2, k, i] = low[t, s] if known else np.nan
                    bar[3, k, i] = close[t, s] if known else np.nan
                    bar[4, k, i] = volume[t, s] if known else np.nan
            if vwap.size:
                for i in range(LONGEST, end):
                    for k in range(wide):
                        bar[5, k, i] = vwap[start + i - LONGEST, lane + k]
            else:
                for k in range(wide):
                    for i in range(LONGEST, end):
                        bar[5, k, i] = (bar[1, k, i] + bar[2, k, i] + bar[3, k, i]) / 3.0
            for k in range(wide):
                o, h, lo, c, v, vw = (
                    bar[0, k, :end], bar[1, k, :end], bar[2, k, :end], bar[3, k, :end], bar[4, k, :end], bar[5, k, :end]
                )  # fmt: skip
                to = (out, lane + k, start, rows)
                live = near[0]
                for i in range(end):
                    live[i] = 1.0 if c[i] == c[i] else np.nan
                shapes(o, h, lo, c, vw, live, where, to)
                closes(c, live, near, far, where, to)
                extremes(h, lo, c, live, near, far, where, to)
                order(c, live, near, far, lanes, where, to)
                moves(c, live, near, far, where, to)
                volumes(c, v, live, near, far, where, to)
                pairs(c, v, live, near, far, where, to)
