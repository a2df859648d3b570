"""The scores of the grid, and what was chosen from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from workbench.backtest import figures


def test_the_heat_map_shows_every_score_and_what_was_chosen(walk_forward_made, texts):
    shown = [text.strip() for text in texts(figures.heat_map(walk_forward_made))]
    for score in ("0.90  ×4", "0.70  ×2", "0.60  ×1", "0.80  ×1", "−0.20", "1.30  ×4"):
        assert score in shown
    assert {"fast", "slow", "10", "20", "50", "100", "150", "200"} <= set(shown)


def test_a_grid_of_one_parameter_is_a_line_with_its_choices(walk_forward_made, texts):
    cells = pd.DataFrame(
        {"window": [10, 5, 20], "train_score": [0.5, 0.8, 0.7], "test_score": [0.2, np.nan, 0.6], "chosen": [1, 0, 7]}
    )
    shown = texts(figures.heat_map(replace(walk_forward_made, cells=cells)))
    assert list(dict.fromkeys(text for text in shown if text in ("5", "10", "20"))) == ["5", "10", "20"]
    assert "chosen 7×" in shown
    assert "chosen 0×" not in shown


def test_a_grid_of_three_parameters_shows_the_two_that_matter_and_says_what_it_averages(walk_forward_made, texts):
    rows = [(a, b, c) for a in (1, 2) for b in ("low", "high") for c in (True, False)]
    cells = pd.DataFrame(rows, columns=["size", "level", "hedge"])
    cells = cells.assign(train_score=0.0, chosen=[8, 0, 0, 0, 0, 0, 0, 0])
    cells["test_score"] = cells["size"] * 1.0 + (cells["level"] == "high") * 0.4 + cells["hedge"] * 0.1
    shown = " ".join(texts(figures.heat_map(replace(walk_forward_made, cells=cells))))
    assert "mean over hedge" in shown
    # size 1, level low: the mean of 1.1 (hedged, chosen 8 times) and 1.0
    assert "1.05  ×8" in shown


def test_a_grid_of_one_cell_explains_that_there_was_nothing_to_choose(walk_forward_made, texts):
    shown = texts(figures.heat_map(replace(walk_forward_made, cells=walk_forward_made.cells.head(1))))
    assert "Nothing to choose: the grid has one cell." in shown
    assert "fast 20, slow 150" in shown


def test_a_cell_that_never_traded_is_left_blank(walk_forward_made, texts):
    cells = walk_forward_made.cells.assign(test_score=[np.nan] * 3 + [0.5] * 6, train_score=[np.inf] * 3 + [0.5] * 6)
    assert texts(figures.heat_map(replace(walk_forward_made, cells=cells))).count("–") == 6


def test_a_large_grid_drops_the_numbers_but_keeps_the_marks(walk_forward_made, texts):
    cells = pd.DataFrame([(a, b) for a in range(15) for b in range(15)], columns=["one", "two"])
    cells = cells.assign(train_score=0.1, test_score=0.123, chosen=0)
    assert "0.12" not in texts(figures.heat_map(replace(walk_forward_made, cells=cells)))
