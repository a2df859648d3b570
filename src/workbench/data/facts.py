"""What is known, and since when: how a batch adds to the facts of a dataset, and what was known at a moment.

A fact is a row: its key says what it is about, ``known_at`` from when anyone could know it. A later fact about the same
key supersedes the earlier one from its ``known_at`` on; nothing is ever overwritten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from workbench.data.datasets import Dataset
from workbench.errors import BatchRefused

# 0: the first fact stored about its key; 1: a later one. Files that hold only zeros need no search for superseded rows.
REVISION = pl.Int32


@dataclass(frozen=True)
class News:
    """The rows of a batch that say something new, ready to be stored, and how many said nothing new."""

    rows: pl.DataFrame
    added: int
    corrected: int
    unchanged: int


def sort_order(contract: Dataset) -> list[str]:
    """Return the columns that rows are stored and read by: event time, then the rest of the key, then known_at."""
    return [contract.time, *(column for column in contract.key if column != contract.time), "known_at"]


def moves(contract: Dataset) -> bool:
    """Return whether a correction may change the event time, because that is not part of the key."""
    return contract.time not in contract.key


def ordered(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Return the rows sorted by some columns; rows that are sorted already are not moved."""
    later, equal = pl.lit(False), pl.lit(True)
    for column in by:
        later = later | (equal & (pl.col(column) < pl.col(column).shift()))
        equal = equal & (pl.col(column) == pl.col(column).shift())
    return rows.sort(by) if rows.select(later.any()).item() else rows


def shaped(contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows in the dataset's columns, or refuse a batch of another shape."""
    name, schema = contract.name, contract.schema
    unknown = [column for column in rows.columns if column not in schema]
    missing = [column for column in schema if column not in rows.columns]
    if missing or unknown:
        raise BatchRefused(
            f"{name}: column '{(missing or unknown)[0]}' is {'missing' if missing else 'unknown'}; "
            f"the columns are {', '.join(schema)}"
        )
    for column, wanted in schema.items():
        found = rows.schema[column]
        if found == wanted:
            continue
        if isinstance(wanted, pl.Datetime) and isinstance(found, pl.Datetime) and found.time_zone is None:
            raise BatchRefused(
                f"{name}: times in '{column}' have no time zone; say which: .dt.replace_time_zone('UTC')"
            )
        raise BatchRefused(f"{name}: column '{column}' is {found}; cast it to {wanted}")
    if rows.is_empty():
        raise BatchRefused(f"{name}: the batch is empty; a source that found nothing must say why instead")
    return rows.select(list(schema))


def checked(contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows shaped and sorted, or refuse a batch whose facts cannot be told apart."""
    name, rows = contract.name, shaped(contract, rows)
    for column in dict.fromkeys((*contract.key, contract.time, "known_at", "source")):
        if rows[column].null_count():
            raise BatchRefused(f"{name}: {rows[column].null_count()} rows have no '{column}'; every fact needs one")
    rows = ordered(rows, sort_order(contract))
    twice = ordered(rows, _by_fact(contract)).filter(_same_as_previous(_by_fact(contract)))
    if len(twice):
        raise BatchRefused(
            f"{name}: {fact_name(contract, twice)} is in the batch twice with the same known_at "
            f"({len(twice)} such rows); keep one row per key and known_at"
        )
    return rows


def fact_name(contract: Dataset, rows: pl.DataFrame) -> str:
    """Return the first row's key as text."""
    return " ".join(str(rows[column][0]) for column in contract.key)


def sift(contract: Dataset, known: pl.DataFrame, rows: pl.DataFrame) -> News:
    """Return what is new in ``rows`` against the stored facts ``known``; both checked, ``known`` may hold too much.

    1. A row that repeats what was known about its key at its ``known_at`` is unchanged.
    2. Another value at the very same ``known_at`` contradicts it, and the batch is refused.
    3. Every other row is stored: added when its key is new, else corrected.

    Whether values are the same is asked of the dataset's own columns; from which source they came is not.
    """
    if known.is_empty() and len(latest(contract, rows)) == len(rows):
        return News(rows.with_columns(revision=pl.lit(0, REVISION)), len(rows), 0, 0)
    said = rows[: _up_to(known, rows, contract.time)]
    if (
        len(said)
        and not moves(contract)
        and said.drop("source").equals(known.drop("source").select(said.drop("source").columns))
    ):
        # A history that is ingested again, with some new sessions at its end: only those need a look.
        rest = sift(contract, known.clear(), rows[len(said) :])
        return replace(rest, unchanged=rest.unchanged + len(said))
    values = [column for column in contract.columns if column not in contract.key]
    key = list(contract.key)
    stored = known.select(list(contract.schema))
    merged = pl.concat([stored.with_columns(new=pl.lit(False)), rows.with_columns(new=pl.lit(True))])
    merged = merged.sort(_by_fact(contract), maintain_order=True)  # at the same known_at: stored first
    same_key = _same_as_previous(key)
    same_value = pl.all_horizontal([pl.col(c).eq_missing(pl.col(c).shift()) for c in values] or [pl.lit(True)])
    same_moment = pl.col("known_at") == pl.col("known_at").shift()
    merged = merged.with_columns(
        repeats=same_key & same_value, clashes=same_key & same_moment & ~same_value, follows=same_key
    ).filter("new")
    clashing = merged.filter("clashes")
    if len(clashing):
        raise BatchRefused(
            f"{contract.name}: {fact_name(contract, clashing)} differs from what is stored with the same known_at "
            f"{clashing['known_at'][0]:%Y-%m-%dT%H:%M:%SZ} ({len(clashing)} such rows); "
            "give a correction the moment from which it was known"
        )
    fresh = merged.filter(~pl.col("repeats"))
    # A row known before everything stored about its key follows nothing, yet its key is not new.
    late = fresh.filter(~pl.col("follows")).join(stored, on=key, how="semi").select(key).with_columns(late=True)
    fresh = fresh.join(late, on=key, how="left").with_columns(
        revision=(pl.col("follows") | pl.col("late").fill_null(False)).cast(REVISION)
    )
    corrected = int(fresh["revision"].sum())
    return News(
        rows=fresh.select([*contract.schema, "revision"]).sort(sort_order(contract)),
        added=len(fresh) - corrected,
        corrected=corrected,
        unchanged=len(rows) - len(fresh),
    )


def latest(contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the last known row of each key; the rows are sorted by ``sort_order``."""
    superseded = pl.all_horizontal([pl.col(column) == pl.col(column).shift(-1) for column in contract.key])
    kept = ordered(rows, _by_fact(contract)).filter(~superseded.fill_null(False))
    return ordered(kept, sort_order(contract)) if moves(contract) else kept


def _by_fact(contract: Dataset) -> list[str]:
    """Return an order in which the rows of one key stand together, the first known first."""
    return [*contract.key, "known_at"] if moves(contract) else sort_order(contract)


def _up_to(known: pl.DataFrame, rows: pl.DataFrame, time: str) -> int:
    """Return how many of the sorted rows are not later than everything known."""
    return int((rows[time] <= known[time].max()).sum()) if len(known) else 0


def _same_as_previous(columns: list[str]) -> pl.Expr:
    return pl.all_horizontal([pl.col(c) == pl.col(c).shift() for c in columns]).fill_null(False)
