"""Files on this machine's disk: written whole or not at all, and what the disk refuses told in one line.

>>> with writing(page):
...     write_whole(page, text)
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import CannotWrite, ParamsRefused
from workbench.paths import Paths

_MENDS = {errno.ENOSPC: "free some space", errno.EDQUOT: "free some space", errno.EROFS: "mount it writable"}


def short(path: Path) -> str:
    """Return the path as a person in the project's root folder would type it."""
    try:
        return Paths().short(path)
    except ParamsRefused:  # outside of any clone
        return str(path)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the disk refuses into CannotWrite: one line that says what to do."""
    try:
        yield
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "check its permissions")
        raise CannotWrite(f"{short(place)}: {error.strerror or error}; {mend} and run again") from error


def part(file: Path) -> Path:
    """Return where a file lies until it is whole; threads and processes that write the same file have one each."""
    return file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the file's place when the block ends, and nothing stays where it raises."""
    half = part(file)
    try:
        yield half
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)


def write_whole(file: Path, content: bytes | str, *, flushed: bool = False) -> None:
    """Write a file so that it is there whole or as it was; flushed: also where the machine loses power."""
    with whole(file) as half, half.open("wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        if flushed:
            stream.flush()
            os.fsync(stream.fileno())


def flush(path: Path) -> None:
    """Make sure that a file's, or a folder's, entries are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the file's content, or None when there is no such file or only half of one."""
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return content


def write_json(file: Path, content: Any) -> None:
    """Write the content whole, or raise CannotWrite and leave what was there."""
    with writing(file):
        write_whole(file, json.dumps(content, indent=1))


def writable(*paths: Path) -> bool:
    """Return whether this process may write to every one of these files and folders."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(path, os.W_OK, effective_ids=effective) for path in paths)
