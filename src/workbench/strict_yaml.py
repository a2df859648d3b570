"""YAML as a person writes parameters: words as keys, none twice, and one line that says what is wrong and where."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import ParamsRefused
from workbench.paths import Paths


def read_yaml(file: Path, paths: Paths) -> dict[str, Any]:
    """Return a YAML mapping, or say where the file is wrong."""
    name = paths.short(file)
    try:
        content = read_value(file.read_text(encoding="utf-8"), name)
    except FileNotFoundError as error:
        raise ParamsRefused(f"{name}: no such file; git checkout {name} brings it back") from error
    except UnicodeDecodeError as error:
        raise ParamsRefused(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParamsRefused(f"{name}: expected 'key: value' lines, found a {type(content).__name__}")
    return content


def read_value(text: str, name: str) -> Any:
    """Return what a text of YAML says; an error names where it came from, and the line where there are several."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None and "\n" in text else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ParamsRefused(f"{name}: {line}{problem}") from error


def mistaken(written: Any, taken: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give where a model took what was written for something else: true and false for a number, a number for a date."""
    if isinstance(written, Mapping):
        inside = taken if isinstance(taken, Mapping) else vars(taken) if hasattr(taken, "__dict__") else {}
        for key, value in written.items():
            if key in inside:
                yield from mistaken(value, inside[key], (*at, key))
    elif isinstance(written, (list, tuple)) and isinstance(taken, (list, tuple)):
        for number, (value, each) in enumerate(zip(written, taken, strict=False)):
            yield from mistaken(value, each, (*at, str(number)))
    elif isinstance(written, bool) and not isinstance(taken, bool):
        yield at, f"is {str(written).lower()}, it must be a number; yes and on are read as true, no and off as false"
    elif isinstance(taken, date) and _NUMBER.fullmatch(str(written)):
        yield at, f"is the number {written}; {write_date(isinstance(taken, datetime))}"


def write_date(time: bool) -> str:
    """Return how a date is written, or a moment."""
    return "write a moment as 2024-12-31T22:00:00Z" if time else "write a date as 2024-12-31"


def not_a_word(problem: str, kind: str, origin: str, optional: bool) -> str:
    """Return a model's complaint about true or false with what to write instead: by its kind a word or a number."""
    problem += "; on, off, yes and no are read as true and false"
    if kind == "string_type":
        key, _, word = origin.removeprefix("--set ").partition("=")
        # The shell that make starts takes quotes away.
        by_make = f", with make SET='{key}=\\\"{word}\\\"'" if origin.startswith("--set ") and word.isalpha() else ""
        return f"{problem}: put a word in quotes{by_make}"
    if kind.startswith(("greater_than", "less_than", "int_", "float_")):
        return f"{problem}: write a number{', or null for none' if optional else ''}"
    return problem


_NUMBER = re.compile(r"[-+]?[\d._]+")
# What YAML reads words as.
_KINDS = {bool: "true or false", type(None): "nothing", int: "a number", float: "a number", date: "a date"}


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses what nobody means: a key written twice or read as no text, numbers to base 60 and 8.

    YAML would keep the last of two keys, take ``on`` for true, 2:50 for 170 and 010 for 8.
    """


def _mapping_of_words(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refused("a key must be a word; braces within braces are no value", key_node)
        key = loader.construct_object(key_node)
        if not isinstance(key, str):
            kind = _KINDS.get(type(key), "something else")
            raise _refused(f"key '{key_node.value}' is read as {kind}, not as a word; put it in quotes", key_node)
        if key in seen:
            raise _refused(f"key '{key}' is written twice", key_node)
        seen.add(key)
    return loader.construct_mapping(node)


def _number(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    """Return a number; YAML reads 2:50 as one to base 60 and 010 as one to base 8, which nobody means."""
    whole = node.tag.endswith("int")
    if ":" in node.value:
        raise _refused(f"{node.value} would be read as a number to base 60; put it in quotes, or write a list", node)
    if whole and re.fullmatch(r"[-+]?0[0-7_]+", node.value):
        raise _refused(
            f"{node.value} would be read as a number to base 8; write it without the 0 in front, a symbol in quotes",
            node,
        )
    try:
        return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)
    except ValueError as error:
        raise _refused("a number that cannot be read", node) from error


def _moment(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except (ValueError, OverflowError) as error:
        raise _refused(f"{node.value} is no date: {error}", node) from error


def _refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


for _kind in ("int", "float"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_of_words)
_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", _moment)
