"""The checks of one subject on one world, in the order in which one makes sense of the next.

1. repeat       the same data twice: what differs already cannot be judged
2. comb         single bars far apart are changed; a row that changes before its bar is a suspect, to be cut at
3. truncation   the rows after a date are removed: the row of that date is what live would have computed
4. injection    the rows after a date are replaced by others, gaps included: a leak scaled down is scaled up again
5. cold         a truncated run where the subject was never called before: what it kept from the first call is not there
6. location     what was read too early, by whom
7. lookback     the last ``lookback`` bars alone must give the same row
8. fill         with lag 0: what fills at a price must not have been decided by it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from workbench.backtest.lookahead.answer import Difference, Label, compare
from workbench.backtest.lookahead.case import NOT_COLD, Case
from workbench.backtest.lookahead.cold import Unanswered
from workbench.backtest.lookahead.comb import Combed, comb
from workbench.backtest.lookahead.dates import choose
from workbench.backtest.lookahead.fill import same_bar_fill
from workbench.backtest.lookahead.finding import Check, Finding
from workbench.backtest.lookahead.locate import Locator
from workbench.backtest.lookahead.lookback import look_back, windows
from workbench.backtest.lookahead.noise import other_future
from workbench.backtest.lookahead.subject import Raised
from workbench.params import PortfolioParams

# So many rows of another future are made; what reads further ahead misses the rest as well.
FUTURE = 250
# A fill is tried on so many bars. So many columns that read ahead are explained; the others are counted.
FILLS, EXPLAINED, COUNTED = 4, 5, 12
KEPT = "it keeps this from its first call on, in itself or in its module: compute it anew from the rows of each call"
NOTHING_REACTED = (
    "no change of the data changed anything: it depends on no price, and what else it knows no check reaches"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Depth:
    """How much is tried: cuts between past and future, combs of changed bars, windows of the lookback, cold runs."""

    cuts: int = 16
    combs: int = 4
    windows: int = 8
    cold: int = 3


@dataclass
class Suspect:
    """A column that differed: its last row that did, which read what is nearest, and the cuts that showed it."""

    label: Label
    row: int
    cuts: list[int]
    case: Case  # that showed it: one that runs cold, where only that did


class Replay:
    """The checks of one case, and what they found so far."""

    def __init__(self, case: Case, depth: Depth, say: Callable[[str], None] | None = None) -> None:
        self.case, self.depth = case, depth
        self.say = say or (lambda text: None)
        self.checks: dict[str, Check] = {}
        self.findings: list[Finding] = []
        self.rows: set[int] = set()
        self.failed: dict[int, str] = {}  # cuts at which it raised on the shorter history, and what
        self.suspects: dict[str, Suspect] = {}

    @property
    def dates(self) -> tuple[str, ...]:
        """The dates tried one by one; those of combs are only counted."""
        return tuple(self.case.day(row) for row in sorted(self.rows))

    def all(self, portfolio: PortfolioParams | None) -> None:
        """Run every check; a subject that does not repeat itself is not judged further."""
        case, depth = self.case, self.depth
        if not self._repeats():
            return
        combed = self._counted("comb", lambda: comb(case, depth.combs), lambda found: found.bars)
        cuts = self._cuts(combed)
        self.rows.update(cuts)
        self._counted("truncation", lambda: self._truncate(cuts), lambda _: len(cuts))
        self._counted("injection", lambda: self._inject(cuts), lambda _: len(cuts))
        if case.cold is not None and not self.suspects:
            self._counted("cold", lambda: self._run_cold(cuts), lambda tried: tried)
        if self.suspects and self._repeats():
            self._counted("location", self._locate, lambda _: len(self.suspects))
        # Where later bars are read, a window that ends before them tells nothing about what lies before it.
        if case.subject.lookback is not None and not self.suspects:
            rows = windows(case, depth.windows)
            self.rows.update(rows)
            self._keep(self._counted("lookback", lambda: look_back(case, rows), lambda _: len(rows)))
        if portfolio is not None and portfolio.lag_bars == 0:
            rows = cuts[-FILLS:]
            self._keep(self._counted("fill", lambda: same_bar_fill(case, rows, portfolio), lambda _: len(rows)))
        self._repeats()

    def _repeats(self) -> bool:
        """Return whether the subject gives the same again; if not, that is all there is to say."""
        again = self._counted("repeat", lambda: self.case.answer(self.case.world), lambda _: 1)
        whole = slice(0, len(self.case.world))
        apart = compare(self.case.base, again, whole) if again is not None else None
        if apart is not None and not apart:
            return True
        what = "its answer" if apart is None else f"{apart.labels[apart.columns[0]]} on {self._first_day(apart)}"
        text = self.case.subject.say(
            f"{what} differs between two runs on the same data: it draws unseeded random numbers, reads a clock or "
            "keeps something between calls; look-ahead cannot be told until that is gone"
        )
        self.findings = [Finding("not repeatable", text)]
        return False

    def _cuts(self, combed: Combed) -> list[int]:
        # Where a change is felt for too long no comb can be read, and more cuts are made instead.
        count = self.depth.cuts * (1 if combed.bars else 2)
        return sorted({*choose(self.case.world, self.case.first, count, self.case.seed), *combed.suspects})

    def _warmed_up_first(self, cuts: Sequence[int]) -> list[int]:
        """Return the cuts of the first third last: later ones tell more, for more symbols are listed by then."""
        return sorted(cuts, key=lambda row: (row < len(self.case.world) // 3, row))

    def _truncate(self, cuts: Sequence[int]) -> None:
        for row in self._warmed_up_first(cuts):
            try:
                found = self.case.run(self.case.world.until(row))
            except Raised as raised:
                self.failed[row] = str(raised)
                continue
            self._judge(self.case, row, compare(self.case.base, found, slice(0, row + 1)))
        if not self.failed:
            return
        row, error = max(self.failed.items())
        lookback = self.case.subject.lookback
        # Live never calls with less than the lookback, and a lake of then may have had nothing for it.
        is_live = lookback is not None and row >= lookback and not self.case.run.reads
        if is_live or len(self.failed) == len(cuts):
            text = f"it raises on the bars up to {self.case.day(row)}, as live would read them: {error}"
            self.findings.append(Finding("fails", self.case.subject.say(text), date=self.case.day(row)))
        else:
            some = f"{len(self.failed)} of {len(cuts)} shorter histories"
            self.case.notes.append(f"on {some} it raised, so these were left out: {error}")

    def _inject(self, cuts: Sequence[int]) -> None:
        refused, reacted = 0, False
        for number, row in enumerate(self._warmed_up_first(cuts)):
            near = self.case.world.between(0, min(row + FUTURE, len(self.case.world) - 1))
            for missing in (True, False):  # code that refuses gaps is tried without them
                other = other_future(near, row, self.case.seed + row, loud=number % 2 == 1, missing=missing)
                found = self.case.answer(other)
                if found is not None:
                    break
            if found is None:
                refused += 1
                continue
            apart = compare(self.case.base, found, slice(0, len(near)))
            reacted = reacted or bool(apart)
            early = apart.rows <= row
            self._judge(
                self.case, row, Difference(apart.rows[early], apart.columns[early], apart.sizes[early], apart.labels)
            )
        if refused:
            self.case.notes.append(f"{refused} other futures were refused by the code itself, and tell nothing")
        elif not reacted:
            self.case.doubts.append(NOTHING_REACTED)

    def _run_cold(self, cuts: Sequence[int]) -> int:
        """Cut as truncation does, where no earlier call left anything; return on how many dates."""
        case, cold = self.case, self.case.cold
        assert cold is not None
        if cold.is_copy and case.run.reads:
            case.notes.append(NOT_COLD.format("it reads the lake, and a copy of this process cannot"))
            return 0
        able, count = [row for row in cuts if row not in self.failed], self.depth.cold
        rows = list(dict.fromkeys(able[(2 * part + 1) * len(able) // (2 * count)] for part in range(count) if able))
        try:
            for done, row in enumerate(rows):
                if compare(case.base, cold(case.world.until(row)), slice(0, row + 1)):
                    self._judge_cold(replace(case, run=cold), rows[done:])
                    break
        except Unanswered as error:
            case.notes.append(NOT_COLD.format(error))
            return 0
        except Raised as error:  # such as a module that was set up by another call
            case.notes.append(NOT_COLD.format(f"for it raises there: {error}"))
            return 0
        return len(rows)

    def _judge_cold(self, case: Case, rows: Sequence[int]) -> None:
        """Tell what was kept from later rows from what is only another process's answer."""
        case = replace(case, base=case.run(case.world))
        for row in rows:
            found = case.answer(case.world.until(row))
            if found is not None:
                self._judge(case, row, compare(case.base, found, slice(0, row + 1)))
        apart = compare(self.case.base, case.base, slice(0, len(case.world)))
        if self.suspects or not apart:
            return
        worst = int(np.argmax(apart.sizes))
        row, label = int(apart.rows[worst]), apart.labels[apart.columns[worst]]
        if not case.is_rounding(row, label, float(apart.sizes[worst])):
            text = (
                f"{label} on {case.day(row)} is another one in a process of its own: it keeps something between calls, "
                "depends on the process, or its file was changed since it was imported; look-ahead cannot be told "
                "until that is gone"
            )
            self.findings.append(Finding("not repeatable", case.subject.say(text)))

    def _judge(self, case: Case, row: int, apart: Difference) -> None:
        """Suspect each group of columns that differs by more than rounding at a tie."""
        for group in apart.groups():
            if group in self.suspects:
                self.suspects[group].cuts.append(row)
                continue
            mine = np.flatnonzero([apart.labels[column].group == group for column in apart.columns])
            for last in np.unique(apart.rows[mine])[::-1][:3]:
                here = mine[apart.rows[mine] == last]
                worst = here[int(np.argmax(apart.sizes[here]))]
                label = apart.labels[apart.columns[worst]]
                if not case.is_rounding(int(last), label, float(apart.sizes[worst])):
                    self.suspects[group] = Suspect(label, int(last), [row], case)
                    break

    def _locate(self) -> None:
        self.say("locating")
        for suspect in list(self.suspects.values())[:EXPLAINED]:
            found = Locator(suspect.case, suspect.label, suspect.row, suspect.cuts[0]).find()
            if suspect.case is not self.case:
                found = replace(found, text=f"{found.text}; {KEPT}")
            self.findings.append(found)
            seen = f"seen at {len(set(suspect.cuts))} of {len(self.rows)} cuts"
            self.case.notes.append(f"{suspect.label.group}: {seen}")
        others = list(self.suspects)[EXPLAINED:]
        if others:
            more = f" and {len(others) - COUNTED} more" if len(others) > COUNTED else ""
            self.case.notes.append(f"these read ahead as well: {', '.join(others[:COUNTED])}{more}")

    def _runs(self) -> int:
        return self.case.run.runs + (self.case.cold.runs if self.case.cold is not None else 0)

    def _first_day(self, apart: Difference) -> str:
        return self.case.day(int(apart.rows[0]))

    def _keep(self, finding: Finding | None) -> None:
        if finding is not None:
            self.findings.append(finding)

    def _counted(self, name: str, check: Callable[[], T], dates: Callable[[T], int]) -> T:
        self.say(name)
        before = self._runs()
        found = check()
        done = self.checks.get(name, Check(name, 0, 0))
        runs = done.runs + self._runs() - before
        self.checks[name] = Check(name, max(done.dates, dates(found)), runs)
        return found
