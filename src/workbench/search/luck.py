"""What of a search's best cell may be luck: everything tried for the question counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.backtest import stats
from workbench.backtest.overfit.selection import pbo
from workbench.backtest.overfit.sharpe import deflated_sharpe
from workbench.backtest.trials import Ledger, Question
from workbench.errors import InputRefused

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Luck:
    """The evidence about one cell held over the test windows; a number that is not there says why in ``missing``."""

    trials: int  # ever counted for the question
    bets: int  # of these, how many were different
    dsr: float | None
    pbo: float | None
    pbo_cells: int
    missing: Mapping[str, str]


def weigh(returns: Array, kept: Array, ledger: Ledger, question: Question) -> Luck:
    """Return the deflated Sharpe ratio of a cell's ``returns``, and the probability of overfitting among ``kept`` ones.

    ``kept`` is cells × rows: all cells, or an even sample of very many. The cell is one that was picked among all, so
    each trial counts as a bet of its own: clusters would leave the best of each cluster free.
    """
    missing: dict[str, str] = {}
    found, n = ledger.effective(question), len(returns)
    sharpe, skew, kurtosis = stats.sharpe(returns, periods=1), stats.skew(returns), stats.kurtosis(returns)
    dsr = probability = None
    if not all(math.isfinite(value) for value in (sharpe, skew, kurtosis)):
        missing["dsr"] = f"the cell took no risk in {n} returns: it has no Sharpe ratio"
    elif not found.trials:
        missing["dsr"] = "no trial with returns is in the ledger for this question"
    else:
        dsr = deflated_sharpe(sharpe, n, skew, kurtosis, found.measured, 1.0 / (n - 1))
    try:
        probability = pbo(kept.T).probability
    except InputRefused as error:
        missing["pbo"] = str(error)
    return Luck(ledger.count(question), found.trials, dsr, probability, len(kept), missing)
