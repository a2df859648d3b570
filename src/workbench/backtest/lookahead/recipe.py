"""How to make a thing again in another process: where its class stands and what it was made with, as plain JSON.

>>> recipe_of(SmaCross(("TEC01",), 20, 100))
{'made': 'workbench.strategies.sma_cross:SmaCross', 'with': {'symbols': {'tuple': ['TEC01']}, 'fast': 20, …}}

It tells what the thing was made of, never what it has kept since. Nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from workbench.backtest.lookahead.own import load

Recipe = Any  # what json.dumps takes; None: it cannot be told


class _Untold(Exception):
    """The thing was written in a notebook cell or inside a function, or holds what has no name."""


def recipe_of(thing: Any) -> Recipe:
    """Return how to make it again, None where that cannot be told."""
    try:
        return _told(thing)
    except _Untold:
        return None


def recipe_at(address: str, root: Path) -> Recipe:
    """Return the recipe of what stands at a user's address."""
    return {"load": address, "root": str(root)}


def make(recipe: Recipe) -> Any:
    """Return the thing, made anew."""
    if not isinstance(recipe, dict):
        return recipe
    if "at" in recipe:
        return _at(recipe["at"])
    if "made" in recipe:
        return _at(recipe["made"])(**{name: make(each) for name, each in recipe["with"].items()})
    if "model" in recipe:
        return _at(recipe["model"]).model_validate(recipe["json"])
    if "load" in recipe:
        return load(recipe["load"], Path(recipe["root"]))
    if "call" in recipe:
        named = {name: make(each) for name, each in recipe["named"].items()}
        return functools.partial(make(recipe["call"]), *map(make, recipe["with"]), **named)
    if "dict" in recipe:
        return {key: make(each) for key, each in recipe["dict"].items()}
    if "tuple" in recipe:
        return tuple(map(make, recipe["tuple"]))
    return [make(each) for each in recipe["list"]]


def modules_of(recipe: Recipe) -> dict[str, str]:
    """Return the modules that the recipe needs, and the files this process has them from."""
    names = dict.fromkeys(_modules(recipe))
    return {name: str(getattr(sys.modules.get(name), "__file__", "")) for name in names}


def _told(thing: Any) -> Recipe:
    if thing is None or type(thing) in (bool, int, float, str):
        return thing
    if type(thing) in (list, tuple):
        return {type(thing).__name__: [_told(each) for each in thing]}
    if type(thing) is dict and all(type(key) is str for key in thing):
        return {"dict": {key: _told(each) for key, each in thing.items()}}
    if isinstance(thing, functools.partial):
        named = {name: _told(each) for name, each in thing.keywords.items()}
        return {"call": _told(thing.func), "with": [_told(each) for each in thing.args], "named": named}
    if inspect.isfunction(thing) or isinstance(thing, type):
        return {"at": _address(thing)}
    if isinstance(thing, BaseModel):
        return {"model": _address(type(thing)), "json": thing.model_dump(mode="json")}
    if dataclasses.is_dataclass(thing):
        given = {each.name: _told(getattr(thing, each.name)) for each in dataclasses.fields(thing) if each.init}
        return {"made": _address(type(thing)), "with": given}
    raise _Untold


def _address(named: Any) -> str:
    """Return where it stands, if that is what an import in another process finds."""
    module, name = str(named.__module__), str(named.__qualname__)
    address = f"{module}:{name}"
    if module == "__main__" or "<" in name or module not in sys.modules:
        raise _Untold
    try:
        found = _at(address)
    except AttributeError as error:
        raise _Untold from error
    if found is not named:
        raise _Untold
    return address


def _at(address: str) -> Any:
    module, _, name = address.partition(":")
    return functools.reduce(getattr, name.split("."), import_module(module))


def _modules(recipe: Recipe) -> Iterator[str]:
    if isinstance(recipe, list):
        for each in recipe:
            yield from _modules(each)
    if isinstance(recipe, dict):
        for key in ("at", "made", "model", "load"):
            if isinstance(recipe.get(key), str):
                yield recipe[key].partition(":")[0]
        for each in recipe.values():
            yield from _modules(each)
