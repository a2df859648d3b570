"""A ledger that runs keep a head of is not begun anew in silence: it is restored, or a person says that it is lost."""

import contextlib
import json
import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.overfit import evidence
from workbench.backtest.trials import Ledger, Question, record, record_failure, record_walk_forward
from workbench.cli.research import trials
from workbench.errors import DataRefused, InputRefused
from workbench.params import Paths

QUESTION = Question("Does holding what rises pay?", "sample")
STEP = "restore the file from a backup; without one, say so, the loss stays on record: workbench trials --lost"


@pytest.fixture
def paths(tmp_path) -> Paths:
    return Paths(tmp_path)


@pytest.fixture
def ledger(paths) -> Ledger:
    return Ledger(paths.trials)


def sweep(paths: Paths, run: str, cells: int, question: Question = QUESTION) -> str:
    """Count cells of a run that keeps the head on disk, as a sweep does."""
    values = np.random.default_rng(cells).normal(0.0003, 0.01, (300, cells))
    returns = pd.DataFrame(values, index=pd.bdate_range("2020-01-01", periods=300))
    named = [{"fast": number, "run": run} for number in range(cells)]
    receipt = record(Ledger(paths.trials), question, "sma_cross", named, returns, source="sweep", run_id=run)
    folder = paths.runs / run
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"run_id": run, "head": receipt.head, "trials": receipt.trials, "asked": {"question": question.text}}
    (folder / "sweep.json").write_text(json.dumps(facts))
    return receipt.head


def tag(paths: Paths, run: str, **tags: str) -> None:
    """Keep tags of a run where MLflow keeps them."""
    paths.mlruns.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(paths.mlruns / "mlflow.db")) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS tags (key TEXT, value TEXT, run_uuid TEXT)")
        rows = [(name.replace("_", "."), value, run) for name, value in tags.items()]
        connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)


def test_a_ledger_that_is_gone_is_not_replaced_in_silence(paths, ledger):
    sweep(paths, "run-1", 8)
    paths.trials.unlink()
    for add in (
        lambda: sweep(paths, "run-2", 4),
        lambda: record_failure(ledger, QUESTION, "sma_cross", "KeyError: 'close'"),
    ):
        with pytest.raises(DataRefused, match="that run run-1 wrote is gone, the last of 0 is none") as refused:
            add()
        assert STEP in str(refused.value)
        assert str(refused.value).startswith("trials.db: batch ")
        assert "\n" not in str(refused.value)
    assert not paths.trials.exists()
    assert not (paths.runs / "run-2").exists()


def test_a_chain_that_lacks_its_end_is_not_gone_on_with(paths, ledger, tmp_path):
    sweep(paths, "run-1", 3)
    shutil.copy(paths.trials, tmp_path / "backup.db")
    sweep(paths, "run-2", 2)
    sweep(paths, "run-3", 2)
    shutil.copy(tmp_path / "backup.db", paths.trials)
    with pytest.raises(
        DataRefused, match=r"run-2 wrote is gone \(as are those of 1 more\), the last of 1 is [0-9a-f]{12};"
    ):
        sweep(paths, "run-4", 1)
    assert ledger.verify().batches == 1


def test_a_run_that_mlflow_keeps_is_missed_too(paths, ledger):
    head = sweep(paths, "run-1", 8)
    shutil.rmtree(paths.runs)
    tag(paths, "abc", trials_head=head, trials_count="8", question=QUESTION.text)
    sweep(paths, "run-2", 1)  # the chain has what both keep
    paths.trials.unlink()
    shutil.rmtree(paths.runs)
    with pytest.raises(DataRefused, match="that run abc wrote is gone"):
        sweep(paths, "run-3", 1)


def test_a_restored_backup_is_gone_on_with(paths, ledger, tmp_path):
    sweep(paths, "run-1", 8)
    shutil.move(paths.trials, tmp_path / "backup.db")
    with pytest.raises(DataRefused):
        sweep(paths, "run-2", 4)
    shutil.move(tmp_path / "backup.db", paths.trials)
    sweep(paths, "run-2", 4)
    assert ledger.count() == 12


def test_a_process_that_runs_on_misses_what_another_one_counted_before_a_backup_came_back(paths, ledger, tmp_path):
    sweep(paths, "run-1", 8)  # this process has seen the ledger whole
    shutil.copy2(paths.trials, tmp_path / "backup.db")
    with multiprocessing.get_context("spawn").Pool(1) as other:
        other.apply(sweep, (paths, "run-2", 5))
    for restore in (shutil.copy2, shutil.copy, shutil.move):  # with its old time, anew, in the file's place
        restore(tmp_path / "backup.db", paths.trials)
        with pytest.raises(DataRefused, match="run-2 wrote is gone"):
            sweep(paths, "run-3", 4)
    assert ledger.count() == 8


def test_only_what_another_wrote_has_the_heads_read_again(paths, monkeypatch):
    sweep(paths, "run-1", 8)
    read = []
    monkeypatch.setattr("workbench.backtest.trials.ledger.kept_on_disk", lambda file: read.append(file) or [])
    sweep(paths, "run-2", 2)
    assert read == []
    with contextlib.closing(sqlite3.connect(paths.trials)) as connection, connection:
        connection.execute("CREATE TABLE other (x)")
    sweep(paths, "run-3", 2)
    assert read == [paths.trials]


@pytest.mark.parametrize("linked", ["data", "data/state", "data/state/trials.db"])
def test_what_lies_behind_a_link_is_missed_as_well(tmp_path, monkeypatch, linked):
    root, there = tmp_path / "project", tmp_path / "other disk" / "there"
    link = root / linked
    link.parent.mkdir(parents=True)
    there.parent.mkdir()
    if not link.suffix:
        there.mkdir()
    link.symlink_to(there)
    paths = Paths(root)
    sweep(paths, "run-1", 8)
    paths.trials.resolve().unlink()
    with pytest.raises(DataRefused, match="that run run-1 wrote is gone"):
        sweep(paths, "run-2", 4)
    monkeypatch.chdir(root)
    with pytest.raises(DataRefused, match="that run run-1 wrote is gone"):
        record_failure(Ledger(Path("data/state/trials.db")), QUESTION, "mine", "KeyError")


def test_a_ledger_outside_of_a_project_begins_as_it_always_did(tmp_path):
    assert record_failure(Ledger(tmp_path / "trials.db"), QUESTION, "mine", "KeyError").trials == 1


def test_what_is_lost_for_good_is_said_by_a_person_and_stays_visible(paths, ledger):
    sweep(paths, "run-1", 8)
    sweep(paths, "run-2", 3)  # says 11 of the same question
    sweep(paths, "run-3", 5, Question("Does selling what rises pay?", "sample"))
    tag(paths, "abc", trials_head="0" * 64)  # a failed run says no number: one at least
    paths.trials.unlink()
    loss = ledger.give_up("the disk died,\n no backup")
    assert (loss.trials, loss.reason) == (17, "the disk died, no backup")
    assert loss.sentence.startswith("lost and not counted: at least 17 trials of 4 runs (20")
    sweep(paths, "run-4", 2)
    heads = {run: json.loads((paths.runs / run / "sweep.json").read_text())["head"] for run in ("run-1", "run-4")}
    chain = ledger.verify(heads)
    assert (chain.batches, chain.trials, ledger.count()) == (2, 2, 2)  # what is lost is told, not counted
    assert ledger.losses() == [loss]
    assert ledger.questions()["text"].tolist() == [QUESTION.text]
    with pytest.raises(InputRefused, match="nothing is lost, it has the head of each of the 5 runs that keep one"):
        ledger.give_up("again")


def test_another_run_that_keeps_a_lost_head_is_still_missed(paths, ledger):
    head = sweep(paths, "run-1", 2)
    paths.trials.unlink()
    ledger.give_up("no backup")
    with pytest.raises(DataRefused, match="that run of pack 12ab wrote is gone"):
        ledger.verify({"run-1": head, "of pack 12ab": head})


def test_a_restored_backup_gets_over_the_head_of_a_chain_that_was_thrown_away(paths, ledger, tmp_path):
    sweep(paths, "run-1", 8)
    shutil.move(paths.trials, tmp_path / "backup.db")
    ledger.give_up("thought to be lost")
    thrown = sweep(paths, "run-2", 4)
    shutil.copy(tmp_path / "backup.db", paths.trials)
    with pytest.raises(DataRefused, match="run-2 wrote is gone"):
        ledger.verify({"run-2": thrown})
    with pytest.raises(DataRefused, match="run-2 wrote is gone"):
        sweep(paths, "run-3", 1)
    loss = ledger.give_up("counted beside the backup, which was found again")
    assert (loss.trials, loss.heads) == (4, (("run-2", thrown),))
    sweep(paths, "run-3", 1)
    assert ledger.verify({"run-2": thrown}).trials == ledger.count() == 9


def test_what_the_chain_still_has_is_not_lost(paths, ledger, tmp_path):
    other = Question("Does selling what rises pay?", "sample")
    sweep(paths, "run-1", 6)
    sweep(paths, "run-2", 3)
    sweep(paths, "run-3", 2, other)
    shutil.copy(paths.trials, tmp_path / "backup.db")
    sweep(paths, "run-4", 4)  # knows of 13
    sweep(paths, "run-5", 7)  # knows of 20, of which the backup has 9
    sweep(paths, "run-6", 1, other)
    shutil.copy(tmp_path / "backup.db", paths.trials)
    loss = ledger.give_up("a backup of the evening before")
    assert (loss.trials, ledger.count()) == (11 + 1, 11)
    assert loss.sentence.startswith("lost and not counted: at least 12 trials of 3 runs (20")


def test_a_search_by_trials_lost_no_more_than_it_counted(paths, ledger):
    sweep(paths, "run-1", 8)
    file = paths.runs / "run-1" / "sweep.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "measurements": 21}))  # some in several stages
    paths.trials.unlink()
    assert ledger.give_up("no backup").trials == 8


def test_a_run_elsewhere_is_given_up_by_the_head_that_it_kept(paths, ledger):
    sweep(paths, "run-1", 2)
    loss = ledger.give_up("on the laptop", {"far": "f" * 64})
    assert (loss.trials, loss.heads) == (1, (("far", "f" * 64),))
    assert loss.sentence.startswith("lost and not counted: at least 1 trial of 1 run (20")
    ledger.verify({"far": "f" * 64})


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_loss_without_a_reason_is_refused(paths, ledger, reason):
    sweep(paths, "run-1", 2)
    paths.trials.unlink()
    with pytest.raises(InputRefused, match="no reason; say why the trials are gone"):
        ledger.give_up(reason)
    assert not paths.trials.exists()


def test_where_no_run_keeps_a_head_nothing_is_lost_and_nothing_is_made(ledger):
    with pytest.raises(InputRefused, match="nothing is lost"):
        ledger.give_up("just so")
    assert not ledger.file.exists()


def test_a_loss_cannot_be_taken_out_again(paths, ledger):
    head = sweep(paths, "run-1", 2)
    paths.trials.unlink()
    ledger.give_up("no backup")
    sweep(paths, "run-2", 2)
    with contextlib.closing(sqlite3.connect(paths.trials)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE batches SET evaluated = 0 WHERE source = 'lost'")
    with pytest.raises(DataRefused, match=r"batch 1 of .* it was changed"):
        ledger.verify({"run-1": head})


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")  # MLflow's schema
def test_the_command_takes_the_loss_down_and_shows_it_from_then_on(paths, ledger, monkeypatch, capsys):
    sweep(paths, "run-1", 8)
    paths.trials.unlink()
    shutil.copytree(Path(__file__).parents[2] / "params", paths.params)
    monkeypatch.setenv("WORKBENCH_ROOT", str(paths.root))
    with pytest.raises(DataRefused, match="run-1 wrote is gone"):
        trials()
    assert not paths.trials.exists()
    trials(lost="the disk died")
    sweep(paths, "run-2", 2)
    capsys.readouterr()
    trials()
    told = capsys.readouterr().out
    assert "whole: 2 trials in 2 batches" in told
    assert f"✗ {ledger.losses()[0].sentence}" in told
    with pytest.raises(InputRefused, match="nothing is lost"):
        trials(lost="again")


def test_the_evidence_says_what_was_lost(paths, ledger, walk_forward_made):
    sweep(paths, "run-1", 8)
    paths.trials.unlink()
    loss = ledger.give_up("the disk died")
    record_walk_forward(ledger, walk_forward_made)
    found = evidence(walk_forward_made, ledger)
    assert found.missing["trials"] == loss.sentence
    assert found.trials == 9
    assert found.dsr is not None
