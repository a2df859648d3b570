"""What of a search's best cell may be luck: everything tried for the question counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.backtest.overfit import hedge
from workbench.backtest.overfit.deflate import judge
from workbench.backtest.overfit.selection import pbo
from workbench.backtest.trials import Ledger, Question

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Luck:
    """The evidence about one cell held over the test windows; a number that is not there says why in ``missing``."""

    trials: int  # ever counted for the question
    bets: int  # of these, how many were different
    beta: float | None
    dsr: float | None  # less the market, as the probability of overfitting is
    dsr_raw: float | None
    pbo: float | None
    pbo_cells: int
    missing: Mapping[str, str]


def weigh(returns: pd.Series, kept: Array, benchmark: pd.Series, ledger: Ledger, question: Question) -> Luck:
    """Return the deflated Sharpe ratio of a cell's ``returns``, and the probability of overfitting among ``kept`` ones.

    ``kept`` is cells × rows: all cells, or an even sample of very many. The cell was picked among all that was tried,
    so it must beat the best of as many, and as alike, worthless trials.
    """
    numbers = judge("the cell", returns, benchmark, ledger, question)
    numbers.find("pbo", lambda: pbo(hedge(kept.T, benchmark.reindex(returns.index)).returns).probability)
    return Luck(
        trials=ledger.count(question),
        bets=ledger.effective(question).trials,
        pbo_cells=len(kept),
        missing={name: why for name, why in numbers.missing.items() if name in ("trials", "dsr", "pbo")},
        **{name: numbers.known.get(name) for name in ("beta", "dsr", "dsr_raw", "pbo")},
    )
