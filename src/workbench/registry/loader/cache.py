"""The last candidates that were verified here, by their pack's digest: what is loaded while MLflow is away.

A copy is believed no more than MLflow is: all of it is verified again each time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from workbench.disk import writing
from workbench.registry.packs.files import Unanswered, is_there, read_files

FOLDER = "candidates"


class Cache:
    """The folder data/state/loader/candidates, with a folder a pack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def read(self, pack: str, shown: str) -> dict[str, bytes] | None:
        """Return the files kept of a candidate, unverified, or None where none were or the disk does not answer."""
        place = self.folder / pack
        try:
            return read_files(place, shown, below=self.folder) if is_there(place, shown) else None
        except Unanswered:
            return None

    def keep(self, pack: str, files: Mapping[str, bytes], wanted: Collection[str]) -> None:
        """Keep a verified candidate, whole or not at all, and drop those that can never be loaded again."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self._has(pack, files):
                self._put(pack, files)
            for old in self.folder.iterdir():
                if old.name not in {*wanted, pack} and not old.name.startswith("."):
                    shutil.rmtree(old, ignore_errors=True)

    def _has(self, pack: str, files: Mapping[str, bytes]) -> bool:
        place = self.folder / pack
        there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        return there == files.keys() and all((place / path).read_bytes() == files[path] for path in files)

    def _put(self, pack: str, files: Mapping[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as name:
            new, old = Path(name) / "new", Path(name) / "old"
            for path, content in files.items():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(content)
            if (self.folder / pack).exists():
                (self.folder / pack).rename(old)
            new.rename(self.folder / pack)
