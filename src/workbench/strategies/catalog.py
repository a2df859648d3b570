"""From a strategy's name to the object: its class by file name, its parameters by file, its universe by sector.

A file ``strategies/breakout.py`` with one dataclass named ``breakout`` and ``params/strategies/breakout.yaml`` are all
that a new strategy needs; nothing is registered anywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Protocol

from workbench.errors import ParamsRefused, StrategyRefused, did_you_mean
from workbench.params import SizingParams, StrategyParams, Universe, read_sizing
from workbench.strategies.classes import build as build
from workbench.strategies.classes import check_params as check_params
from workbench.strategies.classes import names as names
from workbench.strategies.classes import strategy_class as strategy_class
from workbench.strategies.protocol import Strategy


class Listed(Protocol):
    """Who is listed in a market, and in which sector: bars, or what is known before there are any."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def sectors(self) -> Mapping[str, str]: ...


def universe(wanted: Universe, bars: Listed, benchmark: str) -> tuple[str, ...]:
    """Return the symbols a universe means in these bars; everything but the benchmark when it names nothing."""
    for symbol in wanted.symbols:
        if symbol not in bars.symbols:
            raise StrategyRefused(f"universe: unknown symbol '{symbol}'.{did_you_mean(symbol, bars.symbols)}")
    sectors = set(bars.sectors.values())
    for sector in wanted.sectors:
        if sector not in sectors:
            raise StrategyRefused(f"universe: unknown sector '{sector}'.{did_you_mean(sector, sectors)}")
    chosen = set(wanted.symbols) | {s for s in bars.symbols if bars.sectors.get(s) in wanted.sectors}
    if not wanted.symbols and not wanted.sectors:
        chosen = set(bars.symbols) - {benchmark}
    if not chosen:
        raise StrategyRefused("universe: it is empty; name symbols or sectors in the strategy's file")
    return tuple(symbol for symbol in bars.symbols if symbol in chosen)


def cells(params: StrategyParams) -> list[dict[str, Any]]:
    """Return every combination of the grid, on top of the fixed parameters; one cell when there is no grid."""
    names_, values = list(params.grid), list(params.grid.values())
    return [{**params.params, **dict(zip(names_, point, strict=True))} for point in itertools.product(*values)]


def candidates(
    name: str, params: StrategyParams, bars: Listed, base: SizingParams, benchmark: str
) -> list[tuple[dict[str, Any], Strategy]]:
    """Return each valid cell of the grid with its strategy; cells that the strategy refuses are left out.

    When every cell is refused, the reason of the first is raised.
    """
    symbols = universe(params.universe, bars, benchmark)
    sizing = read_sizing(base, params.sizing, name)
    kept: list[tuple[dict[str, Any], Strategy]] = []
    refused: StrategyRefused | None = None
    for cell in cells(params):
        try:
            kept.append((cell, build(name, symbols, sizing, cell)))
        except StrategyRefused as error:
            if "unknown parameter" in str(error):
                raise
            refused = refused or error
    if not kept:
        raise refused or ParamsRefused(f"params/strategies/{name}.yaml: the grid is empty")
    return kept


def default(name: str, params: StrategyParams, bars: Listed, base: SizingParams, benchmark: str) -> Strategy:
    """Return the strategy at its file's own parameters."""
    symbols = universe(params.universe, bars, benchmark)
    return build(name, symbols, read_sizing(base, params.sizing, name), params.params)
