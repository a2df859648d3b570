"""Evaluate Qlib's expressions over a market given as arrays. Runs in the peer's environment, without ours.

    python pyqlib_features.py FOLDER --columns alpha158 --repeats 3

FOLDER holds market.npz: ``days`` (YYYY-MM-DD), ``symbols`` and open, high, low, close, volume, vwap as days × symbols.
It is written as Qlib's own binary store first. Prints one JSON line with the seconds that each evaluation took;
``--out`` also writes the numbers as columns × symbols × days.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import time
from pathlib import Path

import numpy as np

FIELDS = ("open", "high", "low", "close", "volume", "vwap")


def store(folder: Path, market: dict[str, np.ndarray]) -> None:
    """Write the market as Qlib's binary store: one file a symbol and field, from the symbol's first bar on."""
    shutil.rmtree(folder, ignore_errors=True)
    days = [str(day) for day in market["days"]]
    (folder / "calendars").mkdir(parents=True)
    (folder / "instruments").mkdir()
    (folder / "calendars" / "day.txt").write_text("\n".join(days) + "\n")
    lines = []
    for number, symbol in enumerate(market["symbols"]):
        bars = np.flatnonzero(np.isfinite(market["close"][:, number]))
        first, last = int(bars[0]), int(bars[-1])
        lines.append(f"{symbol}\t{days[first]}\t{days[last]}")
        place = folder / "features" / str(symbol).lower()
        place.mkdir(parents=True)
        for field in FIELDS:
            values = market[field][first : last + 1, number]
            np.hstack([[first], values]).astype("<f4").tofile(place / f"{field}.day.bin")
    (folder / "instruments" / "all.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Store, evaluate, tell."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--columns", default="alpha158", help="alpha158, or names of its columns with commas")
    options.add_argument("--workers", type=int, default=0, help="0: every core")
    options.add_argument("--repeats", type=int, default=1)
    options.add_argument("--cached", action="store_true", help="also build Qlib's data-set cache and read it")
    options.add_argument("--out", type=Path)
    asked = options.parse_args()

    import qlib
    from qlib.contrib.data.loader import Alpha158DL
    from qlib.data import D
    from qlib.data.cache import H

    with np.load(asked.folder / "market.npz") as file:
        market = {name: file[name] for name in file.files}
    provider = asked.folder / "qlib"
    store(provider, market)
    workers = asked.workers or len(os.sched_getaffinity(0))  # its own default leaves two cores idle
    caches = {"expression_cache": None, "dataset_cache": None}
    qlib.init(provider_uri=str(provider), region="us", kernels=workers, logging_level=40, **caches)
    fields, names = Alpha158DL.get_feature_config()
    if asked.columns != "alpha158":
        wanted = asked.columns.split(",")
        fields, names = [fields[names.index(name)] for name in wanted], wanted
    symbols = [str(symbol) for symbol in market["symbols"]]
    seconds = []
    for _ in range(asked.repeats):
        H.clear()
        begun = time.perf_counter()
        table = D.features(symbols, fields, str(market["days"][0]), str(market["days"][-1]), disk_cache=0)
        seconds.append(time.perf_counter() - begun)
    told = {"seconds": seconds, "rows": len(table), "columns": len(names), "workers": workers}
    if asked.cached:
        told |= cached(asked.folder / "cache", symbols, fields, market, asked.repeats)
    peak = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    told["peak_rss_mb"] = round(max(peak) / 1024)
    if asked.out:
        table.columns = names
        rows = [str(day.date()) for day in table.index.get_level_values("datetime")]
        place = {day: number for number, day in enumerate(map(str, market["days"]))}
        row = np.array([place[day] for day in rows])
        column = table.index.get_level_values("instrument").map({s: n for n, s in enumerate(symbols)}).to_numpy()
        out = np.full((len(names), len(symbols), len(place)), np.nan, np.float32)
        for number, name in enumerate(names):
            out[number, column, row] = table[name].to_numpy()
        np.save(asked.out, out)
    print(json.dumps(told), flush=True)


def cached(
    folder: Path, symbols: list[str], fields: list[str], market: dict[str, np.ndarray], repeats: int
) -> dict[str, object]:
    """Return the seconds to build Qlib's data-set cache and to read it back.

    Its methods are called past its locks, which would need a Redis server: the file and the reading are its own.
    """
    from qlib.data.cache import DiskDatasetCache
    from qlib.data.data import DatasetD
    from qlib.log import get_module_logger

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cache = object.__new__(DiskDatasetCache)
    cache.provider, cache.logger = DatasetD, get_module_logger("cache")
    begun = time.perf_counter()
    cache.gen_dataset_cache(folder / "dataset", symbols, fields, "day")
    building = time.perf_counter() - begun
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        DiskDatasetCache.read_data_from_cache(folder / "dataset", market["days"][0], market["days"][-1], fields)
        seconds.append(time.perf_counter() - begun)
    return {"cache_building": building, "cache_seconds": seconds}


if __name__ == "__main__":
    main()
