"""Where the track records of a version's time at a stage lie: a file an account, for what one made proves no other's.

``<stage>.json`` is of the account that traded it first, ``<stage>.<account>.json`` of every other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.errors import PackRefused
from workbench.params import Paths
from workbench.registry.gates.track_record import TrackRecord, read_track_record
from workbench.registry.packs.files import Unanswered, is_there, names_in, read_file


@dataclass(frozen=True)
class RecordFiles:
    """The record files of one version at one stage."""

    paths: Paths
    kind: str
    name: str
    version: int
    stage: str

    @property
    def folder(self) -> Path:
        """The version's folder."""
        return self.paths.state / "records" / self.kind / self.name / str(self.version)

    def all(self) -> tuple[Path, ...]:
        """Return the files that are there, the first account's before the others'."""
        first = f"{self.stage}.json"
        names = names_in(self.folder, self._shown(self.folder))
        others = [name for name in names if name.startswith(f"{self.stage}.") and name.endswith(".json")]
        return tuple(self.folder / name for name in sorted(others, key=lambda name: (name != first, name)))

    def of(self, account: str) -> Path:
        """Return the file of an account's record, there or not; one that does not say whose it is, is the asker's."""
        first, own = self.folder / f"{self.stage}.json", self.folder / f"{self.stage}.{account}.json"
        return own if is_there(own, self._shown(own)) or self._account(first) not in ("", account) else first

    def read(self, file: Path, now: datetime) -> TrackRecord:
        """Return what one of them holds, or refuse it; where the disk does not answer, that is Unanswered."""
        shown = self._shown(file)
        return read_track_record(read_file(file, shown), shown, now)

    def _account(self, file: Path) -> str:
        """Return whose a record says it is, however else it was spoiled; empty where it says nothing."""
        if not is_there(file, self._shown(file)):
            return ""
        try:
            account = json.loads(read_file(file, self._shown(file)))["account"]
        except Unanswered:
            raise
        except (PackRefused, ValueError, KeyError, TypeError, RecursionError):
            return ""
        return account if isinstance(account, str) else ""

    def _shown(self, file: Path) -> str:
        return self.paths.short(file)
