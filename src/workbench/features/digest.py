"""What a feature is, as a digest: its parameters, the code that computes it, and the libraries below that code."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sysconfig
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused

_OURS = "workbench"
_LIBRARY_FOLDERS = tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# The module of what is typed into a notebook: its file, if any, is the kernel's.
_TYPED = "__main__"
# What is typed beside a class and read by it, such as N = 20.
_PLAIN = (bool, int, float, str)
# Raise it when columns that were kept must not be served: before 2, a feature could read what it did not declare.
_FORMAT = "columns 2"
_LIBRARIES = ("numpy", "pandas", "numba", "TA-Lib", "pandas-ta-classic")


def feature_digest(feature: Any) -> str:
    """Return a digest that changes when the feature could give other numbers from the same bars."""
    modules: set[str] = set()
    text = _described(feature, str(getattr(feature, "name", type(feature).__name__)), modules)
    sources = sorted(_sources(frozenset(modules)))
    return hashlib.sha256("\n".join([_FORMAT, text, *sources, *_versions()]).encode()).hexdigest()


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
    held = [(name, getattr(each, "fget", each)) for name, each in sorted(vars(kind).items())]
    code = [_of_code(each, seen) for _, each in held if isinstance(each, FunctionType)]
    return " ".join([*code, *(f"{name}={each!r}" for name, each in held if isinstance(each, _PLAIN))])


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
            named = {name: function.__globals__.get(name) for name in code.co_names}
            found += [_of_code(each, seen) for each in named.values() if isinstance(each, FunctionType)]
            found += [f"{name}={each!r}" for name, each in named.items() if isinstance(each, _PLAIN)]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


@cache
def _sources(modules: frozenset[str]) -> frozenset[str]:
    """Return the digests of the modules' files, and of all that they import from files that are no library's."""
    found: dict[Path, str] = {}
    waiting = [module for module in modules if module != _TYPED]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name, file in _files(module):
            if file not in found:
                source = file.read_bytes()
                found[file] = f"{name} {hashlib.sha256(source).hexdigest()}"
                waiting += _imported(ast.parse(source), name, file)
    return frozenset(found.values())


def _imported(tree: ast.AST, name: str, file: Path) -> list[str]:
    """Return what a module imports, now or when called; of ``from a import b`` either may be the module."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def _files(module: str) -> list[tuple[str, Path]]:
    """Return the file of a module, and those of the packages around it; none where they are a library's."""
    root, *inner = module.split(".")
    found, place = [], _place(root)
    if place is not None and place.is_file():  # one file, or a package's own: its parts lie beside it
        found.append((root, place))
    for number, part in enumerate(inner, start=1):
        if place is None or place.name != "__init__.py":
            break
        beside = (place.parent / part / "__init__.py", place.parent / f"{part}.py")
        place = next((file for file in beside if file.is_file()), None)
        if place is not None:
            found.append((".".join([root, *inner[:number]]), place))
    return found


@cache
def _place(root: str) -> Path | None:
    """Return the file of a module at the top, if it is ours or the user's and not a library's."""
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    place = Path(folders[0]) / "__init__.py" if folders else Path(spec.origin or "")
    if place.suffix != ".py":
        return None
    is_library = any(place.is_relative_to(folder) for folder in _LIBRARY_FOLDERS)
    return None if is_library and root != _OURS else place


@cache
def _versions() -> tuple[str, ...]:
    found = []
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{library} absent")
    return tuple(found)
