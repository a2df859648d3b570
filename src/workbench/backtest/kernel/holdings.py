"""One symbol held while one line is above another: the holdings are found once and shared by all windows.

Each symbol is its own account, all in or all out, fractions of shares, costs in proportion to the value. Then equity
while holding is the close times a constant, and a holding is summed up once: its lowest and highest close, its deepest
fall, the sums of its returns. A window adds up its holdings; only the two that it cuts are walked again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.compiled import compiled
from workbench.backtest.stats import YEAR

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Marks = NDArray[np.uint8]
Sums = tuple[float, float, float, float, float, float]

# What ``measure_crosses`` fills in, in this order; trades stand apart as whole numbers.
MEASURED = ("total_return", "sharpe", "max_drawdown", "turnover", "cost_per_year")
# Sums of a holding, and of each block of bars, so that a long holding is summed up in few steps.
SUMS, BLOCK = 6, 16


@compiled
def measure_crosses(
    lines: Array,
    pairs: Rows,
    price: Array,
    close: Array,
    last_row: int,
    lag: int,
    windows: Rows,
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
    # The bar at or after each where an order fills.
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
    marks = np.empty((bars // 8 + 1) * 8, dtype=np.uint8)
    most = bars // 2 + 1
    enter, leave, whole = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64), np.empty((most, SUMS))
    bought, sold = (1.0 + half_spread) * (1.0 + rate), (1.0 - half_spread) * (1.0 - rate)
    # Costs of a purchase and of a sale, as shares of the value before them.
    buying, selling = half_spread + (1.0 + half_spread) * rate, half_spread + (1.0 - half_spread) * rate

    for p in range(len(pairs)):
        count = _find_holdings(lines[pairs[p, 0]], lines[pairs[p, 1]], fills, last_row, lag, marks, enter, leave)
        for n in range(count):
            whole[n] = _sum_up(close, gains, blocks, enter[n], leave[n])
        for w in range(len(windows)):
            start, stop = windows[w, 0], windows[w, 1]
            earliest = fills[min(start + lag, bars)]
            n = np.searchsorted(leave[:count], earliest, side="right")
            wealth, high, fall, total, squares = 1.0, 1.0, 0.0, 0.0, 0.0
            area, traded, spent, closed, at = 0.0, 0.0, 0.0, 0, start
            while n < count and max(enter[n], earliest) < stop:
                first, until = max(enter[n], earliest), min(leave[n], stop)
                if first == enter[n] and until == leave[n]:
                    lowest, highest, kept, sum_, sum_squares, closes = whole[n]
                else:
                    lowest, highest, kept, sum_, sum_squares, closes = _sum_up(close, gains, blocks, first, until)
                area += wealth * (first - at)
                shares = wealth / (price[first] * bought)
                gained = close[first] / (price[first] * bought) - 1.0
                total += gained + sum_
                squares += gained * gained + sum_squares
                area += shares * closes
                fall = min(fall, shares * lowest / high - 1.0, kept - 1.0)
                high = max(high, shares * highest)
                traded += shares * price[first]
                spent += shares * price[first] * buying
                wealth = shares * close[until - 1]
                if leave[n] < stop:
                    gained = price[until] * sold / close[until - 1] - 1.0
                    total += gained
                    squares += gained * gained
                    wealth = shares * price[until] * sold
                    fall = min(fall, wealth / high - 1.0)
                    high = max(high, wealth)
                    traded += shares * price[until]
                    spent += shares * price[until] * selling
                    closed += 1
                at = until
                n += 1
            area += wealth * (stop - at)
            length = stop - start
            mean = total / length
            variance = max(squares - length * mean * mean, 0.0) / (length - 1) if length > 1 else np.nan
            per_year = area / YEAR  # average equity times years
            found[0, p, w] = wealth - 1.0
            found[1, p, w] = mean / np.sqrt(variance) * np.sqrt(YEAR)
            found[2, p, w] = fall
            found[3, p, w] = traded / per_year
            found[4, p, w] = spent / per_year
            trades[p, w] = closed


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
