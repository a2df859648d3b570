"""The work of a search: the first cells here, which says how long the rest takes and who should do it, then the rest.

Each finished batch is kept, and nothing is measured twice. Nothing stays uncounted either: a batch of a grid's cells is
counted before it is kept, a trial when it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.backtest.trials import Ledger, Question, Receipt
from workbench.cluster import cluster_address
from workbench.errors import InputRefused, StrategyRefused
from workbench.params import Paths, Settings
from workbench.search.archive import Archive, cell_text
from workbench.search.bar import Bar, NoBar, duration
from workbench.search.count import Counter
from workbench.search.crew import Batch, Crew, Here, recruited
from workbench.search.grid import count
from workbench.search.problem import Measured, Problem, measure
from workbench.search.run import Asked, SearchRun
from workbench.search.study import Trial, search_trials, space_size

# Cells measured first, to know what one takes; the very first compiles and does not count.
FIRST_CELLS = 4
# A batch takes about this long: a task of Dask's costs 1.5 ms, and what is under way is lost when all is killed.
BATCH_SECONDS, MOST_IN_BATCH = 1.0, 256
# Less work than this is done before processes would have started.
ALONE_SECONDS = 6.0

Confirm = Callable[[str], bool]


@dataclass
class Work:
    """An open search: ``measure_all`` and ``search`` fill its archive, whoever measures."""

    problem: Problem
    asked: Asked
    run: SearchRun
    archive: Archive
    settings: Settings
    paths: Paths
    made_by: Mapping[str, Any]
    say: Callable[[str], None]
    stack: ExitStack
    crew: Crew | None = None
    each: float = 0.0  # seconds a cell, here
    measured: int = 0
    head: str = ""
    keep: frozenset[str] = frozenset()

    @property
    def counter(self) -> Counter:
        """Where its cells are counted."""
        question = Question(self.asked.question, self.problem.bars.market)
        source = "optuna" if self.asked.trials else "sweep"
        return Counter(Ledger(self.paths.trials), question, self.problem, self.made_by, self.run.run_id, source)

    def measure_all(self, cells: Sequence[dict[str, Any]], bar: Bar, confirm: Confirm, large: bool) -> None:
        """Measure every cell that is not in the archive yet."""
        whole = len(self.problem.folds)
        even = np.unique(np.linspace(0, len(cells) - 1, min(self.settings.search.kept_returns, len(cells))).astype(int))
        self.keep = frozenset(cell_text(cells[place]) for place in even)
        missing = [cell for cell in cells if (cell_text(cell), whole) not in self.archive]
        total = count(self.asked.grid)
        refused = f" ({total - len(cells):,} more make no sense)" if total > len(cells) else ""
        shape = f"{len(self.problem.symbols)} symbols × {len(self.problem.bars):,} sessions"
        self.say(f"{len(cells):,} cells{refused} × {whole} folds on {shape}")
        if not missing:
            return
        first = missing[:FIRST_CELLS]
        self._measure_first([Batch((cell,), whole) for cell in first])
        errors = [self.archive.error(cell, whole) for cell in first]
        if len(first) > 1 and all(errors):
            raise StrategyRefused(f"{self.problem.strategy}: the first {len(first)} cells failed, with: {errors[0]}")
        rest = missing[len(first) :]
        workers = self._expected_workers(len(rest))
        left = len(rest) * self.each / workers
        if rest:
            pace = f"{self.each * 1000:.0f} ms a cell, {workers} at a time"
            self.say(f"about {duration(left)} for the other {len(rest):,} ({pace})")
        if large and not confirm(f"{len(cells):,} cells will take about {duration(left)}. Go on?"):
            raise InputRefused(
                f"{self.problem.strategy}: {len(cells):,} cells take about {duration(left)} and are more than "
                f"search.confirm_cells {self.settings.search.confirm_cells:,}; say --yes, take larger steps in --grid, "
                "or search with --trials 200"
            )
        bar.begin(len(cells), len(cells) - len(rest))
        try:
            if rest:
                self._measure(list(self._batches(rest, whole, workers)), bar)
        finally:
            bar.end()

    def search(self, bar: Bar) -> list[Trial]:
        """Run the trials; those that were answered before are answered from the archive."""
        asked = self.asked
        self.keep = _Everything()
        chosen = f"by {asked.sampler}, seed {asked.seed}"
        size = space_size(asked.grid)
        cells = f"up to {size:,} cells" if size else "any cells"
        self.say(
            f"{asked.trials:,} trials of {cells} between the ends of the grid {chosen}, pruned on the training windows"
        )
        bar.begin(asked.trials, 0)

        def measured(batches: Sequence[Batch]) -> None:
            rest = list(batches)
            if not self.each:
                self._measure_first(rest[:FIRST_CELLS])
                rest = rest[FIRST_CELLS:]
            if rest:
                self._measure(rest, NoBar(), expected=asked.trials)

        try:
            return search_trials(
                self.problem,
                asked.grid,
                asked.fixed,
                self.archive,
                measured,
                trials=asked.trials,
                sampler=asked.sampler,
                seed=asked.seed,
                at_once=asked.at_once,
                ended=self._count_trials,
                done=bar.advance,
            )
        finally:
            bar.end()

    def _measure_first(self, batches: Sequence[Batch]) -> None:
        times = []
        for batch in batches:
            begun = time.perf_counter()
            found = measure(self.problem, batch.cells, batch.folds)
            times.append(time.perf_counter() - begun)
            self._keep(batch, found)
        self.each = float(np.median(times[1:] or times))

    def _measure(self, batches: Sequence[Batch], bar: Bar, expected: int = 0) -> None:
        if self.crew is None:
            self.crew = self._recruit(expected or sum(len(batch.cells) for batch in batches))
        for batch, found in self.crew.run(batches):
            self._keep(batch, found)
            bar.advance(len(batch.cells))

    def _keep(self, batch: Batch, found: Measured) -> None:
        """Count first, then keep: what is kept is counted, and what is counted twice counts once."""
        if not self.asked.trials:
            self._take_head(self.counter.count(batch, found))
        self.archive.add(batch.cells, found, self.keep)
        self.measured += len(batch.cells)

    def _count_trials(self, trials: Sequence[Trial]) -> None:
        """Count trials that have ended, each with the returns of the windows that it came to."""
        for folds in sorted({trial.folds for trial in trials}):
            cells = tuple(trial.cell for trial in trials if trial.folds == folds)
            found = self.archive.measured(cells, folds)
            self._take_head(self.counter.count(Batch(cells, folds), found, again=self.run.resumed))

    def _take_head(self, receipt: Receipt | None) -> None:
        """Keep the ledger's head with the run at once: a run that is killed next has counted these cells too."""
        if receipt is not None:
            self.head = receipt.head
            self.run.save(self.asked, "running", head=self.head, trials=receipt.trials)

    def _recruit(self, cells: int) -> Crew:
        address = cluster_address()
        workers = self.settings.search.workers or os.cpu_count() or 1
        if not address and (workers == 1 or cells * self.each < ALONE_SECONDS):
            return Here(self.problem)
        crew = self.stack.enter_context(recruited(self.problem, workers, address))
        self.say(f"measured by {crew.text}, {crew.workers} at a time")
        return crew

    def _expected_workers(self, cells: int) -> int:
        if cells and cluster_address():
            self.crew = self.crew or self._recruit(cells)
            return self.crew.workers
        workers = self.settings.search.workers or os.cpu_count() or 1
        return workers if cells * self.each >= ALONE_SECONDS else 1

    def _batches(self, cells: Sequence[dict[str, Any]], folds: int, workers: int) -> Iterator[Batch]:
        size = int(np.clip(BATCH_SECONDS / max(self.each, 1e-6), 1, MOST_IN_BATCH))
        size = max(1, min(size, len(cells) // (2 * workers)))
        for first in range(0, len(cells), size):
            yield Batch(tuple(cells[first : first + size]), folds)


class _Everything(frozenset[str]):
    """A set that holds every text."""

    def __contains__(self, text: object) -> bool:
        return True
