"""The parts of a pack that is no strategy: a file of weights, risk limits or a prompt, and why it is promoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from workbench.errors import InputRefused
from workbench.registry.packs.canonical import canonical, sha256

PAYLOAD, REASON, EVALUATION = "payload", "reason.json", "evaluation.json"
# What may be promoted beside strategies, and the files that it may be.
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "weights": (".json",),
    "risk": (".yaml", ".json"),
    "prompt": (".md", ".txt", ".yaml", ".json"),
}
NAME = r"[a-z][a-z0-9_]{0,63}"
LEAST_REASON = 10
MAX_MB = 16


def payload_parts(kind: str, name: str, file: Path, reason: str, evaluation: Path | None = None) -> dict[str, bytes]:
    """Return the parts of a pack of this kind, or say why the file or the reason will not do.

    ``evaluation`` is a JSON file of what it was tried on: ``{"cases": [{"name": "…", "passed": true}]}`` of a prompt.
    """
    if kind not in SUFFIXES:
        raise InputRefused(
            f"pack make: kind '{kind}' is none of {', '.join(SUFFIXES)}; a strategy's pack is made by "
            f"make evidence STRATEGY={name}"
        )
    if not re.fullmatch(NAME, name):
        raise InputRefused(f"pack make: name '{name}': use lower-case letters, digits and '_', at most 64")
    reason = " ".join(reason.split())
    if len(reason) < LEAST_REASON:
        raise InputRefused(
            f"pack make: the reason has {len(reason)} letters, it needs {LEAST_REASON}; say what changes and why: "
            '--reason "…"'
        )
    content = _content(file, SUFFIXES[kind], f"{kind} are kept as")
    tried = {} if evaluation is None else {EVALUATION: _content(evaluation, (".json",), "an evaluation is")}
    return {
        f"{PAYLOAD}/{file.name}": content,
        REASON: canonical({"reason": reason, "file": file.name, "sha256": sha256(content)}),
        **tried,
    }


def _content(file: Path, suffixes: tuple[str, ...], what: str) -> bytes:
    if file.suffix not in suffixes:
        raise InputRefused(f"{file}: {what} {', '.join(suffixes)}; name such a file")
    try:
        size = file.stat().st_size
        if not 0 < size <= MAX_MB << 20:
            raise InputRefused(f"{file}: has {size:,} bytes; a payload has at least 1 and at most {MAX_MB} MB")
        content = file.read_bytes()
    except OSError as error:
        raise InputRefused(f"{file}: {error.strerror}; name a file that is there") from error
    _require_readable(file, content)
    return content


def _require_readable(file: Path, content: bytes) -> None:
    """Refuse a text that its reader could not read, before anyone signs it."""
    try:
        text = content.decode()
        if file.suffix == ".json":
            json.loads(text)
        elif file.suffix == ".yaml":
            yaml.safe_load(text)
    except (UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise InputRefused(f"{file}: cannot be read as {file.suffix[1:]} ({' '.join(str(error).split())})") from error
