"""What a feature is: it declares what it reads and how far back, and row t uses rows up to t only."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pandas as pd

from workbench.types import Bars


@runtime_checkable
class Feature(Protocol):
    """One number per session and symbol."""

    @property
    def name(self) -> str:
        """The column's name."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        ...

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t, but for what decays."""
        ...

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        ...
