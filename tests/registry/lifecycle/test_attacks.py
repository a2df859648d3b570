"""What someone might try, by hand or by mistake: each is refused or reported in one line, and nothing is half moved."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import pytest

from tests.registry.conftest import NOW, ROOT, Project
from workbench.errors import (
    CannotWrite,
    DataRefused,
    InputRefused,
    NoData,
    PackRefused,
    ParamsRefused,
    PromotionRefused,
    StrategyRefused,
    WorkbenchError,
)
from workbench.registry import store as store_module
from workbench.registry.connection import Connection
from workbench.registry.gates.track_record import SessionRecord, read_track_record
from workbench.registry.lifecycle.evaluation import evaluate
from workbench.registry.lifecycle.promote import approve, commit, propose, rule
from workbench.registry.lifecycle.status import status
from workbench.registry.packs.canonical import canonical, sha256
from workbench.registry.packs.code import installed_code
from workbench.registry.packs.keys import load_key
from workbench.registry.packs.proposal import sign
from workbench.state import store as state_store

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = ("strategy", "sma_cross")


def look(desk, version: int = 1):
    return evaluate(desk, desk.state(*NAME), version)


def propose_and_sign(project, *names: str):
    """A desk at which the first step was proposed and signed by these people."""
    desk = project.desk()
    propose(desk, rule(look(desk)))
    for name in names:
        approve(desk, look(desk), name, "", "")
    return desk


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    return text


# --- what was changed after the evidence was made


def test_an_alias_moved_by_hand_is_reported_and_never_followed(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    client = desk.models.connection.client()
    client.set_registered_model_alias("sma_cross", "production", "2")
    client.set_registered_model_alias("sma_cross", "paper", "2")
    assert desk.record.current(*NAME, "production") is None
    assert desk.record.current(*NAME, "paper").version == 1
    assert desk.models.find(*NAME).differing(desk.state(*NAME)) == [
        "sma_cross: alias 'paper' names version 2 in MLflow, but by the record version 1 stands there; it was moved by "
        "hand and counts for nothing",
        "sma_cross: alias 'production' names version 2 in MLflow, but by the record nothing stands there; it was moved "
        "by hand and counts for nothing",
    ]
    assert any("alias 'production' names version 2" in note for note in status(desk).notes)
    staffed.promote(signers=("alice",))  # the next real step shows the truth again
    assert staffed.desk().models.find(*NAME).aliases == {"paper": 2}


def test_an_alias_taken_away_is_reported(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    desk = staffed.desk()
    desk.models.connection.client().delete_registered_model_alias("sma_cross", "paper")
    assert "alias 'paper' is gone in MLflow, but by the record version 1" in "".join(status(desk).notes)


def test_gates_loosened_after_the_pack_was_made_are_refused(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.8))
    file = staffed.root / "params" / "gates.yaml"
    file.write_text(file.read_text().replace("min: 0.95", "min: 0.75"))
    found = look(staffed.desk())
    assert found.failed == []  # by the loosened gate it would pass
    text = rule(found).refusal
    assert "params/gates.yaml is not the one that the pack was made under (" in text
    assert f"({found.pack.policy[:12]} then, {staffed.desk().policy.digest[:12]} now)" in text
    assert text.endswith("make evidence STRATEGY=sma_cross")
    with pytest.raises(PromotionRefused, match="is not the one that the pack was made under"):
        commit(staffed.desk(), rule(found, "the gate is too strict for me"))


def test_a_comment_in_the_gates_changes_nothing(staffed):
    staffed.candidate()
    file = staffed.root / "params" / "gates.yaml"
    file.write_text("# read again\n" + file.read_text())
    assert look(staffed.desk()).voids == ()


def test_code_edited_after_the_evidence_is_refused(staffed):
    code = installed_code("sma_cross", "a" * 40)
    other = replace(code, files={**code.files, "strategies/sma_cross.py": "0" * 64})
    staffed.candidate(code=other)
    text = rule(look(staffed.desk()), None).refusal
    assert "the code is not that of the evidence: strategies/sma_cross.py was edited (" in text
    seen = "see: git diff aaaaaaaaaaaa -- src/workbench/strategies/sma_cross.py"
    assert f"({other.digest[:12]} then, {code.digest[:12]} now; {seen}); make evidence STRATEGY=sma_cross" in text
    with pytest.raises(PromotionRefused, match="the code is not that of the evidence"):
        commit(staffed.desk(), rule(look(staffed.desk()), "it is only a comment"))


def test_evidence_of_a_dirty_tree_is_refused_also_by_force(staffed):
    staffed.candidate(code=installed_code("sma_cross", "a" * 40, ("src/workbench/strategies/sma_cross.py", "x.py")))
    text = rule(look(staffed.desk()), "it is only a comment").refusal
    assert (
        "made from a working tree with changes (src/workbench/strategies/sma_cross.py, x.py) on commit aaaaaaaaaaaa"
        in text
    )


def test_expired_evidence_and_a_clock_set_back_are_refused(staffed):
    pack = staffed.candidate()
    now = staffed.desk().now
    assert "the evidence expired on 2026-06-10" in rule(look(staffed.desk(now=now + timedelta(days=101)))).refusal
    early = rule(look(staffed.desk(now=pack.made_at - timedelta(hours=1)))).refusal
    assert "in the future: this machine's clock is wrong" in early


def test_an_approval_of_the_future_does_not_count(staffed):
    staffed.candidate()
    desk = propose_and_sign(staffed)
    late = staffed.desk(now=desk.now + timedelta(days=1))
    approve(late, look(late), "alice", "", "")
    found = look(desk)
    assert found.signed.names == ()
    assert "in the future; check both clocks" in found.signed.refusals[0]


# --- the ledger, the runs, the registry


def test_a_ledger_cut_short_is_refused(staffed):
    staffed.candidate()
    with closing(sqlite3.connect(staffed.paths.trials, isolation_level=None)) as ledger:
        for table in ("trials", "batches"):
            ledger.execute(f"DROP TRIGGER {table}_DELETE")
            ledger.execute(f"DELETE FROM {table}")
    text = rule(look(staffed.desk())).refusal
    assert "refused by ledger" in text
    assert "is gone" in text


def test_a_ledger_that_was_begun_anew_is_refused(staffed):
    staffed.candidate()
    staffed.paths.trials.unlink()
    staffed.try_cells(3, seed=9)
    assert "refused by ledger" in rule(look(staffed.desk())).refusal


def test_trials_after_the_pack_must_be_counted(staffed):
    staffed.candidate()
    staffed.try_cells(7, seed=11)
    text = rule(look(staffed.desk())).refusal
    assert "refused by no_later_trials" in text
    assert "7 trials after 24" in text


def test_a_track_record_that_no_journal_backs_is_refused(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    assert look(staffed.desk()).voids == ()
    staffed.track(pack, 1, "paper", journal_head="f" * 64)  # written by hand
    ruling = rule(look(staffed.desk()))
    assert re.search(
        r"refused: the paper record .* ends with event f+.* of a journal, and .* has no such", ruling.refusal
    )
    later = SessionRecord(date(2027, 6, 1), 1_000.0, 1.0, 1, 1_000.0, positions_equal=True)
    staffed.track(pack, 1, "paper", sessions=(later,))  # goes on after the last word of the journal
    voids = look(staffed.desk(NOW + timedelta(days=500))).voids
    assert any("goes on to 2027-06-01, and the event of its journal is of 2027-03-" in one for one in voids), voids


def test_a_track_record_edited_by_hand_is_refused_although_its_journal_is_there(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    file = staffed.paths.state / "records/strategy/sma_cross/1/paper.json"
    record = read_track_record(file.read_bytes(), "paper.json", NOW)
    file.write_bytes(replace(record, fills=500).bytes())
    (void,) = look(staffed.desk()).voids
    assert void == (
        "the paper record of sma_cross version 1 is not what the journal of account DU1234567 says was written last; "
        "trade one more session, which makes it again from the journal, then compare all of them: "
        "workbench parity sma_cross"
    )
    file.write_bytes(record.bytes())
    assert look(staffed.desk()).voids == ()
    staffed.track(pack, 1, "paper", fills=44)
    file.write_bytes(record.bytes())  # what was written once, put back over what came since
    assert "is not what the journal" in rule(look(staffed.desk())).refusal


def by_hand(project, sentence: str, row: dict[str, object]) -> None:
    """Do to the state database what a person with an editor for SQLite does."""
    with closing(sqlite3.connect(project.paths.state / "workbench.db")) as database:
        database.execute(sentence, row)
        database.commit()


def insert(table: str, row: dict[str, object]) -> tuple[str, dict[str, object]]:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row


def newest_of_the_journal(project) -> dict[str, object]:
    with closing(sqlite3.connect(project.paths.state / "workbench.db")) as database:
        database.row_factory = sqlite3.Row
        return dict(database.execute("SELECT * FROM journal ORDER BY number DESC LIMIT 1").fetchone())


def test_an_event_put_into_the_journal_by_hand_backs_no_track_record(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    assert look(staffed.desk()).voids == ()
    file = staffed.paths.state / "records/strategy/sma_cross/1/paper.json"
    edited = replace(read_track_record(file.read_bytes(), "paper.json", NOW), fills=500)
    file.write_bytes(edited.bytes())
    last = newest_of_the_journal(staffed)
    forged = {**last, "number": last["number"] + 1, "data": json.dumps({"record": edited.digest}), "head": "0" * 64}
    by_hand(staffed, *insert("journal", {**forged, "previous": last["head"]}))
    (void,) = look(staffed.desk()).voids
    assert void == (
        "the paper record of sma_cross version 1 rests on the journal of account DU1234567, whose event 3 was added or "
        "changed by hand; nothing is promoted, loaded or traded from it; restore the file from a backup"
    )


def test_an_event_that_follows_no_other_backs_no_track_record(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    last = newest_of_the_journal(staffed)
    again = {**last, "number": 3, "previous": "0" * 64}
    names = ("account", "number", "at", "session", "kind", "key", "symbol", "data", "previous")
    again["head"] = sha256(canonical([str(again[name]) for name in names]))  # right by itself
    by_hand(staffed, *insert("journal", again))
    assert "whose event 3 was added or changed by hand" in look(staffed.desk()).voids[0]


def test_a_record_from_before_the_journal_named_it_leads_to_no_money(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    file = staffed.paths.state / "records/strategy/sma_cross/1/paper.json"
    file.write_bytes(replace(read_track_record(file.read_bytes(), "paper.json", NOW), account="").bytes())
    (void,) = look(staffed.desk()).voids
    assert "was kept before the journal of account DU1234567 named what was written; trade one more session" in void
    with pytest.raises(PromotionRefused, match="nothing to approve: the paper record"):
        approve(staffed.desk(), look(staffed.desk()), "alice", "", "")


def test_a_run_deleted_in_mlflow_is_refused_and_its_trials_still_count(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    desk.models.connection.client().delete_run(pack.run_id)
    with pytest.raises(NoData, match="was deleted in the MLflow UI; restore it there"):
        look(desk)
    facts, _ = desk.ledger(pack)
    assert (facts.head_found, facts.trials_now) == (True, 24)


def test_a_version_deleted_in_mlflow_is_refused(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    desk = staffed.desk()
    desk.models.connection.client().delete_model_version("sma_cross", "1")
    with pytest.raises(PackRefused, match="version 1 is gone from MLflow, the record has it; restore mlruns"):
        look(desk)
    assert any("version 1 is gone from MLflow" in note for note in status(desk).notes)


def test_a_version_registered_by_hand_counts_for_nothing(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    client = desk.models.connection.client()
    source = client.get_model_version("sma_cross", "1").source
    client.create_model_version("sma_cross", source, pack.run_id, tags={"pack": pack.digest}, await_creation_for=0)
    state = desk.state(*NAME)
    assert sorted(state.versions) == [1]
    with pytest.raises(InputRefused, match="sma_cross: no version 2; there is 1"):
        look(desk, 2)
    (line,) = desk.models.find(*NAME).unrecorded(state)
    assert (
        line == "sma_cross: version 2 in MLflow is not in the record; it was registered by hand and counts for nothing"
    )


def test_a_pack_is_registered_once_however_often_it_is_looked_at(staffed):
    staffed.candidate()
    desk = staffed.desk()
    for _ in range(3):
        staffed.desk().state(*NAME)
    assert desk.register(*NAME) == []
    assert sorted(desk.models.find(*NAME).versions) == [1]


def test_a_registration_cut_off_before_the_record_is_taken_up_again(staffed, monkeypatch):
    staffed.candidate()
    desk = staffed.desk()
    with monkeypatch.context() as cut:
        cut.setattr(type(desk.record), "append", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            desk.register(*NAME)
    assert sorted(desk.models.find(*NAME).versions) == [1]
    assert desk.record.transitions() == []
    assert sorted(staffed.desk().state(*NAME).versions) == [1]
    assert sorted(desk.models.find(*NAME).versions) == [1]


def test_a_tag_that_names_another_pack_moves_nothing(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    desk.models.connection.client().set_tag(pack.run_id, "pack.digest", "0" * 64)
    assert sorted(desk.state(*NAME).versions) == [1]


def test_evidence_exchanged_for_another_whole_pack_is_refused(staffed):
    first, second = staffed.candidate(), staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    folder = staffed.run_folder(first)
    shutil.rmtree(folder)
    shutil.copytree(staffed.run_folder(second), folder)
    with pytest.raises(PackRefused, match=f"holds pack {second.digest[:12]}, registered was {first.digest[:12]}"):
        look(desk)


# --- signatures


def test_the_same_key_twice_is_one_person(staffed):
    public = staffed.people["alice"]["key"]
    staffed.people["bob"] = {"key": public}
    staffed.write_approvers()
    staffed.candidate()
    with pytest.raises(ParamsRefused, match="alice and bob have the same key"):
        look(staffed.desk())


def test_the_same_person_twice_is_one_approval(staffed):
    staffed.candidate()
    desk = propose_and_sign(staffed, "alice")
    with pytest.raises(InputRefused, match="alice has approved it already; a second person must"):
        approve(desk, look(desk), "alice", "", "")


def test_an_unknown_key_signs_nothing(staffed):
    staffed.person("mallory", listed=False)
    staffed.candidate()
    desk = propose_and_sign(staffed)
    with pytest.raises(PromotionRefused, match=r"not signed: mallory: not in params/approvers.yaml"):
        approve(desk, look(desk), "mallory", "", "")
    found = look(desk)
    made = sign(found.proposal, load_key("mallory", desk.paths), "alice", "", desk.now)  # in alice's name
    desk.models.keep(found.state, 1, f"approvals/{found.proposal.digest}/alice.json", made.bytes())
    assert look(desk).signed.names == ()
    assert "alice: signed with key" in look(desk).signed.refusals[0]
    assert "waits for 1 approval more" in rule(look(desk)).refusal


def test_an_old_signature_does_not_carry_over_to_a_changed_pack(staffed):
    first = staffed.candidate()
    desk = propose_and_sign(staffed, "alice")
    second = staffed.candidate(spoil=lambda parts: parts["statistics.json"]["out_of_sample"].update(sharpe=1.9))
    for name in ("proposals", "approvals"):
        shutil.copytree(staffed.run_folder(first) / name, staffed.run_folder(second) / name)
    with pytest.raises(PackRefused, match=f"was made for pack {first.digest[:12]} of sma_cross"):
        staffed.desk().state(*NAME)
    assert desk.record.current(*NAME, "paper") is None


def test_who_may_not_approve_a_stage_does_not(staffed):
    staffed.person("carol", may=["staged_live"])
    staffed.candidate()
    desk = propose_and_sign(staffed)
    with pytest.raises(PromotionRefused, match="carol: may approve staged_live only, not paper"):
        approve(desk, look(desk), "carol", "", "")


def test_a_locked_key_asks_for_its_passphrase(staffed):
    staffed.person("dora", passphrase="open sesame")
    staffed.candidate()
    desk = propose_and_sign(staffed)
    with pytest.raises(InputRefused, match="the key asks for its passphrase"):
        approve(desk, look(desk), "dora", "", "")
    with pytest.raises(InputRefused, match="wrong passphrase"):
        approve(desk, look(desk), "dora", "", "open sesam")
    assert approve(desk, look(desk), "dora", "", "open sesame").approver == "dora"


def test_nothing_is_signed_that_nobody_proposed(staffed):
    staffed.candidate()
    desk = staffed.desk()
    with pytest.raises(PromotionRefused, match="nobody proposed it yet; first: make promote STRATEGY=sma_cross"):
        approve(desk, look(desk), "alice", "", "")


# --- the record


def test_a_record_cut_off_its_end_is_missed_by_what_mlflow_shows(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    head = staffed.desk().record.transitions()[-1].head
    with closing(sqlite3.connect(staffed.paths.state / "workbench.db", isolation_level=None)) as record:
        for table in ("shown", "transitions"):
            record.execute(f"DROP TRIGGER {table}_delete")
            record.execute(f"DELETE FROM {table} WHERE number = 2")
    with pytest.raises(DataRefused, match=f"transition {head[:12]} that version 1 of sma_cross shows is gone"):
        look(staffed.desk())
    assert "is gone, the last of 1" in status(staffed.desk()).broken[0]


def test_a_record_that_was_deleted_is_not_begun_anew_over_what_mlflow_shows(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    for file in staffed.paths.state.glob("workbench.db*"):
        file.unlink()
    with pytest.raises(DataRefused, match="that version 1 of sma_cross shows is gone"):
        staffed.desk().state(*NAME)


# --- half-finished steps, two at once, stores that are gone


def test_a_step_cut_off_before_mlflow_shows_it_is_finished_later(staffed, monkeypatch):
    staffed.candidate()
    desk = propose_and_sign(staffed, "alice")
    with monkeypatch.context() as cut:
        cut.setattr(type(desk.models), "show", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            commit(desk, rule(look(desk)))
    assert desk.record.current(*NAME, "paper").version == 1  # the record decides
    assert desk.models.find(*NAME).aliases == {}
    notes = status(desk).notes
    assert any("half finished: quinn promoted version 1 to paper" in note for note in notes)
    assert not any("moved by hand" in note for note in notes)
    later = staffed.desk()
    assert [step.action for step in later.finish(*NAME)] == ["promote"]
    assert later.models.find(*NAME).aliases == {"paper": 1}
    assert later.models.find(*NAME).versions[1].tags["stage"] == "paper"
    assert later.finish(*NAME) == []


def test_of_two_people_at_once_one_wins_and_the_other_is_told(staffed):
    staffed.candidate()
    desk = propose_and_sign(staffed, "alice")
    mine, other = rule(look(desk)), staffed.desk(who="rival")
    commit(other, rule(look(other)))
    with pytest.raises(
        PromotionRefused, match=r"rival promoted version 1 to paper at .*, before you; nothing of yours"
    ):
        commit(desk, mine)
    assert len(desk.record.transitions()) == 2


def test_two_people_at_the_same_moment(staffed):
    staffed.candidate()
    propose_and_sign(staffed, "alice")
    start, done, refused = threading.Barrier(2), [], []

    def go(who: str) -> None:
        desk = staffed.desk(who=who)
        ruling = rule(look(desk))
        start.wait(60)
        try:
            done.append(commit(desk, ruling).who)
        except PromotionRefused as error:
            refused.append(str(error))

    threads = [threading.Thread(target=go, args=(who,)) for who in ("ann", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(done) == 1
    assert f"{done[0]} promoted version 1 to paper" in refused[0]
    assert staffed.desk().models.find(*NAME).aliases == {"paper": 1}


def test_a_locked_mlflow_database_moves_nothing(staffed, monkeypatch):
    staffed.candidate()
    desk = propose_and_sign(staffed, "alice")
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.2)
    database = Connection(staffed.settings, staffed.paths).database
    assert database is not None
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match=r"mlflow.db: locked by another process") as told:
            look(staffed.desk())
        one_line(told.value)
        found = status(staffed.desk())
        assert "MLflow cannot be read, this is what the record says alone" in found.notes[0]
        assert {line.stage for line in found.lines if line.name == "sma_cross"} == {"backtest"}
    assert [step.action for step in desk.record.transitions()] == ["register"]


def test_a_locked_record_moves_nothing(staffed, monkeypatch):
    staffed.candidate()
    ruling = rule(look(propose_and_sign(staffed, "alice")))
    monkeypatch.setattr(state_store, "LOCK_SECONDS", 0.2)
    with closing(sqlite3.connect(staffed.paths.state / "workbench.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CannotWrite, match=r"workbench.db: locked by another process"):
            commit(staffed.desk(), ruling)
    desk = staffed.desk()
    assert desk.models.find(*NAME).aliases == {}
    assert commit(desk, rule(look(desk))).to_stage == "paper"


def test_an_mlflow_database_that_lost_its_versions_is_refused(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    with closing(sqlite3.connect(staffed.root / "mlruns" / "mlflow.db", isolation_level=None)) as store:
        for table in ("model_version_tags", "registered_model_aliases", "model_versions", "registered_models"):
            store.execute(f"DELETE FROM {table}")
    with pytest.raises(PackRefused, match="version 1 is gone from MLflow, the record has it; restore mlruns"):
        look(staffed.desk())


def test_without_mlflow_status_says_what_the_record_says_and_makes_no_database(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    database = staffed.root / "mlruns" / "mlflow.db"
    database.unlink()
    (line,) = [line for line in status(staffed.desk()).lines if line.name == "sma_cross"]
    assert (line.stage, line.version, line.market, line.names) == ("paper", 1, "", ())
    assert not database.exists()


def test_a_promotion_without_mlflows_database_is_refused_and_moves_nothing(staffed, tmp_path):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    steps = staffed.desk().record.transitions()
    shutil.copytree(staffed.root, tmp_path / "restored", ignore=shutil.ignore_patterns("mlflow.db*"))
    restored = Project(tmp_path / "restored")  # where no connection of this process was open
    with pytest.raises(PackRefused, match="version 1 is gone from MLflow, the record has it; restore mlruns") as told:
        look(restored.desk())
    one_line(told.value)
    assert restored.desk().record.transitions() == steps


def test_evidence_that_is_gone_is_one_line(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    desk.state(*NAME)
    shutil.rmtree(staffed.run_folder(pack))
    with pytest.raises(
        NoData, match=r"the evidence of version 1 is gone .*restore mlruns/ from a backup, or make evid"
    ):
        look(desk)


# --- names


@pytest.mark.parametrize(
    ("kind", "name", "error", "why"),
    [
        ("strategy", "sma_crosss", StrategyRefused, "no strategy 'sma_crosss'. Did you mean 'sma_cross'?"),
        ("strategy", "mean_reversion", NoData, "no pack of evidence yet; make it: make evidence STRATEGY=mean_rever"),
        ("strategie", "sma_cross", StrategyRefused, "kind 'strategie'.* Did you mean 'strategy'?"),
        ("risk", "house", NoData, "house: no pack of kind risk yet; make it: workbench pack make --kind risk house"),
    ],
)
def test_names_that_are_not_there(project, kind, name, error, why):
    with pytest.raises(error, match=why) as told:
        project.desk().state(kind, name)
    assert isinstance(told.value, WorkbenchError)
    one_line(told.value)


def test_a_version_that_is_not_there_is_refused_with_those_that_are(staffed):
    staffed.candidate()
    staffed.candidate()
    with pytest.raises(InputRefused, match=r"sma_cross: no version 3; there is 1, 2 \(workbench status\)") as told:
        look(staffed.desk(), 3)
    one_line(told.value)


def test_every_attack_that_the_guide_names_has_its_test():
    text = (ROOT / "docs" / "promotion.md").read_text()
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/\S+\.py)\)", text)
    assert len(named) > 25
    for name, file in named:
        assert f"\ndef {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_no_approvers_at_all_is_one_line(project):
    project.candidate()
    (project.root / "params" / "approvers.yaml").unlink()
    with pytest.raises(ParamsRefused, match=r"params/approvers.yaml: no such file; git checkout"):
        look(project.desk())
