"""One verb for a notebook: count what a cell has just tried, whatever it was.

>>> count_trials(walk_forward("sma_cross", params, bars, settings))               # every cell of its grid
>>> count_trials(sweep_returns(weights, bars, portfolio, costs), "Does it pay?")  # a column of returns a trial
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest.kernel.sweep import Sweep
from workbench.backtest.result import Curve, Simulation, WalkForward
from workbench.backtest.stats import YEAR
from workbench.backtest.trials.ledger import Ledger, Receipt
from workbench.backtest.trials.question import Question
from workbench.backtest.trials.rows import record, record_ratios, record_walk_forward
from workbench.errors import InputRefused
from workbench.params import Paths

Tried = WalkForward | Simulation | Curve | pd.Series | pd.DataFrame | Sweep


def count_trials(
    tried: Tried,
    question: str = "",
    cells: Sequence[Mapping[str, Any]] | None = None,
    *,
    strategy: str = "by hand",
    market: str = "",
    ledger: Ledger | None = None,
) -> Receipt:
    """Count what was tried for a question, and return how many trials it has now.

    ``cells`` has the parameters of each trial: of a column of returns, or of a cell of a sweep. A sweep has no returns,
    so its trials count as unlike all others. A walk-forward and a simulation know their market, a walk-forward its
    question too. What was counted before with the same returns is not counted again.
    """
    ledger = ledger or Ledger(Paths().trials)
    if isinstance(tried, WalkForward):
        return record_walk_forward(ledger, tried, source="notebook")
    if not question.strip():
        raise InputRefused("count_trials: no question; give the one that this was tried for, such as params.question")
    market = market or (tried.market if isinstance(tried, (Simulation, Curve)) else "")
    if not market:
        raise InputRefused("count_trials: no market; give market=bars.market, trials are counted by market")
    asked = Question(question, market)
    if isinstance(tried, Sweep):
        return _count_sweep(ledger, asked, strategy, tried, cells)
    returns = tried if isinstance(tried, (pd.Series, pd.DataFrame)) else tried.returns
    frame = returns.to_frame() if isinstance(returns, pd.Series) else returns
    named: Sequence[Mapping[str, Any]] = [{}] * frame.shape[1] if cells is None else cells
    return record(ledger, asked, strategy, named, frame, source="notebook")


def _count_sweep(
    ledger: Ledger, question: Question, strategy: str, sweep: Sweep, cells: Sequence[Mapping[str, Any]] | None
) -> Receipt:
    """Count every cell of a sweep, and every symbol where each is an account, by the ratio of its longest window."""
    lengths = [window.stop - window.start for window in sweep.windows]
    longest = int(np.argmax(lengths))
    ratios = sweep["sharpe"][longest] / np.sqrt(YEAR)
    named = [{"cell": number} for number in range(len(ratios))] if cells is None else list(cells)
    if len(named) != len(ratios):
        raise InputRefused(f"count_trials: {len(named)} sets of parameters for {len(ratios)} cells; give one each")
    if sweep.symbols:
        named = [{**cell, "symbol": symbol} for cell in named for symbol in sweep.symbols]
    made_by = {"windows": [[window.start, window.stop] for window in sweep.windows]}
    return record_ratios(
        ledger, question, strategy, named, ratios.ravel(), lengths[longest], source="notebook", made_by=made_by
    )
