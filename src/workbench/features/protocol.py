"""What a feature is: it declares what it reads and how far back, and row t uses rows up to t only.

One that looks at each symbol alone may say so, ``by_symbol: ClassVar[bool] = True``: the engine then computes anew only
the symbols whose own bars changed. Without it a feature depends on the bars of all symbols.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pandas as pd

from workbench.features.columns import Columns
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
        """How many bars up to and including t decide row t; of what decays, until less than 1e-9 of it is left."""
        ...

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        ...


@runtime_checkable
class Family(Protocol):
    """Several features that are computed together, in one scan."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        ...

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t."""
        ...

    def compute(self, bars: Bars) -> Columns:
        """Return the columns, over the sessions and symbols of the bars."""
        ...
