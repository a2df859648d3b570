"""Whatever is missing, odd or impossible, every gate says no, and never yes by default."""

from dataclasses import replace
from datetime import timedelta

import pytest

from workbench.registry.gates.case import LedgerFacts
from workbench.registry.gates.catalog import GATES
from workbench.registry.gates.judge import judge
from workbench.registry.gates.policy import Step
from workbench.registry.gates.verdict import Outcome

NAN, INF = float("nan"), float("inf")
# What is no number at all, and what is no text, no flag, no list, no mapping.
NO_NUMBER = (..., None, NAN, INF, -INF, "0.9", True, [], {})
NO_TEXT = (..., None, "", " ", 7, [], {})
NO_FLAG = (..., None, 1, "true", [], {})
NO_LIST = (..., None, 7, "text", {"a": 1}, {})
NO_MAPPING = (..., None, 7, "text", [1], [])
NO_COUNT = (*NO_NUMBER, -1, 2.5)

S, OVER, OUT = "statistics.json", "overfitting", "out_of_sample"
TWICE = "robustness.variants.1"
# gate -> what it reads of the pack, and what must never be there. The step and the kind are those that ask the gate.
READS = {
    "validation": [
        ("data.json", "prices_daily.version", NO_COUNT),
        ("data.json", "prices_daily.version", (2, 4)),
        ("validation.json", "prices_daily", NO_MAPPING),
        ("validation.json", "prices_daily.version", NO_COUNT),
        ("validation.json", "prices_daily.passed", (*NO_FLAG, False)),
        ("validation.json", "prices_daily.rules", (*NO_LIST, [])),
        ("validation.json", "prices_daily.broken", NO_MAPPING),
        ("validation.json", "prices_daily.broken.rows", (*NO_COUNT, 1, 10**12)),
        ("validation.json", "prices_daily.rows", NO_COUNT),
    ],
    "lookahead": [
        ("lookahead.json", "reports", (*NO_LIST, [])),
        ("lookahead.json", "reports.0.clean", (*NO_FLAG, False)),
        ("lookahead.json", "reports.1.clean", (*NO_FLAG, False)),
        ("lookahead.json", "reports.0.findings", (*NO_LIST, [{"kind": "reads ahead", "text": "x"}])),
        ("lookahead.json", "reports.0.doubts", NO_LIST),
        ("lookahead.json", "reports.1.findings", (*NO_LIST, [{"kind": "fails", "text": "x"}])),
        ("lookahead.json", "reports.0.checks", (*NO_LIST, [], [{"name": "repeat", "dates": 99, "runs": 1}])),
        ("lookahead.json", "reports.0.checks.1.dates", NO_COUNT),
        ("lookahead.json", "reports.0.name", (*NO_TEXT, "xs_momentum")),
        ("lookahead.json", "reports.0.kind", (*NO_TEXT, "feature")),
        ("lookahead.json", "reports.0.params", (*NO_MAPPING, {"fast": 10, "slow": 150})),
        ("params.json", "params", NO_MAPPING),
    ],
    "out_of_sample": [
        (S, "in_sample.sharpe", (*NO_NUMBER, -2.0, 0.0, 2.5, 26.0, 1e12)),
        (S, f"{OUT}.sharpe", (*NO_NUMBER, -1.8, 0.0, 1.59, 26.0, 1e12)),
    ],
    "folds": [
        (S, "folds", (*NO_LIST, [], [{"test_score": 9.0}], [{"test_score": 1.0}] * 2)),
        (S, "folds", ([{"test_score": score} for score in (1.0, 1.0, -1.0, None)],)),
        (S, "folds.0.test_score", (..., NAN, INF, "1.2", True, [], {})),
        (S, "folds", ([{"test_score": None}] * 5, [{"test_score": -1e12}] * 5, [{"test_score": 0.0}] * 5)),
    ],
    "deflated_sharpe": [
        (S, f"{OVER}.dsr", (*NO_NUMBER, -0.97, 0.9499999, 0.0, 1.01, 97.0)),
        (S, f"{OVER}.trials", (*NO_COUNT, 0, 30, 1239)),
        (S, f"{OVER}.effective_trials", (*NO_COUNT, 0, 1241, 10**12)),
        ("trials.json", "trials", (*NO_COUNT, 1241, 10**12)),
        ("trials.json", "elsewhere", NO_COUNT),
    ],
    "overfitting": [
        (S, f"{OVER}.pbo_all", (..., NAN, INF, "0.1", True, [], {}, -0.1, 1.1, 0.5, 1.0)),
        (S, f"{OVER}.pbo_all", (None,)),  # the grid's own, 0.6, is judged then
        (S, f"{OVER}.pbo_all_left_out", (None, NAN, "3", True, -1, 0.5)),
        (S, f"{OVER}.pbo", (NAN, INF, "0.1", True, -0.1, 1.1, ...)),
    ],
    "track_length": [
        (S, f"{OVER}.n", (*NO_COUNT, 0, 310)),
        (S, f"{OVER}.min_track_record", (*NO_NUMBER, -310.0, 0.0, 1250.5, 1e12)),
    ],
    "costs": [
        (S, "robustness", NO_MAPPING),
        (S, "robustness.variants", (*NO_LIST, [])),
        (S, f"{TWICE}.sharpe", (*NO_NUMBER, -0.1, 0.0, 26.0, 1e12)),
        (S, f"{TWICE}.cagr", (*NO_NUMBER, -0.01, 0.0, -1.5)),
        (S, f"{TWICE}.name", (*NO_TEXT, "4× costs")),
        (S, f"{TWICE}.group", (*NO_TEXT, "delay")),
        ("params.json", "costs", NO_MAPPING),
        ("params.json", "costs.schedule", NO_TEXT),
        ("params.json", "costs.spread_bps", (*NO_NUMBER, -2.0)),
        ("params.json", "costs.proportional_bps", (*NO_NUMBER, -5.0)),
    ],
    "drawdown": [(S, f"{OUT}.max_drawdown", (*NO_NUMBER, 0.1, -1.01, -0.15, -0.9))],
    "sharpe": [(S, f"{OUT}.sharpe", (*NO_NUMBER, -1.8, 1.5, 26.0, 1e12))],
    "profit_factor": [
        (S, f"{OUT}.profit_factor", (*NO_NUMBER, -1.9, 1.5, 0.0)),
        (S, f"{OUT}.trades", (*NO_COUNT, 0)),
    ],
    "clean_commit": [("params.json", "set", (*NO_MAPPING, {"costs.spread_bps": 3.0}, {"costs.spread_bps": ""}))],
    "same_code": [],
    "ledger": [
        ("trials.json", "head", NO_TEXT),
        ("trials.json", "trials", (*NO_COUNT, 1239, 1241)),
        (S, f"{OVER}.missing", NO_MAPPING),
    ],
    "no_later_trials": [("trials.json", "trials", (*NO_COUNT, 1239, 1241))],
    "pack_age": [],
    "model_age": [("params.json", "strategy", NO_TEXT)],
    "drift": [],
    "live_days": [],
    "live_trades": [],
    "positions_equal": [],
    "slippage": [],
    "no_severe_breaks": [],
    "capital_stepped": [],
    "reason": [("reason.json", "reason", (*NO_TEXT, "because"))],
    "weight_bounds": [
        ("payload/weights.json", "weights", (*NO_MAPPING, {}, {"sma_cross": 1.0}, {"a": 0.5, "b": 0.5})),
        ("payload/weights.json", "weights.sma_cross", (*NO_NUMBER, -0.4, 0.41, 0.39, 40.0, 0.04)),
    ],
    "weight_evidence": [
        ("payload/weights.json", "strategies", (*NO_MAPPING, {})),
        ("payload/weights.json", "strategies.xs_momentum.signals", (*NO_COUNT, 0, 9)),
        ("payload/weights.json", "strategies.xs_momentum.sharpe", (*NO_NUMBER, -0.9, 0.3, 26.0)),
        ("payload/weights.json", "weights", (*NO_MAPPING, {})),
    ],
    "improvement": [("payload/weights.json", "expected_improvement", (*NO_NUMBER, -0.08, 0.0, 26.0, 1e12))],
    "risk_limits": [],
    "prompt_text": [],
    "prompt_cases": [
        ("evaluation.json", "cases", (*NO_LIST, [], [{"name": "a", "passed": True}] * 9)),
        ("evaluation.json", "cases.0.passed", (*NO_FLAG, False)),
        ("evaluation.json", "cases.0.name", NO_TEXT),
    ],
}
OF_RECORD = ("live_days", "live_trades", "positions_equal", "slippage", "no_severe_breaks", "drift", "capital_stepped")
OF_LEDGER, OF_CODE = ("ledger", "no_later_trials"), ("clean_commit", "same_code")
KIND = {
    **dict.fromkeys(("weight_bounds", "weight_evidence", "improvement"), "weights"),
    **dict.fromkeys(("prompt_text", "prompt_cases"), "prompt"),
    "risk_limits": "risk",
    "reason": "prompt",
}
SPOILED = [
    pytest.param(name, part, path, value, id=f"{name}-{path}-{value!r}"[:90])
    for name, reads in READS.items()
    for part, path, values in reads
    for value in values
]


def stage_of(name):
    return "production" if name in OF_RECORD else "paper"


def ask(make, name, case):
    (verdict,) = judge(Step("", case.to_stage, 0, 7, (make.gate(name),), {}), case)
    assert verdict.gate == name
    assert verdict.asked
    assert verdict.measured
    if verdict.outcome is not Outcome.PASS:
        assert verdict.why
        assert verdict.remedy
    return verdict


def no(make, name, case, targets=("drawdown", "sharpe", "profit_factor")):
    """Assert that the gate says no: a measured miss of a target only warns in the profile of this checkout."""
    verdict = ask(make, name, case)
    missed = verdict.measured != "unknown" and name in targets
    assert verdict.outcome is (Outcome.WARN if missed else Outcome.FAIL), verdict.line
    return verdict


def test_every_gate_that_there_is_is_tried_here():
    assert set(READS) == set(GATES)


@pytest.mark.parametrize("name", GATES)
def test_a_candidate_with_everything_passes_every_gate(make, name):
    kind, stage = KIND.get(name, "strategy"), stage_of(name)
    verdict = ask(make, name, make.case(kind, stage))
    assert verdict.outcome is Outcome.PASS, verdict.line


@pytest.mark.parametrize(("name", "part", "path", "value"), SPOILED)
def test_a_missing_odd_or_impossible_number_fails(make, name, part, path, value):
    kind = KIND.get(name, "strategy")
    parts = make.set(make.parts(kind), part, path, value)
    no(make, name, make.case(kind, stage_of(name), parts=parts))


@pytest.mark.parametrize("name", [name for name, reads in READS.items() if reads])
def test_a_part_that_is_missing_empty_or_no_json_fails(make, name):
    kind = KIND.get(name, "strategy")
    for part in {part for part, _, _ in READS[name]}:
        whole = make.parts(kind)
        left = {path: content for path, content in whole.items() if path != part}
        verdict = no(make, name, make.case(kind, stage_of(name), parts=left))
        assert verdict.measured == "unknown"
        assert verdict.why.startswith("cannot be evaluated: ")
        for content in (b"", b"{", b"null", b"[]", b"{}", b"\xff", b"7", b"[" * 100_000):
            no(make, name, make.case(kind, stage_of(name), parts={**whole, part: content}))


@pytest.mark.parametrize("name", GATES)
def test_a_pack_without_any_part_fails_every_gate_that_reads_parts(make, name):
    kind = KIND.get(name, "strategy")
    case = make.case(kind, stage_of(name), parts={}, code=None, ledger=None, record=None)
    case = replace(case, pack=replace(case.pack, code=None, expires_at=case.pack.made_at))
    no(make, name, case)


@pytest.mark.parametrize("name", OF_RECORD)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"strategy": "xs_momentum"}, "strategy xs_momentum, this is sma_cross"),
        ({"version": 3}, "version 3, this is 4"),
        ({"pack": "0" * 64}, "pack 000000000000"),
        ({"stage": "paper"}, "stage paper, this is staged_live"),
        ({"market": "sample"}, "market sample, this is real"),
        ({"account_mode": "paper"}, "account is paper, staged_live asks for live"),
        ({"account_mode": "embedded"}, "account is embedded"),
        ({"sessions": ()}, "no session yet"),
    ],
)
def test_a_record_of_anything_else_proves_nothing(make, name, changes, why):
    verdict = no(make, name, make.case(to_stage="production", of_record=changes))
    assert why in verdict.why


@pytest.mark.parametrize("name", OF_RECORD)
def test_no_record_says_where_to_run_it_first(make, name):
    verdict = no(make, name, make.case(to_stage="staged_live", record=None))
    assert verdict.why == "cannot be evaluated: no paper record yet: run it on paper first"
    assert verdict.remedy == "run it on paper first, then: make promote STRATEGY=sma_cross"
    verdict = no(make, name, make.case(to_stage="production", record=None))
    assert "no staged_live record yet" in verdict.why


@pytest.mark.parametrize("name", OF_RECORD)
def test_a_record_of_the_future_or_from_before_the_pack_fails(make, name):
    case = make.case(to_stage="production")
    assert "in the future" in no(make, name, replace(case, now=case.now - timedelta(days=10))).why
    late = make.case(to_stage="production", of_pack={"made_at": case.now - timedelta(days=20), "expires_at": case.now})
    assert "before the pack was made" in no(make, name, late).why


@pytest.mark.parametrize("name", OF_RECORD)
def test_a_record_gate_has_nothing_to_judge_before_paper(make, name):
    assert "no record is kept before paper" in no(make, name, make.case(to_stage="paper")).why


@pytest.mark.parametrize("name", OF_LEDGER)
@pytest.mark.parametrize(
    "ledger",
    [
        None,
        LedgerFacts(False, "batch 9 is gone", 1240, 1240),
        LedgerFacts(True, "", 1240, 1239),
        LedgerFacts(True, "", -1, 1240),
        LedgerFacts(True, "", 0, 0),
        LedgerFacts(True, "", 1240, -1240),
        LedgerFacts(True, "", NAN, NAN),
        LedgerFacts(True, "", None, None),
        LedgerFacts(True, "", "1240", "1240"),
        LedgerFacts(True, "", True, True),
    ],
)
def test_a_ledger_that_is_gone_cut_or_absurd_fails(make, name, ledger):
    no(make, name, make.case(ledger=ledger))


@pytest.mark.parametrize("name", OF_CODE)
def test_code_that_is_not_known_fails(make, name):
    case = make.case()
    no(make, name, replace(case, pack=replace(case.pack, code=None)))
    if name == "same_code":
        no(make, name, replace(case, code=None))
        none = replace(case.code, files={})
        no(make, name, replace(case, code=none, pack=replace(case.pack, code=none)))
    for commit in ("unknown", "", "abc", "g" * 40, None):
        if name == "clean_commit":
            no(make, name, replace(case, pack=replace(case.pack, code=replace(case.code, commit=commit))))


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"\xc3\x28", b"a\x00b", "hidden ‮ turn".encode()])
def test_a_prompt_that_is_no_text_fails(make, content):
    no(make, "prompt_text", make.case("prompt", parts={**make.parts("prompt"), "payload/analyst.md": content}))


@pytest.mark.parametrize("name", ["prompt_text", "risk_limits", "weight_bounds", "weight_evidence", "improvement"])
def test_a_pack_with_no_payload_or_two_fails(make, name):
    kind = KIND[name]
    parts = {path: content for path, content in make.parts(kind).items() if not path.startswith("payload/")}
    assert "0 files under payload/" in no(make, name, make.case(kind, parts=parts)).why
    more = {**make.parts(kind), "payload/other.json": "{}"}
    assert "2 files under payload/" in no(make, name, make.case(kind, parts=more)).why


@pytest.mark.parametrize(
    "content",
    [
        *("", "[1, 2]", "7", "a: .nan", "a: .inf", "a: high", "a: true", "a: [1]", "a: {}", "a:", "a: [", "a: \x00"),
        *("a: !!python/object/apply:os.getcwd []", "a: 1\n b: 2"),
    ],
)
def test_risk_limits_that_are_no_finite_numbers_fail(make, content):
    no(make, "risk_limits", make.case("risk", parts={**make.parts("risk"), "payload/limits.yaml": content}))


def test_a_champion_whose_limits_cannot_be_read_fails(make):
    champion = make.case("risk", parts={**make.parts("risk"), "payload/limits.yaml": "["}).pack
    no(make, "risk_limits", make.case("risk", champion=champion))


@pytest.mark.parametrize("name", ["model_age", "drift"])
def test_a_model_without_its_card_or_its_drift_fails(make, name):
    card = {"expires_at": "2026-03-02T15:00:01Z"}
    model = {**make.parts(), "model/weights.safetensors": "x", "model/card.json": card}
    good = make.case(to_stage="production", parts=model, of_record={"drift": {"rsi": 0.19}})
    assert ask(make, name, good).outcome is Outcome.PASS
    for bad in (None, "", "soon", 7, "2026-03-02T15:00:00Z", "2020-01-01T00:00:00Z", "9999-01-01"):
        if name == "model_age":
            no(make, name, make.case(parts={**model, "model/card.json": {"expires_at": bad}}))
    if name == "model_age":
        no(make, name, make.case(parts={**make.parts(), "model/weights.safetensors": "x"}))
        no(make, name, make.case(parts={**model, "model/card.json": {}}))
    else:
        verdict = no(make, name, make.case(to_stage="production", parts=model))
        assert "says nothing of its features' drift" in verdict.why


def test_a_slippage_that_was_not_measured_fails(make):
    for changes in ({"fills": 0}, {"slippage_bps": None}, {"slippage_model_bps": None}, {"slippage_model_bps": 0.0}):
        assert no(make, "slippage", make.case(to_stage="production", of_record=changes)).measured == "unknown"
