"""What a strategy is: a frozen object that turns bars into weights, without a clock, a broker or a mode."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import pandas as pd

from workbench.types import Bars


@runtime_checkable
class Strategy(Protocol):
    """A small pure object: its fields are its parameters, its one verb is ``weights``.

    ``lookback`` is how many bars up to and including t decide the weights of t: live needs no more.
    """

    @property
    def name(self) -> str:
        """The name of its file."""
        ...

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it may hold."""
        ...

    @property
    def lookback(self) -> int:
        """How many bars it needs."""
        ...

    def weights(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol, the target share of equity; row t uses rows up to t only."""
        ...
