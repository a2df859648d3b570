"""What a trial belongs to and what it is: the research question, and the digest by which a trial is known again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.params import digest
from workbench.source import deciding_files
from workbench.strategies import catalog


@dataclass(frozen=True)
class Question:
    """A research question asked of one market: trials are counted for it, whatever the strategy.

    >>> Question("Does  it PAY?", "sample").id == Question("Does it pay?", "sample").id
    True
    """

    text: str
    market: str

    @property
    def id(self) -> str:
        """The question's digest; case and spacing do not make another question, other words do."""
        return digest([" ".join(self.text.casefold().split()), self.market])[:16]


def trial_key(question: Question, strategy: str, params: Mapping[str, Any], made_by: Mapping[str, Any]) -> str:
    """Return the digest of a trial: the same cell, of the same code, settings and data, is the same trial."""
    return digest([question.id, strategy, params, made_by])


def source_digest(strategy: str) -> str:
    """Return the digest of a strategy's file and of all that its weights depend on; empty for one of a notebook."""
    return digest(deciding_files(strategy)) if strategy in catalog.names() else ""
