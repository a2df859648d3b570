"""Whether the declared lookback is enough: live reads no more bars than that, and must come to the same row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.lookahead.answer import Difference, compare
from workbench.backtest.lookahead.case import Case
from workbench.backtest.lookahead.dates import choose
from workbench.backtest.lookahead.finding import Finding
from workbench.backtest.lookahead.subject import FEATURE, STRATEGY, Raised
from workbench.backtest.lookahead.world import World

# Weights are rounded to a millionth (sizing.DECIMALS): noise can move one by a unit.
WEIGHT_UNIT = 2e-6
# Rolling sums carry along the rounding of all they have seen, and begin anew in a shorter history.
DRIFT, DRIFT_NUDGE = 1e-6, 1e-9
# What decays, such as an exponential average, is down to this share after so many lookbacks.
DECAYED = ((16, 0.01), (4, 0.2))


def windows(case: Case, count: int) -> list[int]:
    """Return the rows to try: the last one, which live trades next, those whose window opens in a gap, and others."""
    whole = max(case.first, case.subject.lookback or 0)  # the first row with a full lookback behind it
    last, earliest = len(case.world) - 1, max(whole, len(case.world) // 3)
    rows = choose(case.world, earliest, count, case.seed + 1)[1 - count :]
    # What is carried over a gap stands before the window: the row after which it should not matter any more.
    opening = _gap_ends(case.world) + (case.subject.lookback or 1) - 1
    opening = opening[(opening >= whole) & (opening < last)]
    # Where most rows are empty, as those of sessions among five-minute bars, the next that is not tells more.
    filled = np.append(np.flatnonzero((~np.isnan(case.base.values)).any(axis=1)), last)
    wanted = [*rows, *opening[-count // 2 :]]
    return sorted({*(int(filled[filled.searchsorted(row)]) for row in wanted), last})


def _gap_ends(world: World) -> NDArray[np.int64]:
    """Return the last rows of halts."""
    if world.kind != "bars":
        return np.empty(0, dtype=np.int64)
    listed = ~np.isnan(world.fields["close"])
    ended = listed[1:] & ~listed[:-1] & np.maximum.accumulate(listed, axis=0)[:-1]
    return np.flatnonzero(ended.any(axis=1))


def look_back(case: Case, rows: list[int]) -> Finding | None:
    """Return the first row that the last ``lookback`` bars alone do not give."""
    lookback = case.subject.lookback
    assert lookback is not None
    for row in rows:
        try:
            apart = _alone(case, row, lookback)
        except Raised as error:
            if case.run.reads:  # the lake of that day may have had nothing for it
                continue
            text = f"it raises on its own lookback of {lookback} bars up to {case.day(row)}: {error}"
            return Finding("lookback too short", case.subject.say(text), date=case.day(row))
        if not apart:
            continue
        worst = int(np.argmax(apart.sizes))
        label, size = apart.labels[apart.columns[worst]], float(apart.sizes[worst])
        if case.is_rounding(row, label, size, DRIFT_NUDGE) or _decays(case, row, lookback, size):
            continue
        text = (
            f"{label} on {case.day(row)} is another one when only the last {lookback} bars are read "
            f"(off by {size:.2g}): lookback {lookback} is too short, {_needed(case, row, lookback)}"
        )
        return Finding("lookback too short", case.subject.say(text), str(label), case.day(row), symbol=label.symbol)
    return None


def _alone(case: Case, row: int, bars: int) -> Difference:
    """Return how the row differs when only so many bars up to it are there."""
    start = max(0, row - bars + 1)
    found = case.run(case.world.between(start, row))
    relative, absolute = (0.0, WEIGHT_UNIT) if case.subject.kind == STRATEGY else (max(DRIFT, case.base.tolerance), 0.0)
    return compare(case.base, found, slice(row, row + 1), offset=start, relative=relative, absolute=absolute)


def _decays(case: Case, row: int, lookback: int, size: float) -> bool:
    """Return whether a feature's difference dies out fast: its lookback may leave out what decays."""
    if case.subject.kind != FEATURE or not np.isfinite(size):
        return False
    for longer, share in DECAYED:
        if row + 1 > longer * lookback:
            apart = _alone(case, row, longer * lookback)
            if apart and float(apart.sizes.max()) > share * size:
                return False
            case.notes.append(f"what lies before its lookback of {lookback} bars decays, and is still felt there")
            return True
    return False


def _needed(case: Case, row: int, lookback: int) -> str:
    """Say how many bars would do, by doubling and halving."""
    short, enough = lookback, min(2 * lookback, row + 1)
    while enough < row + 1 and not _does(case, row, enough):
        short, enough = enough, min(2 * enough, row + 1)
    if enough == row + 1:
        return "it needs all bars there are"
    while short + 1 < enough:
        middle = (short + enough) // 2
        short, enough = (short, middle) if _does(case, row, middle) else (middle, enough)
    return f"{enough} would do here"


def _does(case: Case, row: int, bars: int) -> bool:
    try:
        return not _alone(case, row, bars)
    except Raised:
        return False
