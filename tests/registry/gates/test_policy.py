"""params/gates.yaml as a quant edits it: what it means, and one line for what makes no sense."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workbench.errors import ParamsRefused
from workbench.params import Paths
from workbench.registry.gates.catalog import GATES
from workbench.registry.gates.policy import Policy
from workbench.registry.gates.verdict import Outcome

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "params" / "gates.yaml").read_text()


def read(folder, text):
    (folder / "params").mkdir(exist_ok=True)
    file = folder / "params" / "gates.yaml"
    file.write_text(text)
    return Policy.read(file, Paths(folder))


def edited(old, new, count=1):
    assert old in TEXT
    return TEXT.replace(old, new, count)


def numbers(policy, stage, name, kind="strategy"):
    (gate,) = (gate for gate in policy.step(kind, stage).gates if gate.name == name)
    return {key: value for key, value in vars(gate).items() if not key.startswith("_")}


def test_the_defaults_are_those_of_the_product(policy):
    # The third point of the issue on promotion, number by number.
    assert policy.profile == "research"
    assert policy.pack_valid_days == 180
    steps = policy.kinds["strategy"]
    assert {stage: step.approvals for stage, step in steps.items()} == {"paper": 1, "staged_live": 2, "production": 2}
    assert {step.valid_days for step in steps.values()} == {7}
    assert steps["staged_live"].limits["capital_steps"] == [1_000, 2_500, 5_000, 10_000]
    for stage in steps:
        assert numbers(policy, stage, "out_of_sample") == {"min_share": 0.8}
        assert numbers(policy, stage, "folds")["above_share"] == 0.5
        assert numbers(policy, stage, "deflated_sharpe") == {"min": 0.95}
        assert numbers(policy, stage, "overfitting") == {"below": 0.3, "fail_from": 0.5}
        assert numbers(policy, stage, "costs") == {"times": 2, "above": 0.0}
        assert numbers(policy, stage, "drawdown") == {"below": 0.15, "miss": Outcome.WARN}
        assert numbers(policy, stage, "sharpe") == {"above": 1.5, "miss": Outcome.WARN}
        assert numbers(policy, stage, "profit_factor") == {"above": 1.5, "miss": Outcome.WARN}
        assert numbers(policy, stage, "pack_age") == {"max_days": 180}
    assert numbers(policy, "staged_live", "live_days")["min_days"] == 30
    assert numbers(policy, "staged_live", "live_trades") == {"min_trades": 30}
    assert numbers(policy, "staged_live", "slippage") == {"within_share": 0.2}
    assert numbers(policy, "staged_live", "drift") == {"below": 0.2}
    assert numbers(policy, "production", "capital_stepped")["steps"] == [1_000, 2_500, 5_000, 10_000]


def test_what_was_forced_once_is_asked_again_at_every_later_step(policy):
    for steps in policy.kinds.values():
        names = [{gate.name for gate in step.gates} for step in steps.values()]
        always = set.intersection(*names)
        assert "pack_age" in always
    evidence = {"deflated_sharpe", "overfitting", "validation", "lookahead", "clean_commit", "same_code", "ledger"}
    assert all(evidence <= {gate.name for gate in step.gates} for step in policy.kinds["strategy"].values())


def test_every_gate_is_asked_somewhere(policy):
    asked = {gate.name for steps in policy.kinds.values() for step in steps.values() for gate in step.gates}
    assert asked == set(GATES)


def test_every_gate_is_explained_where_it_is_first_asked():
    blocks = re.split(r"\n(?=\s+(?:{}):)".format("|".join(GATES)), TEXT)
    for name in GATES:
        first = next(block for block in blocks if block.strip().startswith(f"{name}:"))
        assert "# " in first.split("\n\n")[0], name


def test_the_digest_names_what_the_file_says_and_not_how(tmp_path, policy):
    assert read(tmp_path, TEXT + "\n# a comment\n").digest == policy.digest
    assert read(tmp_path, edited("min: 0.95", "min: 0.94")).digest != policy.digest
    assert read(tmp_path, edited("profile: research", "profile: strict")).digest != policy.digest
    assert read(tmp_path, edited("approvals: 1", "approvals: 0")).digest != policy.digest
    assert re.fullmatch(r"[0-9a-f]{64}", policy.digest)


def test_the_strict_profile_fails_a_missed_target(tmp_path):
    policy = read(tmp_path, edited("profile: research", "profile: strict"))
    assert numbers(policy, "paper", "sharpe") == {"above": 1.5, "miss": Outcome.FAIL}


def test_a_gate_may_say_itself_what_a_miss_is(tmp_path):
    policy = read(tmp_path, edited("below: 0.15 ", "below: 0.15\n        miss: review "))
    assert numbers(policy, "paper", "drawdown") == {"below": 0.15, "miss": Outcome.REVIEW}
    assert numbers(policy, "paper", "sharpe")["miss"] is Outcome.WARN


def test_the_numbers_of_a_step_win_over_those_of_every_step(tmp_path):
    text = edited(
        "          no_later_trials: {}", "          deflated_sharpe: {min: 0.99}\n          no_later_trials: {}"
    )
    policy = read(tmp_path, text)
    assert numbers(policy, "paper", "deflated_sharpe") == {"min": 0.99}
    assert numbers(policy, "production", "deflated_sharpe") == {"min": 0.95}


def test_the_first_step_is_the_earliest_that_the_kind_has(policy, tmp_path):
    for kind in ("strategy", "weights", "risk", "prompt"):
        stage, step = policy.first_step(kind)
        assert (stage, step.to_stage, step.kind) == ("paper", "paper", kind)
    content = yaml.safe_load(TEXT)
    del content["kinds"]["risk"]["steps"]["paper"]
    assert read(tmp_path, yaml.safe_dump(content)).first_step("risk")[0] == "staged_live"


E, P, IN = "kinds.strategy.every_step", "kinds.strategy.steps", "Input should be"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("deflated_sharpe:", "deflated_sharp:", f"unknown gate '{E}.deflated_sharp'. Did you mean 'deflated_sharpe'?"),
        ("min: 0.95", "mim: 0.95", f"unknown key '{E}.deflated_sharpe.mim'. Did you mean 'min'?"),
        ("        min: 0.95", "        {}", f"'{E}.deflated_sharpe.min' is missing"),
        ("min: 0.95", "min: 1.5", f"{E}.deflated_sharpe.min is 1.5: {IN} less than 1"),
        ("min: 0.95", "min: 0.1", f"{E}.deflated_sharpe.min is 0.1: {IN} greater than or equal to 0.5"),
        ("min: 0.95", "min: .nan", f"{E}.deflated_sharpe.min is nan: {IN} a finite number"),
        ("min: 0.95", "min: '0.95'", f"{E}.deflated_sharpe.min is '0.95': {IN} a valid number"),
        ("min: 0.95", "min: true", f"{E}.deflated_sharpe.min is True: {IN} a valid number"),
        ("min: 0.95", "min: 0.95\n        min: 0.5", "key 'min' is written twice"),
        ("below: 0.3 ", "below: 0.6 ", "below 0.6 is above fail_from 0.5"),
        ("times: 2 ", "times: 5 ", f"{E}.costs.times is 5: {IN} less than or equal to 3"),
        ("max_days: *valid", "max_days: 0", f"{E}.pack_age.max_days is 0: {IN} greater than or equal to 1"),
        ("      validation: {}", "      validation: 7", f"{E}.validation is 7; it must hold 'key: value' lines"),
        ("    steps:\n      paper:", "    steps:\n      papier:", f"unknown step '{P}.papier'. Did you mean 'paper'?"),
        ("    steps:", "    step:", "unknown key 'kinds.strategy.step'. Did you mean 'steps'?"),
        ("  weights:  ", "  weight:  ", "unknown kind 'kinds.weight'. Did you mean 'weights'?"),
        ("profile: research", "profile: reserch", f"profile is 'reserch': {IN} 'research' or 'strict'"),
        ("profile: research", "profil: research", "unknown key 'profil'. Did you mean 'profile'?"),
        ("profile: research ", "", "'profile' is missing"),
        (
            "pack_valid_days: &valid 180",
            "pack_valid_days: &valid 1000",
            f"pack_valid_days is 1000: {IN} less than or equal to 730",
        ),
        ("approvals: 2 ", "approvals: 1 ", f"{P}.staged_live.approvals is 1; staged_live needs at least 2 people"),
        (
            "      production: {approvals: 2",
            "      production: {approvals: 0",
            "kinds.weights.steps.production.approvals is 0; production needs at least 2 people",
        ),
        ("approvals: 1 ", "approvals: -1 ", f"{P}.paper.approvals is -1: {IN} greater than or equal to 0"),
        ("approvals: 1 ", "aprovals: 1 ", f"unknown key '{P}.paper.aprovals'. Did you mean 'approvals'?"),
        ("valid_days: 7 ", "valid_days: 700 ", f"{P}.paper.valid_days is 700: {IN} less than or equal to 90"),
        ("[1_000, 2_500", "[500, 2_500", f"capital_steps.0 is 500: {IN} greater than or equal to 1000"),
        ("5_000, 10_000]", "5_000, 50_000]", f"capital_steps.3 is 50000: {IN} less than or equal to 10000"),
        ("[1_000, 2_500", "[2_500, 1_000", "must rise from one to the next"),
        (
            "capital_steps: &steps",
            "capital_step: &steps",
            f"unknown key '{P}.staged_live.limits.capital_step'. Did you mean 'capital_steps'?",
        ),
        ("above: 1.5", "above: 1.5\n        miss: pass", "a missed target cannot pass; write warn, review or fail"),
    ],
)
def test_what_makes_no_sense_is_one_line_with_its_place(tmp_path, old, new, error):
    with pytest.raises(ParamsRefused) as refused:
        read(tmp_path, edited(old, new))
    text = str(refused.value)
    assert text.startswith("params/gates.yaml: ")
    assert error in text
    assert "\n" not in text


@pytest.mark.parametrize("text", ["", "[]", "7", "profile: research\npack_valid_days: 180\nkinds: {}", "kinds: 7"])
def test_a_file_that_asks_nothing_is_refused(tmp_path, text):
    with pytest.raises(ParamsRefused, match=r"^params/gates\.yaml: "):
        read(tmp_path, text)


def test_a_step_without_gates_is_refused(tmp_path):
    step = "{every_step: {}, steps: {paper: {approvals: 1, valid_days: 7}}}"
    text = f"profile: research\npack_valid_days: 180\nkinds: {{strategy: {step}}}"
    with pytest.raises(ParamsRefused, match=r"kinds\.strategy\.steps\.paper asks nothing"):
        read(tmp_path, text)


def test_staged_live_without_its_capital_is_refused(tmp_path):
    content = yaml.safe_load(TEXT)
    del content["kinds"]["strategy"]["steps"]["staged_live"]["limits"]
    with pytest.raises(ParamsRefused, match=r"staged_live\.limits\.capital_steps is missing"):
        read(tmp_path, yaml.safe_dump(content))


def test_a_missing_file_and_an_unknown_step_say_so(tmp_path, policy):
    with pytest.raises(ParamsRefused, match=r"params/gates\.yaml: no such file"):
        Policy.read(tmp_path / "params" / "gates.yaml", Paths(tmp_path))
    with pytest.raises(ParamsRefused, match="has no kind 'model'"):
        policy.step("model", "paper")
    with pytest.raises(ParamsRefused, match=r"has no step to 'staged'\. Did you mean 'staged_live'\?"):
        policy.step("strategy", "staged")


def test_the_policy_is_read_without_any_heavy_library():
    code = "import sys, workbench.registry.gates.judge; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert loaded.isdisjoint({"mlflow", "vectorbt", "matplotlib", "numba", "polars", "deltalake"})
    assert "workbench.backtest" not in done.stdout.split()


def test_the_guide_names_every_gate():
    page = (ROOT / "docs" / "gates.md").read_text()
    assert [name for name in GATES if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    ("kind", "stage", "gate"),
    [("strategy", None, "deflated_sharpe"), ("strategy", None, "model_age"), ("strategy", "paper", "no_later_trials"),
     ("strategy", "production", "capital_stepped"), ("risk", None, "risk_limits"), ("weights", None, "weight_evidence"),
     ("prompt", None, "prompt_cases")],
)  # fmt: skip
def test_a_policy_that_leaves_out_what_proves_is_refused_and_names_it(tmp_path, kind, stage, gate):
    content = yaml.safe_load(TEXT)
    of = content["kinds"][kind]
    del (of["steps"][stage]["gates"] if stage else of["every_step"])[gate]
    with pytest.raises(ParamsRefused, match=f"kinds.{kind}.steps.{stage or 'paper'} does not ask {gate}; without that"):
        read(tmp_path, yaml.safe_dump(content))


def test_a_policy_of_one_gate_is_refused_and_targets_may_go(tmp_path):
    content = yaml.safe_load(TEXT)
    for target in ("sharpe", "drawdown", "profit_factor"):
        del content["kinds"]["strategy"]["every_step"][target]
    read(tmp_path, yaml.safe_dump(content))
    content["kinds"]["strategy"]["every_step"] = {"pack_age": {"max_days": 180}}
    with pytest.raises(
        ParamsRefused, match="does not ask validation, lookahead, out_of_sample, folds, deflated_sharpe"
    ):
        read(tmp_path, yaml.safe_dump(content))
