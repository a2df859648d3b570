"""The lifecycle record: chained, append-only, one writer wins; the same tests on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sql

from workbench.errors import CannotWrite, DataRefused, InputRefused, PromotionRefused, WorkbenchError
from workbench.params import Paths, Settings, StateParams
from workbench.registry.lifecycle import record as record_module
from workbench.registry.lifecycle.record import Lifecycle
from workbench.registry.lifecycle.state import State
from workbench.registry.lifecycle.transition import Transition
from workbench.state import store as state_store

AT = datetime(2026, 1, 31, 22, 0, tzinfo=UTC)
A, B, C = (letter * 64 for letter in "abc")


def step(action: str, version: int, to: str, **more: object) -> Transition:
    begins = {"register": "research", "promote": {"paper": "backtest", "staged_live": "paper"}.get(to, "staged_live")}
    facts: dict[str, object] = {
        "kind": "strategy", "name": "sma_cross", "version": version, "action": action, "to_stage": to, "at": AT,
        "from_stage": begins.get(action, to), "pack": {1: A, 2: B, 3: C}[version], "who": "alice",
        "proposal": "" if action in ("register", "demote", "retire") else f"{version}" * 64,
    }  # fmt: skip
    return Transition(**{**facts, **more})  # type: ignore[arg-type]


def append(record: Lifecycle, *steps: Transition) -> State:
    for one in steps:
        record.append(one, after=record.state(one.kind, one.name))
    return record.state("strategy", "sma_cross")


def to_production(version: int, replaces: int = 0) -> list[Transition]:
    return [
        step("register", version, "backtest"),
        step("promote", version, "paper"),
        step("promote", version, "staged_live"),
        step("promote", version, "production", replaces=replaces),
    ]


@pytest.fixture(params=["sqlite", "postgresql"])
def record(request, tmp_path) -> Lifecycle:
    if request.param == "sqlite":
        return Lifecycle.open(Settings(), Paths(tmp_path))
    server = request.getfixturevalue("postgres")
    name = f"t{abs(hash(request.node.nodeid))}"
    admin = sql.create_engine(server.replace("://", "+psycopg://") + "postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return Lifecycle.open(Settings(state=StateParams(url=server + name)), Paths(tmp_path))


def again(record: Lifecycle) -> Lifecycle:
    return Lifecycle(record.url, record.shown)


def change(record: Lifecycle, *statements: str) -> None:
    """Do what the record refuses: as someone with the database's password would."""
    engine = sql.create_engine(record.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        triggers = (
            ["DROP TRIGGER transitions_update", "DROP TRIGGER transitions_delete"]
            if record.url.drivername == "sqlite"
            else ["DROP TRIGGER transitions_rows ON transitions"]
        )
        for text in (*triggers, *statements):
            connection.execute(sql.text(text))
    engine.dispose()


def test_nothing_is_written_by_looking(record, tmp_path):
    assert record.state("strategy", "sma_cross") == State("strategy", "sma_cross")
    assert record.current("strategy", "sma_cross", "paper") is None
    assert record.verify().transitions == 0
    assert not (tmp_path / "data").exists()


def test_a_version_goes_step_by_step_to_production(record):
    state = append(record, *to_production(1))
    standing = again(record).current("strategy", "sma_cross", "production")
    assert standing == state.standing["production"]
    assert (standing.version, standing.pack, standing.proposal, standing.mode) == (1, A, "1" * 64, "active")
    assert (standing.number, standing.at) == (4, AT)
    assert record.verify().head == standing.head
    assert set(state.standing) == {"production"}  # it left paper and staged live
    assert [(s.number, s.action) for s in record.transitions()] == [
        (1, "register"), (2, "promote"), (3, "promote"), (4, "promote"),
    ]  # fmt: skip


def test_the_chain_is_what_its_docstring_says(record):
    append(record, step("register", 1, "backtest"))
    (only,) = record.transitions()
    # sha256 of the canonical JSON of the row without its head, worked by hand with sha256sum
    text = (
        '{"action":"register","at":"2026-01-31T22:00:00Z","forced":false,"from_stage":"research","kind":"strategy",'
        f'"mode":"active","name":"sma_cross","number":1,"pack":"{A}","positions":"","previous":"","proposal":"",'
        '"reason":"","replaces":0,"to_stage":"backtest","version":1,"who":"alice"}'
    )
    summed = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout.split()[0]
    assert only.head == summed


def test_a_promotion_replaces_and_a_rollback_brings_back(record):
    append(record, *to_production(1), *to_production(2, replaces=1))
    state = record.state("strategy", "sma_cross")
    assert (state.versions[1].stage, state.versions[1].reason) == ("retired", "replaced by version 2")
    assert state.replaced == {"production": (1,)}
    state = append(record, step("rollback", 1, "production", replaces=2, positions="flatten"))
    assert state.standing["production"].version == 1
    assert state.standing["production"].positions == "flatten"
    assert state.versions[2].stage == "retired"
    assert state.replaced == {}


def test_two_rollbacks_go_back_two_versions(record):
    append(record, *to_production(1), *to_production(2, replaces=1), *to_production(3, replaces=2))
    append(record, step("rollback", 2, "production", replaces=3))
    state = append(record, step("rollback", 1, "production", replaces=2))
    assert state.standing["production"].version == 1


def test_a_version_retired_by_hand_does_not_come_back(record):
    append(record, *to_production(1), *to_production(2, replaces=1))
    append(record, step("retire", 1, "retired", from_stage="retired", reason="a bug in its data"))
    with pytest.raises(PromotionRefused, match="not what stood at production before"):
        append(record, step("rollback", 1, "production", replaces=2))
    with pytest.raises(PromotionRefused, match="retired already"):
        append(record, step("retire", 1, "retired", from_stage="retired"))


def test_a_demotion_stays_at_its_stage_and_a_restoration_lifts_it(record):
    append(record, *to_production(1))
    state = append(record, step("demote", 1, "production", mode="reduce_only", reason="drift 0.31"))
    assert state.standing["production"].mode == "reduce_only"
    assert state.standing["production"].proposal == "1" * 64  # the approval that loads it stays
    with pytest.raises(PromotionRefused, match="reduce-only already"):
        append(record, step("demote", 1, "production", mode="reduce_only"))
    state = append(record, step("restore", 1, "production", proposal="9" * 64))
    assert (state.standing["production"].mode, state.standing["production"].proposal) == ("active", "9" * 64)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (step("promote", 1, "production"), "stands at paper, from where staged_live is next"),
        (step("promote", 1, "staged_live", pack=B), "its pack is aaaaaaaaaaaa, not bbbbbbbbbbbb"),
        (step("promote", 1, "staged_live", proposal=""), "no proposal"),
        (step("promote", 1, "staged_live", forced=True, reason="hurry"), "force exists for paper only"),
        (step("promote", 1, "staged_live", replaces=2), "version none stands at staged_live, not 2"),
        (step("promote", 2, "paper"), "not registered"),
        (step("register", 1, "backtest", pack=B), "is registered with pack aaaaaaaaaaaa"),
        (step("register", 2, "backtest", pack=A), "is version 1 already"),
        (step("register", 2, "production"), "begins at backtest"),
        (step("rollback", 1, "production"), "not what stood"),
        (step("demote", 1, "production", mode="reduce_only"), "does not stand at production"),
        (step("restore", 1, "paper"), "not reduce-only"),
        (step("promoted", 1, "paper"), "no action 'promoted'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_step_that_does_not_follow_is_refused_and_nothing_is_written(tmp_path, wrong, why):
    record = Lifecycle.open(Settings(), Paths(tmp_path))
    append(record, step("register", 1, "backtest"), step("promote", 1, "paper"))
    with pytest.raises(PromotionRefused, match=why):
        append(record, wrong)
    assert len(record.transitions()) == 2


def test_of_two_writers_one_wins_and_the_other_is_told_who(record):
    append(record, step("register", 1, "backtest"))
    seen = record.state("strategy", "sma_cross")
    again(record).append(step("promote", 1, "paper", who="bob"), after=seen)
    with pytest.raises(PromotionRefused, match=r"bob promoted version 1 to paper at 2026-01-31T22:00:00Z, before you"):
        record.append(step("promote", 1, "paper"), after=seen)
    assert len(record.transitions()) == 2


def test_twelve_at_once_on_one_name_leave_one_step_and_eleven_answers(record):
    seen = append(record, step("register", 1, "backtest"))
    start, won, lost = threading.Barrier(12), [], []

    def promote(number: int) -> None:
        mine = again(record)
        start.wait(30)
        try:
            won.append(mine.append(step("promote", 1, "paper", who=f"p{number}"), after=seen))
        except PromotionRefused as error:
            lost.append(str(error))

    threads = [threading.Thread(target=promote, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(won), len(lost)) == (1, 11)
    assert all(f"{won[0].who} promoted version 1 to paper" in text for text in lost)
    assert record.verify().transitions == 2


def test_different_names_do_not_disturb_one_another(record):
    start, failed = threading.Barrier(8), []

    def register(number: int) -> None:
        mine, name = again(record), f"idea{number}"
        start.wait(30)
        try:
            mine.append(step("register", 1, "backtest", name=name), after=State("strategy", name))
        except WorkbenchError as error:
            failed.append(str(error))

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert record.verify().transitions == 8
    assert len(record.states()) == 8


@pytest.mark.parametrize("verb", ["UPDATE transitions SET mode = 'active'", "DELETE FROM transitions"])
def test_the_database_itself_refuses_to_change_a_row(record, verb):
    append(record, step("register", 1, "backtest"))
    engine = sql.create_engine(record.url)
    with engine.connect() as connection, pytest.raises(sql.exc.DBAPIError, match="append-only"):
        connection.execute(sql.text(verb))
    engine.dispose()


def test_an_edited_row_is_named_and_nothing_is_read(record):
    append(record, *to_production(1))
    change(record, f"UPDATE transitions SET pack = '{B}' WHERE number = 4")
    with pytest.raises(DataRefused, match=r"transition 4 of sma_cross, 2026-01-31T22:00:00Z, was changed"):
        record.current("strategy", "sma_cross", "production")
    with pytest.raises(DataRefused, match="was changed"):
        append(record, step("demote", 1, "production", mode="reduce_only"))


def test_a_row_deleted_from_the_middle_is_named(record):
    append(record, *to_production(1))
    change(record, "DELETE FROM transitions WHERE number = 2")
    with pytest.raises(DataRefused, match=r"transition 3 of sma_cross.*does not follow 1: rows were deleted"):
        record.verify()


def test_rows_cut_off_the_end_are_missed_by_who_kept_a_head(record):
    append(record, *to_production(1))
    kept = record.transitions()[-1].head
    assert record.verify({"version 1": kept}).transitions == 4
    change(record, "DELETE FROM transitions WHERE number = 4")
    with pytest.raises(DataRefused, match=f"transition {kept[:12]} that version 1 shows is gone, the last of 3 is"):
        record.verify({"version 1": kept})


def test_a_row_chained_on_by_hand_that_no_rule_allows_is_not_read(record):
    append(record, step("register", 1, "backtest"))
    last = record.transitions()[-1]
    forged = step("promote", 1, "production").after(last.number, last.head)  # straight from backtest
    engine = sql.create_engine(record.url)
    with engine.begin() as connection:
        connection.execute(record_module._transitions.insert().values(**record_module._row(forged)))
    engine.dispose()
    with pytest.raises(DataRefused, match=r"holds a step that was never allowed.*from where paper is next"):
        record.current("strategy", "sma_cross", "production")


def chain_on(record: Lifecycle, *steps: Transition) -> State:
    """Write rows as a person does who knows the chain and asks no rule."""
    engine = sql.create_engine(record.url)
    for one in steps:
        last = record.transitions()[-1]
        with engine.begin() as connection:
            forged = one.after(last.number, last.head)
            connection.execute(record_module._transitions.insert().values(**record_module._row(forged)))
    engine.dispose()
    return record.state("strategy", "sma_cross")


def test_a_lifting_chained_on_by_hand_with_a_used_proposal_lifts_nothing(record):
    append(record, *to_production(1), step("demote", 1, "production", mode="reduce_only"))
    before = record.state("strategy", "sma_cross").standing["production"]
    later = AT + timedelta(days=30)
    here = chain_on(record, step("restore", 1, "production", proposal="1" * 64, at=later)).standing["production"]
    assert (here.mode, here.taken, here.restored) == ("reduce_only", before.taken, None)
    # A record in which one was lifted so, by an older version, and demoted again after it is read all the same.
    state = chain_on(record, step("demote", 1, "production", mode="reduce_only", at=later))
    assert state.standing["production"].mode == "reduce_only"
    with pytest.raises(PromotionRefused, match=r"cannot restore: proposal 111111111111 was used already"):
        append(record, step("restore", 1, "production", proposal="1" * 64))
    state = append(record, step("restore", 1, "production", proposal="9" * 64))
    assert state.standing["production"].mode == "active"


def test_neither_a_rollback_nor_a_promotion_lifts_reduce_only(record):
    append(record, *to_production(1), step("demote", 1, "production", mode="reduce_only"))
    append(record, *to_production(2, replaces=1))
    lifting = step("rollback", 1, "production", replaces=2, positions="keep")
    with pytest.raises(PromotionRefused, match="cannot rollback: it may only reduce until new approvals lift that"):
        append(record, lifting)
    assert chain_on(record, lifting).standing["production"].mode == "reduce_only"
    append(record, step("register", 3, "backtest"), step("promote", 3, "paper"))
    append(record, step("demote", 3, "paper", mode="reduce_only"))
    onward = step("promote", 3, "staged_live")
    with pytest.raises(PromotionRefused, match="cannot promote: it may only reduce until new approvals lift that"):
        append(record, onward)
    assert chain_on(record, onward).standing["staged_live"].mode == "reduce_only"


def test_what_mlflow_shows_is_remembered_apart(record):
    append(record, step("register", 1, "backtest"), step("promote", 1, "paper"))
    assert [one.number for one in record.unshown()] == [1, 2]
    record.mark_shown(record.unshown()[:1])
    record.mark_shown(record.transitions()[:1])
    assert [one.number for one in again(record).unshown()] == [2]


def test_a_locked_database_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(state_store, "LOCK_SECONDS", 0.2)
    record = Lifecycle.open(Settings(), Paths(tmp_path))
    append(record, step("register", 1, "backtest"))
    with closing(sqlite3.connect(record.url.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert again(record).state("strategy", "sma_cross").newest == 1  # who only looks does not wait
        with pytest.raises(CannotWrite, match=r"data/state/workbench.db: locked by another process"):
            append(again(record), step("promote", 1, "paper"))


def test_a_file_that_is_no_database_is_one_line(tmp_path):
    record = Lifecycle.open(Settings(), Paths(tmp_path))
    file = Path(record.url.database)
    file.parent.mkdir(parents=True)
    file.write_text("what is this? " * 100)
    with pytest.raises(DataRefused, match=r"damaged.*restore the file"):
        record.states()


@pytest.mark.parametrize("url", ["mysql://host/x", "nothing", "postgres//host"])
def test_a_url_that_is_no_store_is_refused(tmp_path, url):
    with pytest.raises(InputRefused, match=r"state.url.*leave it empty"):
        Lifecycle.open(Settings(state=StateParams(url=url)), Paths(tmp_path))


def test_no_server_at_the_url_is_one_line_without_the_password(tmp_path):
    pytest.importorskip("psycopg")
    url = "postgresql://quant:secret@127.0.0.1:9/x"
    with pytest.raises(WorkbenchError, match=r"quant:\*\*\*@.*start that database, or set state.url") as told:
        Lifecycle.open(Settings(state=StateParams(url=url)), Paths(tmp_path)).states()
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_relative_file_is_taken_from_the_root(tmp_path):
    record = Lifecycle.open(Settings(state=StateParams(url="sqlite:///elsewhere/state.db")), Paths(tmp_path))
    append(record, step("register", 1, "backtest"))
    assert (tmp_path / "elsewhere" / "state.db").is_file()


def test_the_database_is_written_safely(tmp_path):
    record = Lifecycle.open(Settings(), Paths(tmp_path))
    append(record, step("register", 1, "backtest"))
    with record._engine().connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_who_is_killed_while_writing_leaves_nothing(tmp_path):
    record = Lifecycle.open(Settings(), Paths(tmp_path))
    seen = append(record, step("register", 1, "backtest"))

    class Killed(BaseException):
        pass

    def write_half() -> None:
        with record._writing() as connection:
            placed = step("promote", 1, "paper").after(1, seen.last.head)
            connection.execute(record_module._transitions.insert().values(**record_module._row(placed)))
            raise Killed

    with pytest.raises(Killed):
        write_half()
    assert record.state("strategy", "sma_cross") == seen
