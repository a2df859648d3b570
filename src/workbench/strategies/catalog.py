"""From a strategy's name to the object: its class by file name, its parameters by file, its universe by sector.

A file ``strategies/breakout.py`` with one dataclass named ``breakout`` and ``params/strategies/breakout.yaml`` are all
that a new strategy needs; nothing is registered anywhere.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import ParamsRefused, StrategyRefused, did_you_mean
from workbench.params import SizingParams, StrategyParams, Universe, read_sizing
from workbench.strategies.protocol import Strategy

# Files of this folder that are not strategies.
ROOMS = {"__init__", "catalog", "protocol", "sizing"}


def names() -> list[str]:
    """Return the names of all strategies, from the files in this folder."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in ROOMS)


def strategy_class(name: str) -> type[Any]:
    """Return the class of a strategy."""
    if name not in names():
        raise StrategyRefused(
            f"unknown strategy '{name}'.{did_you_mean(name, names())} Or make it: make new-strategy NAME={name}"
        )
    module = importlib.import_module(f"workbench.strategies.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and getattr(value, "name", None) == name
    ]
    if len(found) != 1:
        raise StrategyRefused(
            f"src/workbench/strategies/{name}.py: found {len(found)} dataclasses with name = '{name}'; "
            "it needs exactly one"
        )
    return found[0]


def build(name: str, symbols: tuple[str, ...], sizing: SizingParams, params: Mapping[str, Any]) -> Strategy:
    """Return the strategy with these parameters; an unknown or ill-typed one is refused by name."""
    check_params(name, params)
    made = strategy_class(name)(symbols=symbols, sizing=sizing, **params)
    if not isinstance(made, Strategy):
        raise StrategyRefused(f"{name}: the class has no name, symbols, lookback or weights; see docs/strategies.md")
    return made


def check_params(name: str, params: Mapping[str, Any]) -> None:
    """Refuse a parameter that the strategy does not have, or a value of another type."""
    fields = {field.name: field for field in dataclasses.fields(strategy_class(name))}
    known = fields.keys() - {"symbols", "sizing"}
    for key, value in params.items():
        if key not in known:
            raise StrategyRefused(f"{name}: unknown parameter '{key}'.{did_you_mean(key, known)}")
        _check_type(name, key, value, str(fields[key].type))


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


def _check_type(name: str, key: str, value: Any, annotation: str) -> None:
    allowed: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
    options = [part.strip() for part in annotation.split("|")]
    kinds = tuple(kind for option in options for kind in allowed.get(option, ()))
    if not kinds or (value is None and "None" in options):
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise StrategyRefused(
            f"{name}: parameter '{key}' is {value!r}, it must be {annotation} (params/strategies/{name}.yaml)"
        )
