"""The look-ahead guard: no row may use what was not known at its time. docs/lookahead.md explains.

>>> from workbench.backtest import lookahead
>>> print(lookahead.examine(strategy, bars))
"""

from workbench.backtest.lookahead.examine import examine
from workbench.backtest.lookahead.finding import LOOK_AHEAD, MEANING, Check, Finding, Report
from workbench.backtest.lookahead.joins import examine_join
from workbench.backtest.lookahead.replay import Depth
from workbench.backtest.lookahead.survey import survey_feature, survey_strategy

__all__ = [
    "LOOK_AHEAD",
    "MEANING",
    "Check",
    "Depth",
    "Finding",
    "Report",
    "examine",
    "examine_join",
    "survey_feature",
    "survey_strategy",
]
