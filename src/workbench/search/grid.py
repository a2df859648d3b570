"""The grid that is searched: the strategy's own, with axes from the command line in their place.

>>> read_axis("fast=5:20:5")
('fast', [5, 10, 15, 20])
>>> read_axis("slow=[50, 100, 200]")
('slow', [50, 100, 200])
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from workbench.errors import InputRefused, ParamsRefused
from workbench.params import StrategyParams, read_value
from workbench.strategies import catalog

# What nobody waits for, and no table holds.
MOST_CELLS = 2_000_000
_QUOTED = re.compile(r""" "(?:\\.|[^"\\])*" | '[^']*' """, re.VERBOSE)
WRITE = "write --grid fast=5:60:5 (from:to:step) or --grid slow=[50,100,200]"

Grid = Mapping[str, list[Any]]


def read_grid(
    strategy: str, params: StrategyParams, texts: Sequence[str] = (), *, most: int = MOST_CELLS
) -> dict[str, list[Any]]:
    """Return the strategy's grid with each axis of ``texts`` in its place, every value checked by name and type."""
    grid, named = dict(params.grid), set()
    for text in texts:
        name, values = read_axis(text)
        if name in named:
            raise ParamsRefused(f"--grid {text}: '{name}' is given twice; give each parameter once")
        named.add(name)
        grid[name] = values
    for name, values in grid.items():
        catalog.check_params(strategy, {name: values[0]})
    # Counted before every value is looked at: that would take longer than anybody waits for a refusal.
    if count(grid) > most:
        raise InputRefused(
            f"{strategy}: {count(grid):,} cells are more than {most:,}, the most a grid may have; "
            "take larger steps, or search with --trials 500"
        )
    for name, values in grid.items():
        for value in {type(value): value for value in reversed(values)}.values():  # a value is checked by its type
            catalog.check_params(strategy, {name: value})
        seen = [str(value) for value in values]
        twice = next((value for value in seen if seen.count(value) > 1), None) if len(set(seen)) < len(seen) else None
        if twice is not None:
            raise ParamsRefused(f"{strategy}: the grid's '{name}' has {twice} twice; name each value once")
    if count(grid) < 2:
        raise ParamsRefused(
            f"{strategy}: the grid has {count(grid)} cell, there is nothing to search; {WRITE}, "
            f"or fill 'grid' in params/strategies/{strategy}.yaml"
        )
    return grid


def read_axis(text: str) -> tuple[str, list[Any]]:
    """Return the name and the values of ``name=from:to:step`` or ``name=[a,b,c]``."""
    name, equals, values = (part.strip() for part in text.partition("="))
    if not (name and equals and values):
        raise ParamsRefused(f"--grid {text}: no values; {WRITE}")
    parts = values.split(":")
    if len(parts) == 3 and "[" not in values:
        return name, _range(text, parts)
    if ":" in _QUOTED.sub("", values):  # YAML takes 2:50 for 170, two minutes and fifty seconds
        wrong = "the step is missing" if len(parts) == 2 else "a range is three numbers, without brackets"
        raise ParamsRefused(f"--grid {text}: {wrong}; {WRITE}")
    try:
        read = read_value(
            values if values.startswith("[") else f"[{values}]", f"--grid {text}: not a list as YAML reads it"
        )
    except ParamsRefused as error:
        raise ParamsRefused(f"{error}; {WRITE}") from error
    if not isinstance(read, list) or any(isinstance(value, (list, dict)) for value in read):
        raise ParamsRefused(f"--grid {text}: not a plain list; {WRITE}")
    if not read:
        raise ParamsRefused(f"--grid {text}: the list is empty; {WRITE}")
    return name, read


def count(grid: Grid) -> int:
    """Return the number of combinations, those included that the strategy will refuse."""
    return math.prod(len(values) for values in grid.values()) if grid else 1


def corners(grid: Grid) -> dict[str, list[Any]]:
    """Return the grid of its extreme values: the first and the last number of each axis, and all other values."""
    found = {}
    for name, values in grid.items():
        numbers = [value for value in values if is_number(value)]
        ends = [min(numbers), max(numbers)] if numbers else []
        found[name] = list(dict.fromkeys([*ends, *(value for value in values if not is_number(value))]))
    return found


def is_number(value: Any) -> bool:
    """Return whether a value has an order: true and false are words here."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def _range(text: str, parts: Sequence[str]) -> list[Any]:
    try:
        first, last, step = (Decimal(part.strip()) for part in parts)
    except InvalidOperation as error:
        raise ParamsRefused(f"--grid {text}: a range is three numbers; {WRITE}") from error
    if not all(number.is_finite() for number in (first, last, step)):
        raise ParamsRefused(f"--grid {text}: a range is three finite numbers; {WRITE}")
    if step <= 0:
        raise ParamsRefused(f"--grid {text}: the step is {step}; it must be above 0")
    if first > last:
        raise ParamsRefused(f"--grid {text}: the range begins at {first}, above its end {last}; swap them")
    many = int((last - first) / step) + 1
    if many > MOST_CELLS:
        raise InputRefused(f"--grid {text}: {many:,} values, more than {MOST_CELLS:,} cells; take a larger step")
    whole = all("." not in part and "e" not in part.lower() for part in parts)
    if whole:
        return list(range(int(first), int(last) + 1, int(step)))
    return [float(first + step * place) for place in range(many)]
