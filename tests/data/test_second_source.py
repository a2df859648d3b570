"""Two sources about the same fact: the first one stands, agreement is no news, a difference is kept out and shown."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.data.test_quality import SESSIONS, SYMBOLS, bar, known, market, replaced, stage, validate
from workbench.data.datasets import dataset
from workbench.data.inventory import kept_out
from workbench.data.lake import Lake
from workbench.data.quality import overview
from workbench.data.second_source import differences

PRICES = dataset("prices_daily")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake", "real")
    stage(made, market(), source="broker")
    validate(made)
    return made


def later(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The same bars, fetched from another vendor an hour later."""
    return [row | {"known_at": row["known_at"] + timedelta(hours=1)} for row in rows]


def test_a_source_that_says_the_same_is_no_news(lake: Lake) -> None:
    stage(lake, later(market()), source="vendor")
    (report,) = validate(lake)
    assert (report.published, report.unchanged, report.quarantined) == (0, 114, {})
    assert str(report.compared) == "114 rows as broker said"
    assert lake.versions() == {"prices_daily": 0}


def test_a_difference_is_kept_out_and_shown_beside_what_stands(lake: Lake) -> None:
    rows = replaced(later(market()), "S01", SESSIONS[3], close=100.2)  # broker said 100: 20 basis points
    rows = replaced(rows, "S02", SESSIONS[4], volume=1200.0)  # broker said 1000: 20 %
    stage(lake, rows, source="vendor")
    (report,) = validate(lake)
    assert (report.published, report.unchanged, report.quarantined) == (0, 112, {"second_source": 2})
    said = "112 rows as broker said, 2 otherwise; widest: S01 2024-03-07 close 100.2 against 100.0"
    assert str(report.compared) == said
    assert overview([report])["second_source"].tolist() == [said]
    shown = differences(lake, PRICES)
    assert shown.select("symbol", "column", "stored", "stored_source", "said", "source").rows() == [
        ("S02", "volume", "1000.0", "broker", "1200.0", "vendor"),
        ("S01", "close", "100.0", "broker", "100.2", "vendor"),
    ]
    assert shown["apart"].to_list() == pytest.approx([0.2, 0.002])
    assert lake.read("prices_daily", ["S01"], start=SESSIONS[3], end=SESSIONS[3])["close"].to_list() == [100.0]


def test_the_quarantine_is_counted_by_rule(lake: Lake) -> None:
    rows = replaced(later(market()), "S01", SESSIONS[3], close=100.2)
    stage(lake, replaced(rows, "S02", SESSIONS[4], volume=-1.0), source="vendor")
    validate(lake)
    found = [(name, rule, count) for name, rule, count, _ in kept_out(lake)]
    assert sorted(found) == [
        ("prices_daily", "negative_volume", 1),
        ("prices_daily", "second_source", 2),  # 1000 and -1 differ too
    ]


def test_values_within_the_bounds_agree(lake: Lake) -> None:
    rows = replaced(later(market()), "S01", SESSIONS[3], close=100.009, volume=1049.0)
    stage(lake, rows, source="vendor")
    assert validate(lake)[0].quarantined == {}


def test_what_only_the_second_source_has_is_published(lake: Lake) -> None:
    more = bar("S09", SESSIONS[0], 50.0)
    stage(lake, later([*market(), more]), source="vendor")
    (report,) = validate(lake)
    assert (report.published, report.unchanged) == (1, 114)
    assert lake.read("prices_daily", ["S09"])["source"].to_list() == ["vendor"]


def test_a_source_still_corrects_itself(lake: Lake) -> None:
    stage(lake, [bar("S01", SESSIONS[3], 100.0, close=100.2, known_at=known(SESSIONS[5]))], source="broker")
    (report,) = validate(lake)
    assert (report.published, report.compared) == (1, None)
    assert lake.read("prices_daily", ["S01"], start=SESSIONS[3], end=SESSIONS[3])["close"].to_list() == [100.2]


def test_a_source_that_differs_everywhere_is_refused_whole(lake: Lake) -> None:
    half = [row | {name: row[name] / 2 for name in ("open", "high", "low", "close")} for row in later(market())]
    stage(lake, half, source="vendor")
    (report,) = validate(lake)
    assert report.published == 0
    assert "114 of 114 rows differ from what is stored from broker, more than 5%" in str(report.refused)
    assert "adjusted, or in another unit?" in str(report.refused)
    assert lake.quarantine("prices_daily").is_empty()


def test_texts_and_missing_values_are_compared_too(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", "real")
    listing = {"symbol": "S00", "name": "One", "sector": "Technology", "kind": "stock", "listed": SESSIONS[0]}
    rows = [listing | {"symbol": s, "delisted": None, "known_at": known(SESSIONS[0]), "source": ""} for s in SYMBOLS]
    stage(lake, rows, "symbols", source="broker")
    validate(lake)
    rows[2] = rows[2] | {"delisted": SESSIONS[5]}
    stage(lake, later(rows), "symbols", source="vendor")
    (report,) = validate(lake)
    assert report.quarantined == {"second_source": 1}
    shown = differences(lake, dataset("symbols"))
    assert shown.select("symbol", "column", "stored", "said").rows() == [("S02", "delisted", None, "2024-03-11")]


# Stocks that both recorded sources have; the second group was split after the vendor's file was made.
UNSPLIT, SPLIT = ["HD", "JNJ", "KO", "MCD", "MSFT", "PG", "TSM", "UNH"], ["AAPL", "AMZN"]


def recorded(shared: Path, file: str, symbols: list[str]) -> list[dict[str, object]]:
    day = pl.col("date").cast(pl.Date)
    frame = pl.read_parquet(shared / "prices" / file).filter(
        pl.col("symbol").is_in(symbols) & day.is_between(date(2017, 1, 3), date(2017, 6, 30))
    )
    bars = frame.select("symbol", day.alias("session"), "open", "high", "low", "close", pl.col("volume").cast(float))
    end = pl.col("session").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=22)
    return bars.with_columns(end.alias("known_at"), source=pl.lit("")).to_dicts()


def test_two_recorded_vendors_agree_but_for_a_few_volumes(tmp_path: Path, shared: Path) -> None:
    lake = Lake(tmp_path / "lake", "real")
    stage(lake, recorded(shared, "recent_daily_2016_2024.parquet", UNSPLIT), source="broker")
    validate(lake)
    stage(lake, recorded(shared, "stocknet_daily_2012_2017.parquet", UNSPLIT), source="vendor")
    (report,) = validate(lake)
    assert report.refused is None
    assert report.compared is not None
    assert report.compared.rows == 8 * 125
    shown = differences(lake, PRICES).filter(pl.col("apart") > 0.05)
    assert set(zip(shown["symbol"], shown["column"], strict=True)) == {("PG", "volume")}


def test_a_recorded_vendor_whose_prices_are_in_other_shares_is_refused(tmp_path: Path, shared: Path) -> None:
    lake = Lake(tmp_path / "lake", "real")
    stage(lake, recorded(shared, "recent_daily_2016_2024.parquet", UNSPLIT + SPLIT), source="broker")
    validate(lake)
    stage(lake, recorded(shared, "stocknet_daily_2012_2017.parquet", UNSPLIT + SPLIT), source="vendor")
    (report,) = validate(lake)
    assert "rows differ from what is stored from broker" in str(report.refused)
    assert "widest: AMZN" in str(report.refused)  # 20 new shares for one in 2022
