"""The lake: every dataset of one market as a versioned table, read as of a moment.

>>> lake = Lake(paths.lake, "sample")
>>> lake.read("prices_daily", ["TEC01"], start="2020-01-01", as_of="2020-06-30T22:00:00Z")   # what was known then
>>> lake.bars(["TEC01", "TEC02"])                                                            # adjusted, date × symbol

Write, audit, publish: a source stages a batch, ``quality.validate_staged`` checks it and publishes what is sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any, cast

import polars as pl

from workbench.data import staging
from workbench.data.adjust import factors
from workbench.data.datasets import DATASETS, UTC_TIME, Dataset, dataset
from workbench.data.facts import REVISION, checked, latest, ordered, sift, sort_order
from workbench.data.panel import panel
from workbench.data.source import Batch
from workbench.data.table import DataFile, Moment, Snapshot, Table
from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.types import FIELDS, Bars

# About this many rows a file: large enough to read fast, small enough that a query skips most files.
FILE_ROWS = 200_000
# Daily publishes leave a small file each; when there are more loose files than this, a publish tidies up.
LOOSE_FILES = 64
# Up to so many sessions touched by corrections, a read mends those and leaves the rest; beyond, it sorts everything.
FEW_TIMES = 100
WAIT_SECONDS = 30.0

When = date | datetime | str | None


@dataclass(frozen=True)
class Published:
    """What a publish did: the version that now holds the rows, and how many were new, known already, or corrections."""

    version: int
    added: int
    unchanged: int
    corrected: int


class Lake:
    """The tables of one market, below ``root/market``; staged and raw batches lie beside ``root`` unless told."""

    def __init__(self, root: Path | str, market: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", market):
            raise InputRefused(f"market '{market}': use lower-case letters, digits and '_', for example sample or real")
        self.root = Path(root)
        self.market = market
        self.staged_root = self.root.parent / "staged"
        self.raw_root = self.root.parent / "raw"
        self._tables: dict[str, Table] = {}
        self._symbols: dict[tuple[str, int], list[str]] = {}

    # Write -----------------------------------------------------------------------------------------------------------

    def stage(self, batch: Batch, staged_root: Path | None = None, raw_root: Path | None = None) -> Path:
        """Put a batch where validation finds it, and keep it for ever as what the source sent."""
        return staging.stage(batch, self.market, staged_root or self.staged_root, raw_root or self.raw_root)

    def publish(self, name: str, rows: pl.DataFrame, *, wait_seconds: float = WAIT_SECONDS) -> Published:
        """Add validated rows to a dataset; what says nothing new changes nothing, not even the version."""
        contract = dataset(name)
        rows = checked(contract, rows)
        table = self._table(name)
        with table.lock(wait_seconds):
            before = table.snapshot() if table.exists() else None
            known = rows.clear() if before is None else self._known_around(table, before, contract, rows)
            news = sift(contract, known, rows)
            if before is not None and news.rows.is_empty():
                return Published(before.version, 0, news.unchanged, 0)
            note = {"operation": "publish", "added": news.added, "corrected": news.corrected}
            after = table.commit(_parts(news.rows, contract.time), note)
            if sum(map(len, _loose(after.files))) > LOOSE_FILES:
                after = self._tidy(table, after, contract)
            return Published(after.version, news.added, news.unchanged, news.corrected)

    def optimize(self, name: str, *, wait_seconds: float = WAIT_SECONDS) -> int:
        """Rewrite small and overlapping files as few sorted ones; every older version stays readable as it was."""
        table = self._existing(name)
        with table.lock(wait_seconds):
            return self._tidy(table, table.snapshot(), dataset(name)).version

    # Read ------------------------------------------------------------------------------------------------------------

    def read(
        self,
        name: str,
        symbols: Sequence[str] | None = None,
        start: When = None,
        end: When = None,
        as_of: datetime | str | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Return what was known at ``as_of``: one row per key, sorted by event time and then by the rest of the key."""
        contract = dataset(name)
        return self._read(contract, symbols, start, end, as_of, version, list(contract.schema))

    def bars(
        self,
        symbols: Sequence[str] | None = None,
        start: When = None,
        end: When = None,
        as_of: datetime | str | None = None,
        versions: Mapping[str, int] | None = None,
        dataset: str = "prices_daily",
        adjusted: bool = True,
    ) -> Bars:
        """Return prices as date × symbol frames, adjusted for what was known at ``as_of`` and effective by then.

        An action is effective from its ex-date on: up to the last bar read, and up to the day of ``as_of`` where one
        is given. A symbol asked for by name that has no bar in the range is a column of NaN.
        """
        contract, pins = _priced(dataset), dict(versions or {})
        columns = [contract.time, contract.symbol, *FIELDS]
        rows = self._read(contract, symbols, start, end, as_of, pins.get(contract.name), columns)
        prices = panel(rows, contract.time, contract.symbol, symbols, FIELDS)
        traded = prices.fields
        values = dict(traded)
        if adjusted:
            last = rows[contract.time][-1]
            actions = self._effective_actions(prices.symbols, _day(last), as_of, pins.get("actions"))
            found = factors(prices.times, prices.symbols, traded["close"], actions)
            if found.price is not None:
                values |= {name: traded[name] * found.price for name in ("open", "high", "low", "close")}
            if found.volume is not None:
                values["volume"] = traded["volume"] * found.volume
        frames = {name: prices.frame(values[name]) for name in FIELDS}
        sectors = self._sectors(prices.symbols, as_of, pins.get("symbols"))
        return Bars(**frames, traded_close=prices.frame(traded["close"]), market=self.market, sectors=sectors)

    def around(self, name: str, rows: pl.DataFrame, days_before: int = 0) -> pl.DataFrame:
        """Return what is known of the symbols in ``rows``, over their time and some days before; maybe nothing."""
        contract, table = dataset(name), self._table(name)
        first, last = rows[contract.time].min(), rows[contract.time].max()
        if not table.exists() or first is None:
            return pl.DataFrame(schema=contract.schema)
        symbols = rows[contract.symbol].drop_nulls().unique().to_list()
        start = cast(Moment, first) - timedelta(days=days_before)
        return self._facts(
            table, table.snapshot(), contract, symbols, start, cast(Moment, last), None, list(contract.schema)
        )

    # Versions --------------------------------------------------------------------------------------------------------

    def version(self, name: str) -> int:
        """Return the newest version of a dataset."""
        return self._existing(name).version()

    def versions(self) -> dict[str, int]:
        """Return the newest version of every dataset there is: what a run records, and pins to be repeated."""
        tables = {name: self._table(name) for name in DATASETS}
        return {name: table.version() for name, table in tables.items() if table.exists()}

    def history(self, name: str) -> pl.DataFrame:
        """Return what each version of a dataset did, the oldest first."""
        rows = self._existing(name).history()
        columns = ("version", "moment", "operation", "added", "corrected", "rows", "files")
        return pl.DataFrame([{column: row[column] for column in columns} for row in rows])

    def digest(self, name: str, version: int | None = None) -> str:
        """Return a digest of a version's content, without reading it."""
        return self._existing(name).snapshot(version).digest

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """Return a version of a dataset as the files that hold it."""
        return self._existing(name).snapshot(version)

    def newest(self, name: str) -> date:
        """Return the day of the newest event in a dataset."""
        last = self._existing(name).snapshot().last
        assert last is not None
        return _day(last)

    def verify(self, name: str) -> int:
        """Read every file of every version again and return how many are sound; raise on the first that is not."""
        return self._existing(name).verify()

    # Quarantine ------------------------------------------------------------------------------------------------------

    def quarantine(self, name: str) -> pl.DataFrame:
        """Return the rows that were kept out of a dataset, the rules they broke, their batch and when that was."""
        table = self._quarantine(name)
        if not table.exists():
            return pl.DataFrame(schema=table.schema)
        snapshot = table.snapshot()
        return _scan(table, snapshot.files, list(table.schema)).sort("quarantined_at", maintain_order=True)

    def add_to_quarantine(self, name: str, rows: pl.DataFrame, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Keep broken rows, with their ``rule``, ``batch`` and ``quarantined_at``; the same row is kept once."""
        table = self._quarantine(name)
        with table.lock(wait_seconds):
            if table.exists():
                same = [*dataset(name).schema, "rule"]
                kept = _scan(table, table.snapshot().files, same)
                rows = rows.join(kept, on=same, how="anti", nulls_equal=True)
            if len(rows):
                note = {"operation": "quarantine", "added": len(rows), "corrected": 0}
                table.commit([rows.select(list(table.schema))], note)

    # Inside ----------------------------------------------------------------------------------------------------------

    def _table(self, name: str) -> Table:
        if name not in self._tables:
            contract = dataset(name)
            schema = {**contract.schema, "revision": REVISION}
            self._tables[name] = Table(self.root / self.market / name, name, schema, contract.time)
        return self._tables[name]

    def _existing(self, name: str) -> Table:
        table = self._table(name)
        if not table.exists():
            raise NoData(f"{name}: market '{self.market}' has no such table in {self.root}; ingest it: make data")
        return table

    def _quarantine(self, name: str) -> Table:
        schema = {**dataset(name).schema, "rule": pl.String, "batch": pl.String, "quarantined_at": UTC_TIME}
        folder = self.root / self.market / "quarantine" / name
        return Table(folder, f"quarantine/{name}", schema, "quarantined_at")

    def _read(
        self,
        contract: Dataset,
        symbols: Sequence[str] | None,
        start: When,
        end: When,
        as_of: datetime | str | None,
        version: int | None,
        columns: list[str],
    ) -> pl.DataFrame:
        name, moment = contract.name, _as_of(contract.name, as_of)
        first, last = _bound(contract, start, "start"), _bound(contract, end, "end")
        if first is not None and last is not None and first > last:
            raise InputRefused(f"{name}: start {start} is after end {end}; swap them")
        if symbols is not None and not len(symbols):
            raise NoData(f"{name}: the universe is empty; name at least one {contract.symbol}")
        table = self._existing(name)
        snapshot = table.snapshot(version)
        rows = self._facts(table, snapshot, contract, symbols, first, last, moment, columns)
        absent = set(symbols or ()).difference(rows[contract.symbol].unique() if symbols is not None else ())
        if absent:
            self._refuse_unknown(table, snapshot, contract, absent)
        if rows.is_empty():
            who = "" if symbols is None else f" for {', '.join(list(symbols)[:5])}{' …' if len(symbols) > 5 else ''}"
            ends = f" between {start or 'the beginning'} and {end or 'now'}" if start or end else ""
            then = f" known at {moment:%Y-%m-%dT%H:%M:%SZ}" if moment is not None else ""
            have = f"{snapshot.files[0].first} to {snapshot.last}"
            raise NoData(f"{name}: no rows{who}{ends}{then}; version {snapshot.version} holds {have}")
        return rows

    def _facts(
        self,
        table: Table,
        snapshot: Snapshot,
        contract: Dataset,
        symbols: Sequence[str] | None,
        first: Moment | None,
        last: Moment | None,
        as_of: datetime | None,
        columns: list[str],
    ) -> pl.DataFrame:
        """Return what was known of a dataset, possibly nothing.

        1. Leave out the files that cannot hold anything asked for.
        2. Read the spine, the files that follow each other in time: their rows come sorted.
        3. Insert the rows of all other files, corrections mostly, and sort only the times that they touch.
        4. Keep the last known row of each key, where any file holds more than one.
        """
        files = [file for file in snapshot.files if _may_hold(file, first, last, as_of)]
        order = sort_order(contract)
        several = any(file.revised for file in files)
        read = list(dict.fromkeys([*columns, *(order if several else order[:-1])]))
        wanted = []
        if symbols is not None:
            wanted.append(pl.col(contract.symbol).is_in(list(symbols)))
        if first is not None and any(_time(file.first) < first for file in files):
            wanted.append(pl.col(contract.time) >= first)
        if last is not None and any(_time(file.last) > last for file in files):
            wanted.append(pl.col(contract.time) <= last)
        if as_of is not None and any(file.known_last is None or file.known_last > as_of for file in files):
            wanted.append(pl.col("known_at") <= as_of)
        spine, others = _spine(files)
        rows = _scan(table, spine, read, wanted)
        more = _scan(table, others, read, wanted)
        if len(more):
            rows = _inserted(rows, more, contract.time, [column for column in order if column in read])
        if several:
            rows = latest(contract, rows)
        return rows.select(columns)

    def _known_around(self, table: Table, snapshot: Snapshot, contract: Dataset, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the stored facts that may concern the keys of a batch: its symbols in its span of time."""
        first, last = rows[contract.time].min(), rows[contract.time].max()
        files = [file for file in snapshot.files if _time(file.last) >= first and _time(file.first) <= last]
        named = rows[contract.symbol].unique().implode()
        wanted = [pl.col(contract.time).is_between(first, last), pl.col(contract.symbol).is_in(named)]
        return _scan(table, files, list(contract.schema), wanted)

    def _tidy(self, table: Table, snapshot: Snapshot, contract: Dataset) -> Snapshot:
        loose, parts = _loose(snapshot.files), []
        for run in loose:
            rows = ordered(_scan(table, run, list(table.schema)), sort_order(contract))
            parts += _parts(rows, contract.time)
        if not parts:
            return snapshot
        note = {"operation": "optimize", "added": 0, "corrected": 0}
        return table.commit(parts, note, replaced=[file for run in loose for file in run])

    def _refuse_unknown(self, table: Table, snapshot: Snapshot, contract: Dataset, absent: Iterable[str]) -> None:
        pin = (contract.name, snapshot.version)
        if pin not in self._symbols:
            column = contract.symbol
            self._symbols[pin] = _scan(table, snapshot.files, [column])[column].unique().sort().to_list()
        known = self._symbols[pin]
        for symbol in sorted(absent):
            if symbol not in known:
                near = did_you_mean(symbol, known)
                if not near.startswith(" Did") and len(known) > 12:
                    near = f" There are {len(known)}, {known[0]} to {known[-1]}."
                raise NoData(f"{contract.name}: unknown {contract.symbol} '{symbol}' in market '{self.market}'.{near}")

    def _effective_actions(
        self, symbols: Sequence[str], last: date, as_of: datetime | str | None, version: int | None
    ) -> pl.DataFrame:
        contract, moment = dataset("actions"), _as_of("actions", as_of)
        table = self._table("actions")
        if not table.exists():
            raise NoData(
                f"actions: market '{self.market}' has no such table, so prices cannot be adjusted; "
                "ingest its splits and dividends, or read prices as traded: adjusted=False"
            )
        through = last if moment is None else max(last, moment.date())
        snapshot = table.snapshot(version)
        return self._facts(table, snapshot, contract, symbols, None, through, moment, list(contract.columns))

    def _sectors(self, symbols: Sequence[str], as_of: datetime | str | None, version: int | None) -> dict[str, str]:
        contract, table = dataset("symbols"), self._table("symbols")
        if not table.exists():
            return {}
        moment, snapshot = _as_of("symbols", as_of), table.snapshot(version)
        rows = self._facts(table, snapshot, contract, symbols, None, None, moment, ["symbol", "sector"])
        return dict(rows.drop_nulls().iter_rows())


def _priced(name: str) -> Dataset:
    contract = dataset(name)
    if not set(FIELDS) <= set(contract.columns):
        priced = [each.name for each in DATASETS.values() if set(FIELDS) <= set(each.columns)]
        raise InputRefused(f"bars: dataset '{name}' has no prices; use one of {', '.join(priced)}")
    return contract


def _scan(table: Table, files: Sequence[DataFile], columns: list[str], wanted: Sequence[pl.Expr] = ()) -> pl.DataFrame:
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


def _parts(rows: pl.DataFrame, time: str) -> list[pl.DataFrame]:
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


def _loose(files: Sequence[DataFile]) -> list[list[DataFile]]:
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


def _may_hold(file: DataFile, first: Moment | None, last: Moment | None, as_of: datetime | None) -> bool:
    return not (
        (first is not None and _time(file.last) < first)
        or (last is not None and _time(file.first) > last)
        or (as_of is not None and file.known_first is not None and file.known_first > as_of)
    )


def _time(moment: Moment | None) -> Any:
    """Every published row has an event time (``facts.checked``), so every file has bounds."""
    assert moment is not None
    return moment


def _as_of(name: str, as_of: datetime | str | None) -> datetime | None:
    if as_of is None:
        return None
    moment = _parsed(name, as_of, "as_of")
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InputRefused(f"{name}: as_of {as_of} has no time zone; write a moment, such as 2020-06-30T22:00:00Z")
    return moment.astimezone(UTC)


def _bound(contract: Dataset, when: When, side: str) -> Moment | None:
    """Return a start or end in the type of the dataset's event time; an end that is a day includes the whole day."""
    if when is None:
        return None
    moment = _parsed(contract.name, when, side)
    daily = contract.columns[contract.time] == pl.Date
    if daily:
        return moment.date() if isinstance(moment, datetime) else moment
    if not isinstance(moment, datetime):
        return datetime.combine(moment, clock.min if side == "start" else clock.max, UTC)
    if moment.tzinfo is None:
        raise InputRefused(
            f"{contract.name}: {side} {when} has no time zone; write 2020-06-30T13:30:00Z, or only the day"
        )
    return moment.astimezone(UTC)


def _parsed(name: str, when: date | datetime | str, what: str) -> Moment:
    if not isinstance(when, str):
        return when
    try:
        return date.fromisoformat(when) if len(when) == 10 else datetime.fromisoformat(when)
    except ValueError as error:
        raise InputRefused(f"{name}: {what} '{when}' is not a date; write YYYY-MM-DD") from error


def _day(moment: Moment) -> date:
    return moment.date() if isinstance(moment, datetime) else moment
