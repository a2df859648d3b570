"""Several walk-forwards side by side, best first, on the numbers that decide."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.backtest.overfit import Overfitting, evidence
from workbench.backtest.result import WalkForward
from workbench.backtest.text import SHOWN, number, written
from workbench.backtest.trials import Ledger
from workbench.errors import NoData

COLUMNS = ("sharpe", "cagr", "volatility", "max_drawdown", "turnover", "cost_per_year", "exposure", "beta")
COUNTED = ("trials", "dsr", "pbo")
LEFT_OUT = ("exposure", "beta")  # of a page's table, to keep it as narrow as the page; the tear sheet has them


def ranking(results: Sequence[WalkForward], ledger: Ledger | None = None) -> pd.DataFrame:
    """Return one row a strategy, ordered by the out-of-sample Sharpe ratio after costs.

    With a ledger, each row has the trials of its question, the deflated Sharpe ratio and the probability of
    overfitting; where one cannot be computed it is None, and ``missing`` says why. ``first`` and ``last`` are the
    sessions that a row's numbers are of, and ``later`` is how many sessions after the others' first it begins.
    """
    if not results:
        raise NoData("ranking: there is no result to rank; run make backtest")
    sessions = [result.simulation.returns.index for result in results]
    longest = min(sessions, key=lambda index: index[0])
    rows = []
    for result, index in zip(results, sessions, strict=True):
        low, high = result.intervals["sharpe"]
        rows.append(
            {
                "strategy": result.strategy,
                **{name: float(result.out_of_sample[name]) for name in COLUMNS},
                "sharpe_low": low,
                "sharpe_high": high,
                "in_sample": float(result.in_sample["sharpe"]),
                "good_folds": int((result.folds["test_score"] > 0).sum()),
                "folds": len(result.folds),
                "first": str(index[0].date()),
                "last": str(index[-1].date()),
                "later": int((longest < index[0]).sum()),
                **({} if ledger is None else _counted(evidence(result, ledger))),
            }
        )
    table = pd.DataFrame(rows).sort_values("sharpe", ascending=False, ignore_index=True)
    counted = [name for name in COUNTED if name in table]
    # A column of numbers would turn None into NaN, which says nothing.
    return table.assign(**{name: table[name].astype(object).where(table[name].notna(), None) for name in counted})


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking as people read it: a dash for what is not there, and why where one is."""
    rounded = table.round(3)
    for name in (*COLUMNS, *COUNTED):
        if name in rounded:
            rounded[name] = [written(name, value) for value in table[name]]
    if "missing" in rounded and not rounded["missing"].any():
        rounded = rounded.drop(columns="missing")
    if "elsewhere" in rounded and not rounded["elsewhere"].any():
        rounded = rounded.drop(columns="elsewhere")
    return rounded


def titled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking under people's headers, narrow enough for a page; ``text.remarks`` says the rest."""
    rows = table.to_dict("records")
    seen: dict[str, list[str]] = {
        SHOWN["sharpe"].title: [written("sharpe", row["sharpe"]) for row in rows],
        "95 %": [f"{number(row['sharpe_low'])} … {number(row['sharpe_high'])}" for row in rows],
        "In sample": [number(row["in_sample"]) for row in rows],
    }
    for name in (*(name for name in COLUMNS[1:] if name not in LEFT_OUT), *COUNTED):
        if name in table:
            seen[SHOWN[name].title] = [written(name, row[name]) for row in rows]
    seen["Windows that earned"] = [f"{row['good_folds']} of {row['folds']}" for row in rows]
    if table["later"].any():
        seen |= {"From": table["first"].tolist(), "To": table["last"].tolist()}
    return pd.DataFrame(seen, index=table["strategy"].tolist())


def correlations(results: Sequence[WalkForward]) -> pd.DataFrame:
    """Return the correlation of the strategies' daily returns: what they add to each other."""
    returns = {result.strategy: result.simulation.returns for result in results}
    return pd.DataFrame(returns).corr()


def _counted(found: Overfitting) -> dict[str, object]:
    missing = "; ".join(f"{name}: {found.missing[name]}" for name in COUNTED if name in found.missing)
    return {
        "trials": found.trials,
        "dsr": found.dsr,
        "pbo": found.pbo,
        "missing": missing,
        "elsewhere": found.elsewhere,
    }
