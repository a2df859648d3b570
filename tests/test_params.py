import shutil
import subprocess
from pathlib import Path

import pytest

from tests.test_makefile import by_hand
from workbench.errors import ParamsRefused
from workbench.params import (
    Paths,
    Settings,
    freeze_settings,
    load_settings,
    load_strategy_params,
    read_sizing,
    settings_from,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Paths:
    (tmp_path / "params" / "strategies").mkdir(parents=True)
    (tmp_path / "params" / "base.yaml").write_text("costs: {spread_bps: 3}\n")
    return Paths(tmp_path)


def refused(project: Paths, *overrides: str) -> str:
    with pytest.raises(ParamsRefused) as caught:
        load_settings(project, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_committed_defaults_are_valid():
    settings = load_settings()
    assert settings.market == "sample"
    assert settings.strategies == ("sma_cross", "xs_momentum", "mean_reversion")


def test_the_committed_defaults_say_the_same_as_the_code():
    assert load_settings() == Settings(strategies=("sma_cross", "xs_momentum", "mean_reversion"))


def test_later_layers_win(project, monkeypatch):
    assert load_settings(project).costs.spread_bps == 3
    monkeypatch.setenv("WORKBENCH_COSTS__SPREAD_BPS", "4")
    assert load_settings(project).costs.spread_bps == 4
    assert load_settings(project, ["costs.spread_bps=5"]).costs.spread_bps == 5
    # The other keys of the section keep the lower layer.
    assert load_settings(project, ["costs.impact=0"]).costs.spread_bps == 4


def test_a_typo_in_the_file_names_the_file_and_the_nearest_key(project):
    (project.params / "base.yaml").write_text("costs: {spred_bps: 3}\n")
    assert refused(project) == "params/base.yaml: unknown key 'costs.spred_bps'. Did you mean 'spread_bps'?"


def test_a_typo_on_the_command_line_names_the_override(project):
    assert refused(project, "walkforward.mode=rolling") == (
        "--set walkforward.mode=rolling: unknown key 'walkforward'. Did you mean 'walk_forward'?"
    )


def test_a_typo_in_the_environment_names_the_variable(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_COST__SPREAD_BPS", "4")
    assert "unknown setting WORKBENCH_COST__SPREAD_BPS. Did you mean 'WORKBENCH_COSTS'?" in refused(project)


def test_a_value_out_of_bounds_is_named_with_its_bound(project):
    assert refused(project, "costs.spread_bps=-1") == (
        "--set costs.spread_bps=-1: costs.spread_bps is -1: Input should be greater than or equal to 0"
    )


def test_reversed_dates_are_refused(project):
    message = refused(project, "data.start=2024-01-01", "data.end=2020-01-01")
    assert "start 2024-01-01 is after end 2020-01-01; swap them" in message


def test_an_as_of_without_time_zone_is_refused(project):
    assert "has no time zone; write 2024-12-31T22:00:00Z" in refused(project, "data.as_of=2024-01-01T00:00:00")


def test_trading_before_the_deciding_close_is_refused(project):
    assert "use lag_bars 1" in refused(project, "portfolio.lag_bars=0")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("costs: [1, 2\n", "line 2"),
        ("costs: {}\ncosts: {}\n", "key 'costs' is written twice"),
        ("costs:\n  spread_bps: 2:50\n", "line 2: 2:50 would be read as a number to base 60"),
        ("- a\n", "expected 'key: value' lines, found a list"),
        ("costs:\n  impact: 010\n", "line 2: 010 would be read as a number to base 8"),
        ("on: 1\nmarket: sample\n", "line 1: key 'on' is read as true or false, not as a word; put it in quotes"),
        ("1: 2\n\n", "line 1: key '1' is read as a number, not as a word"),
        ("costs:\n  ~: 2\n", "line 2: key '~' is read as nothing, not as a word"),
        ("market: {{x}}\n", "line 1: a key must be a word; braces within braces are no value"),
        ("data:\n  start: 2020-02-30\n", "line 2: 2020-02-30 is no date: day is out of range for month"),
    ],
)
def test_broken_yaml_is_refused_with_its_place(project, text, says):
    (project.params / "base.yaml").write_text(text)
    assert says in refused(project)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("costs.spread_bps=NO", "costs.spread_bps is false, it must be a number; yes and on are read as true"),
        ("data.max_age_sessions=no", "data.max_age_sessions is false, it must be a number"),
        ("live.shares={sma_cross: yes}", "live.shares.sma_cross is true, it must be a number"),
        ("walk_forward.train_sessions=10:30", "10:30 would be read as a number to base 60"),
        ("sample.seed=010", "010 would be read as a number to base 8; write it without the 0 in front"),
        ("data.start=2020-02-30", "2020-02-30 is no date: day is out of range for month"),
        ("data.start=20240101", "data.start is 20240101: write a date as 2024-12-31"),
        ("data.start=86400", "data.start is the number 86400; write a date as 2024-12-31"),
        ("data.as_of=20240101", "data.as_of is the number 20240101; write a moment as 2024-12-31T22:00:00Z"),
        (
            "strategies=[on]",
            "strategies.0 is True: Input should be a valid string; on, off, yes and no are read as true",
        ),
        (
            "data.benchmark=ON",
            "data.benchmark is True: Input should be a valid string; on, off, yes and no are read as true and false: "
            """put a word in quotes, with make SET='data.benchmark=\\"ON\\"'""",
        ),
        ("costs={1: 2}", "key '1' is read as a number, not as a word"),
    ],
)
def test_what_yaml_takes_for_something_else_is_refused_on_the_command_line_too(project, override, says):
    assert refused(project, override).startswith(f"--set {override}: {says}")


@pytest.mark.parametrize("name", ["sizing.target_volatility", "search.workers", "live.every_minutes"])
def test_a_number_that_is_switched_off_by_a_word_is_refused_with_what_switches_it_off(project, name):
    assert refused(project, f"{name}=off").endswith("are read as true and false: write a number, or null for none")
    section, field = name.split(".")
    assert getattr(getattr(load_settings(project, [f"{name}=null"]), section), field) is None


def test_a_word_that_no_quotes_would_make_right_is_not_asked_for_in_quotes(project):
    assert refused(project, "walk_forward.train_sessions=no").endswith("true and false: write a number")
    assert refused(project, "walk_forward.mode=no").endswith("are read as true and false")
    assert refused(project, "sizing=no").endswith("are read as true and false")


def test_a_symbol_of_digits_that_begins_with_0_is_asked_for_in_quotes(project):
    file = project.params / "strategies" / "x.yaml"
    file.write_text("question: Does a symbol of digits run?\nuniverse: {symbols: [0700]}\n")
    with pytest.raises(ParamsRefused, match="base 8; write it without the 0 in front, a symbol in quotes"):
        load_strategy_params("x", project)
    file.write_text('question: Does a symbol of digits run?\nuniverse: {symbols: ["0700"]}\n')
    assert load_strategy_params("x", project).universe.symbols == ("0700",)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_quotes_that_a_refusal_shows_for_make_arrive_as_quotes():
    made = ["make", "-n", "lookahead", 'SET=data.benchmark=\\"ON\\"', "-o", ".stamps/research"]
    done = subprocess.run(made, cwd=ROOT, env=by_hand(), capture_output=True, text=True, check=True)
    line = done.stdout.splitlines()[-1]
    said = subprocess.run(["sh", "-c", f"printf '%s\n' {line.partition('--set')[2]}"], capture_output=True, text=True)
    assert said.stdout.strip() == 'data.benchmark="ON"'


def test_true_in_the_environment_is_no_number_and_a_date_without_dashes_no_date(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_COSTS", '{"spread_bps": false}')
    assert refused(project).startswith("environment: costs.spread_bps is false, it must be a number")
    monkeypatch.setenv("WORKBENCH_COSTS", "{}")
    monkeypatch.setenv("WORKBENCH_DATA__START", "86400")
    assert refused(project) == "environment: data.start is the number 86400; write a date as 2024-12-31"


def test_a_part_of_a_setting_that_has_none_is_not_passed_over(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_MARKET__X", "1")
    assert refused(project) == (
        "environment: unknown setting WORKBENCH_MARKET__X; it has no parts, write WORKBENCH_MARKET=..."
    )


def test_a_missing_file_says_how_to_get_it_back(project):
    (project.params / "base.yaml").unlink()
    assert "git checkout params/base.yaml" in refused(project)


def test_an_override_without_equals_shows_the_form(project):
    assert "write it as section.key=value" in refused(project, "costs.spread_bps")


def test_settings_survive_freezing(project, tmp_path):
    settings = load_settings(project, ["data.as_of=2024-01-01T00:00:00Z"])
    freeze_settings(settings, tmp_path / "settings.json")
    assert settings_from(tmp_path / "settings.json") == settings


def test_the_digest_follows_the_named_sections_only(project):
    one, other = load_settings(project), load_settings(project, ["costs.impact=0.2"])
    assert one.digest(["sample"]) == other.digest(["sample"])
    assert one.digest(["costs"]) != other.digest(["costs"])
    assert one.digest() != other.digest()


def test_an_unknown_strategy_file_names_the_nearest_and_the_way_to_make_it(project):
    (project.params / "strategies" / "breakout.yaml").write_text("question: Does a breakout pay?\n")
    with pytest.raises(ParamsRefused, match=r"Did you mean 'breakout'\? Or make it: make new-strategy NAME=breakot"):
        load_strategy_params("breakot", project)


def test_an_empty_grid_axis_is_refused(project):
    (project.params / "strategies" / "x.yaml").write_text("question: Does an empty grid run?\ngrid: {fast: []}\n")
    with pytest.raises(ParamsRefused, match=r"params/strategies/x.yaml: .*grid.fast is empty"):
        load_strategy_params("x", project)


def test_a_strategys_sizing_changes_only_what_it_names():
    base = Settings().sizing
    changed = read_sizing(base, {"max_weight": 0.05}, "x")
    assert (changed.max_weight, changed.max_gross) == (0.05, base.max_gross)
    with pytest.raises(ParamsRefused, match=r"params/strategies/x.yaml: unknown key 'max_wait'"):
        read_sizing(base, {"max_wait": 1}, "x")


def test_a_written_but_empty_universe_is_not_everything(project):
    file = project.params / "strategies" / "sma_cross.yaml"
    file.write_text("question: Does an empty universe trade everything?\nuniverse: {symbols: []}\n")
    with pytest.raises(ParamsRefused, match=r"sma_cross.yaml: universe.symbols is empty; name at least one"):
        load_strategy_params("sma_cross", project)


def test_a_file_that_is_not_utf_8_is_named(project):
    (project.params / "base.yaml").write_bytes(b"market: sample # caf\xe9\n")
    with pytest.raises(ParamsRefused, match=r"base.yaml: byte 20 is not UTF-8"):
        load_settings(project)


def test_a_list_in_the_environment_that_is_not_json_is_refused(project, monkeypatch):
    monkeypatch.setenv("WORKBENCH_STRATEGIES", "sma_cross")
    with pytest.raises(ParamsRefused, match=r"environment: .*strategies.*written as JSON"):
        load_settings(project)


def test_a_key_of_a_strategy_that_is_no_word_is_named_with_its_line(project):
    (project.params / "strategies" / "x.yaml").write_text("question: Does a number name anything?\n1: 2\n")
    with pytest.raises(ParamsRefused, match=r"params/strategies/x.yaml: line 2: key '1' is read as a number"):
        load_strategy_params("x", project)


def test_an_infinite_number_is_refused_where_it_is_written(project):
    with pytest.raises(ParamsRefused, match=r"--set portfolio.cash=.inf: .*finite"):
        load_settings(project, ["portfolio.cash=.inf"])
