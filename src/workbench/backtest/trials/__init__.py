"""The trial ledger: everything that was tried for a research question, so that the best of it can be judged."""

from workbench.backtest.trials.chain import Chain
from workbench.backtest.trials.clusters import Effective
from workbench.backtest.trials.ledger import Covering, Ledger, Receipt
from workbench.backtest.trials.lost import Loss
from workbench.backtest.trials.question import Question, source_digest
from workbench.backtest.trials.rows import keys_of, record, record_failure, record_ratios, record_walk_forward
from workbench.backtest.trials.tried import count_trials
from workbench.backtest.trials.weeks import Weekly, by_week

__all__ = [
    "Chain",
    "Covering",
    "Effective",
    "Ledger",
    "Loss",
    "Question",
    "Receipt",
    "Weekly",
    "by_week",
    "count_trials",
    "keys_of",
    "record",
    "record_failure",
    "record_ratios",
    "record_walk_forward",
    "source_digest",
]
