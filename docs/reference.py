"""Write docs/reference.md: every public name of the package with its sentence, from the source alone.

python docs/reference.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
SOURCE = ROOT / "src" / "workbench"
HEAD = """# Reference

Every public name, by module, with what it is for; `make docs` writes this page from the source. The pages by subject
explain how they work together: [the list](../README.md#guides).
"""
Public = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def page() -> str:
    """Return the whole page."""
    modules = (module(file) for file in sorted(SOURCE.rglob("*.py"), key=name_of))
    return "\n".join([HEAD, *(text for text in modules if text)])


def module(file: Path) -> str:
    """Return the part of one module, or nothing where it has no public names of its own."""
    name = name_of(file)
    if any(part.startswith("_") for part in name.split(".")):
        return ""
    tree = ast.parse(file.read_text())
    found = list(public(tree))
    if not found:
        return ""
    lines = [f"- `{signature(one)}`: {sentence(one)}{methods(one)}" for one in found]
    return "\n".join([f"## {name}", "", sentence(tree), "", *lines, ""])


def name_of(file: Path) -> str:
    """Return the name by which a file is imported."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public(body: ast.Module | ast.ClassDef) -> Iterator[Public]:
    """Give the functions and classes that others may use."""
    for one in body.body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not one.name.startswith("_"):
            yield one


def signature(one: Public) -> str:
    """Return a name with its arguments and their defaults, without types."""
    if isinstance(one, ast.ClassDef):
        return one.name
    given = one.args
    first = [*given.posonlyargs, *given.args]
    padding: list[ast.expr | None] = [None] * (len(first) - len(given.defaults))
    words = [argument(arg, default) for arg, default in zip(first, [*padding, *given.defaults], strict=True)]
    if given.vararg or given.kwonlyargs:
        words.append(f"*{given.vararg.arg}" if given.vararg else "*")
    words += [argument(arg, default) for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    if given.kwarg:
        words.append(f"**{given.kwarg.arg}")
    return f"{one.name}({', '.join(words)})"


def argument(arg: ast.arg, default: ast.expr | None) -> str:
    """Return one argument as it is written in a call."""
    return arg.arg if default is None else f"{arg.arg}={ast.unparse(default)}"


def sentence(one: ast.Module | Public) -> str:
    """Return the first sentence of a docstring."""
    text = " ".join((ast.get_docstring(one) or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", text)[0].removesuffix("::")


def methods(one: Public) -> str:
    """Return the names of a class's public methods and properties."""
    names = [each.name for each in public(one)] if isinstance(one, ast.ClassDef) else []
    return f" Has {', '.join(f'`{name}`' for name in names)}." if names else ""


if __name__ == "__main__":
    PAGE.write_text(page())
