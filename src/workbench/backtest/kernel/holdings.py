"""One symbol held while one line is above another: the holdings are found once and shared by all windows.

Each symbol is its own account, all in or all out, fractions of shares, costs in proportion to the value. Then equity
while holding is the close times a constant, and a holding is summed up once: its lowest and highest close, its deepest
fall, the sums of its returns. A window adds up its holdings; only the two that it cuts are walked again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.compiled import compiled

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Marks = NDArray[np.uint8]
Sums = tuple[float, float, float, float, float, float]

# What ``measure_crosses`` fills in, in this order; trades stand apart as whole numbers.
MEASURED = ("total_return", "sharpe", "max_drawdown", "turnover", "cost_per_year")
# Sums of a holding, and of each block of bars, so that a long holding is summed up in few steps.
SUMS, BLOCK = 6, 8


class Prices(NamedTuple):
    """One symbol's bars, and what is known of them for all pairs of lines."""

    price: Array  # where orders fill; NaN: nowhere
    close: Array  # carried over gaps
    gains: Array  # from close to close
    blocks: Array  # sums of each block of bars
    fills: Rows  # the first bar at or after each where an order fills


class Holdings(NamedTuple):
    """What one pair of lines held: bars of purchase and sale (after the last bar: still held), and sums over them."""

    enter: Rows
    leave: Rows
    sums: Array


class Rates(NamedTuple):
    """What an order costs, in proportion to its value."""

    bought: float  # paid for one of value
    sold: float  # received for one of value
    buying: float  # costs of a purchase as a share of its value
    selling: float


@compiled
def measure_crosses(
    lines: Array,
    pairs: Rows,
    price: Array,
    close: Array,
    last_row: int,
    lag: int,
    windows: Rows,
    periods: int,
    rate: float,
    half_spread: float,
    found: Array,
    trades: NDArray[np.int32],
) -> None:
    """Fill ``found`` (MEASURED × pairs × windows) and ``trades`` (pairs × windows) for one symbol.

    Held while ``lines[upper] > lines[lower]`` for each pair; a window starts without a holding, as an account of its
    own would.
    """
    bars = len(price)
    fills = np.empty(bars + 1, dtype=np.int64)
    fills[bars] = bars
    for t in range(bars - 1, -1, -1):
        fills[t] = t if price[t] == price[t] else fills[t + 1]
    gains = np.zeros(bars)
    for t in range(1, bars):
        if close[t - 1] == close[t - 1]:
            gains[t] = close[t] / close[t - 1] - 1.0
    blocks = np.empty((bars // BLOCK, SUMS))
    _sum_blocks(close, gains, blocks)
    prices = Prices(price, close, gains, blocks, fills)
    rates = Rates(
        (1.0 + half_spread) * (1.0 + rate),
        (1.0 - half_spread) * (1.0 - rate),
        half_spread + (1.0 + half_spread) * rate,
        half_spread + (1.0 - half_spread) * rate,
    )
    marks = np.empty((bars // 8 + 1) * 8, dtype=np.uint8)
    most = bars // 2 + 1
    held = Holdings(np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64), np.empty((most, SUMS)))
    for p in range(len(pairs)):
        upper, lower = lines[pairs[p, 0]], lines[pairs[p, 1]]
        count = _find_holdings(upper, lower, fills, last_row, lag, marks, held.enter, held.leave)
        for n in range(count):
            # One by one: an index into a tuple that is known only at run time is slow.
            s = _sum_up(close, gains, blocks, held.enter[n], held.leave[n])
            held.sums[n, 0], held.sums[n, 1], held.sums[n, 2] = s[0], s[1], s[2]
            held.sums[n, 3], held.sums[n, 4], held.sums[n, 5] = s[3], s[4], s[5]
        n = 0
        for w in range(len(windows)):
            start, stop = windows[w, 0], windows[w, 1]
            earliest = fills[min(start + lag, bars)]
            # The first holding that is not over before the window can buy; windows mostly follow one another.
            while n > 0 and held.leave[n - 1] > earliest:
                n -= 1
            while n < count and held.leave[n] <= earliest:
                n += 1
            measured = _measure_window(prices, held, n, count, rates, earliest, start, stop, periods)
            found[0, p, w], found[1, p, w], found[2, p, w] = measured[0], measured[1], measured[2]
            found[3, p, w], found[4, p, w], trades[p, w] = measured[3], measured[4], measured[5]


@compiled
def _measure_window(
    prices: Prices, held: Holdings, n: int, count: int, rates: Rates, earliest: int, start: int, stop: int, periods: int
) -> tuple[float, float, float, float, float, float]:
    """Return MEASURED and trades of the n-th holding and those after it, bought at ``earliest`` or later."""
    wealth, high, fall, total, squares = 1.0, 1.0, 0.0, 0.0, 0.0
    area, traded, spent, closed, at = 0.0, 0.0, 0.0, 0.0, start
    while n < count and max(held.enter[n], earliest) < stop:
        first, until = max(held.enter[n], earliest), min(held.leave[n], stop)
        if first == held.enter[n] and until == held.leave[n]:
            s = held.sums[n]
            lowest, highest, kept, gained, gained_squares, closes = s[0], s[1], s[2], s[3], s[4], s[5]
        else:
            lowest, highest, kept, gained, gained_squares, closes = _sum_up(
                prices.close, prices.gains, prices.blocks, first, until
            )
        price = prices.price[first]
        shares = wealth / (price * rates.bought)
        step = prices.close[first] / (price * rates.bought) - 1.0
        total += step + gained
        squares += step * step + gained_squares
        area += wealth * (first - at) + shares * closes
        fall = min(fall, shares * lowest / high - 1.0, kept - 1.0)
        high = max(high, shares * highest)
        traded += shares * price
        spent += shares * price * rates.buying
        wealth = shares * prices.close[until - 1]
        if held.leave[n] < stop:
            price = prices.price[until]
            step = price * rates.sold / prices.close[until - 1] - 1.0
            total += step
            squares += step * step
            wealth = shares * price * rates.sold
            fall = min(fall, wealth / high - 1.0)
            high = max(high, wealth)
            traded += shares * price
            spent += shares * price * rates.selling
            closed += 1.0
        at = until
        n += 1
    area += wealth * (stop - at)
    bars = stop - start
    mean = total / bars
    variance = max(squares - bars * mean * mean, 0.0) / (bars - 1) if bars > 1 else np.nan
    per_year = area / periods  # average equity times years
    sharpe = mean / np.sqrt(variance) * np.sqrt(periods)
    return wealth - 1.0, sharpe, fall, traded / per_year, spent / per_year, closed


@compiled
def _find_holdings(
    upper: Array, lower: Array, fills: Rows, last_row: int, lag: int, marks: Marks, enter: Rows, leave: Rows
) -> int:
    """Fill in the bars of purchase and sale of each holding (a sale after the last bar: still held); return how many.

    An order that waits for a price is forgotten when the lines cross back before one comes.
    """
    bars = len(upper)
    decided = max(bars - lag, 0)  # what is decided later never fills
    end = last_row if last_row >= 0 else bars
    # Where the lines cross, a byte a bar; eight bars without a crossing are passed over at once.
    for t in range(decided):
        marks[t] = upper[t] > lower[t]
    marks[decided:] = 0
    for t in range(len(marks) - 1, 0, -1):
        marks[t] ^= marks[t - 1]
    count, above, bought = 0, False, bars
    words = marks.view(np.uint64)
    for word in range(len(words)):
        if words[word] == 0:
            continue
        for t in range(word * 8, word * 8 + 8):
            if marks[t] == 0:
                continue
            above = not above
            at = fills[min(t + lag, bars)]
            if above:
                bought = at
                continue
            at = min(at, end)
            if bought < at:
                if count and leave[count - 1] == bought:
                    count -= 1  # never sold: both orders fell on one bar
                else:
                    enter[count] = bought
                leave[count] = at
                count += 1
    return count


@compiled
def _sum_blocks(close: Array, gains: Array, blocks: Array) -> None:
    """Fill in the sums of each whole block of bars."""
    for block in range(len(blocks)):
        first = block * BLOCK
        found = _sum_bars(
            (close[first], close[first], 1.0, gains[first], gains[first] ** 2, close[first]),
            close,
            gains,
            first + 1,
            first + BLOCK,
        )
        for number in range(SUMS):
            blocks[block, number] = found[number]


@compiled
def _sum_up(close: Array, gains: Array, blocks: Array, first: int, stop: int) -> Sums:
    """Return the sums of a holding over its bars: single bars up to a block, whole blocks, single bars after them."""
    begin = (first // BLOCK + 1) * BLOCK
    sums = _sum_bars(
        (close[first], close[first], 1.0, 0.0, 0.0, close[first]), close, gains, first + 1, min(begin, stop)
    )
    if begin >= stop:
        return sums
    lowest, highest, kept, total, squares, closes = sums
    last = stop // BLOCK
    for block in range(begin // BLOCK, last):
        kept = min(min(kept, blocks[block, 2]), blocks[block, 0] / highest)
        lowest = min(lowest, blocks[block, 0])
        highest = max(highest, blocks[block, 1])
        total += blocks[block, 3]
        squares += blocks[block, 4]
        closes += blocks[block, 5]
    return _sum_bars((lowest, highest, kept, total, squares, closes), close, gains, last * BLOCK, stop)


@compiled
def _sum_bars(sums: Sums, close: Array, gains: Array, first: int, stop: int) -> Sums:
    """Return the sums with some more bars: lowest and highest close, the share kept in the deepest fall, and the sums
    of returns, their squares and closes."""
    lowest, highest, kept, total, squares, closes = sums
    for t in range(first, stop):
        kept = min(kept, close[t] / highest)
        lowest = min(lowest, close[t])
        highest = max(highest, close[t])
        total += gains[t]
        squares += gains[t] * gains[t]
        closes += close[t]
    return lowest, highest, kept, total, squares, closes
