"""The robustness card as a picture: every row by name, with the share that it keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.backtest import figures
from workbench.backtest.robustness.card import Robustness, Variant


def variant(group: str, name: str, sharpe: float, kept: float) -> Variant:
    return Variant(group, name, "", sharpe, 0.05, -0.1, kept, 252)


CARD = Robustness(
    variant("", "as traded", 0.87, 1.0),
    (
        variant("costs", "3× costs", 0.52, 0.60),
        variant("delay", "traded one bar later", -0.15, -0.17),
        variant("regimes", "in high volatility", 0.44, 0.51),
        variant("years", "2016", 1.23, 1.41),
    ),
)


def test_each_row_has_its_name_and_what_it_keeps(walk_forward_made, texts):
    found = texts(figures.robustness(replace(walk_forward_made, robustness=CARD)))
    for text in ("Costs", "3× costs", "60 %", "traded one bar later", "−17 %", "Calendar years", "2016", "1.23"):
        assert text in found, text
    assert found.count("as traded 0.87") == 2
    assert "One parameter step" not in found  # no row, no title
    assert "141 %" not in found  # a year is too short for a share


def test_losses_wear_another_colour(walk_forward_made):
    figure = figures.robustness(replace(walk_forward_made, robustness=CARD))
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [dot.get_color() for dot in dots] == [figures.STYLE["gain"], figures.STYLE["loss"]]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [0.52, -0.15]


@pytest.mark.parametrize("base", [-0.4, float("nan")])
def test_a_base_that_earned_nothing_is_drawn_with_the_ratios_themselves(walk_forward_made, texts, base):
    rows = (variant("costs", "2× costs", -0.55, float("nan")),)
    card = Robustness(variant("", "as traded", base, float("nan")), rows)
    figure = figures.robustness(replace(walk_forward_made, robustness=card))
    assert "−0.55" in texts(figure)
    assert figures.png(figure).startswith(b"\x89PNG")


def test_a_result_without_a_card_says_how_to_make_one(walk_forward_made, texts):
    assert "No robustness card was made of this result." in texts(figures.robustness(walk_forward_made))
