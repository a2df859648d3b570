"""One search from the question to the plateau: cells are measured in parallel, counted, kept, and laid out as a table.

1. what is asked gets a key; a run that was asked the same goes on where it was
2. the first cells are measured here, which says how long the rest will take and who should do it
3. each finished batch is counted in the trial ledger, then kept: nothing is measured twice, nothing uncounted
4. the table, the peak, the plateau, and what choosing by either would have earned
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused, StrategyRefused
from workbench.interrupt import terminated_as_interrupted
from workbench.params import Paths, Settings, StrategyParams
from workbench.search.archive import Archive, cell_text
from workbench.search.bar import Bar, NoBar, duration
from workbench.search.count import Counter
from workbench.search.crew import ADDRESS, Batch, Crew, Here, recruited
from workbench.search.grid import corners, count, read_grid
from workbench.search.luck import Luck, weigh
from workbench.search.plateau import Terrain, survey
from workbench.search.problem import Problem, measure, pose
from workbench.search.run import SECTIONS, Asked, SearchRun, differences, opened
from workbench.search.study import Trial, distinct_cells, search_trials, trial_table
from workbench.search.table import DONE, FAILED, PRUNED, Rule, build_table, compare_rules

Array = NDArray[np.float64]

# Cells measured first, to know what one takes; the very first compiles and does not count.
FIRST_CELLS = 4
# A batch takes about this long: a task of Dask's costs 1.5 ms, and what is under way is lost when all is killed.
BATCH_SECONDS, MOST_IN_BATCH = 1.0, 256
# Less work than this is done before processes would have started.
ALONE_SECONDS = 6.0


@dataclass(frozen=True)
class Request:
    """What to search: the strategy's grid with the axes given, whole or by trials."""

    strategy: str
    grid: tuple[str, ...] = ()
    trials: int = 0
    sampler: str = "tpe"
    seed: int | None = None  # None: the sample market's


@dataclass(frozen=True)
class Found:
    """A finished search; ``table`` has the best plateau first, ``COLUMNS`` says what its columns mean."""

    run_id: str
    folder: Path
    asked: Asked
    market: str
    select_by: str
    tested: tuple[pd.Timestamp, pd.Timestamp]
    table: pd.DataFrame
    terrain: Terrain
    rules: tuple[Rule, Rule]
    luck: Luck
    head: str  # of the ledger, after the last batch
    seconds: float
    measured: int  # cells that this call measured; the others were known
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def cells(self) -> int:
        """How many different cells were looked at."""
        return len(self.table)

    @property
    def folds(self) -> int:
        """How many training windows each was judged on."""
        return len(self.rules[0].test_scores)

    @property
    def varied(self) -> list[str]:
        """The parameters that have more than one value."""
        return [name for name, values in self.asked.grid.items() if len(values) > 1]


Confirm = Callable[[str], bool]


def sweep(
    request: Request,
    params: StrategyParams,
    bars: Any,
    settings: Settings,
    paths: Paths,
    *,
    made_by: Mapping[str, Any],
    fresh: bool = False,
    resume: tuple[str, Asked] | None = None,
    confirm: Confirm = lambda question: False,
    bar: Bar | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Found:
    """Search a strategy's grid and return what was found; ``made_by`` is what a trial of the ledger is known by.

    ``resume`` is a run that must be gone on with; else one that was asked the same is, unless ``fresh``.
    """
    begun = time.monotonic()
    if request.trials < 0:
        raise InputRefused(f"--trials {request.trials}: must be at least 1, or left out to try every cell")
    limit: dict[str, Any] = {"most": 10**18} if request.trials else {}
    grid = read_grid(request.strategy, params, request.grid, **limit)
    posed = params.model_copy(update={"grid": corners(grid) if request.trials else grid})
    problem, cells = pose(request.strategy, posed, bars, settings)
    seed = settings.sample.seed if request.seed is None else request.seed
    asked = Asked(
        strategy=request.strategy,
        question=params.question,
        grid=grid,
        fixed={name: value for name, value in params.params.items() if name not in grid},
        shape={**made_by, "settings": settings.digest(SECTIONS), "code": problem.code},
        **({"trials": request.trials, "sampler": request.sampler, "seed": seed} if request.trials else {}),
        **({"at_once": settings.search.trials_at_once} if request.trials else {}),
    )
    if resume is not None and (changed := differences(resume[1], asked)):
        raise InputRefused(
            f"--resume {resume[0]}: {', '.join(changed)} changed since it was begun, its cells cannot be mixed with new "
            "ones; change it back, or start a new sweep without --resume"
        )
    with terminated_as_interrupted(), opened(paths, settings, asked, fresh=fresh) as run, ExitStack() as stack:
        work = _Work(problem, asked, run, Archive(run.parts, problem.columns), settings, paths, made_by, say, stack)
        if run.resumed and len(work.archive):
            say(f"going on with {run.run_id}: {len(work.archive):,} measurements are kept")
        shown = bar or NoBar()
        try:
            if request.trials:
                trials = work.search(shown)
                judged = distinct_cells(trials)
                looked, folds = [trial.cell for trial in judged], [trial.folds for trial in judged]
            else:
                trials = []
                work.measure_all(cells, shown, confirm, len(cells) > settings.search.confirm_cells)
                looked, folds = cells, [len(problem.folds)] * len(cells)
        except KeyboardInterrupt:
            run.save(asked, "stopped", measurements=len(work.archive))
            say(
                f"stopped: {len(work.archive):,} measurements are kept; go on with: workbench sweep --resume {run.run_id}"
            )
            raise
        except BaseException:
            run.save(asked, "failed", measurements=len(work.archive))
            raise
        return work.conclude(looked, folds, trials, begun)


@dataclass
class _Work:
    """The state of a search while it runs."""

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
            self.say(
                f"about {duration(left)} for the other {len(rest):,} at {self.each * 1000:.0f} ms a cell ({workers} at a time)"
            )
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
        self.say(
            f"{asked.trials:,} trials of {count(asked.grid):,} cells by {asked.sampler}, seed {asked.seed}, pruned on the training windows"
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

    def _keep(self, batch: Batch, found: Any) -> None:
        """Count first, then keep: what is kept is counted, and what is counted twice counts once."""
        self.head = self.counter.count(batch, found).head
        self.archive.add(batch.cells, found, self.keep)
        self.measured += len(batch.cells)

    def _recruit(self, cells: int) -> Crew:
        address = os.environ.get(ADDRESS, "")
        workers = self.settings.search.workers or os.cpu_count() or 1
        if not address and (workers == 1 or cells * self.each < ALONE_SECONDS):
            return Here(self.problem)
        crew = self.stack.enter_context(recruited(self.problem, workers, address))
        self.say(f"measured by {crew.text}, {crew.workers} at a time")
        return crew

    def _expected_workers(self, cells: int) -> int:
        if cells and os.environ.get(ADDRESS, ""):
            self.crew = self.crew or self._recruit(cells)
            return self.crew.workers
        workers = self.settings.search.workers or os.cpu_count() or 1
        return workers if cells * self.each >= ALONE_SECONDS else 1

    def _batches(self, cells: Sequence[dict[str, Any]], folds: int, workers: int) -> Iterator[Batch]:
        size = int(np.clip(BATCH_SECONDS / max(self.each, 1e-6), 1, MOST_IN_BATCH))
        size = max(1, min(size, len(cells) // (2 * workers)))
        for first in range(0, len(cells), size):
            yield Batch(tuple(cells[first : first + size]), folds)

    def conclude(
        self, cells: Sequence[dict[str, Any]], folds: Sequence[int], trials: Sequence[Trial], begun: float
    ) -> Found:
        """Lay out the table and say what is in it."""
        errors = [self.archive.error(cell, seen) for cell, seen in zip(cells, folds, strict=True)]
        if errors and all(errors):
            raise StrategyRefused(f"{self.problem.strategy}: every cell failed, the first with: {errors[0]}")
        numbers = self.archive.numbers(cells, folds)
        table, hoods = build_table(cells, numbers, errors, folds, self.asked.grid, stepped=not self.asked.trials)
        if not (table["status"] == DONE).any():
            raise InputRefused(
                f"{self.problem.strategy}: no trial reached the last training window; ask for more --trials"
            )
        terrain = survey(table, self.asked.grid, hoods, self.problem.select_by)
        best = {**self.asked.fixed, **_plain(terrain.plateau.params)}
        own = measure(self.problem, [best]).returns[0]
        whole = len(self.problem.folds)
        kept = [found for cell in cells if (found := self.archive.returns(cell, whole)) is not None]
        question = Question(self.asked.question, self.problem.bars.market)
        span = self.problem.bars.index[self.problem.tested]
        found = Found(
            run_id=self.run.run_id,
            folder=self.run.folder,
            asked=self.asked,
            market=self.problem.bars.market,
            select_by=self.problem.select_by,
            tested=(span[0], span[-1]),
            table=table,
            terrain=terrain,
            rules=compare_rules(table, hoods),
            luck=weigh(own, np.array(kept[: self.settings.search.kept_returns]), Ledger(self.paths.trials), question),
            head=self.head,
            seconds=time.monotonic() - begun,
            measured=self.measured,
            trials=trial_table(trials),
        )
        table.to_parquet(self.run.folder / "table.parquet", index=False)
        if trials:
            found.trials.to_parquet(self.run.folder / "trials.parquet", index=False)
        statuses = table["status"].value_counts()
        self.run.save(
            self.asked,
            "done",
            measurements=len(self.archive),
            sentence=terrain.sentence,
            plateau=_plain(terrain.plateau.params),
            cells={name: int(statuses.get(name, 0)) for name in (DONE, PRUNED, FAILED)},
        )
        return found


class _Everything(frozenset[str]):
    """A set that holds every text."""

    def __contains__(self, text: object) -> bool:
        return True


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters without numpy's numbers."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in params.items()}
