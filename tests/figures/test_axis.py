"""Ticks that people can read."""

from __future__ import annotations

import pytest

from workbench.figures.axis import growth_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 2.2, [1.0, 1.5, 2.0]),
        (0.95, 5.5, [1.0, 2.0, 5.0]),
        (0.8, 120.0, [1.0, 10.0, 100.0]),
        (0.99, 1.01, [1.0]),
    ],
)
def test_ticks_of_growth_are_round_multiples(low, high, expected):
    ticks = growth_ticks(low, high)
    assert 3 <= len(ticks) <= 10
    assert all(low <= tick <= high for tick in ticks)
    assert set(expected) <= set(ticks)
