from datetime import UTC, date, datetime

import polars as pl
import pytest

from tests.data.by_hand import put
from workbench.data.inventory import inventory, overview, pins
from workbench.data.lake import Lake
from workbench.data.quality import audit
from workbench.errors import LakeDamaged

KNOWN = datetime(2024, 7, 1, 22, 0, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(tmp_path / "lake", "sample")
    days = [date(2024, 6, 27), date(2024, 6, 28), date(2024, 7, 1)]
    rows = pl.DataFrame(
        {
            "symbol": ["TEC01"] * 3,
            "session": days,
            "open": [10.0, 10.1, 10.2],
            "high": [10.5] * 3,
            "low": [9.5] * 3,
            "close": [10.1, 10.2, 10.3],
            "volume": [1000.0] * 3,
            "known_at": [KNOWN] * 3,
            "source": ["hand"] * 3,
        }
    ).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))
    put(lake, "prices_daily", rows)
    return lake


def test_an_inventory_tells_rows_dates_and_versions(lake):
    (facts,) = inventory(lake)
    assert (facts.dataset, facts.version, facts.rows, facts.quarantined) == ("prices_daily", 0, 3, 0)
    assert (facts.first, facts.last) == ("2024-06-27", "2024-07-01")
    assert overview([facts])["rows"].tolist() == [3]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), r"has \d+ bytes instead of \d+"),
    ],
)
def test_a_file_that_is_missing_or_short_stops_the_inventory(lake, damage, says):
    table = lake.root / "sample" / "prices_daily"
    (file,) = table.glob("*.parquet")
    damage(file)
    with pytest.raises(LakeDamaged, match=rf"prices_daily: {file} {says}; restore it from a backup, or delete the"):
        inventory(lake)


def test_of_several_lost_files_the_first_is_named_and_the_rest_counted(lake):
    for number in (2, 3):
        day = pl.lit(date(2024, 7, number))
        put(
            lake,
            "prices_daily",
            lake.read("prices_daily", start="2024-07-01", end="2024-07-01").with_columns(session=day),
        )
    for file in (lake.root / "sample" / "prices_daily").glob("*.parquet"):
        file.unlink()
    with pytest.raises(LakeDamaged, match="is missing, and 2 more files of the table are damaged; restore them"):
        inventory(lake)


def test_a_file_of_an_older_version_is_not_asked_for(lake):
    (old,) = (lake.root / "sample" / "prices_daily").glob("*.parquet")
    day = pl.lit(date(2024, 7, 2))
    put(lake, "prices_daily", lake.read("prices_daily", start="2024-07-01").with_columns(session=day))
    lake.optimize("prices_daily")
    old.unlink()
    assert [facts.rows for facts in inventory(lake)] == [4]


def test_an_empty_lake_has_no_tables(tmp_path):
    assert inventory(Lake(tmp_path / "lake", "sample")) == []


def test_an_audit_finds_rows_that_break_a_rule_of_today(lake):
    (sound,) = audit(lake)
    assert (sound.rows, sound.broken, sound.rules) == (3, 0, ())
    broken = lake.read("prices_daily").with_columns(
        high=pl.when(pl.col("session") == date(2024, 7, 1)).then(5.0).otherwise("high"),
        known_at=pl.lit(datetime(2024, 7, 2, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
    )
    put(lake, "prices_daily", broken)
    (found,) = audit(lake)
    assert found.version == 1
    assert found.broken == 1
    assert found.rules


def test_pins_name_the_version_and_its_content(lake):
    before = pins(lake, lake.versions())
    assert before["prices_daily"]["version"] == 0
    assert before["prices_daily"]["digest"] == lake.digest("prices_daily")
    later = lake.read("prices_daily").with_columns(
        close=pl.col("close") + 0.1, known_at=pl.lit(datetime(2024, 7, 2, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    )
    put(lake, "prices_daily", later)
    assert pins(lake, {"prices_daily": 0}) == before
    assert pins(lake, lake.versions())["prices_daily"] != before["prices_daily"]
