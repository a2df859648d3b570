"""Features across symbols: ranks, scores and neutral residuals of another feature, session by session.

>>> ranked(momentum(126)), neutral(momentum(126), sector=True, beta="MKT00")

A session looks at its own row only, so none of these can see ahead of the feature inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.features.protocol import Feature
from workbench.types import Bars


@dataclass(frozen=True)
class Across:
    """Another feature, seen across the symbols of the session: it reads what that one reads, and as far back."""

    feature: Feature
    suffix: ClassVar[str] = ""

    @property
    def name(self) -> str:
        """The column's name."""
        return f"{self.feature.name}_{self.suffix}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        return self.feature.inputs

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t."""
        return self.feature.lookback


@dataclass(frozen=True)
class Ranked(Across):
    """The rank of a feature among the symbols of the session, from 1/n to 1; equals share their mean rank."""

    suffix: ClassVar[str] = "rank"

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        return self.feature.compute(bars).rank(axis=1, pct=True)


@dataclass(frozen=True)
class Scored(Across):
    """A feature in standard deviations from the session's mean, what lies beyond ``limit`` brought back to it."""

    suffix: ClassVar[str] = "z"
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and not self.limit > 0:
            raise InputRefused(f"{self.name}: limit {self.limit} must be above 0; leave it out for none")

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        values = self.feature.compute(bars)
        spread = values.std(axis=1)
        scores = values.sub(values.mean(axis=1), axis=0).div(spread.where(spread > 0), axis=0)
        return scores if self.limit is None else scores.clip(-self.limit, self.limit)


@dataclass(frozen=True)
class Winsorised(Across):
    """A feature whose extremes are brought back to the session's quantiles ``tail`` and 1 - ``tail``."""

    suffix: ClassVar[str] = "w"
    tail: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 < self.tail < 0.5:
            raise InputRefused(f"{self.name}: tail {self.tail} must lie between 0 and 0.5, for example 0.01")

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol."""
        values = self.feature.compute(bars)
        ordered = np.sort(values.to_numpy(dtype=float), axis=1)  # what is missing comes last
        low, high = _quantile(ordered, self.tail), _quantile(ordered, 1.0 - self.tail)
        return values.clip(low, high, axis=0)


@dataclass(frozen=True)
class Neutral(Across):
    """What a session's regression on sectors, on beta or on both leaves of a feature.

    ``beta`` names the symbol that stands for the market; betas come from the daily returns of ``window`` bars.
    A symbol without a sector, or without a beta where one is asked for, has no residual.
    """

    sector: bool = True
    beta: str | None = None
    window: int = 252

    def __post_init__(self) -> None:
        if not self.sector and self.beta is None:
            raise InputRefused(f"neutral {self.feature.name}: to what? give sector=True, beta='SYMBOL' or both")
        if self.beta is not None and self.window < 20:
            raise InputRefused(f"neutral {self.feature.name}: window {self.window} is below 20; a beta needs more")

    @property
    def name(self) -> str:
        """The column's name."""
        return f"{self.feature.name}_neutral{'_sector' * self.sector}{'_beta' * (self.beta is not None)}"

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of the bars that it reads."""
        more = [*(["sectors"] if self.sector else []), *(["close"] if self.beta is not None else [])]
        return tuple(dict.fromkeys([*self.feature.inputs, *more]))

    @property
    def lookback(self) -> int:
        """How many bars up to and including t decide row t."""
        return max(self.feature.lookback, self.window + 1 if self.beta is not None else 1)

    def compute(self, bars: Bars) -> pd.DataFrame:
        """Return date × symbol.

        1. Take the sector's mean (the session's, where sectors do not matter) from the feature and from the betas.
        2. Take from the feature its slope on the betas, times the betas: the residual of the regression on both at
           once (Frisch, Waugh, Lovell).
        """
        values = self.feature.compute(bars).to_numpy(dtype=float)
        betas = None if self.beta is None else beta(bars, self.beta, self.window).to_numpy()
        present = np.isfinite(values) if betas is None else np.isfinite(values) & np.isfinite(betas)
        groups = _groups(bars) if self.sector else np.ones((len(bars.symbols), 1))
        present &= groups.any(axis=1)
        left = _without_means(values, present, groups)
        if betas is not None:
            slopes = _without_means(betas, present, groups)
            spread = (slopes**2).sum(axis=1, keepdims=True)
            fit = (left * slopes).sum(axis=1, keepdims=True) / np.where(spread > 0, spread, np.nan)
            left = left - np.nan_to_num(fit) * slopes
        return pd.DataFrame(np.where(present, left, np.nan), index=bars.index, columns=list(bars.symbols))


def ranked(feature: Feature) -> Ranked:
    """Return the feature as ranks across symbols."""
    return Ranked(feature)


def scored(feature: Feature, limit: float | None = None) -> Scored:
    """Return the feature in standard deviations across symbols."""
    return Scored(feature, limit)


def winsorised(feature: Feature, tail: float = 0.01) -> Winsorised:
    """Return the feature with its extremes brought back."""
    return Winsorised(feature, tail)


def neutral(feature: Feature, sector: bool = True, beta: str | None = None, window: int = 252) -> Neutral:
    """Return what is left of the feature when sectors, or betas to a symbol, or both are taken out."""
    return Neutral(feature, sector, beta, window)


def beta(bars: Bars, benchmark: str, window: int = 252) -> pd.DataFrame:
    """Return each symbol's beta to the benchmark over ``window`` daily returns, three quarters of them at least."""
    if benchmark not in bars.symbols:
        raise NoData(f"beta: no symbol '{benchmark}' in the bars.{did_you_mean(benchmark, map(str, bars.symbols))}")
    returns = bars.returns()
    market = returns[[benchmark]].to_numpy()
    present = returns.notna() & np.isfinite(market)
    both = returns.where(present)
    other = pd.DataFrame(np.where(present, market, np.nan), index=both.index, columns=both.columns)
    enough = -(-window * 3 // 4)

    def mean(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.rolling(window, min_periods=enough).mean()

    spread = mean(other * other) - mean(other) ** 2
    return (mean(both * other) - mean(both) * mean(other)) / spread.where(spread > 1e-12)


def _quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Return each row's quantile, between the two nearest values; the rows ascend, with nan at their end."""
    last = np.isfinite(ordered).sum(axis=1) - 1
    place = share * np.maximum(last, 0)
    below = np.floor(place).astype(int)
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below], ordered[rows, np.minimum(below + 1, np.maximum(last, 0))]
    found: np.ndarray = low + (high - low) * (place - below)
    return found


def _groups(bars: Bars) -> np.ndarray:
    """Return symbol × sector: 1 where it belongs; a row of zeros where no sector is known."""
    names = sorted(set(bars.sectors.values()))
    if not names:
        raise NoData("neutral: no sector is known; ingest the table 'symbols', or use sector=False with a beta")
    return np.array([[float(bars.sectors.get(symbol) == name) for name in names] for symbol in bars.symbols])


def _without_means(values: np.ndarray, present: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the values less the mean of their group in the session, 0 where absent."""
    here = np.where(present, values, 0.0)
    count = present.astype(float) @ groups
    means = (here @ groups) / np.maximum(count, 1.0)
    return np.where(present, here - means @ groups.T, 0.0)
