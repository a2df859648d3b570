"""The heads of a ledger's chain that the runs of its project keep on this disk, and how many trials each knew of."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.backtest.trials.question import Question
from workbench.disk import read_json
from workbench.params import Paths

# The tag by which a run in MLflow keeps the head.
HEAD = "trials.head"
LOCK_SECONDS = 10.0
_TAGGED = (
    "SELECT head.run_uuid, head.value, sweep.value, question.value, told.value FROM tags head "
    "LEFT JOIN tags sweep ON sweep.run_uuid = head.run_uuid AND sweep.key = 'sweep' "
    "LEFT JOIN tags question ON question.run_uuid = head.run_uuid AND question.key = 'question' "
    "LEFT JOIN tags told ON told.run_uuid = head.run_uuid AND told.key = 'trials.count' "
    "WHERE head.key = ? AND head.value <> ''"
)


@dataclass(frozen=True)
class Kept:
    """The head that a run kept, and how many trials of its question were counted by then, as far as it says."""

    run: str
    head: str
    question: str = ""
    trials: int = 1


def kept_on_disk(ledger: Path) -> list[Kept]:
    """Return the heads that sweeps and the project's own MLflow store keep; a ledger outside of a project has none."""
    file = ledger.resolve()
    # As it is named, and where it lies: data/ may be a link to another disk, and so may a folder on the way to it.
    for named in (ledger.absolute(), file):
        if len(named.parents) >= 3 and (paths := Paths(named.parents[2])).trials.resolve() == file:
            return [*kept_by_sweeps(paths), *_kept_by_mlflow(paths.mlruns / "mlflow.db")]
    return []


def kept_by_sweeps(paths: Paths) -> Iterator[Kept]:
    """Give the head that each sweep kept with the last cells it counted, killed ones too."""
    for file in sorted(paths.runs.glob("*/sweep.json")):
        facts = read_json(file) or {}
        if facts.get("head") and facts.get("run_id"):
            question = str(facts.get("asked", {}).get("question", ""))
            told = max(int(facts.get("trials") or facts.get("measurements") or 0), 1)
            yield Kept(str(facts["run_id"]), str(facts["head"]), question, told)


def _kept_by_mlflow(store: Path) -> list[Kept]:
    """Read the tags without MLflow, which takes seconds to load; a run that was deleted there still has them."""
    if not store.is_file():
        return []
    try:
        address = f"{store.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=LOCK_SECONDS)) as connection:
            found = connection.execute(_TAGGED, (HEAD,)).fetchall()
    except sqlite3.Error:  # MLflow itself says what is wrong with its store, and so does ``workbench trials``
        return []
    return [
        Kept(sweep or run, head, question or "", max(int(told), 1) if told and told.isdigit() else 1)
        for run, head, sweep, question, told in found
    ]


def at_least(lost: Iterable[Kept], counts: Iterable[tuple[str, int]]) -> int:
    """Return how many trials these runs knew of at least that the chain has not: the most of each question.

    ``counts`` has how many trials each question had after each batch of the chain. What a run knew of and the chain
    still has is one of these numbers, since a run's chain and this one were the same up to some batch.
    """
    had: defaultdict[str, list[int]] = defaultdict(list)
    for text, count in counts:
        had[_words(text)].append(count)
    most: dict[str, int] = {}
    for kept in lost:
        text = _words(kept.question)
        left = max((count for count in had[text] if count <= kept.trials), default=0)
        most[text] = max(most.get(text, 0), kept.trials - left)
    return sum(most.values())


def _words(text: str) -> str:
    return Question(text, "").id
