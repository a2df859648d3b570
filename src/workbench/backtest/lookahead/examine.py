"""The one verb: examine a strategy, a feature or any function of bars, of a frame, or of the lake.

>>> print(examine(SmaCross(("TEC01", "FIN02")), bars))
>>> print(examine(lambda bars: bars.close.rolling(5, center=True).mean(), bars))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from workbench.backtest.lookahead.asof import examine_reader
from workbench.backtest.lookahead.case import open_case
from workbench.backtest.lookahead.finding import Report, day
from workbench.backtest.lookahead.opened import in_doubt
from workbench.backtest.lookahead.recipe import Recipe, recipe_of
from workbench.backtest.lookahead.replay import Depth, Replay
from workbench.backtest.lookahead.subject import STRATEGY, read_subject
from workbench.backtest.lookahead.world import world_of_bars, world_of_frame
from workbench.data.lake import Lake
from workbench.errors import InputRefused
from workbench.params import PortfolioParams
from workbench.types import Bars

FEWEST_ROWS = 10


def examine(
    thing: Any,
    data: Bars | pd.DataFrame | Lake,
    *,
    name: str | None = None,
    lookback: int | None = None,
    portfolio: PortfolioParams | None = None,
    known_after: Mapping[str, int] | None = None,
    depth: Depth | None = None,
    recipe: Recipe = None,
    seed: int = 7,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Return what reads ahead in a strategy, a feature or a function, and where.

    ``data`` is what it takes: bars, a frame with a row a session (``known_after`` says how many sessions later a column
    such as a label is known), or a lake. With ``portfolio`` a fill on the bar that decided it is found too. ``recipe``
    says how to make the thing again in another process, where that is not plain from the thing.
    """
    subject = read_subject(thing, lookback)
    if name is not None:
        subject = subject.called(name)
    if known_after and not isinstance(data, pd.DataFrame):
        raise InputRefused("known_after is for the columns of a frame; bars and the lake say themselves what was known")
    if isinstance(data, Lake):
        return examine_reader(subject, data, depth or Depth(), seed)
    if isinstance(data, Bars):
        world, words = world_of_bars(data), f"{len(data):,} bars × {len(data.symbols)} symbols, {data.market} market"
    elif isinstance(data, pd.DataFrame):
        world, words = world_of_frame(data, known_after or {}), f"{len(data):,} rows × {data.shape[1]} columns"
    else:
        raise InputRefused(
            f"examine: data is {type(data).__name__}; give bars, a frame with a row a session, or a lake"
        )
    if len(world) < FEWEST_ROWS:
        raise InputRefused(
            f"{subject.name}: the data has {len(world)} rows; give at least {FEWEST_ROWS}, better a year"
        )
    case = open_case(subject, world, seed, data, recipe or recipe_of(thing))
    try:
        replay = Replay(case, depth or Depth(), progress)
        replay.all(portfolio if subject.kind == STRATEGY else None)
    finally:
        case.close()
    return Report(
        name=subject.name,
        kind=subject.kind,
        params=subject.params,
        source=subject.source,
        data=f"{words}, {day(world.index[0])} to {day(world.index[-1])}",
        seed=seed,
        checks=tuple(replay.checks.values()),
        dates=replay.dates,
        findings=tuple(replay.findings),
        notes=tuple(dict.fromkeys(case.notes)),
        doubts=tuple(dict.fromkeys([*case.doubts, *in_doubt(case.cold.opened if case.cold else ())])),
    )
