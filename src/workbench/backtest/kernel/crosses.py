"""Sweeps of crossings: each symbol an account of its own, long while one line is above another, flat otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import commissions
from workbench.backtest.kernel.sweep import Sweep, window_rows
from workbench.backtest.stats import YEAR
from workbench.backtest.tape import fill_prices
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

Array = NDArray[np.float64]


def sweep_sma_crosses(
    pairs: Sequence[tuple[int, int]],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    windows: Sequence[slice] | None = None,
    workers: int | None = None,
) -> Sweep:
    """Return the statistics of each (fast, slow) pair of moving averages in each window and symbol.

    A symbol is held while its fast average is above its slow one; a fast average of 1 is the close itself.
    """
    from workbench.backtest.kernel.lines import moving_averages

    lengths = np.unique(np.array([length for pair in pairs for length in pair], dtype=np.int64))
    if len(lengths) and lengths[0] < 1:
        raise InputRefused(f"sweep: a moving average over {lengths[0]} bars; it must be at least 1")
    place = {int(length): number for number, length in enumerate(lengths)}
    closes = _by_symbol(bars.last_close().to_numpy(dtype=float))

    def lines(symbol: int) -> Array:
        made = np.empty((len(lengths), len(bars)))
        moving_averages(closes[symbol], lengths, made)
        return made

    numbers = [(place[fast], place[slow]) for fast, slow in pairs]
    return _sweep(lines, numbers, bars, portfolio, costs, windows, workers)


def sweep_crosses(
    lines: Sequence[pd.DataFrame],
    pairs: Sequence[tuple[int, int]],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    windows: Sequence[slice] | None = None,
    workers: int | None = None,
) -> Sweep:
    """Return the statistics of each pair of lines (by number) in each window and symbol.

    A symbol is held while its first line is above its second: averages of any kind, a close and its bands, an
    indicator and a constant. A missing value is not above anything.
    """
    for number, line in enumerate(lines):
        if not (line.index.equals(bars.index) and list(line.columns) == list(bars.symbols)):
            raise DataRefused(
                f"sweep: line {number} has other rows or symbols than the bars; compute it on the same bars"
            )
    for pair in pairs:
        if not all(0 <= number < len(lines) for number in pair):
            raise InputRefused(f"sweep: pair {pair} of {len(lines)} lines; their numbers are 0 to {len(lines) - 1}")
    values = [line.to_numpy(dtype=float) for line in lines]
    return _sweep(
        lambda symbol: np.array([line[:, symbol] for line in values]), pairs, bars, portfolio, costs, windows, workers
    )


def _sweep(
    lines: Callable[[int], Array],
    pairs: Sequence[tuple[int, int]],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    windows: Sequence[slice] | None,
    workers: int | None,
) -> Sweep:
    """Measure all pairs and windows, some symbols at a time."""
    from workbench.backtest.kernel.holdings import MEASURED, measure_crosses

    if not pairs:
        raise InputRefused("sweep: no pairs of lines; give at least one")
    _refuse_what_is_not_proportional(portfolio, costs)
    rows = window_rows(windows, len(bars))
    bounds = np.array([(window.start, window.stop) for window in rows], dtype=np.int64)
    numbers = np.array(pairs, dtype=np.int64)
    fills, last_row = fill_prices(bars, portfolio)
    price, close = _by_symbol(fills), _by_symbol(bars.close.ffill().to_numpy(dtype=float))
    rate, half = commissions.proportional_rate(costs), commissions.half_spread(costs)
    count = len(bars.symbols)
    found = np.empty((count, len(MEASURED), len(pairs), len(rows)))
    trades = np.empty((count, len(pairs), len(rows)), dtype=np.int32)

    def measure(symbol: int) -> None:
        measure_crosses(
            lines(symbol),
            numbers,
            price[symbol],
            close[symbol],
            int(last_row[symbol]),
            portfolio.lag_bars,
            bounds,
            YEAR,
            rate,
            half,
            found[symbol],
            trades[symbol],
        )

    with ThreadPoolExecutor(workers or cpu_count() or 1, thread_name_prefix="sweep") as pool:
        for _ in pool.map(measure, range(count)):
            pass
    statistics: dict[str, NDArray[np.float64 | np.int32]] = {
        name: found[:, number].transpose(2, 1, 0) for number, name in enumerate(MEASURED)
    }
    return Sweep(rows, statistics | {"trades": trades.transpose(2, 1, 0)}, bars.symbols)


def _refuse_what_is_not_proportional(portfolio: PortfolioParams, costs: CostParams) -> None:
    for name, wrong, right in (
        ("costs.schedule", costs.schedule not in ("proportional", "none"), "proportional or none"),
        ("costs.impact", costs.impact != 0.0, "0"),
        ("portfolio.whole_shares", portfolio.whole_shares, "false"),
    ):
        if wrong:
            section, key = name.split(".")
            value = getattr(costs if section == "costs" else portfolio, key)
            raise InputRefused(
                f"sweep: {name} is {value}; a sweep of crossings needs {right}, sweep_weights takes every kind of costs"
            )


def _by_symbol(values: Array) -> Array:
    """Return a copy with one symbol's bars side by side."""
    return np.array(values.T, dtype=np.float64, order="C", copy=True)
