"""How long the curve of a moved slider takes in 01_explore_strategy, beside a full simulation by vectorbt.

    python bench/explore.py --looks 21

The market is the product's own, made and published to a lake in a temporary folder. Each look has other parameters and
counts as a trial, as in the notebook; the picture is drawn to PNG.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figure import report

from workbench.backtest import figures
from workbench.backtest.explorer import Explorer
from workbench.backtest.trials import Ledger
from workbench.data.lake import Lake
from workbench.data.sample import SampleSource
from workbench.data.source import Request
from workbench.data.validated import Validated
from workbench.params import SampleParams, Settings, load_strategy_params
from workbench.types import Bars


def sample_bars(folder: Path, years: int) -> Bars:
    """Return the bars of the sample market, by way of a lake."""
    source, lake = SampleSource(SampleParams(years=years, intraday_sessions=0)), Lake(folder / "lake", "sample")
    for name in ("symbols", "prices_daily", "actions"):
        lake.publish(Validated(name, source.fetch(Request(name)).rows, "the sample market"))
    return lake.bars()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that one call took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print the figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--looks", type=int, default=9)
    options.add_argument("--years", type=int, default=15)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bars = sample_bars(Path(folder), asked.years)
        ledger = Ledger(Path(folder) / "trials.db")
        explorer = Explorer("sma_cross", load_strategy_params("sma_cross"), bars, Settings(), ledger)
        cells = [{"fast": fast, "slow": slow} for fast, slow in itertools.product((5, 10, 20, 30), range(60, 300, 5))]
        explorer.curve(**cells[-1])  # the first one compiles
        explorer.simulation(**cells[-1])
        looks, full = [], []
        for cell in cells[: asked.looks]:
            looks.append(timed(lambda cell=cell: figures.png(explorer.curve(**cell))))  # type: ignore[misc]
            full.append(timed(lambda cell=cell: explorer.simulation(**cell)))  # type: ignore[misc]
    size = {"looks": asked.looks, "sessions": len(bars), "symbols": len(bars.symbols)}
    report(
        "from a changed parameter to a new curve",
        statistics.median(looks),
        "vectorbt's portfolio alone, no picture",
        statistics.median(full),
        size,
        target="value <= 0.3",
    )


if __name__ == "__main__":
    main()
