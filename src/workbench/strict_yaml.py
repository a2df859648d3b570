"""YAML as a person writes parameters: a mapping, no key twice, and one line that says where a file is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from workbench.errors import ParamsRefused
from workbench.paths import Paths


def read_yaml(file: Path, paths: Paths) -> dict[str, Any]:
    """Return a YAML mapping, or say where the file is wrong."""
    name = paths.short(file)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_StrictLoader)  # noqa: S506 (a SafeLoader)
    except FileNotFoundError as error:
        raise ParamsRefused(f"{name}: no such file; git checkout {name} brings it back") from error
    except UnicodeDecodeError as error:
        raise ParamsRefused(f"{name}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise ParamsRefused(f"{name}: line {line}: {problem}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParamsRefused(f"{name}: expected 'key: value' lines, found a {type(content).__name__}")
    return content


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where YAML would keep the last, and numbers to base 60."""


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is written twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node)


def _number(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    """Return a number; YAML reads 2:50 as one to base 60, which nobody means."""
    if ":" in node.value:
        problem = f"{node.value} would be read as a number to base 60; put it in quotes, or write a list"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    whole = node.tag.endswith("int")
    return loader.construct_yaml_int(node) if whole else loader.construct_yaml_float(node)


for _kind in ("int", "float"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _number)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)
