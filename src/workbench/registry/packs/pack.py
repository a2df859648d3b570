"""The evidence pack: everything that speaks for a candidate, immutable, named by the SHA-256 of its manifest.

    pack/manifest.json     who, when, code, policy, and the SHA-256 of every part; canonical JSON
    pack/parts/…           parameters, statistics, validation, look-ahead, trials, data, notebooks, result, model

``read_pack`` reads every byte once and hands those very bytes on: what was verified is what is used, whatever happens
to the folder meanwhile. Nothing in a pack is ever executed or unpickled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import InputRefused, PackRefused
from workbench.registry.packs.canonical import canonical, moment_text, read_canonical, read_moment, sha256, short
from workbench.registry.packs.code import Code
from workbench.registry.packs.content import bad_content
from workbench.registry.packs.files import read_files
from workbench.registry.packs.lines import evidence_line
from workbench.types import REAL, SAMPLE

FORMAT = 1
KINDS = ("strategy", "weights", "risk", "prompt")
MANIFEST, PARTS = "manifest.json", "parts"
SIMULATED = "simulated"
# What a part may be. Everything here is read as data; nothing here can carry code that a reader would run.
SUFFIXES = (
    ".json", ".yaml", ".txt", ".md", ".lock", ".diff", ".parquet", ".safetensors", ".ipynb", ".html", ".png", ".csv",
)  # fmt: skip
# A name is also a folder, a module and an MLflow model: it must not lead anywhere.
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True)
class Part:
    """One file of a pack; ``path`` is relative to ``parts/``."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Pack:
    """A candidate's evidence. ``policy`` is the digest of the gates it was made under, ``files`` holds its bytes."""

    kind: str
    name: str
    market: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    policy: str
    run_id: str
    pipeline_run: str
    code: Code | None  # of a strategy; the other kinds are data
    parts: tuple[Part, ...]
    files: Mapping[str, bytes] = field(repr=False, compare=False)
    simulated: bool = False  # made under simulated time: never believed outside of it

    def manifest(self) -> bytes:
        """Return the manifest's bytes."""
        return canonical(
            {
                "format": FORMAT,
                "kind": self.kind,
                "name": self.name,
                "market": self.market,
                "made_by": self.made_by,
                "made_at": moment_text(self.made_at),
                "expires_at": moment_text(self.expires_at),
                "policy": self.policy,
                "run_id": self.run_id,
                "pipeline_run": self.pipeline_run,
                "code": _code_facts(self.code) if self.code else None,
                "parts": {part.path: {"sha256": part.sha256, "bytes": part.bytes} for part in self.parts},
                **({"time": SIMULATED} if self.simulated else {}),
            }
        )

    @cached_property
    def digest(self) -> str:
        """The name of the pack: the SHA-256 of its manifest, and so of every byte in it."""
        return sha256(self.manifest())

    @property
    def shown(self) -> str:
        """The pack in a sentence: ``xs_momentum (pack 3f9a…)``."""
        return f"{self.name} (pack {short(self.digest)})"

    def has(self, path: str) -> bool:
        """Return whether the pack has a part."""
        return path in self.files

    def read(self, path: str) -> bytes:
        """Return a part's bytes."""
        if path not in self.files:
            raise PackRefused(f"{self.shown}: has no part {path}; make the evidence again: {_again(self)}")
        return self.files[path]

    def json(self, path: str) -> Any:
        """Return a JSON part's content."""
        try:
            return json.loads(self.read(path))
        except ValueError as error:
            raise PackRefused(f"{self.shown}: part {path} is not JSON ({error}); {_again(self)}") from error

    def write(self, folder: Path) -> None:
        """Write the pack into a new folder."""
        for part in self.parts:
            file = folder / PARTS / part.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.files[part.path])
        (folder / MANIFEST).write_bytes(self.manifest())  # last: a half-written pack has no manifest


def make_pack(
    *,
    kind: str,
    name: str,
    market: str,
    made_by: str,
    made_at: datetime,
    expires_at: datetime,
    policy: str,
    files: Mapping[str, bytes],
    code: Code | None = None,
    run_id: str = "",
    pipeline_run: str = "",
    simulated: bool = False,
) -> Pack:
    """Return the pack of these files, by their path below ``parts/``."""
    if kind not in KINDS:
        raise InputRefused(f"pack: kind '{kind}' is none of {', '.join(KINDS)}")
    if reason := _bad_name(name) or _bad_market(market):
        raise InputRefused(f"pack: {reason}")
    if simulated and market != SAMPLE:
        raise InputRefused(f"pack: time is simulated for the {SAMPLE} market alone, this pack is of '{market}'")
    for path, content in files.items():
        reason = _bad_path(path) or bad_content(path, content)
        if reason:
            raise PackRefused(f"pack of {name}: {path}: {reason}")
    parts = tuple(Part(path, sha256(files[path]), len(files[path])) for path in sorted(files))
    made_at, expires_at = (moment.replace(microsecond=0) for moment in (made_at, expires_at))
    return Pack(
        kind, name, market, made_by, made_at, expires_at, policy, run_id, pipeline_run, code, parts, dict(files),
        simulated,
    )  # fmt: skip


def read_pack(folder: Path, shown: str = "") -> Pack:
    """Return the pack in a folder with every byte checked against its manifest, or say which part is wrong."""
    found = read_files(folder, shown or folder.name)
    return pack_from(found, shown or folder.name)


def pack_from(found: Mapping[str, bytes], shown: str) -> Pack:
    """Return the pack of files by their path below the pack's folder."""
    pack, wrong = examine(found, shown)
    for path, reason in wrong.items():
        raise PackRefused(f"{shown}/{path}: {reason}; the pack is void, make the evidence again")
    return pack


def examine(found: Mapping[str, bytes], shown: str) -> tuple[Pack, dict[str, str]]:
    """Return the pack of a folder's files and, by path, what is wrong with it; no manifest at all is refused."""
    if MANIFEST not in found:
        raise PackRefused(f"{shown}: no {MANIFEST}; that is no evidence pack, or it was cut short")
    facts = read_canonical(found[MANIFEST], f"{shown}/{MANIFEST}")
    try:
        inside = {path.removeprefix(f"{PARTS}/"): found[path] for path in found if path.startswith(f"{PARTS}/")}
        pack = _pack(facts, inside)
        written = pack.manifest()
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PackRefused(f"{shown}/{MANIFEST}: {error!r} is missing or of another form; the pack is void") from error
    if written != found[MANIFEST]:
        raise PackRefused(f"{shown}/{MANIFEST}: holds more than a manifest; the pack is void")
    wrong: dict[str, str] = {}
    for part in pack.parts:
        path = f"{PARTS}/{part.path}"
        if path not in found:
            wrong[path] = "is missing"
            continue
        content = found[path]
        if len(content) != part.bytes:
            wrong[path] = f"has {len(content):,} bytes instead of {part.bytes:,}"
        elif sha256(content) != part.sha256:
            wrong[path] = f"was changed: SHA-256 {short(sha256(content))} instead of {short(part.sha256)}"
        elif reason := _bad_path(part.path) or bad_content(part.path, content):
            wrong[path] = reason
    named = {f"{PARTS}/{part.path}" for part in pack.parts} | {MANIFEST}
    wrong |= dict.fromkeys(sorted(found.keys() - named), "was added: the manifest does not name it")
    return pack, wrong


def _bad_name(name: str) -> str:
    return (
        "" if NAME.fullmatch(name) else f"name {name!r}: use small letters, digits and '_', at most 64, a letter first"
    )


def _bad_market(market: str) -> str:
    return "" if market in (SAMPLE, REAL) else f"market {market!r} is none of {SAMPLE}, {REAL}"


def _bad_path(path: str) -> str:
    parts = path.split("/")
    if not path or path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts):
        return "leads out of the pack"
    if not path.isprintable() or len(path) > 240:
        return "is no name for a part: it must be printable and at most 240 characters"
    if parts[-1] in ("MLmodel", "python_env.yaml", "conda.yaml"):
        return "describes how to run a model; a pack holds data only"
    if not path.endswith(SUFFIXES):
        return f"is no kind of file that a pack may hold ({', '.join(SUFFIXES)})"
    return ""


def _pack(facts: Mapping[str, Any], files: Mapping[str, bytes]) -> Pack:
    if facts["format"] != FORMAT:
        raise PackRefused(f"pack of {facts.get('name')}: format {facts['format']!r}; this workbench reads {FORMAT}")
    if facts["kind"] not in KINDS:
        raise PackRefused(f"pack of {facts.get('name')}: kind {facts['kind']!r} is none of {', '.join(KINDS)}")
    name, market = _text(facts, "name"), _text(facts, "market")
    if reason := _bad_name(name) or _bad_market(market):
        raise PackRefused(f"pack: {reason}; it was written by something else")
    return Pack(
        kind=facts["kind"],
        name=name,
        market=market,
        made_by=_text(facts, "made_by"),
        made_at=read_moment(facts["made_at"], "made_at"),
        expires_at=read_moment(facts["expires_at"], "expires_at"),
        policy=_text(facts, "policy"),
        run_id=_text(facts, "run_id"),
        pipeline_run=_text(facts, "pipeline_run"),
        code=None if facts["code"] is None else _code(facts["code"]),
        parts=tuple(Part(path, part["sha256"], part["bytes"]) for path, part in sorted(facts["parts"].items())),
        files=files,
        simulated=_simulated(facts),
    )


def _simulated(facts: Mapping[str, Any]) -> bool:
    """Return whether a pack is of simulated time; the key is there where it is, and nowhere else."""
    if "time" not in facts:
        return False
    if facts["time"] != SIMULATED or facts["market"] != SAMPLE:
        raise ValueError(f"time {facts['time']!r} of the {facts['market']} market")
    return True


def _text(facts: Mapping[str, Any], key: str) -> str:
    value = facts[key]
    if not isinstance(value, str):
        raise TypeError(key)
    return value


def _code(facts: Mapping[str, Any]) -> Code:
    texts = {key: _text(facts, key) for key in ("commit", "entry_point", "package")}
    files, changed = dict(facts["files"]), tuple(facts["changed"])
    if not files or not all(isinstance(text, str) for text in (*files, *files.values(), *changed)):
        raise TypeError("code")
    return Code(**texts, files=files, changed=changed)


def _code_facts(code: Code) -> dict[str, Any]:
    return {
        "commit": code.commit,
        "changed": list(code.changed),
        "entry_point": code.entry_point,
        "files": dict(code.files),
        "package": code.package,
    }


def _again(pack: Pack) -> str:
    return evidence_line(pack.kind, pack.name)
