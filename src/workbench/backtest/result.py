"""What a simulation and a walk-forward hand to the next stage: frozen, with everything a picture or a record needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Simulation:
    """One portfolio traded through time, after all costs.

    ``costs`` has a row a session and a column a kind (commission, spread, impact, borrow), in currency.
    ``orders`` has session, symbol, side, shares (as traded), price (as traded), value, commission, spread, impact,
    participation (share of the session's volume).
    ``trades`` has symbol, side, entry, exit, entry_price, exit_price, pnl, return, sessions, open.
    """

    returns: pd.Series
    equity: pd.Series
    positions: pd.DataFrame  # date × symbol, share of equity held at the close
    costs: pd.DataFrame
    orders: pd.DataFrame
    trades: pd.DataFrame
    cash: float
    market: str

    @property
    def drawdown(self) -> pd.Series:
        """The share of the highest equity so far that is lost, zero or negative; the start capital counts as a high."""
        peak = self.equity.cummax().clip(lower=self.cash)
        return self.equity / peak - 1.0


@dataclass(frozen=True)
class WalkForward:
    """Parameters chosen on each training window only; the stitched out-of-sample curve is the result.

    ``folds`` has fold, train_start, train_end, test_start, test_end, train_score, test_score, params (a dict).
    ``cells`` has one row a grid cell: a column a parameter, ``train_score`` (mean over folds), ``test_score`` (the
    cell held over the whole out-of-sample period), ``chosen`` (how many folds chose it).
    ``in_sample`` and ``out_of_sample`` hold the same statistics by name; in sample is the mean over the training
    windows of the cell chosen there. ``intervals`` has (low, high) of 95 % for some of the out-of-sample ones.
    """

    strategy: str
    question: str
    market: str
    folds: pd.DataFrame
    cells: pd.DataFrame
    cell_returns: pd.DataFrame
    simulation: Simulation
    benchmark: pd.Series
    in_sample: Mapping[str, float]
    out_of_sample: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    params: Mapping[str, Any]
    select_by: str
