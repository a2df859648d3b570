"""What ran ahead of its sector comes back: short the week's winners, long its losers, while the market is calm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.errors import StrategyRefused
from workbench.params import SizingParams
from workbench.strategies.sizing import YEAR, size, sizing_lookback
from workbench.types import Bars


@dataclass(frozen=True)
class MeanReversion:
    """Fades each symbol's return against its sector over ``window`` sessions, held for ``hold`` sessions on average.

    ``max_volatility`` is the regime filter: above this annual volatility of the universe nothing is held.
    """

    symbols: tuple[str, ...]
    window: int = 5
    hold: int = 5
    max_volatility: float | None = 0.45
    sizing: SizingParams = SizingParams()
    name: ClassVar[str] = "mean_reversion"

    def __post_init__(self) -> None:
        if self.window < 1 or self.hold < 1:
            raise StrategyRefused(
                f"mean_reversion: window {self.window} and hold {self.hold} must be at least 1 "
                "(params/strategies/mean_reversion.yaml)"
            )

    @property
    def lookback(self) -> int:
        """How many bars decide the last weights."""
        return max(self.window + self.hold + 6, 22) + sizing_lookback(self.sizing)

    def weights(self, bars: Bars) -> pd.DataFrame:
        """close -> return against the sector -> faded -> averaged over hold -> filtered by regime -> sized."""
        bars = bars.select(self.symbols)
        close = bars.last_close()
        sectors = [bars.sectors.get(symbol, "") for symbol in bars.symbols]
        moved = close / close.shift(self.window) - 1.0
        ahead = moved - moved.T.groupby(sectors).transform("mean").T
        gross = ahead.abs().sum(axis=1)
        faded = -ahead.div(gross.where(gross > 0.0), axis=0)
        shares = faded.fillna(0.0).rolling(self.hold).mean()
        if self.max_volatility is not None:
            market = close.pct_change(fill_method=None).mean(axis=1)
            calm = market.rolling(21).std() * np.sqrt(YEAR) <= self.max_volatility
            shares = shares.where(calm, 0.0)
        return size(shares, bars, self.sizing)
