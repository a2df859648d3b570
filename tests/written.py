"""A strategy that does what a test writes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.strategies.exits import Exits
from workbench.types import Bars


@dataclass(frozen=True)
class Written:
    """A strategy that wants what is written down: weights by the number of the bar, the last ones hold."""

    symbols: tuple[str, ...]
    wanted: Mapping[int, Mapping[str, float]]
    name: str = "written"
    lookback: int = 1
    exits: Exits | None = None

    def weights(self, bars: Bars) -> pd.DataFrame:
        frame = pd.DataFrame(np.nan, index=bars.index, columns=list(self.symbols))
        for row, weights in self.wanted.items():
            if row < len(frame):
                frame.iloc[row] = [weights.get(symbol, 0.0) for symbol in self.symbols]
        return frame.ffill().fillna(0.0)
