"""What speaks for a walk-forward once everything that was tried for its question is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
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
    "trial_variance": "variance of the Sharpe ratios per period of so many bets if none were worth anything",
    "expected_max": "the Sharpe ratio per period that the best of so many worthless bets shows",
    "psr": "probability that the true Sharpe ratio is above zero, had this been the only trial",
    "dsr": "probability that the true Sharpe ratio is above zero, the search for it counted (deflated Sharpe ratio)",
    "dsr_spread": "the same, were all differences between the bets' Sharpe ratios luck: it takes skill for luck too",
    "min_track_record": "returns it takes to be 95 % sure of a Sharpe ratio above zero, had this been the only trial",
    "pbo": "how often the cell of the grid that is best on half the periods is below the median on the other half",
    "pbo_all": "the same among everything that was ever tried for the question: overfit is what only luck chose",
    "spa_p": "chance that the grid's best cell does as well where no cell beats cash (Hansen's SPA test)",
}

# What needs returns that move, what needs trials in the ledger, and everything that may be missing.
MOMENTS = ("sharpe", "skew", "kurtosis", "psr", "dsr", "dsr_spread", "min_track_record")
COUNTED = ("trial_variance", "expected_max", "dsr", "dsr_spread")
MEASURED = tuple(name for name in DEFINITIONS if name not in ("n", "trials", "effective_trials"))


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
    dsr_spread: float | None
    min_track_record: float | None
    pbo: float | None
    pbo_all: float | None
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
    returns, question = result.simulation.returns, Question(result.question, result.market)
    n, tried = int(np.isfinite(returns).sum()), ledger.effective(question)
    sharpe, skew, kurtosis = stats.sharpe(returns, periods=1), stats.skew(returns), stats.kurtosis(returns)
    numbers = _Numbers()
    if all(math.isfinite(value) for value in (sharpe, skew, kurtosis)):
        numbers.known |= {"sharpe": sharpe, "skew": skew, "kurtosis": kurtosis}
    else:
        numbers.lack(MOMENTS, f"{result.strategy} took no risk in {n} returns: it has no Sharpe ratio")
    if tried.trials:
        luck = tried.luck_over(n)
        numbers.known |= {
            "trial_variance": luck,
            "expected_max": math.sqrt(luck) * expected_max_sharpe(tried.trials),
        }
    else:
        numbers.lack(COUNTED, "no trial with returns is in the ledger for this question; record the walk-forward first")
    if result.cell_returns.shape[1] == 1:
        numbers.lack(("pbo",), "the grid has one cell only: there was nothing to choose")
    if tried.measured < 2:
        numbers.lack(("pbo_all",), "only one trial of this question has returns: there was nothing to choose")

    def deflated(variance: float) -> float:
        return deflated_sharpe(sharpe, n, skew, kurtosis, tried.trials, variance)

    numbers.find("psr", lambda: probabilistic_sharpe(sharpe, n, skew, kurtosis))
    numbers.find("dsr", lambda: deflated(luck))
    numbers.find("dsr_spread", lambda: deflated(max(luck, tried.variance)))
    numbers.find("min_track_record", lambda: min_track_record_length(sharpe, skew, kurtosis))
    if math.isinf(numbers.known.get("min_track_record", 0.0)):
        del numbers.known["min_track_record"]
        numbers.lack(("min_track_record",), "the Sharpe ratio is not above zero: no track record is long enough")
    numbers.find("pbo", lambda: pbo(result.cell_returns).probability)
    numbers.find("pbo_all", lambda: pbo(ledger.weekly(question)).probability)
    numbers.find("spa_p", lambda: spa(result.cell_returns).p)
    return Overfitting(
        n=n,
        trials=ledger.count(question),
        effective_trials=tried.trials,
        missing=numbers.missing,
        **{name: numbers.known.get(name) for name in MEASURED},
    )


class _Numbers:
    """What could be computed by name, and why the rest could not."""

    def __init__(self) -> None:
        self.known: dict[str, float] = {}
        self.missing: dict[str, str] = {}

    def lack(self, names: Iterable[str], why: str) -> None:
        for name in names:
            self.missing.setdefault(name, why)

    def find(self, name: str, compute: Callable[[], float]) -> None:
        if name in self.missing:
            return
        try:
            self.known[name] = compute()
        except InputRefused as error:
            self.lack((name,), str(error))
