"""The best cell of a search is judged as one picked among all of them, less what the market gave."""

import numpy as np
import pandas as pd
import pytest

from workbench.backtest.trials import Ledger, Question, record
from workbench.search.luck import weigh

QUESTION = Question("Does the best of many worthless cells pass?", "sample")
DAYS = pd.bdate_range("2014-01-01", periods=2600)
MARKET = pd.Series(np.random.default_rng(99).normal(0.0008, 0.01, len(DAYS)), DAYS)  # a Sharpe ratio of 1.3 a year


def searched(folder, seed: int, clusters: int, each: int, held: float = 0.0) -> tuple[np.ndarray, Ledger]:
    """Worthless cells in clusters that correlate by 0.6 and all hold some of the market, all in a ledger."""
    random = np.random.default_rng(seed)
    common = np.repeat(random.normal(0.0, 1.0, (len(DAYS), clusters)), each, axis=1)
    cells = 0.01 * (np.sqrt(0.6) * common + np.sqrt(0.4) * random.normal(0.0, 1.0, common.shape))
    cells += held * MARKET.to_numpy()[:, None]
    ledger = Ledger(folder / f"trials-{seed}.db")
    frame = pd.DataFrame(cells, index=DAYS)
    record(ledger, QUESTION, "sma_cross", [{"cell": cell} for cell in range(clusters * each)], frame, source="sweep")
    return cells, ledger


@pytest.mark.parametrize("held", [0.0, 2.0])
def test_the_best_of_many_worthless_cells_does_not_pass(tmp_path, held):
    passed = raw = 0
    for seed in range(12):
        cells, ledger = searched(tmp_path, seed, clusters=3, each=60, held=held)
        best = cells[:, (cells.mean(axis=0) / cells.std(axis=0)).argmax()]
        found = weigh(pd.Series(best, DAYS), cells[:, ::20].T, MARKET, ledger, QUESTION)
        assert found.beta == pytest.approx(held, abs=0.1)
        passed += found.dsr >= 0.95
        raw += found.dsr_raw >= 0.95
    assert passed <= 1
    assert (raw == 12) == (held == 2.0)  # the market's premium alone


def test_a_cell_that_pays_passes_among_many(tmp_path):
    cells, ledger = searched(tmp_path, 50, clusters=3, each=20, held=0.5)
    own = cells[:, 0] - 0.5 * MARKET.to_numpy()
    paying = own - own.mean() + 0.01 * 1.5 / np.sqrt(252) + 0.5 * MARKET.to_numpy()  # a Sharpe ratio of 1.5 a year
    found = weigh(pd.Series(paying, DAYS), cells.T, MARKET, ledger, QUESTION)
    assert found.dsr > 0.99
    assert found.missing == {}


def test_a_cell_that_took_no_risk_says_so(tmp_path):
    cells, ledger = searched(tmp_path, 51, clusters=2, each=2)
    found = weigh(pd.Series(0.0, DAYS), cells.T, MARKET, ledger, QUESTION)
    assert found.dsr is None
    assert found.missing == {"dsr": "the cell took no risk in 2600 returns: it has no Sharpe ratio"}
