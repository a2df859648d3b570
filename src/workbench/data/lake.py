"""The lake: every dataset of one market as a versioned table, read as of a moment.

>>> lake = open_lake()
>>> lake.read("prices_daily", ["TEC01"], start="2020-01-01", as_of="2020-06-30T22:00:00Z")   # what was known then
>>> lake.bars(["TEC01", "TEC02"])                                                            # adjusted, date × symbol

Write, audit, publish: a source stages a batch, ``quality.validate_staged`` checks it and publishes what is sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from workbench.data import layout, staging
from workbench.data.adjust import factors
from workbench.data.datasets import DATASETS, UTC_TIME, Dataset, dataset
from workbench.data.facts import REVISION, checked, sift
from workbench.data.layout import Ask, cut, loose_runs, read_around, read_facts, scan, tidy
from workbench.data.panel import panel
from workbench.data.question import When, as_of_moment, names, pinned, span
from workbench.data.source import Batch
from workbench.data.table import DataFile, Moment, Snapshot, Table
from workbench.data.validated import Validated
from workbench.data.watch import held
from workbench.disk import short
from workbench.errors import InputRefused, NoData, did_you_mean
from workbench.params import Paths, Settings, lake_root, load_settings
from workbench.types import FIELDS, Bars

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Published:
    """What a publish did: the version that now holds the rows, and how many were new, known already, or corrections."""

    version: int
    added: int
    unchanged: int
    corrected: int


def open_lake(settings: Settings | None = None, paths: Paths | None = None) -> Lake:
    """Return the lake of the settings' market: of params/base.yaml and the environment where none are given."""
    paths = paths or Paths()
    settings = settings or load_settings(paths)
    return Lake(lake_root(settings, paths), settings.market)


class Lake:
    """The tables of one market, below ``root/market``; staged and raw batches lie beside ``root`` unless told."""

    def __init__(self, root: Path | str, market: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", market):
            raise InputRefused(f"market '{market}': use lower-case letters, digits and '_', for example sample or real")
        self.root = Path(root)
        if code := re.search("%[0-9A-Fa-f]{2}", str(self.root.resolve())):  # delta-rs would write to another folder
            raise InputRefused(
                f"lake {self.root}: a folder's name holds '{code[0]}', which Delta takes for another letter; "
                "move the checkout to a folder without it"
            )
        self.market = market
        self.staged_root = self.root.parent / "staged"
        self.raw_root = self.root.parent / "raw"
        self._tables: dict[str, Table] = {}
        self._symbols: dict[tuple[str, int], list[str]] = {}

    # Write -----------------------------------------------------------------------------------------------------------

    def stage(self, batch: Batch, staged_root: Path | None = None, raw_root: Path | None = None) -> Path:
        """Put a batch where validation finds it, and keep it for ever as what the source sent."""
        return staging.stage(batch, self.market, staged_root or self.staged_root, raw_root or self.raw_root)

    def publish(self, sound: Validated, *, wait_seconds: float = WAIT_SECONDS) -> Published:
        """Add validated rows to their dataset; what says nothing new changes nothing, not even the version."""
        if not isinstance(sound, Validated):
            raise InputRefused(
                f"publish: a {type(sound).__name__} was not validated; stage a batch with lake.stage and run "
                "validate_staged(lake), or release rows of the quarantine: docs/lake.md"
            )
        contract = dataset(sound.dataset)
        rows = checked(contract, sound.rows)
        table = self._table(contract.name)
        with table.lock(wait_seconds):
            before = table.snapshot() if table.exists() else None
            known = rows.clear() if before is None else read_around(table, before, contract, rows)
            news = sift(contract, known, rows)
            if before is not None and news.rows.is_empty():
                return Published(before.version, 0, news.unchanged, 0)
            note = {"operation": sound.operation, "added": news.added, "corrected": news.corrected}
            note |= {"because": sound.because, "by": sound.by}
            after = table.commit(cut(news.rows, contract.time), note)
            if sum(map(len, loose_runs(after.files))) > layout.LOOSE_FILES:
                after = tidy(table, after, contract)
            return Published(after.version, news.added, news.unchanged, news.corrected)

    def optimize(self, name: str, *, wait_seconds: float = WAIT_SECONDS) -> int:
        """Rewrite small and overlapping files as few sorted ones; every older version stays readable as it was."""
        table = self._existing(name)
        with table.lock(wait_seconds):
            return tidy(table, table.snapshot(), dataset(name)).version

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
        contract, pins = _priced(dataset), pinned(versions)
        symbols = names(contract, symbols)
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
        first: Any = rows[contract.time].min()
        last: Any = rows[contract.time].max()
        if not table.exists() or first is None:
            return pl.DataFrame(schema=contract.schema)
        symbols = rows[contract.symbol].drop_nulls().unique().to_list()
        start = first - timedelta(days=days_before)
        return read_facts(table, table.snapshot(), contract, Ask(symbols, start, last), list(contract.schema))

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
        columns = ("version", "moment", "operation", "added", "corrected", "rows", "files", "by", "because")
        return pl.DataFrame([{column: row.get(column, "") for column in columns} for row in rows])

    def released(self, name: str) -> pl.DataFrame:
        """Return the rows that people let into a dataset against a rule: who did, when, and why."""
        table, columns = self._table(name), list(dataset(name).schema)
        schema = {**dataset(name).schema, "because": pl.String, "by": pl.String, "released_at": UTC_TIME}
        found = [pl.DataFrame(schema=schema)]
        for done in table.history() if table.exists() else ():
            if done["operation"] == "release":
                before = table.snapshot(done["version"] - 1).files if done["version"] else ()
                files = [file for file in table.snapshot(done["version"]).files if file not in before]
                told = {"because": done["because"], "by": done["by"], "released_at": done["moment"]}
                told = {column: pl.lit(value).cast(schema[column]) for column, value in told.items()}
                found.append(scan(table, files, columns).with_columns(**told))
        return pl.concat(found)

    def digest(self, name: str, version: int | None = None) -> str:
        """Return a digest of a version's content, without reading it."""
        return self._existing(name).snapshot(version).digest

    def snapshot(self, name: str, version: int | None = None) -> Snapshot:
        """Return a version of a dataset as the files that hold it."""
        return self._existing(name).snapshot(version)

    def present(self, name: str, version: int | None = None) -> tuple[DataFile, ...]:
        """Return the files that hold a version, after making sure, without reading them, that all are there in full."""
        table = self._existing(name)
        files = table.snapshot(version).files
        table.check(files)
        return files

    def newest(self, name: str) -> date:
        """Return the day of the newest event in a dataset."""
        moment = held(name, None)
        last = self._existing(name).snapshot().last if moment is None else self.read(name)[dataset(name).time].max()
        assert isinstance(last, date)
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
        return scan(table, snapshot.files, list(table.schema)).sort("quarantined_at", maintain_order=True)

    def add_to_quarantine(self, name: str, rows: pl.DataFrame, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Keep broken rows, with their ``rule``, ``batch`` and ``quarantined_at``; the same row is kept once."""
        table = self._quarantine(name)
        with table.lock(wait_seconds):
            if table.exists():
                same = [*dataset(name).schema, "rule"]
                kept = scan(table, table.snapshot().files, same)
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
            raise NoData(
                f"{name}: market '{self.market}' has no such table in {short(self.root)}; ingest it: make data"
            )
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
        name, wanted = contract.name, names(contract, symbols)
        moment = held(name, as_of_moment(contract, as_of))
        first, last = span(contract, start, end)
        table = self._existing(name)
        snapshot = table.snapshot(version)
        rows = read_facts(table, snapshot, contract, Ask(wanted, first, last, moment), columns)
        absent = set(wanted or ()).difference(rows[contract.symbol].unique() if wanted is not None else ())
        if absent:
            self._refuse_unknown(table, snapshot, contract, absent)
        if rows.is_empty():
            who = "" if wanted is None else f" for {', '.join(wanted[:5])}{' …' if len(wanted) > 5 else ''}"
            ends = f" between {start or 'the beginning'} and {end or 'the newest'}" if start or end else ""
            then = f" known at {moment:%Y-%m-%dT%H:%M:%SZ}" if moment is not None else ""
            have = f"{snapshot.files[0].first} to {snapshot.last}"
            raise NoData(f"{name}: no rows{who}{ends}{then}; version {snapshot.version} holds {have}")
        return rows

    def _refuse_unknown(self, table: Table, snapshot: Snapshot, contract: Dataset, absent: Iterable[str]) -> None:
        pin = (contract.name, snapshot.version)
        if pin not in self._symbols:
            column = contract.symbol
            self._symbols[pin] = scan(table, snapshot.files, [column])[column].unique().sort().to_list()
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
        contract, table = dataset("actions"), self._table("actions")
        moment = held(contract.name, as_of_moment(contract, as_of))
        if not table.exists():
            raise NoData(
                f"actions: market '{self.market}' has no such table, so prices cannot be adjusted; "
                "ingest its splits and dividends, or read prices as traded: adjusted=False"
            )
        through = last if moment is None else max(last, moment.date())
        snapshot = table.snapshot(version)
        return read_facts(table, snapshot, contract, Ask(symbols, None, through, moment), list(contract.columns))

    def _sectors(self, symbols: Sequence[str], as_of: datetime | str | None, version: int | None) -> dict[str, str]:
        contract, table = dataset("symbols"), self._table("symbols")
        if not table.exists():
            return {}
        moment, snapshot = held(contract.name, as_of_moment(contract, as_of)), table.snapshot(version)
        rows = read_facts(table, snapshot, contract, Ask(symbols, as_of=moment), ["symbol", "sector"])
        return dict(rows.drop_nulls().iter_rows())


def _priced(name: str) -> Dataset:
    contract = dataset(name)
    if not set(FIELDS) <= set(contract.columns):
        priced = [each.name for each in DATASETS.values() if set(FIELDS) <= set(each.columns)]
        raise InputRefused(f"bars: dataset '{name}' has no prices; use one of {', '.join(priced)}")
    return contract


def _day(moment: Moment) -> date:
    return moment.date() if isinstance(moment, datetime) else moment
