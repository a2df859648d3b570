"""What a search adds to the trial ledger: every cell it measures, the failed and the pruned ones too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.backtest.trials import Ledger, Question, Receipt, record, record_failure
from workbench.search.crew import Batch
from workbench.search.problem import Measured, Problem, judged_rows


@dataclass(frozen=True)
class Counter:
    """Where the cells of one run are counted."""

    ledger: Ledger
    question: Question
    problem: Problem
    made_by: Mapping[str, Any]
    run_id: str
    source: str  # sweep or optuna

    def count(self, batch: Batch, found: Measured) -> Receipt:
        """Count a batch before it is kept; a cell that was counted before, in this run or another, is not again."""
        ledger, question, strategy = self.ledger, self.question, self.problem.strategy
        context: dict[str, Any] = {"made_by": self.made_by, "run_id": self.run_id}
        receipt = None
        for cell, error in zip(batch.cells, found.errors, strict=True):
            if error:
                receipt = record_failure(ledger, question, strategy, error, params=cell, **context)
        good = [place for place, error in enumerate(found.errors) if not error]
        if good:
            index = self.problem.bars.index[judged_rows(self.problem, found.folds)]
            returns = pd.DataFrame(found.returns[good].T, index=index)
            cells = [batch.cells[place] for place in good]
            receipt = record(ledger, question, strategy, cells, returns, source=self.source, **context)
        assert receipt is not None, "a batch has at least one cell"
        return receipt
