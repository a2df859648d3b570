"""The lake: what was known when, versions that can be repeated, and errors where anything is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.by_hand import put
from workbench.data import layout
from workbench.data.datasets import UTC_TIME, dataset
from workbench.data.lake import Lake, Published, open_lake
from workbench.data.source import Batch
from workbench.data.table import LOCK, locked
from workbench.errors import AlreadyRunning, BatchRefused, CannotWrite, InputRefused, LakeDamaged, NoData
from workbench.params import Paths, SampleParams, Settings

MON, TUE, WED, THU, FRI = (date(2024, 3, day) for day in (4, 5, 6, 7, 8))

Row = tuple[str, date, float] | tuple[str, date, float, datetime]


def closed(day: date) -> datetime:
    return datetime.combine(day, time(21), UTC)


def prices(*rows: Row) -> pl.DataFrame:
    """Bars with one price, known at the close unless told: symbol, session, price, known_at."""
    full = [(s, d, p, p, p, p, 1.0, known[0] if known else closed(d), "hand") for s, d, p, *known in rows]
    return pl.DataFrame(full, schema=dataset("prices_daily").schema, orient="row")


def facts(frame: pl.DataFrame) -> list[tuple[str, date, float]]:
    return list(frame.select("symbol", "session", "close").iter_rows())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", "sample")


@pytest.fixture
def filled(lake: Lake) -> Lake:
    """Two symbols over three days; on Thursday Monday's close of AAA01 turns out to have been 11."""
    put(
        lake,
        "prices_daily",
        prices(("AAA01", MON, 10), ("AAA01", TUE, 12), ("AAA01", WED, 13), ("BBB01", MON, 20), ("BBB01", WED, 21)),
    )
    put(lake, "prices_daily", prices(("AAA01", MON, 11, closed(THU))))
    return lake


# What was known when


def test_rows_come_back_sorted_by_time_and_then_by_key(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("BBB01", TUE, 3), ("AAA01", TUE, 2), ("BBB01", MON, 1)))
    assert facts(lake.read("prices_daily")) == [("BBB01", MON, 1), ("AAA01", TUE, 2), ("BBB01", TUE, 3)]
    assert lake.read("prices_daily").schema == dataset("prices_daily").schema


def test_a_correction_is_seen_from_the_moment_it_was_known(filled: Lake) -> None:
    before = filled.read("prices_daily", ["AAA01"], end=MON, as_of=closed(WED))
    after = filled.read("prices_daily", ["AAA01"], end=MON, as_of=closed(THU))
    assert facts(before) == [("AAA01", MON, 10)]
    assert facts(after) == [("AAA01", MON, 11)]
    assert facts(filled.read("prices_daily", ["AAA01"], end=MON)) == [("AAA01", MON, 11)]


def test_nothing_known_later_is_read_as_of_a_moment(filled: Lake) -> None:
    assert facts(filled.read("prices_daily", as_of=closed(MON))) == [("AAA01", MON, 10), ("BBB01", MON, 20)]
    just_before = closed(MON) - timedelta(microseconds=1)
    with pytest.raises(NoData, match="no rows known at 2024-03-04T20:59:59Z"):
        filled.read("prices_daily", as_of=just_before)


def test_as_of_may_be_written_in_any_time_zone(filled: Lake) -> None:
    assert facts(filled.read("prices_daily", as_of="2024-03-04T16:00:00-05:00")) == [
        ("AAA01", MON, 10),
        ("BBB01", MON, 20),
    ]


def test_symbols_and_dates_are_both_included(filled: Lake) -> None:
    assert facts(filled.read("prices_daily", ["AAA01"], TUE, WED)) == [("AAA01", TUE, 12), ("AAA01", WED, 13)]
    assert facts(filled.read("prices_daily", ["BBB01"], "2024-03-05", "2024-03-06")) == [("BBB01", WED, 21)]


def test_the_end_of_an_intraday_read_includes_the_whole_day(lake: Lake) -> None:
    starts = [datetime(2024, 3, 4, 14, 30, tzinfo=UTC), datetime(2024, 3, 4, 20, 55, tzinfo=UTC)]
    starts.append(datetime(2024, 3, 5, 14, 30, tzinfo=UTC))
    rows = [("AAA01", ts, 1.0, 1.0, 1.0, 1.0, 1.0, ts + timedelta(minutes=5), "hand") for ts in starts]
    put(lake, "prices_5min", pl.DataFrame(rows, schema=dataset("prices_5min").schema, orient="row"))
    assert lake.read("prices_5min", start=MON, end=MON)["ts"].to_list() == starts[:2]
    assert lake.read("prices_5min", start=starts[1], end=starts[2])["ts"].to_list() == starts[1:]
    with pytest.raises(InputRefused, match="start 2024-03-04T14:30:00 has no time zone"):
        lake.read("prices_5min", start="2024-03-04T14:30:00")


def test_a_revised_macro_series_shows_each_vintage(lake: Lake) -> None:
    first, second = datetime(2024, 2, 13, 13, 30, tzinfo=UTC), datetime(2024, 3, 12, 12, 30, tzinfo=UTC)
    period = date(2024, 1, 1)
    rows = [("CPI", period, 308.4, first, "hand"), ("CPI", period, 308.5, second, "hand")]
    done = put(lake, "macro", pl.DataFrame(rows, schema=dataset("macro").schema, orient="row"))
    assert done == Published(version=0, added=1, unchanged=0, corrected=1)
    assert lake.read("macro", ["CPI"], as_of=first)["value"].to_list() == [308.4]
    assert lake.read("macro", ["CPI"])["value"].to_list() == [308.5]


def test_a_listing_corrected_to_another_day_is_one_fact(lake: Lake) -> None:
    def listing(listed: date, known: datetime) -> pl.DataFrame:
        row = ("AAA01", "Aaa", "TECH", "stock", listed, None, known, "hand")
        return pl.DataFrame([row], schema=dataset("symbols").schema, orient="row")

    put(lake, "symbols", listing(MON, closed(MON)))
    assert put(lake, "symbols", listing(WED, closed(THU))) == Published(1, added=0, unchanged=0, corrected=1)
    assert put(lake, "symbols", listing(WED, closed(FRI))).unchanged == 1
    assert lake.read("symbols")["listed"].to_list() == [WED]
    assert lake.read("symbols", as_of=closed(WED))["listed"].to_list() == [MON]
    assert lake.read("symbols", start=TUE)["listed"].to_list() == [WED]
    with pytest.raises(NoData, match="symbols: no rows between the beginning and 2024-03-05"):
        lake.read("symbols", end=TUE)
    lake.optimize("symbols")
    assert lake.read("symbols")["listed"].to_list() == [WED]
    both = pl.concat([listing(MON, closed(FRI)), listing(TUE, closed(FRI))])
    with pytest.raises(BatchRefused, match="AAA01 is in the batch twice"):
        put(lake, "symbols", both)
    with pytest.raises(BatchRefused, match="AAA01 differs from what is stored with the same known_at 2024-03-07"):
        put(lake, "symbols", listing(FRI, closed(THU)))


def test_a_history_ingested_again_with_a_new_session_adds_that_session(filled: Lake) -> None:
    history = prices(
        ("AAA01", MON, 10), ("AAA01", MON, 11, closed(THU)), ("AAA01", TUE, 12), ("AAA01", WED, 13), ("BBB01", MON, 20)
    )
    history = pl.concat([history, prices(("BBB01", WED, 21), ("AAA01", THU, 14))])
    assert put(filled, "prices_daily", history) == Published(version=2, added=1, unchanged=6, corrected=0)
    filled.optimize("prices_daily")  # now one sorted file: the quick way for a history that repeats itself
    again = pl.concat([history, prices(("AAA01", FRI, 15), ("AAA01", FRI, 16, closed(FRI) + timedelta(days=3)))])
    assert put(filled, "prices_daily", again) == Published(version=4, added=1, unchanged=7, corrected=1)


# Publishing


def test_the_same_rows_again_change_nothing(filled: Lake) -> None:
    before = filled.digest("prices_daily")
    again = put(filled, "prices_daily", prices(("AAA01", TUE, 12), ("BBB01", MON, 20)))
    assert again == Published(version=1, added=0, unchanged=2, corrected=0)
    assert filled.versions() == {"prices_daily": 1}
    assert filled.digest("prices_daily") == before


def test_only_what_is_new_is_counted(filled: Lake) -> None:
    done = put(filled, "prices_daily", prices(("AAA01", TUE, 12), ("AAA01", WED, 14, closed(FRI)), ("BBB01", TUE, 22)))
    assert done == Published(version=2, added=1, unchanged=1, corrected=1)


def test_the_same_value_known_again_later_is_no_news(filled: Lake) -> None:
    assert put(filled, "prices_daily", prices(("AAA01", TUE, 12, closed(FRI)))).unchanged == 1
    assert filled.version("prices_daily") == 1


def test_a_value_that_returns_after_a_correction_is_a_correction(filled: Lake) -> None:
    assert put(filled, "prices_daily", prices(("AAA01", MON, 10, closed(FRI)))).corrected == 1
    assert facts(filled.read("prices_daily", ["AAA01"], end=MON, as_of=closed(THU))) == [("AAA01", MON, 11)]
    assert facts(filled.read("prices_daily", ["AAA01"], end=MON)) == [("AAA01", MON, 10)]


def test_an_earlier_vintage_may_arrive_late(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("AAA01", MON, 11, closed(THU))))
    assert put(lake, "prices_daily", prices(("AAA01", MON, 10))).corrected == 1
    assert facts(lake.read("prices_daily", as_of=closed(WED))) == [("AAA01", MON, 10)]
    assert facts(lake.read("prices_daily")) == [("AAA01", MON, 11)]


def test_another_value_with_the_same_known_at_is_refused_and_nothing_is_published(filled: Lake) -> None:
    with pytest.raises(
        BatchRefused, match=r"AAA01 2024-03-05 differs from what is stored with the same known_at 2024-03"
    ):
        put(filled, "prices_daily", prices(("AAA01", TUE, 12.5), ("CCC01", TUE, 1)))
    assert filled.version("prices_daily") == 1
    with pytest.raises(NoData, match="unknown symbol 'CCC01'"):
        filled.read("prices_daily", ["CCC01"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (prices(("AAA01", MON, 1)).drop("close"), "column 'close' is missing; the columns are symbol, session, open"),
        (prices(("AAA01", MON, 1)).with_columns(adj=pl.lit(1.0)), "column 'adj' is unknown"),
        (prices(("AAA01", MON, 1)).cast({"volume": pl.Int64}), "column 'volume' is Int64; cast it to Float64"),
        (
            prices(("AAA01", MON, 1)).with_columns(pl.col("known_at").dt.replace_time_zone(None)),
            r"times in 'known_at' have no time zone; say which: .dt.replace_time_zone\('UTC'\)",
        ),
        (
            prices(("AAA01", MON, 1)).with_columns(pl.col("known_at").dt.convert_time_zone("America/New_York")),
            "column 'known_at' is Datetime.*New_York.*; cast it to Datetime.*UTC",
        ),
        (prices(), "the batch is empty; a source that found nothing must say why instead"),
        (
            prices(("AAA01", MON, 1), ("BBB01", MON, 1), ("AAA01", MON, 2)),
            r"AAA01 2024-03-04 is in the batch twice with the same known_at \(1 such rows\)",
        ),
        (prices(("AAA01", MON, 1)).with_columns(symbol=pl.lit(None, pl.String)), "1 rows have no 'symbol'"),
        (prices(("AAA01", MON, 1)).with_columns(known_at=pl.lit(None, UTC_TIME)), "1 rows have no 'known_at'"),
    ],
)
def test_rows_of_another_shape_are_refused(lake: Lake, rows: pl.DataFrame, message: str) -> None:
    with pytest.raises(BatchRefused, match=f"prices_daily: {message}"):
        put(lake, "prices_daily", rows)
    assert lake.versions() == {}


def test_columns_in_another_order_are_fine(lake: Lake) -> None:
    rows = prices(("AAA01", MON, 1))
    assert put(lake, "prices_daily", rows.select(sorted(rows.columns))).added == 1


def test_appending_a_day_does_not_rewrite_what_is_there(filled: Lake) -> None:
    folder = filled.root / "sample" / "prices_daily"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    put(filled, "prices_daily", prices(("AAA01", THU, 14), ("BBB01", THU, 22)))
    after = {path: path.stat().st_mtime_ns for path in folder.glob("*.parquet")}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()


def test_many_daily_appends_are_tidied_up_by_themselves(lake: Lake) -> None:
    days = [date(2023, 1, 2) + timedelta(days=n) for n in range(layout.LOOSE_FILES + 2)]
    for number, day in enumerate(days):
        put(lake, "prices_daily", prices(("AAA01", day, number + 1)))
    history = lake.history("prices_daily")
    assert history["operation"].to_list().count("optimize") == 1
    assert history["files"][-1] == 2
    assert facts(lake.read("prices_daily")) == [("AAA01", day, number + 1) for number, day in enumerate(days)]
    assert len(lake.read("prices_daily", version=40)) == 41


def test_tidying_up_may_leave_a_file_as_it_was(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "FILE_ROWS", 2)
    put(lake, "prices_daily", prices(("AAA01", MON, 1), ("AAA01", WED, 3)))
    put(lake, "prices_daily", prices(("AAA01", TUE, 2), ("BBB01", TUE, 2)))  # this file stays, the other is cut
    kept = facts(lake.read("prices_daily"))
    assert lake.optimize("prices_daily") == 2
    assert lake.history("prices_daily")["files"].to_list() == [1, 2, 3]
    assert facts(Lake(lake.root, "sample").read("prices_daily")) == kept
    assert lake.optimize("prices_daily") == 2


# Requests that make no sense


def test_an_unknown_symbol_is_named_with_the_nearest_known_one(filled: Lake) -> None:
    with pytest.raises(NoData, match=r"unknown symbol 'AAA0' in market 'sample'\. Did you mean 'AAA01'\?"):
        filled.read("prices_daily", ["BBB01", "AAA0"])


def test_a_symbol_without_rows_in_the_range_is_no_error_while_others_have_some(filled: Lake) -> None:
    assert facts(filled.read("prices_daily", ["AAA01", "BBB01"], TUE, TUE)) == [("AAA01", TUE, 12)]
    bars = filled.bars(["BBB01", "AAA01"], TUE, TUE, adjusted=False)
    assert bars.symbols == ("BBB01", "AAA01")
    assert bars.close.isna().to_numpy().tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"symbols": []}, NoData, "the universe is empty; name at least one symbol"),
        ({"start": WED, "end": MON}, InputRefused, "start 2024-03-06 is after end 2024-03-04; swap them"),
        ({"start": "2024-3-6"}, InputRefused, "start '2024-3-6' is not a date; write YYYY-MM-DD"),
        ({"as_of": datetime(2024, 3, 4)}, InputRefused, "as_of 2024-03-04 00:00:00 has no time zone"),
        ({"as_of": "2024-03-04"}, InputRefused, "as_of 2024-03-04 has no time zone; write a moment"),
        ({"start": FRI}, NoData, "no rows between 2024-03-08 and the newest; version 1 holds 2024-03-04 to 2024-03-06"),
        ({"symbols": ["BBB01"], "start": TUE, "end": TUE}, NoData, "no rows for BBB01 between 2024-03-05 and 2024"),
        ({"version": 2}, InputRefused, "no version 2; there are 0 to 1"),
        ({"version": -1}, InputRefused, "no version -1; there are 0 to 1"),
        ({"start": 5}, InputRefused, r"start 5 \(int\) is not a date; write YYYY-MM-DD"),
        ({"end": 20240304.0}, InputRefused, r"end 20240304.0 \(float\) is not a date; write YYYY-MM-DD"),
        ({"start": pd.NaT}, InputRefused, r"start NaT \(NaTType\) is not a date; write YYYY-MM-DD"),
        ({"as_of": 5}, InputRefused, r"as_of 5 \(int\) is not a date; write a moment, such as 2020-06-30T22:00:00Z"),
        ({"as_of": MON}, InputRefused, "as_of 2024-03-04 has no time zone; write a moment"),
        ({"version": "1"}, InputRefused, r"version '1' \(str\) is no whole number; there are 0 to 1"),
        ({"version": 1.0}, InputRefused, r"version 1.0 \(float\) is no whole number"),
        ({"version": True}, InputRefused, r"version True \(bool\) is no whole number"),
        ({"symbols": "AAA01"}, InputRefused, r"symbols 'AAA01' is one text; write a list: \['AAA01'\]"),
        ({"symbols": 5}, InputRefused, r"symbols 5 \(int\) is no list; write a list of texts, such as \['TEC01'\]"),
        ({"symbols": ["AAA01", 5]}, InputRefused, r"symbols holds 5 \(int\); write a list of texts"),
    ],
)
def test_a_senseless_request_is_refused(
    filled: Lake, asked: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"prices_daily: {message}"):
        filled.read("prices_daily", **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"start": 5}, r"prices_daily: start 5 \(int\) is not a date"),
        ({"as_of": 5}, r"prices_daily: as_of 5 \(int\) is not a date"),
        ({"symbols": "AAA01"}, "prices_daily: symbols 'AAA01' is one text"),
        ({"versions": 1}, r"bars: versions 1 \(int\) is no mapping; write \{'prices_daily': 3\}"),
        ({"versions": {"prices_daily": "1"}}, r"prices_daily: version '1' \(str\) is no whole number"),
        ({"versions": {"price_daily": 1}}, "unknown dataset 'price_daily'. Did you mean 'prices_daily'"),
        ({"dataset": 5}, "unknown dataset '5'"),
    ],
)
def test_a_senseless_request_for_bars_is_refused(filled: Lake, asked: dict[str, object], message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        filled.bars(adjusted=False, **asked)  # type: ignore[arg-type]


def test_symbols_come_in_any_list_of_texts(filled: Lake) -> None:
    wanted = filled.read("prices_daily", ["AAA01", "BBB01"])
    assert filled.read("prices_daily", pd.Index(["AAA01", "BBB01"])).equals(wanted)
    assert filled.read("prices_daily", (symbol for symbol in ("AAA01", "BBB01"))).equals(wanted)  # type: ignore[arg-type]
    assert filled.read("prices_daily", version=np.int64(1)).equals(wanted)  # type: ignore[arg-type]


def test_a_table_that_is_not_there_says_how_to_make_it(lake: Lake) -> None:
    for ask in (lake.read, lake.version, lake.history, lake.digest, lake.optimize, lake.newest):
        with pytest.raises(NoData, match=r"macro: market 'sample' has no such table in .*; ingest it: make data"):
            ask("macro")
    assert lake.versions() == {}
    assert not lake.root.exists()


def test_an_unknown_dataset_or_market_is_refused(lake: Lake) -> None:
    with pytest.raises(InputRefused, match=r"unknown dataset 'prices_dayly'\. Did you mean 'prices_daily'\?"):
        lake.read("prices_dayly")
    with pytest.raises(InputRefused, match=r"market '\.\./other': use lower-case letters"):
        Lake(lake.root, "../other")


# Versions


def test_a_pinned_version_reads_the_same_after_publishes_corrections_and_optimize(filled: Lake) -> None:
    pinned = {name: filled.read("prices_daily", version=name) for name in (0, 1)}
    digests = {name: filled.digest("prices_daily", name) for name in (0, 1)}
    put(filled, "prices_daily", prices(("AAA01", TUE, 99, closed(FRI)), ("CCC01", MON, 5)))
    newest = filled.read("prices_daily")
    assert filled.optimize("prices_daily") == 3
    assert filled.optimize("prices_daily") == 3  # nothing left to do
    for again in (filled, Lake(filled.root, "sample")):
        assert {name: again.digest("prices_daily", name) for name in (0, 1)} == digests
        for name, frame in pinned.items():
            assert again.read("prices_daily", version=name).equals(frame)
        assert again.read("prices_daily").equals(newest)
    assert facts(pinned[0].head(1)) == [("AAA01", MON, 10)]
    assert filled.read("prices_daily", as_of=closed(THU)).equals(
        pinned[1].vstack(prices(("CCC01", MON, 5))).sort("session", "symbol")
    )


def test_bars_are_repeated_from_the_versions_that_a_run_recorded(filled: Lake) -> None:
    split = [("AAA01", TUE, "split", 2.0, closed(MON), "hand")]
    put(filled, "actions", pl.DataFrame(split, schema=dataset("actions").schema, orient="row"))
    recorded, then = filled.versions(), filled.bars()
    assert recorded == {"prices_daily": 1, "actions": 0}
    assert then.close["AAA01"].to_list() == [5.5, 12, 13]
    put(filled, "prices_daily", prices(("AAA01", WED, 26, closed(FRI)), ("BBB01", FRI, 23)))
    other = [("AAA01", WED, "split", 2.0, closed(MON), "hand")]
    put(filled, "actions", pl.DataFrame(other, schema=dataset("actions").schema, orient="row"))
    assert filled.bars().close["AAA01"].to_list()[:3] == [2.75, 6, 26]
    again = filled.bars(versions=recorded)
    assert again.close.equals(then.close)
    assert again.volume.equals(then.volume)


def test_the_history_tells_what_each_version_did(filled: Lake) -> None:
    told = filled.history("prices_daily").select("version", "operation", "added", "corrected", "rows", "files").rows()
    assert told == [(0, "publish", 5, 0, 5, 1), (1, "publish", 0, 1, 6, 2)]
    moments = filled.history("prices_daily")["moment"]
    assert moments.is_sorted()
    assert moments.dtype == UTC_TIME


def test_digests_tell_contents_apart(filled: Lake, tmp_path: Path) -> None:
    assert filled.digest("prices_daily", 0) != filled.digest("prices_daily", 1)
    other = Lake(tmp_path / "other", "sample")
    put(other, "prices_daily", filled.read("prices_daily", version=0).sort("close"))
    assert other.digest("prices_daily") == filled.digest("prices_daily", 0)


def test_bars_carry_market_and_sectors(filled: Lake) -> None:
    listed = [("AAA01", "Aaa", "TECH", "stock", MON, None, closed(MON), "hand")]
    put(filled, "symbols", pl.DataFrame(listed, schema=dataset("symbols").schema, orient="row"))
    bars = filled.bars(adjusted=False)
    assert bars.market == "sample"
    assert bars.sectors == {"AAA01": "TECH"}
    assert bars.close["BBB01"].isna().to_list() == [False, True, False]
    assert filled.bars(adjusted=False, as_of="2024-03-04T21:00:00Z").sectors == {"AAA01": "TECH"}


# Staging


def batch(rows: pl.DataFrame, market: str = "sample", source: str = "hand") -> Batch:
    return Batch("prices_daily", market, source, rows)


def test_a_batch_is_staged_once_and_kept_as_raw_snapshot(lake: Lake) -> None:
    first = lake.stage(batch(prices(("AAA01", MON, 1))))
    assert lake.stage(batch(prices(("AAA01", MON, 1)))) == first
    assert first.parent == lake.root.parent / "staged" / "sample" / "prices_daily"
    raw = lake.root.parent / "raw" / "sample" / "hand" / "prices_daily" / first.name
    assert raw.read_bytes() == first.read_bytes()
    assert lake.stage(batch(prices(("AAA01", MON, 2)))) != first
    assert {path.name for path in first.parent.iterdir()} == {path.name for path in raw.parent.iterdir()}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (batch(prices(("AAA01", MON, 1)), market="real"), "is of market 'real', this lake holds 'sample'"),
        (batch(prices(("AAA01", MON, 1)), source="yahoo"), "name the source 'hand', the batch comes from 'yahoo'"),
        (batch(prices(("AAA01", MON, 1)), source="../hand"), "source '../hand' cannot name a folder"),
        (batch(prices(("AAA01", MON, 1)).drop("open")), "column 'open' is missing"),
        (batch(prices()), "the batch is empty"),
    ],
)
def test_a_batch_of_another_shape_or_market_is_not_staged(lake: Lake, wrong: Batch, message: str) -> None:
    with pytest.raises(BatchRefused, match=message):
        lake.stage(wrong)
    assert not (lake.root.parent / "staged").exists()
    assert not (lake.root.parent / "raw").exists()


# Damage


def table_folder(lake: Lake) -> Path:
    return lake.root / "sample" / "prices_daily"


def data_files(lake: Lake) -> list[Path]:
    return sorted(table_folder(lake).glob("*.parquet"))


def log_file(lake: Lake, version: int) -> Path:
    return table_folder(lake) / "_delta_log" / f"{version:020}.json"


def assert_damaged(lake: Lake, named: Path, what: str) -> None:
    """Both a reader that knew the table before and a new one say which file it is and how to get it back."""
    for reader in (lake, Lake(lake.root, "sample")):
        with pytest.raises(LakeDamaged, match=what) as caught:
            reader.read("prices_daily")
        text = str(caught.value)
        assert str(named) in text
        assert "restore it from a backup, or delete the folder" in text
        assert text.endswith("ingest again: make data")
        assert "\n" not in text


def test_a_missing_data_file_is_named(filled: Lake) -> None:
    filled.read("prices_daily")
    lost = data_files(filled)[0]
    lost.unlink()
    assert_damaged(filled, lost, "is missing")


def test_a_truncated_data_file_is_named(filled: Lake) -> None:
    filled.read("prices_daily")
    cut = data_files(filled)[0]
    cut.write_bytes(cut.read_bytes()[:-100])
    assert_damaged(filled, cut, "bytes instead of")


def test_one_changed_byte_in_a_data_file_is_noticed(filled: Lake) -> None:
    filled.read("prices_daily")
    file = data_files(filled)[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    assert_damaged(filled, file, "holds other bytes than were published")


def test_a_missing_newest_log_file_is_no_short_answer(filled: Lake) -> None:
    log_file(filled, 1).unlink()
    assert_damaged(filled, log_file(filled, 1), "is missing, but version 1 was published")


@pytest.mark.parametrize("content", ["", "garbage", '{"commitInfo":{"timestamp":1}}\n'])
def test_a_damaged_log_file_is_no_short_answer(filled: Lake, content: str) -> None:
    put(filled, "prices_daily", prices(("AAA01", FRI, 14)))
    log_file(filled, 1).write_text(content)
    with pytest.raises(LakeDamaged) as caught:
        Lake(filled.root, "sample").read("prices_daily")
    assert str(log_file(filled, 1)) in str(caught.value)


def test_a_log_file_that_lost_one_line_is_no_short_answer(filled: Lake) -> None:
    path = log_file(filled, 0)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"add"' not in line))
    with pytest.raises(LakeDamaged, match=r"00000000000000000000\.json is cut short"):
        Lake(filled.root, "sample").read("prices_daily")


def test_a_missing_log_file_in_the_middle_is_named(filled: Lake) -> None:
    put(filled, "prices_daily", prices(("AAA01", FRI, 14)))
    log_file(filled, 1).unlink()
    with pytest.raises(LakeDamaged, match=r"00000000000000000001\.json is missing"):
        Lake(filled.root, "sample").read("prices_daily")


def test_a_lost_log_folder_is_not_taken_for_a_table_that_never_was(filled: Lake) -> None:
    shutil.rmtree(table_folder(filled) / "_delta_log")
    assert_damaged(filled, log_file(filled, 1), "is missing, but version 1 was published")
    with pytest.raises(LakeDamaged):
        put(filled, "prices_daily", prices(("AAA01", MON, 10)))


def test_a_broken_note_of_the_newest_version_is_named(filled: Lake) -> None:
    note = table_folder(filled) / "_published.json"
    note.write_text("{")
    assert_damaged(filled, note, "cannot be read")


def test_a_broken_checkpoint_is_damage(filled: Lake) -> None:
    DeltaTable(str(table_folder(filled))).create_checkpoint()
    (checkpoint,) = (table_folder(filled) / "_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"x" * 500)
    with pytest.raises(LakeDamaged, match="a checkpoint in it is broken"):
        Lake(filled.root, "sample").read("prices_daily")


def test_a_version_by_another_program_is_not_trusted(filled: Lake) -> None:
    folder = table_folder(filled)
    rows = pl.read_parquet(data_files(filled)[0])
    write_deltalake(str(folder), rows, mode="append")
    with pytest.raises(LakeDamaged, match=r"was written by another program \(WRITE\)"):
        filled.read("prices_daily")


def test_verify_reads_every_file_of_every_version(filled: Lake) -> None:
    filled.optimize("prices_daily")
    assert filled.verify("prices_daily") == 3
    for file in data_files(filled):
        content = file.read_bytes()
        file.write_bytes(content[::-1])
        with pytest.raises(LakeDamaged, match=file.name):
            filled.verify("prices_daily")
        file.write_bytes(content)


def test_delta_readers_of_other_programs_can_read_a_table(filled: Lake) -> None:
    seen = pl.scan_delta(str(table_folder(filled))).filter(pl.col("session") == MON).sort("close").collect()
    assert seen["close"].to_list() == [10, 11, 20]


# Writing


def test_a_second_publisher_waits_and_then_says_who_is_at_work(filled: Lake) -> None:
    lock = table_folder(filled) / LOCK
    with locked(lock, "somebody", wait_seconds=1), pytest.raises(AlreadyRunning) as caught:
        put(filled, "prices_daily", prices(("AAA01", FRI, 14)), wait_seconds=0.05)
    assert f"prices_daily: process {os.getpid()} since " in str(caught.value)
    assert "is publishing; wait for it or stop it" in str(caught.value)
    assert len(filled.read("prices_daily")) == 5  # readers never wait
    assert put(filled, "prices_daily", prices(("AAA01", FRI, 14))).added == 1


def test_publishers_at_the_same_time_lose_nothing(lake: Lake) -> None:
    def publish(symbol: str) -> None:
        own = Lake(lake.root, "sample")
        for number in range(8):
            put(own, "prices_daily", prices((symbol, MON + timedelta(days=number), number + 1)))

    threads = [threading.Thread(target=publish, args=(symbol,)) for symbol in ("AAA01", "BBB01", "CCC01")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [(s, MON + timedelta(days=n), n + 1) for n in range(8) for s in ("AAA01", "BBB01", "CCC01")]
    assert facts(lake.read("prices_daily")) == expected
    assert lake.version("prices_daily") == 23


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB; mounting needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here; that needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(days: int, source: str = "hand") -> pl.DataFrame:
    """400 symbols with prices that do not compress: about 3 KB a day."""
    cells = [
        (n, date(2020, 1, 1) + timedelta(days=d), (n * 7919 + d * 104729) % 1000003)
        for d in range(days)
        for n in range(400)
    ]
    return prices(*((f"S{n:04}", day, 1 + value / 1000) for n, day, value in cells)).with_columns(source=pl.lit(source))


def publish_daily(lake: Lake, days: int) -> None:
    for number in range(days):
        put(lake, "prices_daily", prices(("AAA01", FRI + timedelta(days=number), 1)))


def test_a_full_disk_leaves_the_version_that_was_there(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake", "sample")
    put(lake, "prices_daily", noise(5))
    with pytest.raises(CannotWrite, match=r"prices_daily: No space left on device; free some space and run again"):
        put(lake, "prices_daily", noise(600))
    assert len(Lake(lake.root, "sample").read("prices_daily")) == 2000
    assert not [path for path in table_folder(lake).iterdir() if path.name.endswith(".tmp")]
    with pytest.raises(CannotWrite, match="No space left on device"):
        lake.stage(batch(noise(600)))
    assert not list(small_disk.rglob("*.tmp"))


def test_a_disk_that_fills_up_before_the_commit_leaves_the_version_that_was_there(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake", "sample")
    put(lake, "prices_daily", noise(5))
    filler = small_disk / "filler"
    with filler.open("wb") as stream, pytest.raises(OSError, match="No space left"):
        stream.write(b"x" * 4_000_000)
    spare = filler.stat().st_size - 4096 * 2  # enough for the rows, too little for log and note
    os.truncate(filler, spare)
    with pytest.raises(CannotWrite, match="No space left on device"):
        publish_daily(lake, 9)
    os.truncate(filler, 0)
    after = Lake(lake.root, "sample")
    assert 2000 <= len(after.read("prices_daily")) < 2009
    publish_daily(after, 9)
    assert len(after.read("prices_daily")) == 2009


def test_a_read_only_disk_can_be_read_but_not_written(small_disk: Path) -> None:
    lake = Lake(small_disk / "lake", "sample")
    put(lake, "prices_daily", prices(("AAA01", MON, 1)))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for attempt in (
        lambda: put(lake, "prices_daily", prices(("AAA01", TUE, 2))),
        lambda: put(
            lake,
            "macro",
            pl.DataFrame([("A", MON, 1.0, closed(MON), "x")], schema=dataset("macro").schema, orient="row"),
        ),
        lambda: lake.stage(batch(prices(("AAA01", TUE, 2)))),
        lambda: lake.optimize("prices_daily"),
    ):
        with pytest.raises(CannotWrite, match="Read-only file system; mount it writable and run again"):
            attempt()
    assert facts(Lake(lake.root, "sample").read("prices_daily")) == [("AAA01", MON, 1)]


def test_leftovers_of_a_killed_publish_are_swept(filled: Lake) -> None:
    leftover = table_folder(filled) / ".abc.parquet.tmp"
    leftover.write_bytes(b"half")
    put(filled, "prices_daily", prices(("AAA01", FRI, 14)))
    assert not leftover.exists()


def test_a_kill_after_the_commit_needs_no_repair(filled: Lake) -> None:
    note = table_folder(filled) / "_published.json"
    note.write_text(json.dumps({"version": 0}))  # the commit of version 1 was there, its note was not written yet
    again = Lake(filled.root, "sample")
    assert again.version("prices_daily") == 1
    assert put(again, "prices_daily", prices(("AAA01", FRI, 14))).version == 2
    assert json.loads(note.read_text()) == {"version": 2}


# Everything together, against a model

KEYS = [(symbol, day) for symbol in ("AAA01", "BBB01") for day in (MON, TUE, WED, THU)]
MOMENTS = [datetime(2024, 4, 1 + number, tzinfo=UTC) for number in range(4)]
FACTS = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(MOMENTS), st.sampled_from([1.0, 2.0, 3.0])),
    min_size=1,
    max_size=6,
    unique_by=lambda fact: (fact[0], fact[1]),
)


class Model:
    """What is known, as a plain dictionary: for each key, the value from each moment on."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, date], dict[datetime, float]] = {}

    def at(self, key: tuple[str, date], moment: datetime) -> float | None:
        moments = [known for known in self.known.get(key, {}) if known <= moment]
        return self.known[key][max(moments)] if moments else None

    def add(self, batch: list[tuple[tuple[str, date], datetime, float]]) -> bool:
        if any(self.known.get(key, {}).get(moment, value) != value for key, moment, value in batch):
            return False
        for key, moment, value in sorted(batch, key=lambda fact: fact[1]):
            if self.at(key, moment) != value:
                self.known.setdefault(key, {})[moment] = value
        return True

    def read(self, moment: datetime) -> list[tuple[str, date, float]]:
        rows = [(*key, value) for key in self.known if (value := self.at(key, moment)) is not None]
        return sorted(rows, key=lambda row: (row[1], row[0]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.one_of(FACTS, st.just("optimize")), min_size=1, max_size=6), small=st.booleans())
def test_any_sequence_of_publishes_reads_like_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, batches: list[object], small: bool
) -> None:
    # Tiny files make a few rows take every path that millions of rows take.
    monkeypatch.setattr(layout, "FILE_ROWS", 2 if small else 200_000)
    monkeypatch.setattr(layout, "FEW_TIMES", 2 if small else 100)
    monkeypatch.setattr(layout, "LOOSE_FILES", 3 if small else 64)
    lake, model = Lake(tmp_path_factory.mktemp("lake"), "sample"), Model()
    pinned: dict[int, list[tuple[str, date, float]]] = {}
    for each in batches:
        if each == "optimize":
            if model.known:
                lake.optimize("prices_daily")
            continue
        assert isinstance(each, list)
        rows = prices(*((*key, value, moment) for key, moment, value in each))
        if not model.add(each):
            with pytest.raises(BatchRefused, match="differs from what is stored with the same known_at"):
                put(lake, "prices_daily", rows)
            continue
        put(lake, "prices_daily", rows)
        pinned[lake.version("prices_daily")] = model.read(MOMENTS[-1])
        assert put(lake, "prices_daily", rows).added == 0
    if not model.known:
        return
    fresh = Lake(lake.root, "sample")
    for moment in MOMENTS:
        expected = model.read(moment)
        if not expected:
            with pytest.raises(NoData):
                fresh.read("prices_daily", as_of=moment)
            continue
        assert facts(fresh.read("prices_daily", as_of=moment)) == expected
        some = [row for row in expected if row[0] == "AAA01" and TUE <= row[1] <= WED]
        if some:
            assert facts(fresh.read("prices_daily", ["AAA01"], TUE, WED, as_of=moment)) == some
    for version, expected in pinned.items():
        assert facts(fresh.read("prices_daily", version=version)) == expected


def test_a_sample_market_of_other_parameters_has_a_lake_of_its_own(tmp_path):
    paths, plain = Paths(tmp_path), Settings()
    seed, none = (Settings(sample=SampleParams(**change)) for change in ({"seed": 8}, {"momentum": 0.0}))
    folders = [open_lake(settings, paths).root for settings in (plain, seed, none)]
    assert folders[0] == tmp_path / "data" / "lake"
    assert len(set(folders)) == 3
    assert folders[1].parent.parent == folders[2].parent.parent == tmp_path / "data" / "samples"
    staged = {open_lake(settings, paths).staged_root for settings in (plain, seed, none)}
    assert len(staged) == 3  # what waits for validation cannot cross over either
    assert open_lake(Settings(market="real", sample=SampleParams(seed=8)), paths).root == tmp_path / "data" / "lake"
