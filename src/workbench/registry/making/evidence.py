"""Makes the pack of a finished walk-forward and puts it with the run that it proves.

>>> made = make_evidence("xs_momentum", run_id, found, settings, Paths())
>>> made.pack.digest, made.verdicts
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from workbench.backtest.overfit import evidence
from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Chain, Ledger, Question
from workbench.clock import read_clock
from workbench.errors import DataRefused, NoData, PackRefused
from workbench.params import Paths, Settings, load_strategy_params, read_sizing
from workbench.registry import record
from workbench.registry.counting import kept_heads
from workbench.registry.gates.case import LedgerFacts
from workbench.registry.making.beside import set_beside
from workbench.registry.making.packing import Judged, judged_pack, same_evidence
from workbench.registry.making.parts import (
    LOCK,
    NOTEBOOKS,
    PICTURES,
    RESULT,
    TEARSHEET,
    Facts,
    Finished,
    TrialFacts,
    strategy_parts,
)
from workbench.registry.packs.code import code_of
from workbench.registry.packs.pack import Pack
from workbench.registry.runs import Tracking
from workbench.registry.storing import (
    STRATEGY,
    candidate_folder,
    confirm_pack,
    has_folder,
    keep_pack,
    mark_recorded_again,
    recorded_again,
    stored_pack,
)
from workbench.strategies import catalog

ROUNDING = 1e-6  # of what the spread cost in all


class Done(Protocol):
    """A finished step of a pipeline: its id and the folder that it wrote to."""

    @property
    def step(self) -> str: ...
    @property
    def folder(self) -> Path: ...


@dataclass(frozen=True)
class Found:
    """What the steps before found out: ``pins`` has the version and digest of every table that the run recorded.

    ``tables`` and ``validation`` have a row a table, ``lookahead`` the guard's reports, ``notebooks`` executed copies.
    """

    pins: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Facts]
    validation: Mapping[str, Facts]
    lookahead: Sequence[Facts]
    notebooks: Mapping[str, Path]


@dataclass(frozen=True)
class Made:
    """A pack that lies with a run: where, what the gates said, and whether it was there before."""

    judged: Judged
    run_id: str
    folder: Path
    new: bool


def make_evidence(
    strategy: str, run_id: str, found: Found, settings: Settings, paths: Paths, now: datetime | None = None
) -> Made:
    """Make a strategy's pack and store it with its run.

    A run holds one pack for ever. Where it has one that proves the same and has not expired, that one stays;
    where it has another one, the walk-forward is recorded again as a run of its own, which gets the new pack.
    """
    tracking, now = Tracking(settings, paths), now or read_clock(settings.market, paths).now()
    for known in dict.fromkeys([*recorded_again(tracking, run_id)[:1], run_id]):
        judged = _judged(tracking, strategy, known, found, now)
        if not has_folder(tracking, known):
            return _keep(tracking, judged, known)
        before = sound_pack(tracking, known)
        if before is not None and before.expires_at > now and same_evidence(before, judged.pack):
            confirm_pack(tracking, before, known, now)
            return Made(Judged.of(before), known, candidate_folder(tracking, known), new=False)
    again = _record_again(tracking, strategy, run_id, found)
    return _keep(tracking, _judged(tracking, strategy, again, found, now), again)


def own_notebooks(done: Iterable[Done], strategy: str) -> dict[str, Path]:
    """Return the executed notebooks of the steps that served a strategy, not those of other strategies."""
    return {
        f"{step.step}.ipynb": step.folder / "notebook.ipynb"
        for step in done
        if "-" not in step.step or step.step.endswith(f"-{strategy}")
    }


def _keep(tracking: Tracking, judged: Judged, run_id: str) -> Made:
    keep_pack(tracking, judged.pack, run_id)
    return Made(judged, run_id, candidate_folder(tracking, run_id), new=True)


def _judged(tracking: Tracking, strategy: str, run_id: str, found: Found, now: datetime) -> Judged:
    settings, paths = tracking.settings, tracking.paths
    tags = tracking.tags(run_id)
    _require_this_run(tags, strategy, settings, found, run_id)
    chain = Ledger(paths.trials).verify(kept_heads(tracking))
    with tracking.artifacts(run_id) as folder:
        finished = _gather(folder, strategy, found, chain, settings, paths)
    trials = finished.overfitting.trials
    return judged_pack(
        STRATEGY,
        strategy,
        finished.result.market,
        strategy_parts(finished),
        paths,
        now,
        code=code_of(strategy, paths),
        ledger=LedgerFacts(
            head_found=True,
            why="",
            trials_at_pack=trials,
            trials_now=trials,
            lost=tuple(loss.sentence for loss in Ledger(paths.trials).losses()),
        ),
        run_id=run_id,
        pipeline_run=tags.get("pipeline_run", ""),
    )


def _gather(folder: Path, strategy: str, found: Found, chain: Chain, settings: Settings, paths: Paths) -> Finished:
    """Return everything about a run from its artifacts, the ledger and what the steps before found."""
    result, params = WalkForward.load(folder / RESULT), load_strategy_params(strategy, paths)
    _require_these_costs(result, settings, strategy)
    symbols = tuple(str(symbol) for symbol in result.simulation.positions.columns)
    sizing = read_sizing(settings.sizing, params.sizing, strategy)
    question, overfitting = Question(result.question, result.market), evidence(result, Ledger(paths.trials))
    receipt = json.loads((folder / "trials.json").read_text())["receipt"]
    return Finished(
        result=result,
        params=params,
        settings=settings,
        symbols=symbols,
        lookback=catalog.build(strategy, symbols, sizing, result.params).lookback,
        tables=found.tables,
        validation=found.validation,
        lookahead=found.lookahead,
        overfitting=overfitting,
        trials=TrialFacts.of(question, overfitting, chain, {"batch": receipt["batch"], "head": receipt["head"]}),
        files=_files(folder, found.notebooks, paths),
        set=set_beside(settings, paths),
    )


def _files(folder: Path, notebooks: Mapping[str, Path], paths: Paths) -> dict[str, bytes]:
    """Return what a pack keeps as it is: the run's result and pictures, the executed notebooks, the lock."""
    kept = {f"{RESULT}/{file.name}": file for file in sorted((folder / RESULT).iterdir())}
    kept |= {f"{PICTURES}/{file.name}": file for file in sorted(folder.glob("*.png"))}
    kept |= {f"{NOTEBOOKS}/{name}": file for name, file in notebooks.items()}
    kept |= {TEARSHEET: folder / TEARSHEET, LOCK: paths.root / "locks" / "research.lock"}
    for name, file in kept.items():
        if not file.is_file():
            raise NoData(f"{paths.short(file)} is gone, and the pack keeps it as {name}; run it again with --fresh")
    return {name: file.read_bytes() for name, file in kept.items()}


def _require_this_run(tags: Mapping[str, str], strategy: str, settings: Settings, found: Found, run_id: str) -> None:
    """Refuse a run of something else: the pack would prove what the steps before did not look at."""
    wanted = {"strategy": strategy, "market": settings.market}
    wanted |= {f"data.{name}": record.table_text(pin) for name, pin in found.pins.items()}
    for name, value in wanted.items():
        if tags.get(name) != value:
            raise DataRefused(
                f"run {run_id[:8]}: {name} is {tags.get(name, 'not recorded')}, the steps before looked at {value}; "
                f"walk it forward again: workbench evidence {strategy} --fresh"
            )


def _require_these_costs(result: WalkForward, settings: Settings, strategy: str) -> None:
    """Refuse a walk-forward that paid less for the spread than the pack would say."""
    paid = float(result.simulation.costs["spread"].sum())
    asked = float(result.simulation.orders["value"].sum()) * settings.costs.spread_bps / 2.0 / 1e4
    if paid < asked * (1.0 - ROUNDING):
        raise DataRefused(
            f"{strategy}: the walk-forward paid ${paid:,.2f} for the spread, its orders pay ${asked:,.2f} at "
            f"costs.spread_bps {settings.costs.spread_bps:g}: it was made under other costs than the pack would name; "
            f"see notebooks/steps/walk_forward.ipynb, then: workbench evidence {strategy} --fresh"
        )


def sound_pack(tracking: Tracking, run_id: str) -> Pack | None:
    """Return the pack that lies with a run; half of one, or one that was changed, proves nothing and is left alone."""
    try:
        return stored_pack(tracking, run_id)
    except PackRefused:
        return None


def _record_again(tracking: Tracking, strategy: str, run_id: str, found: Found) -> str:
    """Record a finished walk-forward once more and return its new run; its trials are in the ledger already."""
    again = tracking.log_walk_forward(
        tracking.result(run_id),
        params=load_strategy_params(strategy, tracking.paths),
        tables=found.pins,
        run_id=tracking.tags(run_id).get("pipeline_run", ""),
    )
    mark_recorded_again(tracking, again, run_id)
    return again
