"""Arithmetic over rolling windows of 5, 10, 20, 30 and 60 rows, compiled, for all five windows at once.

Each window is a newer and an older part that are windows themselves (10 = 5 + 5, 30 = 20 + 10, 60 = 30 + 30), so a
value costs a few operations and no more for a longer window. Nothing is carried along from row to row: a row depends on
the numbers in its window and on nothing else, to the last bit. So nothing drifts, and a row computed alone equals the
same row computed in a long history.

Arrays are rows of one symbol, the oldest first; ``out[w, i]`` is the window ``w`` that ends in row i, for the shortest
``many`` windows. A part that reaches before the first row counts as missing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WINDOWS = (5, 10, 20, 30, 60)
LONGEST = WINDOWS[-1]
# Window w is the window _NEWER[w], and before it (that is, _WIDTH[w] rows earlier) the window _OLDER[w].
_NEWER, _OLDER, _WIDTH = (0, 0, 1, 2, 3), (0, 0, 1, 1, 3), (0, 5, 10, 20, 30)
_FIRST = WINDOWS[0]

# One setting for all: no checks that stop the loops from being vectorised, no lock, compiled once a machine.
compiled = njit(cache=True, nogil=True, error_model="numpy")


@compiled
def filled(values, present, carried):  # type: ignore[no-untyped-def]
    """Set ``present`` to 1 where a value is finite, and ``carried`` to the last finite value so far, at first 0."""
    last = 0.0
    for i in range(values.size):
        if np.isfinite(values[i]):
            last = values[i]
            present[i] = 1.0
        else:
            present[i] = 0.0
        carried[i] = last


@compiled
def sums(values, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the sums; missing values must be 0."""
    size = values.size
    base = out[0]
    base[:] = values
    for k in range(1, _FIRST):
        later, earlier = base[k:], values[: size - k]
        for i in range(size - k):
            later[i] += earlier[i]
    for w in range(1, many):
        _, new, old, to = _parts(out, w)
        for i in range(to.size):
            to[i] = new[i] + old[i]


@compiled
def _parts(out, w):  # type: ignore[no-untyped-def]
    """Return what joins a window: its newer part's width, both parts and the place of the result, row by row.

    Where there is no older part the result is the newer part: that is written here.
    """
    width = _WIDTH[w]
    out[w, :width] = out[_NEWER[w], :width]
    return width, out[_NEWER[w], width:], out[_OLDER[w], : out.shape[1] - width], out[w, width:]


@compiled
def means(counts, totals, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the means, 0 where nothing is present."""
    for w in range(many):
        n, total, to = counts[w], totals[w], out[w]
        for i in range(to.size):
            to[i] = total[i] / n[i] if n[i] > 0.0 else 0.0


@compiled
def joins(counts, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to n m / (n + m) for the counts of the two parts, 0 where one is empty: it joins their spreads."""
    out[0, :] = 0.0
    for w in range(1, many):
        width = _WIDTH[w]
        out[w, :width] = 0.0
        new, old, to = counts[_NEWER[w], width:], counts[_OLDER[w]], out[w, width:]
        for i in range(to.size):
            both = new[i] * old[i]
            to[i] = both / (new[i] + old[i]) if both > 0.0 else 0.0


@compiled
def crosses(x, y, present, counts, join, x_means, y_means, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the sums of (x - mean x)(y - mean y) over the rows present; x and y are carried over gaps.

    Parts are joined as Chan, Golub and LeVeque (1983) do. A first part is taken around its newest value:
    nothing cancels, and it is exactly zero where x or y does not change. The spread of x is the cross of x with itself.
    """
    _first_crosses(x, y, present, counts[0], out[0])
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        factor, new_x, old_x = join[w, width:], x_means[_NEWER[w], width:], x_means[_OLDER[w]]
        new_y, old_y = y_means[_NEWER[w], width:], y_means[_OLDER[w]]
        for i in range(to.size):
            to[i] = new[i] + old[i] + (new_x[i] - old_x[i]) * (new_y[i] - old_y[i]) * factor[i]


@compiled
def _first_crosses(x, y, present, count, out):  # type: ignore[no-untyped-def]
    out[:4] = 0.0
    x0, x1, x2, x3, x4 = x[4:], x[3:-1], x[2:-2], x[1:-3], x[:-4]
    y0, y1, y2, y3, y4 = y[4:], y[3:-1], y[2:-2], y[1:-3], y[:-4]
    p1, p2, p3, p4 = present[3:-1], present[2:-2], present[1:-3], present[:-4]
    n, to = count[4:], out[4:]
    for i in range(to.size):
        a1, a2, a3, a4 = (
            p1[i] * (x1[i] - x0[i]),
            p2[i] * (x2[i] - x0[i]),
            p3[i] * (x3[i] - x0[i]),
            p4[i] * (x4[i] - x0[i]),
        )
        b1, b2, b3, b4 = y1[i] - y0[i], y2[i] - y0[i], y3[i] - y0[i], y4[i] - y0[i]
        apart = (a1 + a2 + a3 + a4) * (p1[i] * b1 + p2[i] * b2 + p3[i] * b3 + p4[i] * b4)
        to[i] = a1 * b1 + a2 * b2 + a3 * b3 + a4 * b4 - (apart / n[i] if n[i] > 0.0 else 0.0)


@compiled
def age_sums(present, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the sums of the ages of the rows present; the newest row's age is 0."""
    counts = np.empty(out.shape)
    sums(present, counts, many)
    out[0, :4] = 0.0
    p1, p2, p3, p4, first = present[3:-1], present[2:-2], present[1:-3], present[:-4], out[0, 4:]
    for i in range(first.size):
        first[i] = p1[i] + 2.0 * p2[i] + 3.0 * p3[i] + 4.0 * p4[i]
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        many = counts[_OLDER[w]]
        for i in range(to.size):
            to[i] = new[i] + (old[i] + width * many[i])


@compiled
def age_spreads(present, counts, join, age_means, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the sums of (age - mean age)² over the rows present."""
    out[0, :4] = 0.0
    p1, p2, p3, p4 = present[3:-1], present[2:-2], present[1:-3], present[:-4]
    n, first = counts[0, 4:], out[0, 4:]
    for i in range(first.size):
        total = p1[i] + 2.0 * p2[i] + 3.0 * p3[i] + 4.0 * p4[i]
        squares = p1[i] + 4.0 * p2[i] + 9.0 * p3[i] + 16.0 * p4[i]
        first[i] = squares - (total * total / n[i] if n[i] > 0.0 else 0.0)
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        factor, new_age, old_age = join[w, width:], age_means[_NEWER[w], width:], age_means[_OLDER[w]]
        for i in range(to.size):
            apart = new_age[i] - (old_age[i] + width)
            to[i] = new[i] + old[i] + apart * apart * factor[i]


@compiled
def trends(y, present, counts, join, age_means, y_means, out, many):  # type: ignore[no-untyped-def]
    """Set ``out`` to the sums of (age - mean age)(y - mean y) over the rows present: below zero where y rises."""
    out[0, :4] = 0.0
    y0, y1, y2, y3, y4 = y[4:], y[3:-1], y[2:-2], y[1:-3], y[:-4]
    p1, p2, p3, p4 = present[3:-1], present[2:-2], present[1:-3], present[:-4]
    n, first = counts[0, 4:], out[0, 4:]
    for i in range(first.size):
        b1, b2 = p1[i] * (y1[i] - y0[i]), p2[i] * (y2[i] - y0[i])
        b3, b4 = p3[i] * (y3[i] - y0[i]), p4[i] * (y4[i] - y0[i])
        apart = (p1[i] + 2.0 * p2[i] + 3.0 * p3[i] + 4.0 * p4[i]) * (b1 + b2 + b3 + b4)
        first[i] = b1 + 2.0 * b2 + 3.0 * b3 + 4.0 * b4 - (apart / n[i] if n[i] > 0.0 else 0.0)
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        factor, new_age, old_age = join[w, width:], age_means[_NEWER[w], width:], age_means[_OLDER[w]]
        new_y, old_y = y_means[_NEWER[w], width:], y_means[_OLDER[w]]
        for i in range(to.size):
            apart = new_age[i] - (old_age[i] + width)
            to[i] = new[i] + old[i] + apart * (new_y[i] - old_y[i]) * factor[i]


@compiled
def maxima(values, out, many):  # type: ignore[no-untyped-def]
    """Set the highest values; missing values must be -inf."""
    size = values.size
    out[0, :] = values
    for k in range(1, _FIRST):
        best, earlier = out[0, k:], values[: size - k]
        for i in range(size - k):
            best[i] = earlier[i] if earlier[i] > best[i] else best[i]
    for w in range(1, many):
        _, new, old, to = _parts(out, w)
        for i in range(to.size):
            to[i] = old[i] if old[i] > new[i] else new[i]


@compiled
def highest(values, out, out_ages, many):  # type: ignore[no-untyped-def]
    """Set the highest values and how many rows ago they were, the oldest of equals; missing values must be -inf."""
    size = values.size
    out[0, :], out_ages[0, :] = values, 0.0
    for k in range(1, _FIRST):
        best, age, earlier = out[0, k:], out_ages[0, k:], values[: size - k]
        for i in range(size - k):
            higher = earlier[i] >= best[i]
            age[i] = float(k) if higher else age[i]
            best[i] = earlier[i] if higher else best[i]
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        _, new_age, old_age, to_age = _parts(out_ages, w)
        for i in range(to.size):
            higher = old[i] >= new[i]
            to[i] = old[i] if higher else new[i]
            to_age[i] = old_age[i] + width if higher else new_age[i]


@compiled
def spans(present, out, many):  # type: ignore[no-untyped-def]
    """Set how many rows a window has from its first row present on; 0 where none is."""
    size = present.size
    out[0, :] = present
    for k in range(1, _FIRST):
        to, earlier = out[0, k:], present[: size - k]
        for i in range(size - k):
            to[i] = float(k + 1) if earlier[i] > 0.0 else to[i]
    for w in range(1, many):
        width, new, old, to = _parts(out, w)
        for i in range(to.size):
            to[i] = old[i] + width if old[i] > 0.0 else new[i]
