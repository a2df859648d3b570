"""What the guard says: a finding names who read what too early, a report holds all checks of one subject."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

# What a finding can be, and what that means for the person who reads it.
MEANING: Mapping[str, str] = {
    "reads ahead": "a row depends on values of later rows",
    "reads gaps ahead": "a row depends on which bars will be missing: delistings and halts of later rows",
    "reads later dates": "a row depends on the dates of later rows, or on how many there are",
    "same-bar fill": "an order fills at a price that helped to decide it",
    "used before known": "a joined row was known only after the moment of decision",
    "revised value": "a value was used that replaced another one later",
    "not repeatable": "two runs on the same data differ, so look-ahead cannot be told",
    "lookback too short": "the bars that live would read give other values",
    "fails": "it raises where live would call it",
}
LOOK_AHEAD = (
    "reads ahead", "reads gaps ahead", "reads later dates", "same-bar fill", "used before known", "revised value",
)  # fmt: skip
# The verdict where the data has not what the subject is made of.
NOT_EXAMINED = "not examined"
# The verdict where nothing was found, and it has something from where the guard does not reach.
IN_DOUBT = "in doubt"


@dataclass(frozen=True)
class Finding:
    """One fault in one sentence, and its parts: the row that is wrong, and the read that makes it so."""

    kind: str
    text: str
    column: str = ""
    date: str = ""
    field: str = ""
    symbol: str = ""
    read: str = ""  # the date, or the moment, of the offending read
    sessions_ahead: int | None = None
    farthest_ahead: int | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Check:
    """One kind of check: on how many dates it was tried, and with how many runs of the subject."""

    name: str
    dates: int
    runs: int


@dataclass(frozen=True)
class Report:
    """Everything the guard did to one subject: what a promotion gate keeps as evidence."""

    name: str
    kind: str  # strategy, feature, function, join
    params: Mapping[str, Any]
    source: str  # digest of its source, empty where there is none to read
    data: str  # in words
    seed: int
    checks: tuple[Check, ...]
    dates: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()  # what it may know from where no check reaches

    @property
    def clean(self) -> bool:
        """Whether it was examined, and nothing at all was found; what is in doubt a person must look at."""
        return bool(self.checks) and not self.findings

    @property
    def sign(self) -> str:
        """A tick, a cross, or a dash where nothing was examined."""
        return "✗" if self.findings else "–" if not self.checks else "?" if self.doubts else "✓"

    @property
    def reads_ahead(self) -> bool:
        """Whether something was found that makes a backtest too good."""
        return any(finding.kind in LOOK_AHEAD for finding in self.findings)

    @property
    def verdict(self) -> str:
        """``clean``, what was found, ``in doubt``, or ``not examined``."""
        found = ", ".join(dict.fromkeys(finding.kind for finding in self.findings))
        return found or (NOT_EXAMINED if not self.checks else IN_DOUBT if self.doubts else "clean")

    @property
    def tried(self) -> int:
        """On how many dates the past was held against another future, those of combs included."""
        return sum(check.dates for check in self.checks if check.name in ("comb", "truncation", "as of"))

    @property
    def runs(self) -> int:
        """How often the subject was run."""
        return sum(check.runs for check in self.checks)

    @property
    def line(self) -> str:
        """The report on one line."""
        return f"{self.sign} {self.title}: {self.verdict} · {self.tried} dates · {self.data}"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values, the verdict included."""
        return {**asdict(self), "params": dict(self.params), "verdict": self.verdict, "clean": self.clean}

    def to_json(self) -> str:
        """Return the report as JSON; ``Report.from_json`` reads it back."""
        return json.dumps(self.to_dict(), indent=1, default=str)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Return the report that ``to_json`` wrote."""
        parts = json.loads(text)
        for derived in ("verdict", "clean"):
            parts.pop(derived)
        parts["checks"] = tuple(Check(**check) for check in parts["checks"])
        parts["findings"] = tuple(Finding(**finding) for finding in parts["findings"])
        return cls(**parts | {name: tuple(parts[name]) for name in ("dates", "notes", "doubts")})

    def __str__(self) -> str:
        tried = ", ".join(f"{check.name} {check.dates}" for check in self.checks)
        lines = [f"{self.sign} {self.title}: {self.verdict}", f"  {self.data}; dates tried: {tried}; {self.runs} runs"]
        lines += [f"  ✗ {finding.text}" for finding in self.findings]
        lines += [f"  ? {doubt}" for doubt in self.doubts]
        lines += [f"  · {note}" for note in self.notes]
        return "\n".join(lines)

    @property
    def cell(self) -> str:
        """The parameters on one line."""
        return " ".join(f"{key}={value}" for key, value in self.params.items())

    @property
    def title(self) -> str:
        """The name with its parameters."""
        return f"{self.name} {self.cell}".strip()

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(check.name)}</td><td>{check.dates}</td><td>{check.runs}</td></tr>"
            for check in self.checks
        )
        said = "".join(f"<li><b>{html.escape(f.kind)}</b>: {html.escape(f.text)}</li>" for f in self.findings)
        noted = "".join(f"<li>{html.escape(note)}</li>" for note in (*self.doubts, *self.notes))
        return (
            f"<h4>{self.sign} {html.escape(self.title)}: {html.escape(self.verdict)}</h4>"
            f"<p>{html.escape(self.data)}</p>"
            + (f"<ul>{said}</ul>" if said else "")
            + f"<table><tr><th>check</th><th>dates</th><th>runs</th></tr>{rows}</table>"
            + (f"<ul>{noted}</ul>" if noted else "")
        )


def day(moment: date | datetime) -> str:
    """Return a session date as such, an intraday time with its time."""
    if isinstance(moment, datetime) and (moment.hour or moment.minute or moment.second):
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment:%Y-%m-%d}"
