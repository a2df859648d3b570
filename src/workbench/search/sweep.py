"""One search from the question to the plateau: cells are measured in parallel, counted, kept, and laid out as a table.

1. what is asked gets a key; a run that was asked the same goes on where it was
2. the cells are measured (``work.py``), on this machine or a cluster
3. the table, the peak, the plateau, and what choosing by either would have earned
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused, StrategyRefused
from workbench.interrupt import terminated_as_interrupted
from workbench.params import Paths, Settings, StrategyParams
from workbench.search.archive import Archive
from workbench.search.bar import Bar, NoBar
from workbench.search.found import Found, plain
from workbench.search.grid import Grid, corners, read_grid
from workbench.search.luck import weigh
from workbench.search.plateau import survey
from workbench.search.problem import measure, pose
from workbench.search.run import SECTIONS, Asked, differences, opened
from workbench.search.study import Trial, check_sampler, distinct_cells, trial_table
from workbench.search.table import DONE, FAILED, PRUNED, build_table, compare_rules
from workbench.search.work import Confirm, Work
from workbench.types import Bars


@dataclass(frozen=True)
class Request:
    """What to search: the strategy's grid with the axes given, whole or by trials."""

    strategy: str
    grid: tuple[str, ...] = ()
    trials: int | None = None  # None: every cell of the grid
    sampler: str = "tpe"
    seed: int | None = None  # None: the sample market's


def asked_grid(request: Request, params: StrategyParams) -> Grid:
    """Return the grid that is asked for, or refuse what no search could be made of; no prices are needed for that."""
    if request.trials is not None and request.trials < 1:
        raise InputRefused(f"--trials {request.trials}: must be at least 1, or left out to try every cell")
    check_sampler(request.sampler)
    limit: dict[str, Any] = {"most": 10**18} if request.trials else {}
    return read_grid(request.strategy, params, request.grid, **limit)


def sweep(
    request: Request,
    params: StrategyParams,
    bars: Bars,
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
    grid = asked_grid(request, params)
    posed = params.model_copy(update={"grid": corners(grid) if request.trials else grid})
    problem, cells = pose(request.strategy, posed, bars, settings)
    seed = settings.sample.seed if request.seed is None else request.seed
    asked = Asked(
        strategy=request.strategy,
        question=params.question,
        grid=grid,
        fixed={name: value for name, value in params.params.items() if name not in grid},
        shape={**made_by, "settings": settings.digest(SECTIONS), "code": problem.code},
        trials=request.trials or 0,
        sampler=request.sampler if request.trials else "",
        seed=seed if request.trials else 0,
        at_once=settings.search.trials_at_once if request.trials else 0,
    )
    if resume is not None and (changed := differences(resume[1], asked)):
        raise InputRefused(
            f"--resume {resume[0]}: {', '.join(changed)} changed since it was begun, its cells cannot be mixed with "
            "new ones; change it back, or start a new sweep without --resume"
        )
    with terminated_as_interrupted(), opened(paths, settings, asked, fresh=fresh) as run, ExitStack() as stack:
        work = Work(problem, asked, run, Archive(run.parts, problem.columns), settings, paths, made_by, say, stack)
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
            say(f"stopped with {len(work.archive):,} measurements; go on with: workbench sweep --resume {run.run_id}")
            raise
        except BaseException:
            run.save(asked, "failed", measurements=len(work.archive))
            raise
        return _conclude(work, looked, folds, trials, begun)


def _conclude(
    work: Work, cells: Sequence[dict[str, Any]], folds: Sequence[int], trials: Sequence[Trial], begun: float
) -> Found:
    """Lay out the table and say what is in it."""
    problem, asked, settings = work.problem, work.asked, work.settings
    errors = [work.archive.error(cell, seen) for cell, seen in zip(cells, folds, strict=True)]
    if errors and all(errors):
        raise StrategyRefused(f"{problem.strategy}: every cell failed, the first with: {errors[0]}")
    numbers = work.archive.numbers(cells, folds)
    table, hoods = build_table(cells, numbers, errors, folds, asked.grid, stepped=not asked.trials)
    if not (table["status"] == DONE).any():
        raise InputRefused(f"{problem.strategy}: no trial reached the last training window; ask for more --trials")
    terrain = survey(table, asked.grid, hoods, problem.select_by)
    own = measure(problem, [{**asked.fixed, **plain(terrain.plateau.params)}]).returns[0]
    market = problem.bars.close[settings.data.benchmark].pct_change(fill_method=None)
    whole = len(problem.folds)
    done = [cell for cell, seen, error in zip(cells, folds, errors, strict=True) if seen == whole and not error]
    kept = [own_returns for cell in done if (own_returns := work.archive.returns(cell, whole)) is not None]
    even = np.unique(np.linspace(0, len(kept) - 1, min(len(kept), settings.search.kept_returns)).round().astype(int))
    question = Question(asked.question, problem.bars.market)
    span = problem.bars.index[problem.tested]
    found = Found(
        run_id=work.run.run_id,
        folder=work.run.folder,
        asked=asked,
        market=problem.bars.market,
        select_by=problem.select_by,
        tested=(span[0], span[-1]),
        table=table,
        terrain=terrain,
        rules=compare_rules(table, hoods),
        luck=weigh(
            pd.Series(own, span),
            np.array([kept[row] for row in even]),
            market,
            Ledger(work.paths.trials),
            question,
        ),
        head=work.head or str(work.run.facts().get("head", "")),
        seconds=time.monotonic() - begun,
        measured=work.measured,
        trials=trial_table(trials),
    )
    table.to_parquet(work.run.folder / "table.parquet", index=False)
    if trials:
        found.trials.to_parquet(work.run.folder / "trials.parquet", index=False)
    statuses = table["status"].value_counts()
    work.run.save(
        asked,
        "done",
        measurements=len(work.archive),
        head=found.head,
        sentence=terrain.sentence,
        plateau=plain(terrain.plateau.params),
        cells={name: int(statuses.get(name, 0)) for name in (DONE, PRUNED, FAILED)},
    )
    return found
