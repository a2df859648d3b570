"""By how much weights better the Sharpe ratio, measured: on what the strategies' own evidence earned out of sample."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from workbench.backtest.stats import sharpe
from workbench.registry.gates.facts import Unknown
from workbench.registry.packs.curves import CURVES, returns_in
from workbench.registry.packs.pack import Pack

LEAST_SESSIONS = 60  # that all have: fewer say nothing of how they move together


def improvement(packs: Mapping[str, Pack], weights: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Return the annual Sharpe ratio under these weights, less that under the ones ``before``.

    >>> improvement(packs, {"one": 0.6, "two": 0.4}, {"one": 0.5, "two": 0.5})
    0.08
    """
    table = pd.concat({name: _returns(name, pack) for name, pack in packs.items()}, axis=1, join="inner").dropna()
    if len(table) < LEAST_SESSIONS:
        raise Unknown(f"{', '.join(packs)} share {len(table)} sessions out of sample, it needs {LEAST_SESSIONS}")
    now, then = (sharpe((table[list(shares)] * pd.Series(shares)).sum(axis=1)) for shares in (weights, before))
    if not math.isfinite(now - then):
        raise Unknown(f"the returns of {', '.join(packs)} have no Sharpe ratio together")
    return now - then


def _returns(name: str, pack: Pack) -> pd.Series[float]:
    if not pack.has(CURVES):
        raise Unknown(f"the evidence of {name} has no {CURVES}")
    try:
        found = returns_in(pack)
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Unknown(f"{CURVES} of {name} cannot be read ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(found.index, pd.DatetimeIndex) or found.index.has_duplicates:
        raise Unknown(f"{CURVES} of {name} has no dates, or one twice")
    return found
