"""The commands of promotion as a person types them, in this process: what they print, and how they end."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest

from workbench.cli import main
from workbench.cli.evidence import _register
from workbench.registry.lifecycle.transition import Transition

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def run(project, monkeypatch, capsys):
    """Type a command in the project: its exit code, what it printed, and its one line of error."""
    monkeypatch.setenv("WORKBENCH_ROOT", str(project.root))
    monkeypatch.chdir(project.root)

    def typed(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["workbench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("error: ")]
        assert len(lines) == (ended.value.code != 0), err
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, "".join(lines)

    return typed


@pytest.fixture
def ready(project, walk_forward_of):
    """Two people on the list, and a candidate of today with the result of a walk-forward."""
    project.person("alice")
    project.person("bob")
    project.result = walk_forward_of()
    candidate(project)
    return project


def candidate(project, **facts):
    now = datetime.now(UTC)
    return project.candidate(made_at=now - timedelta(hours=1), expires_at=now + timedelta(days=150), **facts)


def test_a_promotion_as_two_people_type_it(ready, run):
    code, out, error = run("promote", "sma_cross")
    assert code == 4
    assert "sma_cross version 1 · backtest → paper · sample market" in out
    assert "deflated_sharpe" in out
    assert "≥ 0.95 with all trials" in out
    assert "workbench approve sma_cross --version 1 --as alice" in out
    assert "workbench approve sma_cross --version 1 --as bob" in out
    assert error == "error: sma_cross version 1 to paper: waits for 1 approval more of 1; nothing was moved"

    code, out, _ = run("approve", "sma_cross", "--version", "1", "--as", "alice")
    assert code == 0
    assert "alice approved sma_cross version 1 to paper" in out
    assert "Next: make promote STRATEGY=sma_cross" in out

    code, out, error = run("promote", "sma_cross")
    assert code == 4
    assert "nobody is here to answer; nothing was moved; say --yes" in error

    code, out, _ = run("promote", "sma_cross", "--yes")
    assert code == 0
    assert "Approved by alice." in out
    assert "promoted version 1 to paper" in out

    code, out, _ = run("status")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.strip().startswith("sma_cross")]
    assert [word for word in line.split() if word in ("paper", "1", "active", "sample", "97.0", "alice")] == [
        "paper", "1", "active", "sample", "97.0", "alice",
    ]  # fmt: skip
    assert "0 d, until" in line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_a_signature_is_asked_for_and_without_one_it_is_made_at_once(ready, run, monkeypatch):
    run("promote", "sma_cross")
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    code, out, error = run("approve", "sma_cross", "--as", "alice")
    assert (code, error) == (4, "error: nothing was signed")
    assert "Sign sma_cross version 1 to paper as alice?" in out
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert "alice approved sma_cross" in run("approve", "sma_cross", "--as", "alice", "--yes")[1]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "bob approved sma_cross" in run("approve", "sma_cross", "--as", "bob")[1]


def test_a_dry_run_writes_nothing(ready, run):
    code, out, error = run("promote", "sma_cross", "--dry-run")
    assert code == 4
    assert "waits for 1 approval" in error
    assert "workbench approve" not in out
    folder = next(ready.root.glob("mlruns/artifacts/backtest/*/artifacts/promotion"))
    assert [path.name for path in folder.iterdir()] == ["pack"]


def test_the_challenger_is_shown_beside_the_champion(ready, run, walk_forward_of):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    ready.result = walk_forward_of(seed=12)
    candidate(ready)
    code, out, error = run("promote", "sma_cross", "--dry-run")
    assert code == 4
    assert "champion: version 1" in out
    assert "challenger: version 2" in out
    for what in ("positions", "turnover a year", "exposure", "costs a year", "correlation of returns"):
        assert what in out
    assert "expected drawdown" in out
    assert "the last 60 common sessions, 2023-10-05 to 2023-12-29" in out
    assert out.count("█") >= 1
    assert "waits for" in error


def test_a_refusal_says_what_to_do_and_force_does_not_exist_beyond_paper(project, run):
    project.person("alice")
    candidate(project, spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.5))
    code, out, error = run("promote", "sma_cross")
    assert code == 4
    assert "✗ fail" in out
    assert "do: more years of data or a better idea" in out
    assert error.startswith("error: sma_cross version 1 to paper: refused by deflated_sharpe (asked ≥ 0.95")
    code, out, error = run("promote", "sma_cross", "--force", "to measure its fills")
    assert "FORCED: to measure its fills" in out
    assert "waits for 1 approval" in error
    run("approve", "sma_cross", "--as", "alice")
    code, out, _ = run("promote", "sma_cross", "--force", "to measure its fills", "--yes")
    assert code == 0
    assert "by force" in out
    code, _, error = run("promote", "sma_cross", "--force", "to measure its fills", "--yes")
    assert code == 4
    assert "--force: does not exist for staged_live" in error
    _, out, _ = run("status")
    assert "paper (forced)" in out
    assert "! sma_cross version 1: FORCED into paper: to measure its fills" in out


def test_a_step_that_was_cut_off_is_finished_first_and_said(ready, run, monkeypatch):
    from workbench.registry.lifecycle.models import Models

    with monkeypatch.context() as cut:
        cut.setattr(Models, "show", lambda *_: (_ for _ in ()).throw(OSError("the plug was pulled")))
        with pytest.raises(OSError, match="plug"):
            ready.promote(signers=("alice",), now=datetime.now(UTC))
    code, out, _ = run("promote", "sma_cross")
    assert "finished what was cut off: sma_cross: " in out
    code, out, _ = run("promote", "sma_cross", "--dry-run")
    assert "cut off" not in out
    assert code == 4


def test_verify_says_what_is_there_and_who_signed(ready, run):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    folder = next(ready.root.glob("mlruns/artifacts/backtest/*/artifacts/promotion"))
    code, out, _ = run("verify", str(folder))
    assert code == 0
    assert "sma_cross version 1 to paper: approved by alice of 1 asked" in out
    assert "files present and matching; signed" in out
    file = folder / "pack" / "parts" / "data.json"
    file.write_bytes(file.read_bytes() + b" ")
    code, out, error = run("verify", str(folder), "--quiet")
    assert code == 1
    assert "void: pack/parts/data.json has" in error
    assert "statistics.json" not in out


def test_retire_demote_and_rollback_ask_and_say_what_becomes_of_positions(ready, run):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    code, _, error = run("rollback", "sma_cross")
    assert (code, "nothing to return to at production" in error) == (4, True)
    code, out, _ = run("demote", "sma_cross", "--reason", "its fills are odd since Monday")
    assert code == 0
    assert "set version 1 at paper to reduce-only" in out
    code, out, _ = run("demote", "--check")
    assert code == 0
    assert "✓ goes on" in out
    code, _, error = run("retire", "sma_cross", "--reason", "short", "--yes")
    assert code == 2
    assert "at least 10 letters" in error
    code, _, error = run("retire", "sma_cross", "--reason", "the edge is gone", "--positions", "sell", "--yes")
    assert code == 2
    assert "--positions 'sell': unknown" in error
    code, out, _ = run("retire", "sma_cross", "--reason", "the edge is gone", "--positions", "flatten", "--yes")
    assert code == 0
    assert "open positions are closed at the next session" in out
    _, out, _ = run("status")
    assert "retired" in out


def test_a_printed_line_names_the_kind_and_the_version_that_it_means(ready, run):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    candidate(ready)  # version 2, which a line without a version would take
    _, out, _ = run("demote", "sma_cross", "--reason", "its fills are odd since Monday")
    assert out.splitlines()[-1] == '  make promote STRATEGY=sma_cross ARGS="--version 1"'
    candidate(ready, name="house", kind="risk")
    of = ("house", "--version", "1", "--kind", "risk")
    words = " ".join(of)
    _, out, _ = run("promote", *of)
    assert f"  workbench approve {words} --as alice" in out
    assert run("approve", *of, "--as", "alice")[1].splitlines()[-1] == f"Next: workbench promote {words}"
    assert run("promote", *of, "--yes")[0] == 0
    _, _, error = run("rollback", "house", "--kind", "risk", "--stage", "paper")
    assert f"to stop it: workbench demote {words} --reason …, or workbench retire {words} --reason …" in error
    _, out, _ = run("demote", *of, "--reason", "they were too wide in January")
    assert out.splitlines()[-1] == f"  workbench promote {words}"


def test_demote_and_retire_name_the_versions_where_two_stand(ready, run):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    candidate(ready)
    assert (
        run("demote", "sma_cross", "--reason", "it loses money on paper")[0] == 0
    )  # the one that stands, not the newest
    assert ready.desk().record.current("strategy", "sma_cross", "paper").mode == "reduce_only"
    state = put_beside(ready)
    for command in ("demote", "retire"):
        code, _, error = run(command, "sma_cross", "--reason", "it loses money in production")
        assert code == 2
        assert error == (
            f"error: {command}: 2 versions of sma_cross stand; name one; "
            f"staged_live: workbench {command} sma_cross --version 1 --reason …; "
            f"paper: workbench {command} sma_cross --version 2 --reason …"
        )
    assert ready.desk().record.state("strategy", "sma_cross") == state
    assert run("retire", "sma_cross", "--version", "1", "--reason", "it loses money there", "--yes")[0] == 0
    assert set(ready.desk().record.state("strategy", "sma_cross").standing) == {"paper"}


def put_beside(ready):
    """Record version 1 in staged live and version 2 on paper, as promotions would."""
    desk = ready.desk(now=datetime.now(UTC))
    state = desk.state("strategy", "sma_cross")
    for version, action, before, stage in (
        (1, "restore", "paper", "paper"), (1, "promote", "paper", "staged_live"), (2, "promote", "backtest", "paper"),
    ):  # fmt: skip
        step = Transition(
            kind="strategy", name="sma_cross", version=version, action=action, from_stage=before, to_stage=stage,
            pack=state.versions[version].pack, who="quinn", at=desk.now, proposal="p" * 64,
        )  # fmt: skip
        desk.record.append(step, after=state)
        state = desk.record.state("strategy", "sma_cross")
    desk.record.mark_shown(desk.record.unshown(), desk.now)
    return state


def test_the_rules_go_on_where_one_cannot_be_judged_and_end_with_an_error(ready, run):
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    (ready.root / "mlruns" / "mlflow.db").rename(ready.root / "mlruns" / "away.db")
    code, out, error = run("demote", "--check")
    assert code == 1
    assert "? not judged" in out
    assert error == (
        "error: demote --check: sma_cross version 1 at paper: not judged: MLflow: mlruns/mlflow.db is gone; and no "
        "verified copy is kept here"
    )
    assert ready.desk().record.current("strategy", "sma_cross", "paper").mode == "active"


def test_the_rules_end_with_4_where_they_demote(ready, run):
    pack = ready.desk().candidate(ready.desk(now=datetime.now(UTC)).state("strategy", "sma_cross"), 1).pack
    ready.promote(signers=("alice",), now=datetime.now(UTC))
    file = ready.paths.state / "records/strategy/sma_cross/1/paper.json"
    file.parent.mkdir(parents=True)
    file.write_text("half a rec")
    code, out, error = run("demote", "--check")
    assert code == 4
    assert "✗ reduce-only" in out
    assert "its record cannot be read" in out
    assert error.startswith("error: 1 set to reduce-only")
    code, out, _ = run("demote", "--check", "sma_cross")
    assert code == 0
    assert "✗ reduce-only already" in out
    assert pack.name == "sma_cross"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("promote", "sma_crosss"), 2, "no strategy 'sma_crosss'. Did you mean 'sma_cross'?"),
        (("promote", "mean_reversion"), 1, "no pack of evidence yet; make it: make evidence STRATEGY=mean_reversion"),
        (("promote", "sma_cross", "--kind", "stock"), 2, "kind 'stock': there is none of that name"),
        (("approve", "sma_cross", "--as", "bob"), 1, "no pack of evidence yet"),
        (("rollback", "sma_cross"), 1, "no pack of evidence yet"),
        (("demote",), 2, "demote: name a strategy and a --reason"),
        (("verify", "nowhere"), 1, "nowhere: no such folder"),
        (("keys", "new", "Alice!"), 2, "key name 'Alice!'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_words_are_one_line(project, run, words, code, why):
    ended, _, error = run(*words)
    assert ended == code
    assert why in error


def test_a_version_that_is_not_there(ready, run):
    code, _, error = run("promote", "sma_cross", "--version", "9")
    assert code == 2
    assert "sma_cross: no version 9; there is 1" in error


def test_keys_are_made_and_listed(project, run):
    code, out, _ = run("keys", "list")
    assert (code, "no keys in" in out) == (0, True)
    code, out, _ = run("keys", "new", "carol")
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.strip().startswith("carol:")]
    (project.root / "params" / "approvers.yaml").write_text(f"approvers:\n{line}\n")
    code, out, _ = run("keys", "list")
    assert "paper, staged_live, production" in out
    code, _, error = run("keys", "new", "carol")
    assert code == 2
    assert "has a key already" in error


def test_nobody_to_sign_is_told(project, run):
    candidate(project)
    code, out, _ = run("promote", "sma_cross")
    assert code == 4
    assert "Nobody else in params/approvers.yaml may approve paper: workbench keys new NAME" in out


def test_a_name_that_is_no_name_is_one_line_of_ours(ready, run):
    for kind in ("strategy", "risk"):
        code, _, error = run("promote", "a' OR 1=1", "--kind", kind)
        assert code == 1 + (kind == "strategy")
        assert "Invalid clause" not in error
        assert "a' OR 1=1" in error
    code, _, error = run("promote", "../x")
    assert (code, error.startswith("error: no strategy '../x'.")) == (2, True)


def test_evidence_of_a_retired_version_says_what_makes_a_new_one(ready, run, capsys):
    pack = ready.desk().candidate(ready.desk(now=datetime.now(UTC)).state("strategy", "sma_cross"), 1).pack
    assert _register("strategy", "sma_cross", pack.digest, ready.settings, ready.paths) == 1
    assert capsys.readouterr().out == ""
    assert run("retire", "sma_cross", "--reason", "not wanted for now", "--yes")[0] == 0
    assert _register("strategy", "sma_cross", pack.digest, ready.settings, ready.paths) == 1
    says = "workbench evidence sma_cross --fresh"
    told = capsys.readouterr().out
    assert told == f"! version 1 of this evidence is retired: not wanted for now; a new one: {says}\n"
    code, _, error = run("promote", "sma_cross")
    assert (code, error) == (2, f"error: sma_cross: all 1 versions are retired; make new evidence: {says}")
    candidate(ready)  # what a walk-forward run anew gets
    assert run("promote", "sma_cross")[2].endswith(
        "version 2 to paper: waits for 1 approval more of 1; nothing was moved"
    )
