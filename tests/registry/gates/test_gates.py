"""Each gate at its numbers: what it says on both sides of a bound, and what it tells a person to do."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import groupby

import pytest
import yaml

from tests.registry.gates.conftest import curves
from workbench.registry.gates.case import LedgerFacts
from workbench.registry.gates.facts import Unknown
from workbench.registry.gates.gate import number, percent
from workbench.registry.gates.judge import judge
from workbench.registry.gates.track_record import EXPLAINED, Break
from workbench.registry.gates.verdict import Outcome, Verdict, worst
from workbench.risk_limits import Limits

S, CURVES = "statistics.json", "result/curves.parquet"


def answer(make, name, *spoiled, kind="strategy", to_stage="paper", **changes):
    parts = make.parts(kind)
    for part, path, value in spoiled:
        make.set(parts, part, path, value)
    return make.gate(name).judge(make.case(kind, to_stage, parts=parts, **changes))


def test_the_deflated_sharpe_ratio_names_its_trials_and_bets(make):
    verdict = answer(make, "deflated_sharpe", (S, "overfitting.dsr", 0.81))
    assert verdict.asked == "≥ 0.95 with all trials"
    assert verdict.measured == "0.81 with 1,240 trials (31 bets)"
    assert verdict.outcome is Outcome.FAIL
    assert answer(make, "deflated_sharpe", (S, "overfitting.dsr", 0.95)).outcome is Outcome.PASS
    reworded = answer(make, "deflated_sharpe", ("trials.json", "elsewhere", 40))
    assert reworded.measured.endswith("with 1,240 trials (31 bets), and 40 trials of it under other questions")
    assert reworded.outcome is Outcome.REVIEW
    assert "must write why it is another one" in reworded.why
    worse = answer(make, "deflated_sharpe", (S, "overfitting.dsr", 0.81), ("trials.json", "elsewhere", 40))
    assert worse.outcome is Outcome.FAIL


def test_a_number_is_shown_with_the_digits_that_tell_on_which_side_of_the_bound_it_lies(make):
    assert answer(make, "deflated_sharpe", (S, "overfitting.dsr", 0.94996)).measured.startswith("0.94996 ")
    assert number(0.9499, 0.95) == "0.9499"
    assert number(0.95, 0.95) == "0.95"
    assert number(1234.5) == "1,234.50"
    assert percent(0.1499, 0.15) == "14.99 %"


@pytest.mark.parametrize(
    ("probability", "outcome"),
    [
        (0.0, Outcome.PASS),
        (0.2999, Outcome.PASS),
        (0.3, Outcome.REVIEW),
        (0.4999, Outcome.REVIEW),
        (0.5, Outcome.FAIL),
        (1.0, Outcome.FAIL),
    ],
)
def test_overfitting_passes_asks_for_a_reason_and_fails_by_its_bounds(make, probability, outcome):
    assert answer(make, "overfitting", (S, "overfitting.pbo_all", probability)).outcome is outcome


def test_overfitting_is_judged_among_all_trials_and_names_both_numbers(make):
    verdict = answer(make, "overfitting")
    assert verdict.outcome is Outcome.PASS
    assert verdict.measured == "0.12 among all trials, 0.60 within the grid"


def test_trials_of_other_weeks_are_counted_beside_the_probability(make):
    verdict = answer(make, "overfitting", (S, "overfitting.pbo_all_left_out", 1200))
    assert verdict.measured == "0.12 among all trials but 1,200 of other weeks, 0.60 within the grid"


def test_overfitting_is_judged_within_the_grid_where_nothing_else_was_tried(make):
    verdict = answer(make, "overfitting", (S, "overfitting.pbo_all", None), (S, "overfitting.pbo", 0.31))
    assert verdict.outcome is Outcome.REVIEW
    assert verdict.measured == "unknown among all trials, 0.31 within the grid"
    assert verdict.remedy == 'workbench approve sma_cross --version 4 --as NAME --reason "…"'


@pytest.mark.parametrize(("trained", "traded", "passed"), [(2.0, 1.6, True), (2.0, 1.599, False), (0.5, 0.9, True)])
def test_four_fifths_of_the_sharpe_ratio_must_be_left_out_of_sample(make, trained, traded, passed):
    verdict = answer(make, "out_of_sample", (S, "in_sample.sharpe", trained), (S, "out_of_sample.sharpe", traded))
    assert (verdict.outcome is Outcome.PASS) is passed


def test_out_of_sample_says_what_share_was_left(make):
    verdict = answer(make, "out_of_sample", (S, "out_of_sample.sharpe", 1.0))
    assert verdict.measured == "0.50 ×: 1.00 out of sample, 2.00 in sample"


@pytest.mark.parametrize(
    ("scores", "passed"),
    [((1, 1, -1), True), ((1, 1, -1, -1), False), ((1, 1, 1, None, None), True), ((1, 1, None, None), False)],
)
def test_a_majority_of_folds_must_be_positive_and_one_that_did_not_trade_is_not(make, scores, passed):
    folds = [{"test_score": score} for score in scores]
    assert (answer(make, "folds", (S, "folds", folds)).outcome is Outcome.PASS) is passed


@pytest.mark.parametrize(("watched", "passed"), [(311, True), (310, False)])
def test_it_must_be_watched_for_its_minimum_track_record(make, watched, passed):
    parts = make.set({**make.parts(), CURVES: curves(watched)}, S, "overfitting.n", watched)
    verdict = make.gate("track_length").judge(make.case(parts=parts))
    assert (verdict.outcome is Outcome.PASS) is passed
    assert verdict.measured == f"{watched} returns of 311"


def test_returns_that_are_counted_and_are_not_in_the_pack_prove_no_length(make):
    with pytest.raises(Unknown, match=r"counts 1,250 returns, result/curves\.parquet of the pack holds 200"):
        make.gate("track_length").judge(make.case(parts={**make.parts(), CURVES: curves(200)}))
    for content in (b"", b"PAR1PAR1", curves(1250)[:-9]):
        with pytest.raises(Unknown, match=r"result/curves\.parquet cannot be read"):
            make.gate("track_length").judge(make.case(parts={**make.parts(), CURVES: content}))
    without = {path: content for path, content in make.parts().items() if path != CURVES}
    with pytest.raises(Unknown, match=r"the pack has no part result/curves\.parquet"):
        make.gate("track_length").judge(make.case(parts=without))


def test_what_overfitting_could_not_compute_is_passed_on_with_its_reason(make):
    reason = "sma_cross took no risk in 900 returns"
    missing = {"dsr": reason, "min_track_record": reason, "pbo_all": reason}
    spoiled = [(S, f"overfitting.{name}", None) for name in missing]
    for gate in ("deflated_sharpe", "track_length", "overfitting"):
        with pytest.raises(Exception, match=reason):
            answer(make, gate, *spoiled, (S, "overfitting.pbo", None), (S, "overfitting.missing", missing))


def test_costs_are_judged_at_the_multiple_that_is_asked(make):
    verdict = answer(make, "costs")
    assert verdict.measured == "1.10, 6.0 % a year at 2× costs"
    thrice = replace(make.gate("costs"), times=3).judge(make.case())
    assert thrice.outcome is Outcome.FAIL
    assert thrice.measured == "-0.20, -1.0 % a year at 3× costs"


@pytest.mark.parametrize(
    ("name", "path", "value", "measured"),
    [
        ("drawdown", "out_of_sample.max_drawdown", -0.1823, "18.2 %"),
        ("sharpe", "out_of_sample.sharpe", 1.5, "1.50"),
        ("profit_factor", "out_of_sample.profit_factor", 1.37, "1.37 in 140 round trips"),
    ],
)
def test_a_missed_target_warns_or_fails_by_the_profile(make, name, path, value, measured):
    verdict = answer(make, name, (S, path, value))
    assert (verdict.outcome, verdict.measured) == (Outcome.WARN, measured)
    parts = make.set(make.parts(), S, path, value)
    strict = replace(make.gate(name), miss=Outcome.FAIL).judge(make.case(parts=parts))
    assert strict.outcome is Outcome.FAIL


@pytest.mark.parametrize("free", [{"schedule": "none"}, {"schedule": "proportional", "proportional_bps": 0.0}])
def test_twice_no_costs_at_all_is_no_proof(make, free):
    paid = {"schedule": "ib_fixed", "spread_bps": 0.0, "proportional_bps": 5.0}
    assert answer(make, "costs", ("params.json", "costs", paid)).outcome is Outcome.PASS
    assert answer(make, "costs", ("params.json", "costs", {**paid, **free, "spread_bps": 1.0})).outcome is Outcome.PASS
    verdict = answer(make, "costs", ("params.json", "costs", {**paid, **free}))
    assert (verdict.outcome, verdict.measured) == (Outcome.FAIL, "simulated without costs")
    assert verdict.why == "2 times nothing is nothing: a trade must pay a commission or a spread"


def test_what_was_set_beside_the_files_is_named_and_needs_a_written_reason(make):
    beside = {"costs.spread_bps": "0.5 instead of 2.0", "data.start": "2015-01-01 instead of None"}
    verdict = answer(make, "clean_commit", ("params.json", "set", beside))
    assert (verdict.outcome, verdict.measured) == (Outcome.REVIEW, "commit aaaaaaaaaaaa with 2 settings of its own")
    assert verdict.why == (
        "no file says costs.spread_bps 0.5 instead of 2.0, data.start 2015-01-01 instead of None; "
        "the second approver must write why"
    )


def test_trials_that_were_given_up_as_lost_are_named_and_need_a_written_reason(make):
    said = "lost and not counted: at least 92 trials of 3 runs (2026-02-03: the disk died)"
    verdict = make.gate("ledger").judge(make.case(ledger=LedgerFacts(True, "", 1240, 1240, (said,))))
    assert (verdict.outcome, verdict.measured.endswith(f"1,240 trials then, 1,240 now; {said}")) == (
        Outcome.REVIEW,
        True,
    )
    assert verdict.why.startswith("nobody knows how much was tried; the second approver must write why")
    kept = answer(make, "ledger", (S, "overfitting.missing", {"trials": said}))
    assert (kept.outcome, kept.measured.endswith(said)) == (Outcome.REVIEW, True)  # another machine's ledger is whole
    gone = make.gate("ledger").judge(make.case(ledger=LedgerFacts(True, "", 1240, 1239, (said,))))
    assert gone.outcome is Outcome.FAIL


def test_a_dirty_tree_is_named_file_by_file(make):
    case = make.case()
    changed = ("src/a.py", "src/b.py", "src/c.py", "params/base.yaml")
    dirty = replace(case, pack=replace(case.pack, code=replace(case.code, changed=changed)))
    verdict = make.gate("clean_commit").judge(dirty)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.measured == "aaaaaaaaaaaa with 4 changed files"
    assert verdict.why == "not committed: src/a.py, src/b.py, src/c.py and 1 more"


@pytest.mark.parametrize(
    "files",
    [
        {"strategies/sma_cross.py": "1" * 64, "strategies/sizing.py": "3" * 64},
        {"strategies/sma_cross.py": "1" * 64},
        {"strategies/sma_cross.py": "1" * 64, "strategies/sizing.py": "2" * 64, "types.py": "4" * 64},
    ],
)
def test_an_edited_a_lost_and_a_new_file_void_the_evidence(make, files):
    case = make.case()
    verdict = make.gate("same_code").judge(replace(case, code=replace(case.code, files=files)))
    assert verdict.outcome is Outcome.FAIL
    assert "make evidence STRATEGY=sma_cross" in verdict.remedy


def test_another_commit_with_the_same_deciding_files_is_the_same_code(make):
    case = make.case()
    later = replace(case, code=replace(case.code, commit="b" * 40, package="0.5.0"))
    assert make.gate("same_code").judge(later).outcome is Outcome.PASS


def test_another_class_as_entry_point_is_other_code(make):
    case = make.case()
    other = replace(case, code=replace(case.code, entry_point="workbench.strategies.sma_cross:Other"))
    assert make.gate("same_code").judge(other).outcome is Outcome.FAIL


def test_trials_after_the_pack_void_the_first_step_only(make):
    case = make.case(ledger=LedgerFacts(True, "", 1240, 1252))
    later = make.gate("no_later_trials").judge(case)
    assert (later.outcome, later.measured) == (Outcome.FAIL, "12 trials after 1,240")
    assert make.gate("ledger").judge(case).outcome is Outcome.PASS
    names = {stage: {gate.name for gate in step.gates} for stage, step in make.policy.kinds["strategy"].items()}
    assert "no_later_trials" in names["paper"]
    assert "no_later_trials" not in names["staged_live"] | names["production"]


def test_a_ledger_without_the_head_says_why(make):
    verdict = make.gate("ledger").judge(make.case(ledger=LedgerFacts(False, "batch 9 was deleted", 1240, 1200)))
    assert verdict.measured == "head ffffffffffff not found"
    assert verdict.why == "batch 9 was deleted"


def test_a_pack_is_valid_until_its_day_and_not_before_it_was_made(make):
    gate, case = make.gate("pack_age"), make.case()
    assert gate.judge(replace(case, now=case.pack.expires_at - timedelta(seconds=1))).outcome is Outcome.PASS
    assert gate.judge(replace(case, now=case.pack.expires_at)).why == "the evidence has expired"
    back = gate.judge(replace(case, now=case.pack.made_at - timedelta(seconds=1)))
    assert back.outcome is Outcome.FAIL
    assert "check this machine's clock" in back.why


def test_a_pack_that_claims_to_be_valid_for_longer_than_the_policy_gives_fails(make):
    case = make.case()
    longer = replace(case.pack, expires_at=case.pack.made_at + timedelta(days=181))
    verdict = make.gate("pack_age").judge(replace(case, pack=longer))
    assert verdict.why == "it claims to be valid for 181 days"


def test_a_broken_rule_and_another_version_are_named_with_their_table(make):
    broken = ("validation.json", "prices_daily.broken", {"rows": 3, "rules": ["high_is_highest"]})
    assert answer(make, "validation", broken).why == "prices_daily: 3 rows broke high_is_highest"
    older = answer(make, "validation", ("validation.json", "prices_daily.version", 2))
    assert older.why == "prices_daily: version 2 was checked, version 3 was read"


def test_rows_in_quarantine_do_not_fail_a_suite(make):
    verdict = answer(make, "validation")
    assert verdict.outcome is Outcome.PASS
    assert verdict.measured == "2 tables, 4 rules, 10,000 rows"


def test_a_feature_that_reads_ahead_fails_the_strategy(make):
    found = [{"kind": "reads ahead", "text": "row 2020-01-03 reads 2020-01-06"}]
    verdict = answer(make, "lookahead", ("lookahead.json", "reports.1.findings", found))
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, "rsi: reads ahead")


def test_a_guard_that_looked_at_other_parameters_proves_nothing(make):
    with pytest.raises(Exception, match="no report of the strategy sma_cross as it would trade"):
        answer(make, "lookahead", ("params.json", "params", {"fast": 5, "slow": 150}))


def test_a_parameter_that_is_a_list_is_not_looked_for_in_the_report(make):
    chosen = ("params.json", "params", {"fast": 20, "slow": 150, "sectors": ["Technology"]})
    assert answer(make, "lookahead", chosen).outcome is Outcome.PASS


# -- the record of the stage that is left


def record(make, to_stage="staged_live", **changes):
    return make.case(to_stage=to_stage, of_record=changes)


def test_thirty_days_are_counted_from_the_first_session_to_the_last(make, make_record):
    sessions = make_record().sessions
    # 2026-01-06 to 2026-02-05 are 30 days, to 2026-02-04 are 29.
    for last, passed in ((date(2026, 2, 5), True), (date(2026, 2, 4), False)):
        held = tuple(session for session in sessions if session.date <= last)
        case = replace(record(make, sessions=held), now=make.case().now.replace(month=2, day=6))
        verdict = make.gate("live_days").judge(case)
        assert (verdict.outcome is Outcome.PASS) is passed, verdict.line
    assert verdict.why == "1 day too short"


def test_days_without_sessions_between_are_no_track_record(make, make_record):
    sessions = make_record().sessions
    verdict = make.gate("live_days").judge(record(make, sessions=(sessions[0], sessions[-1])))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.measured == "51 calendar days (2026-01-06 to 2026-02-26), 2 sessions = 5 % of weekdays"


def test_weekends_do_not_fill_the_gaps(make, make_record):
    sessions = make_record().sessions
    gaps = tuple(session for number, session in enumerate(sessions) if number % 2 == 0)
    weekends = [replace(sessions[0], date=date(2026, 1, 10) + timedelta(days=7 * week + day))
                for week in range(6) for day in (0, 1)]  # fmt: skip
    filled = tuple(sorted((*gaps, *weekends), key=lambda session: session.date))
    assert len(filled) > 0.8 * len(sessions)
    assert make.gate("live_days").judge(record(make, sessions=filled)).outcome is Outcome.FAIL


def test_a_record_that_ended_long_ago_proves_the_past(make):
    case = record(make)
    assert make.gate("live_days").judge(replace(case, now=case.now + timedelta(days=5))).outcome is Outcome.PASS
    verdict = make.gate("live_days").judge(replace(case, now=case.now + timedelta(days=9)))
    assert verdict.why == "the last session is 13 days ago"


def test_thirty_trades_are_counted_over_all_sessions(make, make_record):
    sessions = tuple(replace(session, trades=0) for session in make_record().sessions)
    for trades, passed in ((30, True), (29, False)):
        held = (replace(sessions[0], trades=trades), *sessions[1:])
        assert (make.gate("live_trades").judge(record(make, sessions=held)).outcome is Outcome.PASS) is passed


@pytest.mark.parametrize(
    ("equal", "why"), [(False, "other positions on 2026-01-08"), (None, "not compared on 2026-01-08")]
)
def test_one_session_with_other_positions_or_none_compared_fails(make, make_record, equal, why):
    sessions = make_record().sessions
    held = (*sessions[:2], replace(sessions[2], positions_equal=equal), *sessions[3:])
    verdict = make.gate("positions_equal").judge(record(make, sessions=held))
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, why)
    assert verdict.measured == "equal in 37 of 38 sessions"


def test_a_session_that_only_the_limits_or_the_market_explain_asks_for_a_written_reason(make, make_record):
    sessions = make_record().sessions
    short = replace(sessions[2], positions_equal=False, breaks=(EXPLAINED,))
    verdict = make.gate("positions_equal").judge(record(make, sessions=(*sessions[:2], short, *sessions[3:])))
    assert verdict.outcome is Outcome.REVIEW
    assert verdict.why.startswith("by what the limits denied or nobody filled on 2026-01-08; the second approver must")
    odd = replace(sessions[3], positions_equal=False)
    verdict = make.gate("positions_equal").judge(record(make, sessions=(*sessions[:2], short, odd, *sessions[4:])))
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, "other positions on 2026-01-09")
    assert "workbench retire sma_cross --version" in verdict.remedy
    assert verdict.remedy.endswith("workbench evidence sma_cross --fresh")


@pytest.mark.parametrize(("paid", "passed"), [(2.4, True), (2.41, False), (1.6, True), (1.59, False), (-1.0, False)])
def test_slippage_lies_within_a_fifth_of_the_model_up_and_down(make, paid, passed):
    verdict = make.gate("slippage").judge(record(make, slippage_bps=paid, slippage_model_bps=2.0))
    assert (verdict.outcome is Outcome.PASS) is passed, verdict.line


def test_slippage_names_both_numbers(make):
    verdict = make.gate("slippage").judge(record(make, slippage_bps=3.1))
    assert verdict.measured == "3.10 bps against 2.00 in 41 fills: +55 %"
    assert verdict.why == "the simulation paid too little"


@pytest.mark.parametrize(("severity", "passed"), [("note", True), ("minor", True), ("severe", False)])
def test_a_severe_break_fails_and_a_small_one_is_counted(make, make_record, severity, passed):
    sessions = make_record().sessions
    held = (*sessions[:-1], replace(sessions[-1], breaks=(Break(severity, "SPY: 10 shares held, 12 in the journal"),)))
    verdict = make.gate("no_severe_breaks").judge(record(make, sessions=held))
    assert (verdict.outcome is Outcome.PASS) is passed
    assert verdict.measured == f"{0 if passed else 1} severe of 1 break in 38 sessions"


UP = [1_000.0] * 10 + [2_500.0] * 10 + [5_000.0] * 10 + [10_000.0] * 8
NOT_HELD = "$10,000 was not held for 5 sessions: it is at"


@pytest.mark.parametrize(
    ("capital", "why"),
    [
        (UP, ""),
        ([1_000.0] * 5 + [2_500.0] * 5 + [1_000.0] * 5 + [2_500.0] * 5 + [5_000.0] * 8 + [10_000.0] * 10, ""),
        ([1_000.0] * 38, f"{NOT_HELD} $1,000 for 38 sessions by now"),
        ([1_000.0] * 5 + [2_500.0] * 33, f"{NOT_HELD} $2,500 for 33 sessions by now"),
        (
            [1_000.0] * 10 + [2_500.0] * 10 + [5_000.0] * 14 + [10_000.0] * 4,
            f"{NOT_HELD} $10,000 for 4 sessions by now",
        ),
        ([*UP[:-1], 5_000.0], "it is at $5,000 by now, and must be at $10,000 when it is promoted"),
        ([*UP[:-1], 9_998.40], "it is at $9,998 by now, and must be at $10,000 when it is promoted"),
        ([*UP[:34], *[5_000.0] * 4], f"{NOT_HELD} $5,000 for 4 sessions by now"),
        ([1_000.0] * 4 + [2_500.0] * 34, "raised from $1,000 after 4 sessions"),
        ([1_000.0] * 10 + [5_000.0] * 28, "from $1,000 it leapt to $5,000"),
        ([*UP[:20], *[1_000.0] * 2, *[5_000.0] * 8, *[10_000.0] * 8], "from $1,000 it leapt to $5,000"),
        ([*UP[:30], 10_000.0, 10_000.0, 9_998.40, *[10_000.0] * 5], ""),  # the share of an account at the edge
        ([*UP[:30], *[9_998.40] * 8], f"{NOT_HELD} $9,998 for 8 sessions by now"),  # which proves the step below
        ([*UP[:15], *[4_999.0] * 4, *[5_000.0] * 4, *[10_000.0] * 15], "raised from $5,000 after 4 sessions"),
        ([1_000.0, *[2_400.0] * 37], "raised from $1,000 after 1 session"),  # and risks the one above
        ([*UP[:25], *[2_500.0] * 2, *[5_000.0] * 3, *[10_000.0] * 8], ""),  # lowered, and back up to where it was
        ([*UP[:34], *[5_000.0] * 2, *[10_000.0] * 2], ""),
        ([*[1_000.0] * 2, *[2_500.0] * 2, *[1_000.0] * 6, *[2_500.0] * 6, *[5_000.0] * 6, *[10_000.0] * 16], ""),
        ([*[10_000.0] * 3, *UP[:35]], ""),  # after a mistake from the first step on
        ([2_500.0] * 38, "it began with $2,500"),
        ([1_000.0] * 37 + [50_000.0], "$50,000.00 is none of the steps"),
        ([0.0] * 38, "$0.00 is none of the steps"),
        ([999.99] * 38, "$999.99 is none of the steps"),
    ],
)
def test_capital_is_raised_one_step_at_a_time(make, make_record, capital, why):
    sessions = [replace(one, capital=held) for one, held in zip(make_record().sessions, capital, strict=True)]
    case = record(make, "production", sessions=tuple(sessions))
    verdict = make.gate("capital_stepped").judge(case)
    assert verdict.why == why
    assert (verdict.outcome is Outcome.PASS) is (why == "")
    assert verdict.measured.count("$") == len(list(groupby(capital)))


@pytest.mark.parametrize(("psi", "passed"), [(0.0, True), (0.1999, True), (0.2, False), (3.0, False)])
def test_a_feature_that_drifted_is_named(make, psi, passed):
    verdict = make.gate("drift").judge(record(make, drift={"rsi": 0.01, "volume": psi}))
    assert (verdict.outcome is Outcome.PASS) is passed
    assert passed or verdict.why == "drifted: volume"


def test_on_the_made_market_an_embedded_account_rehearses_staged_live(make):
    changes = {"of_pack": {"market": "sample"}, "of_record": {"market": "sample", "account_mode": "embedded"}}
    assert make.gate("live_days").judge(make.case(to_stage="production", **changes)).outcome is Outcome.PASS


# -- weights, risk limits and prompts


def test_two_weights_within_forty_percent_cannot_make_the_whole(make):
    halves = ("payload/weights.json", "weights", {"a": 0.5, "b": 0.5})
    verdict = answer(make, "weight_bounds", halves, kind="weights")
    assert verdict.measured == "a 50 %, b 50 %: together 100 %"
    assert verdict.why == "2 weights within 40 % cannot make 100 %: add strategies"


def test_the_bounds_of_a_weight_are_allowed_themselves(make):
    weights = {"a": 0.4, "b": 0.4, "c": 0.15, "d": 0.05}
    assert answer(make, "weight_bounds", ("payload/weights.json", "weights", weights), kind="weights").outcome == "pass"


def test_a_limit_that_is_loosened_is_named_and_needs_a_reason(make):
    champion = make.case("risk").pack
    limits = "max_gross: 1.5\nper_symbol: {max_weight: 0.05}\nmin_cash: 4_000\nmax_orders: 20\n"
    case = make.case("risk", parts={**make.parts("risk"), "payload/limits.yaml": limits}, champion=champion)
    verdict = make.gate("risk_limits").judge(case)
    assert verdict.outcome is Outcome.REVIEW
    assert verdict.why == "looser: max_gross 1 → 1.5, min_cash 5000 → 4000"
    assert verdict.measured == "4 limits: 2 loosened, 1 tightened, 1 new"


def test_the_first_limits_are_held_against_the_workbenchs_own(make):
    def judged(limits):
        case = make.case("risk", parts={**make.parts("risk"), "payload/limits.yaml": limits})
        return make.gate("risk_limits").judge(case)

    loose = judged("max_daily_loss: 1.0\nmax_gross: 10\nmax_order_value: 1.0e+9\nmin_free_equity: 0.0\n")
    assert loose.outcome is Outcome.REVIEW
    assert loose.why == (
        "looser: max_daily_loss 0.03 → 1, max_gross 1 → 10, max_order_value 25000 → 1e+09, min_free_equity 0.1 → 0"
    )
    assert loose.measured == (
        "4 limits: 4 loosened, 0 tightened, 0 new; no champion, so held against the workbench's own"
    )
    assert judged("max_daily_loss: 0.02\nmax_gross: 1.0\nhouse: {most: 7}\n").outcome is Outcome.PASS


def test_limits_that_the_runner_reads_must_be_such_as_it_can_read(make):
    def judged(limits, name="default"):
        parts = {**make.parts("risk"), "payload/limits.yaml": limits}
        case = make.case("risk", parts=parts, of_pack={"name": name})
        return judge(make.policy.step("risk", "paper"), case)[0]

    few = judged("max_gross: 1.0\n")
    assert (few.gate, few.outcome) == ("risk_limits", Outcome.FAIL)
    assert "payload/limits.yaml: 'confirm_above' is missing; write every limit down (35 missing)" in few.line
    assert few.remedy.endswith('workbench pack make default --kind risk --file params/risk/default.yaml --reason "…"')
    assert judged("max_gross: 1.0\n", name="house").outcome is Outcome.PASS  # which the runner does not read
    whole = Limits().model_dump()
    assert judged(yaml.safe_dump(whole)).outcome is Outcome.PASS
    assert "unknown key" in judged(yaml.safe_dump({**whole, "max_fun": 1})).line
    assert judged(yaml.safe_dump({**whole, "max_gross": -1.0})).outcome is Outcome.FAIL


def test_a_limit_that_is_gone_is_loosened(make):
    champion = make.case("risk").pack
    parts = {**make.parts("risk"), "payload/limits.yaml": "max_gross: 1.0\nmin_cash: 5000\n"}
    verdict = make.gate("risk_limits").judge(make.case("risk", parts=parts, champion=champion))
    assert (verdict.outcome, verdict.why) == (Outcome.REVIEW, "looser: per_symbol.max_weight 0.1 → gone")


def test_tighter_limits_pass(make):
    champion = make.case("risk").pack
    limits = "max_gross: 1.0\nper_symbol: {max_weight: 0.1}\nmin_cash: 6000\n"
    case = make.case("risk", parts={**make.parts("risk"), "payload/limits.yaml": limits}, champion=champion)
    assert make.gate("risk_limits").judge(case).outcome is Outcome.PASS


def test_a_prompt_that_missed_a_case_names_it(make):
    verdict = answer(make, "prompt_cases", ("evaluation.json", "cases.2.passed", False), kind="prompt")
    assert (verdict.outcome, verdict.why) == (Outcome.FAIL, "not passed: fed 2017")
    assert verdict.measured == "5 of 6 cases passed"


# -- verdicts


def test_the_gravest_outcome_of_all_is_what_counts():
    def of(*outcomes):
        return worst(Verdict("g", "", "", outcome) for outcome in outcomes)

    assert of(Outcome.PASS, Outcome.WARN) is Outcome.WARN
    assert of(Outcome.REVIEW, Outcome.WARN) is Outcome.REVIEW
    assert of(Outcome.FAIL, Outcome.REVIEW) is Outcome.FAIL
    assert of() is Outcome.FAIL
