"""How fast and how small the sweep kernel is, beside the fastest way to do the same in vectorbt.

    python bench/sweep.py --symbols 500 --bars 2520 --params 100 --windows 10

One JSON line a figure. Each measurement is a process of its own, so that its peak memory is its own, and the results of
both sides are compared number by number before anything is printed. vectorbt runs its Rust engine on about 2,000
columns a call with a collection after each, the fastest of the ways tried. ``--peer-params`` and ``--peer-cells``
measure it on a part of the parameters and multiply; the size of the figure then says so.
"""

# ruff: noqa: E402
from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.modules["coverage"] = None  # type: ignore[assignment]  # numba imports it where it is: users do not have it

import numpy as np
import pandas as pd
from figure import report, seconds

from workbench.backtest.kernel.crosses import sweep_sma_crosses
from workbench.backtest.kernel.sweep import Sweep
from workbench.backtest.kernel.weights import sweep_returns, sweep_weights
from workbench.params import CostParams, PortfolioParams
from workbench.types import Bars

FEES = 5e-4
AT_CLOSE = PortfolioParams(fill="close", whole_shares=False)
FIVE_BP = CostParams(schedule="proportional", proportional_bps=FEES * 1e4, spread_bps=0, impact=0)
PER_CALL = 2000
LEAST_FEE = 1.0  # IB's least commission for an order
SHARED = ("total_return", "sharpe", "max_drawdown", "turnover", "trades")
Size = dict[str, Any]


def market(size: Size) -> pd.DataFrame:
    """Return closes of random walks."""
    chance = np.random.default_rng(7)
    moves = chance.normal(0.0003, 0.02, (size["bars"], size["symbols"]))
    index = pd.DatetimeIndex(pd.bdate_range("2010-01-04", periods=size["bars"]), freq=None)
    return pd.DataFrame(50 * np.exp(np.cumsum(moves, axis=0)), index, [f"SYM{n:04}" for n in range(size["symbols"])])


def bars_of(close: pd.DataFrame) -> Bars:
    """Return bars that open where they close."""
    return Bars(close, close, close, close, close * 0.0 + 1e6, close)


def grid(params: int) -> list[tuple[int, int]]:
    """Return so many pairs of a fast and a slow length, on a grid as square as it goes."""
    rows = max(1, int(np.sqrt(params)))
    while params % rows:
        rows -= 1
    fast = np.unique(np.linspace(3, 50, rows).astype(int))
    slow = np.unique(np.linspace(55, 250, params // rows).astype(int))
    pairs = [(int(a), int(b)) for a in fast for b in slow]
    assert len(pairs) == params, f"{params} parameters do not fit the grid"
    return pairs


def windows_of(size: Size) -> list[slice]:
    """Return windows that tile the bars."""
    edges = np.linspace(0, size["bars"], size["windows"] + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def by_kernel(bars: Bars, size: Size) -> Sweep:
    """Return the sweep by the kernel."""
    return sweep_sma_crosses(grid(size["params"]), bars, AT_CLOSE, FIVE_BP, windows_of(size))


def by_vectorbt(close: pd.DataFrame, size: Size) -> dict[str, np.ndarray]:
    """Return the same by vectorbt: statistics by name, windows × parameters × symbols."""
    import vectorbt as vbt

    vbt.settings.array_wrapper["freq"] = "1D"
    vbt.settings.returns["year_freq"] = "252 days"
    pairs, symbols, prices = grid(size["params"])[: size.get("peer_params")], len(close.columns), close.to_numpy()
    average = {length: close.rolling(length).mean().to_numpy() for length in sorted(set(itertools.chain(*pairs)))}
    shape = (size["windows"], len(pairs), symbols)
    found = {name: np.empty(shape) for name in SHARED}
    some = max(1, PER_CALL // symbols)
    gc.collect()
    gc.freeze()  # collections then look at portfolios only, not at every module: three times as fast
    for number, window in enumerate(windows_of(size)):
        for first in range(0, len(pairs), some):
            chunk = pairs[first : first + some]
            above = np.hstack([average[fast][window] > average[slow][window] for fast, slow in chunk])
            held = np.zeros_like(above)
            held[1:] = above[:-1]  # decided on a close, traded on the next
            columns = np.tile(prices[window], len(chunk))
            made = vbt.Portfolio.from_signals(columns, held, ~held, fees=FEES, init_cash=1.0)
            orders, cells = made.orders.values, np.s_[number, first : first + len(chunk)]
            orders_of = np.bincount(orders["col"], minlength=columns.shape[1])
            value = np.bincount(orders["col"], orders["size"] * orders["price"], columns.shape[1])
            per_year = made.value().to_numpy().mean(axis=0) * len(columns) / 252
            returns = made.returns().vbt.returns(freq="1D")
            kept = {
                "total_return": returns.total().to_numpy(),
                # One that never traded has an infinite ratio there, and none here.
                "sharpe": np.where(orders_of == 0, np.nan, returns.sharpe_ratio().to_numpy()),
                "max_drawdown": returns.max_drawdown().to_numpy(),
                "turnover": value / per_year,
                "trades": np.bincount(orders["col"], orders["side"], columns.shape[1]),
            }
            for name, values in kept.items():
                found[name][cells] = values.reshape(len(chunk), symbols)
            del made, returns
            gc.collect()
    return found


def weights_of(close: pd.DataFrame, cells: int) -> Iterator[pd.DataFrame]:
    """Return weights of so many cells, made one at a time: equal shares of what is above its average."""
    for number in range(cells):
        above = close.to_numpy() > close.rolling(20 + 2 * number).mean().to_numpy()
        yield pd.DataFrame(above / len(close.columns), close.index, close.columns)


# Measurements: each runs in a process of its own and returns what it found as numbers and arrays.


def kernel_sweep(size: Size) -> dict[str, Any]:
    """Time the sweep by the kernel, compiled before."""
    bars = bars_of(market(size))
    by_kernel(bars.select(bars.symbols[:1]), size)
    used = time.process_time()
    taken = seconds(lambda: by_kernel(bars, size), size["repeats"])
    used = (time.process_time() - used) / size["repeats"]
    found = by_kernel(bars, size)
    return {"seconds": taken, "processor": used, **{name: found[name] for name in (SHARED if size["keep"] else ())}}


def kernel_times(size: Size) -> dict[str, Any]:
    """Take the processor time of the kernel at several sizes: a slope should not show what else the machine does."""
    times = []
    for one in size["sizes"]:
        bars = bars_of(market(one))
        by_kernel(bars, one)
        used = time.process_time()
        for _ in range(size["repeats"]):
            by_kernel(bars, one)
        times.append((time.process_time() - used) / size["repeats"])
    return {"times": np.array(times)}


def vectorbt_sweep(size: Size) -> dict[str, Any]:
    """Time the same by vectorbt, warmed up before."""
    close = market(size)
    by_vectorbt(close, {**size, "peer_params": 1})
    start, used = time.perf_counter(), time.process_time()
    found = by_vectorbt(close, size)
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - used, **found}


def kernel_files(size: Size) -> dict[str, Any]:
    """From a Parquet file of closes to one of statistics, by the kernel."""
    found = by_kernel(bars_of(pd.read_parquet(size["file"])), size)
    pairs = [{"fast": fast, "slow": slow} for fast, slow in grid(size["params"])]
    found.table(pairs).to_parquet(size["file"] + ".kernel.parquet")
    return {}


def vectorbt_files(size: Size) -> dict[str, Any]:
    """From a Parquet file of closes to one of statistics, by vectorbt."""
    close = pd.read_parquet(size["file"])
    found = by_vectorbt(close, size)
    pairs = tuple({"fast": fast, "slow": slow} for fast, slow in grid(size["params"])[: size.get("peer_params")])
    table = Sweep(tuple(windows_of(size)), found, tuple(close.columns)).table(pairs)
    table.to_parquet(size["file"] + ".vectorbt.parquet")
    return {}


def kernel_weights(size: Size) -> dict[str, Any]:
    """Time shared accounts of any weights by the kernel; the weights are made before."""
    close, costs = market(size), CostParams(schedule=size["schedule"])
    bars, cells = bars_of(close), list(weights_of(close, size["distinct"]))
    again = list(itertools.islice(itertools.cycle(cells), size["cells"]))
    sweep_weights(cells[:1], bars, PortfolioParams(), costs)
    taken = seconds(lambda: sweep_weights(again, bars, PortfolioParams(), costs), size["repeats"])
    return {"seconds": taken, "returns": sweep_returns(cells, bars, PortfolioParams(), costs).to_numpy()}


def vectorbt_weights(size: Size) -> dict[str, Any]:
    """Time the same accounts by the simulator on vectorbt, the reference."""
    from workbench.backtest.engine import simulate_cells

    close, costs = market(size), CostParams(schedule=size["schedule"])
    bars, cells = bars_of(close), list(weights_of(close, size["distinct"]))
    simulate_cells([cells[0].iloc[:100]], bars.until(close.index[99]), PortfolioParams(), costs)
    start = time.perf_counter()
    found = simulate_cells(cells, bars, PortfolioParams(), costs)
    return {"seconds": time.perf_counter() - start, "returns": found.to_numpy()}


def bare_weights(size: Size) -> dict[str, Any]:
    """Time one pass of vectorbt's own engine over the same accounts: a fixed fee an order, nothing settled."""
    import vectorbt as vbt

    close = market(size)
    cells = [weights.shift(1).to_numpy() for weights in weights_of(close, size["distinct"])]

    def pass_over(some: list[np.ndarray], prices: np.ndarray) -> np.ndarray:
        symbols = prices.shape[1]
        before = [np.vstack([np.full(symbols, np.nan), weights[:-1]]) for weights in some]
        # An order where the weight changes, as in the others: none rebalances what only drifted.
        targets = [np.where(now == then, np.nan, now) for now, then in zip(some, before, strict=True)]
        made = vbt.Portfolio.from_orders(
            np.tile(prices, len(some)),
            size=np.hstack(targets),
            size_type="targetpercent",
            fixed_fees=LEAST_FEE,
            slippage=CostParams().spread_bps / 2e4,
            size_granularity=1.0,
            init_cash=PortfolioParams().cash,
            cash_sharing=True,
            group_by=np.repeat(np.arange(len(some)), symbols),
            call_seq="auto",
            freq="1D",
        )
        value = made.value().to_numpy(dtype=float).reshape(len(prices), len(some))
        return value / np.vstack([np.full(len(some), PortfolioParams().cash), value[:-1]]) - 1.0

    pass_over([cells[0][:100]], close.to_numpy()[:100])
    gc.collect()
    gc.freeze()
    some, start, found = max(1, PER_CALL // len(close.columns)), time.perf_counter(), []
    for first in range(0, len(cells), some):
        found.append(pass_over(cells[first : first + some], close.to_numpy()))
        gc.collect()
    return {"seconds": time.perf_counter() - start, "returns": np.hstack(found)}


def kernel_weights_made(size: Size) -> dict[str, Any]:
    """Walk cells whose weights are made one at a time: for the memory."""
    close = market(size)
    sweep_weights(weights_of(close, size["cells"]), bars_of(close), PortfolioParams(), CostParams())
    return {}


def nothing(size: Size) -> dict[str, Any]:
    """Import what the others import and make the market."""
    bars_of(market(size))
    return {}


JOBS = {
    job.__name__: job
    for job in (
        kernel_sweep, kernel_times, vectorbt_sweep, kernel_files, vectorbt_files,
        kernel_weights, vectorbt_weights, bare_weights, kernel_weights_made, nothing,
    )
}  # fmt: skip


def measure(job: str, folder: Path, **size: Any) -> dict[str, Any]:
    """Run a measurement in a process of its own; its time from start to end and its peak memory are added."""
    file = folder / f"{job}.npz"
    start = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--job", job, "--of", json.dumps(size), "--to", file], check=True)
    wall = time.perf_counter() - start
    with np.load(file, allow_pickle=False) as found:
        return {"wall": wall, **{name: found[name] if found[name].ndim else float(found[name]) for name in found}}


def difference(ours: dict[str, Any], theirs: dict[str, Any], names: tuple[str, ...]) -> float:
    """Return the largest difference of two results, relative above one; NaN must stand in the same places."""
    largest = 0.0
    for name in names:
        right = theirs[name]
        own = ours[name][:, : right.shape[1]]
        assert np.array_equal(np.isnan(own), np.isnan(right)), f"{name}: a value on one side only"
        off = np.abs(own - right) / np.maximum(1.0, np.abs(right))
        largest = max(largest, float(np.nanmax(off)))
    return largest


def measure_sweep(asked: argparse.Namespace, folder: Path, size: Size) -> None:
    """Print what a sweep takes, in time, memory and as a whole job."""
    peer = "vectorbt, Rust, 2,000 columns a call"
    part, times, said = {}, 1.0, size
    if asked.peer_params and asked.peer_params < asked.params:
        part, times = {"peer_params": asked.peer_params}, asked.params / asked.peer_params
        said = {**size, "peer": f"{asked.peer_params} of {asked.params} parameters, times {times:g}"}
    ours = measure("kernel_sweep", folder, **size, repeats=asked.repeats, keep=True)
    theirs = measure("vectorbt_sweep", folder, **size, **part)
    off = difference(ours, theirs, SHARED)
    assert off < 1e-9, f"the kernel and vectorbt differ by {off}"
    report("sweep", ours["seconds"], peer, theirs["seconds"] * times, said)
    # On a busy machine the time of all cores together says more than the clock.
    report("sweep_processor_time", ours["processor"], peer, theirs["processor"] * times, said)
    count = asked.symbols * asked.params * asked.windows
    report("sweep_backtest", ours["seconds"] / count * 1e6, peer, theirs["seconds"] * times / count * 1e6, said, "µs")
    report("sweep_largest_difference", off, None, None, said, "relative")
    report("sweep_memory", ours["rss"], peer, theirs["rss"], said, "MB")
    start = measure("nothing", folder, **size)
    report("sweep_memory_before_the_first_backtest", start["rss"], None, None, size, "MB")
    tenfold = {**size, "params": asked.params * 10}
    more = measure("kernel_sweep", folder, **tenfold, repeats=1, keep=False)
    report("sweep_memory_ten_times_the_parameters", more["rss"], "the same at one time", ours["rss"], tenfold, "MB")
    market(size).to_parquet(folder / "close.parquet")
    files = {**size, "file": str(folder / "close.parquet")}
    ours = statistics.median(measure("kernel_files", folder, **files)["wall"] for _ in range(asked.repeats))
    theirs = measure("vectorbt_files", folder, **files, **part)
    # Only what comes after the imports and the market grows with the parameters.
    cold = start["wall"] + (theirs["wall"] - start["wall"]) * times
    report("sweep_cold_process_files_in_and_out", ours, peer, cold, said)


def measure_slopes(asked: argparse.Namespace, folder: Path, size: Size) -> None:
    """Print how processor time grows with each size: the power of it, and the ratio at twice of it."""
    names, steps = ("symbols", "params", "windows"), (1, 2, 4)
    sizes = [{**size, name: size[name] * step} for name in names for step in steps]
    found = measure("kernel_times", folder, **size, sizes=sizes, repeats=asked.repeats)["times"]
    for name, times in zip(names, found.reshape(len(names), len(steps)), strict=True):
        power = float(np.polyfit(np.log(steps), np.log(times), 1)[0])
        said = {**size, name: "×1 ×2 ×4", "seconds": " ".join(f"{taken:.3g}" for taken in times)}
        report(f"sweep_slope_{name}", power, None, None, said, f"power of {name}")
        report(f"sweep_twice_the_{name}", times[1], "the same at one time", times[0], {**size, name: size[name] * 2})


def measure_weights(asked: argparse.Namespace, folder: Path, size: Size) -> None:
    """Print what shared accounts of any weights take."""
    size = {"symbols": size["symbols"], "bars": size["bars"], "cells": asked.cells}
    cells = min(asked.peer_cells or asked.cells, asked.cells)
    said = {**size, "peer": f"{cells} of {asked.cells} cells, times {asked.cells / cells:g}"}
    for schedule in ("ib_fixed", "proportional"):
        options = {**size, "distinct": cells, "schedule": schedule, "repeats": asked.repeats}
        ours, theirs = measure("kernel_weights", folder, **options), measure("vectorbt_weights", folder, **options)
        off = difference(ours, theirs, ("returns",))
        # The simulator settles the cells of a grid roughly, to 1e-5 of the capital; the tests compare settled ones.
        assert off < 1e-4, f"the kernel and the simulator differ by {off}"
        peer = "the workbench's simulator on vectorbt, passes repeated until commissions settle"
        report(f"weights_{schedule}", ours["seconds"], peer, theirs["seconds"] * asked.cells / cells, said)
        if schedule == "ib_fixed":
            bare = measure("bare_weights", folder, **options)
            # It charges the least commission for each order and no impact: nearly the same returns, not the same.
            off = float(np.abs(ours["returns"] - bare["returns"]).mean())
            assert off < 5e-5, f"the kernel and a pass of vectorbt differ by {off} a session"
            peer = "vectorbt, from_orders, one pass, a fixed fee an order"
            report("weights_bare_vectorbt", ours["seconds"], peer, bare["seconds"] * asked.cells / cells, said)
    made = measure("kernel_weights_made", folder, **size)
    report("weights_memory", made["rss"], "the simulator on vectorbt", theirs["rss"], said, "MB")
    twice = measure("kernel_weights_made", folder, **{**size, "cells": asked.cells * 2})
    more = {**size, "cells": asked.cells * 2}
    report("weights_memory_twice_the_cells", twice["rss"], "the same at one time", made["rss"], more, "MB")


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--bars", type=int, default=1260)
    options.add_argument("--params", type=int, default=20)
    options.add_argument("--windows", type=int, default=5)
    options.add_argument("--cells", type=int, default=8, help="parameter sets of the general weights")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--peer-params", type=int, help="measure vectorbt's sweep on so many parameters")
    options.add_argument("--peer-cells", type=int, default=2, help="measure the simulator on so many cells")
    options.add_argument("--only", choices=("sweep", "slopes", "weights"), help="measure one part, not all three")
    options.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    options.add_argument("--of", type=json.loads, help=argparse.SUPPRESS)
    options.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.job:
        found = JOBS[asked.job](asked.of)
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        np.savez(asked.to, rss=rss, **found)
        sys.stdout.flush()
        os._exit(0)  # nothing is left to clean up, on either side
    size: Size = {name: getattr(asked, name) for name in ("symbols", "bars", "params", "windows")}
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as name:
        for part in (measure_sweep, measure_slopes, measure_weights):
            if asked.only in (None, part.__name__.removeprefix("measure_")):
                part(asked, Path(name), size)


if __name__ == "__main__":
    main()
