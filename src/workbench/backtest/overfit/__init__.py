"""Overfitting statistics: how much of a backtest is skill, how much the search for it. docs/overfitting.md explains."""

from workbench.backtest.overfit.evidence import DEFINITIONS, Overfitting, evidence
from workbench.backtest.overfit.market import Hedged, hedge
from workbench.backtest.overfit.paths import MonteCarlo, block_length, monte_carlo
from workbench.backtest.overfit.selection import (
    Degradation,
    Pbo,
    Purged,
    Superiority,
    combinatorial_purged,
    pbo,
    spa,
)
from workbench.backtest.overfit.sharpe import (
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe,
)

__all__ = [
    "DEFINITIONS",
    "Degradation",
    "Hedged",
    "MonteCarlo",
    "Overfitting",
    "Pbo",
    "Purged",
    "Superiority",
    "block_length",
    "combinatorial_purged",
    "deflated_sharpe",
    "evidence",
    "expected_max_sharpe",
    "hedge",
    "min_track_record_length",
    "monte_carlo",
    "pbo",
    "probabilistic_sharpe",
    "spa",
]
