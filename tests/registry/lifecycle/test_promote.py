"""From a pack to production, step by step, with a real MLflow: what moves, what is refused, what is shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from workbench.errors import InputRefused, PromotionRefused
from workbench.registry.lifecycle.evaluation import choose, evaluate, next_step, proposed, store_proposal
from workbench.registry.lifecycle.promote import approve, commit, may_sign, propose, rule

# MLflow has not followed SQLAlchemy 2.1 yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def look(desk, version: int = 1, name: str = "sma_cross", kind: str = "strategy"):
    return evaluate(desk, desk.state(kind, name), version)


def test_a_first_promotion_step_by_step(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    found = look(desk)
    assert [v.line for v in found.verdicts if v.outcome != "pass"] == []
    ruling = rule(found)
    assert ruling.refusal == "sma_cross version 1 to paper: waits for 1 approval more of 1; nothing was moved"
    assert [one.name for one in may_sign(desk, found)] == ["alice", "bob"]
    with pytest.raises(PromotionRefused, match="waits for 1 approval more of 1"):
        commit(desk, ruling)
    propose(desk, ruling)
    approve(desk, look(desk), "alice", "", "")
    done = commit(desk, rule(look(desk)))
    assert (done.version, done.to_stage, done.pack, done.who) == (1, "paper", pack.digest, "quinn")

    model = desk.models.find("strategy", "sma_cross")
    assert model.aliases == {"paper": 1}
    tags = model.versions[1].tags
    assert (tags["stage"], tags["market"], tags["pack"]) == ("paper", "sample", pack.digest)
    assert (tags["deflated_sharpe"], tags["trials"], tags["approvals"]) == ("0.970", "24", "alice")
    assert tags["transition"] == done.head
    text = desk.models.connection.client().get_model_version("sma_cross", "1").description
    assert "| deflated_sharpe | ≥ 0.95 with all trials | 0.97 with 24 trials (6 bets) | ✓ pass |" in text
    assert "Stands at **paper**. Approved by: alice." in text
    assert "SAMPLE MARKET" in text
    assert desk.record.unshown() == []


def test_the_whole_way_to_production(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    staffed.promote(signers=("alice", "bob"))
    staffed.track(pack, 1, "staged_live")
    done = staffed.promote(signers=("bob", "alice"))
    assert done.to_stage == "production"
    desk = staffed.desk()
    assert desk.models.find("strategy", "sma_cross").aliases == {"production": 1}
    standing = desk.record.current("strategy", "sma_cross", "production")
    assert (standing.version, standing.pack, standing.mode) == (1, pack.digest, "active")
    with pytest.raises(PromotionRefused, match="version 1: stands in production since 2026-03-02; no stage is next"):
        next_step(desk.state("strategy", "sma_cross"), 1)


def test_paper_without_a_record_leads_nowhere(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.commit_approvers()
    ruling = rule(look(staffed.desk()))
    assert "refused by live_days" in ruling.refusal
    assert "no paper record yet" in ruling.refusal


def test_a_failed_gate_is_named_with_its_numbers_and_nothing_is_stored(staffed):
    pack = staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.81))
    desk = staffed.desk()
    ruling = rule(look(desk))
    assert ruling.refusal.startswith(
        "sma_cross version 1 to paper: refused by deflated_sharpe (asked ≥ 0.95 with all trials, "
        "measured 0.81 with 24 trials (6 bets)"
    )
    with pytest.raises(PromotionRefused, match="refused by deflated_sharpe"):
        commit(desk, ruling)
    assert desk.record.state("strategy", "sma_cross").versions[1].stage == "backtest"
    assert not (staffed.run_folder(pack) / "proposals").exists()


def test_force_leads_to_paper_with_a_reason_and_is_seen_for_ever(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.81))
    done = staffed.promote(signers=("alice",), force="to measure its fills, not to trade it")
    assert (done.forced, done.reason) == (True, "to measure its fills, not to trade it")
    desk = staffed.desk()
    tags = desk.models.find("strategy", "sma_cross").versions[1].tags
    assert tags["forced"] == "to measure its fills, not to trade it"
    assert desk.record.current("strategy", "sma_cross", "paper").forced
    text = desk.models.connection.client().get_model_version("sma_cross", "1").description
    assert "Forced into paper: to measure its fills" in text


def test_force_does_not_exist_beyond_paper_and_what_was_forced_goes_no_further(staffed):
    pack = staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.81))
    staffed.promote(signers=("alice",), force="to measure its fills")
    staffed.track(pack, 1, "paper")
    found = look(staffed.desk())
    with pytest.raises(PromotionRefused, match="--force: does not exist for staged_live"):
        rule(found, "because I say so, and often")
    assert "it was forced into paper (to measure its fills), and only what passed may go on" in rule(found).refusal


@pytest.mark.parametrize(("reason", "why"), [("hm", "at least 10 letters"), ("   ", "at least 10 letters")])
def test_force_needs_a_reason(staffed, reason, why):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.81))
    with pytest.raises(InputRefused, match=why):
        rule(look(staffed.desk()), reason)


def test_force_where_nothing_failed_is_refused(staffed):
    staffed.candidate()
    with pytest.raises(InputRefused, match="every gate of sma_cross version 1 to paper passes; leave it out"):
        rule(look(staffed.desk()), "just to be very sure")


def test_force_does_not_replace_a_signature(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.81))
    ruling = rule(look(staffed.desk()), "to measure its fills")
    assert "waits for 1 approval more of 1" in ruling.refusal


def test_a_list_of_approvers_that_is_not_committed_opens_no_step_to_money(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    assert not any("approvers" in void for void in look(staffed.desk()).voids)
    file = staffed.root / "params" / "approvers.yaml"
    committed = file.read_bytes()
    file.write_bytes(committed.replace(b"alice", b"eve"))
    found = look(staffed.desk())
    why = "params/approvers.yaml is not as committed; commit it, so that others read who may sign for money"
    assert found.step.to_stage == "staged_live"
    assert f"{why}; then run again" in found.voids
    file.write_bytes(committed)
    (staffed.root / ".git" / "HEAD").unlink()
    assert "git does not say which list was committed" in look(staffed.desk()).voids[0]


def test_a_review_needs_a_second_person_and_their_reason(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(pbo_all=0.4))
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    approve(desk, look(desk), "alice", "I know this market", "")
    assert "waits for 1 approval more of 2" in rule(look(desk)).refusal
    for nothing in (" ", ".", "ok", "- . - . - . - ."):
        with pytest.raises(
            PromotionRefused, match="overfitting asks the second approver for a written reason of at least"
        ):
            approve(desk, look(desk), "bob", nothing, "")
    later = staffed.desk(now=desk.now + timedelta(minutes=1))
    approve(later, look(later), "bob", "two of the five halves are one crisis", "")
    assert commit(later, rule(look(later))).to_stage == "paper"


def test_who_signs_second_is_the_second_also_by_a_clock_that_is_behind(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(pbo_all=0.4))
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    ahead, behind = (staffed.desk(now=desk.now + timedelta(minutes=minutes)) for minutes in (4, 2))
    approve(ahead, look(ahead), "alice", "", "")
    approve(behind, look(behind), "bob", "two of the five halves are one crisis", "")
    assert look(behind).signed.names == ("alice", "bob")
    later = staffed.desk(now=desk.now + timedelta(minutes=6))
    assert commit(later, rule(look(later))).to_stage == "paper"


def test_a_reviews_reason_must_be_the_seconds(staffed):
    """Signed by hand without going through approve: the reason of the first alone does not count."""
    from workbench.registry.packs.keys import load_key
    from workbench.registry.packs.proposal import sign

    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(pbo_all=0.4))
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    found = look(desk)
    for minute, (name, reason) in enumerate((("alice", "I know this market"), ("bob", "."))):
        made = sign(found.proposal, load_key(name, desk.paths), name, reason, desk.now + timedelta(minutes=minute))
        desk.models.keep(found.state, 1, f"approvals/{found.proposal.digest}/{name}.json", made.bytes())
    ruling = rule(look(desk))
    assert "waits for the second approver's written reason for overfitting" in ruling.refusal


def test_a_proposal_stands_until_it_expires_and_then_signatures_are_void(staffed):
    staffed.candidate()
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    approve(desk, look(desk), "alice", "", "")
    assert rule(look(staffed.desk(now=desk.now + timedelta(days=6)))).refusal == ""
    late = look(staffed.desk(now=desk.now + timedelta(days=8)))
    assert late.outdated == "it expired on 2026-03-09 15:00 UTC"
    assert "waits for 1 approval more of 1" in rule(late).refusal


def test_a_verdict_that_changed_since_makes_a_new_proposal(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    approve(desk, look(desk), "alice", "", "")
    approve(desk, look(desk), "bob", "", "")
    assert rule(look(desk)).refusal == ""
    staffed.track(pack, 1, "paper", slippage_bps=9.0)
    ruling = rule(look(desk))
    assert "refused by slippage" in ruling.refusal
    assert ruling.found.outdated == "another verdict of slippage"


def test_more_days_on_paper_do_not_void_a_signature(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    desk = staffed.desk()
    propose(desk, rule(look(desk)))
    approve(desk, look(desk), "alice", "", "")
    staffed.track(pack, 1, "paper", fills=44)
    assert look(desk).signed.names == ("alice",)


def test_a_new_candidate_is_a_new_version_and_replaces_the_one_on_paper(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    second = staffed.candidate(spoil=lambda parts: parts["statistics.json"]["out_of_sample"].update(sharpe=1.9))
    done = staffed.promote(signers=("bob",))
    assert (done.version, done.replaces, done.pack) == (2, 1, second.digest)
    desk = staffed.desk()
    model = desk.models.find("strategy", "sma_cross")
    assert model.aliases == {"paper": 2}
    assert model.versions[1].tags["stage"] == "retired"
    assert choose(desk.state("strategy", "sma_cross"), None) == 2
    with pytest.raises(PromotionRefused, match=r"version 1: is retired \(replaced by version 2\)"):
        next_step(desk.state("strategy", "sma_cross"), 1)


def proven_strategies(staffed) -> None:
    """Promote the three strategies that the weights share the money out to, with the Sharpe ratios written there."""
    for name, sharpe in (("sma_cross", 0.7), ("xs_momentum", 0.9), ("mean_reversion", 0.31)):

        def shown(parts, sharpe=sharpe):
            parts["statistics.json"]["out_of_sample"]["sharpe"] = sharpe
            parts["statistics.json"]["in_sample"]["sharpe"] = sharpe

        staffed.candidate(name, spoil=shown)
        staffed.promote(name, signers=("alice",))


@pytest.mark.parametrize(
    ("standing", "sharpe", "says"),
    [
        (False, 0.9, "the weights give 'sma_cross' money, which does not stand at paper"),
        (True, 5.0, "the weights say that xs_momentum has a Sharpe ratio of 5, its evidence at paper says 0.90"),
    ],
)
def test_weights_share_money_only_with_what_stands_and_by_what_it_has_shown(staffed, standing, sharpe, says):
    if standing:
        proven_strategies(staffed)

    def claims(parts):
        parts["payload/weights.json"]["strategies"]["xs_momentum"]["sharpe"] = sharpe

    staffed.candidate("house", "weights", spoil=claims)
    desk = staffed.desk()
    voids = evaluate(desk, desk.state("weights", "house"), 1).voids
    assert any(one.startswith(says) for one in voids), voids
    assert len(voids) == (1 if standing else 3)


def test_what_weights_better_is_measured_over_those_of_now_and_signals_are_no_more_than_trades(staffed):
    proven_strategies(staffed)

    def voids(version: int) -> tuple[str, ...]:
        desk = staffed.desk()
        return evaluate(desk, desk.state("weights", "house"), version).voids

    def claims(better: float, signals: int = 34):
        def spoil(parts):
            parts["payload/weights.json"]["expected_improvement"] = better
            parts["payload/weights.json"]["strategies"]["sma_cross"]["signals"] = signals

        return spoil

    staffed.candidate("house", "weights", spoil=claims(9.0))
    (why,) = voids(1)
    assert why.startswith("the weights say that they better the Sharpe ratio by 9; by the strategies' returns out of")
    assert "it is +0.08 over equal ones; write that, then: workbench pack make house --kind weights" in why
    staffed.candidate("house", "weights", spoil=claims(0.08, signals=999))
    (why,) = voids(2)
    assert why.startswith("the weights say that sma_cross gave 999 signals, its evidence at paper has 140 trades")
    staffed.candidate("house", "weights", spoil=claims(0.08))
    assert voids(3) == ()
    staffed.promote("house", "weights", version=3, signers=("alice",))
    (why,) = voids(1)  # the same shares as stand now
    assert "it is +0.00 over the weights of now" in why


@pytest.mark.parametrize("kind", ["weights", "risk"])
def test_weights_and_limits_are_promoted_the_same_way(staffed, kind):
    if kind == "weights":
        proven_strategies(staffed)
    staffed.candidate("house", kind)
    done = staffed.promote("house", kind, signers=("alice",))
    assert (done.kind, done.to_stage) == (kind, "paper")
    model = staffed.desk().models.find(kind, "house")
    assert (model.name, model.aliases) == (f"{kind}.house", {"paper": 1})
    assert (model.versions[1].tags["kind"], model.versions[1].tags["deflated_sharpe"]) == (kind, "unknown")


def test_nothing_in_the_store_describes_how_to_run_a_model(staffed):
    staffed.candidate()
    staffed.promote(signers=("alice",))
    files = {file.name for file in (staffed.root / "mlruns").rglob("*") if file.is_file()}
    assert not {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"} & files
    assert not any(name.endswith((".pkl", ".pickle", ".joblib")) for name in files)


def test_looking_writes_no_step(staffed):
    pack = staffed.candidate()
    desk = staffed.desk()
    look(desk)
    look(desk)
    assert [one.action for one in desk.record.transitions()] == ["register"]
    assert sorted(path.name for path in staffed.run_folder(pack).iterdir()) == ["pack"]


def test_a_registration_shows_the_verdicts_of_the_pack(staffed):
    row = {
        "gate": "folds",
        "asked": "more | than half",
        "measured": "4 of 5",
        "outcome": "pass",
        "why": "",
        "remedy": "",
    }
    staffed.candidate(spoil=lambda parts: parts["gates.json"].update(verdicts=[row]))
    desk = staffed.desk()
    desk.state("strategy", "sma_cross")
    text = desk.models.connection.client().get_model_version("sma_cross", "1").description
    assert "| folds | more \\| than half | 4 of 5 | ✓ pass |" in text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("list", "waits for 1 approval more of 1; nothing was moved"),
        ("gates", "params/gates.yaml is not the one that the pack was made under"),
    ],
)
def test_what_changes_between_the_question_and_the_answer_is_judged_again(staffed, change, why):
    staffed.candidate()
    desk = staffed.desk()
    propose(desk, rule(evaluate(desk, desk.state("strategy", "sma_cross"), 1)))
    approve(desk, evaluate(desk, desk.state("strategy", "sma_cross"), 1), "alice", "", "")
    ruling = rule(evaluate(desk, desk.state("strategy", "sma_cross"), 1))
    assert ruling.refusal == ""
    if change == "list":
        del staffed.people["alice"]
        staffed.write_approvers()
    else:
        file = staffed.root / "params" / "gates.yaml"
        file.write_text(file.read_text().replace("min: 0.95", "min: 0.96"))
    with pytest.raises(PromotionRefused, match=why):
        commit(desk, ruling)
    assert desk.record.current("strategy", "sma_cross", "paper") is None


def test_another_person_signs_on_a_machine_with_another_ledger_and_no_track_record(staffed):
    pack = staffed.candidate()
    staffed.promote(signers=("alice",))
    staffed.track(pack, 1, "paper")
    desk = staffed.desk()
    state = desk.state("strategy", "sma_cross")
    propose(desk, rule(evaluate(desk, state, 1)))
    trials, records = staffed.paths.trials, staffed.paths.state / "records"
    for place in (trials, records):  # MLflow and the record of promotions are shared, these belong to one machine
        place.rename(place.with_name(f"{place.name}.theirs"))
    staffed.try_cells(5, seed=77)
    his = staffed.desk(who="bob")
    assert evaluate(his, state, 1).stored is False
    for name in ("alice", "bob"):
        found = proposed(his, state, 1)
        assert (found.stored, found.failed, found.outdated) == (True, [], "")
        approve(his, found, name, "", "")
    with pytest.raises(PromotionRefused, match="refused by"):  # and promotes nothing there
        commit(his, rule(evaluate(his, state, 1)))
    trials.unlink()
    for place in (trials, records):
        place.with_name(f"{place.name}.theirs").rename(place)
    assert commit(desk, rule(evaluate(desk, state, 1))).to_stage == "staged_live"


def test_a_proposal_that_says_of_the_pack_what_is_not_so_is_not_signed_anywhere(staffed):
    staffed.candidate(spoil=lambda parts: parts["statistics.json"]["overfitting"].update(dsr=0.5))
    desk = staffed.desk()
    state = desk.state("strategy", "sma_cross")
    found = evaluate(desk, state, 1)
    told = tuple({**row, "outcome": "pass"} for row in found.proposal.verdicts)
    store_proposal(desk, replace(found, proposal=replace(found.proposal, verdicts=told)))
    again = proposed(desk, state, 1)
    assert (again.stored, again.outdated) == (False, "another verdict of deflated_sharpe")
    with pytest.raises(PromotionRefused, match="the proposal no longer stands: another verdict of deflated_sharpe"):
        approve(desk, again, "alice", "", "")
