"""What speaks for a walk-forward once everything that was tried for its question is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.backtest import stats
from workbench.backtest.overfit.selection import pbo, spa
from workbench.backtest.overfit.sharpe import (
    deflated_sharpe,
    expected_max_sharpe,
    min_track_record_length,
    probabilistic_sharpe,
)
from workbench.backtest.result import WalkForward
from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused

# What each number means; the tear sheet and the docs print these.
DEFINITIONS: Mapping[str, str] = {
    "sharpe": "Sharpe ratio per period of the out-of-sample returns",
    "n": "number of those returns",
    "skew": "their third standardised moment",
    "kurtosis": "their fourth standardised moment; 3 for a normal",
    "trials": "what was ever tried for this research question, failed runs included",
    "effective_trials": "of these, how many were different bets: clusters of correlated returns",
    "trial_variance": "variance of those bets' Sharpe ratios per period, and at least that of worthless bets",
    "expected_max": "the Sharpe ratio per period that the best of so many worthless trials shows",
    "psr": "probability that the true Sharpe ratio is above zero, had this been the only trial",
    "dsr": "probability that the true Sharpe ratio is above zero, the search for it counted (deflated Sharpe ratio)",
    "min_track_record": "returns it takes to be 95 % sure of a Sharpe ratio above zero, had this been the only trial",
    "pbo": "how often the cell of the grid that is best on half the periods is below the median on the other half",
    "spa_p": "chance that the grid's best cell does as well where no cell beats cash (Hansen's SPA test)",
}


@dataclass(frozen=True)
class Overfitting:
    """The evidence for a walk-forward, per period; ``DEFINITIONS`` says what each number means.

    A number that cannot be computed is None, and ``missing`` says why.
    """

    sharpe: float | None
    n: int
    skew: float | None
    kurtosis: float | None
    trials: int
    effective_trials: int
    trial_variance: float | None
    expected_max: float | None
    psr: float | None
    dsr: float | None
    min_track_record: float | None
    pbo: float | None
    spa_p: float | None
    missing: Mapping[str, str]

    def metrics(self) -> dict[str, float]:
        """Return the numbers that there are, by their names in a run: ``overfit.dsr``."""
        values = {name: getattr(self, name) for name in DEFINITIONS}
        return {f"overfit.{name}": float(value) for name, value in values.items() if value is not None}


def evidence(result: WalkForward, ledger: Ledger) -> Overfitting:
    """Return the evidence for a walk-forward whose trials are in the ledger already.

    The trials are those of its research question up to now, whatever run and strategy they came from.
    """
    missing: dict[str, str] = {}

    def known(name: str, compute: Callable[[], float]) -> float | None:
        try:
            value = compute()
        except InputRefused as error:
            missing[name] = str(error)
            return None
        return value

    returns, question = result.simulation.returns, Question(result.question, result.market)
    n = int(np.isfinite(returns).sum())
    sharpe = stats.sharpe(returns, periods=1)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns)
    measured = all(math.isfinite(value) for value in (sharpe, skew, kurtosis))
    if not measured:
        names = ("sharpe", "skew", "kurtosis", "psr", "dsr", "min_track_record")
        missing |= dict.fromkeys(names, f"{result.strategy} took no risk in {n} returns: it has no Sharpe ratio")

    trials, found = ledger.count(question), ledger.effective(question)
    variance = expected_max = None
    if found.trials:
        variance = found.variance_over(n)
        expected_max = math.sqrt(variance) * expected_max_sharpe(found.trials)
    else:
        why = "no trial with returns is in the ledger for this question; record the walk-forward first"
        missing |= {name: missing.get(name, why) for name in ("trial_variance", "expected_max", "dsr")}

    psr = dsr = length = None
    if measured:
        psr = known("psr", lambda: probabilistic_sharpe(sharpe, n, skew, kurtosis))
        if variance is not None:
            dsr = known("dsr", lambda: deflated_sharpe(sharpe, n, skew, kurtosis, found.trials, variance))
        length = known("min_track_record", lambda: min_track_record_length(sharpe, skew, kurtosis))
        if length is not None and math.isinf(length):
            length = None
            missing["min_track_record"] = "the Sharpe ratio is not above zero: no track record is long enough"
    if result.cell_returns.shape[1] == 1:
        probability = None
        missing["pbo"] = "the grid has one cell only: there was nothing to choose"
    else:
        probability = known("pbo", lambda: pbo(result.cell_returns).probability)
    return Overfitting(
        sharpe=sharpe if measured else None,
        n=n,
        skew=skew if measured else None,
        kurtosis=kurtosis if measured else None,
        trials=trials,
        effective_trials=found.trials,
        trial_variance=variance,
        expected_max=expected_max,
        psr=psr,
        dsr=dsr,
        min_track_record=length,
        pbo=probability,
        spa_p=known("spa_p", lambda: spa(result.cell_returns).p),
        missing=missing,
    )
