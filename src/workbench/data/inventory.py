"""What lies in the lake, a line a table: for people who look before they use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import polars as pl

from workbench.data.lake import Lake
from workbench.data.release import unreleased


@dataclass(frozen=True)
class TableFacts:
    """One table: its newest version, its rows and their dates, its size, and what was kept out of it."""

    dataset: str
    version: int
    rows: int
    first: str
    last: str
    size_mb: float
    quarantined: int


def inventory(lake: Lake) -> list[TableFacts]:
    """Return the facts of every table, from the log: no row is read, but every file must be there in full."""
    found = []
    for name, version in lake.versions().items():
        files = lake.present(name, version)
        found.append(
            TableFacts(
                dataset=name,
                version=version,
                rows=sum(file.rows for file in files),
                first=min((str(file.first)[:10] for file in files if file.first is not None), default=""),
                last=max((str(file.last)[:10] for file in files if file.last is not None), default=""),
                size_mb=round(sum(file.size for file in files) / 1e6, 1),
                quarantined=len(unreleased(lake, name)),
            )
        )
    return found


def kept_out(lake: Lake) -> list[tuple[str, str, int, str]]:
    """Return dataset, rule, rows and the newest day of what lies in quarantine."""
    found = []
    for name in lake.versions():
        rules = unreleased(lake, name).with_columns(pl.col("rule").str.split(",")).explode("rule")
        each = rules.group_by("rule", maintain_order=True).agg(pl.len(), pl.col("quarantined_at").max())
        found += [(name, str(rule), int(rows), str(when)[:10]) for rule, rows, when in each.iter_rows()]
    return found


def pins(lake: Lake, versions: Mapping[str, int]) -> dict[str, dict[str, int | str]]:
    """Return version and content digest of each table: what a run records, and needs to be repeated."""
    return {name: {"version": version, "digest": lake.digest(name, version)} for name, version in versions.items()}


def overview(facts: Sequence[TableFacts]) -> pd.DataFrame:
    """Return the facts as a table for a notebook."""
    return pd.DataFrame([asdict(fact) for fact in facts])
