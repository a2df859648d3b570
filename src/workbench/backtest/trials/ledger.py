"""The ledger's file: SQLite, append-only, every batch chained to the one before by its SHA-256.

A batch is written whole or not at all, whoever kills the process; two processes write one after the other; a reader
sees whole batches. A row that is changed or deleted breaks the chain, a batch cut off the end is missed by the runs
that keep its head: ``verify`` names the first, and nothing is appended to a chain that lacks what runs on this disk
keep, before a person has restored it or said that it is lost.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest.trials.chain import RESTORE, RESTORE_OR_SAY, Chain, append_batch, follow, heads_of
from workbench.backtest.trials.clusters import Effective, effective
from workbench.backtest.trials.kept import Kept, at_least, kept_on_disk
from workbench.backtest.trials.known import fresh_rows, known_keys
from workbench.backtest.trials.likeness import same_search
from workbench.backtest.trials.lost import LOST, Loss, loss_text, losses, missing
from workbench.backtest.trials.luck import expected_best
from workbench.backtest.trials.question import Question
from workbench.backtest.trials.schema import Row, statements
from workbench.backtest.trials.weeks import Floats, Weekly, aligned
from workbench.disk import writable
from workbench.errors import CannotWrite, DataRefused, InputRefused

SOURCES = ("walk_forward", "sweep", "optuna", "notebook", "failed")
DONE, FAILED = "done", "failed"
LOCK_SECONDS = 30.0
# More trials than this are clustered by a sample: those with the lowest keys, which are digests and so even.
MOST_CLUSTERED = 2000


@dataclass(frozen=True)
class Receipt:
    """What a run keeps of its batch: where it stands in the chain, and how many trials its question has by then."""

    batch: int
    head: str
    question: str
    evaluated: int
    added: int
    trials: int


@dataclass(frozen=True)
class Covering:
    """Weekly returns of trials that have all of some weeks, how many such trials there are, and how many have not."""

    returns: Floats
    trials: int
    left_out: int


class Ledger:
    """All trials of a project, in one file: ``Ledger(Paths().trials)``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, question: Question, rows: Sequence[Row], *, source: str, run_id: str = "") -> Receipt:
        """Append a batch and return its receipt; a trial that is known already is not added again.

        What comes under a known key with other returns is another trial: its key did not tell all that shaped it.
        """
        with self._writing() as connection:
            fresh = fresh_rows(connection, rows)
            added = sorted(fresh.values(), key=lambda row: row.key)
            facts = (question.id, question.text, question.market, source, run_id, len(rows))
            number, head = append_batch(connection, facts, added)
            total = _count(connection, question.id)
        _left_at[self.file.resolve()] = self._state()
        return Receipt(number, head, question.id, len(rows), len(added), total)

    def give_up(self, reason: str, heads: Mapping[str, str] | None = None) -> Loss:
        """Record that what runs keep a head of is lost for good: trials are counted again, and the loss stays visible.

        ``heads`` has by run the head that a run elsewhere kept; those of the project's runs on this disk are known.
        """
        if not reason.strip():
            raise InputRefused("give_up: no reason; say why the trials are gone, it is shown wherever they are missing")
        known = kept_on_disk(self.file)
        pairs = {(each.run, each.head) for each in known}
        known += [Kept(run, head) for run, head in (heads or {}).items() if (run, head) not in pairs]
        if known:
            with self._writing(whole=False) as connection:
                if gone := missing(known, heads_of(connection), losses(connection)):
                    text = loss_text(" ".join(reason.split()), {(each.run, each.head) for each in gone})
                    lost = at_least(gone, connection.execute(_COUNTS).fetchall())
                    append_batch(connection, ("", text, "", LOST, "", lost), [])
                    return losses(connection)[-1]
        raise InputRefused(
            f"{self.file.name}: nothing is lost, it has the head of each of the {len(known)} runs that keep one"
        )

    def losses(self) -> list[Loss]:
        """Return what was given up as lost, the oldest first."""
        with self._reading() as connection:
            return [] if connection is None else losses(connection)

    def count(self, question: Question | None = None) -> int:
        """Return how many trials a question has, or all of them: failed ones count."""
        with self._reading() as connection:
            return 0 if connection is None else _count(connection, question.id if question else None)

    def elsewhere(self, question: Question, strategy: str, market: Weekly | None = None) -> int:
        """Return how many trials of a strategy count for other questions of the same market: reworded, perhaps.

        A strategy with another name is the same one where a trial of it has the very returns of one of this question,
        or moves with one, the ``market`` taken off both (``likeness.same_search``). Of very many it is an even sample.
        """
        with self._reading() as connection:
            if connection is None:
                return 0
            asked = {"market": question.market, "question": question.id, "most": MOST_CLUSTERED}
            found = connection.execute(_ELSEWHERE, asked).fetchall()
            kept = f"{_KEPT} ORDER BY key LIMIT ?"
            ours = connection.execute(_of_question("week, weekly", kept), (question.id, MOST_CLUSTERED)).fetchall()
            same = 0
            for name, count, copied in found:
                if name != strategy and not copied:
                    theirs = connection.execute(_THEIRS, {**asked, "strategy": name}).fetchall()
                    if not same_search(list(map(_weekly, ours)), list(map(_weekly, theirs)), market):
                        continue
                same += count
            return int(same)

    def knows(self, run_id: str) -> bool:
        """Return whether a run recorded a batch."""
        with self._reading() as connection:
            query = "SELECT 1 FROM batches WHERE run_id = ? LIMIT 1"
            return connection is not None and connection.execute(query, (run_id,)).fetchone() is not None

    def known(self, keys: Sequence[str]) -> frozenset[str]:
        """Return which of these trials are recorded."""
        with self._reading() as connection:
            return frozenset() if connection is None else frozenset(known_keys(connection, keys))

    def effective(self, question: Question) -> Effective:
        """Return the effective number of a question's trials, by clusters of their weekly returns."""
        with self._reading() as connection:
            if connection is None:
                return effective([], 0)
            (measured,) = connection.execute(_of_question("count(*)", "sharpe IS NOT NULL"), (question.id,)).fetchone()
            found = connection.execute(
                _of_question("week, weekly", f"{_KEPT} ORDER BY key LIMIT ?"), (question.id, MOST_CLUSTERED)
            ).fetchall()
        return effective(list(map(_weekly, found)), measured)

    def expected_best(self, question: Question, market: Weekly | None = None) -> float | None:
        """Return the Sharpe ratio of the best of a question's trials were all worthless, in standard deviations.

        Every trial with a Sharpe ratio counts, as alike as it is to the others once the ``market`` is taken off.
        """
        with self._reading() as connection:
            if connection is None:
                return None
            facts = "count(*), count(weekly), min(week), max(week + length(weekly) / 4)"
            measured, kept, first, end = connection.execute(
                _of_question(facts, "sharpe IS NOT NULL"), (question.id,)
            ).fetchone()
            rows = connection.execute(_of_question("week, weekly", f"{_KEPT} ORDER BY key"), (question.id,))
            return expected_best(map(_weekly, rows), range(first or 0, end or 0), measured - kept, market)

    def covering(self, question: Question, weeks: range) -> Covering:
        """Return the weekly returns of a question's trials that have all of these weeks, a column each.

        Of more than ``MOST_CLUSTERED`` such trials it is an even sample.
        """
        whole = f"{_KEPT} AND week <= ? AND week + length(weekly) / 4 >= ?"
        asked = (question.id, weeks.start, weeks.stop)
        with self._reading() as connection:
            if connection is None:
                return Covering(aligned([], weeks), 0, 0)
            (measured,) = connection.execute(_of_question("count(*)", _KEPT), (question.id,)).fetchone()
            (covered,) = connection.execute(_of_question("count(*)", whole), asked).fetchone()
            found = connection.execute(
                _of_question("week, weekly", f"{whole} ORDER BY key LIMIT ?"), (*asked, MOST_CLUSTERED)
            ).fetchall()
        return Covering(aligned(list(map(_weekly, found)), weeks), covered, measured - covered)

    def questions(self) -> pd.DataFrame:
        """Return one row a question: its text, market, strategies, trials (all and failed) and evaluations."""
        return self._table(
            "SELECT question, text, market, t.strategies, sum(added) AS trials, "
            "sum(CASE source WHEN 'failed' THEN added ELSE 0 END) AS failed, sum(evaluated) AS evaluations, "
            "max(recorded) AS last FROM batches JOIN (SELECT question AS asked, group_concat(DISTINCT strategy) "
            "AS strategies FROM trials JOIN batches ON batch = number GROUP BY question) t ON t.asked = question "
            "GROUP BY question ORDER BY min(number)"
        )

    def trials(self, question: Question | None = None) -> pd.DataFrame:
        """Return one row a trial, in the order of recording, without its returns."""
        return self._table(
            "SELECT batch, recorded, source, run_id, market, question, strategy, params, status, error, sharpe, n, "
            "skew, kurtosis, key FROM trials JOIN batches ON batch = number "
            "WHERE ?1 IS NULL OR question = ?1 ORDER BY batch, key",
            (question.id if question else None,),
        )

    def verify(self, heads: Mapping[str, str] | None = None) -> Chain:
        """Return the chain, or raise with its first broken link; ``heads`` has by run the head that the run kept."""
        seen = [""]
        with self._reading() as connection:
            trials = 0 if connection is None else follow(connection, self.file.name, seen)
            known = [] if connection is None else losses(connection)
        self._refuse(missing((Kept(run, head) for run, head in (heads or {}).items()), seen, known), seen[1:])
        return Chain(batches=len(seen) - 1, trials=trials, head=seen[-1])

    def _require_kept(self, connection: sqlite3.Connection) -> None:
        """Refuse to go on with a chain that lacks what the runs on this disk keep.

        They are read once: as long as the file lies as this process left it, nothing was taken out of it. Whatever
        another process wrote since, a backup put in its place among it, they are read again.
        """
        if _left_at.get(self.file.resolve()) != self._state():
            heads = heads_of(connection)
            self._refuse(missing(kept_on_disk(self.file), heads, losses(connection)), heads)

    def _refuse(self, gone: Sequence[Kept], heads: Sequence[str]) -> None:
        """Raise when something is gone."""
        if gone:
            more = f" (as are those of {len(gone) - 1} more)" if len(gone) > 1 else ""
            raise DataRefused(
                f"{self.file.name}: batch {gone[0].head[:12]}… that run {gone[0].run} wrote is gone{more}, the last of "
                f"{len(heads)} is {heads[-1][:12] if heads else 'none'}; {RESTORE_OR_SAY}"
            )

    def _table(self, query: str, values: Sequence[Any] = ()) -> pd.DataFrame:
        with self._reading() as connection:
            if connection is None:
                return pd.DataFrame()
            cursor = connection.execute(query, values)
            return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the file as it is at this moment, or give None where nothing was ever recorded."""
        if not self.file.exists():
            yield None
            return
        with self._explained(), contextlib.closing(self._open(self._reads_as)) as connection:
            connection.execute("BEGIN")
            # The file is there a moment before the first batch is.
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'batches'").fetchone()
            yield connection if made else None

    @contextlib.contextmanager
    def _writing(self, *, whole: bool = True) -> Iterator[sqlite3.Connection]:
        """Open the file alone, and commit at the end; nothing is written where something is raised.

        It must be ``whole``, unless this is to say what is lost; one that is missed is not made anew.
        """
        with self._explained():
            if whole and not self.file.exists():
                self._refuse(kept_on_disk(self.file), [])
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open("rwc")) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in statements():
                    connection.execute(statement)
                if whole:
                    self._require_kept(connection)
                yield connection
                connection.execute("COMMIT")

    def _state(self) -> tuple[int, ...]:
        """Return what no writer leaves as it was; a copy may keep its time of writing, but not that of its change."""
        lies = self.file.stat()
        return lies.st_dev, lies.st_ino, lies.st_ctime_ns, lies.st_size

    @property
    def _reads_as(self) -> str:
        """Only who may write can undo what a killed process left half-written."""
        return "rw" if writable(self.file, self.file.parent) else "ro"

    def _open(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self.file.resolve().as_uri()}?mode={mode}", uri=True, timeout=LOCK_SECONDS, isolation_level=None
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the disk raise into one line with the next step."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            name, text = self.file.name, str(error)
            if "malformed" in text or "not a database" in text:
                raise DataRefused(f"{name}: damaged ({text}); {RESTORE}") from error
            if "locked" in text:
                text = f"locked by another process for more than {LOCK_SECONDS:.0f} s"
            raise CannotWrite(
                f"{name}: {text}, so trials cannot be counted; mend {self.file.parent}, then run again"
            ) from error


# By file, how this process left a ledger that had all that the runs of its project keep.
_left_at: dict[Path, tuple[int, ...]] = {}


def _of_question(columns: str, where: str) -> str:
    return f"SELECT {columns} FROM trials JOIN batches ON batch = number WHERE question = ? AND {where}"  # noqa: S608


_COUNTS = "SELECT text, sum(added) OVER (PARTITION BY question ORDER BY number) FROM batches"
_KEPT = "sharpe IS NOT NULL AND weekly IS NOT NULL"
_OTHER = "FROM trials JOIN batches ON batch = number WHERE market = :market AND question <> :question"
_ELSEWHERE = f"""
SELECT strategy, count(*), max({_KEPT} AND (week, weekly) IN (
    SELECT week, weekly FROM trials JOIN batches ON batch = number WHERE question = :question AND {_KEPT}))
{_OTHER} GROUP BY strategy
"""  # noqa: S608
_THEIRS = f"SELECT week, weekly {_OTHER} AND strategy = :strategy AND {_KEPT} ORDER BY key LIMIT :most"


def _weekly(row: tuple[int, bytes]) -> Weekly:
    return Weekly(row[0], np.frombuffer(row[1], "<f4"))


def _count(connection: sqlite3.Connection, question: str | None) -> int:
    query = "SELECT coalesce(sum(added), 0) FROM batches WHERE ?1 IS NULL OR question = ?1"
    return int(connection.execute(query, (question,)).fetchone()[0])
