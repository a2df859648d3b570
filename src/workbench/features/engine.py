"""The engine: a set of features over bars, each column kept by its content, only what is new computed.

>>> evaluate([momentum(126), alpha158()], bars)                      # all of it, nothing kept
>>> engine = Engine(lake, paths.data / "features")
>>> engine.evaluate([alpha158()]).columns.frame("MA20")              # the second time read, not computed
>>> engine.evaluate([alpha158()], start="2024-12-31").columns        # reads and computes what that day needs

What is kept is named by the feature's digest and by a digest of the numbers it was computed from. There is nothing to
invalidate: other bars, parameters or code have other names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.data.lake import Lake
from workbench.errors import InputRefused, NoData
from workbench.features.columns import Columns, joined
from workbench.features.declared import check_inputs, declared
from workbench.features.dense import kept_bars
from workbench.features.digest import feature_digest
from workbench.features.fingerprint import Fingerprint
from workbench.features.protocol import Family, Feature
from workbench.features.store import Block, Shelf, blocks
from workbench.types import Bars


@dataclass(frozen=True)
class Evaluation:
    """The columns, and what they cost: rows of bars read, and rows computed anew for each feature or family.

    ``rows_computed`` counts whole rows: what is computed for one symbol of a hundred counts a hundredth, and the sum is
    rounded up. It does not count the rows before, which a window looks back on.
    """

    columns: Columns
    rows_read: int
    rows_computed: dict[str, int]


@dataclass(frozen=True)
class Engine:
    """Evaluates features over a lake's daily bars, and keeps the columns below a folder."""

    lake: Lake
    folder: Path

    def evaluate(
        self,
        features: Sequence[Feature | Family],
        symbols: Sequence[str] | None = None,
        start: date | datetime | str | None = None,
        end: date | datetime | str | None = None,
        as_of: datetime | str | None = None,
        versions: Mapping[str, int] | None = None,
    ) -> Evaluation:
        """Return the columns from ``start`` to ``end``, of the bars as they were known at ``as_of``.

        A column computed in pieces equals the same column computed at once: to the last bit where it looks at windows
        of its own, within 1e-6 where it decays or where pandas carries sums along.
        """
        parts = _checked(features)
        since = None if start is None else _since(start, max(part.lookback for part in parts))
        place = self.folder / self.lake.market
        bars = kept_bars(self.lake, place / "bars", symbols, since, end, as_of, versions)
        shown = 0 if start is None else int(bars.index.searchsorted(pd.Timestamp(start).normalize()))
        if shown == len(bars):
            raise NoData(f"features: no bar from {start} on; the newest is of {bars.index[-1].date()}")
        pieces = [block for block in blocks(bars.index) if block.last > shown]
        base, numbers = pieces[0].first, Fingerprint(bars)
        done, computed = [], dict[str, int]()
        for part in parts:
            by_symbol = bool(getattr(part, "by_symbol", False))
            shelf = Shelf(place / feature_digest(part)[:32], part.inputs, part.lookback, by_symbol)
            found, count = _kept_or_computed(part, numbers, pieces, shelf)
            done.append(found.rows(shown - base))
            name = _name(part)
            computed[name] = computed.get(name, 0) + count
        return Evaluation(joined(done), len(bars), computed)


def evaluate(features: Sequence[Feature | Family], bars: Bars) -> Columns:
    """Return all columns over the bars, in single precision; nothing is kept."""
    return joined([_computed(part, bars) for part in _checked(features)])


@dataclass
class Run:
    """Rows that are computed at once, for some of the symbols."""

    first: int
    last: int
    symbols: NDArray[np.bool_]


def _kept_or_computed(
    part: Feature | Family, numbers: Fingerprint, pieces: Sequence[Block], shelf: Shelf
) -> tuple[Columns, int]:
    """Return a feature's columns over the blocks, and how many rows of them had to be computed.

    1. Look for each block, or for the longest beginning of it that was computed before, symbol by symbol.
    2. Compute each run of rows that is missing at once, with the rows before it that windows look back on.
    3. Keep the blocks that were not whole.
    """
    bars, base = numbers.bars, pieces[0].first
    names = part.names if isinstance(part, Family) else (part.name,)
    out = np.full((len(names), len(bars.symbols), pieces[-1].last - base), np.nan, np.float32)
    known = [shelf.load(block, numbers, out[:, :, block.first - base : block.last - base]) for block in pieces]
    missing = [(block, rows) for block, rows in zip(pieces, known, strict=True) if (rows < block.last).any()]
    for run in _runs(missing, part.lookback):
        begin = max(0, run.first - part.lookback + 1)
        # Rows after the last change nothing; a feature may refuse bars that are shorter than its window.
        end = min(len(bars), max(run.last, begin + part.lookback + 1))
        some = bars.between(bars.index[begin], bars.index[end - 1])
        alone = shelf.by_symbol and 2 * run.symbols.sum() < len(run.symbols)
        places = np.flatnonzero(run.symbols) if alone else np.arange(len(run.symbols))
        values = _computed(part, some.select([bars.symbols[place] for place in places]) if alone else some).values
        for block, rows in missing:
            first, last = max(run.first, block.first), min(run.last, block.last)
            if first < last:
                wanted = (run.symbols & (rows <= first))[places]
                where = places[wanted]
                out[:, where, first - base : last - base] = values[:, wanted, first - begin : last - begin]
    count = 0.0
    for block, rows in missing:
        shelf.keep(block, numbers, out[:, :, block.first - base : block.last - base], rows)
        count += float((block.last - rows).sum()) / shelf.count(block, numbers)
    columns = Columns(names, bars.symbols, bars.index[base : pieces[-1].last], out)
    return columns, ceil(round(count, 6))


def _runs(missing: Sequence[tuple[Block, NDArray[np.int64]]], lookback: int) -> list[Run]:
    """Return the runs of rows to compute: a block goes on with the run before where that takes less than a new one."""
    runs: list[Run] = []
    for block, rows in missing:
        for first in np.unique(rows[rows < block.last]).tolist():
            symbols = rows == first
            for run in runs:
                both = run.symbols | symbols
                apart = run.symbols.sum() * (run.last - run.first) + symbols.sum() * (block.last - first + lookback)
                if run.last == first and both.sum() * (block.last - run.first) <= apart:
                    run.last, run.symbols = block.last, both
                    break
            else:
                runs.append(Run(first, block.last, symbols))
    return runs


def _computed(part: Feature | Family, bars: Bars) -> Columns:
    """Return the columns over bars of which a feature can read what it declared, and nothing else."""
    some = declared(bars, _name(part), part.inputs)
    if isinstance(part, Family):
        return part.compute(some)
    values = part.compute(some).to_numpy(dtype=np.float32)
    return Columns((part.name,), bars.symbols, bars.index, np.ascontiguousarray(values.T)[None])


def _name(part: Feature | Family) -> str:
    return part.name if isinstance(part, Feature) else type(part).__name__


def _checked(features: Sequence[Feature | Family]) -> list[Feature | Family]:
    if not features:
        raise InputRefused("features: nothing to evaluate; give at least one feature")
    for part in features:
        if not isinstance(part, (Feature, Family)):
            raise InputRefused(
                f"features: {part!r} is no feature; it needs a name (or names), inputs, lookback and compute"
            )
        check_inputs(part.inputs)
    return list(features)


def _since(start: date | datetime | str, lookback: int) -> date:
    """Return a day from which to read: the quarter of ``start``, and the sessions before that windows look back on."""
    try:
        quarter = pd.Timestamp(start).to_period("Q").start_time
    except ValueError as error:
        raise InputRefused(f"features: start '{start}' is not a date; write YYYY-MM-DD") from error
    # A year has 252 sessions: 1.45 days each, and some more around holidays.
    return (quarter - timedelta(days=ceil(lookback * 1.6) + 14)).date()
