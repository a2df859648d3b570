"""What this machine has seen of the lifecycle record and of the clock: neither may go back.

The record proves that nothing was put between its rows, not that its end is there: a backup of last week is a sound
record as well. So the loader keeps the last head and the latest moment that it loaded at, and refuses an older world.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.disk import write_whole, writing
from workbench.errors import DataRefused, PackRefused
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.canonical import canonical, jsonable, moment_text, read_canonical, read_moment, short

FILE = "seen.json"
BACK = timedelta(minutes=5)  # as much as a clock may be set back by its time server
FORMAT = 1


@dataclass(frozen=True)
class Seen:
    """How many transitions were seen, the head of the last, and the moment of the last load."""

    transitions: int = 0
    head: str = ""
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def check_clock(self, now: datetime, shown: str) -> None:
        """Raise where the clock stands before what it showed."""
        if now < self.at - BACK:
            raise DataRefused(
                f"clock: it is {moment_text(now)}, and at {moment_text(self.at)} something was loaded already; set the "
                f"clock right, or where it was wrong then, remove {shown}"
            )

    def check_record(self, steps: Sequence[Transition], record: str, shown: str) -> None:
        """Raise where the record is shorter than it was, or another one."""
        if len(steps) < self.transitions:
            raise DataRefused(
                f"{record}: holds {len(steps)} transitions, {self.transitions} were seen here: it is an older copy; "
                f"restore the newest, or remove {shown} if nothing newer is left"
            )
        if self.transitions and steps[self.transitions - 1].head != self.head:
            raise DataRefused(
                f"{record}: transition {self.transitions} is {short(steps[self.transitions - 1].head)}, seen here was "
                f"{short(self.head)}: it is another record; restore the right one, or remove {shown} if it is gone"
            )

    def later(self, other: Seen) -> Seen:
        """Return the newer of both in each part: of two loaders at once none takes back what the other saw."""
        longer = max(self, other, key=lambda seen: seen.transitions)
        return replace(longer, at=max(self.at, other.at))


class Memory:
    """The file data/state/loader/seen.json."""

    def __init__(self, folder: Path, shown: str) -> None:
        self.folder = folder
        self.file = folder / FILE
        self.shown = f"{shown}/{FILE}"

    def read(self) -> Seen:
        """Return what was seen here, nothing on a new machine; a damaged file is refused, not forgotten."""
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return Seen()
        except OSError as error:
            raise DataRefused(f"{self.shown}: cannot be read ({error.strerror}); mend its permissions") from error
        try:
            facts = read_canonical(content, self.shown)
            seen = Seen(
                transitions=int(facts["transitions"]),
                head=str(facts["head"]),
                at=read_moment(facts["at"], f"{self.shown}: at"),
            )
            if facts["format"] != FORMAT or seen.transitions < 0 or bool(seen.head) != bool(seen.transitions):
                raise ValueError("format")
        except (PackRefused, KeyError, TypeError, ValueError) as error:
            raise DataRefused(
                f"{self.shown}: damaged, so an older record could not be told from the newest; restore it from a "
                "backup, or compare workbench status by eye and remove it"
            ) from error
        return seen

    def keep(self, seen: Seen) -> None:
        """Remember this as well, on disk before anything is loaded by it."""
        with writing(self.file), self._alone():
            before = self.read()
            after = before.later(replace(seen, at=seen.at.replace(microsecond=0)))
            if after != before:
                write_whole(self.file, canonical({"format": FORMAT, **jsonable(after)}), flushed=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
