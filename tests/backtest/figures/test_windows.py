"""The scores of the folds."""

from __future__ import annotations

from workbench.backtest import figures


def test_folds_name_their_scores_means_and_parameters(walk_forward_made, texts):
    shown = texts(figures.folds(walk_forward_made))
    # (0.9 + 1.4 - 0.5 + 1.1 + 0.3 + 1.7 + 0.6 + 0.8) / 8 = 0.7875
    assert "in test\nmean 0.79" in shown
    assert "−0.5" in shown
    assert "2022-01\nfast 50\nslow 200" in shown
