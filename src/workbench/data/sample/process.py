"""How the market moves before any share is split or dividend paid: regimes, volatility, returns, planted effects.

1. The market runs through calm, normal and crisis regimes; its volatility also wanders, and rises after losses.
2. A company's log return = beta * market + sector + its own, each with Student-t shocks.
3. In some sectors the own part hides a slowly fading drift (momentum), in others a deviation that is soon undone
   (reversion).
4. Every part falls to 30 % into the overnight gap and to 70 % between open and close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.data.sample.companies import Companies
from workbench.data.sample.streams import Array, fading, fat_tailed, steady, stream
from workbench.data.sample.truth import (
    GAP_SHARE,
    MARKET_GROWTH,
    MOMENTUM_DRIFT,
    MOMENTUM_HALF_LIFE,
    MOMENTUM_SECTORS,
    REVERSION_HALF_LIFE,
    REVERSION_SECTORS,
    REVERSION_WIDTH,
    SECTORS,
    SESSIONS_PER_YEAR,
)
from workbench.params import SampleParams

REGIMES = ("calm", "normal", "crisis")
CRISIS = 2
_REGIME_VOLATILITY = np.array([0.095, 0.150, 0.290])  # a year
# Row: today's regime, column: tomorrow's. A calm lasts 110 sessions on average, a crisis 60.
_REGIME_MOVES = np.array(
    [
        [1 - 1 / 110, 1 / 110, 0.0],
        [1 / 105, 1 - 1 / 105 - 1 / 195, 1 / 195],
        [0.0, 1 / 60, 1 - 1 / 60],
    ]
)
_MARKET_VOLATILITY = 0.155  # a year, averaged over the regimes
_SECTOR_VOLATILITY = 0.10  # a year
_LEVERAGE = -0.6  # how a loss today moves volatility tomorrow
_DAY_SHARE = 1.0 - GAP_SHARE


@dataclass(frozen=True)
class Process:
    """Log returns with dividends, session × company, in two parts; and the volatility that made them."""

    gap: Array  # previous close to open
    day: Array  # open to close
    volatility: Array  # of the whole session, per session
    regime: NDArray[np.int64]
    market: Array  # the common factor's return
    market_volatility: Array  # per session
    own: Array  # each company's own shock, of variance one


def process(params: SampleParams, who: Companies, sessions: int) -> Process:
    """Return the returns of every company over so many sessions."""
    regime = _regimes(params.seed, sessions)
    market_gap, market_day, market_volatility = _market(params.seed, regime)
    stress = (market_volatility * np.sqrt(SESSIONS_PER_YEAR) / _MARKET_VOLATILITY)[:, None]
    sector_gap, sector_day, sector_volatility = _sectors(params.seed, stress, who)
    own_gap, own_day, own_volatility = _own(params.seed, stress, who)
    drift = _momentum(params, who, sessions)
    stray_gap, stray_day, stray_variance = _reversion(params, who, own_volatility)
    # Whatever is random here pays nothing on average: an exponential's mean is corrected for its variance.
    market_variance = (market_volatility**2)[:, None]
    fair = (who.beta - who.beta**2) * market_variance - sector_volatility**2 - own_volatility**2 - stray_variance
    steadily = drift + 0.5 * fair
    return Process(
        gap=market_gap[:, None] * who.beta + sector_gap + own_gap + stray_gap + GAP_SHARE * steadily,
        day=market_day[:, None] * who.beta + sector_day + own_day + stray_day + _DAY_SHARE * steadily,
        volatility=np.sqrt(who.beta**2 * market_variance + sector_volatility**2 + own_volatility**2 + stray_variance),
        regime=regime,
        market=market_gap + market_day,
        market_volatility=market_volatility,
        own=(own_gap + own_day) / own_volatility,
    )


def _regimes(seed: int, sessions: int) -> NDArray[np.int64]:
    luck = stream(seed, "regimes").random(sessions)
    moves = _REGIME_MOVES.cumsum(axis=1)
    regime, path = 1, np.empty(sessions, dtype=np.int64)
    for session in range(sessions):
        path[session] = regime
        regime = int(min(np.searchsorted(moves[regime], luck[session], side="right"), CRISIS))
    return path


def _market(seed: int, regime: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    sessions = len(regime)
    draw = stream(seed, "market")
    gap, day = fat_tailed(draw, 4.5, (sessions,)), fat_tailed(draw, 7.0, (sessions,))
    shock = np.sqrt(GAP_SHARE) * gap + np.sqrt(_DAY_SHARE) * day
    unrest = np.sqrt(1.0 - _LEVERAGE**2) * stream(seed, "market_volatility").standard_normal(sessions)
    unrest[1:] += _LEVERAGE * shock[:-1]
    wander = 0.25 * steady(unrest, half_life=20)
    volatility = _REGIME_VOLATILITY[regime] / np.sqrt(SESSIONS_PER_YEAR) * np.exp(wander - 0.25**2)
    gap, day = np.sqrt(GAP_SHARE) * volatility * gap, np.sqrt(_DAY_SHARE) * volatility * day
    # The realised growth is pinned, so that no seed is a lost decade by chance.
    growth = np.log1p(MARKET_GROWTH) / SESSIONS_PER_YEAR
    return gap - gap.mean() + GAP_SHARE * growth, day - day.mean() + _DAY_SHARE * growth, volatility


def _sectors(seed: int, stress: Array, who: Companies) -> tuple[Array, Array, Array]:
    shape = (len(stress), len(SECTORS))
    draw = stream(seed, "sectors")
    volatility = _SECTOR_VOLATILITY / np.sqrt(SESSIONS_PER_YEAR) * stress**0.7
    gap = np.sqrt(GAP_SHARE) * volatility * fat_tailed(draw, 5.0, shape)
    day = np.sqrt(_DAY_SHARE) * volatility * fat_tailed(draw, 7.0, shape)
    return gap[:, who.sector] * who.sector_pull, day[:, who.sector] * who.sector_pull, volatility * who.sector_pull


def _own(seed: int, stress: Array, who: Companies) -> tuple[Array, Array, Array]:
    shape = (len(stress), len(who))
    wander = 0.33 * steady(stream(seed, "own_volatility").standard_normal(shape), half_life=25)
    volatility = who.own_volatility / np.sqrt(SESSIONS_PER_YEAR) * stress**0.5 * np.exp(wander - 0.33**2)
    draw = stream(seed, "own")
    gap = np.sqrt(GAP_SHARE) * volatility * fat_tailed(draw, 4.0, shape)
    day = np.sqrt(_DAY_SHARE) * volatility * fat_tailed(draw, 6.0, shape)
    return gap, day, volatility


def _momentum(params: SampleParams, who: Companies, sessions: int) -> Array:
    """Return each company's hidden drift per session; within a sector the drifts add up to nothing."""
    hidden = steady(stream(params.seed, "momentum").standard_normal((sessions, len(who))), MOMENTUM_HALF_LIFE)
    drift = np.zeros_like(hidden)
    for code in MOMENTUM_SECTORS:
        here = who.sector == list(SECTORS).index(code)
        inside = hidden[:, here]
        apart = inside - inside.mean(axis=1, keepdims=True)
        drift[:, here] = apart * np.sqrt(here.sum() / (here.sum() - 1.0))
    return params.momentum * MOMENTUM_DRIFT / SESSIONS_PER_YEAR * drift


def _reversion(params: SampleParams, who: Companies, own_volatility: Array) -> tuple[Array, Array, Array]:
    """Return the moves of each price away from and back to its fair value, and their variance."""
    draw, shape = stream(params.seed, "reversion"), own_volatility.shape
    gap_shock, day_shock = draw.standard_normal(shape), draw.standard_normal(shape)
    here = np.isin(who.sector, [list(SECTORS).index(code) for code in REVERSION_SECTORS])
    width = params.reversion * REVERSION_WIDTH * own_volatility * here
    keep = 0.5 ** (1.0 / REVERSION_HALF_LIFE)
    gap_shock = gap_shock * width * np.sqrt((1.0 - keep**2) * GAP_SHARE)
    day_shock = day_shock * width * np.sqrt((1.0 - keep**2) * _DAY_SHARE)
    astray = fading(gap_shock + day_shock, keep, np.zeros(shape[1]))
    before = np.vstack([np.zeros(shape[1]), astray[:-1]])
    back = (keep - 1.0) * before
    return GAP_SHARE * back + gap_shock, _DAY_SHARE * back + day_shock, 2.0 * (1.0 - keep) * width**2
