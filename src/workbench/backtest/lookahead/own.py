"""A user's own feature by its address, as Python imports it: ``mine.features:spread``.

The name may stand for a feature, a family, a strategy, a function of bars, or for a class or a function without
arguments that makes one.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.errors import InputRefused, did_you_mean
from workbench.features.protocol import Family, Feature
from workbench.strategies.protocol import Strategy

EXAMPLE = "write it as Python imports it, package.module:name"


def is_address(name: str) -> bool:
    """Return whether a name is an address, not the name of one of the workbench's own."""
    return ":" in name


def load(address: str, root: Path) -> Any:
    """Return what stands at the address, made where it has to be; ``root`` is looked in like the current folder."""
    where, _, name = address.partition(":")
    if not where or not name.isidentifier() or not all(part.isidentifier() for part in where.split(".")):
        raise InputRefused(f"'{address}' is no address of a feature; {EXAMPLE}")
    module = _imported(address, where, root)
    if not hasattr(module, name):
        names = [each for each in vars(module) if not each.startswith("_")]
        raise InputRefused(f"{address}: {where} has no '{name}'.{did_you_mean(name, names)}")
    found = getattr(module, name)
    if isinstance(found, type) or (inspect.isroutine(found) and not _required(found)):
        found = _made(address, found)
    if _is_examinable(found):
        return found
    raise InputRefused(
        f"{address} is of type {type(found).__name__}; it must be a feature (name, inputs, lookback, compute), a "
        "strategy, a function of bars, or a function without arguments that makes one: docs/features.md"
    )


def _imported(address: str, where: str, root: Path) -> ModuleType:
    for folder in (str(root), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name and f"{where}.".startswith(f"{error.name}."):
            raise InputRefused(
                f"{address}: no module '{error.name}' in the environment, the project's folder or this one; {EXAMPLE}"
            ) from error
        raise InputRefused(f"{address}: {where} imports '{error.name}', which is not there; install it") from error
    except Exception as error:  # whatever a user's module raises
        raise InputRefused(f"{address}: importing {where} raises {_first_line(error)}") from error


def _made(address: str, maker: Any) -> Any:
    needed = _required(maker)
    if needed:
        raise InputRefused(
            f"{address} is a class that needs {', '.join(needed)}; name an object of it, or a function without "
            "arguments that makes one"
        )
    try:
        return maker()
    except Exception as error:  # whatever a user's code raises
        raise InputRefused(f"{address}: making it raises {_first_line(error)}") from error


def _required(maker: Any) -> list[str]:
    """Return the arguments that a class or function cannot do without."""
    try:
        parameters = inspect.signature(maker).parameters.values()
    except (TypeError, ValueError):  # code that is not Python's does not tell
        return []
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in free]


def _is_examinable(found: Any) -> bool:
    if isinstance(found, (Strategy, Feature, Family)):
        return True
    return inspect.isroutine(found) and len(_required(found)) == 1


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
