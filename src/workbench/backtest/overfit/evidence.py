"""What speaks for a walk-forward once everything that was tried for its question is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.backtest.overfit.deflate import judge
from workbench.backtest.overfit.inputs import Array, Matrix
from workbench.backtest.overfit.market import hedge
from workbench.backtest.overfit.selection import pbo, spa
from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Ledger, Question, by_week

# What each number means; the tear sheet and the docs print these.
DEFINITIONS: Mapping[str, str] = {
    "sharpe_raw": "Sharpe ratio per period of the out-of-sample returns, the market's part in them included",
    "beta": "slope of those returns on the benchmark's; beta times the benchmark is taken off all that follows",
    "sharpe": "Sharpe ratio per period of what is left: what holding the market with the same exposure did not give",
    "n": "number of those returns",
    "skew": "their third standardised moment",
    "kurtosis": "their fourth standardised moment; 3 for a normal",
    "trials": "what was ever tried for this research question, failed runs included",
    "effective_trials": "of these, how many were different bets: clusters of correlated returns",
    "elsewhere": "trials of this strategy, or of one whose trials move as one here does, under other questions",
    "expected_max": "the Sharpe ratio per period that the best of these trials shows if none is worth anything",
    "psr": "probability that the true Sharpe ratio is above zero, had this been the only trial",
    "dsr": "probability that the true Sharpe ratio is above zero, the search for it counted (deflated Sharpe ratio)",
    "dsr_raw": "the same before the market is taken off: what is only held is paid for too",
    "min_track_record": "returns it takes to be 95 % sure of a Sharpe ratio above zero, had this been the only trial",
    "pbo": "how often the cell of the grid that is best on half the periods is below the median on the other half",
    "pbo_all": "the same among all that was tried for the question in these weeks: overfit is what only luck chose",
    "pbo_all_left_out": "trials with returns that do not have all of these weeks, and so are not in it",
    "spa_p": "chance that the grid's best cell does as well where no cell beats the market (Hansen's SPA test)",
}

_COUNTS = ("n", "trials", "effective_trials", "elsewhere", "pbo_all_left_out")
# Everything that may be missing.
MEASURED = tuple(name for name in DEFINITIONS if name not in _COUNTS)


@dataclass(frozen=True)
class Overfitting:
    """The evidence for a walk-forward, per period; ``DEFINITIONS`` says what each number means.

    A number that cannot be computed is None, and ``missing`` says why.
    """

    sharpe_raw: float | None
    beta: float | None
    sharpe: float | None
    n: int
    skew: float | None
    kurtosis: float | None
    trials: int
    effective_trials: int
    elsewhere: int
    expected_max: float | None
    psr: float | None
    dsr: float | None
    dsr_raw: float | None
    min_track_record: float | None
    pbo: float | None
    pbo_all: float | None
    pbo_all_left_out: int
    spa_p: float | None
    missing: Mapping[str, str]

    def metrics(self) -> dict[str, float]:
        """Return the numbers that there are, by their names in a run: ``overfit.dsr``."""
        values = {name: getattr(self, name) for name in DEFINITIONS}
        return {f"overfit.{name}": float(value) for name, value in values.items() if value is not None}


def evidence(result: WalkForward, ledger: Ledger) -> Overfitting:
    """Return the evidence for a walk-forward whose trials are in the ledger already.

    The trials are those of its research question up to now, whatever run and strategy they came from. The market is the
    walk-forward's benchmark.
    """
    returns, question = result.simulation.returns, Question(result.question, result.market)
    market = by_week(result.benchmark.reindex(returns.index))
    numbers = judge(result.strategy, returns, result.benchmark, ledger, question)
    tried = ledger.covering(question, range(market.week, market.end))
    if result.cell_returns.shape[1] == 1:
        numbers.lack(("pbo",), "the grid has one cell only: there was nothing to choose")
    if tried.trials < 2:
        have = f"{'only one' if tried.trials else 'no'} trial of this question has returns"
        others = f" in all of these weeks, {tried.left_out} in others" if tried.left_out else ""
        numbers.lack(("pbo_all",), f"{have}{others}: there was nothing to choose")

    numbers.find("pbo", lambda: pbo(_hedged_cells(result)).probability)
    numbers.find("pbo_all", lambda: pbo(_hedged(tried.returns, market.returns)).probability)
    numbers.find("spa_p", lambda: spa(_hedged_cells(result)).p)
    return Overfitting(
        n=int(np.isfinite(returns).sum()),
        trials=ledger.count(question),
        effective_trials=ledger.effective(question).trials,
        pbo_all_left_out=tried.left_out,
        elsewhere=ledger.elsewhere(question, result.strategy, market),
        missing=numbers.missing,
        **{name: numbers.known.get(name) for name in MEASURED},
    )


def _hedged_cells(result: WalkForward) -> Array:
    return _hedged(result.cell_returns, result.benchmark.reindex(result.cell_returns.index))


def _hedged(returns: Matrix, market: ArrayLike) -> Array:
    return hedge(returns, market).returns
