import sqlite3

from workbench.doctor import examine
from workbench.params import Paths


def findings(paths) -> dict:
    return {finding.what: finding for finding in examine(paths)}


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
    for table in ("sample/symbols", "sample/actions", "sample/quarantine/actions", "real/prices_daily"):
        (tmp_path / "data" / "lake" / table / "_delta_log").mkdir(parents=True)
    assert findings(Paths(tmp_path))["lake"].found == "real: prices_daily; sample: actions, symbols"


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
