"""Champion against challenger: what would change if one took the other's place, from the results in their packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest.result import WalkForward
from workbench.backtest.text import number, percent
from workbench.errors import PackRefused
from workbench.registry.packs.pack import Pack

SESSIONS = 60  # shown side by side
NAMED = 5  # positions
BARS = "▁▂▃▄▅▆▇█"
YEAR, CONFIDENCE = "250", "0.95"  # of the drawdown band


@dataclass(frozen=True)
class Row:
    """One line of the comparison."""

    what: str
    champion: str
    challenger: str


@dataclass(frozen=True)
class Comparison:
    """``last`` has the returns of both in the last common sessions, a column each."""

    rows: tuple[Row, ...]
    last: pd.DataFrame
    correlation: float

    def lines(self) -> list[str]:
        """Return the last sessions as two small curves under one another, with what each earned."""
        if self.last.empty:
            return ["no common session: the two were never traded over the same days"]
        first, last = (f"{day:%Y-%m-%d}" for day in (self.last.index[0], self.last.index[-1]))
        growth = (1.0 + self.last).cumprod()
        low, high = float(growth.min().min()), float(growth.max().max())
        found = [f"the last {len(self.last)} common sessions, {first} to {last}, on one scale:"]
        for name in ("champion", "challenger"):
            curve = growth[name].to_numpy(dtype=float)
            found.append(f"  {name:<10} {sparkline(curve, low, high)} {curve[-1] - 1.0:+.1%}")
        return found


def compare(champion: Pack, challenger: Pack) -> Comparison | None:
    """Compare two strategies by their packs; None where one has no result to compare."""
    from workbench.registry.reading import result

    if not all(pack.has("result/result.json") for pack in (champion, challenger)):
        return None
    return compare_results(result(champion), result(challenger), _band(champion), _band(challenger))


def compare_results(
    champion: WalkForward, challenger: WalkForward, band: float | None = None, other: float | None = None
) -> Comparison:
    """Compare two results; the bands are the drawdowns that 95 % of years stay above."""
    held = [_held(one) for one in (champion, challenger)]
    both = pd.DataFrame({"champion": champion.simulation.returns, "challenger": challenger.simulation.returns}).dropna()
    together = both.corr().to_numpy()[0, 1] if len(both) > 2 else np.nan
    shared = held[0].keys() & held[1].keys()
    moved = sum(abs(held[1].get(symbol, 0.0) - held[0].get(symbol, 0.0)) for symbol in held[0].keys() | held[1].keys())
    rows = [
        Row("positions", *(f"{len(one)}: {_largest(one)}" for one in held)),
        Row("held by both", f"{len(shared)}", f"{percent(moved)} of equity to trade"),
        *(
            Row(name, *(write(one.out_of_sample.get(key)) for one in (champion, challenger)))
            for name, key, write in (
                ("Sharpe ratio", "sharpe", number),
                ("a year", "cagr", percent),
                ("volatility", "volatility", percent),
                ("turnover a year", "turnover", _times),
                ("exposure", "exposure", percent),
                ("costs a year", "cost_per_year", _small),
                ("largest drawdown", "max_drawdown", percent),
            )
        ),
        Row("expected drawdown (95 % of years above)", percent(band), percent(other)),
        Row("correlation of returns", number(float(together)), f"{len(both):,} common sessions"),
    ]
    return Comparison(tuple(rows), both.tail(SESSIONS), float(together))


def sparkline(values: Sequence[float] | np.ndarray[Any, Any], low: float, high: float) -> str:
    """Return a curve in as many characters as it has points.

    >>> sparkline([0.0, 1.0, 0.5], 0.0, 1.0)
    '▁█▅'
    """
    span = high - low
    places = [round((value - low) / span * (len(BARS) - 1)) if span > 0 else 0 for value in values]
    return "".join(BARS[place] for place in places)


def _held(result: WalkForward) -> dict[str, float]:
    """Return the positions at the end of the test, those that are none left out."""
    positions = result.simulation.positions
    last = positions.iloc[-1] if len(positions) else pd.Series(dtype=float)
    return {str(symbol): float(weight) for symbol, weight in last.items() if weight and np.isfinite(weight)}


def _largest(held: Mapping[str, float]) -> str:
    order = sorted(held, key=lambda symbol: (-abs(held[symbol]), symbol))
    return ", ".join(f"{symbol} {held[symbol]:+.0%}" for symbol in order[:NAMED]) + (
        ", …" if len(order) > NAMED else ""
    )


def _band(pack: Pack) -> float | None:
    try:
        found = pack.json("statistics.json")["drawdown_band"]["bounds"][YEAR][CONFIDENCE]
    except (PackRefused, KeyError, TypeError):
        return None
    return float(found) if isinstance(found, (int, float)) else None


def _times(value: float | None) -> str:
    return f"{number(value, 1)}×"


def _small(value: float | None) -> str:
    return percent(value, 2)
