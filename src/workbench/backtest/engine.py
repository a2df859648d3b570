"""The simulator: target weights in, a portfolio traded through time out. The only place that imports vectorbt.

A weight decided on the close of bar t is traded ``lag_bars`` later, at that bar's open or close, as a share of the
equity valued at those same prices. All symbols share one cash account; there is no margin loan.

Commissions with minimums and impact by participation depend on the size of each order, and the sizes on the equity
left after costs. So the simulation is repeated with the costs of the previous pass until they agree: the costs of a
bar depend on earlier bars only, so each pass settles at least one more; in practice a handful of passes settle all.
Where ``MAX_PASSES`` do not, the result says by how much: ``Simulation.unsettled``.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import commissions
from workbench.backtest import costs as cost_model
from workbench.backtest.exits import Halves, Said, any_exits, without_lag
from workbench.backtest.result import Simulation
from workbench.backtest.tape import Tape, align, read_tape
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Settled when what all orders were charged is off by less than this share of the start capital: exactly for a result,
# roughly for the cells of a grid, which are only ranked.
SETTLED, SETTLED_CELLS = 1e-9, 1e-5
MAX_PASSES = 25
# Columns (symbols × cells) a vectorbt call: more cost memory, fewer cost time.
CHUNK_COLUMNS = 2000


def simulate(
    weights: pd.DataFrame, bars: Bars, portfolio: PortfolioParams, costs: CostParams, exits: Said = None
) -> Simulation:
    """Return the portfolio that trades these weights on these bars, bounded by these exits where there are any."""
    traded = align(weights, bars)
    tape = read_tape(traded, portfolio, bars)
    wanted = weights
    if any_exits(exits):
        halves = Halves(traded, tape, portfolio, costs, bars)
        values, prices = halves.obey(weights, exits)
        wanted, tape = pd.DataFrame(values, columns=weights.columns), replace(halves.tape, price=prices)
        portfolio = without_lag(portfolio)
    settled = _settle([wanted], tape, portfolio, costs, SETTLED)
    book, closes = settled.book, slice(tape.rows_per_session - 1, None, tape.rows_per_session)
    value = settled.value[closes, 0]
    held = settled.portfolio.asset_value(group_by=False).to_numpy(dtype=float)[closes]
    positions = np.divide(held, value[:, None])
    gross_returns = value / np.concatenate([[portfolio.cash], value[:-1]]) - 1.0
    borrowed = cost_model.borrow_per_session(costs, np.maximum(-positions, 0.0).sum(axis=1))
    borrowed = np.concatenate([[0.0], borrowed[:-1]])
    returns = pd.Series(gross_returns - borrowed, index=weights.index, name="return")
    equity = portfolio.cash * (1.0 + returns).cumprod().rename("equity")
    start_value = np.concatenate([[portfolio.cash], equity.to_numpy()[:-1]])
    per_session = {
        kind: np.bincount(book.row, weights=amount, minlength=len(weights))
        for kind, amount in (("commission", book.fee), ("spread", book.spread), ("impact", book.impact))
    }
    return Simulation(
        returns=returns,
        equity=equity,
        positions=pd.DataFrame(positions, index=weights.index, columns=weights.columns),
        costs=pd.DataFrame({**per_session, "borrow": borrowed * start_value}, index=weights.index),
        orders=_orders(book, weights),
        trades=_trades(settled.portfolio, weights, tape.rows_per_session),
        cash=portfolio.cash,
        market=bars.market,
        unsettled=float(settled.unsettled[0]),
    )


def simulate_cells(
    cells: Sequence[pd.DataFrame], bars: Bars, portfolio: PortfolioParams, costs: CostParams
) -> pd.DataFrame:
    """Return the net returns of several sets of weights, one column each, without keeping their portfolios."""
    found: list[Array] = []
    tape = read_tape(align(cells[0], bars), portfolio, bars)
    each = max(1, CHUNK_COLUMNS // max(1, cells[0].shape[1]))
    for first in range(0, len(cells), each):
        some = cells[first : first + each]
        settled = _settle(some, tape, portfolio, costs, SETTLED_CELLS)
        value = settled.value
        held = settled.portfolio.asset_value(group_by=False).to_numpy(dtype=float)
        short = np.maximum(-held, 0.0).reshape(len(held), len(some), -1).sum(axis=2) / value
        start = np.vstack([np.full(len(some), portfolio.cash), value[:-1]])
        lag = np.vstack([np.zeros(len(some)), short[:-1]])
        found.append(value / start - 1.0 - cost_model.borrow_per_session(costs, lag))
        del settled
        gc.collect()  # Portfolio objects are cyclic; without this their arrays pile up
    return pd.DataFrame(np.hstack(found), index=cells[0].index)


@dataclass(frozen=True)
class _Book:
    """All orders of a pass, flat, in the order of bars within each portfolio."""

    row: NDArray[np.int64]  # of the session, once it is settled
    column: NDArray[np.int64]
    sold: Mask
    size: Array  # adjusted shares
    shares: Array  # as traded
    value: Array  # at the price before slippage
    paid: Array  # at the price after it: what commissions are charged on
    fee: Array
    spread: Array
    impact: Array
    participation: Array
    traded_price: Array


@dataclass(frozen=True)
class _Settled:
    portfolio: Any
    value: Array  # bars × cells
    book: _Book
    unsettled: Array  # of each cell: what its orders were charged is off by this share of the start capital, or 0


def _settle(
    cells: Sequence[pd.DataFrame], tape: Tape, portfolio: PortfolioParams, costs: CostParams, settled: float
) -> _Settled:
    targets = [_targets(cell.to_numpy(dtype=float), tape, portfolio) for cell in cells]
    size = np.hstack(targets)
    shape, count = size.shape, len(cells)
    price, close = np.tile(tape.price, count), np.tile(tape.close, count)
    granularity = _granularity(size, tape, count, portfolio)
    half, proportional = commissions.half_spread(costs), commissions.proportional_rate(costs)
    fixed_fees, slippage = np.zeros(shape), np.full(shape, half)
    for _ in range(MAX_PASSES):
        made = _vectorbt(
            size,
            price,
            close,
            count,
            portfolio,
            fees=proportional,
            fixed_fees=fixed_fees,
            slippage=slippage,
            granularity=granularity,
        )
        book = _book(made, tape, slippage, costs)
        # What these orders really cost, against what they were charged.
        fee = _commissions(book, tape, costs, count)
        volatility = tape.daily_volatility[book.row, book.column % tape.price.shape[1]]
        lost = cost_model.impact(costs, book.participation, volatility)
        off = np.abs(fee - fixed_fees[book.row, book.column]) + np.abs(lost * book.value - book.impact)
        cell_off = np.bincount(book.column // tape.price.shape[1], weights=off, minlength=count) / portfolio.cash
        if bool((cell_off < settled).all()):
            break
        fixed_fees, slippage = np.zeros(shape), np.full(shape, half)
        fixed_fees[book.row, book.column] = fee
        slippage[book.row, book.column] += lost
    unsettled = np.where(cell_off < settled, 0.0, cell_off)
    value = made.value().to_numpy(dtype=float).reshape(len(size), count)
    return _Settled(made, value, replace(book, row=book.row // tape.rows_per_session), unsettled)


def _vectorbt(
    size: Array,
    price: Array,
    close: Array,
    count: int,
    portfolio: PortfolioParams,
    *,
    fees: float,
    fixed_fees: Array,
    slippage: Array,
    granularity: Array | float,
) -> Any:
    import vectorbt as vbt

    groups = np.repeat(np.arange(count), size.shape[1] // count)
    return vbt.Portfolio.from_orders(
        close,
        size=size,
        size_type="targetpercent",
        direction="both",
        price=price,
        fees=fees,
        fixed_fees=fixed_fees,
        slippage=slippage,
        size_granularity=granularity,
        init_cash=portfolio.cash,
        cash_sharing=True,
        group_by=groups,
        call_seq="auto",
        freq="1D",
        max_orders=max(1, int(np.count_nonzero(~np.isnan(size)))),
        max_logs=1,
    )


def _targets(weights: Array, tape: Tape, portfolio: PortfolioParams) -> Array:
    """Return the order at each bar and symbol: a target share of equity, or NaN for none."""
    lagged = np.zeros_like(weights)
    lagged[portfolio.lag_bars :] = weights[: len(weights) - portfolio.lag_bars]
    if portfolio.rebalance == "every_bar":
        wanted = (lagged != 0.0) | (_previous(lagged) != 0.0)
    else:
        wanted = lagged != _previous(lagged)
    # A bar without a price trades nothing; the order waits for the next bar that has one.
    tradable = ~np.isnan(tape.price)
    rows = np.arange(len(weights))[:, None]
    newest_wish = np.maximum.accumulate(np.where(wanted, rows, -1), axis=0)
    newest_chance = np.maximum.accumulate(np.where(tradable, rows, -1), axis=0)
    chance_before = np.vstack([np.full(newest_chance.shape[1], -1), newest_chance[:-1]])
    targets = np.where(tradable & (newest_wish > chance_before), lagged, np.nan)
    for column in np.flatnonzero(tape.last_row >= 0):
        targets[tape.last_row[column], column] = 0.0  # paid out at the last close
    return targets


def _granularity(size: Array, tape: Tape, count: int, portfolio: PortfolioParams) -> Array | float:
    """Return adjusted shares per whole share as traded; a closing order closes everything, fractions too."""
    if not portfolio.whole_shares:
        return float("nan")
    return np.where(size == 0.0, np.nan, np.tile(1.0 / tape.shares_ratio, count))


def _book(made: Any, tape: Tape, slippage: Array, costs: CostParams) -> _Book:
    records = made.orders.values
    records = records[np.lexsort((records["col"], records["idx"], records["col"] // tape.price.shape[1]))]
    row, column = records["idx"].astype(np.int64), records["col"].astype(np.int64)
    symbol = column % tape.price.shape[1]
    size = records["size"].astype(float)
    sold = records["side"] == 1
    paid = slippage[row, column]
    price = records["price"] / np.where(sold, 1.0 - paid, 1.0 + paid)
    value = size * price
    half = commissions.half_spread(costs)
    return _Book(
        row=row,
        column=column,
        sold=sold,
        size=size,
        shares=size * tape.shares_ratio[row, symbol],
        value=value,
        paid=size * records["price"],
        fee=records["fees"].astype(float),
        spread=value * half,
        impact=value * (paid - half),
        participation=np.nan_to_num(size / tape.volume[row, symbol], nan=0.0),
        traded_price=records["price"] / tape.shares_ratio[row, symbol],
    )


def _commissions(book: _Book, tape: Tape, costs: CostParams, count: int) -> Array:
    if costs.schedule in ("none", "proportional"):
        return np.zeros(len(book.row))
    price = commissions.commission(costs)
    found = np.zeros(len(book.row))
    cell = book.column // tape.price.shape[1]
    for number in range(count):
        own = cell == number
        fills = commissions.Fills(book.shares[own], book.paid[own], book.sold[own], tape.months[book.row[own]])
        found[own] = price(fills)
    return found


def _orders(book: _Book, weights: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "session": weights.index[book.row],
            "symbol": weights.columns[book.column],
            "side": np.where(book.sold, "sell", "buy"),
            "shares": book.shares,
            "price": book.traded_price,
            "value": book.value,
            "commission": book.fee,
            "spread": book.spread,
            "impact": book.impact,
            "participation": book.participation,
        }
    )


def _trades(made: Any, weights: pd.DataFrame, rows_per_session: int) -> pd.DataFrame:
    """Return the round trips: from flat (or the other side) to flat."""
    records = made.positions.values
    entered, left = (records[name] // rows_per_session for name in ("entry_idx", "exit_idx"))
    return pd.DataFrame(
        {
            "symbol": weights.columns[records["col"]],
            "side": np.where(records["direction"] == 0, "long", "short"),
            "entry": weights.index[entered],
            "exit": weights.index[left],
            "entry_price": records["entry_price"],
            "exit_price": records["exit_price"],
            "pnl": records["pnl"],
            "return": records["return"],
            "sessions": left - entered,
            "open": records["status"] == 0,
        }
    ).sort_values(["entry", "symbol"], ignore_index=True)


def _previous(values: Array) -> Array:
    return np.vstack([np.zeros(values.shape[1]), values[:-1]])
