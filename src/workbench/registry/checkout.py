"""Which code made a run: the commit, and what was changed since, without what looks like a secret."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.machinery import all_suffixes
from pathlib import Path

TIMEOUT_SECONDS = 10.0
UNKNOWN = "unknown"
SHA1_LETTERS = 40
AS_IT_IS = {"GIT_NO_REPLACE_OBJECTS": "1"}  # no other object under the name of one
READ = {*(Path(f"module{end}").suffix for end in all_suffixes()), ".yaml", ".ipynb"}  # imported, or read
# Larger changes are kept up to here; the commit and the list of files are kept whole.
MAX_DIFF_BYTES = 500_000
MAX_NEW_FILE_BYTES = 100_000

SECRET_NAMES = (
    *(".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "id_rsa*", "id_ed25519*"),
    *(".netrc", ".pgpass", ".pypirc", "*credentials*.json", "*credentials*.yaml", "*secret*.json", "*secret*.yaml"),
)
SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(?:ghp|gho|ghs|github_pat|glpat|xox[abp])[-_][A-Za-z0-9_-]{16,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}"
    r"|://[^/\s:@]+:[^/\s:@]+@"
    r"|(?i:pass(?:word|wd|phrase)?|secret|api[_-]?key|(?:access|auth|bot)?[_-]?token)"
    r"[\"']?\s*[:=]\s*[\"']?(?=[^\s\"']*\d)[^\s\"'(){}<>$]{8,}"
)


@dataclass(frozen=True)
class Checkout:
    """``commit`` is "unknown" outside git, and where git cannot say in time what was changed since.

    ``changed`` names what differs from the commit, ``left_out`` what the diff omits.
    """

    commit: str
    changed: tuple[str, ...] = ()
    diff: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def dirty(self) -> bool:
        """Whether the code differs from the commit."""
        return bool(self.changed)

    def text(self) -> str:
        """Return the commit on one line: ``2c54e0e, with 3 changed files``."""
        if self.commit == UNKNOWN:
            return UNKNOWN
        files = f", with {len(self.changed)} changed file{'s' * (len(self.changed) != 1)}" if self.changed else ""
        return f"{self.commit[:12]}{files}"


def checkout(root: Path) -> Checkout:
    """Return the commit of a folder and its uncommitted changes, new files included."""
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return Checkout(UNKNOWN)
    status = _git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--", ".")
    if status is None:  # no answer is no clean tree
        return Checkout(UNKNOWN)
    entries = [entry for entry in status.split("\0") if entry]
    if not entries:
        return Checkout(commit.strip())
    tracked = _git(root, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--", ".")
    parts = [(_changed_file(part), part) for part in re.split(r"(?m)^(?=diff --git )", tracked or "") if part]
    parts += [(entry[3:], _as_diff(_top(root) / entry[3:], entry[3:])) for entry in entries if entry.startswith("??")]
    kept, left_out, size = [], [], 0
    for name, part in sorted(parts):
        reason = _secret(name, part)
        if reason is None and size + len(part.encode()) > MAX_DIFF_BYTES:
            reason = f"the diff is longer than {MAX_DIFF_BYTES:,} bytes"
        if reason is None:
            kept.append(part if part.endswith("\n") else part + "\n")
            size += len(part.encode())
        else:
            left_out.append(f"{name}: {reason}")
    head = "".join(f"# left out: {line}\n" for line in left_out)
    return Checkout(commit.strip(), tuple(entry[3:] for entry in entries), head + "".join(kept), tuple(left_out))


def unlike_commit(root: Path, commit: str, folders: Mapping[str, Path], needed: Iterable[str]) -> list[str] | None:
    """Name the files whose bytes are not those of a commit, or None where git does not say; its index is not believed.

    ``folders`` has by path in the commit where its files lie now; ``needed`` must be in the commit, and so must every
    file there that Python imports or a setting or notebook is read from: a package takes the place of the module of its
    name, whatever git was told to ignore.
    """
    listed = _git(root, "ls-tree", "-r", "-z", commit, "--", *folders)
    if listed is None:
        return None
    blobs = {name: facts.split()[-1] for facts, _, name in (row.partition("\t") for row in listed.split("\0")) if name}
    read = {(Path(top) / name).as_posix() for top, folder in folders.items() for name in _read_from(folder)}
    changed = {name for name in (*needed, *read) if name not in blobs}
    for name, blob in blobs.items():
        top = next(folder for folder in folders if Path(name).is_relative_to(folder))
        if _blob(folders[top] / Path(name).relative_to(top), len(blob)) != blob:
            changed.add(name)
    return sorted(changed)


def _read_from(folder: Path) -> Iterator[str]:
    """Give what is imported or read below a folder, by relative path; a link to a folder counts as one file."""
    for place, inner, files in os.walk(folder):
        links = [name for name in inner if (Path(place) / name).is_symlink()]
        inner[:] = [name for name in inner if name != "__pycache__" and not name.startswith(".")]
        for name in (*links, *(name for name in files if Path(name).suffix in READ)):
            if not name.startswith("."):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _blob(file: Path, letters: int) -> str:
    """Return the name that git gives to a file's bytes as they are, no filter applied, or nothing."""
    try:
        content = file.read_bytes()
    except OSError:
        return ""
    made = hashlib.sha1(usedforsecurity=False) if letters == SHA1_LETTERS else hashlib.sha256()
    made.update(b"blob %d\0" % len(content) + content)
    return made.hexdigest()


def _git(root: Path, *words: str) -> str | None:
    """Return what git says, or None where there is no git, no checkout or no answer in time."""
    try:
        done = subprocess.run(  # noqa: S603 (a list of words, no shell)
            ["git", "-C", str(root), "-c", "core.quotepath=false", *words],  # noqa: S607 (whichever git the user runs)
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **AS_IT_IS},
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _top(root: Path) -> Path:
    top = _git(root, "rev-parse", "--show-toplevel")
    return Path(top.strip()) if top else root


def _changed_file(part: str) -> str:
    first = part.partition("\n")[0]
    return first.rpartition(" b/")[2] or first


def _as_diff(file: Path, name: str) -> str:
    """Return a new file in the form of a diff, or one line that says why not."""
    try:
        content = file.read_bytes()
    except OSError as error:
        return f"# new file {name}: {error.strerror}\n"
    if len(content) > MAX_NEW_FILE_BYTES or b"\0" in content:
        return f"# new file {name}: {len(content):,} bytes, not shown\n"
    lines = content.decode(errors="replace").splitlines()
    head = (
        f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{len(lines)} @@\n"
    )
    return head + "".join(f"+{line}\n" for line in lines)


def _secret(name: str, part: str) -> str | None:
    if any(fnmatch(Path(name).name.lower(), pattern) for pattern in SECRET_NAMES):
        return "its name looks like a secret's"
    return "a line looks like a secret" if SECRET_TEXT.search(part) else None
