"""The parts of a strategy's pack, as bytes: pure, and the same for the same run.

>>> files = strategy_parts(finished)      # {"params.json": b"…", "statistics.json": b"…", "result/folds.parquet": b"…"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.backtest.overfit import Overfitting
from workbench.backtest.result import WalkForward
from workbench.backtest.robustness.card import Robustness
from workbench.backtest.trials import Chain, Question
from workbench.params import Settings, StrategyParams, read_sizing
from workbench.registry.making.drawdown import drawdown_band
from workbench.registry.packs.canonical import canonical, jsonable
from workbench.types import SAMPLE

# The names of the JSON parts, below parts/.
PARAMS, STATISTICS, VALIDATION = "params.json", "statistics.json", "validation.json"
LOOKAHEAD, TRIALS, DATA, GATES = "lookahead.json", "trials.json", "data.json", "gates.json"
LOCK, TEARSHEET = "environment.lock", "tearsheet.html"
RESULT, NOTEBOOKS, PICTURES = "result", "notebooks", "pictures"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class TrialFacts:
    """The trial ledger as it stood when a pack was made; ``recorded`` is the batch that the run itself wrote."""

    question: str
    text: str
    market: str
    trials: int
    effective_trials: int
    elsewhere: int
    batch: int
    head: str
    recorded: Facts

    @classmethod
    def of(cls, question: Question, counted: Overfitting, chain: Chain, recorded: Facts) -> TrialFacts:
        """Return the facts of a question whose trials were counted in a ledger with this chain."""
        return cls(
            question=question.id,
            text=question.text,
            market=question.market,
            trials=counted.trials,
            effective_trials=counted.effective_trials,
            elsewhere=counted.elsewhere,
            batch=chain.batches,
            head=chain.head,
            recorded=recorded,
        )


@dataclass(frozen=True)
class Finished:
    """A finished walk-forward and everything that was found out about it.

    ``tables`` and ``validation`` have a row a table that was read, ``lookahead`` the guard's reports as dicts.
    ``files`` are kept as they are: the result, the executed notebooks, pictures, the tear sheet, the lock. ``set`` has
    the settings that are not those of the project's files.
    """

    result: WalkForward
    params: StrategyParams
    settings: Settings
    symbols: tuple[str, ...]
    lookback: int
    tables: Mapping[str, Facts]
    validation: Mapping[str, Facts]
    lookahead: Sequence[Facts]
    overfitting: Overfitting
    trials: TrialFacts
    files: Mapping[str, bytes]
    set: Facts = field(default_factory=dict)


def strategy_parts(finished: Finished) -> dict[str, bytes]:
    """Return every part of a strategy's pack but the gates' verdicts, by its path below ``parts/``."""
    facts = {
        PARAMS: params_facts(finished),
        STATISTICS: statistics_facts(finished.result, finished.overfitting, finished.settings.sample.seed),
        VALIDATION: finished.validation,
        LOOKAHEAD: {"strategy": finished.result.strategy, "reports": finished.lookahead},
        TRIALS: finished.trials,
        DATA: finished.tables,
    }
    return {**{path: canonical(jsonable(value)) for path, value in facts.items()}, **finished.files}


def params_facts(finished: Finished) -> dict[str, Any]:
    """Return what would be traded, and how the choice was made."""
    result, params, settings = finished.result, finished.params, finished.settings
    sections = settings.model_dump(mode="json")
    return {
        "strategy": result.strategy,
        "question": result.question,
        "params": dict(result.params),
        "symbols": finished.symbols,
        "lookback": finished.lookback,
        "benchmark": settings.data.benchmark,
        "sizing": read_sizing(settings.sizing, params.sizing, result.strategy).model_dump(mode="json"),
        "portfolio": sections["portfolio"],
        "costs": sections["costs"],
        "schedule": schedule_facts(settings),
        "grid": dict(params.grid),
        "fixed": dict(params.params),
        "universe": params.universe.model_dump(mode="json"),
        "walk_forward": sections["walk_forward"],
        "data": sections["data"],
        "sample": sections["sample"] if result.market == SAMPLE else None,
        "set": dict(finished.set),
    }


def schedule_facts(settings: Settings) -> dict[str, Any]:
    """Return when a decision is made and when it is traded, as the backtest did it."""
    portfolio = settings.portfolio
    return {
        "bars": "prices_daily",
        "decided_at": "close",
        "traded_at": portfolio.fill,
        "lag_bars": portfolio.lag_bars,
        "rebalance": portfolio.rebalance,
    }


def statistics_facts(result: WalkForward, overfitting: Overfitting, seed: int) -> dict[str, Any]:
    """Return every number that a gate or a person asks for."""
    return {
        "in_sample": dict(result.in_sample),
        "out_of_sample": dict(result.out_of_sample),
        "intervals": {name: list(bounds) for name, bounds in result.intervals.items()},
        "folds": [_fold(row) for row in result.folds.to_dict("records")],
        "cells": len(result.cells),
        "select_by": result.select_by,
        "first": result.simulation.returns.index[0].date(),
        "last": result.simulation.returns.index[-1].date(),
        # What other questions have tried is told beside, in trials.json: it does not make the evidence another one.
        "overfitting": {name: value for name, value in asdict(overfitting).items() if name != "elsewhere"},
        "robustness": None if result.robustness is None else card_facts(result.robustness),
        "drawdown_band": drawdown_band(result.simulation.returns, seed),
    }


def card_facts(card: Robustness) -> dict[str, Any]:
    """Return the robustness card with what follows from it."""
    return {
        "level": card.level,
        "verdict": card.verdict,
        "base": asdict(card.base),
        "variants": [{**asdict(variant), "verdict": variant.verdict} for variant in card.variants],
        "missing": dict(card.missing),
    }


def _fold(row: Mapping[Any, Any]) -> dict[str, Any]:
    days = {name: row[name].date() for name in ("train_start", "train_end", "test_start", "test_end")}
    return {**{str(name): value for name, value in row.items()}, **days}
