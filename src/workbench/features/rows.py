"""Correlations across symbols, a number a row, compiled."""

from __future__ import annotations

import numpy as np

from workbench.features.windows import compiled


@compiled
def correlations(x, y, ranks, least):  # type: ignore[no-untyped-def]
    """Return the correlation of each row of x with that of y where both are present; nan for fewer than ``least``.

    With ``ranks``, of their ranks (Spearman); equals share their mean rank.
    """
    rows, columns = x.shape
    found = np.full(rows, np.nan)
    a, b = np.empty(columns), np.empty(columns)
    for row in range(rows):
        count = 0
        for column in range(columns):
            if np.isfinite(x[row, column]) and np.isfinite(y[row, column]):
                a[count], b[count] = x[row, column], y[row, column]
                count += 1
        if count < least:
            continue
        first, second = a[:count], b[:count]
        if ranks:
            first, second = _ranks(first), _ranks(second)
        mean_a, mean_b = first.mean(), second.mean()
        aa, bb, ab = 0.0, 0.0, 0.0
        for i in range(count):
            da, db = first[i] - mean_a, second[i] - mean_b
            aa += da * da
            bb += db * db
            ab += da * db
        if aa > 0.0 and bb > 0.0:
            found[row] = ab / np.sqrt(aa * bb)
    return found


@compiled
def rank_shares(x, least):  # type: ignore[no-untyped-def]
    """Return each value's rank in its row, from 1/n to 1; equals share theirs; rows of fewer than ``least`` are nan."""
    rows, columns = x.shape
    found = np.full((rows, columns), np.nan)
    held, where = np.empty(columns), np.empty(columns, np.int64)
    for row in range(rows):
        count = 0
        for column in range(columns):
            if np.isfinite(x[row, column]):
                held[count], where[count] = x[row, column], column
                count += 1
        if count < least:
            continue
        ranked = _ranks(held[:count])
        for i in range(count):
            found[row, where[i]] = (ranked[i] + 1.0) / count
    return found


@compiled
def _ranks(values):  # type: ignore[no-untyped-def]
    order = np.argsort(values)
    out = np.empty(values.size)
    start = 0
    while start < values.size:
        end = start
        while end + 1 < values.size and values[order[end + 1]] == values[order[start]]:
            end += 1
        for i in range(start, end + 1):
            out[order[i]] = 0.5 * (start + end)
        start = end + 1
    return out
