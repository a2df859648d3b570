"""What ends a position besides its weight: a stop and a target by ATR, a longest hold, the end of the session.

One function says it for all: ``hold``. The backtest walks it through all bars, compiled; live calls it with one row,
what is held now. So both know the same positions, levels and days::

    # weight     0.0   0.1   0.1   0.1   0.1   0.0   0.1      decided on the close before
    # held       0.0   0.1   0.1   0.0   0.0   0.0   0.1      the stop was touched on the third bar
    #                              stays out until the weight was zero, or has turned to the other side
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import floor, isfinite
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import StrategyRefused
from workbench.strategies.sizing import HALT_BARS
from workbench.types import Bars

Array = NDArray[np.float64]

TICK = 0.01  # of a stock's price as it is traded
# The rows of a state: side (1 long, -1 short, 0 nothing), sessions since it was opened, levels, and the side that an
# exit closed.
SIDE, AGE, STOP, TARGET, OUT = range(5)
STATE = 5


@dataclass(frozen=True)
class Exits:
    """What a strategy says; None: never. ``Exits(stop_atr=2.0, target_atr=3.0)`` is the usual bracket.

    Levels are so many average true ranges from the price at which a position is opened, and stay there.
    """

    stop_atr: float | None = None
    target_atr: float | None = None
    atr_sessions: int = 14
    max_hold_sessions: int | None = None
    minutes_before_close: float | None = None

    def __post_init__(self) -> None:
        for name in ("stop_atr", "target_atr", "minutes_before_close"):
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value > 0.0):
                raise StrategyRefused(f"exits: {name} {value} must be above 0; leave it out for none")
        if self.max_hold_sessions is not None and self.max_hold_sessions < 1:
            raise StrategyRefused(f"exits: max_hold_sessions {self.max_hold_sessions} must be at least 1")
        if self.atr_sessions < 2:
            raise StrategyRefused(f"exits: atr_sessions {self.atr_sessions} must be at least 2")

    @property
    def bracket(self) -> bool:
        """Whether there is a stop or a target."""
        return self.stop_atr is not None or self.target_atr is not None

    @property
    def rule(self) -> tuple[float, float, float, float]:
        """What ``hold`` reads: multiples of the ATR, the most sessions, and whether the session's end closes."""
        none = float("nan")
        return (
            none if self.stop_atr is None else self.stop_atr,
            none if self.target_atr is None else self.target_atr,
            none if self.max_hold_sessions is None else float(self.max_hold_sessions),
            0.0 if self.minutes_before_close is None else 1.0,
        )


NAMES = tuple(one.name for one in fields(Exits))
NO_RULE = (float("nan"), float("nan"), float("nan"), 0.0)


def exits_of(strategy: Any) -> Exits | None:
    """Return what a strategy says of exits; None where it says nothing, or has no word for it."""
    found = getattr(strategy, "exits", None)
    return found if isinstance(found, Exits) and found != Exits(atr_sessions=found.atr_sessions) else None


def exits_lookback(exits: Exits | None) -> int:
    """Return how many bars exits need."""
    return exits.atr_sessions + 1 + HALT_BARS if exits is not None and exits.bracket else 0


def average_true_range(bars: Bars, sessions: int) -> pd.DataFrame:
    """Return the plain mean of the true range over some bars, NaN where fewer than half of them traded.

    The mean of a window, not Wilder's smoothing, which never forgets: a lookback is enough to know it.
    """
    before = bars.last_close(HALT_BARS).shift(1).to_numpy(dtype=float)
    high, low = bars.high.to_numpy(dtype=float), bars.low.to_numpy(dtype=float)
    ranges = np.maximum(high, before) - np.minimum(low, before)
    known = ~np.isnan(ranges)
    total, count = np.zeros_like(ranges), np.zeros_like(ranges)
    for back in range(min(sessions, len(ranges))):  # always in the same order: the last digits decide a tick
        rows = len(ranges) - back
        total[back:] += np.where(known, ranges, 0.0)[:rows]
        count[back:] += known[:rows]
    found = np.where(2 * count >= sessions, total / np.maximum(count, 1.0), np.nan)
    return pd.DataFrame(found, index=bars.index, columns=list(bars.symbols))


def nothing_held(symbols: int) -> Array:
    """Return the state of nothing held and nothing stayed out of."""
    state = np.zeros((STATE, symbols))
    state[STOP] = state[TARGET] = np.nan
    return state


def hold(
    wishes: Array,
    price: Array,
    high: Array,
    low: Array,
    close: Array,
    unit: Array,
    steps: Array,
    rules: Array,
    half: float,
    state: Array,
    weights: Array,
    prices: Array,
) -> None:
    """Walk wishes through bars, and fill in what is held after each open and each close, and at what price it left.

    All are bars × symbols: ``wishes`` are the weights to trade at this bar's ``price``, its open; ``unit`` is the ATR
    that was known when they were decided, ``steps`` how many ticks a price of 1 has. ``rules`` has ``Exits.rule`` of
    each bar, ``half`` is half the spread, ``state`` goes in and out. ``weights`` and ``prices`` have two rows a bar.

    1. A bar that opens beyond a level fills there, at the open; nothing is opened by that symbol on that bar.
    2. The wish, unless its side was closed by an exit before, or was held long enough, or no ATR is known to bound it.
    3. Low and high: the stop before the target, for a bar does not tell which came first. A stop fills at its price, a
       target where the quote reaches it. What is then still held may end with the session, at the close.

    Plain loops: the backtest compiles them.
    """
    bars, symbols = wishes.shape
    for t in range(bars):
        for c in range(symbols):
            side, age, stop, target, out = state[0, c], state[1, c] + 1.0, state[2, c], state[3, c], state[4, c]
            held = weights[2 * t - 1, c] if t > 0 else 0.0
            at, wish = price[t, c], wishes[t, c]
            prices[2 * t, c], prices[2 * t + 1, c] = at, np.nan
            if at != at:  # nothing trades: all stays as it is
                weights[2 * t, c] = weights[2 * t + 1, c] = held
                state[1, c] = age
                continue
            sign = 1.0 if wish > 0.0 else (-1.0 if wish < 0.0 else 0.0)

            # 1. what the night has brought
            if side != 0.0 and (side * (at - stop) <= 0.0 or side * (at * (1.0 - side * half) - target) >= 0.0):
                out, side, held = side, 0.0, 0.0
            else:
                # 2. the wish
                if sign != out:
                    out = 0.0
                wanted = sign
                if sign == 0.0 or sign == out:
                    wanted = 0.0
                elif sign == side:
                    if age >= rules[t, 2]:
                        wanted, out = 0.0, side
                elif (rules[t, 0] == rules[t, 0] or rules[t, 1] == rules[t, 1]) and not unit[t, c] > 0.0:
                    wanted = 0.0
                if wanted != 0.0 and wanted != side:
                    age, stop, target = 0.0, np.nan, np.nan
                    if rules[t, 0] == rules[t, 0]:
                        level = at - wanted * rules[t, 0] * unit[t, c]
                        stop = max(1.0, floor(level * steps[t, c] + 0.5)) / steps[t, c]
                    if rules[t, 1] == rules[t, 1]:
                        level = at + wanted * rules[t, 1] * unit[t, c]
                        target = max(1.0, floor(level * steps[t, c] + 0.5)) / steps[t, c]
                side = wanted
                held = wish if side != 0.0 else 0.0
            weights[2 * t, c] = held

            # 3. the session
            if side != 0.0:
                worst, best = (low[t, c], high[t, c]) if side > 0.0 else (high[t, c], low[t, c])
                left = np.nan
                if side * (worst - stop) <= 0.0:
                    left, out = stop, side
                elif side * (best * (1.0 - side * half) - target) >= 0.0:
                    left, out = target / (1.0 - side * half), side
                elif rules[t, 3] > 0.0:
                    left = close[t, c]
                if left == left:
                    prices[2 * t + 1, c] = left
                    side, held = 0.0, 0.0
            weights[2 * t + 1, c] = held
            state[0, c], state[1, c], state[2, c], state[3, c], state[4, c] = side, age, stop, target, out
