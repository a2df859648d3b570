"""Several runs in one picture."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from workbench.backtest import figures
from workbench.errors import InputRefused


def test_several_runs_are_compared_on_one_scale(walk_forward_of, texts):
    runs = [walk_forward_of("one", 1), walk_forward_of("two", 2, in_sample={}), walk_forward_of("three", 3)]
    shown = texts(figures.compare(runs))
    assert {"one", "two", "three", "benchmark", "0.87", "0.18 to 1.55", "−12.8 %"} <= set(shown)


def test_a_picture_of_runs_over_other_dates_says_so(walk_forward_of, texts):
    one, two = walk_forward_of("one", 1), walk_forward_of("two", 2)
    cut = replace(two.simulation, returns=two.simulation.returns.iloc[40:], equity=two.simulation.equity.iloc[40:])
    later = replace(two, simulation=cut, benchmark=two.benchmark.iloc[40:])
    said = "not all over the same dates"
    assert any(said in text for text in texts(figures.compare([one, later])))
    assert not any(said in text for text in texts(figures.compare([one, two])))


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
