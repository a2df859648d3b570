"""One spelling for every fact, so that equal facts have equal bytes and a changed byte is a changed fact.

Keys sorted, no spaces, UTF-8, Python's shortest round-trip numbers, no NaN. A file that says the same in another
spelling is refused as well: nothing can hide in a second key or behind a comma.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any

from workbench.errors import PackRefused

SHORT = 12  # of a digest, where a person reads it
FORM = "%Y-%m-%dT%H:%M:%SZ"


def canonical(value: Any) -> bytes:
    """Return the one spelling of a JSON-able value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def read_canonical(content: bytes, name: str) -> Any:
    """Return what ``canonical`` wrote; another spelling of the same is refused."""
    try:
        value = json.loads(content)
        same = canonical(value) == content
    except (ValueError, RecursionError) as error:
        raise PackRefused(f"{name}: not JSON ({error}); the file was changed or cut short") from error
    if not same:
        raise PackRefused(f"{name}: not in canonical form; it was written or edited by something else")
    return value


def jsonable(value: Any) -> Any:
    """Return a value as JSON holds it: NaN and infinities as null, times in ISO format, tuples as lists.

    >>> jsonable({"sharpe": float("nan"), "cells": (1, 2)})
    {'sharpe': None, 'cells': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(jsonable(item) for item in value)
    if isinstance(value, Enum):
        return jsonable(value.value)
    if hasattr(value, "item") and not getattr(value, "shape", ()):  # a number of numpy's
        return jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return moment_text(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return value.as_posix()
    if value is None or isinstance(value, (str, int, bool)):
        return value
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


def moment_text(moment: datetime) -> str:
    """Return a moment as it is written in every file: whole seconds of UTC."""
    return moment.astimezone(UTC).strftime(FORM)


def read_moment(text: Any, name: str) -> datetime:
    """Return a moment that ``moment_text`` wrote."""
    try:
        return datetime.strptime(text, FORM).replace(tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise PackRefused(f"{name}: {text!r} is not a moment such as 2026-01-31T22:00:00Z") from error


def short(digest: str) -> str:
    """Return a digest as a person compares it."""
    return digest[:SHORT] or "none"
