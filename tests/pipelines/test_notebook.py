"""Strict parameters: what is wrong with a notebook or a parameter is said before any kernel starts."""

import json
import re

import pytest

from workbench.errors import InputRefused, ParamsRefused
from workbench.notebook import read_notebook

ALL_TYPES = """
from typing import Literal
# a comment is welcome
name: str = "a"
count: int = -3
share: float = 0.5
on: bool = True
items: list[str] = ["x"]
sizes: dict[str, float] = {"a": 1.0}
end: str | None = None
mode: Literal["rolling", "anchored"] | None = "rolling"
must: int
"""


def test_every_plain_type_is_read_with_its_default(desk):
    parameters = desk.notebook(parameters=ALL_TYPES).parameters
    assert {name: p.annotation for name, p in parameters.items()} == {
        "name": "str",
        "count": "int",
        "share": "float",
        "on": "bool",
        "items": "list[str]",
        "sizes": "dict[str, float]",
        "end": "str | None",
        "mode": "Literal['rolling', 'anchored'] | None",
        "must": "int",
    }
    assert parameters["count"].default == -3
    assert parameters["sizes"].default == {"a": 1.0}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 7),
        ("share", 2),  # a whole number is a number
        ("on", False),
        ("items", ["a", "b"]),
        ("sizes", {"a": 0.1}),
        ("end", None),
        ("end", "2024-12-31"),
        ("mode", "anchored"),
        ("mode", None),
    ],
)
def test_a_value_of_the_right_type_passes(desk, name, value):
    desk.notebook(parameters=ALL_TYPES).check({"must": 1, name: value})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"must": 1, "coutn": 3}, "source.ipynb: unknown parameter 'coutn'. Did you mean 'count'?"),
        ({}, "source.ipynb: parameter 'must: int' has no default and was not given"),
        ({"must": "20"}, "source.ipynb: parameter 'must' is '20'; it must be int"),
        ({"must": True}, "source.ipynb: parameter 'must' is True; it must be int"),
        ({"must": 1.0}, "source.ipynb: parameter 'must' is 1.0; it must be int"),
        ({"must": None}, "source.ipynb: parameter 'must' is None; it must be int"),
        ({"must": 1, "share": "0.5"}, "source.ipynb: parameter 'share' is '0.5'; it must be float"),
        ({"must": 1, "on": 1}, "source.ipynb: parameter 'on' is 1; it must be bool"),
        ({"must": 1, "name": 5}, "source.ipynb: parameter 'name' is 5; it must be str"),
        ({"must": 1, "items": "x"}, "source.ipynb: parameter 'items' is 'x'; it must be list[str]"),
        ({"must": 1, "items": [1]}, "source.ipynb: parameter 'items' is [1]; it must be list[str]"),
        ({"must": 1, "mode": "daily"}, "'mode' is 'daily'; it must be Literal['rolling', 'anchored'] | None"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(desk, given, message):
    with pytest.raises(ParamsRefused, match=re.escape(message)):
        desk.notebook(parameters=ALL_TYPES).check(given)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("window = 20", "line 1: 'window = 20' is no annotated parameter; write name: type = default"),
        ("import pandas as pd", "'import pandas as pd' is no annotated parameter"),
        ("window: int = 20\nprint(window)", "line 2: 'print(window)' is no annotated parameter"),
        ("window: int = '20'", "the default of parameter 'window' is '20'; it must be int"),
        ("window: int = 4 * 5", "the default of parameter 'window' is not a plain value"),
        ("when: datetime = None", "parameter 'when' has type datetime; use str, int, float, bool, list, dict, Literal"),
        ("items: set[str] = None", "parameter 'items' has type set[str]"),
        ("window: int = (", "the parameters cell, line 1:"),
        ("api_key: str = ''", "parameter 'api_key' looks like a secret"),
        ("SLACK_TOKEN: str = ''", "parameter 'SLACK_TOKEN' looks like a secret"),
        ("password: str = ''", "read it from the environment instead"),
    ],
)
def test_a_parameters_cell_holds_nothing_but_annotated_plain_names(desk, source, message):
    with pytest.raises(ParamsRefused, match=re.escape(message)):
        _ = desk.notebook(parameters=source).parameters


def test_names_that_only_contain_a_secret_word_pass(desk):
    assert set(desk.notebook(parameters="keyword: str = ''\nmonkey: int = 1").parameters) == {"keyword", "monkey"}


def test_no_parameters_cell_is_an_error(desk):
    with pytest.raises(ParamsRefused, match="no cell tagged 'parameters'; tag exactly one, even an empty one"):
        _ = desk.notebook("x = 1", parameters=None).parameters


def test_two_parameters_cells_are_an_error(desk):
    file = desk.write("two", "x = 1")
    content = json.loads(file.read_text())
    content["cells"][2]["metadata"]["tags"] = ["parameters"]
    file.write_text(json.dumps(content))
    with pytest.raises(ParamsRefused, match="2 cells tagged 'parameters'"):
        _ = read_notebook(file).parameters


def test_an_empty_parameters_cell_takes_none(desk):
    assert desk.notebook(parameters="").parameters == {}


def test_a_missing_notebook_names_its_neighbour(desk):
    desk.write("walk_forward")
    with pytest.raises(InputRefused, match=r"no such notebook. Did you mean 'walk_forward.ipynb'\?"):
        read_notebook(desk.folder / "walk_forwrad.ipynb")


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"cells": 3}', '{"worksheets": []}'])
def test_a_file_that_is_no_notebook_is_refused(desk, text):
    (desk.folder / "x.ipynb").write_text(text)
    with pytest.raises(InputRefused, match="not a notebook in the format of version 4"):
        read_notebook(desk.folder / "x.ipynb")


def test_the_digest_is_of_what_a_person_wrote_and_not_of_outputs(desk):
    file = desk.write("a", "x = 1")
    before = read_notebook(file).digest
    content = json.loads(file.read_text())
    content["cells"][2] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "name": "stdout", "text": "1"}]}
    content["metadata"]["language_info"] = {"name": "python"}
    file.write_text(json.dumps(content))
    assert read_notebook(file).digest == before
    content["cells"][2]["source"] = "x = 2"
    file.write_text(json.dumps(content))
    assert read_notebook(file).digest != before


def test_a_source_written_as_lines_has_the_same_digest(desk):
    file = desk.write("a", "x = 1\ny = 2")
    before = read_notebook(file).digest
    content = json.loads(file.read_text())
    content["cells"][2]["source"] = ["x = 1\n", "y = 2"]
    file.write_text(json.dumps(content))
    assert read_notebook(file).digest == before
