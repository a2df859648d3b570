"""The best cell of a search is judged as one that was picked among all of them."""

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.overfit import deflated_sharpe
from workbench.backtest.trials import Ledger, Question, record
from workbench.search.luck import weigh

QUESTION = Question("Does the best of many worthless cells pass?", "sample")
DAYS = pd.bdate_range("2014-01-01", periods=2600)


def searched(folder, seed: int, clusters: int, each: int) -> tuple[np.ndarray, Ledger]:
    """Worthless cells in clusters that correlate by 0.6, all in a ledger."""
    random = np.random.default_rng(seed)
    common = np.repeat(random.normal(0.0, 1.0, (len(DAYS), clusters)), each, axis=1)
    cells = 0.01 * (np.sqrt(0.6) * common + np.sqrt(0.4) * random.normal(0.0, 1.0, common.shape))
    ledger = Ledger(folder / f"trials-{seed}.db")
    frame = pd.DataFrame(cells, index=DAYS)
    record(ledger, QUESTION, "sma_cross", [{"cell": cell} for cell in range(clusters * each)], frame, source="sweep")
    return cells, ledger


def test_the_best_of_many_worthless_cells_does_not_pass(tmp_path):
    passed = 0
    for seed in range(12):
        cells, ledger = searched(tmp_path, seed, clusters=3, each=60)
        best = cells[:, (cells.mean(axis=0) / cells.std(axis=0)).argmax()]
        found = weigh(best, cells[:, ::20].T, ledger, QUESTION)
        assert found.bets < 180
        passed += found.dsr >= 0.95
    assert passed <= 1


def test_a_cell_that_pays_passes_among_many(tmp_path):
    cells, ledger = searched(tmp_path, 50, clusters=3, each=20)
    paying = cells[:, 0] - cells[:, 0].mean() + 0.01 * 2.0 / np.sqrt(252)  # a Sharpe ratio of 2 a year
    found = weigh(paying, cells.T, ledger, QUESTION)
    assert found.dsr > 0.99
    sharpe = paying.mean() / paying.std(ddof=1)
    skew, kurtosis = pd.Series(paying).skew(), pd.Series(paying).kurtosis() + 3.0
    assert found.dsr == pytest.approx(deflated_sharpe(sharpe, 2600, skew, kurtosis, 60, 1.0 / 2599), abs=1e-4)
