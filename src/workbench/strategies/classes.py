"""From a strategy's name to the object: its class by file name, its parameters checked against its fields."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import StrategyRefused, did_you_mean
from workbench.sizing_params import SizingParams
from workbench.strategies.exits import NAMES, Exits
from workbench.strategies.protocol import Strategy

# Files of this folder that are not strategies.
ROOMS = {"__init__", "catalog", "classes", "exits", "protocol", "sizing"}
# Fields of a strategy that are no parameters; what ends a position is written beside them, by the names of Exits.
FRAME = {"symbols", "sizing", "exits"}


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
    ends = {key: params[key] for key in _exit_names(name) & params.keys()}
    own: dict[str, Any] = {key: value for key, value in params.items() if key not in ends}
    if ends:
        own["exits"] = Exits(**{key: value for key, value in ends.items() if value is not None})
    made = strategy_class(name)(symbols=symbols, sizing=sizing, **own)
    if not isinstance(made, Strategy):
        raise StrategyRefused(f"{name}: the class has no name, symbols, lookback or weights; see docs/strategies.md")
    return made


def check_params(name: str, params: Mapping[str, Any]) -> None:
    """Refuse a parameter that the strategy does not have, or a value of another type."""
    exits = _exit_names(name)
    known = {field.name: str(field.type) for field in dataclasses.fields(Exits) if field.name in exits}
    known |= {
        field.name: str(field.type) for field in dataclasses.fields(strategy_class(name)) if field.name not in FRAME
    }
    for key, value in params.items():
        if key not in known and key in NAMES:
            raise StrategyRefused(
                f"{name}: unknown parameter '{key}'. It takes no exits: give the class a field "
                "'exits: Exits | None = None' (docs/strategies.md)"
            )
        if key not in known:
            raise StrategyRefused(f"{name}: unknown parameter '{key}'.{did_you_mean(key, known)}")
        _check_type(name, key, value, known[key])


def _exit_names(name: str) -> set[str]:
    """Return the parameters that are the strategy's exits: those of Exits, where the class takes any."""
    own = {field.name for field in dataclasses.fields(strategy_class(name))}
    return set(NAMES) - own if "exits" in own else set()


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
