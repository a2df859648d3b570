"""Hold what trends: long while the fast average of the close is above the slow one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from workbench.errors import StrategyRefused
from workbench.sizing_params import SizingParams
from workbench.strategies.exits import Exits, exits_lookback
from workbench.strategies.sizing import HALT_BARS, size, sizing_lookback
from workbench.types import Bars


@dataclass(frozen=True)
class SmaCross:
    """Equal shares of equity in every symbol whose fast average is above its slow one."""

    symbols: tuple[str, ...]
    fast: int = 20
    slow: int = 100
    sizing: SizingParams = SizingParams()
    exits: Exits | None = None
    name: ClassVar[str] = "sma_cross"

    def __post_init__(self) -> None:
        if not 1 <= self.fast < self.slow:
            raise StrategyRefused(
                f"sma_cross: fast {self.fast} must be at least 1 and below slow {self.slow} "
                "(params/strategies/sma_cross.yaml)"
            )

    @property
    def lookback(self) -> int:
        """How many bars decide the last weights."""
        return max(self.slow + HALT_BARS + sizing_lookback(self.sizing), exits_lookback(self.exits))

    def weights(self, bars: Bars) -> pd.DataFrame:
        """close -> averages -> long or flat -> equal shares -> sized."""
        bars = bars.select(self.symbols)
        close = bars.last_close()
        above = close.rolling(self.fast).mean() > close.rolling(self.slow).mean()
        listed = close.notna().sum(axis=1).clip(lower=1)
        shares = above.astype(float).div(listed, axis=0)
        return size(shares, bars, self.sizing)
