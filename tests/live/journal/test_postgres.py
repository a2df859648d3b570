"""The journal on a real PostgreSQL: the same promises as on SQLite."""

from __future__ import annotations

import pytest
import sqlalchemy as sql

from tests.live.conftest import Project, wanted
from workbench.alerts.outbox import Severity
from workbench.errors import AlreadyRunning, CannotWrite, DataRefused, WorkbenchError
from workbench.live.journal.event import Draft, Kind
from workbench.live.lease import Lease
from workbench.params import Paths, Settings, StateParams
from workbench.state import store
from workbench.trading import OrderStatus


@pytest.fixture
def served(postgres, tmp_path, request):
    """A project whose state is on a server, in a database of its own."""
    name = f"j{abs(hash(request.node.nodeid))}"
    admin = sql.create_engine(postgres.replace("://", "+psycopg://") + "postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    made = Project(Paths(tmp_path), Settings(state=StateParams(url=postgres + name)))
    yield made
    made.close()


@pytest.fixture
def journal(served):
    journal = served.journal(served.lease())
    journal.begin()
    return journal


def test_what_is_written_is_read_again_as_the_same_book(served, journal):
    (intent,) = journal.intend([wanted("k1", limit=90.25)], 5)
    said = {"status": OrderStatus.WORKING.value, "permanent_id": 3, "text": ""}
    journal.append(Draft(Kind.ACKNOWLEDGED, said, "k1", "AAA"))
    again = served.journal()
    assert again.book == journal.book
    assert again.book.orders["k1"].intent == intent
    assert again.verify(journal.book.last.head) == 3


def test_keys_and_numbers_are_unique_and_nothing_of_a_batch_is_written(journal):
    with pytest.raises(DataRefused, match="was journaled before; nothing was written"):
        journal.intend([wanted("k1"), wanted("k1")], 1)
    assert journal.verify() == 1
    assert journal.intend([wanted("k1")], 1)[0].order_id == 1


@pytest.mark.parametrize("statement", ["UPDATE journal SET data = '{}'", "DELETE FROM intents", "TRUNCATE executions"])
def test_the_database_refuses_to_change_what_is_written(journal, statement):
    journal.intend([wanted("k1")], 1)
    with pytest.raises(sql.exc.DatabaseError, match="append-only"), journal._engine.begin() as connection:
        connection.execute(sql.text(statement))


def test_who_lost_the_lease_writes_nothing_more(served, journal):
    Lease.seize(served.settings, served.paths, "PAPER", "emergency stop")
    with pytest.raises(AlreadyRunning, match="traded by the emergency stop"):
        journal.intend([wanted("k1")], 1)
    with pytest.raises(AlreadyRunning, match="stop it first"):
        Lease.acquire(served.settings, Paths(served.paths.root / "other"), "PAPER")


def test_a_lock_that_is_held_is_one_line(served, journal, monkeypatch):
    monkeypatch.setattr(store, "LOCK_SECONDS", 1.0)
    second = served.journal(journal.lease)
    second.begin()
    with journal._store.alone(journal._engine, "journal"), pytest.raises(CannotWrite, match="locked by another"):
        second.intend([wanted("k1")], 1)
    assert second.intend([wanted("k1")], 1)


def test_a_connection_that_was_cut_is_made_again(served, journal):
    def cut() -> None:
        with served.journal()._engine.connect() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            connection.execute(sql.text(others + "AND datname = current_database()"))

    def cut_within() -> None:
        with journal._store.explained(), journal._store.alone(journal._engine, "journal") as connection:
            cut()
            connection.execute(sql.text("SELECT 1"))

    cut()
    assert journal.intend([wanted("k1")], 1)
    with pytest.raises(WorkbenchError, match="start that database"):
        cut_within()
    assert journal.intend([wanted("k2")], 1)[0].order_id == 2


def test_alerts_are_kept(served):
    number = served.outbox().post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale")
    assert served.outbox().post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale") is None
    assert [one.id for one in served.outbox().pending()] == [number]
