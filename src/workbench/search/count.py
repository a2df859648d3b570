"""What a search adds to the trial ledger: every cell it measures, the failed and the pruned ones too.

A cell of a grid is counted when it is measured. A trial of Optuna is counted when it ends, with the returns of all that
it was judged on: a trial that was counted after its first stage would keep those returns for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.backtest.trials import Ledger, Question, Receipt, keys_of, record, record_failure
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

    def count(self, batch: Batch, found: Measured, *, again: bool = False) -> Receipt | None:
        """Count a batch, and return the last receipt; a cell that was counted before is not counted twice.

        What was judged on some of the training windows is another trial than the whole: it has other returns. ``again``
        says that a run goes on, and may have counted these cells itself: those it leaves out.
        """
        ledger, question, strategy = self.ledger, self.question, self.problem.strategy
        some = {} if batch.folds == len(self.problem.folds) else {"windows": batch.folds}
        made_by = {**self.made_by, **some}
        context: dict[str, Any] = {"made_by": made_by, "run_id": self.run_id}
        places = list(range(len(batch.cells)))
        if again:
            keys = [
                keys_of(question, strategy, [cell], {**made_by, "error": error} if error else made_by)[0]
                for cell, error in zip(batch.cells, found.errors, strict=True)
            ]
            known = ledger.known(keys)
            places = [place for place in places if keys[place] not in known]
        receipt = None
        for place in places:
            if error := found.errors[place]:
                receipt = record_failure(ledger, question, strategy, error, params=batch.cells[place], **context)
        good = [place for place in places if not found.errors[place]]
        if good:
            index = self.problem.bars.index[judged_rows(self.problem, found.folds)]
            returns = pd.DataFrame(found.returns[good].T, index=index)
            cells = [batch.cells[place] for place in good]
            receipt = record(ledger, question, strategy, cells, returns, source=self.source, **context)
        return receipt
