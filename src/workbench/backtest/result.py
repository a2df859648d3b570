"""What a simulation and a walk-forward hand to the next stage: frozen, with everything a picture or a record needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.backtest.robustness.card import Robustness
from workbench.errors import NoData


@dataclass(frozen=True)
class Simulation:
    """One portfolio traded through time, after all costs.

    ``costs`` has a row a session and a column a kind (commission, spread, impact, borrow), in currency.
    ``orders`` has session, symbol, side, shares (as traded), price (as traded), value, commission, spread, impact,
    participation (share of the session's volume).
    ``trades`` has symbol, side, entry, exit, entry_price, exit_price, pnl, return, sessions, open.
    ``unsettled`` is 0, or where the costs did not settle, the share of the start capital that the orders were charged
    too much or too little.
    """

    returns: pd.Series
    equity: pd.Series
    positions: pd.DataFrame  # date × symbol, share of equity held at the close
    costs: pd.DataFrame
    orders: pd.DataFrame
    trades: pd.DataFrame
    cash: float
    market: str
    unsettled: float = 0.0

    @property
    def drawdown(self) -> pd.Series:
        """The share of the highest equity so far that is lost, zero or negative; the start capital counts as a high."""
        return _drawdown(self.equity, self.cash)


@dataclass(frozen=True)
class Curve:
    """What an account's net returns alone tell: enough for a picture, without its orders and trades."""

    returns: pd.Series
    cash: float
    market: str

    @property
    def equity(self) -> pd.Series:
        """The account's value after costs."""
        return self.cash * (1.0 + self.returns).cumprod()

    @property
    def drawdown(self) -> pd.Series:
        """The share of the highest equity so far that is lost, as for a simulation."""
        return _drawdown(self.equity, self.cash)


def _drawdown(equity: pd.Series, cash: float) -> pd.Series:
    return equity / equity.cummax().clip(lower=cash) - 1.0


@dataclass(frozen=True)
class WalkForward:
    """Parameters chosen on each training window only; the stitched out-of-sample curve is the result.

    ``folds`` has fold, train_start, train_end, test_start, test_end, train_score, test_score, params (a dict).
    ``cells`` has one row a grid cell: a column a parameter, ``train_score`` (mean over folds), ``test_score`` (the
    cell held over the whole out-of-sample period), ``chosen`` (how many folds chose it).
    ``in_sample`` and ``out_of_sample`` hold the same statistics by name; in sample is the mean over the training
    windows of the cell chosen there. ``intervals`` has (low, high) of 95 % for some of the out-of-sample ones.
    ``robustness`` is the card, where one was made: ``replace(result, robustness=robustness(...))``.
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
    robustness: Robustness | None = None

    def save(self, folder: Path) -> None:
        """Write the result as Parquet and JSON, for the steps that compare and report."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            name: getattr(self, name)
            for name in (
                "strategy",
                "question",
                "market",
                "in_sample",
                "out_of_sample",
                "intervals",
                "params",
                "select_by",
            )
        }
        folds = self.folds.assign(params=[json.dumps(params) for params in self.folds["params"]])
        curves = pd.DataFrame(
            {"return": self.simulation.returns, "equity": self.simulation.equity, "benchmark": self.benchmark}
        )
        frames = {
            "folds": folds,
            "cells": self.cells,
            "cell_returns": self.cell_returns.rename(columns=str),
            "curves": curves,
            "positions": self.simulation.positions,
            "costs": self.simulation.costs,
            "orders": self.simulation.orders,
            "trades": self.simulation.trades,
        }
        for name, frame in frames.items():
            frame.to_parquet(folder / f"{name}.parquet")
        account = {"cash": self.simulation.cash, "unsettled": self.simulation.unsettled}
        (folder / "result.json").write_text(json.dumps({**facts, **account}, indent=1))
        if self.robustness is not None:
            self.robustness.save(folder / "robustness.json")

    @classmethod
    def load(cls, folder: Path) -> WalkForward:
        """Return a result written by ``save``."""
        if not (folder / "result.json").is_file():
            raise NoData(f"{folder}: no walk-forward result there; run it again: make backtest")
        facts = json.loads((folder / "result.json").read_text())
        names = ("folds", "cells", "cell_returns", "curves", "positions", "costs", "orders", "trades")
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in names}
        curves = frames.pop("curves")
        simulation = Simulation(
            returns=curves["return"],
            equity=curves["equity"],
            cash=facts.pop("cash"),
            unsettled=facts.pop("unsettled", 0.0),  # results of before do not say
            market=facts["market"],
            **{name: frames.pop(name) for name in ("positions", "costs", "orders", "trades")},
        )
        frames["folds"]["params"] = [json.loads(text) for text in frames["folds"]["params"]]
        frames["cell_returns"].columns = pd.RangeIndex(len(frames["cell_returns"].columns))
        facts["intervals"] = {name: (low, high) for name, (low, high) in facts["intervals"].items()}
        card = folder / "robustness.json"
        facts["robustness"] = Robustness.load(card) if card.is_file() else None
        known: dict[str, Any] = {**frames, **facts}
        return cls(simulation=simulation, benchmark=curves["benchmark"], **known)
