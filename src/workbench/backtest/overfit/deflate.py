"""One series of returns judged: less the market, and above what the best of everything tried for its question shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.backtest import stats
from workbench.backtest.overfit.inputs import Array
from workbench.backtest.overfit.market import hedge
from workbench.backtest.overfit.sharpe import min_track_record_length, probabilistic_sharpe
from workbench.backtest.trials import Ledger, Question, by_week
from workbench.errors import InputRefused


@dataclass(frozen=True)
class Shape:
    """The Sharpe ratio per period of ``n`` returns, and what says how sure it is."""

    sharpe: float
    n: int
    skew: float
    kurtosis: float

    @classmethod
    def of(cls, name: str, returns: Array) -> Shape:
        """Return the shape of returns that took risk."""
        n = int(np.isfinite(returns).sum())
        sharpe, skew, kurtosis = stats.sharpe(returns, periods=1), stats.skew(returns), stats.kurtosis(returns)
        if not all(map(math.isfinite, (sharpe, skew, kurtosis))):
            raise InputRefused(f"{name} took no risk in {n} returns: it has no Sharpe ratio")
        return cls(sharpe, n, skew, kurtosis)

    def above(self, luck: float = 0.0) -> float:
        """Return the probability that the true Sharpe ratio is above ``luck``, a Sharpe ratio per period."""
        return probabilistic_sharpe(self.sharpe, self.n, self.skew, self.kurtosis, luck)


class Numbers:
    """What could be computed by name, and why the rest could not."""

    def __init__(self) -> None:
        self.known: dict[str, float] = {}
        self.missing: dict[str, str] = {}

    def lack(self, names: Iterable[str], why: str) -> None:
        """Say why some numbers are not there; the first reason stands."""
        for name in names:
            self.missing.setdefault(name, why)

    def find(self, name: str, compute: Callable[[], float]) -> None:
        """Compute a number, unless it is known to be missing; one that is refused is missing for that reason."""
        if name in self.missing:
            return
        try:
            self.known[name] = compute()
        except InputRefused as error:
            self.lack((name,), str(error))

    def shape(self, names: Iterable[str], name: str, returns: Array) -> Shape | None:
        """Return the shape of returns, or None and say why ``names`` are not there."""
        try:
            return Shape.of(name, returns)
        except InputRefused as error:
            self.lack(names, str(error))
            return None


RAW = ("sharpe_raw", "dsr_raw")
HEDGED = ("sharpe", "skew", "kurtosis", "psr", "dsr", "min_track_record")
COUNTED = ("expected_max", "dsr", "dsr_raw")


def judge(name: str, returns: pd.Series, benchmark: pd.Series, ledger: Ledger, question: Question) -> Numbers:
    """Return what a series of returns shows, as it is (``RAW``) and less the market (``HEDGED``).

    ``benchmark`` has the market's returns of the same days. The trials of the question are those in the ledger.
    """
    numbers, own = Numbers(), returns.to_numpy(dtype=float)
    market = benchmark.reindex(returns.index)
    raw = numbers.shape((*RAW, "beta", *HEDGED), name, own)
    best = ledger.expected_best(question, by_week(market)), ledger.expected_best(question)
    if None in best:
        numbers.lack(COUNTED, "no trial with returns is in the ledger for this question; record what was tried first")
    if losses := ledger.losses():
        numbers.lack(("trials",), "; ".join(loss.sentence for loss in losses))
    luck, luck_raw = ((value or 0.0) / math.sqrt(max(len(own) - 1, 1)) for value in best)
    numbers.find("expected_max", lambda: luck)
    if raw is None:
        return numbers
    numbers.known["sharpe_raw"] = raw.sharpe
    numbers.find("dsr_raw", lambda: raw.above(luck_raw))

    try:
        left = hedge(own, market)
    except InputRefused as error:
        numbers.lack(("beta", *HEDGED), str(error))
        return numbers
    numbers.known["beta"] = float(left.betas[0])
    shape = numbers.shape(HEDGED, f"{name} less the market", left.returns)
    if shape is None:
        return numbers
    numbers.known |= {"sharpe": shape.sharpe, "skew": shape.skew, "kurtosis": shape.kurtosis}
    numbers.find("psr", shape.above)
    numbers.find("dsr", lambda: shape.above(luck))
    numbers.find("min_track_record", lambda: _track_record(shape))
    return numbers


def _track_record(shape: Shape) -> float:
    length = min_track_record_length(shape.sharpe, shape.skew, shape.kurtosis)
    if math.isinf(length):
        raise InputRefused("the Sharpe ratio is not above zero: no track record is long enough")
    return length
