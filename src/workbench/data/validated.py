"""Rows that may enter the lake, and on whose word: nothing else can be published."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from workbench.errors import InputRefused


@dataclass(frozen=True)
class Validated:
    """Rows with what vouches for them, which is stored with the version that they make and shown by ``lake.history``.

    Two places make one: ``quality.py`` of what passed the rules, ``release.py`` of what a person let in against one.
    """

    dataset: str
    rows: pl.DataFrame
    because: str
    by: str = ""  # who let the rows in against a rule; empty where the rules did

    def __post_init__(self) -> None:
        if not self.because.strip():
            raise InputRefused(f"{self.dataset}: rows without a word for them; write why they may enter the lake")

    @property
    def operation(self) -> str:
        """What the version's log calls it."""
        return "release" if self.by else "publish"
