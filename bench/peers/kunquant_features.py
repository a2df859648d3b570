"""Compile and run KunQuant's Alpha158 over a market given as arrays. Runs in the peer's environment, without ours.

    python kunquant_features.py FOLDER --repeats 3

FOLDER holds market.npz, as for pyqlib_features.py. Needs a C++ compiler. Prints one JSON line: the seconds of each run
from and into memory, in its own layout, on every core; and apart from them what compiling took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path

import numpy as np
from KunQuant.Driver import KunCompilerConfig
from KunQuant.jit import cfake
from KunQuant.Op import Builder, Input, Output
from KunQuant.predefined.Alpha158 import AllData
from KunQuant.runner import KunRunner
from KunQuant.Stage import Function

LANES = 8


def main() -> None:
    """Compile, run, tell."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--repeats", type=int, default=1)
    asked = options.parse_args()
    with np.load(asked.folder / "market.npz") as file:
        market = {name: file[name] for name in file.files if name not in ("days", "symbols")}
    rows, count = market["close"].shape
    whole = count // LANES * LANES  # it takes symbols by the eight
    inputs = {
        name: np.ascontiguousarray(market[name][:, :whole], np.float32)
        for name in ("open", "high", "low", "close", "volume")
    }
    inputs["amount"] = np.ascontiguousarray((market["vwap"] * market["volume"])[:, :whole], np.float32)

    begun = time.perf_counter()
    builder = Builder()
    with builder:
        fields = {name: Input(name) for name in inputs}
        data = AllData(**fields)
        price = {"windows": [0], "feature": [(n.upper(), getattr(data, n)) for n in ("open", "high", "low", "vwap")]}
        factors, names = data.build({"kbar": {}, "price": price, "rolling": {}})
        for factor, name in zip(factors, names, strict=True):
            Output(factor, name)
    settings = KunCompilerConfig(partition_factor=4, input_layout="TS", output_layout="TS")
    made = cfake.compileit([("alpha158", Function(builder.ops), settings)], "alpha158", cfake.CppCompilerConfig())
    module = made.getModule("alpha158")
    compiling = time.perf_counter() - begun

    cores = len(os.sched_getaffinity(0))
    executor = KunRunner.createMultiThreadExecutor(cores)
    seconds = []
    for _ in range(asked.repeats + 1):  # the first one warms up
        begun = time.perf_counter()
        out = KunRunner.runGraph(executor, module, inputs, 0, rows)
        seconds.append(time.perf_counter() - begun)
    told = {"seconds": seconds[1:], "columns": len(out), "symbols": whole, "compiling": compiling, "workers": cores}
    told["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
