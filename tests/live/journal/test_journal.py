"""The journal on disk: chained, synced, unique, one writer, upgraded when older, refused when newer."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sql

from tests.live.conftest import AT, Project, wanted
from workbench.alerts import outbox as outbox_module
from workbench.errors import AlreadyRunning, CannotWrite, DataRefused, InputRefused, TradingHalted
from workbench.live import lease as lease_module
from workbench.live.gate.facts import Origin
from workbench.live.halt import HaltFile
from workbench.live.journal import journal as journal_module
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import fill_data
from workbench.live.lease import Lease
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings, StateParams
from workbench.state import schema, store
from workbench.trading import Fill, Side


def file_of(project: Project) -> Path:
    return project.paths.state / "workbench.db"


def rows(project: Project, query: str) -> list[tuple]:
    with closing(sqlite3.connect(file_of(project))) as database:
        return database.execute(query).fetchall()


def change(project: Project, *statements: str) -> None:
    """Do what the journal refuses, as someone with the file would."""
    with closing(sqlite3.connect(file_of(project))) as database, database:
        for verb in ("update", "delete"):
            database.execute(f"DROP TRIGGER IF EXISTS journal_{verb}")
        for statement in statements:
            database.execute(statement)


def execution(quantity: int = 100, revision: int = 1, price: float = 10.0) -> Draft:
    one = Fill("e1", revision, "k1", "AAA", Side.BUY, quantity, price, AT, "PAPER")
    return Draft(Kind.FILL, fill_data(one), "k1", "AAA")


def test_what_is_written_is_read_again_as_the_same_book(project, journal):
    journal.intend([wanted(journal.next_key())], 1)
    journal.append(Draft(Kind.ALERT, {"code": "X", "price": 0.1}, symbol="AAA"))
    assert project.journal().book == journal.book
    assert [event.kind for event in journal.events()] == [Kind.SESSION, Kind.INTENT, Kind.ALERT]
    assert journal.verify(journal.book.last.head) == 3


def test_an_intent_is_on_disk_when_intend_returns(project, journal):
    (intent,) = journal.intend([wanted("k1")], 5)
    assert rows(project, "SELECT key, order_id FROM intents") == [("k1", 5)]
    assert rows(project, "SELECT kind, key FROM journal WHERE number = 2") == [("intent", "k1")]
    assert intent.order_id == 5


def test_numbers_start_at_the_brokers_and_never_come_again(journal):
    first = journal.intend([wanted("k1"), wanted("k2")], 40)
    assert [one.order_id for one in first] == [40, 41]
    after = journal.intend([wanted("k3")], 7)  # the broker lost count
    assert after[0].order_id == 42


def test_a_key_is_used_once_and_nothing_of_the_batch_is_written(project, journal):
    journal.intend([wanted("k1")], 1)
    with pytest.raises(DataRefused, match="k1: was journaled before"):
        journal.intend([wanted("k2"), wanted("k1")], 1)
    assert rows(project, "SELECT key FROM intents") == [("k1",)]
    with pytest.raises(DataRefused, match=r"k3.*was journaled before; nothing was written"):
        journal.intend([wanted("k3"), wanted("k3")], 1)
    assert len(list(journal.events())) == 2
    assert "k3" not in journal.book.orders


def test_keys_differ_between_sessions_and_between_journals(project, journal, tmp_path):
    first = journal.next_key()
    assert first.startswith("240305-1-")
    assert len(first) <= 32
    journal.begin()
    assert journal.next_key().startswith("240305-2-")
    other = Project(Paths(tmp_path / "other"))
    other.clock.set(other.clock() + datetime.resolution)
    anew = other.journal(other.lease())
    anew.begin()
    assert anew.next_key() != first
    other.close()


def test_an_execution_is_written_once(project, journal):
    journal.intend([wanted("k1")], 1)
    journal.append(execution(), execution())
    journal.append(execution())
    journal.append(execution(quantity=90, revision=2))
    journal.append(execution())
    assert rows(project, "SELECT execution, revision FROM executions") == [("e1", 1), ("e1", 2)]
    assert journal.book.positions == {"AAA": 90}


def test_the_database_refuses_to_change_what_is_written(project, journal):
    for statement in ("UPDATE journal SET data = '{}'", "DELETE FROM journal", "DELETE FROM intents"):
        journal.intend([wanted(journal.next_key())], 1)
        with (
            closing(sqlite3.connect(file_of(project))) as database,
            pytest.raises(sqlite3.IntegrityError, match="append-only"),
        ):
            database.execute(statement)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            'UPDATE journal SET data = \'{"mode":"live"}\' WHERE number = 1',
            "event 1 of PAPER, session at .* was changed",
        ),
        ("DELETE FROM journal WHERE number = 2", "event 3 of PAPER does not follow event 1"),
        ("UPDATE journal SET at = '2020-01-01T00:00:00.000000+00:00' WHERE number = 2", "event 2 .* was changed"),
    ],
)
def test_a_journal_that_was_changed_is_not_traded_from(project, journal, statement, told):
    journal.append(Draft(Kind.ALERT, {}), Draft(Kind.ALERT, {}))
    change(project, statement)
    with pytest.raises(DataRefused, match=told):
        project.journal()


def test_an_end_that_was_cut_off_is_missed_by_who_kept_a_head(project, journal):
    journal.append(Draft(Kind.ALERT, {}))
    kept = journal.book.last.head
    change(project, "DELETE FROM journal WHERE number = 2")
    with pytest.raises(DataRefused, match="is gone from the journal"):
        project.journal().verify(kept)
    with pytest.raises(DataRefused, match="the end of the journal of PAPER was cut off"):
        list(journal.events())


def test_a_number_that_is_none_is_refused_before_it_is_sent(journal):
    with pytest.raises(DataRefused, match="intent k1: cannot be journaled"):
        journal.intend([wanted("k1", limit=float("nan"))], 1)
    assert journal.book.open_orders == ()


def test_who_opens_without_a_lease_may_halt_and_not_send(project, journal):
    reader = project.journal()
    with pytest.raises(AlreadyRunning, match="intent is written by the holder of the lease only"):
        reader.intend([wanted("k1")], 1)
    reader.set_state(TradingState.HALTED, "too much is lost")
    with pytest.raises(TradingHalted, match="too much is lost"):
        journal.intend([wanted("k1")], 1)
    with pytest.raises(TradingHalted), journal.sending():
        pytest.fail("sending began")
    journal.intend([wanted("k1", origin=Origin.EMERGENCY)], 1)
    with journal.sending(emergency=True):
        pass


def test_the_halt_file_halts_where_the_journal_was_not_told(project, journal):
    HaltFile(project.paths, "PAPER").write("the database is away", "monitor", project.clock())
    with pytest.raises(TradingHalted, match="the database is away"), journal.sending():
        pytest.fail("sending began")
    assert journal.halted == "the database is away, by monitor"


def test_only_a_person_loosens(project, journal):
    journal.set_state(TradingState.HALTED, "too much is lost")
    with pytest.raises(TradingHalted, match=r"halted .too much is lost.; only a person loosens it"):
        journal.set_state(TradingState.REDUCING, "it looks better")
    with pytest.raises(InputRefused, match="no reason"):
        journal.set_state(TradingState.ACTIVE, " ", who="ada")
    journal.set_state(TradingState.ACTIVE, "the cause is gone", who="ada")
    assert project.journal().book.state is TradingState.ACTIVE


def test_a_halt_waits_for_the_order_that_is_just_being_sent(project, journal):
    halting, order = project.journal(), []
    with journal.sending():
        thread = threading.Thread(target=lambda: (halting.set_state(TradingState.HALTED, "now"), order.append("halt")))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        order.append("sent")
    thread.join(5)
    assert order == ["sent", "halt"]


def test_a_halt_does_not_wait_for_ever(project, journal, monkeypatch):
    monkeypatch.setattr(journal_module, "HALT_SECONDS", 0.05)
    with journal.sending():
        project.journal().set_state(TradingState.HALTED, "the runner hangs")
    with pytest.raises(TradingHalted), journal.sending():
        pytest.fail("sending began")


def test_a_second_runner_is_refused_naming_the_first(project):
    project.lease()
    with pytest.raises(AlreadyRunning, match=rf"PAPER: traded by process {os.getpid()} on .* since 20"):
        Lease.acquire(project.settings, project.paths, "PAPER")


def test_a_runner_of_another_checkout_is_refused_by_the_database(project, tmp_path):
    project.lease()
    shared = Settings(state=StateParams(url=f"sqlite:///{file_of(project)}"))
    with pytest.raises(AlreadyRunning, match=rf"traded by the runner, process {os.getpid()} on .*stop it first"):
        Lease.acquire(shared, Paths(tmp_path / "other"), "PAPER")


def test_two_accounts_have_a_journal_each(project, journal):
    other = Project(project.paths, account="DU1")
    second = other.journal(other.lease())
    second.begin()
    second.intend([wanted("k1")], 1)
    journal.intend([wanted("k1")], 1)
    assert (second.verify(), journal.verify()) == (2, 2)
    other.close()


def test_the_lease_of_a_dead_process_is_taken_over(project):
    code = (
        "import sys, os\n"
        "from workbench.live.lease import Lease\n"
        "from workbench.params import Paths, Settings\n"
        "Lease.acquire(Settings(), Paths(sys.argv[1]), 'PAPER')\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(project.paths.root)], check=False, timeout=60)
    assert rows(project, "SELECT token, released FROM leases") == [(1, 0)]
    assert project.lease().token == 2


def test_who_lost_the_lease_writes_and_sends_nothing_more(project, journal):
    taken = Lease.seize(project.settings, project.paths, "PAPER", "emergency stop")
    with pytest.raises(
        AlreadyRunning, match=r"traded by the emergency stop.*nothing of this process is written or sent"
    ):
        journal.intend([wanted("k1")], 1)
    assert rows(project, "SELECT count(*) FROM intents") == [(0,)]
    stopping = project.journal(taken)
    stopping.begin()
    assert stopping.intend([wanted("k1")], 1)
    taken.release()
    with pytest.raises(AlreadyRunning, match="was given back"):
        stopping.append(Draft(Kind.ALERT, {}))


def test_a_locked_database_is_one_line_and_nothing_is_sent(project, journal, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.2)
    second = project.journal(journal.lease)
    second.begin()
    with closing(sqlite3.connect(file_of(project), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match=r"data/state/workbench.db: locked by another process"):
            second.intend([wanted("k1")], 1)
    assert second.book.open_orders == ()


def test_a_full_disk_is_one_line_and_the_book_stays(project, journal):
    with journal._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill_disk() -> None:
        for number in range(200):
            journal.append(Draft(Kind.ALERT, {"text": "x" * 2000, "number": number}))

    with pytest.raises(CannotWrite, match="the disk is full"):
        fill_disk()
    assert journal.book.last.number == rows(project, "SELECT max(number) FROM journal")[0][0]


def test_every_commit_is_synced(journal):
    with journal._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_an_older_schema_is_upgraded_and_a_newer_one_refused(project):
    project.paths.state.mkdir(parents=True)
    with closing(sqlite3.connect(file_of(project))) as database, database:
        database.execute("CREATE TABLE transitions (number INTEGER)")  # the record of promotions was there first
    project.journal()
    assert rows(project, "SELECT version_num FROM trading_schema") == [(schema.NEWEST,)]
    with closing(sqlite3.connect(file_of(project))) as database, database:
        database.execute("UPDATE trading_schema SET version_num = '9999'")
    with pytest.raises(DataRefused, match="schema 9999 is newer than 0001, the newest this version knows; nothing was"):
        project.journal()


def test_an_upgrade_that_fails_leaves_nothing(project):
    project.paths.state.mkdir(parents=True)
    with closing(sqlite3.connect(file_of(project))) as database, database:
        database.execute("CREATE TABLE leases (mine TEXT)")  # in the way of the third table
    with pytest.raises(Exception, match="leases"):
        project.journal()
    assert rows(project, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("leases",)]


def test_the_tables_are_those_that_the_migrations_make(project, journal):
    with journal._engine.connect() as connection:
        found = {
            name: {column["name"] for column in sql.inspect(connection).get_columns(name)}
            for name in ("journal", "intents", "executions", "leases", "alerts")
        }
    for metadata in (journal_module._TABLES, lease_module._leases.metadata, outbox_module._alerts.metadata):
        for name, table in metadata.tables.items():
            assert found[name] == set(table.columns.keys())
