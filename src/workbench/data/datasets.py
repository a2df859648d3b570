"""The shape of every dataset the lake holds: its columns, its key and its event time.

Each row also carries ``known_at``: the moment from which anyone could have known it. A correction is a new row
with the same key and a later ``known_at``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from workbench.errors import InputRefused, did_you_mean

UTC_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Dataset:
    """One table's contract. ``key`` names a fact; ``time`` is the column that says when it happened."""

    name: str
    columns: Mapping[str, pl.DataType | type[pl.DataType]]
    key: tuple[str, ...]
    time: str
    nullable: frozenset[str] = field(default_factory=frozenset)

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The columns as stored: the dataset's own, then ``known_at`` and ``source``."""
        return {**self.columns, "known_at": UTC_TIME, "source": pl.String}

    @property
    def symbol(self) -> str:
        """The column that a read filters by: the symbol, or the series."""
        return "series" if "series" in self.columns else "symbol"


_BAR = {"open": pl.Float64, "high": pl.Float64, "low": pl.Float64, "close": pl.Float64, "volume": pl.Float64}

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        # Who is listed, in which sector, from when to when.
        Dataset(
            "symbols",
            {
                "symbol": pl.String,
                "name": pl.String,
                "sector": pl.String,
                "kind": pl.String,
                "listed": pl.Date,
                "delisted": pl.Date,
            },
            key=("symbol",),
            time="listed",
            nullable=frozenset({"delisted"}),
        ),
        # Daily bars as traded: never adjusted here, adjustment happens at the read.
        Dataset(
            "prices_daily", {"symbol": pl.String, "session": pl.Date, **_BAR}, key=("symbol", "session"), time="session"
        ),
        # Five-minute bars as traded, labelled by their start in UTC.
        Dataset("prices_5min", {"symbol": pl.String, "ts": UTC_TIME, **_BAR}, key=("symbol", "ts"), time="ts"),
        # kind 'split': value = new shares per old share (2.0 for 2:1). kind 'dividend': cash per share, as traded.
        # session is the ex-date; the action applies before that session opens.
        Dataset(
            "actions",
            {"symbol": pl.String, "session": pl.Date, "kind": pl.String, "value": pl.Float64},
            key=("symbol", "session", "kind"),
            time="session",
        ),
        # One observation of a series; revisions are later rows of the same period.
        Dataset(
            "macro",
            {"series": pl.String, "period": pl.Date, "value": pl.Float64},
            key=("series", "period"),
            time="period",
        ),
        # What happened to a symbol and when it was published; surprise is in the kind's own unit, where it has one.
        Dataset(
            "events",
            {"symbol": pl.String, "ts": UTC_TIME, "kind": pl.String, "surprise": pl.Float64},
            key=("symbol", "ts", "kind"),
            time="ts",
            nullable=frozenset({"surprise"}),
        ),
    )
}


def dataset(name: str) -> Dataset:
    """Return the contract of a dataset."""
    if name not in DATASETS:
        raise InputRefused(f"unknown dataset '{name}'.{did_you_mean(str(name), DATASETS)}")
    return DATASETS[name]
