import pytest

from workbench.errors import InputRefused, ParamsRefused, StrategyRefused
from workbench.params import StrategyParams
from workbench.search.grid import corners, read_axis, read_grid
from workbench.strategies import catalog

PARAMS = StrategyParams(
    question="Does it pay, after costs?", params={"fast": 20, "slow": 100}, grid={"fast": [10, 20], "slow": [100]}
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fast=5:20:5", [5, 10, 15, 20]),
        ("fast=5:19:5", [5, 10, 15]),
        ("fast=7:7:1", [7]),
        ("fast=[50, 100,200]", [50, 100, 200]),
        ("fast=50,100", [50, 100]),
        ("fast=50", [50]),
        # In binary, 0.1 + 0.1 + 0.1 is more than 0.3.
        ("fast=0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("fast=[null, 0.4]", [None, 0.4]),
        ("fast=[calm, wild]", ["calm", "wild"]),
        ('fast=["09:30", "16:00"]', ["09:30", "16:00"]),
        ("fast='09:30',late", ["09:30", "late"]),
    ],
)
def test_an_axis_is_a_range_with_its_end_or_a_list(text, values):
    assert read_axis(text) == ("fast", values)
    assert [type(value) for value in read_axis(text)[1]] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("fast", "--grid fast: no values; write --grid fast=5:60:5"),
        ("fast=", "no values"),
        ("=5:60:5", "no values"),
        ("fast=60:5:5", "begins at 60, above its end 5; swap them"),
        ("fast=5:60:0", "the step is 0; it must be above 0"),
        ("fast=5:60:-5", "the step is -5"),
        ("fast=5:x:5", "a range is three numbers"),
        ("fast=5:nan:5", "three finite numbers"),
        ("fast=[]", "the list is empty"),
        # YAML 1.1 reads these as numbers to the base of 60: 2:50 would be 170.
        ("slow=2:50", "--grid slow=2:50: the step is missing; write --grid fast=5:60:5 (from:to:step) or"),
        ("fast=5:20", "the step is missing"),
        ("slow=1:2:3:4", "a range is three numbers, without brackets; write --grid fast=5:60:5 (from:to:step)"),
        ("slow=[2:50, 100]", "the step is missing"),
        ("slow=[5:60:5]", "a range is three numbers, without brackets"),
        ("slow=5:60:5,100", "a range is three numbers"),
        ("fast=[1, [2]]", "not a plain list"),
        ("fast=[1, 2", "not a list"),
        ("fast=[010, 20]", "010 would be read as a number to base 8"),
        ("fast=1:9999999:1", "9,999,999 values"),
    ],
)
def test_an_axis_that_makes_no_sense_is_refused_in_one_line(text, error):
    with pytest.raises(InputRefused) as refused:
        read_axis(text)
    assert error in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_axis_from_the_command_line_takes_the_place_of_the_files_own():
    assert read_grid("sma_cross", PARAMS, ["slow=[150, 200]"]) == {"fast": [10, 20], "slow": [150, 200]}


def test_an_unknown_parameter_names_the_nearest():
    with pytest.raises(StrategyRefused, match=r"unknown parameter 'fsat'\. Did you mean 'fast'\?"):
        read_grid("sma_cross", PARAMS, ["fsat=5:10:5"])


def test_a_value_of_another_type_is_refused_even_where_other_values_fit():
    with pytest.raises(StrategyRefused, match=r"'fast' is 5\.5, it must be int"):
        read_grid("sma_cross", PARAMS, ["fast=[5, 5.5]"])


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["fast=1:3:1", "fast=[9]"], "'fast' is given twice"),
        (["fast=[3, 4, 3]"], "'fast' has 3 twice"),
        (["fast=[3]"], "the grid has 1 cell, there is nothing to search"),
    ],
)
def test_a_grid_without_a_choice_or_with_one_twice_is_refused(texts, error):
    with pytest.raises(ParamsRefused, match=error):
        read_grid("sma_cross", PARAMS, texts)


def test_a_grid_that_nobody_waits_for_is_refused_with_its_count():
    with pytest.raises(InputRefused, match="4,000,000 cells are more than 2,000,000"):
        read_grid("sma_cross", PARAMS, ["fast=1:2000:1", "slow=1:2000:1"])


def test_ten_thousand_million_cells_are_counted_before_their_values_are_looked_at(monkeypatch):
    looked: list[str] = []
    check = catalog.check_params
    monkeypatch.setattr(catalog, "check_params", lambda name, params: (looked.extend(params), check(name, params)))
    wide = ["fast=1:100000:1", "slow=1:100000:1"]
    with pytest.raises(InputRefused, match="10,000,000,000 cells are more than 2,000,000, the most a grid may have"):
        read_grid("sma_cross", PARAMS, wide)
    assert looked == ["fast", "slow"]
    # Nor does a search by trials look at each of a range's whole numbers.
    assert len(read_grid("sma_cross", PARAMS, wide, most=10**18)["slow"]) == 100_000
    assert len(looked) == 6
    with pytest.raises(StrategyRefused, match="unknown parameter 'fsat'"):
        read_grid("sma_cross", PARAMS, ["fsat=1:100000:1", "slow=1:100000:1"])


def test_corners_keep_the_ends_of_numbers_and_every_word():
    assert corners({"a": [3, 1, 2], "b": [None, 0.5, 0.1], "c": ["x", "y"]}) == {
        "a": [1, 3],
        "b": [0.1, 0.5, None],
        "c": ["x", "y"],
    }
