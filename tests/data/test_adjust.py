"""Adjustment by hand-computed examples, and against the factors that LEAN publishes for AAPL."""

from __future__ import annotations

import csv
import io
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.adjust import factors
from workbench.data.datasets import dataset
from workbench.data.lake import Lake
from workbench.errors import DataRefused, InputRefused, NoData

MON, TUE, WED, THU, FRI = (date(2024, 3, day) for day in (4, 5, 6, 7, 8))


def close_of(day: date) -> datetime:
    return datetime.combine(day, time(21), UTC)


def prices(*rows: tuple[str, date, float, float]) -> pl.DataFrame:
    """Bars whose open, high, low and close are one number: symbol, session, price, volume."""
    full = [(s, d, p, p, p, p, v, close_of(d), "hand") for s, d, p, v in rows]
    return pl.DataFrame(full, schema=dataset("prices_daily").schema, orient="row")


def actions(*rows: tuple[str, date, str, float, datetime]) -> pl.DataFrame:
    full = [(*row, "hand") for row in rows]
    return pl.DataFrame(full, schema=dataset("actions").schema, orient="row")


def announced(day: date) -> datetime:
    return datetime.combine(day, time(14), UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", "real")


def test_a_split_and_a_dividend_are_adjusted_as_computed_by_hand(lake: Lake) -> None:
    put(
        lake,
        "prices_daily",
        prices(("ABC", MON, 100, 10), ("ABC", TUE, 102, 10), ("ABC", WED, 51, 30), ("ABC", THU, 50, 40)),
    )
    put(
        lake,
        "actions",
        actions(("ABC", WED, "split", 2.0, announced(MON)), ("ABC", THU, "dividend", 1.02, announced(MON))),
    )
    bars = lake.bars()
    # The dividend is 1.02 / 51 = 2 % of the close before it; the split halves Monday and Tuesday.
    assert bars.close["ABC"].to_list() == pytest.approx([49.0, 49.98, 49.98, 50.0])
    assert bars.open["ABC"].to_list() == pytest.approx([49.0, 49.98, 49.98, 50.0])
    assert bars.volume["ABC"].to_list() == [20, 20, 30, 40]
    assert bars.traded_close["ABC"].to_list() == [100, 102, 51, 50]
    # Wednesday: 51 after a split from 102, no change. Thursday: -1 in price, +1.02 in cash, on 51.
    assert bars.returns()["ABC"].to_list()[1:] == pytest.approx([0.02, 0.0, 50 / 49.98 - 1])


def test_prices_as_traded_can_be_read_without_any_actions(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("ABC", MON, 100, 10)))
    assert lake.bars(adjusted=False).close["ABC"].to_list() == [100]
    with pytest.raises(NoData, match="actions: market 'real' has no such table, so prices cannot be adjusted"):
        lake.bars()


def test_an_announced_split_is_not_applied_before_its_ex_date(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("ABC", MON, 100, 10), ("ABC", TUE, 102, 10)))
    put(lake, "actions", actions(("ABC", WED, "split", 2.0, announced(MON))))
    assert lake.bars().close["ABC"].to_list() == [100, 102]
    assert lake.bars(as_of=close_of(TUE)).close["ABC"].to_list() == [100, 102]
    # On the morning of the ex-date the newest bar is Tuesday's, yet every share has become two.
    assert lake.bars(as_of=announced(WED)).close["ABC"].to_list() == [50, 51]


def test_a_split_that_was_announced_later_is_not_known_before(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("ABC", MON, 100, 10), ("ABC", TUE, 50, 20)))
    put(lake, "actions", actions(("ABC", TUE, "split", 2.0, announced(FRI))))
    assert lake.bars(as_of=close_of(TUE)).close["ABC"].to_list() == [100, 50]
    assert lake.bars(as_of=close_of(FRI)).close["ABC"].to_list() == [50, 50]


def test_the_range_read_does_not_change_the_returns(lake: Lake) -> None:
    put(
        lake,
        "prices_daily",
        prices(("ABC", MON, 100, 10), ("ABC", TUE, 102, 10), ("ABC", WED, 51, 30), ("ABC", THU, 50, 40)),
    )
    put(
        lake,
        "actions",
        actions(("ABC", WED, "split", 2.0, announced(MON)), ("ABC", THU, "dividend", 1.02, announced(MON))),
    )
    assert lake.bars(end=WED).close["ABC"].to_list() == [50, 51, 51]
    assert lake.bars(start=TUE).close["ABC"].to_list() == pytest.approx([49.98, 49.98, 50.0])


def test_split_and_dividend_on_one_day_take_the_dividend_per_new_share(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("ABC", MON, 100, 10), ("ABC", TUE, 49, 20)))
    put(
        lake,
        "actions",
        actions(("ABC", TUE, "split", 2.0, announced(MON)), ("ABC", TUE, "dividend", 1.0, announced(MON))),
    )
    # 100 is 50 per new share; a dividend of 1 leaves 49.
    assert lake.bars().close["ABC"].to_list() == pytest.approx([49.0, 49.0])


def test_a_dividend_after_a_halt_uses_the_last_close_there_is(lake: Lake) -> None:
    put(
        lake,
        "prices_daily",
        prices(("ABC", MON, 50, 10), ("ABC", WED, 49, 10), ("DEF", MON, 7, 1), ("DEF", TUE, 7, 1), ("DEF", WED, 7, 1)),
    )
    put(lake, "actions", actions(("ABC", WED, "dividend", 1.0, announced(MON))))
    bars = lake.bars()
    assert bars.close["ABC"].iloc[[0, 2]].to_list() == pytest.approx([49.0, 49.0])
    assert np.isnan(bars.close["ABC"].iloc[1])
    assert bars.close["DEF"].to_list() == [7, 7, 7]


def test_a_dividend_as_large_as_the_price_is_refused(lake: Lake) -> None:
    put(lake, "prices_daily", prices(("ABC", MON, 50, 10), ("ABC", TUE, 49, 10)))
    put(lake, "actions", actions(("ABC", TUE, "dividend", 50.0, announced(MON))))
    with pytest.raises(DataRefused, match="ABC paid a dividend of 50 on 2024-03-05, not below the close before it, 50"):
        lake.bars()


def test_actions_before_the_first_bar_change_nothing() -> None:
    days = np.array([TUE, WED], dtype="datetime64[D]")
    known = actions(("ABC", MON, "split", 2.0, announced(MON)), ("ABC", TUE, "dividend", 1.0, announced(MON)))
    found = factors(days, ["ABC"], np.array([[50.0], [50.0]]), known)
    assert found.price is None
    assert found.volume is None


def test_intraday_bars_before_the_ex_date_are_adjusted(lake: Lake) -> None:
    starts = [datetime(2024, 3, 5, 20, 55, tzinfo=UTC), datetime(2024, 3, 6, 14, 30, tzinfo=UTC)]
    rows = [
        ("ABC", ts, p, p, p, p, 10.0, ts + timedelta(minutes=5), "hand")
        for ts, p in zip(starts, (100.0, 50.0), strict=True)
    ]
    put(lake, "prices_5min", pl.DataFrame(rows, schema=dataset("prices_5min").schema, orient="row"))
    put(lake, "actions", actions(("ABC", WED, "split", 2.0, announced(MON))))
    bars = lake.bars(dataset="prices_5min")
    assert bars.close["ABC"].to_list() == [50, 50]
    assert bars.volume["ABC"].to_list() == [20, 10]
    assert str(bars.index.tz) == "UTC"


def test_bars_of_a_dataset_without_prices_are_refused(lake: Lake) -> None:
    with pytest.raises(InputRefused, match="dataset 'macro' has no prices; use one of prices_daily, prices_5min"):
        lake.bars(dataset="macro")


def lean_rows(folder: Path, name: str) -> list[list[str]]:
    with zipfile.ZipFile(folder / "lean_factor_and_map_files.zip") as archive:
        text = archive.read(f"factor_files/{name}.csv").decode()
    return [row for row in csv.reader(io.StringIO(text)) if row]


@pytest.mark.parametrize("symbol", ["AAPL", "IBM", "SPY"])
def test_adjusted_closes_equal_those_that_lean_publishes(lake: Lake, shared: Path, symbol: str) -> None:
    recorded = pl.read_parquet(shared / "prices" / "lean_daily_raw_1998_2021.parquet")
    recorded = recorded.filter(pl.col("symbol") == symbol).sort("date")
    sessions, closes = recorded["date"].to_list(), dict(zip(recorded["date"], recorded["close"], strict=True))
    known = []
    # A row (day, price factor, split factor) holds up to its day; the step to the next row is the action after it.
    published = lean_rows(shared / "prices", symbol.lower())
    for before, after in pairwise(published):
        day = datetime.strptime(before[0], "%Y%m%d").date()
        later = [session for session in sessions if session > day]
        if day < sessions[0] or not later:
            continue
        split, kept = float(after[2]) / float(before[2]), float(before[1]) / float(after[1])
        held = max(session for session in sessions if session <= day)
        if abs(split - 1) > 1e-6:
            known.append((symbol, later[0], "split", split, announced(day)))
        if abs(kept - 1) > 1e-9:
            known.append((symbol, later[0], "dividend", closes[held] * (1 - kept), announced(day)))
    put(
        lake,
        "prices_daily",
        recorded.select(
            "symbol",
            pl.col("date").alias("session"),
            *("open", "high", "low", "close"),
            pl.col("volume").cast(pl.Float64),
            known_at=pl.col("date").dt.combine(time(21)).dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")),
            source=pl.lit("lean"),
        ),
    )
    put(lake, "actions", actions(*known))
    if symbol == "AAPL":
        split = lake.read("actions", ["AAPL"], start="2014-06-09", end="2014-06-09")
        assert split["value"].to_list() == pytest.approx([7.0], rel=1e-4)
    ours = lake.bars([symbol]).close[symbol].to_numpy()
    assert ours == pytest.approx(recorded["adj_close"].to_numpy(), rel=1e-6)
