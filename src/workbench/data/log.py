"""The log of one Delta table, as far as plain JSON tells: which versions there are, and what each did.

Reading it imports nothing heavy: a run in which nothing has changed asks no more than this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workbench.disk import short
from workbench.errors import LakeDamaged

LOG, HEAD = "_delta_log", "_published.json"


class Log:
    """The log of the table in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name

    def exists(self) -> bool:
        """Return whether anything was ever published here."""
        return (self.folder / HEAD).exists() or any(True for _ in self._logged())

    def newest(self) -> int:
        """Return the number of the newest version."""
        promised = self._promised()
        newest = max(self._logged(), default=-1)
        if newest < promised:
            raise self.damaged(self.file(promised), f"is missing, but version {promised} was published")
        return newest

    def identity(self) -> str:
        """Return the id that the table got when it was made: one that was deleted and built again has another."""
        path = self.file(0)
        made = next((line["metaData"] for line in self._lines(path) if "metaData" in line), None)
        if made is None:
            raise self.damaged(path, "is cut short")
        return str(made["id"])

    def info(self, version: int) -> dict[str, Any]:
        """Return what a version's commit says about itself."""
        path = self.file(version)
        lines = self._lines(path)
        info = next((line["commitInfo"] for line in lines if "commitInfo" in line), None)
        if info is None:
            raise self.damaged(path, "is cut short")
        if "workbench" not in info:
            raise self.damaged(path, f"was written by another program ({info.get('operation', 'unknown')})")
        told = info["workbench"]
        if (sum("add" in line for line in lines), sum("remove" in line for line in lines)) != (
            told["adds"],
            told["removes"],
        ):
            raise self.damaged(path, "is cut short")
        return dict(info)

    def file(self, version: int) -> Path:
        """Return the file of one version's commit."""
        return self.folder / LOG / f"{version:020}.json"

    def damaged(self, path: Path, what: str, more: int = 0) -> LakeDamaged:
        """Return the error that names a file of the table, says what is wrong with it and counts others like it."""
        others = f", and {more} more file{'s' * (more > 1)} of the table {'are' if more > 1 else 'is'} damaged"
        return LakeDamaged(
            f"{self.name}: {short(path)} {what}{others if more else ''}; restore {'them' if more else 'it'} "
            "from a backup, "
            f"or delete the folder {short(self.folder)} and ingest again: make data"
        )

    def _lines(self, path: Path) -> list[dict[str, Any]]:
        try:
            # ``splitlines`` would also cut where a text holds a separator of its own, which JSON does not escape.
            return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        except FileNotFoundError as error:
            raise self.damaged(path, "is missing") from error
        except (ValueError, OSError) as error:
            raise self.damaged(path, "cannot be read") from error

    def _promised(self) -> int:
        path = self.folder / HEAD
        try:
            return int(json.loads(path.read_text())["version"])
        except FileNotFoundError:
            return -1
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise self.damaged(path, "cannot be read") from error

    def _logged(self) -> Iterator[int]:
        try:
            names = [path.name for path in (self.folder / LOG).iterdir()]
        except FileNotFoundError:
            return iter(())
        return (int(name[:20]) for name in names if len(name) == 25 and name.endswith(".json") and name[:20].isdigit())


def states(market: Path, tables: Iterable[str]) -> dict[str, dict[str, int | str]]:
    """Return the newest version and the id of those tables that a market's folder holds."""
    logs = {table: Log(market / table, table) for table in tables}
    return {table: {"version": log.newest(), "id": log.identity()} for table, log in logs.items() if log.exists()}
