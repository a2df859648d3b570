"""What a feature is, as a digest: its parameters, the code that computes it, and the libraries below that code."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused

_ROOM = "workbench."
# The module of what is typed into a notebook: its file, if any, is the kernel's.
_TYPED = "__main__"
_LIBRARIES = ("numpy", "pandas", "numba", "TA-Lib", "pandas-ta-classic")


def feature_digest(feature: Any) -> str:
    """Return a digest that changes when the feature could give other numbers from the same bars."""
    modules: set[str] = set()
    text = _described(feature, str(getattr(feature, "name", type(feature).__name__)), modules)
    sources = sorted(_sources(frozenset(modules)))
    return hashlib.sha256("\n".join([text, *sources, *_versions()]).encode()).hexdigest()


def _described(value: Any, where: str, modules: set[str]) -> str:
    """Return the value as text, and note the modules whose code it brings along."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_described(each, where, modules) for each in value)}]"
    if isinstance(value, Mapping):
        pairs = sorted((str(key), _described(each, where, modules)) for key, each in value.items())
        return f"{{{', '.join(f'{key}: {each}' for key, each in pairs)}}}"
    if isinstance(value, pd.DataFrame):
        axes = hashlib.sha256(repr((list(value.index), list(value.columns))).encode()).hexdigest()
        return f"frame {axes} {_described(value.to_numpy(), where, modules)}"
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"array {value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if is_dataclass(value) and not isinstance(value, type):
        modules.add(type(value).__module__)
        own = {each.name: getattr(value, each.name) for each in fields(value)}
        code = _typed_in(type(value)) if type(value).__module__ == _TYPED else ""
        return f"{type(value).__module__}.{type(value).__qualname__} {_described(own, where, modules)} {code}"
    if isinstance(value, FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        modules.add(value.__module__)
        return f"{value.__module__}.{value.__qualname__} {_of_code(value, set())} {_described(closed, where, modules)}"
    raise InputRefused(
        f"feature {where}: a {type(value).__name__} among its parameters has no digest; "
        "use numbers, texts, frames, functions and frozen dataclasses of them"
    )


def _typed_in(kind: type) -> str:
    """Return the code of a class that has no file of its own: it was typed into a notebook."""
    seen: set[int] = set()
    methods = (getattr(each, "fget", each) for _, each in sorted(vars(kind).items()))
    return " ".join(_of_code(each, seen) for each in methods if isinstance(each, FunctionType))


def _of_code(function: FunctionType, seen: set[int]) -> str:
    """Return a function's code as text, and that of what it calls where that was typed into a notebook too."""
    if id(function) in seen:
        return ""
    seen.add(id(function))
    found, waiting = [], [function.__code__]
    while waiting:
        code = waiting.pop()
        inner = [each for each in code.co_consts if isinstance(each, CodeType)]
        plain = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
        found.append(f"{code.co_code.hex()} {code.co_names} {plain}")
        waiting += inner
        if function.__module__ == _TYPED:
            called = (function.__globals__.get(name) for name in code.co_names)
            found += [_of_code(each, seen) for each in called if isinstance(each, FunctionType)]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


@cache
def _sources(modules: frozenset[str]) -> frozenset[str]:
    """Return the digests of the modules' files, and of all of ours that they import, now or when called."""
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file = _file(name)
        if file is None or name == _TYPED:
            found[name] = ""
            continue
        source = file.read_bytes()
        found[name] = f"{name} {hashlib.sha256(source).hexdigest()}"
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(_ROOM):
                waiting.append(node.module)
    return frozenset(found.values())


def _file(module: str) -> Path | None:
    loaded = sys.modules.get(module) or (importlib.import_module(module) if module.startswith(_ROOM) else None)
    name = getattr(loaded, "__file__", None)
    return Path(name) if name and Path(name).is_file() else None


@cache
def _versions() -> tuple[str, ...]:
    found = []
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{library} absent")
    return tuple(found)
