"""As-of replay: a function of the lake is run again on the lake as it was, and must give each row the same value.

>>> print(examine(lambda lake: surprise(lake.read("macro", ["CPI"])), lake))

A read without ``as_of`` gives the last revision of everything. Run on the lake of that day, the same line gives what
was known; where both differ, the row used what nobody knew, and the fact that made the difference is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from workbench.backtest.lookahead.answer import Answer, Label, compare, read_answer
from workbench.backtest.lookahead.dates import decided_at
from workbench.backtest.lookahead.finding import Check, Finding, Report, day
from workbench.backtest.lookahead.lookback import WEIGHT_UNIT
from workbench.backtest.lookahead.opened import in_doubt, opened
from workbench.backtest.lookahead.replay import Depth
from workbench.backtest.lookahead.subject import FEATURE, FUNCTION, STRATEGY, Raised, Runner, Subject
from workbench.backtest.lookahead.world import World
from workbench.data.datasets import dataset as contract_of
from workbench.data.facts import sort_order
from workbench.data.lake import Lake
from workbench.data.question import When
from workbench.data.watch import Bound
from workbench.errors import InputRefused, NoData
from workbench.types import Bars

# Prices that are adjusted for other actions are multiplied by other factors, which rounds the last digits.
ADJUSTED = 1e-7


class LakeThen(Lake):
    """A lake in which nothing is known that became known after a moment, in some datasets or for some keys only."""

    def __init__(
        self, lake: Lake, moment: datetime, names: Iterable[str] | None = None, keys: pl.DataFrame | None = None
    ) -> None:
        super().__init__(lake.root, lake.market)
        self._tables, self._symbols = lake._tables, lake._symbols
        self._moment, self._names, self._keys = moment, None if names is None else set(names), keys
        self.asked: set[str] = set()
        self.adjusted: set[str] = set()  # what was read as bars

    def read(
        self,
        name: str,
        symbols: Sequence[str] | None = None,
        start: When = None,
        end: When = None,
        as_of: datetime | str | None = None,
        version: int | None = None,
    ) -> pl.DataFrame:
        """Return what was known at the earlier of ``as_of`` and the moment."""
        self.asked.add(name)
        if self._keys is None:
            return super().read(name, symbols, start, end, self._earlier(name, as_of), version)
        now = super().read(name, symbols, start, end, as_of, version)
        if self._names is not None and name not in self._names:
            return now
        contract = contract_of(name)
        try:
            then = super().read(name, symbols, start, end, self._earlier(name, as_of), version)
        except NoData:
            then = now.clear()
        key = list(contract.key)
        parts = [now.join(self._keys, on=key, how="anti"), then.join(self._keys, on=key, how="semi")]
        return pl.concat(parts).sort([column for column in sort_order(contract) if column in now.columns])

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
        """Return the bars known at the earlier of ``as_of`` and the moment."""
        self.asked.add(dataset)
        self.adjusted.add(dataset)
        return super().bars(symbols, start, end, self._earlier(dataset, as_of), versions, dataset, adjusted)

    def newest(self, name: str) -> date:
        """Return the day of the newest event that was known."""
        self.asked.add(name)
        last: Any = self.read(name)[contract_of(name).time].max()
        return last.date() if isinstance(last, datetime) else last

    def _earlier(self, name: str, as_of: datetime | str | None) -> datetime | str | None:
        if self._names is not None and name not in self._names:
            return as_of
        if as_of is None:
            return self._moment
        try:
            asked = pd.Timestamp(as_of)
        except ValueError:
            return as_of  # for the lake to refuse, as what has no zone
        return as_of if asked.tzinfo is None or asked < pd.Timestamp(self._moment) else self._moment


def examine_reader(subject: Subject, lake: Lake, depth: Depth, seed: int) -> Report:
    """Return where a function of the lake uses what was not known yet; a strategy or feature reads all bars."""
    subject = _of_lake(subject)
    replay = _Replay(subject, lake)
    findings, checks, notes = [], [], []
    if replay.repeats():
        rows = replay.choose(depth.cuts, seed)
        late = [(row, label) for row in rows if (label := replay.late(row)) is not None]
        tried = replay.run.runs
        checks = [Check("repeat", 1, 2), Check("as of", len(rows), tried - 2)]
        if late:
            row, label = late[-1]
            findings.append(replay.locate(row, label))
            notes.append(f"seen on {len(late)} of {len(rows)} dates tried")
            checks.append(Check("location", 1, replay.run.runs - tried))
        if replay.empty:
            notes.append(f"on {replay.empty} of {len(rows)} dates it raised on the lake as it was: nothing to compare")
    else:
        rows = []
        text = subject.say("it differs between two runs on the same lake; look-ahead cannot be told until that is gone")
        findings.append(Finding("not repeatable", text))
    return Report(
        name=subject.name,
        kind=subject.kind,
        params=subject.params,
        source=subject.source,
        data=f"the lake of the {lake.market} market as of each date",
        seed=seed,
        checks=tuple(checks),
        dates=tuple(day(replay.index[row]) for row in rows),
        findings=tuple(findings),
        notes=tuple(notes),
        doubts=tuple(replay.doubts),
    )


class _Replay:
    """One subject on one lake, now and as it was."""

    def __init__(self, subject: Subject, lake: Lake) -> None:
        self.subject, self.lake = subject, lake
        self.run = Runner(subject)
        self.empty = 0
        with opened() as seen:
            now = self._first(lake)
        self.doubts = in_doubt(seen)
        index = (
            now.index.levels[0]
            if isinstance(getattr(now, "index", None), pd.MultiIndex)
            else getattr(now, "index", None)
        )
        if not isinstance(index, pd.DatetimeIndex) or index.tz is not None or not len(index):
            raise InputRefused(
                f"{subject.name}: its answer from the lake has no row a session; return a series or frame by session"
            )
        self.index = pd.DatetimeIndex(index.unique().sort_values())
        self.base = self._answer(now, self.index)

    def repeats(self) -> bool:
        """Return whether it gives the same again."""
        return not compare(self.base, self._answer(self._raw(self.lake), self.index), slice(0, len(self.index)))

    def choose(self, count: int, seed: int) -> list[int]:
        """Return rows with something in them, the last one included, drawn from strata."""
        filled = np.flatnonzero((~np.isnan(self.base.values)).any(axis=1))
        random = np.random.default_rng(seed)
        parts = [part for part in np.array_split(filled, count) if len(part)]
        return sorted({int(random.choice(part)) for part in parts} | {int(filled[-1])} if len(filled) else set())

    def late(self, row: int, names: set[str] | None = None, keys: pl.DataFrame | None = None) -> Label | None:
        """Return a column whose value in this row was not known then."""
        try:
            found = self._raw(LakeThen(self.lake, self._moment(row), names, keys), self._bound(row, names, keys))
        except Raised:
            self.empty += names is None
            return None
        known = self.index[: row + 1] if names is None else self.index
        then = self._answer(found, known)
        unit = WEIGHT_UNIT if self.subject.kind == STRATEGY else 0.0
        apart = compare(self.base, then, slice(row, row + 1), relative=ADJUSTED, absolute=unit)
        return apart.labels[apart.columns[int(np.argmax(apart.sizes))]] if apart else None

    def locate(self, row: int, label: Label) -> Finding:
        """Return the dataset, and the fact in it, that the row used too early."""
        moment = self._moment(row)
        spy = LakeThen(self.lake, moment, set())
        self._raw(spy)
        what = self.subject.say(f"{label} on {day(self.index[row])}")
        read = (*sorted(spy.asked), *sorted(self.run.reads.keys() - spy.asked))
        name = next((name for name in read if self.late(row, {name}) is not None), None)
        if name is None:
            text = (
                f"{what} is another one on the lake of {_utc(moment)}: it uses several datasets before they were known"
            )
            return Finding("used before known", text, str(label), day(self.index[row]), read=_utc(moment))
        fact = None if name in spy.adjusted else self._fact(row, name)
        if fact is None:
            text = (
                f"{what} is another one when {name} is read as of {_utc(moment)}: it uses rows known later; read as_of"
            )
            if name in spy.adjusted:
                text = (
                    f"{what} is another one on bars of {name} as of {_utc(moment)}: it uses later bars, or prices "
                    "adjusted for later splits and dividends, whose level tells of them; use returns or traded_close"
                )
            return Finding("used before known", text, str(label), day(self.index[row]), name, read=_utc(moment))
        now, then = fact
        contract = contract_of(name)
        key = " ".join(str(now[column]) for column in contract.key)
        values = [column for column in contract.columns if column not in contract.key]
        is_value = ", ".join(str(now[column]) for column in values)
        since = _utc(now["known_at"])
        text = f"{what} uses {name} {key} = {is_value}, known from {since}, after the decision at {_utc(moment)}"
        if then is None:
            kind, text = "used before known", f"{text}; nothing of it was known then"
        else:
            was = ", ".join(str(then[column]) for column in values)
            kind, text = "revised value", f"{text}: a revision; known then was {was}"
        return Finding(kind, text, str(label), day(self.index[row]), name, str(now[contract.symbol]), since)

    def _fact(self, row: int, name: str) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
        """Return the fact as it is now and as it was then (None: not known), found by halving what differs."""
        contract, moment = contract_of(name), self._moment(row)
        now = self.lake.read(name)
        try:
            then = self.lake.read(name, as_of=moment)
        except NoData:
            then = now.clear()
        own = list(contract.columns)
        differ = now.join(then.select(own), on=own, how="anti", nulls_equal=True)
        keys = differ.select(list(contract.key))
        if not len(keys) or self.late(row, {name}, keys) is None:
            return None
        while len(keys) > 1:
            half = len(keys) // 2
            part = next((p for p in (keys[half:], keys[:half]) if self.late(row, {name}, p) is not None), None)
            if part is None:
                return None
            keys = part
        before = then.join(keys, on=list(contract.key), how="semi")
        return (
            now.join(keys, on=list(contract.key), how="semi").row(0, named=True),
            before.row(0, named=True) if len(before) else None,
        )

    def _first(self, lake: Lake) -> Any:
        try:
            return self._raw(lake)
        except Raised as error:
            raise InputRefused(
                f"{self.subject.name}: it raises on the lake itself, so nothing was examined: {error}"
            ) from error.__cause__

    def _raw(self, lake: Lake, bound: Bound = lambda _: None) -> Any:
        return self.run.raw(lake, bound)

    def _bound(self, row: int, names: set[str] | None, keys: pl.DataFrame | None) -> Bound:
        """Return to what a lake is held that the subject opens by itself; single facts it cannot be asked for."""
        moment = self._moment(row)
        return lambda name: moment if keys is None and (names is None or name in names) else None

    def _answer(self, found: Any, index: pd.DatetimeIndex) -> Answer:
        """Return the answer on these rows; rows beyond them are left out."""
        rows = found.index.get_level_values(0) if isinstance(found.index, pd.MultiIndex) else found.index
        world = World(index, (), {}, _never, "lake")
        return self.run.shaped(read_answer(found[rows.isin(index)], world, self.subject.group))

    def _moment(self, row: int) -> datetime:
        return decided_at(self.index, row)


def _never(*_: Any) -> Any:
    raise AssertionError("a lake's answer has no data to put together")


def _of_lake(subject: Subject) -> Subject:
    function = subject.function
    if subject.kind not in (STRATEGY, FEATURE):
        return replace(subject, kind=FUNCTION)
    return replace(subject, function=lambda lake: function(lake.bars()))


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%MZ}"
