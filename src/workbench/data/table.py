"""One Delta table on disk: its versions, the files of each version, and how a new version is committed.

A reader sees a whole version or none: data files are written and flushed first, under names that are digests of their
bytes, and one commit of Delta's log then makes them visible. Each commit also records how many rows and files the table
holds from then on, so a log that lost a part is found out instead of giving a short answer.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import operator
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from workbench.data.log import HEAD, LOG, Log
from workbench.disk import flush, short, write_whole, writing
from workbench.errors import AlreadyRunning, InputRefused, LakeDamaged, told

Moment = date | datetime

# Old versions stay readable for ever: Delta's own cleaning is switched off, and nothing here vacuums. A checkpoint
# every 20 versions keeps opening a table fast.
SETTINGS = {
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}
ROW_GROUP = 50_000
LOCK = "_publish.lock"

# Path, size and mtime of the files whose bytes this process has compared with their digest.
_verified: set[tuple[str, int, int]] = set()


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table, with what Delta's log says about it."""

    path: Path
    size: int
    rows: int
    first: Moment | None  # event times
    last: Moment | None
    known_first: datetime | None
    known_last: datetime | None
    revised: bool  # holds a later fact about a key that was known before


@dataclass(frozen=True)
class Snapshot:
    """One version of a table: its files in order of their first event time."""

    version: int
    files: tuple[DataFile, ...]

    @property
    def rows(self) -> int:
        """How many rows the files hold, superseded ones included."""
        return sum(file.rows for file in self.files)

    @property
    def last(self) -> Moment | None:
        """The newest event time."""
        return max((file.last for file in self.files if file.last is not None), default=None)

    @cached_property
    def digest(self) -> str:
        """A digest of the content: the files' names are digests of their bytes."""
        names = sorted(f"{file.path.name} {file.size}" for file in self.files)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()


class Table:
    """A Delta table in a folder. ``time`` is the column with the event time, whose bounds prune files at a read."""

    def __init__(self, folder: Path, name: str, schema: Mapping[str, Any], time: str) -> None:
        self.folder = folder
        self.name = name
        self.log = Log(folder, name)
        self.schema = dict(schema)
        self.time = time
        self._snapshots: dict[int, Snapshot] = {}

    def exists(self) -> bool:
        """Return whether anything was ever published here."""
        return self.log.exists()

    def version(self) -> int:
        """Return the number of the newest version."""
        return self.log.newest()

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Return a version's files, the newest version's unless told."""
        newest = self.version()
        wanted = newest if version is None else self._number(version, newest)
        if not 0 <= wanted <= newest:
            raise InputRefused(f"{self.name}: no version {wanted}; there are 0 to {newest}")
        if wanted not in self._snapshots:
            self._snapshots[wanted] = self._load(wanted)
        return self._snapshots[wanted]

    def _number(self, version: Any, newest: int) -> int:
        try:
            if not isinstance(version, bool):
                return operator.index(version)
        except TypeError:
            pass
        raise InputRefused(f"{self.name}: version {told(version)} is no whole number; there are 0 to {newest}")

    def check(self, files: Sequence[DataFile]) -> None:
        """Make sure, without reading them, that all files are there in full; else name the first that is not."""
        faults = {file.path: fault for file in files if (fault := self._fault(file))}
        if faults:
            raise self.log.damaged(*next(iter(faults.items())), more=len(faults) - 1)

    def paths(self, files: Sequence[DataFile]) -> list[Path]:
        """Return the files' paths after making sure that each is there with the bytes that were published."""
        unread = [file for file in files if self._seen(file) not in _verified]
        if unread:
            with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
                _verified.update(pool.map(self._verify, unread))
        return [file.path for file in files]

    def verify(self) -> int:
        """Read every file of every version again and return how many are sound; raise on the first that is not."""
        versions = range(self.version() + 1)
        files = {file.path: file for version in versions for file in self.snapshot(version).files}
        for file in files.values():
            self._verify(file)
        return len(files)

    def history(self) -> list[dict[str, Any]]:
        """Return what each version did, the oldest first."""
        return [
            {"version": version, "moment": _moment(info["timestamp"]), **info["workbench"]}
            for version in range(self.version() + 1)
            for info in (self.log.info(version),)
        ]

    @contextmanager
    def lock(self, wait_seconds: float) -> Iterator[None]:
        """Hold the table for writing; the kernel lets go of it when the process ends, however it ends."""
        with locked(self.folder / LOCK, f"{self.name}: process {{holder}} is publishing", wait_seconds):
            with writing(self.folder):
                for leftover in self.folder.glob(".*.tmp"):  # of a publish that was killed
                    leftover.unlink(missing_ok=True)
            yield

    def commit(
        self, parts: Sequence[pl.DataFrame], note: Mapping[str, Any], replaced: Sequence[DataFile] = ()
    ) -> Snapshot:
        """Write the parts as files and make them visible at once, instead of ``replaced``; hold the lock for it."""
        before = self.snapshot().files if self.exists() else ()
        with writing(self.folder):
            files = [self._write(part) for part in parts]
            flush(self.folder)
            # A file written again as it was is neither new nor replaced.
            same = {file.path for file in files} & {file.path for file in replaced}
            files, replaced = ([file for file in some if file.path not in same] for some in (files, replaced))
            if not files and not replaced:
                return self.snapshot()
            gone = {file.path for file in replaced}
            kept = [file for file in before if file.path not in gone]
            totals = {"files": len(kept) + len(files), "rows": sum(file.rows for file in (*kept, *files))}
            own = {**note, "adds": len(files), "removes": len(gone), **totals}
            with _as_oserror():
                self._append_to_log(files, replaced, CommitProperties({"workbench": own}, max_commit_retries=0))
            version = self.log.newest()
            flush(self.log.file(version))
            flush(self.folder / LOG)
            write_whole(self.folder / HEAD, json.dumps({"version": version}), flushed=True)
        return self.snapshot(version)

    def _append_to_log(
        self, files: Sequence[DataFile], replaced: Sequence[DataFile], properties: CommitProperties
    ) -> None:
        changes = not replaced
        adds = [AddAction(file.path.name, file.size, {}, _now_ms(), changes, _stats(file, self.time)) for file in files]
        schema = DeltaSchema.from_arrow(
            pl.DataFrame(schema=self.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        )
        hooks = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        if not self.exists():
            create_table_with_add_actions(
                str(self.folder),
                schema,
                adds,
                name=self.name,
                configuration=SETTINGS,
                commit_properties=properties,
                post_commithook_properties=hooks,
            )
            return
        removes = [RemoveAction(file.path.name, changes, _now_ms(), file.size) for file in replaced]
        DeltaTable(str(self.folder)).create_write_transaction(
            [*adds, *removes], "append", schema, commit_properties=properties, post_commithook_properties=hooks
        )

    def _write(self, rows: pl.DataFrame) -> DataFile:
        buffer = io.BytesIO()
        rows.write_parquet(buffer, compression="lz4", row_group_size=ROW_GROUP)
        content = buffer.getvalue()
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.parquet"
        write_whole(path, content, flushed=True)
        known, times = rows["known_at"], rows[self.time]
        bounds: dict[str, Any] = {"first": times.min(), "last": times.max()}
        bounds |= {"known_first": known.min(), "known_last": known.max()}
        revised = "revision" in rows.columns and bool((rows["revision"] > 0).any())
        return DataFile(path, len(content), len(rows), revised=revised, **bounds)

    def _load(self, version: int) -> Snapshot:
        info = self.log.info(version)
        try:
            actions = DeltaTable(str(self.folder), version=version).get_add_actions(flatten=True)
            listed = pl.DataFrame(actions)
        except (DeltaError, OSError, ValueError, pl.exceptions.PolarsError) as error:
            raise self._diagnosed(version) from error
        expected = info["workbench"]
        if len(listed) != expected["files"] or listed["num_records"].sum() != expected["rows"]:
            raise self._diagnosed(version)
        columns = set(listed.columns)
        files = [
            DataFile(
                path=self.folder / row["path"],
                size=row["size_bytes"],
                rows=row["num_records"],
                first=row.get(f"min.{self.time}"),
                last=row.get(f"max.{self.time}"),
                known_first=row.get("min.known_at"),
                known_last=row.get("max.known_at"),
                revised="max.revision" in columns and bool(row["max.revision"]),
            )
            for row in listed.iter_rows(named=True)
        ]
        files.sort(key=lambda file: (file.first, file.last, file.path.name))
        return Snapshot(version, tuple(files))

    def _diagnosed(self, version: int) -> LakeDamaged:
        """Return the error that names the first log file that is missing or broken, or else the whole log."""
        for each in range(version + 1):
            try:
                self.log.info(each)
            except LakeDamaged as damage:
                return damage
        return self.log.damaged(self.folder / LOG, f"does not give version {version}: a checkpoint in it is broken")

    def _seen(self, file: DataFile) -> tuple[str, int, int]:
        fault = self._fault(file)
        if fault:
            raise self.log.damaged(file.path, fault)
        return str(file.path), file.size, file.path.stat().st_mtime_ns

    def _fault(self, file: DataFile) -> str:
        try:
            size = file.path.stat().st_size
        except OSError as error:
            return "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        return "" if size == file.size else f"has {size} bytes instead of {file.size}"

    def _verify(self, file: DataFile) -> tuple[str, int, int]:
        seen = self._seen(file)
        with file.path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.path.stem:
            raise self.log.damaged(file.path, "holds other bytes than were published")
        return seen

    def unreadable(self, error: Exception) -> LakeDamaged:
        """Return the error for files that Parquet cannot read although their bytes are the published ones."""
        told = str(error).splitlines()[0].replace(str(self.folder), short(self.folder))
        return self.log.damaged(self.folder, f"cannot be read ({told})")


@contextmanager
def locked(path: Path, busy: str, wait_seconds: float) -> Iterator[None]:
    """Hold an exclusive lock on a file, or say after ``wait_seconds`` which process holds it."""
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "unknown"
                    raise AlreadyRunning(
                        f"{busy.format(holder=holder)}; wait for it or stop it (lock: {short(path)})"
                    ) from error
                time.sleep(0.02)
        with writing(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()} since {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def _as_oserror() -> Iterator[None]:
    """Raise what Delta wraps of a full, read-only or forbidden disk as what it is."""
    try:
        yield
    except DeltaError as error:
        code = re.search(r"os error (\d+)|code: (\d+)", str(error))
        if code is None:
            raise
        number = int(code[1] or code[2])
        raise OSError(number, os.strerror(number)) from error


def _stats(file: DataFile, time: str) -> str:
    low = {time: _iso(file.first), "known_at": _iso(file.known_first), "revision": 0}
    high = {time: _iso(file.last), "known_at": _iso(file.known_last), "revision": int(file.revised)}
    return json.dumps({"numRecords": file.rows, "minValues": _known(low), "maxValues": _known(high)})


def _known(bounds: Mapping[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in bounds.items() if value is not None}


def _iso(value: Moment | None) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return None if value is None else value.isoformat()


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
