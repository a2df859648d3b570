"""Which files a result depends on: a module and everything of ours that it imports, however far."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import workbench

PACKAGE = Path(workbench.__file__).parent


@lru_cache(maxsize=8)
def source_digest(*modules: str) -> str:
    """Return one digest of these modules and all that they import: ``source_digest("search.problem")``."""
    chain = hashlib.sha256()
    for file in sorted(source_files(modules)):
        chain.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return chain.hexdigest()


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
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("workbench.") for name in names if name.startswith("workbench."))
