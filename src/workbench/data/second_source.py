"""Two sources about the same fact: the one that said it first stands, what another says is compared with it and shown.

A row that a second source says alike changes nothing. One that it says otherwise is kept out, in quarantine under the
rule ``second_source``, because nobody can tell from the two alone which is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from workbench.data.datasets import Dataset
from workbench.data.lake import Lake
from workbench.data.rules import Bounds

RULE = "second_source"


@dataclass(frozen=True)
class Comparison:
    """What a batch says about facts that are stored from other sources."""

    beside: tuple[str, ...]  # the stored facts' sources
    rows: int
    differing: int
    largest: str  # the widest difference, spelled out; empty when there is none

    def __str__(self) -> str:
        said = f"{self.rows - self.differing:,} rows as {', '.join(self.beside)} said"
        return said if not self.differing else f"{said}, {self.differing:,} otherwise; widest: {self.largest}"


def compare(
    contract: Dataset, rows: pl.DataFrame, stored: pl.DataFrame, bounds: Bounds
) -> tuple[pl.Series, pl.Series, Comparison | None]:
    """Return masks of the rows that another source told before and of those that differ from it, and the summary."""
    key = list(contract.key)
    own = str(rows["source"][0]) if len(rows) else ""
    others = stored.filter(pl.col("source") != own).select(
        *key, *[pl.col(column).alias(f"{column}|stored") for column in (*_values(contract), "source")]
    )
    beside = rows.join(others, on=key, how="left", maintain_order="left")
    shared = beside["source|stored"].is_not_null()
    if not shared.any():
        return shared, shared, None
    apart = beside.select([_apart(contract, column) for column in _values(contract)])
    limits = {column: bounds.agree_volume if column == "volume" else bounds.agree for column in _values(contract)}
    differs = pl.Series(
        apart.select(pl.any_horizontal([pl.col(c) > limit for c, limit in limits.items()])).to_series() & shared
    )
    widest = ""
    if differs.any():
        excess = apart.select([pl.col(c) / limit for c, limit in limits.items()]).with_columns(
            row=pl.int_range(pl.len())
        )
        worst = excess.filter(differs).unpivot(index="row").sort("value", descending=True, maintain_order=True)
        row, column = int(worst["row"][0]), str(worst["variable"][0])
        who = " ".join(str(beside[name][row]) for name in key)
        widest = f"{who} {column} {beside[column][row]} against {beside[f'{column}|stored'][row]}"
    names = tuple(sorted(beside["source|stored"].drop_nulls().unique().to_list()))
    return shared, differs, Comparison(names, int(shared.sum()), int(differs.sum()), widest)


def differences(lake: Lake, contract: Dataset) -> pl.DataFrame:
    """Return each value in quarantine that a second source gave, beside the stored one, the widest first.

    >>> differences(lake, dataset("prices_daily"))
    # symbol  session     column  stored  stored_source  said    source  apart
    # SPY     2020-03-16  close   240.00  ib             239.85  yahoo   0.000625
    """
    key = list(contract.key)
    kept_out = lake.quarantine(contract.name).filter(pl.col("rule").str.contains(RULE))
    stored = lake.around(contract.name, kept_out)
    values = _values(contract)
    beside = kept_out.join(
        stored.select(*key, *[pl.col(column).alias(f"{column}|stored") for column in (*values, "source")]), on=key
    )
    each = [
        beside.select(
            *key,
            column=pl.lit(column),
            stored=pl.col(f"{column}|stored").cast(pl.String),
            stored_source=pl.col("source|stored"),
            said=pl.col(column).cast(pl.String),
            source=pl.col("source"),
            apart=_apart(contract, column),
        )
        for column in values
    ]
    return pl.concat(each).filter(pl.col("apart") > 0.0).sort("apart", *key, descending=[True, *([False] * len(key))])


def _values(contract: Dataset) -> list[str]:
    return [column for column in contract.columns if column not in contract.key]


def _apart(contract: Dataset, column: str) -> pl.Expr:
    """How far the two values are apart: a share of the stored one for numbers, all or nothing for the rest."""
    said, stored = pl.col(column), pl.col(f"{column}|stored")
    if contract.columns[column] != pl.Float64:
        return said.ne_missing(stored).cast(pl.Float64).alias(column)
    share = (said - stored).abs() / pl.max_horizontal(stored.abs(), pl.lit(1e-12))
    return pl.when(said.eq_missing(stored)).then(0.0).otherwise(share.fill_null(1.0)).alias(column)
