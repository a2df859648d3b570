"""Where data comes from: a source turns a request into a batch, and raises when it cannot.

A source never returns an empty batch to mean that it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class Request:
    """What to fetch: a dataset, some symbols (empty: all), and a range of event dates, both ends included."""

    dataset: str
    symbols: tuple[str, ...] = ()
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True)
class Batch:
    """Rows of one dataset in its schema, with the source's name and the market they belong to."""

    dataset: str
    market: str
    source: str
    rows: pl.DataFrame


class Source(Protocol):
    """Anything that serves datasets."""

    name: str
    market: str

    def datasets(self) -> tuple[str, ...]:
        """Return the names of the datasets it serves."""
        ...

    def fetch(self, request: Request) -> Batch:
        """Return the rows asked for, or raise."""
        ...
