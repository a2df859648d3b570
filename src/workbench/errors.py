"""Every error the workbench raises on purpose, named by what it means for the person who reads it.

WorkbenchError
├── InputRefused        your input is wrong; nothing was changed; fix it and run again   (exit 2)
│   ├── ParamsRefused       a parameter file, environment override or --set
│   └── StrategyRefused     no such strategy, or its parameters make no sense
├── DataRefused         the data cannot be used; nothing was computed from it            (exit 1)
│   ├── NoData              nothing is known for what was asked
│   ├── StaleData           the newest row is too old to act on
│   ├── BatchRefused        a batch broke a rule; nothing of it was published
│   ├── LakeDamaged         a table is missing, corrupt or half there; restore or re-ingest
│   ├── AccountDiffers      the books and the broker disagree; nothing is sent until a person has looked
│   └── PackRefused         evidence was changed, is incomplete or not signed; it cannot be used
├── PromotionRefused    a gate, a signature or the record says no; nothing was moved      (exit 4)
├── TradingHalted       trading is halted; nothing was sent, and only a person resumes    (exit 4)
├── BrokerError         the broker did not do what was asked; the journal says what is open (exit 5)
│   ├── Disconnected        there is no connection; nothing more is sent until it is back
│   ├── Unanswered          no answer in time: it may have happened; look it up before anything else
│   └── OrderRejected       the broker refused an order, with its code and words
├── StepFailed          a notebook raised; its executed copy is kept                     (exit 1)
├── AlreadyRunning      another process holds the lock; wait for it or stop it           (exit 3)
└── CannotWrite         disk full, read-only or not permitted; nothing half-written      (exit 1)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_NAMED = 12  # of the known words, where none is near


class WorkbenchError(Exception):
    """The root of the tree: its text is one line that says what to do next."""

    exit_code = 1


class InputRefused(WorkbenchError):
    """What was asked for makes no sense; nothing was changed."""

    exit_code = 2


class ParamsRefused(InputRefused):
    """A parameter is unknown, missing or out of bounds."""


class StrategyRefused(InputRefused):
    """A strategy does not exist or its parameters contradict each other."""


class DataRefused(WorkbenchError):
    """Data is not fit for use; nothing was computed from it."""


class NoData(DataRefused):
    """Nothing is known for the symbols, dates or moment asked for."""


class StaleData(DataRefused):
    """The newest row is older than the use allows."""


class BatchRefused(DataRefused):
    """A batch broke a batch-level rule; nothing of it was published."""


class LakeDamaged(DataRefused):
    """A table is missing, corrupt or incomplete."""


class AccountDiffers(DataRefused):
    """The account is not what the journal says it is; nothing is sent until a person has looked."""


class PackRefused(DataRefused):
    """Evidence was changed, is incomplete, or is not signed by whom it must be."""


class PromotionRefused(WorkbenchError):
    """A gate, a signature or the record does not allow a step; nothing was moved."""

    exit_code = 4


class TradingHalted(WorkbenchError):
    """Trading is halted: nothing was sent, and only a person with a reason resumes it."""

    exit_code = 4


class BrokerError(WorkbenchError):
    """The broker did not do what was asked."""

    exit_code = 5


class Disconnected(BrokerError):
    """There is no connection to the broker."""


class Unanswered(BrokerError):
    """The broker did not answer in time: what was asked may have happened all the same."""


class OrderRejected(BrokerError):
    """The broker refused an order; ``code`` is its own number for why, 0 where it gave none."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class StepFailed(WorkbenchError):
    """A pipeline step failed; its executed notebook is kept."""


class AlreadyRunning(WorkbenchError):
    """Another process holds the lock on the same work."""

    exit_code = 3


class CannotWrite(WorkbenchError):
    """The disk is full, read-only or not permitted."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known word, or the known words (a dozen of them at most)."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if not near:  # the first part of a longer name: ``trian`` for ``train_sessions``
        first = {name.partition("_")[0]: name for name in reversed(known)}
        near = [first[part] for part in difflib.get_close_matches(word, first, n=1, cutoff=0.75)]
    if near:
        return f" Did you mean '{near[0]}'?"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f" Known: {', '.join(known[:MOST_NAMED])}{more}." if known else ""


def told(value: object) -> str:
    """Return a value of the wrong type as an error shows it: ``5 (int)``."""
    text = repr(value).splitlines()[0]
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"
