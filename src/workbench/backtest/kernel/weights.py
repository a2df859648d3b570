"""Any strategy's sweep: each cell is one shared account traded by its weights, exactly as ``engine.simulate`` does.

A cell's weights are made, walked and dropped: in memory are one portfolio's state and one set of weights a thread,
however many cells there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import repeat
from os import cpu_count
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.exits import Halves, Said, any_exits
from workbench.backtest.kernel.sweep import Sweep, window_rows
from workbench.backtest.kernel.tariff import tariff_of
from workbench.backtest.stats import YEAR
from workbench.backtest.tape import Tape, align, read_tape
from workbench.errors import DataRefused, InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

if TYPE_CHECKING:
    from workbench.backtest.kernel.account import Market, Series

Array = NDArray[np.float64]
Found = TypeVar("Found")


def sweep_weights(
    cells: Iterable[pd.DataFrame],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    windows: Sequence[slice] | None = None,
    workers: int | None = None,
    exits: Iterable[Said] | None = None,
) -> Sweep:
    """Return the statistics of each cell in each window of rows; a cell trades through all bars once.

    ``cells`` may be a generator: ``(strategy.weights(bars) for strategy in strategies)``; ``exits`` are those of each
    cell, where there are any.
    """
    rows = window_rows(windows, len(bars))
    each = _walk_cells(cells, bars, portfolio, costs, _measuring(rows, portfolio), workers, exits=exits)
    return _sweep(rows, each)


def sweep_cells(
    cells: Iterable[pd.DataFrame],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    windows: Sequence[slice] | None = None,
    workers: int | None = None,
    exits: Iterable[Said] | None = None,
) -> tuple[Sweep, pd.DataFrame]:
    """Return what ``sweep_weights`` and ``sweep_returns`` do, from one walk of each cell."""
    rows = window_rows(windows, len(bars))
    measuring = _measuring(rows, portfolio)
    each = _walk_cells(
        cells, bars, portfolio, costs, lambda series: (measuring(series), series.returns.copy()), workers, exits=exits
    )
    returns = pd.DataFrame(np.stack([own for _, own in each], axis=1), index=bars.index)
    return _sweep(rows, [found for found, _ in each]), returns


def sweep_returns(
    cells: Iterable[pd.DataFrame],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    workers: int | None = None,
    history: Bars | None = None,
    exits: Iterable[Said] | None = None,
) -> pd.DataFrame:
    """Return the net returns of each cell, one column each, without keeping their portfolios.

    ``history`` has the bars before these, too, where there are any: volatility is known from there, as in ``simulate``.
    """
    each = _walk_cells(cells, bars, portfolio, costs, lambda series: series.returns.copy(), workers, history, exits)
    return pd.DataFrame(np.stack(each, axis=1), index=bars.index)


def _measuring(rows: Sequence[slice], portfolio: PortfolioParams) -> Callable[[Series], Array]:
    """Return the function that takes the statistics of each window from a walk."""
    from workbench.backtest.kernel.statistics import MEASURED, measure

    bounds = np.array([(window.start, window.stop) for window in rows], dtype=np.int64)

    def statistics(series: Series) -> Array:
        found = np.empty((len(rows), len(MEASURED)))
        measure(series, bounds, portfolio.cash, YEAR, found)
        return found

    return statistics


def _sweep(rows: tuple[slice, ...], each: Sequence[Array]) -> Sweep:
    from workbench.backtest.kernel.statistics import MEASURED

    found = np.stack(each, axis=1)
    return Sweep(rows, {name: found[:, :, number] for number, name in enumerate(MEASURED)})


def _walk_cells(
    cells: Iterable[pd.DataFrame],
    bars: Bars,
    portfolio: PortfolioParams,
    costs: CostParams,
    keep: Callable[[Series], Found],
    workers: int | None,
    history: Bars | None = None,
    exits: Iterable[Said] | None = None,
) -> list[Found]:
    """Return what ``keep`` takes from the series of each cell, in order, walking some cells at a time."""
    from workbench.backtest.kernel.account import Account, Series, walk

    tape = read_tape(bars, portfolio, history)
    account = Account(portfolio.cash, portfolio.lag_bars, portfolio.rebalance == "every_bar", portfolio.whole_shares)
    tariff, market = tariff_of(costs), _market(tape)

    def walk_one(weights: pd.DataFrame, said: Said) -> Found:
        values = _fresh(weights.to_numpy(dtype=float))
        if not (np.abs(values.sum(axis=1)) <= 1.0 + 1e-6).all():
            align(weights, bars)  # says which weight of which day
        if any_exits(said):
            return keep(walk_halves(weights, said))
        series = Series(*np.zeros((len(Series._fields), len(values))))
        walk(values, market, account, tariff, series)
        return keep(series)

    @cache
    def prepared() -> tuple[Halves, Market]:
        halves = Halves(bars, tape, portfolio, costs, history)
        return halves, _market(halves.tape)

    def walk_halves(weights: pd.DataFrame, said: Said) -> Series:
        halves, in_halves = prepared()
        held, prices = halves.obey(weights, said)
        series = Series(*np.zeros((len(Series._fields), len(held))))
        own = account._replace(lag_bars=0, rows_per_session=halves.tape.rows_per_session)
        walk(held, in_halves._replace(price=prices), own, tariff, series)
        return _whole(series)

    workers = workers or cpu_count() or 1
    found: list[Found] = []
    running: deque[Future[Found]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="sweep") as pool:
        for weights, said in zip(cells, repeat(None) if exits is None else exits, strict=False):
            if not (weights.index.equals(bars.index) and list(weights.columns) == list(bars.symbols)):
                raise DataRefused(
                    f"sweep: weights of cell {len(found) + len(running)} are {len(weights)} rows × "
                    f"{len(weights.columns)} symbols, other rows or symbols than the bars "
                    f"({len(bars)} × {len(bars.symbols)}); compute them on the same bars, select their symbols first"
                )
            running.append(pool.submit(walk_one, weights, said))
            del weights
            if len(running) > workers:
                found.append(running.popleft().result())
        found.extend(future.result() for future in running)
    if not found:
        raise InputRefused("sweep: no cells; give the weights of at least one")
    return found


def _market(tape: Tape) -> Market:
    from workbench.backtest.kernel.account import Market

    return Market(
        price=_fresh(tape.price),
        close=_fresh(tape.close),
        shares_ratio=_fresh(tape.shares_ratio),
        volume=_fresh(tape.volume),
        daily_volatility=_fresh(tape.daily_volatility),
        last_row=tape.last_row.astype(np.int64),
        months=tape.months.astype(np.int64),
    )


def _whole(halves: Series) -> Series:
    """Return sessions from their halves: amounts add up, returns multiply, borrow is taken off once."""
    first, second = (halves._replace(**{name: getattr(halves, name)[part::2] for name in halves._fields})
                     for part in (0, 1))  # fmt: skip
    gross = (1.0 + first.returns + first.borrow) * (1.0 + second.returns)
    sums = {name: getattr(first, name) + getattr(second, name) for name in halves._fields}
    return halves._replace(**{**sums, "returns": gross - 1.0 - first.borrow})


def _fresh(values: Array) -> Array:
    """Return a writable copy in row order: the one memory layout that the kernel is compiled for."""
    return np.array(values, dtype=np.float64, order="C", copy=True)
