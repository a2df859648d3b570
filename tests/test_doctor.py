import sqlite3
from datetime import UTC, date, datetime

import polars as pl

from tests.data.by_hand import put
from workbench.data.lake import Lake
from workbench.doctor import examine
from workbench.params import Paths


def findings(paths) -> dict:
    return {finding.what: finding for finding in examine(paths)}


def one_price(source: str) -> pl.DataFrame:
    known = datetime(2024, 7, 1, 22, 0, tzinfo=UTC)
    price = {"open": 10.0, "high": 10.5, "low": 9.5, "close": 10.1, "volume": 1000.0}
    row = {"symbol": "TEC01", "session": date(2024, 7, 1), **price, "known_at": known, "source": source}
    return pl.DataFrame([row]).with_columns(pl.col("known_at").cast(pl.Datetime("us", "UTC")))


def test_this_clone_is_well():
    found = findings(Paths())
    assert found["Python"].mend == ""
    assert found["settings"].mend == ""
    assert "sma_cross" in found["strategies"].found


def test_a_broken_clone_is_told_what_to_mend(tmp_path):
    (tmp_path / "params" / "strategies").mkdir(parents=True)
    (tmp_path / "params" / "base.yaml").write_text("cots: {}\n")
    (tmp_path / "mlruns").write_text("a file where a folder should be")
    found = findings(Paths(tmp_path))
    assert "unknown key 'cots'" in found["settings"].found
    assert found["settings"].mend
    assert found["packages"].mend == "git checkout locks/research.lock"
    assert found["mlruns/"].mend == "make mlruns/ writable for you"
    assert found["git"].mend.startswith("git clone")


def test_the_lake_is_shown_as_tables_by_market(tmp_path):
    (tmp_path / "params").mkdir()
    assert findings(Paths(tmp_path))["lake"].found == "empty: the first make backtest fills it"
    for market in ("real", "sample"):
        put(Lake(tmp_path / "data" / "lake", market), "prices_daily", one_price(market))
    kept_out = tmp_path / "data" / "lake" / "sample" / "quarantine" / "prices_daily" / "_delta_log"
    kept_out.mkdir(parents=True)
    told = findings(Paths(tmp_path))["lake"]
    assert (told.found, told.mend) == ("real: prices_daily; sample: prices_daily", "")


def test_a_table_with_a_file_missing_is_not_well(tmp_path):
    (tmp_path / "params").mkdir()
    put(Lake(tmp_path / "data" / "lake", "sample"), "prices_daily", one_price("sample"))
    for file in (tmp_path / "data" / "lake").rglob("*.parquet"):
        file.unlink()
    told = findings(Paths(tmp_path))["lake"]
    assert "is missing" in told.found
    assert told.mend == "mend that table, and see: workbench lake"


def test_packages_that_differ_from_the_lock_are_named(tmp_path):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "research.lock").write_text("numpy==0.1 \\\n    --hash=sha256:00\nno-such-package==1.0\n")
    (tmp_path / "params").mkdir()
    found = findings(Paths(tmp_path))["packages"]
    assert "2 differ from the lock" in found.found
    assert "not 0.1" in found.found


def test_a_corrupt_run_store_is_found(tmp_path):
    (tmp_path / "mlruns").mkdir()
    (tmp_path / "params").mkdir()
    store = tmp_path / "mlruns" / "mlflow.db"
    store.write_bytes(b"not a database, but long enough to look like one at first" * 20)
    assert findings(Paths(tmp_path))["runs"].mend
    store.unlink()
    with sqlite3.connect(store) as connection:
        connection.execute("create table runs (lifecycle_stage text)")
        connection.execute("insert into runs values ('active'), ('deleted')")
    connection.close()
    assert findings(Paths(tmp_path))["runs"].found == "1 in mlruns/mlflow.db"
