"""A sweep cannot be taken out of the ledger unseen: its folder and its run in MLflow keep the head."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.search.test_sweep import Impatient
from workbench.backtest.trials import Ledger
from workbench.cli.research import trials
from workbench.errors import DataRefused
from workbench.registry.connection import Connection
from workbench.registry.counting import kept_heads, swept_heads
from workbench.registry.sweeps import SWEEPS
from workbench.search.report import report

# MLflow's schema uses what SQLAlchemy will take away.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def cut(ledger: Ledger, batch: int) -> None:
    """Take the triggers away, and every batch from this one on."""
    with contextlib.closing(sqlite3.connect(ledger.file)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM trials WHERE batch >= ?", (batch,))
        connection.execute("DELETE FROM batches WHERE number >= ?", (batch,))


def test_batches_of_a_sweep_cut_off_the_end_are_missed_with_the_next_step(desk):
    found, ledger = desk.sweep(), Ledger(desk.paths.trials)
    heads = swept_heads(desk.paths)
    assert heads == {found.run_id: ledger.verify().head}
    assert ledger.verify(heads).batches >= 5
    cut(ledger, 5)
    assert ledger.verify().batches == 4  # in itself the chain is whole
    with pytest.raises(DataRefused, match=f"that run {found.run_id} wrote is gone, the last of 4 is .*; restore"):
        ledger.verify(heads)


def test_a_sweep_that_was_stopped_keeps_the_head_of_what_it_counted(desk):
    with pytest.raises(KeyboardInterrupt):
        desk.sweep(bar=Impatient(2))
    assert list(swept_heads(desk.paths).values()) == [Ledger(desk.paths.trials).verify().head]


def test_the_command_misses_a_sweep_whose_ledger_was_removed_and_believes_it_when_it_is_back(desk, monkeypatch, capsys):
    found, ledger = desk.sweep(), Ledger(desk.paths.trials)
    report(found, desk.settings, desk.paths)
    kept = ledger.file.read_bytes()
    shutil.copytree(Path(__file__).parents[2] / "params", desk.paths.params)
    monkeypatch.setenv("WORKBENCH_ROOT", str(desk.paths.root))
    trials()
    assert "1 runs keep a head of it" in capsys.readouterr().out
    ledger.file.unlink()
    with pytest.raises(DataRefused, match="is gone, the last of 0 is none; restore the file from a backup; without"):
        trials()
    # one of the two is enough: the run in MLflow, deleted with its experiment, or the folder
    connection = Connection(desk.settings, desk.paths)
    shutil.move(desk.paths.runs, desk.paths.root / "moved away")
    connection.client().delete_experiment(connection.experiment_id(SWEEPS))
    assert kept_heads(connection) == {found.run_id: found.head}
    with pytest.raises(DataRefused, match=f"that run {found.run_id} wrote is gone"):
        trials()
    ledger.file.write_bytes(kept)
    trials()


def test_a_sweep_beside_a_ledger_that_is_gone_counts_nothing_until_its_backup_is_back(desk):
    found, ledger = desk.sweep(), Ledger(desk.paths.trials)
    kept, before = ledger.file.read_bytes(), ledger.count()
    ledger.file.unlink()
    with pytest.raises(DataRefused, match=f"that run {found.run_id} wrote is gone.*; restore the file from a backup"):
        desk.sweep("fast=[7,9]", "slow=[30]")
    assert not ledger.file.exists()
    assert list(swept_heads(desk.paths)) == [found.run_id]
    ledger.file.write_bytes(kept)
    desk.sweep("fast=[7,9]", "slow=[30]")
    assert ledger.verify(swept_heads(desk.paths)).trials == before + 2
