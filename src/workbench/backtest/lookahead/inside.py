"""Reads of the lake within a run: code that is given bars, and opens the lake by itself for what bars do not hold.

While it is examined such a read answers as of the last bar. Where that changes a row, the datasets are tried one by one
on the very same bars, and the one that alone changes it is named.
"""

from __future__ import annotations

from workbench.backtest.lookahead.answer import Label, compare
from workbench.backtest.lookahead.case import Case
from workbench.backtest.lookahead.finding import Finding

# Prices are read of three datasets; what adjusts them is named after what people read themselves.
BEHIND_BARS = ("actions", "symbols")


def read_inside(case: Case, row: int, label: Label, cut: int) -> Finding | None:
    """Return the dataset of which the row read what was known only after the cut, None where it is none."""
    names = sorted(case.run.reads, key=lambda name: name in BEHIND_BARS)
    for some in (*([name] for name in names), names if len(names) > 1 else []):
        for end in dict.fromkeys((row, cut)):
            if some and _differs(case, row, label, some, end):
                return _finding(case, row, label, some, end)
    return None


def _differs(case: Case, row: int, label: Label, names: list[str], end: int) -> bool:
    found = case.answer(case.world, dict.fromkeys(names, case.moment(end)))
    if found is None:
        return False
    apart = compare(case.base, found, slice(row, row + 1))
    return any(apart.labels[column] == label for column in apart.columns)


def _finding(case: Case, row: int, label: Label, names: list[str], end: int) -> Finding:
    day, moment = case.day(row), f"{case.moment(end):%Y-%m-%dT%H:%MZ}"
    what = case.subject.say(f"{label} on {day}")
    how = "with a later as_of" if all(case.run.reads[name] for name in names) else "without as_of"
    text = (
        f"{what} reads {' and '.join(names)} from the lake {how}, and is another one on the lake as of {moment}: it "
        "uses what became known later; read as_of the close of each row's session"
    )
    return Finding("used before known", text, str(label), day, names[0], read=moment)
