"""Which files a result depends on: a module and everything of ours that it imports, however far."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import workbench

PACKAGE = Path(workbench.__file__).parent
# What is called to come from a strategy's name to weights; the strategy's own file is added.
DECIDING = ("strategies.classes", "strategies.protocol", "strategies.sizing", "types")
ERRORS = PACKAGE / "errors.py"


@lru_cache(maxsize=8)
def source_digest(*modules: str) -> str:
    """Return one digest of these modules and all that they import: ``source_digest("search.problem")``."""
    chain = hashlib.sha256()
    for file in sorted(source_files(modules)):
        chain.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return chain.hexdigest()


def deciding_files(strategy: str) -> dict[str, str]:
    """Return the SHA-256 of each file that decides a strategy's weights, as it lies on disk; nothing of it is run.

    The files are those of the strategy and of all that they import, not the whole package: a mended report changes no
    weights, a changed indicator does. ``errors.py`` is left out: an error says why there are no weights, it is never in
    one. It counts where a file catches errors of ours, since then weights may follow from them.
    """
    return file_digests(f"strategies.{strategy}", *DECIDING, counts=decides)


def decides(file: Path, imported: Path) -> bool:
    """Return whether what a deciding file imports may decide as well: errors only where it catches some."""
    return imported != ERRORS or _catches(file.read_bytes())


def catches_ours(tree: ast.Module) -> bool:
    """Return whether a module catches what it imports from ``workbench.errors``."""
    ours = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        for alias in getattr(node, "names", [])
        if (isinstance(node, ast.ImportFrom) and node.module in ("workbench", "workbench.errors"))
        or (isinstance(node, ast.Import) and alias.name.startswith("workbench"))
    }
    caught = [node.type for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is not None]
    named = {name.id for kind in caught for name in ast.walk(kind) if isinstance(name, ast.Name)}
    return bool(ours & named)


def file_digests(*modules: str, counts: Callable[[Path, Path], bool] | None = None) -> dict[str, str]:
    """Return the SHA-256 of each file of these modules and of all that they import, by its path in the package.

    ``counts`` says of a file and one that it imports whether that import is followed.
    """
    return {
        file.relative_to(PACKAGE).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(source_files(modules, counts))
    }


def source_files(modules: Iterable[str], counts: Callable[[Path, Path], bool] | None = None) -> set[Path]:
    """Return the files of these modules, and of every module of ours that they import."""
    found: set[Path] = set()
    waiting = [file for module in modules for file in _files(module)]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            imported = [other for name in _imported(file) for other in _files(name)]
            waiting += [other for other in imported if counts is None or counts(file, other)]
    return found


def _files(module: str) -> Iterator[Path]:
    """Give the file of a module and those of the packages around it; a name inside a module has none of its own."""
    place = PACKAGE
    for part in module.split("."):
        place = place / part
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                yield file


def _imported(file: Path) -> Iterator[str]:
    """Give what a module of ours imports from ours, as it is named below the package."""
    place = ("workbench", *file.relative_to(PACKAGE).parent.parts)
    for level, name in _names(file.read_bytes()):
        whole = ".".join([*place[: len(place) - level + 1], name]) if level else name
        if whole.startswith("workbench."):
            yield whole.removeprefix("workbench.")


@lru_cache(maxsize=512)
def _names(content: bytes) -> tuple[tuple[int, str], ...]:
    """Return the names that a module imports, each with the number of dots before it."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(_tree(content)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            found += [(node.level, f"{base}{alias.name}") for alias in node.names]
    return tuple(found)


@lru_cache(maxsize=512)
def _catches(content: bytes) -> bool:
    return catches_ours(_tree(content))


def _tree(content: bytes) -> ast.Module:
    """Return a module's tree; what is no Python imports nothing, and whoever runs it will hear so."""
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
