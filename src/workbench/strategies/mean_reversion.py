"""What ran ahead of its sector comes back: short the week's winners, long its losers, while the market is calm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.errors import StrategyRefused
from workbench.features.within import rank_within
from workbench.sizing_params import SizingParams
from workbench.strategies.exits import Exits, exits_lookback
from workbench.strategies.sizing import HALT_BARS, YEAR, size, sizing_lookback
from workbench.types import Bars


@dataclass(frozen=True)
class MeanReversion:
    """Fades the extremes of each sector's returns over ``window`` sessions; a day's picks are held ``hold`` sessions.

    ``max_volatility`` is the regime filter: above this annual volatility of the universe nothing is held.
    """

    symbols: tuple[str, ...]
    window: int = 5
    hold: int = 5
    quantile: float = 0.2
    max_volatility: float | None = 0.45
    sizing: SizingParams = SizingParams()
    exits: Exits | None = None
    name: ClassVar[str] = "mean_reversion"

    def __post_init__(self) -> None:
        if self.window < 1 or self.hold < 1:
            raise StrategyRefused(
                f"mean_reversion: window {self.window} and hold {self.hold} must be at least 1 "
                "(params/strategies/mean_reversion.yaml)"
            )
        if not 0.0 < self.quantile <= 0.5:
            raise StrategyRefused(f"mean_reversion: quantile {self.quantile} must be above 0 and at most 0.5")

    @property
    def lookback(self) -> int:
        """How many bars decide the last weights."""
        own = max(self.window + self.hold + 1, 22) + HALT_BARS + sizing_lookback(self.sizing)
        return max(own, exits_lookback(self.exits))

    def weights(self, bars: Bars) -> pd.DataFrame:
        """close -> return -> rank in sector -> extremes faded -> averaged over hold -> regime -> sized."""
        bars = bars.select(self.symbols)
        close = bars.last_close()
        sectors = [bars.sectors.get(symbol, "") for symbol in bars.symbols]
        moved = close / close.shift(self.window) - 1.0
        rank = rank_within(moved, sectors)  # NaN where a symbol is alone: nothing to compare, nothing to hold
        losers, winners = rank <= self.quantile, rank > 1.0 - self.quantile
        picks = losers.astype(float) - winners.astype(float)
        shares = picks.div(picks.abs().sum(axis=1).clip(lower=1.0), axis=0).rolling(self.hold).mean()
        if self.max_volatility is not None:
            market = close.pct_change(fill_method=None).mean(axis=1)
            calm = market.rolling(21).std() * np.sqrt(YEAR) <= self.max_volatility
            shares = shares.where(calm, 0.0)
        return size(shares, bars, self.sizing)
