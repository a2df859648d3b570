"""Where the track records of a version's time at a stage lie: a file an account, for what one made proves no other's.

``<stage>.json`` is of the account that traded it first, ``<stage>.<account>.json`` of every other. A file beside them
that says it is of another account than it is named for, was put aside by somebody, and is nobody's record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workbench.errors import PackRefused, WorkbenchError
from workbench.params import Paths
from workbench.registry.gates.track_record import TrackRecord, read_track_record
from workbench.registry.packs.files import Unanswered, is_there, names_in, read_file

# In one that was cut short, too: it is what a record begins with.
_ACCOUNT = re.compile(rb'"account"\s*:\s*("(?:[^"\\]|\\.)*")')


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
        names = names_in(self.folder, self._shown(self.folder))
        others = [name for name in names if (of := self._named_for(name)) and self._account(name) in ("", of)]
        first = f"{self.stage}.json"
        return tuple(self.folder / name for name in (first, *others) if name in names)

    def of(self, account: str) -> Path:
        """Return the file of an account's record, there or not; one that does not say whose it is, is the asker's."""
        first, own = self.folder / f"{self.stage}.json", self.folder / f"{self.stage}.{account}.json"
        return own if is_there(own, self._shown(own)) or self._account(first.name) not in ("", account) else first

    def read(self, file: Path, now: datetime) -> TrackRecord:
        """Return what one of them holds, or refuse it; where the disk does not answer, that is Unanswered."""
        shown = self._shown(file)
        try:
            return read_track_record(read_file(file, shown), shown, now)
        except Unanswered:
            raise
        except WorkbenchError as error:
            if not (of := self._named_for(file.name)):
                raise
            folder = self._shown(self.folder)
            raise type(error)(f"{error}; where it is no record of account {of}, put it out of {folder}") from error

    def _named_for(self, name: str) -> str:
        """Return the account that a file is named for, empty for the first account's and for what is no record."""
        begin, end = f"{self.stage}.", ".json"
        inside = name.startswith(begin) and name.endswith(end) and len(name) > len(begin + end)
        return name[len(begin) : -len(end)] if inside else ""

    def _account(self, name: str) -> str:
        """Return whose a record says it is, however else it was spoiled; empty where it says nothing."""
        file = self.folder / name
        if not is_there(file, self._shown(file)):
            return ""
        try:
            said = _ACCOUNT.search(read_file(file, self._shown(file)))
        except Unanswered:
            raise
        except PackRefused:
            return ""
        try:
            return str(json.loads(said[1])) if said else ""
        except ValueError:
            return ""

    def _shown(self, file: Path) -> str:
        return self.paths.short(file)
