"""Wrong input is refused in one line that says what to do, before anything runs or is written."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ui", "--port", "99999"], "port 99999 is not between 1 and 65535; name another: make ui PORT=5000"),
        (["ui", "--port", "0"], "port 0 is not between 1 and 65535; name another: make ui PORT=5000"),
        (
            ["lake", "--set", "strategies=x"],
            "--set strategies=x: strategies is 'x'; write a list, also for one: strategies=[x]",
        ),
        (
            ["backtest", "--strategy", "../x"],
            "strategy '../x': a name has letters, digits and '_' only, as its file in params/strategies/ has; "
            "there are mean_reversion, sma_cross, xs_momentum",
        ),
        (
            ["backtest", "--set", "strategies.sma_cross.universe=[ZZZ99]"],
            "--set strategies.sma_cross.universe=[ZZZ99]: strategies is a list, it has no 'sma_cross'; "
            "a strategy's settings are in its own file, params/strategies/NAME.yaml",
        ),
        (
            ["backtest", "--set", "walk_forward.trian=400"],
            "--set walk_forward.trian=400: unknown key 'walk_forward.trian'. Did you mean 'train_sessions'?",
        ),
        (
            ["backtest", "--set", "strategies=[]"],
            "strategies: the list is empty, so there is nothing to walk forward; name one: "
            "make backtest STRATEGY=sma_cross, or fill strategies in params/base.yaml",
        ),
        (["why"], "Missing argument 'FILL'. See: workbench why --help"),
        (["approve", "sma_cross"], "Missing option '--as'. See: workbench approve --help"),
        (["pack", "nope"], "No such command 'nope'. See: workbench pack --help"),
        (["resme"], "No such command 'resme'. Did you mean 'resume'? See: workbench --help"),
        (
            ["sweep", "sma_cross", "--grid", "fst=5:50:5"],
            "sma_cross: unknown parameter 'fst'. Did you mean 'fast'?",
        ),
        (["sweep", "sma_cross", "--trials", "0"], "--trials 0: must be at least 1, or left out to try every cell"),
        (
            ["sweep", "sma_cross", "--set", "data.benchmark=MKT01"],
            "data.benchmark 'MKT01' is not in the sample market. Did you mean 'MKT00'?",
        ),
        (
            ["backtest", "--set", "tracking.uri=ftp://host/runs"],
            "tracking.uri 'ftp://host/runs': not a store for runs; leave it empty for mlruns/mlflow.db, "
            "or write http://host:5000, sqlite:///path/to/mlflow.db or postgresql://…",
        ),
        (
            ["backtest", "--set", "tracking.uri=http://host:99999"],
            "tracking.uri 'http://host:99999': the port is not between 1 and 65535; write http://host:5000",
        ),
        (
            ["backtest", "--set", "tracking.uri=http://:5000"],
            "tracking.uri 'http://:5000': it names no host; write http://host:5000",
        ),
        (
            ["backtest", "--set", "data.benchmark=MKT01"],
            "data.benchmark 'MKT01' is not in the sample market. Did you mean 'MKT00'?",
        ),
        (
            ["backtest", "--strategy", "sma_cross", "--set", "walk_forward.train_sessions=5000"],
            "walk_forward: warm_up_sessions 378 + train_sessions 5000 + gap 6 + test_sessions 252 = 5636 is longer "
            "than the data (3774 sessions); shorten the windows or read more",
        ),
        (
            ["backtest", "--set", "data.start=2040-01-01"],
            "data: the sample market has no session from 2040-01-01 to the end; it runs from 2010-01-04 to 2024-12-31 "
            "(sample.years, sample.end)",
        ),
    ],
)
def test_a_wrong_option_is_refused(desk, words, says):
    assert desk.refusal(*words) == says


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("params: {fats: 20, slow: 100}", "sma_cross: unknown parameter 'fats'. Did you mean 'fast'?"),
        (
            "params: {fast: quick, slow: 100}",
            "sma_cross: parameter 'fast' is 'quick', it must be int (params/strategies/sma_cross.yaml)",
        ),
        (
            "params: {fast: 20}\ngrid: {slow: [100, long]}",
            "sma_cross: parameter 'slow' is 'long', it must be int (params/strategies/sma_cross.yaml)",
        ),
        (
            "params: {fast: 200, slow: 100}",
            "sma_cross: fast 200 must be at least 1 and below slow 100 (params/strategies/sma_cross.yaml)",
        ),
        (
            "params: {fast: 200, slow: 100}\ngrid: {fast: [10, 20]}",
            "sma_cross: fast 200 must be at least 1 and below slow 100 (params/strategies/sma_cross.yaml)",
        ),
        (
            "sizing: {max_weigth: 0.2}",
            "params/strategies/sma_cross.yaml: unknown key 'max_weigth'. Did you mean 'max_weight'?",
        ),
        ("universe: {sectors: [Helth]}", "universe: unknown sector 'Helth'. Did you mean 'Health'?"),
        ("universe: {symbols: [TEC1]}", "universe: unknown symbol 'TEC1'. Did you mean 'TEC10'?"),
    ],
)
def test_a_wrong_strategy_file_is_refused_before_the_backtest(desk, written, says):
    file = desk.root / "params" / "strategies" / "sma_cross.yaml"
    file.write_text(f"question: Does holding what trends pay?\n{written}\n")
    assert desk.refusal("backtest", "--strategy", "sma_cross") == says


def test_a_root_without_parameters_is_named(desk, tmp_path):
    said = desk.refusal("lake", WORKBENCH_ROOT=str(tmp_path / "nonexistent"))
    assert said == (
        f"WORKBENCH_ROOT '{tmp_path / 'nonexistent'}': no params/base.yaml there; "
        "name the folder of a clone, or unset WORKBENCH_ROOT"
    )


def test_what_only_strategies_need_does_not_stop_the_data(desk):
    done = desk.type("lake", "--set", "data.benchmark=MKT01")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the lake of the sample market is empty: make data\n"


def test_a_store_that_cannot_be_written_is_told_before_the_first_step(desk):
    (desk.root / "mlruns").write_text("a file where the folder should be")
    said = desk.refusal("backtest", "--strategy", "sma_cross", code=1)
    assert said.startswith("mlruns/mlflow.db: File exists; runs cannot be recorded there")


def test_a_server_that_does_not_answer_is_told_before_the_first_step(desk):
    said = desk.refusal("backtest", "--set", "tracking.uri=http://127.0.0.1:9", code=1)
    assert said.startswith("tracking.uri http://127.0.0.1:9: no answer")


def test_a_market_beyond_the_calendar_names_its_settings(desk):
    refused = desk.refusal("backtest", "--set", "sample.end=2960-01-01")
    assert refused.startswith("sample.end 2960-01-01 with sample.years 15: 2945-01-02 is outside the calendar of XNYS")


def test_what_will_be_known_in_the_future_is_not_known_now(desk):
    refused = desk.refusal("backtest", "--set", "data.as_of=2999-01-01T00:00:00Z")
    assert refused.startswith("data.as_of 2999-01-01T00:00:00Z: lies after now, ")
    assert refused.endswith("leave it out for everything that is known")
