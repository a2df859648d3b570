"""The search by Optuna: cells are asked for in rounds, judged window by window, and dropped when they fall behind.

1. a round of trials is asked for together (``search.trials_at_once``)
2. they are measured on the first quarter of the training windows, then on half, then on all, on bars that end there
3. after each stage the pruner sees the scores of its windows, in order; what is dropped costs no more
4. what ended is handed on to be counted, once, with all that it was judged on; when the search is stopped, the rest too

Workers only measure; what is asked and dropped is decided here, in the order of the trials. So a seed gives the same
trials with any number of workers, and a search that was interrupted asks the same again and finds the answers kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, StrategyRefused, did_you_mean
from workbench.search.archive import Archive, cell_text
from workbench.search.crew import Batch
from workbench.search.grid import Grid, is_number
from workbench.search.problem import Problem
from workbench.search.table import DONE, FAILED, PRUNED
from workbench.strategies import catalog

SAMPLERS = ("tpe", "random")
STAGES = (0.25, 0.5, 1.0)
# Trials at random before the sampler learns, and whole ones before the pruner drops any.
STARTUP_TRIALS = 10
# What becomes of a trial that was under way when the search was stopped; it is counted, and asked again.
STOPPED = "stopped"
# A trial that the strategy refuses is not counted; so many for one that is not, and the grid is at fault.
REFUSALS = 50

Measure = Callable[[Sequence[Batch]], None]


@dataclass(frozen=True)
class Trial:
    """One trial: its cell, how many training windows it was judged on, and what became of it."""

    cell: dict[str, Any]
    folds: int
    status: str
    score: float  # mean of the training windows it was judged on

    def row(self, number: int) -> dict[str, Any]:
        """Return the trial as a row of a table."""
        return {
            "trial": number,
            "cell": cell_text(self.cell),
            "folds": self.folds,
            "status": self.status,
            "score": self.score,
        }


def search_trials(
    problem: Problem,
    grid: Grid,
    fixed: Mapping[str, Any],
    archive: Archive,
    measure: Measure,
    *,
    trials: int,
    sampler: str = "tpe",
    seed: int = 0,
    at_once: int = 8,
    ended: Callable[[Sequence[Trial]], None] = lambda trials: None,
    done: Callable[[int], None] = lambda count: None,
) -> list[Trial]:
    """Return all trials in order; ``measure`` puts batches into the archive.

    ``ended`` hears of trials that are to be counted, ``done`` of how many more are finished.
    """
    import optuna

    check_sampler(sampler)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = distributions(grid)
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS)
    )
    found: list[Trial] = []
    longest = problem.folds[0].train.start
    refused = 0
    while len(found) < trials:
        # Its own seed for each round: what was asked before is known again without the sampler's inner state.
        study.sampler = _sampler(sampler, seed * 1_000_003 + len(found))
        asked: list[tuple[Any, dict[str, Any]]] = []
        while len(asked) < min(at_once, trials - len(found)):
            trial = study.ask(space)
            cell = {**fixed, **trial.params}
            try:
                if catalog.build(problem.strategy, problem.symbols, problem.sizing, cell).lookback > longest:
                    raise StrategyRefused(f"{problem.strategy}: its lookback is longer than at the ends of the grid")
            except StrategyRefused as error:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                refused += 1
                if refused > REFUSALS * (1 + len(found) + len(asked)):
                    raise InputRefused(f"{refused} trials make no sense, the last: {error}; narrow --grid") from error
                continue
            asked.append((trial, cell))
        round_ = _Round(study, asked, len(problem.folds), archive)
        try:
            for finished in round_.judge(measure):
                ended(finished)
                done(len(finished))
        except BaseException:
            ended(round_.unfinished())
            raise
        found += round_.trials()
    return found


def distributions(grid: Grid) -> dict[str, Any]:
    """Return what Optuna draws from: whole numbers and fractions between the ends of an axis, else its values.

    Where the values of an axis are evenly spaced, their step is kept.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for name, values in grid.items():
        ordered = sorted(values) if all(is_number(value) for value in values) else []
        steps = {round(after - before, 12) for before, after in pairwise(ordered)}
        even = len(ordered) > 2 and len(steps) == 1
        if len(values) == 1 or not ordered:
            found[name] = CategoricalDistribution(values)
        elif all(isinstance(value, int) for value in ordered):
            found[name] = IntDistribution(ordered[0], ordered[-1], step=int(steps.pop()) if even else 1)
        else:
            found[name] = FloatDistribution(ordered[0], ordered[-1], step=steps.pop() if even else None)
    return found


def space_size(grid: Grid) -> int | None:
    """Return of how many cells Optuna chooses, those included that the strategy will refuse; None: without number."""
    sizes = []
    for one in distributions(grid).values():
        if hasattr(one, "choices"):
            sizes.append(len(one.choices))
        elif one.step is None:
            return None
        else:
            sizes.append(round((one.high - one.low) / one.step) + 1)
    return math.prod(sizes)


def stages(folds: int) -> tuple[int, ...]:
    """Return the numbers of training windows after which a trial is judged: 3, 5 and 10 of 10."""
    return tuple(dict.fromkeys(math.ceil(share * folds) for share in STAGES))


def distinct_cells(trials: Sequence[Trial]) -> list[Trial]:
    """Return each cell once, as far as it was judged at most."""
    furthest: dict[str, Trial] = {}
    for trial in trials:
        known = furthest.get(cell_text(trial.cell))
        if known is None or trial.folds > known.folds:
            furthest[cell_text(trial.cell)] = trial
    return list(furthest.values())


def trial_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """Return a row a trial, in the order in which they were asked for."""
    return pd.DataFrame([trial.row(number) for number, trial in enumerate(trials)])


def check_sampler(name: str) -> None:
    """Raise unless there is such a sampler."""
    if name not in SAMPLERS:
        raise InputRefused(f"--sampler {name}: no such sampler.{did_you_mean(name, SAMPLERS)}")


def _sampler(name: str, seed: int) -> Any:
    import optuna

    seed %= 2**32
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, constant_liar=True)


class _Round:
    """Some trials taken through the stages together; the study is told what became of each."""

    def __init__(self, study: Any, asked: Sequence[tuple[Any, dict[str, Any]]], windows: int, archive: Archive) -> None:
        self.study, self.asked, self.windows, self.archive = study, asked, windows, archive
        self._became: dict[int, Trial] = {}

    def trials(self) -> list[Trial]:
        """Return what became of each, in order."""
        return [self._became[trial.number] for trial, _ in self.asked]

    def judge(self, measure: Measure) -> Iterator[list[Trial]]:
        """Take the trials through the stages, and give those that ended after each of them."""
        reported = 0
        for folds in stages(self.windows):
            open_ = self._open()
            missing = {cell_text(cell): cell for _, cell in open_ if (cell_text(cell), folds) not in self.archive}
            if missing:
                measure([Batch((cell,), folds) for cell in missing.values()])
            finished = [became for trial, cell in open_ if (became := self._end(trial, cell, reported, folds))]
            reported = folds
            yield finished

    def unfinished(self) -> list[Trial]:
        """Return the trials that have not ended, as far as they were judged; those that never were are left out."""
        found = []
        for _, cell in self._open():
            judged = [folds for folds in stages(self.windows) if (cell_text(cell), folds) in self.archive]
            if judged:
                found.append(Trial(cell, judged[-1], STOPPED, float("nan")))
        return found

    def _open(self) -> list[tuple[Any, dict[str, Any]]]:
        return [(trial, cell) for trial, cell in self.asked if trial.number not in self._became]

    def _end(self, trial: Any, cell: dict[str, Any], reported: int, folds: int) -> Trial | None:
        """Show a trial's new scores to the study, and return what became of it if it ended."""
        import optuna

        if self.archive.error(cell, folds):
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
            became = Trial(cell, folds, FAILED, float("nan"))
        else:
            scores = _scores(self.archive, cell, folds)
            for fold in range(reported, folds):
                trial.report(float(np.mean(scores[: fold + 1])), fold)
            mean = float(np.mean(scores))
            if folds == self.windows:
                self.study.tell(trial, mean)
                became = Trial(cell, folds, DONE, mean)
            elif trial.should_prune():
                self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                became = Trial(cell, folds, PRUNED, mean)
            else:
                return None
        self._became[trial.number] = became
        return became


def _scores(archive: Archive, cell: Mapping[str, Any], folds: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    numbers = archive.numbers([cell], [folds]).iloc[0]
    values = np.array([numbers[f"train_{fold + 1:02d}"] for fold in range(folds)], dtype=float)
    return np.where(np.isfinite(values), values, 0.0)
