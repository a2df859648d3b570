"""The ledger's file: SQLite, append-only, every batch chained to the one before by its SHA-256.

A batch is written whole or not at all, whoever kills the process; two processes write one after the other; a reader
sees whole batches. A row that is changed or deleted breaks the chain, a batch cut off the end is missed by the runs
that keep its head: ``verify`` names the first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.backtest.trials.clusters import Effective, effective
from workbench.backtest.trials.known import fresh_rows, known_keys
from workbench.backtest.trials.luck import expected_best
from workbench.backtest.trials.question import Question
from workbench.backtest.trials.schema import BATCH, TRIAL, Row, insert, row_values, select, statements
from workbench.backtest.trials.weeks import Floats, Weekly, aligned
from workbench.disk import writable
from workbench.errors import CannotWrite, DataRefused

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
class Chain:
    """A chain that held from its first batch to its last."""

    batches: int
    trials: int
    head: str


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
            number, previous = connection.execute(
                "SELECT coalesce(max(number), 0) + 1, coalesce((SELECT head FROM batches ORDER BY number DESC), '') "
                "FROM batches"
            ).fetchone()
            added = sorted(fresh.values(), key=lambda row: row.key)
            batch = (
                number,
                f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                question.id,
                question.text,
                question.market,
                source,
                run_id,
                len(rows),
                len(added),
            )
            head = _head(previous, batch, map(row_values, added))
            connection.execute(insert("batches", f"{BATCH}, head"), (*batch, head))
            connection.executemany(insert("trials", f"{TRIAL}, batch"), ((*row_values(row), number) for row in added))
            total = _count(connection, question.id)
        return Receipt(number, head, question.id, len(rows), len(added), total)

    def count(self, question: Question | None = None) -> int:
        """Return how many trials a question has, or all of them: failed ones count."""
        with self._reading() as connection:
            return 0 if connection is None else _count(connection, question.id if question else None)

    def elsewhere(self, question: Question, strategy: str) -> int:
        """Return how many trials of a strategy count for other questions of the same market: reworded, perhaps."""
        with self._reading() as connection:
            query = (
                "SELECT count(*) FROM trials JOIN batches ON batch = number "
                "WHERE strategy = ? AND market = ? AND question <> ?"
            )
            asked = (strategy, question.market, question.id)
            return 0 if connection is None else int(connection.execute(query, asked).fetchone()[0])

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
            trials = 0 if connection is None else self._follow(connection, seen)
        for run, head in (heads or {}).items():
            if head not in seen:
                raise DataRefused(
                    f"{self.file.name}: batch {head[:12]}… that run {run} wrote is gone, the last of "
                    f"{len(seen) - 1} is {seen[-1][:12] or 'none'}; {_RESTORE}"
                )
        return Chain(batches=len(seen) - 1, trials=trials, head=seen[-1])

    def _follow(self, connection: sqlite3.Connection, seen: list[str]) -> int:
        """Compute every head again, add it to ``seen``, and return how many trials the chain has."""
        trials = 0
        for *batch, head in connection.execute(select("batches", f"{BATCH}, head", "ORDER BY number")):
            number, recorded, run_id, added = batch[0], batch[1], batch[6], batch[8]
            name = f"{self.file.name}: batch {number} of {recorded} (run {run_id or 'by hand'})"
            if number != len(seen):
                raise DataRefused(f"{name} follows batch {len(seen) - 1}: what lay between was deleted; {_RESTORE}")
            counted = _Counted(connection.execute(select("trials", TRIAL, "WHERE batch = ? ORDER BY key"), (number,)))
            if _head(seen[-1], batch, counted) != head:
                lost = f"{counted.count} trials are left of {added}" if counted.count != added else "it was changed"
                raise DataRefused(f"{name} does not match its digest: {lost}; {_RESTORE}")
            trials += counted.count
            seen.append(head)
        (stored,) = connection.execute("SELECT count(*) FROM trials").fetchone()
        if stored != trials:
            raise DataRefused(f"{self.file.name}: {stored - trials} trials belong to no batch; {_RESTORE}")
        return trials

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
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open the file alone, and commit at the end; nothing is written where something is raised."""
        with self._explained():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._open("rwc")) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                for statement in statements():
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")

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
                raise DataRefused(f"{name}: damaged ({text}); {_RESTORE}") from error
            if "locked" in text:
                text = f"locked by another process for more than {LOCK_SECONDS:.0f} s"
            raise CannotWrite(
                f"{name}: {text}, so trials cannot be counted; mend {self.file.parent}, then run again"
            ) from error


_RESTORE = (
    "restore the file from a backup; without one the count begins anew together with its runs: "
    "move it, mlruns/ and data/runs/ away"
)


class _Counted:
    """Rows passed on as they come, and counted."""

    def __init__(self, rows: Iterable[tuple[Any, ...]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for row in self.rows:
            self.count += 1
            yield row


def _head(previous: str, batch: Sequence[Any], rows: Iterable[tuple[Any, ...]]) -> str:
    """Return the digest of a batch: of the head before it, its own facts, and every value of its trials."""
    chained = hashlib.sha256(json.dumps([previous, *batch]).encode())
    for row in rows:
        *facts, weekly = row
        chained.update(json.dumps(facts).encode())
        chained.update(hashlib.sha256(weekly or b"").digest())
    return chained.hexdigest()


def _of_question(columns: str, where: str) -> str:
    return f"SELECT {columns} FROM trials JOIN batches ON batch = number WHERE question = ? AND {where}"  # noqa: S608


_KEPT = "sharpe IS NOT NULL AND weekly IS NOT NULL"


def _weekly(row: tuple[int, bytes]) -> Weekly:
    return Weekly(row[0], np.frombuffer(row[1], "<f4"))


def _count(connection: sqlite3.Connection, question: str | None) -> int:
    query = "SELECT coalesce(sum(added), 0) FROM batches WHERE ?1 IS NULL OR question = ?1"
    return int(connection.execute(query, (question,)).fetchone()[0])
