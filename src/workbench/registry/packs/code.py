"""Which code decided: the commit, and the digest of every file that a strategy's weights depend on.

The files are those of the strategy and of all that they import (``workbench.source``), not the whole package: a mended
report does not void an approval, a changed indicator does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import CodeType, FunctionType, ModuleType
from typing import Any

import workbench
from workbench.params import Paths
from workbench.registry.checkout import UNKNOWN, checkout, unlike_commit
from workbench.registry.packs.canonical import canonical, sha256, short
from workbench.registry.packs.running import edited_since, values_otherwise
from workbench.source import PACKAGE, deciding_files

COMMITTED, GATES = "src/workbench", "params/gates.yaml"  # in the commit
MAKING = "evidence.yaml"  # the pipeline that makes a pack
COMMIT = 40  # letters of a commit's name, at least; outside git there is another word


@dataclass(frozen=True)
class Code:
    """``changed`` names what differed from the commit; ``files`` has the SHA-256 of each deciding file."""

    commit: str
    changed: tuple[str, ...]
    entry_point: str
    files: Mapping[str, str]
    package: str

    @property
    def digest(self) -> str:
        """One digest of all deciding files."""
        return sha256(canonical(dict(self.files)))

    def differs_from(self, other: Code) -> str:
        """Say which deciding files differ, or nothing: ``strategies/sizing.py was edited``."""
        if self.files == other.files:
            return ""
        edited = sorted(
            name for name in self.files.keys() & other.files.keys() if self.files[name] != other.files[name]
        )
        gone = sorted(other.files.keys() - self.files.keys())
        new = sorted(self.files.keys() - other.files.keys())
        parts = [
            f"{name} {what}"
            for names, what in ((edited, "was edited"), (gone, "is gone"), (new, "is new"))
            for name in names
        ]
        more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
        look = f"; see: git diff {short(other.commit)} -- src/workbench/{(edited + gone + new)[0]}"
        seen = look if len(other.commit) >= COMMIT else ""
        return ", ".join(parts[:3]) + more + f" ({short(other.digest)} then, {short(self.digest)} now{seen})"


def entry_point(strategy: str) -> str:
    """Return the class of a strategy as it is imported: ``workbench.strategies.sma_cross:SmaCross``."""
    from workbench.strategies.classes import strategy_class

    made = strategy_class(strategy)
    return f"{made.__module__}:{made.__qualname__}"


def installed_code(strategy: str, commit: str = "", changed: tuple[str, ...] = ()) -> Code:
    """Return the code of a strategy as it is installed now."""
    return Code(
        commit=commit,
        changed=changed,
        entry_point=entry_point(strategy),
        files=deciding_files(strategy),
        package=workbench.__version__,
    )


def code_of(strategy: str, paths: Paths) -> Code:
    """Return the code of a strategy with the commit of the project and what differs from it.

    Git's index can be told to look away, and the package may lie elsewhere: the bytes of the package, of params/ and of
    the notebooks and pipelines that make evidence are compared with the commit's own, and what decides must be in it.
    """
    found, code = checkout(paths.root), installed_code(strategy)
    making = {"notebooks/steps": (paths.notebooks / "steps", "*.ipynb"), "pipelines": (paths.pipelines, MAKING)}
    folders = {COMMITTED: PACKAGE, "params": paths.params, **{name: folder for name, (folder, _) in making.items()}}
    needed = [f"{COMMITTED}/{name}" for name in code.files] + [GATES]
    needed += [f"{name}/{file.name}" for name, (folder, which) in making.items() for file in folder.glob(which)]
    apart = None if found.commit == UNKNOWN else unlike_commit(paths.root, found.commit, folders, needed)
    if apart is None:
        return replace(code, commit=UNKNOWN)
    return replace(code, commit=found.commit, changed=tuple(dict.fromkeys([*found.changed, *apart])))


def running_otherwise(files: Mapping[str, str]) -> str:
    """Name a file that this process runs in another form than lies on disk, or nothing.

    What was imported stays: a process that began before an edit runs the old functions under the new file's digest.
    Each file is held against what it was when the process began, and functions, methods, defaults and constants against
    what it would make now.
    """
    for name, digest in files.items():
        called = f"workbench.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")
        module = sys.modules.get(called)
        if module is None:
            continue
        content = (PACKAGE / name).read_bytes()
        if sha256(content) != digest or edited_since(name, digest) or runs_otherwise(module, content):
            return name
    return ""


def runs_otherwise(module: ModuleType, content: bytes) -> bool:
    """Return whether a module that was imported is not what these bytes of its file would make."""
    if values_otherwise(module, ast.parse(content)):
        return True
    written = {_form(code) for code in _codes(compile(content, module.__file__ or "", "exec", dont_inherit=True))}
    return any(_form(code) not in written for code in _running(module))


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


def _running(module: ModuleType) -> Iterator[CodeType]:
    """Give the code of a module's own functions, and of the methods of its own classes."""
    values: list[Any] = list(vars(module).values())
    for value in values:
        if isinstance(value, type) and value.__module__ == module.__name__:
            values += list(vars(value).values())
        for part in (value, getattr(value, "__wrapped__", None), getattr(value, "__func__", None),
                     getattr(value, "fget", None), getattr(value, "func", None)):  # fmt: skip
            if isinstance(part, FunctionType) and part.__code__.co_filename == module.__file__:
                yield part.__code__


def _form(code: CodeType) -> tuple[Any, ...]:
    """Return what a function does, wherever its file lies."""
    inner = tuple(_form(one) if isinstance(one, CodeType) else (type(one), one) for one in code.co_consts)
    return (code.co_qualname, code.co_code, inner, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars,
            code.co_argcount, code.co_kwonlyargcount, code.co_flags)  # fmt: skip
