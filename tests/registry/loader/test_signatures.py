"""Whose signature counts, and which verdicts no signature lifts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.registry.conftest import NOW
from workbench.registry.loader import AccountMode
from workbench.registry.packs.keys import load_key
from workbench.registry.packs.proposal import sign

# MLflow uses a loader strategy of SQLAlchemy that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def test_a_proposal_signed_by_an_unlisted_key_is_refused(runner):
    runner.project.person("mallory", listed=False)
    runner.stand(signers=("alice", "mallory"))
    said = runner.refusal()
    assert "lacks 1 approval more of 2 (signed by alice" in said
    assert "mallory: not in params/approvers.yaml" in said


def test_a_person_taken_off_the_list_no_longer_counts(runner):
    runner.stand()
    runner.load()
    del runner.project.people["bob"]
    runner.project.write_approvers()
    assert "bob: not in params/approvers.yaml" in runner.refusal()


@pytest.mark.parametrize(("stage", "asked", "signers"), [
    ("paper", 0, ()), ("staged_live", 1, ("alice",)), ("production", 0, ()), ("production", 1, ("alice",)),
])  # fmt: skip
def test_no_proposal_lowers_the_number_of_people_below_the_floor(runner, stage, asked, signers):
    runner.stand(stage, proposal={"approvals": asked}, signers=signers)
    account = AccountMode.PAPER if stage == "paper" else AccountMode.LIVE
    assert "approval" in runner.refusal(stage=stage, account=account)


def test_a_proposal_that_asks_for_more_than_the_floor_gets_more(runner):
    runner.stand(proposal={"approvals": 3})
    assert "lacks 1 approval more of 3" in runner.refusal()


def test_a_signature_made_after_the_step_does_not_count(runner):
    pack = runner.stand(signers=("alice",))
    desk = runner.project.desk()
    state, standing = desk.record.state("strategy", "sma_cross"), runner.standing()
    proposal = desk.candidate(state, 1).proposal(standing.proposal)
    late = sign(proposal, load_key("bob", runner.project.paths), "bob", "", NOW + timedelta(hours=3))
    desk.models.keep(state, 1, f"approvals/{proposal.digest}/bob.json", late.bytes())
    assert pack.digest == standing.pack
    assert "bob: signed at 2026-03-02T18:00:00Z, after the step" in runner.refusal()


def test_a_review_needs_the_second_approvers_written_reason(runner):
    review = {"gate": "overfitting", "asked": "< 0.3", "measured": "0.4", "outcome": "review", "why": "", "remedy": ""}
    runner.stand(proposal={"verdicts": (review,)})
    assert "lacks the second approver's written reason for overfitting" in runner.refusal()
    runner.stand(proposal={"verdicts": (review,)}, reason="the plateau is wide")
    assert runner.load().version == 2


FAILED = {"gate": "deflated_sharpe", "asked": "≥ 0.95", "measured": "0.81", "outcome": "fail", "why": "", "remedy": ""}


@pytest.mark.parametrize(
    ("verdicts", "why"),
    [((FAILED,), "deflated_sharpe: FAIL: asked ≥ 0.95, measured 0.81; a failed gate loads nothing"),
     ((), "holds no verdict"), (({**FAILED, "outcome": "passed"},), "is none of pass, warn, review, fail"),
     (({**FAILED, "more": "x"},), "is no verdict of a gate")],
)  # fmt: skip
def test_a_proposal_without_passed_gates_is_refused_whoever_signed_it(runner, verdicts, why):
    runner.stand(proposal={"verdicts": verdicts})
    assert why in runner.refusal()


def test_what_a_policy_did_not_ask_loads_nothing_whoever_signed_it(runner):
    runner.stand(unasked=("deflated_sharpe", "ledger"))
    assert "its policy did not ask deflated_sharpe, ledger; without that nothing is proven" in runner.refusal()
    runner.stand("staged_live", unasked=("live_days",))
    asked = {"stage": "staged_live", "account": AccountMode.LIVE}
    assert "version 2 at staged_live: its policy did not ask live_days" in runner.refusal(**asked)


def test_what_was_forced_is_let_into_paper_with_a_warning_and_nowhere_else(runner):
    runner.stand(proposal={"verdicts": (FAILED,)}, forced=True)
    assert "was forced against deflated_sharpe" in runner.load().warnings[0]
    runner.stand("staged_live", forced=True)
    assert "nothing forced goes beyond" in runner.refusal(stage="staged_live", account=AccountMode.LIVE)
