"""What the look-ahead guard costs: every strategy and feature of the workbench, beside running each of them once.

python bench/lookahead.py --years 15 --symbols-per-sector 10      # the default sample market
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from figure import report

from workbench.backtest.lookahead.survey import (
    FIVE_MINUTES,
    eventful,
    family_of,
    feature,
    feature_names,
    opened_lake,
    survey,
)
from workbench.features.intraday import Intraday
from workbench.params import Paths, Settings, load_strategy_params
from workbench.strategies import catalog


def main() -> None:
    """Examine everything, and say how often each thing was run for it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--years", type=int, default=4)
    arguments.add_argument("--symbols-per-sector", type=int, default=3)
    asked = arguments.parse_args()
    settings = Settings()
    sample = settings.sample.model_copy(
        update={"years": asked.years, "symbols_per_sector": asked.symbols_per_sector, "intraday_sessions": 30}
    )
    settings = settings.model_copy(update={"sample": sample})
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths()
        paths.lake = Path(folder) / "lake"  # no lake there: one is made
        begin, busy = time.perf_counter(), time.process_time()
        reports = list(survey(settings, paths))
        whole, busy = time.perf_counter() - begin, time.process_time() - busy
        with opened_lake(settings, paths) as lake:
            bars, five = lake.bars(), lake.bars(dataset=FIVE_MINUTES)
        begin = time.perf_counter()
        for name in catalog.names():
            params = load_strategy_params(name, paths)
            catalog.default(name, params, bars, settings.sizing, settings.data.benchmark).weights(bars)
        few = bars.select((settings.data.benchmark, *eventful(bars, 8)))
        for name in feature_names():
            each = feature(name)
            each.compute(five if isinstance(each, Intraday) else few)
        once = time.perf_counter() - begin
    assert all(each.clean for each in reports)
    size = {"reports": len(reports), "runs": sum(each.runs for each in reports), "bars": len(bars)}
    size |= {"strategies": len(catalog.names()), "features": len(feature_names())}
    size |= {"families": len({family_of(name) for name in feature_names()})}
    size |= {"processor_s": round(busy, 1)}  # what other work on the machine does not change
    size |= {"symbols": len(bars.symbols), "dates_tried": sum(each.tried for each in reports)}
    report("lookahead_everything", whole, "each_run_once", once, size, target="60 s at the default market")


if __name__ == "__main__":
    main()
