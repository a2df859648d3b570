"""Which code decided: the commit, and the digest of every file that a strategy's weights depend on.

The files are those of the strategy and of all that they import, not the whole package: a mended report does not void an
approval, a changed indicator does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import workbench
from workbench.params import Paths
from workbench.registry.checkout import checkout
from workbench.registry.packs.canonical import canonical, sha256, short
from workbench.source import file_digests

# What the runner calls to come from a pack to weights; the strategy's own file is added.
DECIDING = ("strategies.catalog", "strategies.protocol", "strategies.sizing", "types")


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
        return ", ".join(parts[:3]) + more + f" ({short(other.digest)} then, {short(self.digest)} now)"


def deciding_files(strategy: str) -> dict[str, str]:
    """Return the SHA-256 of each deciding file as it lies on disk; nothing of it is imported, so nothing runs."""
    return file_digests(f"strategies.{strategy}", *DECIDING)


def installed_code(strategy: str, commit: str = "", changed: tuple[str, ...] = ()) -> Code:
    """Return the code of a strategy as it is installed now."""
    from workbench.strategies import catalog

    made = catalog.strategy_class(strategy)
    return Code(
        commit=commit,
        changed=changed,
        entry_point=f"{made.__module__}:{made.__qualname__}",
        files=deciding_files(strategy),
        package=workbench.__version__,
    )


def code_of(strategy: str, paths: Paths) -> Code:
    """Return the code of a strategy with the commit of the project and what differs from it."""
    found = checkout(paths.root)
    return installed_code(strategy, found.commit, found.changed)
