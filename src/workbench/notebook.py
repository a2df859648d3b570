"""One notebook with strict parameters: read, checked and bound before a kernel starts, then executed by papermill.

A notebook has exactly one cell tagged ``parameters``, and in it nothing but annotated names::

    folder: str = ""
    strategy: str = "sma_cross"
    mode: Literal["rolling", "anchored"] = "rolling"     # after `from typing import Literal`
    horizon_sessions: int                                # no default: must be given

An unknown, missing or wrongly typed parameter stops at once::

    notebooks/steps/walk_forward.ipynb: unknown parameter 'strateg'. Did you mean 'strategy'?

This file imports neither papermill nor Jupyter: a run that has nothing to do never loads them.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench.errors import InputRefused, ParamsRefused, did_you_mean
from workbench.params import digest

PARAMETERS = "parameters"
TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict}
SECRET = re.compile(r"(^|_)(api_?key|key|token|secret|password|passwd|credential)s?($|_)", re.IGNORECASE)
MISSING: Any = ...  # survives a journey to another process


@dataclass(frozen=True)
class Parameter:
    """One name in the parameters cell, its type as written and its default."""

    name: str
    annotation: str
    kind: Any
    default: Any = MISSING

    def admits(self, value: Any) -> bool:
        """Return whether the value has the type, strictly: True is no int, '20' is no number."""
        try:
            TypeAdapter(self.kind, config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError:
            return False
        return True


@dataclass(frozen=True)
class Cell:
    """One cell of the source notebook."""

    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Notebook:
    """A source notebook, read and checked; ``name`` is how messages call it."""

    file: Path
    name: str
    cells: tuple[Cell, ...]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters, by name; raise when the parameters cell is not as it must be."""
        tagged = [cell for cell in self.cells if PARAMETERS in cell.tags]
        if len(tagged) != 1:
            found = "no cell" if not tagged else f"{len(tagged)} cells"
            raise ParamsRefused(f"{self.name}: {found} tagged '{PARAMETERS}'; tag exactly one, even an empty one")
        if tagged[0].kind != "code":
            raise ParamsRefused(f"{self.name}: the cell tagged '{PARAMETERS}' is not a code cell")
        parameters = {}
        for parameter in self._read(tagged[0].source):
            if SECRET.search(parameter.name):
                raise ParamsRefused(
                    f"{self.name}: parameter '{parameter.name}' looks like a secret, and parameters are written into "
                    "the executed notebook; read it from the environment instead"
                )
            parameters[parameter.name] = parameter
        return parameters

    @cached_property
    def digest(self) -> str:
        """The digest of what a person wrote: outputs and counters do not count."""
        return digest([[cell.kind, cell.source, cell.tags] for cell in self.cells])

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise unless the given values, with the defaults, are exactly what the notebook takes."""
        for name, value in given.items():
            if name not in self.parameters:
                raise ParamsRefused(f"{self.name}: unknown parameter '{name}'.{did_you_mean(name, self.parameters)}")
            if not self.parameters[name].admits(value):
                raise ParamsRefused(
                    f"{self.name}: parameter '{name}' is {value!r}; it must be {self.parameters[name].annotation}"
                )
        for name, parameter in self.parameters.items():
            if parameter.default is MISSING and name not in given:
                raise ParamsRefused(
                    f"{self.name}: parameter '{name}: {parameter.annotation}' has no default and was not given"
                )

    def _read(self, source: str) -> Iterator[Parameter]:
        try:
            statements = ast.parse(source).body
        except SyntaxError as error:
            raise ParamsRefused(f"{self.name}: the parameters cell, line {error.lineno}: {error.msg}") from error
        for statement in statements:
            if isinstance(statement, ast.ImportFrom) and statement.module in ("__future__", "typing"):
                continue
            if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
                text = ast.unparse(statement).splitlines()[0]
                raise ParamsRefused(
                    f"{self.name}: the parameters cell, line {statement.lineno}: '{text}' is no annotated parameter; "
                    "write name: type = default, and nothing else in this cell"
                )
            name, annotation = statement.target.id, ast.unparse(statement.annotation)
            try:
                parameter = Parameter(name, annotation, _kind(statement.annotation))
                if statement.value is not None:
                    parameter = Parameter(name, annotation, parameter.kind, ast.literal_eval(statement.value))
            except _UnknownType as error:
                raise ParamsRefused(
                    f"{self.name}: parameter '{name}' has type {error}; "
                    f"use {', '.join(TYPES)}, Literal[...] or one of them with | None"
                ) from error
            except ValueError as error:
                raise ParamsRefused(f"{self.name}: the default of parameter '{name}' is not a plain value") from error
            if parameter.default is not MISSING and not parameter.admits(parameter.default):
                raise ParamsRefused(
                    f"{self.name}: the default of parameter '{name}' is {parameter.default!r}; it must be {annotation}"
                )
            yield parameter


def read_notebook(file: Path, name: str | None = None) -> Notebook:
    """Return the notebook in the file, or say why it is none."""
    name = name or str(file)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        cells = [Cell(c["cell_type"], "".join(c["source"]), _tags(c)) for c in content["cells"]]
    except FileNotFoundError as error:
        near = [other.name for other in file.parent.glob("*.ipynb")]
        raise InputRefused(f"{name}: no such notebook.{did_you_mean(file.name, near)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputRefused(f"{name}: not a notebook in the format of version 4; open and save it in Jupyter") from error
    return Notebook(file, name, tuple(cells))


def _tags(cell: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(tag for tag in cell.get("metadata", {}).get("tags", []) if not tag.startswith("papermill"))


class _UnknownType(Exception):
    """An annotation that no parameter may have."""


def _kind(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in TYPES:
        return TYPES[node.id]
    if isinstance(node, ast.Constant) and node.value is None:
        return type(None)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _kind(node.left) | _kind(node.right)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if node.value.id == "Literal":
            return Literal[tuple(ast.literal_eval(part) for part in parts)]
        if node.value.id in ("list", "dict"):
            return TYPES[node.value.id][tuple(_kind(part) for part in parts)]
    raise _UnknownType(ast.unparse(node))
