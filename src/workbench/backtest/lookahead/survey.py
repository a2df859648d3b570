"""The guard over all there is: every strategy at its own parameters and the corners of its grid, every feature."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from workbench.backtest.lookahead.examine import examine
from workbench.backtest.lookahead.finding import Report
from workbench.backtest.lookahead.replay import Depth
from workbench.errors import InputRefused, StrategyRefused, did_you_mean
from workbench.features import technical
from workbench.features.protocol import Feature
from workbench.params import Paths, Settings, StrategyParams, load_strategy_params, read_sizing
from workbench.strategies import catalog
from workbench.types import Bars

# A strategy's own parameters are tried on more dates than the corners of its grid.
WHOLE, CORNER = Depth(), Depth(cuts=4, combs=1, windows=3)
# Features are computed symbol by symbol or across them: a few symbols show either, with gaps among them.
FEATURE_SYMBOLS = 8


def survey_strategy(
    name: str, bars: Bars, settings: Settings, paths: Paths | None = None, *, corners: bool = True, seed: int = 7
) -> Iterator[Report]:
    """Yield the report of a strategy at its own parameters, then at each corner of its grid."""
    params = load_strategy_params(name, paths)
    symbols = catalog.universe(params.universe, bars, settings.data.benchmark)
    sizing = read_sizing(settings.sizing, params.sizing, name)
    own = catalog.build(name, symbols, sizing, params.params)
    yield examine(own, bars, portfolio=settings.portfolio, depth=WHOLE, seed=seed)
    for cell in grid_corners(params) if corners else ():
        try:
            strategy = catalog.build(name, symbols, sizing, cell)
        except StrategyRefused:
            continue  # a combination that the strategy itself leaves out
        if strategy != own:
            yield examine(strategy, bars, portfolio=settings.portfolio, depth=CORNER, seed=seed)


def survey_feature(feature: Feature, bars: Bars, *, seed: int = 7) -> Report:
    """Return the report of a feature on some symbols, those with gaps first."""
    return examine(feature, bars.select(eventful(bars, FEATURE_SYMBOLS)), seed=seed)


def features(names: Sequence[str] = ()) -> tuple[Feature, ...]:
    """Return the workbench's features, or those named."""
    known: dict[str, Feature] = {feature.name: feature for feature in technical.basic()}
    for name in names:
        if name not in known:
            raise InputRefused(f"unknown feature '{name}'.{did_you_mean(name, known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())


def grid_corners(params: StrategyParams) -> list[dict[str, Any]]:
    """Return the cells at the ends of every grid axis, on top of the fixed parameters."""
    ends = [list(dict.fromkeys((values[0], values[-1]))) for values in params.grid.values()]
    if not ends:
        return []
    return [{**params.params, **dict(zip(params.grid, point, strict=True))} for point in itertools.product(*ends)]


def eventful(bars: Bars, count: int) -> tuple[str, ...]:
    """Return symbols that are listed late, delisted, halted or split first, then the others."""
    close = bars.close.to_numpy(dtype=float)
    gaps = np.isnan(close).sum(axis=0)
    ratio = close / bars.traded_close.to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):
        splits = (np.abs(ratio[1:] / ratio[:-1] - 1.0) > 0.2).sum(axis=0)
    order = np.lexsort((np.arange(len(gaps)), -splits, -(gaps > 0).astype(int) * gaps))
    kept = order[np.isfinite(close[:, order]).sum(axis=0) > len(close) // 3]
    return tuple(bars.symbols[place] for place in sorted(kept[:count]))
