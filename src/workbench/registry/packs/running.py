"""What a process began with: the digests of the package's files then, and the values that a file would give now.

A process that runs for months outlives edits. Its modules are held against their files by value, and the files against
what they were when this module was imported, which the loader does before it loads anything.
"""

from __future__ import annotations

import ast
import copy
import dis
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any

from workbench.source import PACKAGE

_PLAIN = (int, float, complex, str, bytes, bool, tuple, list, dict, set, frozenset, type(None), type(...))
_LOADS = ("LOAD_CONST", "RETURN_CONST", "LOAD_SMALL_INT")
_FOLDED = (
    ast.Constant,
    ast.UnaryOp,
    ast.BinOp,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.Set,
    ast.operator,
    ast.unaryop,
    ast.Load,
)
_UNKNOWN = object()


def _digests() -> dict[str, str]:
    return {
        file.relative_to(PACKAGE).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in PACKAGE.rglob("*.py")
    }


# By path in the package; 430 files take 25 ms.
BEGAN: Mapping[str, str] = _digests()


def edited_since(name: str, digest: str) -> bool:
    """Return whether a file of the package was another when this process began; a new file is none that was edited."""
    return BEGAN.get(name, digest) != digest


def values_otherwise(module: ModuleType, tree: ast.Module) -> bool:
    """Return whether a constant, a class attribute or a default that is written out is another one in the module.

    What a call made is not known, and what a function of the module sets by ``global`` is no constant.
    """
    return _apart(vars(module), tree.body, {"model_config", *_set_globally(tree)})  # a model's is put together


def _apart(space: Mapping[str, Any], body: list[ast.stmt], moving: set[str]) -> bool:
    for name, written in _assigned(body).items():
        value, found = _value(written), _found(space, name)
        if name in moving or value is _UNKNOWN or found is _UNKNOWN or _is_empty(value):
            continue
        if not _same(found, value):
            return True
    last = {one.name: one for one in body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    for name, one in last.items():
        made = space.get(name)
        if not isinstance(one, ast.ClassDef):
            if _defaults_apart(made, one):
                return True
        elif isinstance(made, type) and _apart({**vars(made), "__made__": made}, one.body, moving):
            return True
    return False


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Return what each name of a body is given that is given something once."""
    found: dict[str, ast.expr] = {}
    stored = Counter(
        node.id
        for one in body
        if not isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for node in ast.walk(one)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    for one in body:
        targets: Iterable[ast.expr] = one.targets if isinstance(one, ast.Assign) else ()
        if isinstance(one, ast.AnnAssign) and one.value is not None:
            targets = (one.target,)
        for target in targets:
            value = one.value  # type: ignore[attr-defined]
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
                pairs = list(zip(target.elts, value.elts, strict=True))
            found |= {to.id: given for to, given in pairs if isinstance(to, ast.Name)}
    return {name: written for name, written in found.items() if stored[name] == 1}


def _value(written: ast.expr) -> Any:
    """Return what an expression of nothing but constants comes to: the compiler folds it, nothing is run."""
    if not all(isinstance(node, _FOLDED) for node in ast.walk(written)):
        return _UNKNOWN
    try:
        return ast.literal_eval(_Folding().visit(copy.deepcopy(written)))
    except (TypeError, ValueError):
        return _UNKNOWN


class _Folding(ast.NodeTransformer):
    """Puts in place of a calculation with constants what the compiler makes of it."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        code = compile(ast.Expression(node), "", "eval")
        steps = [one for one in dis.get_instructions(code) if one.opname != "RESUME"]
        alone = [one.opname for one in steps[1:]] in ([], ["RETURN_VALUE"]) and steps[0].opname in _LOADS
        return ast.copy_location(ast.Constant(steps[0].argval), node) if alone else node


def _found(space: Mapping[str, Any], name: str) -> Any:
    """Return what a name is in a module or class; a field of a dataclass or of a model by its default."""
    made = space.get("__made__")
    for fields in (getattr(made, "__dataclass_fields__", {}), getattr(made, "__pydantic_fields__", {})):
        if name in fields:
            found = fields[name].default
            break
    else:
        found = space.get(name, _UNKNOWN)
    if isinstance(found, Enum):  # one that is made of several values keeps what it likes of them
        found = found.value if isinstance(found.value, (int, float, str)) else _UNKNOWN
    return found if isinstance(found, _PLAIN) else _UNKNOWN


def _defaults_apart(found: Any, written: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    found = getattr(found, "__func__", found)
    found = getattr(found, "__wrapped__", found)
    if not isinstance(found, FunctionType) or found.__code__.co_name != written.name:  # what a decorator made of it
        return False
    plain, named = written.args.defaults, written.args.kw_defaults
    keywords = found.__kwdefaults__ or {}
    pairs = list(zip(found.__defaults__ or (), plain, strict=False))
    pairs += [(keywords[one.arg], given) for one, given in zip(written.args.kwonlyargs, named, strict=True)
              if given is not None and one.arg in keywords]  # fmt: skip
    if len(found.__defaults__ or ()) != len(plain):
        return True
    return any(value is not _UNKNOWN and not _same(now, value) for now, given in pairs for value in [_value(given)])


def _same(found: Any, value: Any) -> bool:
    return type(found) is type(value) and bool(found == value or (found != found and value != value))


def _is_empty(value: Any) -> bool:
    return isinstance(value, (list, dict, set)) and not value  # filled while it runs


def _set_globally(tree: ast.Module) -> set[str]:
    return {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
