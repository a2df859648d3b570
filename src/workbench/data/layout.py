"""How the rows of a dataset lie in files: cut by time, pruned at a read, put in order, and tidied up now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from workbench.data.datasets import Dataset
from workbench.data.facts import latest, moves, ordered, sort_order
from workbench.data.table import DataFile, Moment, Snapshot, Table

# About this many rows a file: large enough to read fast, small enough that a query skips most files.
FILE_ROWS = 200_000
# Daily publishes leave a small file each; when there are more loose files than this, a publish tidies up.
LOOSE_FILES = 64
# Up to so many sessions touched by corrections, a read mends those and leaves the rest; beyond, it sorts everything.
FEW_TIMES = 100


@dataclass(frozen=True)
class Ask:
    """Which facts: of some symbols, in a span of event time (both ends included), known at a moment; None: all."""

    symbols: Sequence[str] | None = None
    first: Moment | None = None
    last: Moment | None = None
    as_of: datetime | None = None


def read_facts(table: Table, snapshot: Snapshot, contract: Dataset, ask: Ask, columns: list[str]) -> pl.DataFrame:
    """Return what was known of a dataset, possibly nothing.

    1. Leave out the files that cannot hold anything asked for.
    2. Read the spine, the files that follow each other in time: their rows come sorted.
    3. Insert the rows of all other files, corrections mostly, and sort only the times that they touch.
    4. Keep the last known row of each key, where any file holds more than one.
    """
    if moves(contract) and (ask.first is not None or ask.last is not None):
        every = read_facts(table, snapshot, contract, replace(ask, first=None, last=None), list(contract.schema))
        return every.filter(_within(contract.time, ask)).select(columns)
    files = [file for file in snapshot.files if _may_hold(file, ask)]
    order = sort_order(contract)
    several = any(file.revised for file in files)
    read = list(dict.fromkeys([*columns, *(order if several else order[:-1])]))
    wanted = [_within(contract.time, ask)] if any(_reaches_out(file, ask) for file in files) else []
    if ask.symbols is not None:
        wanted.append(pl.col(contract.symbol).is_in(list(ask.symbols)))
    if ask.as_of is not None and any(file.known_last is None or file.known_last > ask.as_of for file in files):
        wanted.append(pl.col("known_at") <= ask.as_of)
    spine, others = _spine(files)
    rows = scan(table, spine, read, wanted)
    more = scan(table, others, read, wanted)
    if len(more):
        rows = _inserted(rows, more, contract.time, [column for column in order if column in read])
    if several:
        rows = latest(contract, rows)
    return rows.select(columns)


def read_around(table: Table, snapshot: Snapshot, contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
    """Return the stored facts that may concern the keys of a batch: its symbols in its span of time."""
    named = pl.col(contract.symbol).is_in(rows[contract.symbol].unique().implode())
    span: Any = () if moves(contract) else (rows[contract.time].min(), rows[contract.time].max())
    ask = Ask(None, *span)
    files = [file for file in snapshot.files if _may_hold(file, ask)]
    return scan(table, files, list(contract.schema), [_within(contract.time, ask), named])


def tidy(table: Table, snapshot: Snapshot, contract: Dataset) -> Snapshot:
    """Rewrite loose files as few sorted ones, as a new version; hold the lock for it."""
    loose = loose_runs(snapshot.files)
    parts: list[pl.DataFrame] = []
    for run in loose:
        rows = ordered(scan(table, run, list(table.schema)), sort_order(contract))
        parts += cut(rows, contract.time)
    if not parts:
        return snapshot
    note = {"operation": "optimize", "added": 0, "corrected": 0}
    return table.commit(parts, note, replaced=[file for run in loose for file in run])


def scan(table: Table, files: Sequence[DataFile], columns: list[str], wanted: Sequence[pl.Expr] = ()) -> pl.DataFrame:
    """Return the rows of some files that meet all conditions, in the order of the files."""
    if not files:
        return pl.DataFrame(schema={column: table.schema[column] for column in columns})
    paths = table.paths(files)
    try:
        rows = pl.scan_parquet(paths, hive_partitioning=False, glob=False)
        for condition in wanted:
            rows = rows.filter(condition)
        return rows.select(columns).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise table.unreadable(error) from error


def _inserted(rows: pl.DataFrame, more: pl.DataFrame, time: str, order: list[str]) -> pl.DataFrame:
    """Return sorted ``rows`` with ``more`` put in; where few times are touched, all other rows stay where they are."""
    times = more[time].unique().sort()
    if len(times) > FEW_TIMES:
        return pl.concat([rows, more]).sort(order)
    starts, ends = (rows[time].search_sorted(times, side) for side in ("left", "right"))
    pieces, done = [], 0
    for moment, start, end in zip(times, starts, ends, strict=True):
        pieces += [rows[done:start], pl.concat([rows[start:end], more.filter(pl.col(time) == moment)]).sort(order)]
        done = end
    return pl.concat([*pieces, rows[done:]])


def _within(time: str, ask: Ask) -> pl.Expr:
    since = pl.lit(True) if ask.first is None else pl.col(time) >= ask.first
    return since if ask.last is None else since & (pl.col(time) <= ask.last)


def cut(rows: pl.DataFrame, time: str) -> list[pl.DataFrame]:
    """Cut sorted rows into files of about FILE_ROWS, never inside one event time, so that files follow each other."""
    parts, start = [], 0
    while start < len(rows):
        end = start + FILE_ROWS
        if len(rows) - end < FILE_ROWS // 2:
            end = len(rows)
        else:
            end = int(rows[time].search_sorted(rows[time][end], side="left"))
            if end <= start:
                end = int(rows[time].search_sorted(rows[time][start], side="right"))
        parts.append(rows[start:end])
        start = end
    return parts


def _spine(files: Sequence[DataFile]) -> tuple[list[DataFile], list[DataFile]]:
    """Split files into those that follow each other in time without overlap, large ones preferred, and the others."""
    spine: list[DataFile] = []
    others: list[DataFile] = []
    for file in files:
        if spine and _time(file.first) <= _time(spine[-1].last):
            small, large = sorted((file, spine[-1]), key=lambda each: each.rows)
            spine[-1] = large
            others.append(small)
        else:
            spine.append(file)
    return spine, others


def loose_runs(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Return the runs of neighbouring files worth rewriting: overlapping ones, and small ones next to each other."""
    runs: list[list[DataFile]] = []
    end: Any = None
    for file in files:
        overlaps = end is not None and _time(file.first) <= end
        small = file.rows < FILE_ROWS // 2
        if runs and (overlaps or (small and all(each.rows < FILE_ROWS // 2 for each in runs[-1]))):
            runs[-1].append(file)
        else:
            runs.append([file])
        end = max(_time(file.last), end) if end is not None else _time(file.last)
    return [run for run in runs if len(run) > 1]


def _may_hold(file: DataFile, ask: Ask) -> bool:
    return not (
        (ask.first is not None and _time(file.last) < ask.first)
        or (ask.last is not None and _time(file.first) > ask.last)
        or (ask.as_of is not None and file.known_first is not None and file.known_first > ask.as_of)
    )


def _reaches_out(file: DataFile, ask: Ask) -> bool:
    return (ask.first is not None and _time(file.first) < ask.first) or (
        ask.last is not None and _time(file.last) > ask.last
    )


def _time(moment: Moment | None) -> Any:
    """Every published row has an event time (``facts.checked``), so every file has bounds."""
    assert moment is not None
    return moment
