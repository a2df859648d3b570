"""What a feature says about the returns that follow, with what is uncertain about it.

>>> columns = evaluate(technical.basic(), bars)
>>> study.summary(columns, bars, horizon=21)          # information coefficients with intervals, turnover, clusters

Returns that follow look ahead: they judge features and are never an input of anything. A signal of the close is traded
at the next open.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import InputRefused, NoData
from workbench.features.columns import Columns
from workbench.types import Bars

LEAST_SYMBOLS = 5
LEAST_SESSIONS = 30
CLUSTER_SESSIONS = 250


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval, over so many sessions."""

    mean: float
    low: float
    high: float
    sessions: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class Clusters:
    """Mean rank correlations of features, in an order that puts like beside like, and each one's cluster from 1 on."""

    correlation: pd.DataFrame
    cluster: pd.Series


def forward_returns(bars: Bars, horizon: int) -> pd.DataFrame:
    """Return what is earned from the next open to the close ``horizon`` sessions ahead."""
    if horizon < 1:
        raise InputRefused(f"study: horizon {horizon} must be at least 1 session")
    return bars.close.shift(-horizon) / bars.open.shift(-1) - 1.0


def information(columns: Columns, bars: Bars, horizon: int, ranks: bool = True) -> pd.DataFrame:
    """Return date × feature: each session's (rank) correlation across symbols with the returns that followed."""
    from workbench.features.rows import correlations

    ahead = np.ascontiguousarray(_over(columns, forward_returns(bars, horizon)))
    found = _each(columns, lambda values: correlations(values, ahead, ranks, LEAST_SYMBOLS))
    return pd.DataFrame(found, index=columns.index)


def estimate(series: pd.Series, horizon: int = 1) -> Estimate:
    """Return the mean with Newey and West's interval, for values that overlap over ``horizon`` sessions.

    The lag is the larger of one and a half horizons and Newey and West's own rule, 4 (n / 100) to the power 2/9.
    """
    values = series.dropna().to_numpy(dtype=float)
    count = len(values)
    if count < LEAST_SESSIONS:
        return Estimate(float(values.mean()) if count else np.nan, np.nan, np.nan, count)
    lag = min(count - 1, max(-(-3 * horizon // 2), int(4 * (count / 100) ** (2 / 9))))
    apart = values - values.mean()
    variance = apart @ apart
    for step in range(1, lag + 1):
        variance += 2.0 * (1.0 - step / (lag + 1)) * (apart[step:] @ apart[:-step])
    half = 1.96 * float(np.sqrt(max(variance, 0.0))) / count
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, count)


def estimates(found: Mapping[str, Estimate]) -> pd.DataFrame:
    """Return estimates as a table, a row each."""
    rows = {name: {**asdict(each), "clear": each.clear} for name, each in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def summary(columns: Columns, bars: Bars, horizon: int) -> pd.DataFrame:
    """Return a row per feature, the strongest first: both coefficients with intervals, turnover, cluster."""
    ranks, plain = (information(columns, bars, horizon, ranks=which) for which in (True, False))
    moved, groups = turnover(columns), clusters(columns).cluster
    rows = {}
    for name in columns:
        rank, ic = estimate(ranks[name], horizon), estimate(plain[name], horizon)
        spread = float(ranks[name].std())
        rows[name] = {
            "rank_ic": rank.mean,
            "rank_low": rank.low,
            "rank_high": rank.high,
            "ic": ic.mean,
            "ic_low": ic.low,
            "ic_high": ic.high,
            "rank_icir": rank.mean / spread if spread > 0 else np.nan,
            "positive": float((ranks[name].dropna() > 0).mean()),
            "turnover": moved.loc[name, "turnover"],
            "autocorrelation": moved.loc[name, "lag 1"],
            "cluster": int(groups[name]),
            "sessions": rank.sessions,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.loc[table["rank_ic"].abs().sort_values(ascending=False).index]


def decay(columns: Columns, bars: Bars, horizons: Sequence[int] = (1, 2, 5, 10, 21, 42, 63)) -> pd.DataFrame:
    """Return a row per feature and horizon: the mean rank correlation with its interval."""
    rows = []
    for horizon in horizons:
        found = information(columns, bars, horizon)
        for name in columns:
            made = estimate(found[name], horizon)
            rows.append({"feature": name, "horizon": horizon, "mean": made.mean, "low": made.low, "high": made.high})
    return pd.DataFrame(rows).set_index(["feature", "horizon"])


def turnover(columns: Columns, lags: Sequence[int] = (1, 5, 21), quantiles: int = 5) -> pd.DataFrame:
    """Return for each feature the share of its top quantile that is new each session, and how ranks last over lags.

    ``lag 5`` is the mean correlation of a session's ranks with those five sessions before.
    """
    from workbench.features.rows import correlations, rank_shares

    def row(values: np.ndarray) -> dict[str, float]:
        shares = rank_shares(values, max(LEAST_SYMBOLS, quantiles))
        top = shares > 1.0 - 1.0 / quantiles
        size, fresh = top[1:].sum(axis=1), (top[1:] & ~top[:-1]).sum(axis=1)
        known = (size > 0) & (top[:-1].sum(axis=1) > 0)
        lasting = {
            f"lag {lag}": _mean(correlations(shares[lag:], shares[: len(shares) - lag], False, LEAST_SYMBOLS))
            for lag in lags
        }
        return {"turnover": float((fresh[known] / size[known]).mean()) if known.any() else np.nan} | lasting

    return pd.DataFrame.from_dict(_each(columns, row), orient="index")


def quantile_returns(feature: pd.DataFrame, bars: Bars, quantiles: int = 5) -> pd.DataFrame:
    """Return date × quantile, 1 the lowest: the mean return from the next open to the one after, over all symbols'."""
    if quantiles < 2:
        raise InputRefused(f"study: {quantiles} quantiles; use 2 at least")
    ahead = (bars.open.shift(-2) / bars.open.shift(-1) - 1.0).reindex(index=feature.index, columns=feature.columns)
    from workbench.features.rows import rank_shares

    shares = rank_shares(np.ascontiguousarray(feature.to_numpy(dtype=float)), max(LEAST_SYMBOLS, quantiles))
    place = pd.DataFrame(np.ceil(shares * quantiles), index=feature.index, columns=feature.columns)
    known = ahead.where(place.notna())
    excess = known.sub(known.mean(axis=1), axis=0)
    return pd.DataFrame({number: excess.where(place == number).mean(axis=1) for number in range(1, quantiles + 1)})


def clusters(columns: Columns, distance: float = 0.4) -> Clusters:
    """Return which features say the same: average linkage over 1 - |rank correlation|, cut at ``distance``."""
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    from workbench.features.rows import rank_shares

    step = max(1, len(columns.index) // CLUSTER_SESSIONS)

    def scores(values: np.ndarray) -> np.ndarray:
        ranks = rank_shares(np.ascontiguousarray(values[step - 1 :: step]), LEAST_SYMBOLS)
        apart = ranks - _row_means(ranks)
        spread = np.sqrt(_row_means(apart**2))
        scored: np.ndarray = apart / np.where(spread > 0, spread, np.nan)
        return scored.ravel()

    table = np.array(list(_each(columns, scores).values()))
    present = np.isfinite(table)
    filled = np.where(present, table, 0.0)
    both = present.astype(float) @ present.T.astype(float)
    norms = np.sqrt((filled**2) @ present.T.astype(float))
    scale = norms * norms.T
    correlation = np.divide(filled @ filled.T, scale, out=np.zeros_like(both), where=scale > 0).clip(-1.0, 1.0)
    np.fill_diagonal(correlation, 1.0)
    if len(columns) == 1:
        return Clusters(
            pd.DataFrame(correlation, index=list(columns), columns=list(columns)), pd.Series({columns.names[0]: 1})
        )
    tree = linkage(squareform(1.0 - np.abs(correlation), checks=False), "average", optimal_ordering=True)
    order = [columns.names[place] for place in leaves_list(tree)]
    found = pd.Series(fcluster(tree, distance, "distance"), index=list(columns)).loc[order]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(found), start=1)}
    frame = pd.DataFrame(correlation, index=list(columns), columns=list(columns)).loc[order, order]
    return Clusters(frame, found.map(numbers))


def _each(columns: Columns, measure: Callable[[np.ndarray], Any]) -> dict[str, Any]:
    """Return what a measure says of each column, date × symbol, on every core: compiled code lets go of the lock."""

    def one(name: str) -> Any:
        return measure(np.ascontiguousarray(columns.frame(name).to_numpy(dtype=float)))

    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return dict(zip(columns, pool.map(one, columns), strict=True))


def _row_means(values: np.ndarray) -> np.ndarray:
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    means: np.ndarray = np.nansum(values, axis=1, keepdims=True) / np.maximum(count, 1)
    return means


def _over(columns: Columns, frame: pd.DataFrame) -> np.ndarray:
    found = frame.reindex(index=columns.index, columns=list(columns.symbols))
    if not found.notna().to_numpy().any():
        raise NoData("study: no return follows any session of the columns; give the bars that they were made from")
    return found.to_numpy(dtype=float)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
