"""Exits in the simulation: a session becomes two bars, its open, where weights are traded, and what comes within it.

The rule itself is ``strategies.exits.hold``; here it is compiled and given a tape on which both simulators trade it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench import commissions
from workbench.backtest.tape import Tape
from workbench.errors import InputRefused
from workbench.params import CostParams, PortfolioParams
from workbench.strategies.exits import NO_RULE, TICK, Exits, average_true_range, hold, nothing_held
from workbench.types import Bars

Array = NDArray[np.float64]
TICK_STEPS = round(1.0 / TICK)
Said = Exits | None | Sequence[Exits | None]  # the same for all bars, or of each one


def obeyed(
    weights: pd.DataFrame,
    exits: Said,
    bars: Bars,
    tape: Tape,
    portfolio: PortfolioParams,
    costs: CostParams,
    history: Bars | None = None,
) -> tuple[Array, Tape]:
    """Return what is held after each open and after each close, and the tape on which it is traded, without a lag.

    ``bars`` are those of the weights; ``history`` has those before them, too, where there are any: ATRs are known from
    there.
    """
    if portfolio.fill != "open":
        raise InputRefused(
            f"exits: portfolio.fill is '{portfolio.fill}'; stops, targets and holding times are simulated from the "
            "open at which a position begins: --set portfolio.fill=open"
        )
    lag, count = portfolio.lag_bars, len(weights)
    each = list(exits) if isinstance(exits, Sequence) else [exits] * count
    said = [None] * min(lag, count) + each[: max(count - lag, 0)]
    wishes = np.zeros(weights.shape)
    wishes[lag:] = weights.to_numpy(dtype=float)[: max(count - lag, 0)]
    price = tape.price.copy()
    for column in np.flatnonzero(tape.last_row >= 0):
        price[tape.last_row[column], column] = np.nan  # paid out at its close, and nothing else
    held, traded = np.empty((2 * count, weights.shape[1])), np.empty((2 * count, weights.shape[1]))
    ranges = _ranges(said, bars if history is None else history, bars, lag)
    rules = np.array([NO_RULE if one is None else one.rule for one in said])
    frames = (bars.high, bars.low, bars.close)
    high, low, close = (np.ascontiguousarray(frame.to_numpy(dtype=float)) for frame in frames)
    state, half = nothing_held(weights.shape[1]), commissions.half_spread(costs)
    _walk()(wishes, price, high, low, close, ranges, TICK_STEPS / tape.shares_ratio, rules, half, state, held, traded)
    for column in np.flatnonzero(tape.last_row >= 0):
        traded[2 * tape.last_row[column] + 1, column] = tape.price[tape.last_row[column], column]
    return held, replace(in_halves(tape), price=traded)


def in_halves(tape: Tape) -> Tape:
    """Return a tape with two rows a session; prices are those of each cell."""
    twice = {name: np.repeat(getattr(tape, name), 2, axis=0) for name in
             ("close", "shares_ratio", "volume", "daily_volatility", "months")}  # fmt: skip
    last_row = np.where(tape.last_row >= 0, 2 * tape.last_row + 1, -1)
    return replace(tape, **twice, last_row=last_row, rows_per_session=2)


def any_exits(exits: Said) -> bool:
    """Return whether there is anything to obey."""
    return any(one is not None for one in exits) if isinstance(exits, Sequence) else exits is not None


def without_lag(portfolio: PortfolioParams) -> PortfolioParams:
    """Return the portfolio for weights that stand on the bars on which they are traded."""
    return portfolio.model_copy(update={"lag_bars": 0})  # the check against it is about weights of closes


def _ranges(said: Sequence[Exits | None], history: Bars, bars: Bars, lag: int) -> Array:
    """Return the ATR of each bar as it was known when its weights were decided, by what each bar's exits ask for."""
    found = np.full((len(bars), len(bars.symbols)), np.nan)
    lengths = np.array([0 if one is None or not one.bracket else one.atr_sessions for one in said])
    for sessions in np.unique(lengths[lengths > 0]):
        known = average_true_range(history.select(bars.symbols), int(sessions)).shift(lag).loc[bars.index]
        rows = lengths == sessions
        found[rows] = known.to_numpy(dtype=float)[rows]
    return found


@lru_cache(maxsize=1)
def _walk() -> Callable[..., Any]:
    # Imported where it is needed: without exits nobody waits for numba here.
    from workbench.backtest.kernel.compiled import compiled

    return compiled(hold)
