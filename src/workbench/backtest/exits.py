"""Exits in the simulation: a session becomes two bars, its open, where weights are traded, and what comes within it.

The rule itself is ``strategies.exits.hold``; here it is compiled and given a tape on which both simulators trade it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
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


@dataclass(frozen=True)
class Halves:
    """Bars in two halves each, made once for all cells that trade them.

    ``tape`` is that of ``bars``; ``history`` has the bars before them, too, where there are any: ATRs are known from
    there.
    """

    bars: Bars
    whole: Tape
    portfolio: PortfolioParams
    costs: CostParams
    history: Bars | None = None

    def __post_init__(self) -> None:
        if self.portfolio.fill != "open":
            raise InputRefused(
                f"exits: portfolio.fill is '{self.portfolio.fill}'; stops, targets and holding times are simulated "
                "from the open at which a position begins: --set portfolio.fill=open"
            )

    @cached_property
    def tape(self) -> Tape:
        """The tape with two rows a session; its prices are those of each cell, which ``obey`` gives."""
        whole = self.whole
        names = ("price", "close", "shares_ratio", "volume", "daily_volatility", "months")
        twice = {name: np.repeat(getattr(whole, name), 2, axis=0) for name in names}
        last_row = np.where(whole.last_row >= 0, 2 * whole.last_row + 1, -1)
        return replace(whole, **twice, last_row=last_row, rows_per_session=2)

    def obey(self, weights: pd.DataFrame, exits: Said) -> tuple[Array, Array]:
        """Return what is held after each open and after each close, without a lag, and the prices it is traded at."""
        lag, count = self.portfolio.lag_bars, len(weights)
        kinds, kind = _by_bar(exits, count, lag)
        wishes = np.zeros(weights.shape)
        wishes[lag:] = weights.to_numpy(dtype=float)[: max(count - lag, 0)]
        rules = np.array([NO_RULE if one is None else one.rule for one in kinds])[kind]
        ranges = self._ranges(np.array([one.atr_sessions if one and one.bracket else 0 for one in kinds])[kind])
        held, traded = np.empty((2 * count, weights.shape[1])), np.empty((2 * count, weights.shape[1]))
        state, half = nothing_held(weights.shape[1]), commissions.half_spread(self.costs)
        open_, high, low, close, steps = self._frames
        _walk()(wishes, open_, high, low, close, ranges, steps, rules, half, state, held, traded)
        for column in np.flatnonzero(self.whole.last_row >= 0):
            row = self.whole.last_row[column]
            traded[2 * row + 1, column] = self.whole.price[row, column]
        return held, traded

    @cached_property
    def _frames(self) -> tuple[Array, Array, Array, Array, Array]:
        price = self.whole.price.copy()
        for column in np.flatnonzero(self.whole.last_row >= 0):
            price[self.whole.last_row[column], column] = np.nan  # paid out at its close, and nothing else
        frames = (self.bars.high, self.bars.low, self.bars.close)
        high, low, close = (np.ascontiguousarray(frame.to_numpy(dtype=float)) for frame in frames)
        return price, high, low, close, TICK_STEPS / self.whole.shares_ratio

    @cached_property
    def _known(self) -> dict[int, Array]:
        return {}

    def _ranges(self, lengths: NDArray[np.int64]) -> Array:
        """Return the ATR of each bar, over so many bars, as it was known when its weights were decided."""
        asked = [int(sessions) for sessions in np.unique(lengths[lengths > 0])]
        for sessions in asked:
            if sessions not in self._known:
                history = (self.bars if self.history is None else self.history).select(self.bars.symbols)
                ranges = average_true_range(history, sessions).shift(self.portfolio.lag_bars).loc[self.bars.index]
                self._known[sessions] = np.ascontiguousarray(ranges.to_numpy(dtype=float))
        if len(asked) == 1:
            return self._known[asked[0]]
        found = np.full(self.whole.price.shape, np.nan)
        for sessions in asked:
            found[lengths == sessions] = self._known[sessions][lengths == sessions]
        return found


def _by_bar(exits: Said, count: int, lag: int) -> tuple[list[Exits | None], NDArray[np.int64]]:
    """Return the different exits, and which of them each bar obeys: those of the bar on which it was decided."""
    each = exits if isinstance(exits, Sequence) else [exits] * count
    kinds: dict[int, Exits | None] = {id(one): one for one in (None, *each)}
    places = {name: place for place, name in enumerate(kinds)}
    numbers = [0] * min(lag, count) + [places[id(one)] for one in each[: max(count - lag, 0)]]
    return list(kinds.values()), np.array(numbers, dtype=np.int64)


def any_exits(exits: Said) -> bool:
    """Return whether there is anything to obey."""
    return any(one is not None for one in exits) if isinstance(exits, Sequence) else exits is not None


def without_lag(portfolio: PortfolioParams) -> PortfolioParams:
    """Return the portfolio for weights that stand on the bars on which they are traded."""
    return portfolio.model_copy(update={"lag_bars": 0})  # the check against it is about weights of closes


@lru_cache(maxsize=1)
def _walk() -> Callable[..., Any]:
    # Imported where it is needed: without exits nobody waits for numba here.
    from workbench.backtest.kernel.compiled import compiled

    return compiled(hold)
