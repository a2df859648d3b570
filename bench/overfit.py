"""How fast overfitting is measured: the probability of overfitting beside a plain loop, and a ledger of many trials.

    python bench/overfit.py --columns 100 --splits 16 --trials 100000

The loop cuts, joins and sums the blocks of every combination anew, as the paper writes it down.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from figure import report, seconds

from workbench.backtest.overfit import pbo
from workbench.backtest.trials import Ledger, Question, record

QUESTION = Question("How long does it take to count what was tried?", "sample")


def loop(returns: np.ndarray, splits: int) -> float:
    """Return the probability of overfitting, combination by combination."""
    blocks = np.array_split(returns, splits)
    low = 0
    combinations = list(itertools.combinations(range(splits), splits // 2))
    for inside in combinations:
        train = np.vstack([blocks[number] for number in inside])
        test = np.vstack([blocks[number] for number in range(splits) if number not in inside])
        best = int(np.argmax(train.mean(axis=0) / train.std(axis=0, ddof=1)))
        scores = test.mean(axis=0) / test.std(axis=0, ddof=1)
        rank = int((scores < scores[best]).sum()) + 1
        low += rank / (len(scores) + 1) <= 0.5
    return low / len(combinations)


def measure_pbo(rows: int, columns: int, splits: int, repeats: int) -> None:
    """Print the time of one probability, beside the loop."""
    returns = np.random.default_rng(0).normal(0.0, 0.01, (rows - rows % splits, columns))
    assert pbo(returns, splits).probability == loop(returns, splits)
    own = seconds(lambda: pbo(returns, splits), repeats)
    peer = seconds(lambda: loop(returns, splits), 1)
    report("pbo", own, "numpy_loop", peer, {"rows": rows, "columns": columns, "splits": splits})


def measure_ledger(trials: int, families: int, rows: int) -> None:
    """Print the time to record, cluster and verify many trials, which grow in ten batches."""
    random = np.random.default_rng(0)
    days = pd.bdate_range("2015-01-01", periods=rows)
    factors = random.normal(0.0, 0.01, (rows, families))
    each, size = max(1, trials // 10), {"trials": trials, "rows": rows, "families": families}
    with tempfile.TemporaryDirectory() as folder:
        ledger, taken = Ledger(Path(folder) / "trials.db"), 0.0
        for batch in range(10):
            own = factors[:, random.integers(0, families, each)] + random.normal(0.0, 0.004, (rows, each))
            cells = [{"batch": batch, "cell": cell} for cell in range(each)]
            append = partial(record, ledger, QUESTION, "sma_cross", cells, pd.DataFrame(own, days), source="sweep")
            taken += seconds(append, 1)
        report("ledger_record", taken, None, None, size)
        report("ledger_effective", seconds(lambda: ledger.effective(QUESTION), 3), None, None, size)
        assert ledger.effective(QUESTION).trials == families
        report("ledger_expected_best", seconds(lambda: ledger.expected_best(QUESTION), 3), None, None, size)
        report("ledger_verify", seconds(ledger.verify, 1), None, None, size)


def main() -> None:
    """Measure at the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--splits", type=int, default=8)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--families", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    measure_pbo(options.rows, options.columns, options.splits, options.repeats)
    measure_ledger(options.trials, options.families, options.rows)


if __name__ == "__main__":
    main()
