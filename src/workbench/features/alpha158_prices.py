"""The columns of ``alpha158`` that come from prices: a bar's shape, levels, trends, extremes, order."""

from __future__ import annotations

import numpy as np

from workbench.features.alpha158_places import (
    BETA,
    FLAT,
    IMAX,
    IMIN,
    IMXD,
    MA,
    MAX,
    MIN,
    QTLD,
    QTLU,
    RANK,
    RESI,
    ROC,
    RSQR,
    RSV,
    STD,
    TINY,
    moments,
    row_of,
    wanted,
)
from workbench.features.order import quantiles, ranks
from workbench.features.windows import (
    LONGEST,
    WINDOWS,
    age_spreads,
    age_sums,
    compiled,
    filled,
    highest,
    maxima,
    means,
    spans,
    sums,
    trends,
)


@compiled
def shapes(o, h, lo, c, vw, live, where, to):  # type: ignore[no-untyped-def]
    """Fill the shapes of each day's candle, and the prices of the day over its close."""
    for column in range(13):
        if where[column] < 0:
            continue
        row = row_of(to, where[column])
        for i in range(row.size):
            j = i + LONGEST
            opened, top, bottom, closed = o[j], h[j], lo[j], c[j]
            length = top - bottom + TINY
            if column == 0:
                value = (closed - opened) / opened
            elif column == 1:
                value = (top - bottom) / opened
            elif column == 2:
                value = (closed - opened) / length
            elif column == 3:
                value = (top - np.maximum(opened, closed)) / opened
            elif column == 4:
                value = (top - np.maximum(opened, closed)) / length
            elif column == 5:
                value = (np.minimum(opened, closed) - bottom) / opened
            elif column == 6:
                value = (np.minimum(opened, closed) - bottom) / length
            elif column == 7:
                value = (2.0 * closed - top - bottom) / opened
            elif column == 8:
                value = (2.0 * closed - top - bottom) / length
            elif column == 9:
                value = opened / closed
            elif column == 10:
                value = top / closed
            elif column == 11:
                value = bottom / closed
            else:
                value = vw[j] / closed
            row[i] = value * live[j]


@compiled
def closes(c, live, near, far, where, to):  # type: ignore[no-untyped-def]
    """Fill what is made of closes: ROC, MA, STD, BETA, RSQR and RESI."""
    for w in range(len(WINDOWS)):
        if where[ROC + w] >= 0:
            row, then = row_of(to, where[ROC + w]), c[LONGEST - WINDOWS[w] :]
            for i in range(row.size):
                row[i] = then[i] / c[i + LONGEST]
    many = wanted(where, MA, STD, BETA, RSQR, RESI)
    if many == 0:
        return
    present, carried = near[1], near[2]
    join, age_sum, age, age_spread, trend = far[1], far[5], far[6], far[7], far[8]
    count, mean, spread = moments(c, near, far, many)
    if wanted(where, BETA, RSQR, RESI):
        age_sums(present, age_sum, many)
        means(count, age_sum, age, many)
        age_spreads(present, count, join, age, age_spread, many)
        trends(carried, present, count, join, age, mean, trend, many)
    for w in range(many):
        n, m, m2 = count[w, LONGEST:], mean[w, LONGEST:], spread[w, LONGEST:]
        a, aa, at = age[w, LONGEST:], age_spread[w, LONGEST:], trend[w, LONGEST:]
        now = c[LONGEST:]
        if where[MA + w] >= 0:
            row = row_of(to, where[MA + w])
            for i in range(row.size):
                row[i] = m[i] / now[i]
        if where[STD + w] >= 0:
            row = row_of(to, where[STD + w])
            for i in range(row.size):
                row[i] = np.sqrt(m2[i] / (n[i] - 1.0)) / now[i]
        if where[BETA + w] >= 0:
            row = row_of(to, where[BETA + w])
            for i in range(row.size):
                row[i] = -at[i] / aa[i] / now[i]
        if where[RSQR + w] >= 0:
            row = row_of(to, where[RSQR + w])
            for i in range(row.size):
                flat = m2[i] <= FLAT * (n[i] - 1.0)
                row[i] = (np.nan if flat else at[i] * at[i] / (aa[i] * m2[i])) * live[i + LONGEST]
        if where[RESI + w] >= 0:
            row = row_of(to, where[RESI + w])
            for i in range(row.size):
                # The fitted value at age 0 lies mean age × slope above the mean.
                row[i] = (now[i] - (m[i] - at[i] / aa[i] * a[i])) / now[i]


@compiled
def extremes(h, lo, c, live, near, far, where, to):  # type: ignore[no-untyped-def]
    """Fill what is made of highs and lows: MAX, MIN, RSV, IMAX, IMIN and IMXD."""
    many = wanted(where, MAX, MIN, RSV, IMAX, IMIN, IMXD)
    if many == 0:
        return
    up, down, present_up, present_down, spare = near[1], near[2], near[3], near[4], near[5]
    filled(h, present_up, spare)
    filled(lo, present_down, spare)
    for i in range(c.size):
        up[i] = h[i] if present_up[i] > 0.0 else -np.inf
        down[i] = -lo[i] if present_down[i] > 0.0 else -np.inf
    top, top_age, bottom, bottom_age, top_span, bottom_span = far[0], far[1], far[2], far[3], far[4], far[5]
    if wanted(where, IMAX, IMIN, IMXD) > 0:
        highest(up, top, top_age, many)
        highest(down, bottom, bottom_age, many)
    else:
        maxima(up, top, many)
        maxima(down, bottom, many)
    spans(present_up, top_span, many)
    spans(present_down, bottom_span, many)
    for w in range(many):
        high, low, now = top[w, LONGEST:], bottom[w, LONGEST:], c[LONGEST:]
        since_high, since_low = top_age[w, LONGEST:], bottom_age[w, LONGEST:]
        high_span, low_span = top_span[w, LONGEST:], bottom_span[w, LONGEST:]
        window = float(WINDOWS[w])
        if where[MAX + w] >= 0:
            row = row_of(to, where[MAX + w])
            for i in range(row.size):
                row[i] = (high[i] if high_span[i] > 0.0 else np.nan) / now[i]
        if where[MIN + w] >= 0:
            row = row_of(to, where[MIN + w])
            for i in range(row.size):
                row[i] = (-low[i] if low_span[i] > 0.0 else np.nan) / now[i]
        if where[RSV + w] >= 0:
            row = row_of(to, where[RSV + w])
            for i in range(row.size):
                some = high_span[i] > 0.0 and low_span[i] > 0.0
                row[i] = (now[i] + low[i]) / (high[i] + low[i] + TINY) if some else np.nan
        if where[IMAX + w] >= 0:
            row = row_of(to, where[IMAX + w])
            for i in range(row.size):
                place = high_span[i] - since_high[i] if high_span[i] > 0.0 else np.nan
                row[i] = place / window * live[i + LONGEST]
        if where[IMIN + w] >= 0:
            row = row_of(to, where[IMIN + w])
            for i in range(row.size):
                place = low_span[i] - since_low[i] if low_span[i] > 0.0 else np.nan
                row[i] = place / window * live[i + LONGEST]
        if where[IMXD + w] >= 0:
            row = row_of(to, where[IMXD + w])
            for i in range(row.size):
                some = high_span[i] > 0.0 and low_span[i] > 0.0
                apart = (high_span[i] - since_high[i]) - (low_span[i] - since_low[i])
                row[i] = (apart if some else np.nan) / window * live[i + LONGEST]


@compiled
def order(c, live, near, far, lanes, where, to):  # type: ignore[no-untyped-def]
    """Fill what is made of ranks: QTLU, QTLD and RANK."""
    if wanted(where, QTLU, QTLD):
        low, high, now = far[0], far[1], c[LONGEST:]
        quantiles(c, LONGEST, 0.2, 0.8, lanes, low, high)
        for w in range(len(WINDOWS)):
            if where[QTLU + w] >= 0:
                row, level = row_of(to, where[QTLU + w]), high[w, LONGEST:]
                for i in range(row.size):
                    row[i] = level[i] / now[i]
            if where[QTLD + w] >= 0:
                row, level = row_of(to, where[QTLD + w]), low[w, LONGEST:]
                for i in range(row.size):
                    row[i] = level[i] / now[i]
    many = wanted(where, RANK)
    if many == 0:
        return
    present, spare, count, rank = near[1], near[2], far[0], far[1]
    filled(c, present, spare)
    sums(present, count, many)
    ranks(c, rank, many)
    for w in range(many):
        if where[RANK + w] >= 0:
            row, n, place = row_of(to, where[RANK + w]), count[w, LONGEST:], rank[w, LONGEST:]
            for i in range(row.size):
                row[i] = place[i] / n[i] * live[i + LONGEST]
