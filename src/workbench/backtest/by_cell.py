"""In a notebook, what a cell walked forward is counted when the cell has ended, unless the cell counted it itself."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, ParamSpec

from workbench.backtest.result import WalkForward
from workbench.errors import WorkbenchError
from workbench.params import Paths

P = ParamSpec("P")
# By the identity of its cells' returns: what is replaced in a result, such as its robustness, leaves them the same.
_made: dict[int, WalkForward] = {}
_failed: list[tuple[str, str, str, str]] = []  # strategy, question, market, error


def counted_in_notebooks(function: Callable[P, WalkForward]) -> Callable[P, WalkForward]:
    """Have every walk-forward of a function counted at the end of the notebook's cell that asked for it.

    One that raises counts as a failed run; what refuses its input was no trial. Outside of notebooks nothing happens.
    """

    @functools.wraps(function)
    def whole(*args: P.args, **kwargs: P.kwargs) -> WalkForward:
        shell = _shell()
        if shell is None:
            return function(*args, **kwargs)
        if _count not in shell.events.callbacks["post_run_cell"]:
            shell.events.register("post_run_cell", _count)
        try:
            made = function(*args, **kwargs)
        except WorkbenchError:
            raise
        except Exception as error:
            asked = inspect.signature(function).bind(*args, **kwargs).arguments
            text = f"{type(error).__name__}: {error}"
            _failed.append((asked["name"], asked["params"].question, asked["bars"].market, text))
            raise
        _made[id(made.cell_returns)] = made
        return made

    return whole


def is_counted(wf: WalkForward) -> None:
    """Take note that a walk-forward was counted by whoever made it, with its robustness added or without."""
    _made.pop(id(wf.cell_returns), None)


def _shell() -> Any:
    """Return the notebook's shell, None where no notebook runs; IPython is not loaded to find that out."""
    library = sys.modules.get("IPython")
    return None if library is None else library.get_ipython()


def _count(*_: Any) -> None:
    """Count what the cell that has just ended left uncounted, and say so in its output."""
    # Imported here: the ledger's rows are made of walk-forwards, and tell this file what was counted.
    from workbench.backtest.trials import Ledger, Question, record_failure, record_walk_forward

    made, failed = list(_made.values()), list(_failed)
    _made.clear()
    _failed.clear()
    try:
        for wf in made:
            receipt = record_walk_forward(Ledger(Paths().trials), wf, source="notebook")
            _say(f"{wf.strategy}: {receipt.added} trials counted; its question has {receipt.trials} in all")
        for strategy, question, market, error in failed:
            record_failure(Ledger(Paths().trials), Question(question, market), strategy, error)
    except WorkbenchError as error:
        _say(f"not counted as trials: {error}")


def _say(text: str) -> None:
    print(text)  # noqa: T201 (the output of the cell)
