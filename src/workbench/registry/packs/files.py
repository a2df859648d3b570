"""Every file below a folder, read once: no link is followed, not even one that takes a folder's place meanwhile.

Each folder is opened from the one above it, and each file from its folder, by descriptor: a name that is swapped after
it was listed leads to what was opened, or to a refusal.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from workbench.errors import PackRefused

MAX_BYTES = 512 * 2**20
MAX_FILES = 5000
MAX_DEPTH = 16

# What says something of the files; every other error says that the disk does not answer.
_OF_FILES = {errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.ENAMETOOLONG, errno.EINVAL}
_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # lies where was asked
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not keep us waiting


class Unanswered(PackRefused):
    """The disk did not answer: nothing is read, and nothing is known of the evidence."""


def read_files(folder: Path, shown: str, below: Path | None = None) -> dict[str, bytes]:
    """Return every file below a folder by its relative path; a link or anything that is no plain file is refused.

    ``below`` is a folder above it from where on no part of the way may be a link either.
    """
    top = below or folder
    if below is not None and not folder.is_relative_to(below):
        raise PackRefused(f"{shown}: lies outside of where artifacts are kept; nothing is read from elsewhere")
    way = folder.relative_to(top).parts
    if ".." in way:
        raise PackRefused(f"{shown}: leads out of where artifacts are kept; nothing is read from elsewhere")
    found: dict[str, bytes] = {}
    try:
        handle = os.open(top, _FOLDER)
    except OSError as error:
        raise _unreadable(shown, "", error, "name one with: workbench pack path STRATEGY") from error
    try:
        for name in way:
            inner = _open(name, handle, _FOLDER, shown, name)
            os.close(handle)
            handle = inner
        left = MAX_BYTES
        for path, content in _walk(handle, "", shown, MAX_DEPTH):
            found[path] = content
            left -= len(content)
            if left < 0 or len(found) > MAX_FILES:
                raise PackRefused(
                    f"{shown}: more than {MAX_BYTES >> 20} MB or {MAX_FILES:,} files; that is no evidence pack"
                )
    finally:
        os.close(handle)
    return found


def is_there(path: Path, shown: str, *, follow: bool = True) -> bool:
    """Whether something lies there, without ``follow`` also a link to nowhere; no answer of the disk is Unanswered."""
    try:
        path.stat(follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NOTHING:
            return False
        raise _unreadable(shown, "", error) from error
    return True


def names_in(folder: Path, shown: str) -> list[str]:
    """Return the names in a folder, none where there is none; no answer of the disk is Unanswered."""
    try:
        return sorted(one.name for one in folder.iterdir())
    except OSError as error:
        if error.errno in _NOTHING:
            return []
        raise _unreadable(shown, "", error) from error


def read_file(path: Path, shown: str) -> bytes:
    """Return one plain file's bytes, also by a link; no answer of the disk is Unanswered."""
    plain = "it must be a plain file"
    try:
        handle = os.open(path, _FILE & ~os.O_NOFOLLOW)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise PackRefused(f"{shown}: cannot be read; {plain}")
            with os.fdopen(handle, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in _NOTHING:
            raise PackRefused(f"{shown}: is gone") from error
        raise _unreadable(shown, "", error, plain) from error


def _walk(handle: int, place: str, shown: str, depth: int) -> Iterator[tuple[str, bytes]]:
    if not depth:
        raise PackRefused(f"{shown}: folders lie more than {MAX_DEPTH} deep; that is no evidence pack")
    try:
        names = sorted(os.listdir(handle))
    except OSError as error:
        raise _unreadable(shown, place, error) from error
    for name in names:
        path = f"{place}{name}"
        if not path.isprintable():
            raise PackRefused(f"{shown}: {path!a} is no name for a part: it must be printable")
        try:
            mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
        except OSError as error:
            raise _unreadable(shown, path, error) from error
        if stat.S_ISLNK(mode):
            raise PackRefused(f"{shown}: {path} is a link to somewhere else; a pack holds plain files only")
        if stat.S_ISDIR(mode):
            inner = _open(name, handle, _FOLDER, shown, path)
            try:
                yield from _walk(inner, f"{path}/", shown, depth - 1)
            finally:
                os.close(inner)
        else:
            yield path, _read(name, handle, shown, path)


def _read(name: str, folder: int, shown: str, path: str) -> bytes:
    handle = _open(name, folder, _FILE, shown, path)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise PackRefused(f"{shown}: {path} is no plain file; a pack holds plain files only")
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(shown, path, error) from error
    finally:
        os.close(handle)


def _open(name: str, folder: int, flags: int, shown: str, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        raise _unreadable(shown, path, error) from error


def _unreadable(shown: str, path: str, error: OSError, step: str = "a pack holds plain files only") -> PackRefused:
    where = f"{shown}: {path}" if path else shown
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        return PackRefused(f"{where} is a link or no folder; {step}")
    if error.errno == errno.ENOENT:
        return PackRefused(f"{where}: {'is gone' if path else 'no such folder'}; {step}")
    if error.errno in _OF_FILES:
        return PackRefused(f"{where}: cannot be read ({error.strerror}); {step}")
    return Unanswered(
        f"{where}: cannot be read ({error.strerror}); see what the disk or the network has, and try again"
    )
