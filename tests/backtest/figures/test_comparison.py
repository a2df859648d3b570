"""Several runs in one picture."""

from __future__ import annotations

import itertools

import pytest

from workbench.backtest import figures
from workbench.errors import InputRefused


def test_several_runs_are_compared_on_one_scale(walk_forward_of, texts):
    runs = [walk_forward_of("one", 1), walk_forward_of("two", 2, in_sample={}), walk_forward_of("three", 3)]
    shown = texts(figures.compare(runs))
    assert {"one", "two", "three", "benchmark", "0.87", "0.18 to 1.55", "−12.8 %"} <= set(shown)


def test_comparing_nothing_is_refused():
    with pytest.raises(InputRefused, match="give at least one"):
        figures.compare([])


def test_names_beside_the_lines_do_not_touch(walk_forward_of):
    figure = figures.compare([walk_forward_of(f"strategy_{number}", 1) for number in range(6)])
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 7
    assert all(low.y1 <= high.y0 + 1 for low, high in itertools.pairwise(boxes))
