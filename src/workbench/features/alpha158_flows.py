"""The columns of ``alpha158`` that come from moves and volume: counts, gains, volume, correlations."""

from __future__ import annotations

import numpy as np

from workbench.features.alpha158_places import (
    CNTD,
    CNTN,
    CNTP,
    CORD,
    CORR,
    FLAT,
    SUMP,
    TINY,
    VMA,
    VSTD,
    VSUMP,
    WVMA,
    moments,
    row_of,
    wanted,
)
from workbench.features.windows import LONGEST, compiled, crosses, filled, joins, means, sums


@compiled
def moves(c, live, near, far, where, to):  # type: ignore[no-untyped-def]
    """Fill CNTP, CNTN, CNTD: the shares of days with a rise and with a fall, and their difference."""
    many = wanted(where, CNTP, CNTN, CNTD)
    if many > 0:
        present, spare, rises, falls = near[1], near[2], near[3], near[4]
        filled(c, present, spare)
        rises[0], falls[0] = 0.0, 0.0
        for i in range(1, c.size):
            rises[i] = 1.0 if c[i] > c[i - 1] else 0.0
            falls[i] = 1.0 if c[i] < c[i - 1] else 0.0
        count, ups, downs = far[0], far[1], far[2]
        sums(present, count, many)
        sums(rises, ups, many)
        sums(falls, downs, many)
        for w in range(many):
            n, up, down, alive = count[w, LONGEST:], ups[w, LONGEST:], downs[w, LONGEST:], live[LONGEST:]
            if where[CNTP + w] >= 0:
                row = row_of(to, where[CNTP + w])
                for i in range(row.size):
                    row[i] = up[i] / n[i] * alive[i]
            if where[CNTN + w] >= 0:
                row = row_of(to, where[CNTN + w])
                for i in range(row.size):
                    row[i] = down[i] / n[i] * alive[i]
            if where[CNTD + w] >= 0:
                row = row_of(to, where[CNTD + w])
                for i in range(row.size):
                    row[i] = (up[i] / n[i] - down[i] / n[i]) * alive[i]
    gains(c, live, near, far, where, to, SUMP)


@compiled
def gains(x, live, near, far, where, to, kind):  # type: ignore[no-untyped-def]
    """Gains, losses and their difference as shares of all changes of x: three kinds of columns from ``kind`` on."""
    many = wanted(where, kind, kind + 5, kind + 10)
    if many == 0:
        return
    present, gain, change = near[1], near[2], near[3]
    present[0], gain[0], change[0] = 0.0, 0.0, 0.0
    for i in range(1, x.size):
        step = x[i] - x[i - 1]
        there = step == step
        present[i] = 1.0 if there else 0.0
        gain[i] = max(step, 0.0) if there else 0.0
        change[i] = abs(step) if there else 0.0
    count, gains, changes = far[0], far[1], far[2]
    sums(present, count, many)
    sums(gain, gains, many)
    sums(change, changes, many)
    for w in range(many):
        n, up, all_, alive = count[w, LONGEST:], gains[w, LONGEST:], changes[w, LONGEST:], live[LONGEST:]
        if where[kind + w] >= 0:
            row = row_of(to, where[kind + w])
            for i in range(row.size):
                row[i] = up[i] / (all_[i] + TINY) * alive[i] if n[i] > 0.0 else np.nan
        if where[kind + 5 + w] >= 0:
            row = row_of(to, where[kind + 5 + w])
            for i in range(row.size):
                row[i] = (all_[i] - up[i]) / (all_[i] + TINY) * alive[i] if n[i] > 0.0 else np.nan
        if where[kind + 10 + w] >= 0:
            row = row_of(to, where[kind + 10 + w])
            for i in range(row.size):
                row[i] = (2.0 * up[i] - all_[i]) / (all_[i] + TINY) * alive[i] if n[i] > 0.0 else np.nan


@compiled
def volumes(c, v, live, near, far, where, to):  # type: ignore[no-untyped-def]
    """Fill VMA and VSTD: mean and spread of the volume, over the last volume."""
    many = wanted(where, VMA, VSTD)
    if many > 0:
        count, mean, spread = moments(v, near, far, many)
        for w in range(many):
            n, m, m2 = count[w, LONGEST:], mean[w, LONGEST:], spread[w, LONGEST:]
            if where[VMA + w] >= 0:
                row = row_of(to, where[VMA + w])
                for i in range(row.size):
                    row[i] = m[i] / (v[i + LONGEST] + TINY) * live[i + LONGEST]
            if where[VSTD + w] >= 0:
                row = row_of(to, where[VSTD + w])
                for i in range(row.size):
                    row[i] = np.sqrt(m2[i] / (n[i] - 1.0)) / (v[i + LONGEST] + TINY) * live[i + LONGEST]
    many = wanted(where, WVMA)
    if many > 0:
        moved = near[4]
        moved[0] = np.nan
        for i in range(1, c.size):
            moved[i] = abs(c[i] / c[i - 1] - 1.0) * v[i]
        count, mean, spread = moments(moved, near, far, many)
        for w in range(many):
            if where[WVMA + w] >= 0:
                row = row_of(to, where[WVMA + w])
                n, m, m2 = count[w, LONGEST:], mean[w, LONGEST:], spread[w, LONGEST:]
                for i in range(row.size):
                    deviation = np.sqrt(m2[i] / (n[i] - 1.0)) if n[i] > 1.0 else np.nan
                    row[i] = deviation / (m[i] + TINY) * live[i + LONGEST]
    gains(v, live, near, far, where, to, VSUMP)


@compiled
def pairs(c, v, live, near, far, where, to):  # type: ignore[no-untyped-def]
    """Fill CORR and CORD: how closes go with volumes, and their changes with the volumes' changes."""
    x, y = near[4], near[5]
    many = wanted(where, CORR)
    if many > 0:
        for i in range(c.size):
            x[i], y[i] = c[i], np.log(v[i] + 1.0)
        correlations(x, y, live, near, far, where, to, CORR, many)
    many = wanted(where, CORD)
    if many > 0:
        x[0], y[0] = np.nan, np.nan
        for i in range(1, c.size):
            x[i], y[i] = c[i] / c[i - 1], np.log(v[i] / v[i - 1] + 1.0)
        correlations(x, y, live, near, far, where, to, CORD, many)


@compiled
def correlations(x, y, live, near, far, where, to, kind, many):  # type: ignore[no-untyped-def]
    """Fill the correlations of two series inside each window."""
    present, spare, carried_x, carried_y, zeros = near[1], near[2], near[6], near[7], near[3]
    count, join, total, mean_x, mean_y = far[0], far[1], far[2], far[3], far[4]
    xx, yy, xy = far[5], far[6], far[7]
    filled(x, present, carried_x)
    filled(y, spare, carried_y)
    for i in range(x.size):
        present[i] *= spare[i]
    sums(present, count, many)
    joins(count, join, many)
    for i in range(x.size):
        zeros[i] = carried_x[i] * present[i]
    sums(zeros, total, many)
    means(count, total, mean_x, many)
    for i in range(x.size):
        zeros[i] = carried_y[i] * present[i]
    sums(zeros, total, many)
    means(count, total, mean_y, many)
    crosses(carried_x, carried_x, present, count, join, mean_x, mean_x, xx, many)
    crosses(carried_y, carried_y, present, count, join, mean_y, mean_y, yy, many)
    crosses(carried_x, carried_y, present, count, join, mean_x, mean_y, xy, many)
    for w in range(many):
        if where[kind + w] >= 0:
            row = row_of(to, where[kind + w])
            n, sx, sy, sxy = count[w, LONGEST:], xx[w, LONGEST:], yy[w, LONGEST:], xy[w, LONGEST:]
            for i in range(row.size):
                flat = sx[i] <= FLAT * (n[i] - 1.0) or sy[i] <= FLAT * (n[i] - 1.0)
                row[i] = (np.nan if flat else sxy[i] / np.sqrt(sx[i] * sy[i])) * live[i + LONGEST]
