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

from workbench.data.lake import Lake
from workbench.errors import InputRefused, NoData
from workbench.features.columns import Columns, joined
from workbench.features.dense import kept_bars
from workbench.features.digest import feature_digest
from workbench.features.protocol import Family, Feature
from workbench.features.store import SECTORS, Block, Shelf, blocks
from workbench.types import FIELDS, Bars


@dataclass(frozen=True)
class Evaluation:
    """The columns, and what they cost: rows of bars read, and rows computed anew for each feature or family.

    ``rows_computed`` does not count the rows before, which a window looks back on.
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
        base = pieces[0].first
        done, computed = [], dict[str, int]()
        for part in parts:
            shelf = Shelf(place / feature_digest(part)[:32], part.inputs, part.lookback)
            found, count = _kept_or_computed(part, bars, pieces, shelf)
            done.append(found.rows(shown - base))
            name = part.name if isinstance(part, Feature) else type(part).__name__
            computed[name] = computed.get(name, 0) + count
        return Evaluation(joined(done), len(bars), computed)


def evaluate(features: Sequence[Feature | Family], bars: Bars) -> Columns:
    """Return all columns over the bars, in single precision; nothing is kept."""
    return joined([_computed(part, bars) for part in _checked(features)])


def _kept_or_computed(part: Feature | Family, bars: Bars, pieces: Sequence[Block], shelf: Shelf) -> tuple[Columns, int]:
    """Return a feature's columns over the blocks, and how many rows of them had to be computed.

    1. Look for each block, or for the longest beginning of it that was computed before.
    2. Compute each run of rows that is missing at once, with the rows before it that windows look back on.
    3. Keep the blocks that were not whole.
    """
    base, names = pieces[0].first, part.names if isinstance(part, Family) else (part.name,)
    out = np.full((len(names), len(bars.symbols), pieces[-1].last - base), np.nan, np.float32)
    known = [shelf.load(block, bars, out[:, :, block.first - base : block.last - base]) for block in pieces]
    runs: list[tuple[int, int]] = []
    for block, row in zip(pieces, known, strict=True):
        if row < block.last:
            first = runs.pop()[0] if runs and runs[-1][1] == row else row
            runs.append((first, block.last))
    for first, last in runs:
        begin = max(0, first - part.lookback + 1)
        # Rows after the last change nothing; a feature may refuse bars that are shorter than its window.
        end = min(len(bars), max(last, begin + part.lookback + 1))
        found = _computed(part, bars.between(bars.index[begin], bars.index[end - 1]))
        out[:, :, first - base : last - base] = found.values[:, :, first - begin : last - begin]
    for block, row in zip(pieces, known, strict=True):
        if row < block.last:
            shelf.keep(block, bars, out[:, :, block.first - base : block.last - base])
    columns = Columns(names, bars.symbols, bars.index[base : pieces[-1].last], out)
    return columns, sum(last - first for first, last in runs)


def _computed(part: Feature | Family, bars: Bars) -> Columns:
    if isinstance(part, Family):
        return part.compute(bars)
    values = part.compute(bars).to_numpy(dtype=np.float32)
    return Columns((part.name,), bars.symbols, bars.index, np.ascontiguousarray(values.T)[None])


def _checked(features: Sequence[Feature | Family]) -> list[Feature | Family]:
    if not features:
        raise InputRefused("features: nothing to evaluate; give at least one feature")
    for part in features:
        if not isinstance(part, (Feature, Family)):
            raise InputRefused(
                f"features: {part!r} is no feature; it needs a name (or names), inputs, lookback and compute"
            )
        unknown = [name for name in part.inputs if name not in (*FIELDS, SECTORS)]
        if unknown:
            raise InputRefused(f"features: input '{unknown[0]}' is none of {', '.join((*FIELDS, SECTORS))}")
    return list(features)


def _since(start: date | datetime | str, lookback: int) -> date:
    """Return a day from which to read: the quarter of ``start``, and the sessions before that windows look back on."""
    try:
        quarter = pd.Timestamp(start).to_period("Q").start_time
    except ValueError as error:
        raise InputRefused(f"features: start '{start}' is not a date; write YYYY-MM-DD") from error
    # A year has 252 sessions: 1.45 days each, and some more around holidays.
    return (quarter - timedelta(days=ceil(lookback * 1.6) + 14)).date()
