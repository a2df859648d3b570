"""Ranks and quantiles over rolling windows of 5, 10, 20, 30 and 60 rows, compiled; see ``windows`` for the layout.

Where no row is missing, windows are sorted by a fixed network of comparisons, the same for every row, so that the
processor does several rows at once. Elsewhere a sorted window is moved along row by row. Both give the same numbers.
"""

from __future__ import annotations

import numpy as np

from workbench.features.windows import LONGEST, WINDOWS, compiled

Pair = tuple[int, int]


def _merge(a: list[int], b: list[int], pairs: list[Pair]) -> list[int]:
    """Return the places in which two sorted lists lie in order after the ``pairs`` are compared (Batcher's merge)."""
    if not a or not b:
        return a or b
    if len(a) == len(b) == 1:
        pairs.append((a[0], b[0]))
        return [a[0], b[0]]
    even, odd = _merge(a[::2], b[::2], pairs), _merge(a[1::2], b[1::2], pairs)
    order = [even[0]]
    for k in range(max(len(odd), len(even) - 1)):
        both = [*odd[k : k + 1], *even[k + 1 : k + 2]]
        if len(both) == 2:
            pairs.append((both[0], both[1]))
        order += both
    return order


def _sort(places: list[int], pairs: list[Pair]) -> list[int]:
    half = len(places) // 2
    if not half:
        return places
    return _merge(_sort(places[:half], pairs), _sort(places[half:], pairs), pairs)


def _network(first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the comparisons that merge two sorted parts, and where the sorted values lie then."""
    pairs: list[Pair] = []
    order = _merge(list(range(first)), list(range(first, first + second)), pairs)
    return np.array(pairs), np.array(order)


_five: list[Pair] = []
_ORDER_5 = np.array(_sort(list(range(5)), _five))
_PAIRS_5 = np.array(_five)
_PAIRS_10, _ORDER_10 = _network(5, 5)
_PAIRS_20, _ORDER_20 = _network(10, 10)
_PAIRS_30, _ORDER_30 = _network(20, 10)
# The sorted windows of 5, 10, 20 and 30 rows need so many rows of memory.
LANES = 5 + 10 + 20 + 30


@compiled
def ranks(values, out, many):  # type: ignore[no-untyped-def]
    """Set the rank of the newest value among those present, the lowest 1, equals their mean rank; nan is missing."""
    size = values.size
    below = np.ones(size)
    w = 0
    for k in range(1, WINDOWS[many - 1]):
        newest, earlier, to = values[k:], values[: size - k], below[k:]
        for i in range(size - k):
            to[i] += 0.5 * ((1.0 if earlier[i] < newest[i] else 0.0) + (1.0 if earlier[i] <= newest[i] else 0.0))
        if k == WINDOWS[w] - 1:
            out[w, :] = below
            w += 1


@compiled
def quantiles(values, first, low_share, high_share, lanes, out_low, out_high):  # type: ignore[no-untyped-def]
    """Set two quantiles of each window from row ``first`` on, interpolated between neighbours; nan is missing.

    ``lanes`` is LANES rows of memory to work in. Row ``first`` has at least LONGEST rows before it.
    """
    size = values.size
    whole = first
    for i in range(size):
        if values[i] != values[i]:
            whole = max(whole, min(size, i + LONGEST))
    if whole < size:
        begin = whole - LONGEST + 1
        _sorted_windows(values[begin:], low_share, high_share, lanes, out_low[:, begin:], out_high[:, begin:])
    if whole > first:  # after the above, which leaves nonsense in the rows before its first whole window
        for w in range(5):
            _walk(values[:whole], WINDOWS[w], first, low_share, high_share, out_low[w], out_high[w])


@compiled
def _walk(values, window, first, low_share, high_share, out_low, out_high):  # type: ignore[no-untyped-def]
    ordered = np.empty(window + 1)
    count, begin = 0, first - window + 1
    for i in range(begin, values.size):
        gone = values[i - window] if i - window >= begin else np.nan
        if gone == gone:
            at = 0
            while ordered[at] != gone:
                at += 1
            for j in range(at, count - 1):
                ordered[j] = ordered[j + 1]
            count -= 1
        come = values[i]
        if come == come:
            j = count
            while j > 0 and ordered[j - 1] > come:
                ordered[j] = ordered[j - 1]
                j -= 1
            ordered[j] = come
            count += 1
        if i >= first:
            out_low[i], out_high[i] = _between(ordered, count, low_share), _between(ordered, count, high_share)


@compiled
def _between(ordered, count, share):  # type: ignore[no-untyped-def]
    if count == 0:
        return np.nan
    place = share * (count - 1)
    below = int(place)
    part = place - below
    if part == 0.0:
        return ordered[below]
    return ordered[below] + (ordered[below + 1] - ordered[below]) * part


@compiled
def _sorted_windows(values, low_share, high_share, lanes, out_low, out_high):  # type: ignore[no-untyped-def]
    """Set the quantiles of every row whose window lies inside the values, none of which is missing."""
    size = values.size
    five, ten, twenty, thirty = lanes[:5], lanes[5:15], lanes[15:35], lanes[35:65]
    for k in range(5):
        five[k, k:size] = values[: size - k]
    _compare(five, _PAIRS_5, size)
    _pick(five, _ORDER_5, size, low_share, out_low[0])
    _pick(five, _ORDER_5, size, high_share, out_high[0])
    _stack(five, _ORDER_5, five, _ORDER_5, 5, size, ten)
    _compare(ten, _PAIRS_10, size)
    _pick(ten, _ORDER_10, size, low_share, out_low[1])
    _pick(ten, _ORDER_10, size, high_share, out_high[1])
    _stack(ten, _ORDER_10, ten, _ORDER_10, 10, size, twenty)
    _compare(twenty, _PAIRS_20, size)
    _pick(twenty, _ORDER_20, size, low_share, out_low[2])
    _pick(twenty, _ORDER_20, size, high_share, out_high[2])
    _stack(twenty, _ORDER_20, ten, _ORDER_10, 20, size, thirty)
    _compare(thirty, _PAIRS_30, size)
    _pick(thirty, _ORDER_30, size, low_share, out_low[3])
    _pick(thirty, _ORDER_30, size, high_share, out_high[3])
    _pick_of_two(thirty, size, low_share, lanes[:2], out_low[4])
    _pick_of_two(thirty, size, high_share, lanes[:2], out_high[4])


@compiled
def _stack(newer, newer_order, older, older_order, width, size, out):  # type: ignore[no-untyped-def]
    for k in range(newer_order.size):
        out[k, :size] = newer[newer_order[k], :size]
    for k in range(older_order.size):
        out[newer_order.size + k, :width] = np.inf
        out[newer_order.size + k, width:size] = older[older_order[k], : size - width]


@compiled
def _compare(lanes, pairs, size):  # type: ignore[no-untyped-def]
    for pair in range(pairs.shape[0]):
        a, b = lanes[pairs[pair, 0], :size], lanes[pairs[pair, 1], :size]
        for i in range(size):
            low, high = (a[i], b[i]) if a[i] < b[i] else (b[i], a[i])
            a[i], b[i] = low, high


@compiled
def _pick(lanes, order, size, share, out):  # type: ignore[no-untyped-def]
    place = share * (order.size - 1)
    below = int(place)
    part = place - below
    low, high = lanes[order[below], :size], lanes[order[min(below + 1, order.size - 1)], :size]
    for i in range(size):
        out[i] = low[i] + (high[i] - low[i]) * part if part > 0.0 else low[i]


@compiled
def _pick_of_two(thirty, size, share, spare, out):  # type: ignore[no-untyped-def]
    """Pick from the longest window, two sorted parts of 30, without merging them."""
    place = share * (LONGEST - 1)
    below = int(place)
    part = place - below
    low, high = spare[0, :size], spare[1, :size]
    _smallest(thirty, below, size, low)
    _smallest(thirty, below + 1, size, high)
    for i in range(size):
        out[i] = low[i] + (high[i] - low[i]) * part if part > 0.0 else low[i]


@compiled
def _smallest(thirty, k, size, out):  # type: ignore[no-untyped-def]
    """Set the k-th smallest, from 0, of the 30 values that end in a row and of the 30 before.

    Take i from the one and k + 1 - i from the other: the larger of both lasts; the answer is the least of these over i.
    Counted from the top where that is nearer, with smaller and larger exchanged.
    """
    half = LONGEST // 2
    width = size - half
    to = out[half:size]
    if k < half:
        to[:] = np.inf
        for i in range(max(0, k + 1 - half), min(half, k + 1) + 1):
            newer = thirty[_ORDER_30[max(i - 1, 0)], half:size]
            older = thirty[_ORDER_30[max(k - i, 0)], :width]
            if i == 0:
                for j in range(width):
                    to[j] = min(to[j], older[j])
            elif i == k + 1:
                for j in range(width):
                    to[j] = min(to[j], newer[j])
            else:
                for j in range(width):
                    larger = newer[j] if newer[j] > older[j] else older[j]
                    to[j] = larger if larger < to[j] else to[j]
        return
    k = LONGEST - 1 - k
    to[:] = -np.inf
    for i in range(max(0, k + 1 - half), min(half, k + 1) + 1):
        newer = thirty[_ORDER_30[half - max(i, 1)], half:size]
        older = thirty[_ORDER_30[half - 1 - max(k - i, 0)], :width]
        if i == 0:
            for j in range(width):
                to[j] = max(to[j], older[j])
        elif i == k + 1:
            for j in range(width):
                to[j] = max(to[j], newer[j])
        else:
            for j in range(width):
                smaller = newer[j] if newer[j] < older[j] else older[j]
                to[j] = smaller if smaller > to[j] else to[j]
