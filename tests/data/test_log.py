"""The log of a table read as plain JSON: the same answers as Delta's own reader, without it."""

import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tests.data.by_hand import put
from workbench.data.datasets import dataset
from workbench.data.lake import Lake
from workbench.data.log import states
from workbench.errors import LakeDamaged

TABLES = ["symbols", "prices_daily"]


def publish(lake: Lake, *closes: float) -> None:
    """Publish a bar for each close, on days from 4 March 2024 on."""
    days = [date(2024, 3, 4 + number) for number in range(len(closes))]
    rows = [
        ("AAA01", day, p, p, p, p, 1.0, datetime(day.year, day.month, day.day, 21, tzinfo=UTC), "hand")
        for day, p in zip(days, closes, strict=True)
    ]
    put(lake, "prices_daily", pl.DataFrame(rows, schema=dataset("prices_daily").schema, orient="row"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake", "sample")
    publish(lake, 10.0)
    publish(lake, 10.0, 11.0)
    return lake


@pytest.fixture
def market(lake: Lake) -> Path:
    return lake.root / lake.market


def test_version_and_id_are_those_that_delta_gives_and_absent_tables_are_left_out(market):
    table = DeltaTable(str(market / "prices_daily"))
    assert table.version() == 1
    assert states(market, TABLES) == {"prices_daily": {"version": 1, "id": str(table.metadata().id)}}


def test_a_market_without_a_folder_has_no_tables(tmp_path):
    assert states(tmp_path / "nowhere", TABLES) == {}


def test_a_table_that_was_deleted_and_built_again_is_another_one(lake, market):
    before = states(market, TABLES)["prices_daily"]
    shutil.rmtree(market / "prices_daily")
    again = Lake(lake.root, lake.market)
    publish(again, 10.0)
    publish(again, 10.0, 11.0)
    after = states(market, TABLES)["prices_daily"]
    assert after["version"] == before["version"]
    assert after["id"] != before["id"]


def test_a_lost_version_is_damage(market):
    (market / "prices_daily" / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(LakeDamaged, match=r"1\.json is missing, but version 1 was published"):
        states(market, TABLES)


def test_a_first_version_that_is_cut_short_is_damage(market):
    first = market / "prices_daily" / "_delta_log" / f"{0:020}.json"
    lines = [line for line in first.read_text().splitlines() if "metaData" not in line]
    first.write_text("\n".join(lines))
    with pytest.raises(LakeDamaged, match=r"0\.json is cut short; restore it from a backup"):
        states(market, TABLES)


def test_a_table_whose_first_commit_was_killed_before_its_note_is_there(market):
    folder = market / "prices_daily"
    (folder / "_delta_log" / f"{1:020}.json").unlink()
    (folder / "_published.json").unlink()
    assert states(market, TABLES)["prices_daily"]["version"] == 0


def test_asking_imports_nothing_heavy():
    script = "import sys, workbench.data.log; print({'deltalake', 'polars', 'numpy'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
