"""One figure of a benchmark: a time is taken, set beside its peer, and printed as one JSON line.

    from figure import report, seconds

    report("lake_append_day", seconds(append, 5), "polars_rewrite_parquet", seconds(rewrite, 5), {"rows": 60_000})

Every script in this folder imports it; run by itself it prints nothing.
"""

from __future__ import annotations

import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds(work: Callable[[], object], repeats: int, before: int = 0) -> float:
    """Return the median time of some runs, after ``before`` runs that do not count."""
    times = []
    for _ in range(before + repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[before:])


def report(
    figure: str,
    value: float,
    peer: str | None,
    peer_value: float | None,
    size: Mapping[str, int | float | str],
    unit: str = "s",
    *,
    peak_rss_mb: float | None = None,
    target: str = "",
) -> None:
    """Print one figure, to five digits; a figure that stands alone has ``None`` for its peer.

    ``peak_rss_mb`` is that of this process, unless another one was measured. ``target`` says what it should be.
    """
    own_rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line: dict[str, Any] = {
        "figure": figure,
        "value": _digits(value),
        "unit": unit,
        "peer": peer,
        "peer_value": None if peer_value is None else _digits(peer_value),
        "ratio": round(value / peer_value, 3) if peer_value else None,
        "peak_rss_mb": round(own_rss_mb if peak_rss_mb is None else peak_rss_mb),
        "size": dict(size),
    }
    if target:
        line["target"] = target
    print(json.dumps(line), flush=True)


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
