"""Who read what too early: the field, the symbol and the date of the read, each proved by changing nothing else.

1. which fields: one at a time is changed after the row, the others are left alone
2. which dates: the first and the last row whose change is noticed, by bisection
3. which symbol: the row's own first, then halves of the others
Where no value matters, the gaps are tried (bars that go missing or appear), then the dates and the number of rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from workbench.backtest.lookahead.answer import Answer, Label, compare
from workbench.backtest.lookahead.case import Case
from workbench.backtest.lookahead.finding import Finding, day
from workbench.backtest.lookahead.inside import read_inside
from workbench.backtest.lookahead.noise import Mask, moves_of, other_future, other_gaps, other_values, wide_future
from workbench.backtest.lookahead.world import World

END = "to the end of the data"
# Later rows are moved by this many days, one after the other, to see whether their dates are read.
MOVES_DAYS = (1, 12, 45, 400)
# The level of later prices around which one field is moved: a threshold may lie far above or below.
LEVELS = (1.0, 4.0, 0.25)

Notices = Callable[[slice, Mask | None], bool]


class Locator:
    """Finds what one row of one column read."""

    def __init__(self, case: Case, label: Label, row: int, cut: int) -> None:
        self.case, self.world, self.base, self.seed = case, case.world, case.base, case.seed
        self.label, self.row, self.cut = label, row, cut

    def find(self) -> Finding:
        """Return the finding; where nothing moves this very column, whatever moves another of its group is taken."""
        found = read_inside(self.case, self.row, self.label, self.cut) or self._search()
        if found is None and self.label.symbol:
            self.label = Label(self.label.group)
            found = self._search()
        return found or self._several()

    def _search(self) -> Finding | None:
        for level in LEVELS if self.world.kind == "bars" else LEVELS[:1]:
            wide = wide_future(self.world, self.row, level)
            reference = self.case.answer(wide)
            if reference is None:
                continue
            noticed = {name: self._values(wide, reference, name) for name in self.world.fields}
            culprits = [name for name, notices in noticed.items() if notices(self._unknown(name), None)]
            if culprits:
                return self._value(culprits, noticed[culprits[0]])
        if self.world.kind == "bars" and self._gaps(slice(self.row + 1, len(self.world)), None):
            return self._gap()
        return self._shape() if self._differs(self.base, self.world.until(self.row)) else None

    def _unknown(self, name: str) -> slice:
        return slice(self.world.unknown_from(name, self.row), len(self.world))

    # What notices a change --------------------------------------------------------------------------------------------

    def _values(self, wide: World, reference: Answer, name: str) -> Notices:
        def notices(rows: slice, columns: Mask | None) -> bool:
            return any(
                self._differs(reference, other_values(wide, [name], rows, self.seed, columns=columns, move=move))
                for move in moves_of(wide, name)
            )

        return notices

    def _gaps(self, rows: slice, columns: Mask | None) -> bool:
        several = [columns]
        if columns is None:  # all at once leaves nothing to choose from, so halves are tried too
            half = np.random.default_rng(self.seed).random(len(self.world.symbols)) < 0.5
            several += [half, ~half]
        return any(
            self._differs(self.base, other_gaps(self.world, rows, some, lose=lose))
            for some in several
            for lose in (True, False)
        )

    def _differs(self, reference: Answer, world: World) -> bool:
        found = self.case.answer(world)
        if found is None:
            return False
        apart = compare(reference, found, slice(self.row, self.row + 1))
        if not self.label.symbol:
            return self.label.group in apart.groups()
        return any(apart.labels[column] == self.label for column in apart.columns)

    # Sentences --------------------------------------------------------------------------------------------------------

    def _value(self, culprits: list[str], notices: Notices) -> Finding:
        name = culprits[0]
        late = self.world.late.get(name, 0)
        start = self._unknown(name).start
        first, last = self._reach(notices, start)
        symbol, alone = self._symbol(notices, start, first)
        also = f" (so do {', '.join(culprits[1:])})" if len(culprits) > 1 else ""
        what = f"{name} of {symbol}" if symbol else name
        if not alone:  # no row by itself is enough: a quantile, a rank, a threshold over many
            many = f"many rows of {what} after {self._day(self.row)}"
            text = f"{self._what()} changes when {many} change{also}: it reads ahead"
            return self._finding("reads ahead", text, name, symbol, last, None, None)
        ahead, farthest = first + late - self.row, last + late - self.row
        known = f"known {self._rows(ahead)} later" if late else f"{self._rows(ahead)} later"
        text = (
            f"{self._what()} changes when {what} on {self._day(first)} ({known}) changes{also}: "
            f"it reads ahead{self._far(ahead, last + late, last >= self._last_value(name))}"
        )
        return self._finding("reads ahead", text, name, symbol, first, ahead, farthest)

    def _gap(self) -> Finding:
        first, last = self._reach(self._gaps, self.row + 1)
        symbol, alone = self._symbol(self._gaps, self.row + 1, first)
        who, ahead = symbol or "other symbols", first - self.row
        if not alone:
            text = f"{self._what()} depends on which bars of {who} will be missing after that day: it reads ahead"
            return self._finding("reads gaps ahead", text, "gaps", symbol, last, None, None)
        when = f"on {self._day(first)} ({self._rows(ahead)} later)"
        far = self._far(ahead, last, last == len(self.world) - 1)
        text = f"{self._what()} depends on whether {who} will have a bar {when}: it reads ahead{far}"
        return self._finding("reads gaps ahead", text, "gaps", symbol, first, ahead, last - self.row)

    def _shape(self) -> Finding:
        last = len(self.world) - 1
        # The first length from which the row stays as it is.
        settled = self._smallest(lambda row: not self._differs(self.base, self.world.until(row)), self.row + 1, last)
        moved = any(self._differs(self.base, self._later_dates(days)) for days in MOVES_DAYS)
        ahead = settled - self.row
        what = "the dates of later rows" if moved else "how many rows follow"
        until = END if settled == last else f"up to {self._day(settled)} ({self._rows(ahead)} later)"
        text = f"{self._what()} changes when later rows are not there yet: it reads {what}, {until}"
        field = "dates" if moved else "length"
        return self._finding("reads later dates", text, field, "", settled, None if settled == last else ahead, ahead)

    def _several(self) -> Finding:
        last = len(self.world) - 1
        if not self._together(last):
            text = f"{self._what()} changes when other bars follow it: it reads ahead"
            return self._finding("reads ahead", text, "several", "", last, None, None)
        first = self._smallest(self._together, self.row + 1, last)
        ahead = first - self.row
        text = (
            f"{self._what()} changes when bars on {self._day(first)} ({self._rows(ahead)} later) change in several "
            "fields at once: it reads ahead"
        )
        return self._finding("reads ahead", text, "several", "", first, ahead, None)

    def _together(self, last: int) -> bool:
        """Return whether the row notices rows up to ``last`` change in all fields."""
        for loud in (False, True):
            other = other_future(self.world, self.row, self.seed, loud=loud)
            fields = {name: np.vstack([values[: last + 1], self.world.fields[name][last + 1 :]])
                      for name, values in other.fields.items()}  # fmt: skip
            if self._differs(self.base, self.world.changed(fields)):
                return True
        return False

    def _later_dates(self, days: int) -> World:
        later = self.world.index[self.row + 1 :] + pd.Timedelta(days=days)
        return replace(self.world, index=pd.DatetimeIndex(self.world.index[: self.row + 1].append(later)))

    def _rows(self, count: int) -> str:
        """Return a number of rows in words: sessions, or bars within them."""
        return f"{count} {'session' if self.world.index.tz is None else 'bar'}{'' if count == 1 else 's'}"

    # Bisection --------------------------------------------------------------------------------------------------------

    def _reach(self, notices: Notices, start: int) -> tuple[int, int]:
        """Return the first and the last row whose change is noticed."""
        end = len(self.world) - 1
        first = self._smallest(lambda row: notices(slice(start, row + 1), None), start, end)
        beyond = self._smallest(lambda row: row > end or not notices(slice(row, end + 1), None), first + 1, end + 1)
        return first, beyond - 1

    @staticmethod
    def _smallest(holds: Callable[[int], bool], low: int, high: int) -> int:
        """Return the smallest number for which it holds, if from there on it always does; it holds at ``high``."""
        step = 1
        while low + step - 1 < high and not holds(low + step - 1):
            low, step = low + step, step * 2
        high = min(high, low + step - 1)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return high

    def _symbol(self, notices: Notices, start: int, first: int) -> tuple[str, bool]:
        """Return the symbol that is read, where it is one alone, and whether its row ``first`` alone shows it."""
        for alone, rows in ((True, slice(first, first + 1)), (False, slice(start, len(self.world)))):
            if not notices(rows, None):
                continue
            own = np.array([symbol == self.label.symbol for symbol in self.world.symbols])
            if own.any() and notices(rows, own):
                return self.label.symbol, alone
            some = ~own
            while some.sum() > 1:
                parts = np.array_split(np.flatnonzero(some), 2)
                halves = [np.isin(np.arange(len(some)), part) for part in parts]
                found = next((half for half in halves if notices(rows, half)), None)
                if found is None:
                    return "", alone
                some = found
            if some.any() and notices(rows, some):
                return str(self.world.symbols[int(np.flatnonzero(some)[0])]), alone
            return "", alone
        return "", False

    # Words ------------------------------------------------------------------------------------------------------------

    def _what(self) -> str:
        return self.case.subject.say(f"{self.label} on {self._day(self.row)}")

    def _day(self, row: int) -> str:
        return day(self.world.index[row])

    def _last_value(self, name: str) -> int:
        """Return the last row in which a field has a value: that of a label lies before the end."""
        return int(np.flatnonzero(~np.isnan(self.world.fields[name]).all(axis=1))[-1])

    def _far(self, ahead: int, last: int, is_end: bool) -> str:
        farthest = last - self.row
        if farthest <= ahead:
            return ""
        return f" {END}" if is_end else f", up to {self._rows(farthest)}"

    def _finding(
        self, kind: str, text: str, field: str, symbol: str, read: int, ahead: int | None, farthest: int | None
    ) -> Finding:
        return Finding(
            kind, text, str(self.label), self._day(self.row), field, symbol, self._day(read), ahead, farthest
        )
