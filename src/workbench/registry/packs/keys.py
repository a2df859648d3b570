"""A person's signing key: Ed25519, on that person's machine, readable by nobody else, never inside the project.

>>> made = new_key("alice", Paths())           # ~/.config/workbench/keys/alice.pem, mode 0600
>>> made.public                                # goes into params/approvers.yaml
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from workbench.errors import CannotWrite, InputRefused, NoData
from workbench.params import Paths
from workbench.registry.packs.canonical import sha256

MAX_BYTES = 64 * 1024
FOLDER_VARIABLE = "WORKBENCH_KEYS"
NAME = re.compile(r"[a-z][a-z0-9_.-]{0,39}")
# The points of small order, the sign bit left out, in every spelling: under these as public keys one signature fits
# most messages, and Ed25519 as OpenSSL checks it says yes (Chalkias, Garillot, Nikolaenko 2020, table 1).
_ANYONES = frozenset(
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


@dataclass(frozen=True)
class Key:
    """A key as it may be shown: its owner, its file, its public half."""

    name: str
    file: Path
    public: str

    @property
    def fingerprint(self) -> str:
        """The key's short name."""
        return fingerprint(public_key(self.public, self.name))


def keys_folder(paths: Paths) -> Path:
    """Return where private keys lie: $WORKBENCH_KEYS, else the user's configuration; inside the project is refused."""
    named = os.environ.get(FOLDER_VARIABLE, "")
    configuration = os.environ.get("XDG_CONFIG_HOME", "") or Path.home() / ".config"
    folder = (Path(named) if named else Path(configuration) / "workbench" / "keys").expanduser().resolve()
    if folder.is_relative_to(paths.root):
        raise InputRefused(
            f"{FOLDER_VARIABLE} {folder}: lies inside the project, where a key could reach git; name a folder outside"
        )
    return folder


def new_key(name: str, paths: Paths, passphrase: str = "") -> Key:
    """Make a key, write its private half with mode 0600, and return it; one that is there already is kept."""
    file = _file(name, paths)
    folder = file.parent
    private = Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    )
    text = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputRefused(f"{file}: {name} has a key already; use it, or move the file away first") from error
    except OSError as error:
        raise CannotWrite(f"{folder}: {error.strerror}; make it writable, or set {FOLDER_VARIABLE}") from error
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(text)
            out.flush()
            os.fsync(handle)
    except OSError as error:
        file.unlink()  # half a key would only be in the way of a whole one
        raise CannotWrite(f"{file}: {error.strerror}; free some space and run again") from error
    return Key(name, file, public_text(private.public_key()))


def load_key(name: str, paths: Paths, passphrase: str = "") -> Ed25519PrivateKey:
    """Return a private key; a file that others can read is refused, as ssh does."""
    file, content = _read(name, paths)
    try:
        private = serialization.load_pem_private_key(content, passphrase.encode() or None)
    except TypeError as error:  # a passphrase too many, or one too few
        more = "takes no passphrase" if passphrase else "asks for its passphrase"
        raise InputRefused(f"{file}: the key {more}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputRefused(f"{file}: wrong passphrase, or the file is damaged") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise InputRefused(f"{file}: is no Ed25519 key; make one: workbench keys new {name}")
    return private


def needs_passphrase(name: str, paths: Paths) -> bool:
    """Return whether a key is locked with a passphrase."""
    return b"ENCRYPTED" in _read(name, paths)[1][:64]


def list_keys(paths: Paths) -> list[str]:
    """Return the names of the private keys on this machine."""
    return sorted(file.stem for file in keys_folder(paths).glob("*.pem"))


def _file(name: str, paths: Paths) -> Path:
    if not NAME.fullmatch(name):
        raise InputRefused(
            f"key name '{name}': use small letters, digits, '_', '.' and '-', at most 40, a letter first"
        )
    return keys_folder(paths) / f"{name}.pem"


def _read(name: str, paths: Paths) -> tuple[Path, bytes]:
    """Return a key's file and its bytes, of this user and of nobody else: what was checked is what is read."""
    file = _file(name, paths)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NoData(f"{file}: {name} has no key on this machine; make one: workbench keys new {name}") from error
    except OSError as error:
        raise InputRefused(f"{file}: {error.strerror}; a key is a plain file that its owner can read") from error
    try:
        found = os.fstat(handle)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            raise InputRefused(f"{file}: is no plain file; a key is a plain file that its owner can read")
        if found.st_uid != os.geteuid():
            raise InputRefused(
                f"{file}: belongs to another user (id {found.st_uid}); make one of your own: workbench keys new"
            )
        if mode & 0o077:
            raise InputRefused(f"{file}: mode {mode:04o} lets others read it; chmod 600 {file}")
        return file, os.read(handle, MAX_BYTES)
    finally:
        os.close(handle)


def public_text(public: Ed25519PublicKey) -> str:
    """Return a public key as it stands in params/approvers.yaml."""
    return base64.b64encode(public.public_bytes_raw()).decode()


def public_key(text: str, name: str) -> Ed25519PublicKey:
    """Return the public key that ``public_text`` wrote; a point for which anyone can sign is refused."""
    try:
        raw = base64.b64decode(text, validate=True)
        public = Ed25519PublicKey.from_public_bytes(raw)
    except (binascii.Error, ValueError) as error:
        raise InputRefused(
            f"key of {name}: '{text}' is no Ed25519 public key (44 characters of base64); see: workbench keys list"
        ) from error
    if raw[:31] + bytes([raw[31] & 0x7F]) in _ANYONES:
        raise InputRefused(f"key of {name}: '{text}' is a point for which anyone can sign; see: workbench keys list")
    return public


def fingerprint(public: Ed25519PublicKey) -> str:
    """Return the key's short name: the first 16 hex digits of its SHA-256."""
    return sha256(public.public_bytes_raw())[:16]
