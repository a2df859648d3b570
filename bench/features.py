"""How fast features are, from the lake, beside pyqlib and KunQuant in the same run.

    python bench/features.py --symbols 800 --days 3400 --peers ../peers      # Qlib's published task is of this size

Without ``--peers`` it measures the workbench alone, in seconds. With it, each peer gets an environment of its own in
that folder, once, from the package index; KunQuant compiles C++. Qlib does not publish the 14 factors of its task:
these are 14 of Alpha158, of the kinds that pandas computes fastest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from figure import report, seconds
from lake import DATASET, market

from workbench.data.lake import Lake
from workbench.data.validated import Validated
from workbench.features import study, technical
from workbench.features.alpha158 import alpha158
from workbench.features.dense import kept_bars
from workbench.features.engine import Engine, evaluate

FOURTEEN = (
    "KMID", "KLEN", "ROC5", "ROC20", "MA5", "MA20", "MA60", "STD20", "STD60", "MAX20", "MIN20", "VMA20", "VSTD20",
    "CORR20",
)  # fmt: skip
PEERS = {
    "pyqlib": ("pyqlib==0.9.7", "tables"),
    "kunquant": ("KunQuant==0.1.12",),
}


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--days", type=int, default=600)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--peers", type=Path, help="measure the peers too; a folder for their environments")
    asked = options.parse_args()
    size = {"symbols": asked.symbols, "days": asked.days, "rows": asked.symbols * asked.days}
    with tempfile.TemporaryDirectory(prefix="bench-features-") as folder:
        root = Path(folder)
        lake = filled(root / "lake", asked.symbols, asked.days)
        peers = measured_peers(asked.peers, root, lake, asked.repeats) if asked.peers else {}
        measure_sets(lake, root, size, asked.repeats, peers)
        measure_engine(lake, root, size, asked.repeats)


def filled(root: Path, symbols: int, days: int) -> Lake:
    """Return a lake with random walks, and one old dividend: the bars are adjusted, as real ones are."""
    rows = market(symbols, days)
    lake = Lake(root, "sample")
    lake.publish(Validated(DATASET, rows, "made here"))
    first = rows.head(1).select("symbol", "session", "known_at", "source")
    paid = first.with_columns(kind=pl.lit("dividend"), value=pl.lit(0.01))
    lake.publish(Validated("actions", paid, "made here"))
    lake.read(DATASET)  # every file is compared with its digest once a process
    return lake


def measure_sets(lake: Lake, root: Path, size: dict[str, int], repeats: int, peers: dict[str, Any]) -> None:
    """Measure 14 factors and all 158: from the lake's files, and from what the engine keeps of its bars."""
    qlib14, qlib158 = peers.get("fourteen"), peers.get("alpha158")
    kun = peers.get("kunquant")
    few, all_ = alpha158(FOURTEEN), alpha158()
    kept = root / "bars"

    taken = seconds(lambda: evaluate([few], lake.bars()), repeats, before=1)
    report("features_14_from_lake", taken, *peer(qlib14, "pyqlib_no_caches"), size, target="15 times as fast")
    taken = seconds(lambda: evaluate([few], kept_bars(lake, kept)), repeats, before=1)
    report("features_14_from_kept_bars", taken, *peer(qlib14, "pyqlib_no_caches"), size, target="15 times as fast")
    if qlib14:
        cached = statistics.median(qlib14["cache_seconds"])
        report("features_14_against_a_cached_read", taken, "pyqlib_dataset_cache", cached, size, target="faster")

    fresh = seconds(lambda: evaluate([all_], lake.bars()), repeats, before=1)
    report("features_158_from_lake", fresh, *peer(qlib158, "pyqlib_no_caches"), size, target="30 times as fast")
    out = all_.compute(lake.bars()).values
    again = seconds(lambda: all_.compute(kept_bars(lake, kept), out), repeats, before=1)
    report("features_158_into_used_memory", again, *peer(qlib158, "pyqlib_no_caches"), size, target="30 times as fast")
    if kun:
        beside = statistics.median(kun["seconds"])
        report(
            "features_158_from_lake_against_kunquant",
            fresh,
            "kunquant_from_memory",
            beside,
            size,
            target="4 times as fast",
        )
        report(
            "features_158_used_against_kunquant", again, "kunquant_from_memory", beside, size, target="4 times as fast"
        )


def measure_engine(lake: Lake, root: Path, size: dict[str, int], repeats: int) -> None:
    """Measure what the engine saves: the second time, one new day, and that day alone."""
    engine, few = Engine(lake, root / "features"), [alpha158(FOURTEEN), *technical.basic()]
    first = seconds(lambda: engine.evaluate(few), 1)
    report("engine_second_time", seconds(lambda: engine.evaluate(few), repeats), "first_time", first, size)
    newest = lake.newest(DATASET)
    day = seconds(lambda: engine.evaluate(few, start=newest), repeats, before=1)
    report("engine_newest_day_alone", day, "first_time", first, size)
    bars = lake.bars()
    columns = evaluate([alpha158(FOURTEEN)], bars)
    taken = seconds(lambda: study.information(columns, bars, 21), repeats, before=1)
    pandas = seconds(lambda: by_pandas(columns.frame("MA20"), study.forward_returns(bars, 21)), 1)
    report("rank_information_a_feature", taken / len(columns), "pandas_rank_corrwith", pandas, size)


def by_pandas(feature: Any, ahead: Any) -> Any:
    """Return each session's rank correlation as pandas computes it."""
    return feature.rank(axis=1).corrwith(ahead.rank(axis=1), axis=1)


def peer(told: dict[str, Any] | None, name: str) -> tuple[str | None, float | None]:
    """Return a peer's name and median time, or nothing."""
    return (name, statistics.median(told["seconds"])) if told else (None, None)


def measured_peers(folder: Path, root: Path, lake: Lake, repeats: int) -> dict[str, Any]:
    """Return what each peer's own script tells of the same bars."""
    bars = lake.bars()
    fields = {name: getattr(bars, name).to_numpy() for name in ("open", "high", "low", "close", "volume")}
    vwap = (fields["high"] + fields["low"] + fields["close"]) / 3.0
    days = bars.index.strftime("%Y-%m-%d").to_numpy().astype("U10")
    np.savez(root / "market.npz", days=days, symbols=np.array(bars.symbols), vwap=vwap, **fields)
    few = str(max(1, repeats // 2))
    return {
        "fourteen": told_by(
            "pyqlib", folder, root, "--columns", ",".join(FOURTEEN), "--cached", "--repeats", str(repeats)
        ),
        "alpha158": told_by("pyqlib", folder, root, "--repeats", few),
        "kunquant": told_by("kunquant", folder, root, "--repeats", str(repeats)),
    }


def told_by(name: str, folder: Path, root: Path, *words: str) -> dict[str, Any]:
    """Run a peer's script in its own environment, made when it is not there, and return its last line."""
    home = folder.resolve() / name
    if not (home / "made").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", *PEERS[name]], check=True, timeout=1_200)
        (home / "made").touch()
    script = Path(__file__).parent / "peers" / f"{name}_features.py"
    ran = subprocess.run(
        [home / "bin" / "python", script, root, *words], capture_output=True, text=True, timeout=1_800, check=False
    )
    if ran.returncode:
        sys.exit(f"{name}: {ran.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
