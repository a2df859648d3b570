"""Where the columns of ``alpha158`` stand, and what the stages of its scan share."""

from __future__ import annotations

from workbench.features.windows import WINDOWS, compiled, crosses, filled, joins, means, sums

TINY = 1e-12
# Below this variance (a standard deviation of 2e-5) Qlib calls a correlation or an R² undefined.
FLAT = 4e-10
# The place of a rolling kind's first window among the names; alpha158.py names them in this order.
(ROC, MA, STD, BETA, RSQR, RESI, MAX, MIN, QTLU, QTLD, RANK, RSV, IMAX, IMIN, IMXD, CORR, CORD, CNTP,
 CNTN, CNTD, SUMP, SUMN, SUMD, VMA, VSTD, WVMA, VSUMP, VSUMN, VSUMD) = range(13, 158, 5)  # fmt: skip


@compiled
def row_of(to, place):  # type: ignore[no-untyped-def]
    """Return where a column of the symbol at hand is written."""
    out, symbol, start, rows = to
    return out[place, symbol, start : start + rows]


@compiled
def wanted(where, *kinds):  # type: ignore[no-untyped-def]
    """Return how many windows, from the shortest on, the columns asked for of these kinds need; 0 for none."""
    many = 0
    for kind in kinds:
        for w in range(len(WINDOWS)):
            if where[kind + w] >= 0:
                many = max(many, w + 1)
    return many


@compiled
def moments(x, near, far, many):  # type: ignore[no-untyped-def]
    """Return count, mean and spread of x over the windows; uses near[1:4] and far[:5], leaving what joins parts."""
    present, carried, zeros = near[1], near[2], near[3]
    count, join, total, mean, spread = far[0], far[1], far[2], far[3], far[4]
    filled(x, present, carried)
    for i in range(x.size):
        zeros[i] = carried[i] * present[i]
    sums(present, count, many)
    joins(count, join, many)
    sums(zeros, total, many)
    means(count, total, mean, many)
    crosses(carried, carried, present, count, join, mean, mean, spread, many)
    return count, mean, spread
