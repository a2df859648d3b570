"""Rows put into a lake on the word of a test: what is tested is the lake, or what reads it, not the validation."""

from __future__ import annotations

import polars as pl

from workbench.data.lake import WAIT_SECONDS, Lake, Published
from workbench.data.validated import Validated


def put(lake: Lake, name: str, rows: pl.DataFrame, *, wait_seconds: float = WAIT_SECONDS) -> Published:
    """Publish rows that a test made."""
    return lake.publish(Validated(name, rows, "made by a test"), wait_seconds=wait_seconds)
