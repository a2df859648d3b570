"""Winners keep winning: long the strongest, short the weakest of each sector, renewed monthly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from workbench.errors import StrategyRefused
from workbench.features.within import rank_within
from workbench.sizing_params import SizingParams
from workbench.strategies.exits import Exits, exits_lookback
from workbench.strategies.sizing import HALT_BARS, size, sizing_lookback
from workbench.types import Bars


@dataclass(frozen=True)
class XsMomentum:
    """Ranks the return over ``formation`` sessions, without the last ``skip``, inside each sector."""

    symbols: tuple[str, ...]
    formation: int = 126
    skip: int = 5
    quantile: float = 0.3
    sizing: SizingParams = SizingParams()
    exits: Exits | None = None
    name: ClassVar[str] = "xs_momentum"

    def __post_init__(self) -> None:
        if not 0 <= self.skip < self.formation:
            raise StrategyRefused(
                f"xs_momentum: skip {self.skip} must be 0 or more and below formation {self.formation} "
                "(params/strategies/xs_momentum.yaml)"
            )
        if not 0.0 < self.quantile <= 0.5:
            raise StrategyRefused(f"xs_momentum: quantile {self.quantile} must be above 0 and at most 0.5")

    @property
    def lookback(self) -> int:
        """How many bars decide the last weights: the formation, a month since the renewal, a halt, the sizing."""
        return max(self.formation + 24 + HALT_BARS + sizing_lookback(self.sizing), exits_lookback(self.exits))

    def weights(self, bars: Bars) -> pd.DataFrame:
        """close -> past return -> rank in sector -> long and short -> held for the month -> sized."""
        bars = bars.select(self.symbols)
        close = bars.last_close()
        past = close.shift(self.skip) / close.shift(self.formation) - 1.0
        sectors = [bars.sectors.get(symbol, "") for symbol in bars.symbols]
        rank = rank_within(past, sectors)  # NaN where a symbol is alone: nothing to compare, nothing to hold
        long, short = rank > 1.0 - self.quantile, rank <= self.quantile
        shares = 0.5 * long.div(long.sum(axis=1).clip(lower=1), axis=0)
        shares -= 0.5 * short.div(short.sum(axis=1).clip(lower=1), axis=0)
        month = pd.Series(bars.index.to_period("M"), index=bars.index)
        renewed = month != month.shift(1)
        renewed.iloc[0] = False  # the first row's month may have begun before the data
        return size(shares.where(renewed).ffill(), bars, self.sizing)
