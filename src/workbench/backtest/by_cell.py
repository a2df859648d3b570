"""In a notebook, what a cell walked forward is counted when the cell has ended, unless the cell counted it itself."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec

from workbench.backtest.result import WalkForward
from workbench.backtest.text import counted
from workbench.errors import WorkbenchError
from workbench.params import Paths

P = ParamSpec("P")


@dataclass(frozen=True)
class _Failed:
    """A walk-forward that raised or was stopped, and what was asked by it."""

    error: BaseException
    strategy: str
    question: str
    market: str

    @property
    def text(self) -> str:
        return f"{type(self.error).__name__}: {self.error}".removesuffix(": ")


# By the identity of its cells' returns: what is replaced in a result, such as its robustness, leaves them the same.
_made: dict[int, WalkForward] = {}
_failed: list[_Failed] = []


def counted_in_notebooks(function: Callable[P, WalkForward]) -> Callable[P, WalkForward]:
    """Have every walk-forward of a function counted at the end of the notebook's cell that asked for it.

    One that raises or is stopped counts as a failed run; what refuses its input was no trial, and neither was what had
    no question or no market. Outside of notebooks nothing happens.
    """
    signature = inspect.signature(function)

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
        except BaseException as error:
            if (failed := _failed_of(error, signature, args, kwargs)) is not None:
                _failed.append(failed)
            raise
        _made[id(made.cell_returns)] = made
        return made

    return whole


def _failed_of(
    error: BaseException, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> _Failed | None:
    """Return what failed, None where what was asked has no question or no market to count it for."""
    try:
        asked = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None
    question, market = getattr(asked["params"], "question", ""), getattr(asked["bars"], "market", "")
    return _Failed(error, str(asked["name"]), question, market) if question and market else None


def is_counted(wf: WalkForward) -> None:
    """Take note that a walk-forward was counted by whoever made it, with its robustness added or without."""
    _made.pop(id(wf.cell_returns), None)


def failure_is_counted(error: BaseException | None) -> None:
    """Take note that a failure was counted by whoever met it, and with it what it came from."""
    seen: list[BaseException] = []  # `raise error from error` makes an error its own cause
    while error is not None and not any(error is each for each in seen):
        seen.append(error)
        error = error.__cause__ or error.__context__
    _failed[:] = [failed for failed in _failed if not any(failed.error is each for each in seen)]


def _shell() -> Any:
    """Return the notebook's shell, None where no notebook runs; IPython is not loaded to find that out."""
    library = sys.modules.get("IPython")
    return None if library is None else library.get_ipython()


def _count(*_: Any) -> None:
    """Count what the cell that has just ended left uncounted, and say so in its output.

    What the ledger refuses is kept, and counted when a later cell has ended.
    """
    # Imported here: the ledger's rows are made of walk-forwards, and tell this file what was counted.
    from workbench.backtest.trials import Ledger, Question, record_failure, record_walk_forward

    try:
        for wf in list(_made.values()):
            receipt = record_walk_forward(Ledger(Paths().trials), wf, source="notebook")
            _say(f"{wf.strategy}: {counted(receipt.added, 'trial')} counted; its question has {receipt.trials} in all")
        for failed in list(_failed):
            question = Question(failed.question, failed.market)
            record_failure(Ledger(Paths().trials), question, failed.strategy, failed.text)
            failure_is_counted(failed.error)
    except WorkbenchError as error:
        _say(f"not counted as trials: {error} (every cell of this notebook tries again when it has ended)")


def _say(text: str) -> None:
    print(text)  # noqa: T201 (the output of the cell)
