"""On which rows the past is cut from the future: where something is about to happen, at both ends, and anywhere."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.lookahead.world import World
from workbench.errors import InputRefused
from workbench.sessions import Calendar


def choose(world: World, first: int, count: int, seed: int) -> list[int]:
    """Return up to ``count`` rows from ``first`` on, each with a row after it: a quarter at least are drawn freely.

    A row just before an event is where knowing the event pays: the ends of months, halts, listings, delistings, splits.
    """
    last = len(world) - 2
    if last <= first:
        return [last] if last >= 0 else []
    random = np.random.default_rng(seed)
    chosen = [first, last][:count]
    kinds = [rows[(rows >= first) & (rows <= last)] for rows in events(world)]
    orders = [list(random.permutation(rows)) for rows in kinds if len(rows)]
    wanted = max(0, count - len(chosen) - max(1, count // 4))
    while wanted and any(orders):
        for order in orders:
            if order and wanted:
                chosen.append(int(order.pop()))
                wanted -= 1
    # The rest is drawn from strata, so that no long stretch is left out.
    free = max(0, count - len(set(chosen)))
    edges = np.linspace(first, last + 1, free + 1).astype(int)
    chosen += [int(random.integers(low, max(low + 1, high))) for low, high in itertools.pairwise(edges)]
    return sorted(set(chosen))


def events(world: World) -> list[NDArray[np.int64]]:
    """Return the rows just before something happens, one array a kind of event."""
    index = world.index
    months = np.flatnonzero(np.diff(index.year * 12 + index.month))
    if world.kind != "bars":
        return [months]
    close, traded = world.fields["close"], world.fields["traded_close"]
    listed = ~np.isnan(close)
    came, went = listed[1:] & ~listed[:-1], ~listed[1:] & listed[:-1]
    with np.errstate(invalid="ignore"):
        ratio = close / traded
        split = np.abs(ratio[1:] / ratio[:-1] - 1.0) > 0.2
    return [months, *(np.flatnonzero(each.any(axis=1)) for each in (went, came, split))]


def decided_at(index: pd.DatetimeIndex, row: int) -> datetime:
    """Return when a row was decided: at its bar's end, at its session's close, or about when that would have been."""
    moment: datetime = index[row].to_pydatetime()
    if index.tz is not None:
        length = index.to_series().diff().min() if len(index) > 1 else pd.Timedelta(0)
        return moment + length.to_pytimedelta()
    try:
        calendar, session = Calendar(), moment.date()
        if calendar.is_session(session):
            return calendar.closes(session)
    except InputRefused:  # before the calendar begins, or after it ends
        pass
    return datetime.combine(moment.date(), time(21), UTC)
