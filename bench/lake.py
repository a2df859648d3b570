"""How fast the lake is, against one plain Parquet file read and written by polars in the same run.

    python bench/lake.py --symbols 800 --days 3400

One JSON line a figure. The first read of a process also compares every file with its digest; its figure stands apart.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from figure import report, seconds

from workbench.data.lake import Lake
from workbench.data.validated import Validated

DATASET = "prices_daily"


def market(symbols: int, days: int) -> pl.DataFrame:
    """Return random walks in cents: symbols × days rows of OHLCV, in the dataset's schema."""
    chance = np.random.default_rng(7)
    close = np.round(50 * np.exp(np.cumsum(chance.normal(0, 0.01, (days, symbols)), axis=0)), 2).ravel()
    first = date(2011, 1, 3)
    sessions = [day for n in range(days * 2) if (day := first + timedelta(days=n)).weekday() < 5][:days]
    at_close = pl.col("session").cast(pl.Datetime("us")) + timedelta(hours=21)
    return pl.DataFrame(
        {
            "symbol": np.tile([f"SYM{number:04}" for number in range(symbols)], days),
            "session": pl.Series(sessions).gather(np.repeat(np.arange(days), symbols)),
            "open": np.round(close * 0.999, 2),
            "high": np.round(close * 1.01, 2),
            "low": np.round(close * 0.99, 2),
            "close": close,
            "volume": np.round(chance.lognormal(12, 1, days * symbols)),
        }
    ).with_columns(known_at=at_close.dt.replace_time_zone("UTC"), source=pl.lit("bench"))


def put(lake: Lake, rows: pl.DataFrame) -> None:
    """Publish rows on the word of this script: what is measured is the lake, not the validation."""
    lake.publish(Validated(DATASET, rows, "made by the benchmark"))


def main() -> None:
    """Measure and print every figure."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--days", type=int, default=600)
    options.add_argument("--repeats", type=int, default=5)
    asked = options.parse_args()
    size = {"symbols": asked.symbols, "days": asked.days, "rows": asked.symbols * asked.days}
    rows = market(asked.symbols, asked.days + asked.repeats)
    days = rows["session"].unique().sort()
    before, new_days = days[: asked.days], days[asked.days :]
    base = rows.filter(pl.col("session") <= before[-1])

    with tempfile.TemporaryDirectory(prefix="bench-lake-") as folder:
        root, single = Path(folder), Path(folder) / "single.parquet"
        made = iter(range(10_000))

        def fresh() -> Lake:
            return Lake(root / f"lake{next(made)}", "sample")

        base.write_parquet(single, compression="lz4")
        publish = seconds(lambda: put(fresh(), base), 3)
        write = seconds(lambda: base.write_parquet(root / "other.parquet", compression="lz4"), 3)
        report("lake_publish", publish, "polars_write_parquet", write, size)

        lake = fresh()
        put(lake, base)
        read_single = seconds(lambda: pl.read_parquet(single), asked.repeats)
        first_read = seconds(lambda: lake.read(DATASET), 1)
        full_read = seconds(lambda: lake.read(DATASET), asked.repeats)
        report("lake_full_read", full_read, "polars_read_parquet", read_single, size)
        report("lake_first_read_with_digests", first_read, "polars_read_parquet", read_single, size)

        some = [f"SYM{number:04}" for number in range(0, asked.symbols, max(1, asked.symbols // 20))][:20]
        start = before[len(before) // 2]
        end = start + timedelta(days=730)
        as_of = datetime(end.year, end.month, end.day, tzinfo=UTC) - timedelta(days=30)
        wanted = (pl.col("session") >= start) & (pl.col("session") <= end) & (pl.col("known_at") <= as_of)

        def query_single() -> pl.DataFrame:
            return pl.scan_parquet(single).filter(pl.col("symbol").is_in(some) & wanted).collect()

        assert lake.read(DATASET, some, start, end, as_of=as_of).equals(query_single().select(base.columns))
        query = seconds(lambda: lake.read(DATASET, some, start, end, as_of=as_of), 3 * asked.repeats)
        report("lake_query_20x2y_as_of", query, "polars_scan_parquet", seconds(query_single, 3 * asked.repeats), size)

        appended = iter(new_days)
        append = seconds(lambda: put(lake, rows.filter(pl.col("session") == next(appended))), asked.repeats)
        day = rows.filter(pl.col("session") == new_days[0])
        rewrite = seconds(
            lambda: pl.concat([pl.read_parquet(single), day]).write_parquet(root / "other.parquet", compression="lz4"),
            2,
        )
        report("lake_append_day", append, "polars_rewrite_parquet", rewrite, size)

        old = seconds(lambda: lake.read(DATASET, version=0), asked.repeats)
        report("lake_read_old_version", old, "polars_read_parquet", read_single, size)
        again = seconds(lambda: put(lake, base), 1)
        report("lake_publish_again_unchanged", again, "polars_write_parquet", write, size)
        bars = seconds(lambda: lake.bars(adjusted=False, end=before[-1]), asked.repeats)
        pivot = seconds(lambda: [pl.read_parquet(single).pivot("symbol", index="session", values="close")], 1)
        report("lake_bars", bars, "polars_pivot_of_one_field", pivot, size)

        points = []
        for share in (4, 2, 1):
            part = base.filter(pl.col("session") <= before[len(before) // share - 1])
            target = fresh()
            taken = seconds(lambda lake=target, part=part: put(lake, part), 1)  # type: ignore[misc]
            target.read(DATASET)
            points.append((len(part) / 1e6, taken, seconds(lambda lake=target: lake.read(DATASET), asked.repeats)))  # type: ignore[misc]
        millions, publishes, reads = (np.array(column) for column in zip(*points, strict=True))
        per_million = float(np.polyfit(millions, publishes, 1)[0]), float(np.polyfit(millions, reads, 1)[0])
        write_per_million, read_per_million = (value / (len(base) / 1e6) for value in (write, read_single))
        unit = "s per million rows"
        report("lake_publish_slope", per_million[0], "polars_write_parquet", write_per_million, size, unit)
        report("lake_full_read_slope", per_million[1], "polars_read_parquet", read_per_million, size, unit)


if __name__ == "__main__":
    main()
