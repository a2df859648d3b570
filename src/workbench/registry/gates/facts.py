"""A value of a pack's JSON with its place: a number is there and sound, or one line says what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import NoData


class Unknown(NoData):
    """A gate cannot be evaluated, and so it fails; ``remedy`` is what a person can type."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


@dataclass(frozen=True)
class Facts:
    """A JSON value; ``part`` is its file, ``path`` its keys: ``statistics.json``, ``overfitting.dsr``."""

    value: Any
    part: str
    path: str = ""

    @property
    def place(self) -> str:
        """Where the value stands, in words."""
        return f"{self.part}: {self.path}" if self.path else self.part

    def at(self, key: str) -> Facts:
        """Return what a mapping holds under a key."""
        inner = Facts(None, self.part, f"{self.path}.{key}" if self.path else key)
        if not isinstance(self.value, Mapping):
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be a mapping with '{key}'")
        if key not in self.value:
            raise Unknown(f"{inner.place} is missing")
        return Facts(self.value[key], self.part, inner.path)

    def rows(self) -> list[Facts]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be a list")
        return [Facts(item, self.part, f"{self.path}[{number}]") for number, item in enumerate(self.value)]

    def items(self) -> Iterator[tuple[str, Facts]]:
        """Give the keys of a mapping with what they hold, in their order."""
        if not isinstance(self.value, Mapping):
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be a mapping")
        for key in self.value:
            yield str(key), self.at(key)

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number between ``low`` and ``high``, both included."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be a number")
        number = float(self.value)
        if not math.isfinite(number):
            raise Unknown(f"{self.place} is {number}, it must be a finite number")
        if not low <= number <= high:
            raise Unknown(f"{self.place} is {number:g}, which cannot be: it lies between {low:g} and {high:g}")
        return number

    def count(self) -> int:
        """Return a whole number, zero or more."""
        number = self.number(low=0.0)
        if number != int(number):
            raise Unknown(f"{self.place} is {number:g}, it must be a whole number")
        return int(number)

    def flag(self) -> bool:
        """Return true or false; nothing else counts as either."""
        if not isinstance(self.value, bool):
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be true or false")
        return self.value

    def text(self) -> str:
        """Return a text that says something."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise Unknown(f"{self.place} is {_kind(self.value)}, it must be a text")
        return self.value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (Mapping, list)):
        return f"a {'list' if isinstance(value, list) else 'mapping'}"
    return "empty" if value == "" else repr(value)[:40]
