"""A file that halts: the emergency stop must hold while a hung runner keeps the database, or the server is away.

It is written before anything else and asked before every order is sent. What the stop did while the journal did not
answer lies beside it, until ``resume`` brings it into the journal.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.disk import flush, write_whole, writing
from workbench.errors import TradingHalted
from workbench.params import Paths

# Halts every account: for a stop that cannot ask the broker which account it is. Each is resumed by itself.
EVERY = "every"


class HaltFile:
    """data/state/<account>.halted.json, and what could not be journaled in <account>.emergency.jsonl."""

    def __init__(self, paths: Paths, account: str = EVERY) -> None:
        self.account = account
        self.file = paths.state / f"{account}.halted.json"
        self._every = paths.state / f"{EVERY}.halted.json"
        self.notes = paths.state / f"{account}.emergency.jsonl"
        self.shown = paths.short(self.file)

    def write(self, reason: str, who: str, at: datetime) -> None:
        """Halt: from now on no order begins to be sent, on disk before this returns."""
        with writing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, _text(reason, who, at), flushed=True)
            flush(self.file.parent)

    @property
    def text(self) -> str | None:
        """The file as it is; None where there is none."""
        with writing(self.file):
            return self.file.read_text(errors="replace") if self.file.exists() else None

    def withdraw(self, reason: str, who: str, at: datetime, before: str | None) -> None:
        """Put back what the file said before a halt that holds elsewhere by now; another halt stays."""
        if self.text != _text(reason, who, at):
            return
        with writing(self.file):
            if before is None:
                self.file.unlink()
            else:
                write_whole(self.file, before, flushed=True)
            flush(self.file.parent)

    def require_none(self) -> None:
        """Raise where it halts; half a file, or an empty one, halts as well."""
        if reason := self.reason:
            raise TradingHalted(f"trading is halted ({reason}; {self.shown}); a person resumes it: make resume")

    @property
    def reason(self) -> str:
        """Why it halts, as far as it can be read; empty where it does not."""
        return _reason(self.file) or _reason(self._every, self.account)

    @property
    def own_reason(self) -> str:
        """Why it halts this account alone; empty where it does not, or where every account is halted."""
        return _reason(self.file)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep what the journal did not take, on disk before this returns."""
        with writing(self.notes), self.notes.open("a") as stream:
            stream.write(json.dumps(facts) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def noted(self) -> tuple[dict[str, Any], ...]:
        """Return what was kept; a line that was cut off says so itself."""
        if not self.notes.exists():
            return ()
        return tuple(_line(text) for text in self.notes.read_text().splitlines())

    def clear(self) -> None:
        """Take both files away; the journal has everything by now. What halts every account goes on for the others."""
        for file in (self.notes, self.file):
            with writing(file):
                file.unlink(missing_ok=True)
        facts = _facts(self._every)
        if facts is not None:
            resumed = sorted({*_resumed(facts), self.account})
            with writing(self._every):
                write_whole(self._every, json.dumps({**facts, "resumed": resumed}, indent=1), flushed=True)


def _text(reason: str, who: str, at: datetime) -> str:
    return json.dumps({"reason": reason, "who": who, "at": at.isoformat()}, indent=1)


def _line(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    return facts if isinstance(facts, dict) else {"unreadable": text}


def _reason(file: Path, account: str = "") -> str:
    facts = _facts(file)
    if facts is None or account in _resumed(facts):
        return ""
    if "reason" in facts and "who" in facts:
        return f"{facts['reason']}, by {facts['who']}"
    return "the reason cannot be read"


def _facts(file: Path) -> dict[str, Any] | None:
    """Return what a file says, nothing where it cannot be read; None where there is none."""
    try:
        facts = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _resumed(facts: dict[str, Any]) -> list[str]:
    resumed = facts.get("resumed")
    return [one for one in resumed if isinstance(one, str)] if isinstance(resumed, list) else []
