"""The lifecycle record: append-only, hash-chained rows in the state database; what stands where is folded from them.

>>> record = Lifecycle.open(settings, Paths())
>>> record.current("strategy", "xs_momentum", "production")
Standing(version=3, pack='9f86…', proposal='2c62…', mode='active', number=14, …)

SQLite in data/state/, or PostgreSQL by ``state.url``. A row that is changed, deleted or put between others breaks the
chain, and nothing is read from a broken chain; rows cut off the end are missed by whoever kept a head (``verify``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from workbench.errors import DataRefused, PromotionRefused
from workbench.params import Paths, Settings
from workbench.registry.lifecycle.state import Standing, State, fold
from workbench.registry.lifecycle.transition import Transition
from workbench.registry.packs.canonical import moment_text, read_moment, short
from workbench.state.store import RESTORE, Store

_TABLES = sql.MetaData()
_transitions = sql.Table(
    "transitions",
    _TABLES,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("previous", sql.Text, nullable=False, unique=True),
    sql.Column("head", sql.Text, nullable=False, unique=True),
    *(sql.Column(name, sql.Text, nullable=False) for name in ("kind", "name")),
    sql.Column("version", sql.Integer, nullable=False),
    *(sql.Column(name, sql.Text, nullable=False) for name in ("action", "from_stage", "to_stage")),
    sql.Column("replaces", sql.Integer, nullable=False),
    *(sql.Column(name, sql.Text, nullable=False) for name in ("pack", "proposal", "who", "at", "reason")),
    sql.Column("forced", sql.Boolean, nullable=False),
    *(sql.Column(name, sql.Text, nullable=False) for name in ("positions", "mode")),
)
# Which transitions are shown in MLflow: alias moved, tags and description set.
_shown = sql.Table(
    "shown",
    _TABLES,
    sql.Column("number", sql.Integer, sql.ForeignKey("transitions.number"), primary_key=True, autoincrement=False),
    sql.Column("at", sql.Text, nullable=False),
)


def _only(dialect: str, text: str) -> sql.ExecutableDDLElement:
    return sql.DDL(text).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]


def _guard(table: sql.Table) -> None:
    """Let the database itself refuse to change or delete rows."""
    for verb in ("UPDATE", "DELETE"):
        text = (
            f"CREATE TRIGGER {table.name}_{verb.lower()} BEFORE {verb} ON {table.name} "
            "BEGIN SELECT RAISE(ABORT, 'the lifecycle record is append-only'); END"
        )
        sql.event.listen(table, "after_create", _only("sqlite", text))
    for text in (
        "CREATE OR REPLACE FUNCTION workbench_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the lifecycle record is append-only'; END $$",
        f"CREATE TRIGGER {table.name}_rows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION workbench_append_only()",
    ):
        sql.event.listen(table, "after_create", _only("postgresql", text))


_guard(_transitions)
_guard(_shown)


@dataclass(frozen=True)
class Chain:
    """A record that held from its first transition to its last."""

    transitions: int
    head: str


class Lifecycle:
    """The record of every promotion, rollback, demotion and retirement."""

    def __init__(self, url: sql.URL, shown: str) -> None:
        self.url = url
        self.shown = shown
        self._store = Store(url, shown)
        self._known: sql.Engine | None = None

    @classmethod
    def open(cls, settings: Settings, paths: Paths) -> Lifecycle:
        """Return the record of a project: ``state.url``, or the SQLite file in data/state/."""
        store = Store.named(settings, paths)
        return cls(store.url, store.shown)

    def current(self, kind: str, name: str, stage: str) -> Standing | None:
        """Return which version stands at a stage, or None."""
        return self.state(kind, name).standing.get(stage)

    def state(self, kind: str, name: str) -> State:
        """Return the state of one name."""
        return self.states().get((kind, name), State(kind, name))

    def states(self) -> dict[tuple[str, str], State]:
        """Return the state of every kind and name; nothing is read from a chain that is broken."""
        return self._fold(self.transitions())

    def transitions(self) -> list[Transition]:
        """Return every transition in order, each checked to follow from the one before."""
        with self._reading() as connection:
            return [] if connection is None else self._follow(connection)

    def verify(self, heads: Mapping[str, str] | None = None) -> Chain:
        """Return the chain, or raise with its first broken link; ``heads`` has by their keeper heads kept elsewhere."""
        found = self.transitions()
        self._fold(found)
        seen = {step.head for step in found}
        for keeper, head in (heads or {}).items():
            if head not in seen:
                raise DataRefused(
                    f"{self.shown}: transition {short(head)} that {keeper} shows is gone, the last of {len(found)} is "
                    f"{short(found[-1].head if found else '')}; {RESTORE}"
                )
        return Chain(len(found), found[-1].head if found else "")

    def append(self, step: Transition, *, after: State) -> Transition:
        """Append a transition decided on a state; where the name moved on meanwhile, nothing is written."""
        with self._writing() as connection:
            found = self._follow(connection)
            now = self._fold(found).get((step.kind, step.name), State(step.kind, step.name))
            if now.last != after.last:
                won = f"{now.last.sentence}, before you" if now.last else "the record was emptied meanwhile"
                raise PromotionRefused(f"{step.name}: {won}; nothing of yours was moved; look again: workbench status")
            last = found[-1] if found else None
            placed = step.after(last.number if last else 0, last.head if last else "")
            now.after(placed)
            now.refuse_new(placed)
            connection.execute(_transitions.insert().values(**_row(placed)))
        return placed

    def unshown(self) -> list[Transition]:
        """Return the transitions that MLflow does not show yet."""
        with self._reading() as connection:
            if connection is None:
                return []
            found = self._follow(connection)
            marked = set(connection.execute(sql.select(_shown.c.number)).scalars())
        return [step for step in found if step.number not in marked]

    def mark_shown(self, steps: Iterable[Transition], now: datetime | None = None) -> None:
        """Remember that MLflow shows these transitions; marking twice is once."""
        at = moment_text(now or datetime.now(UTC))
        with self._writing() as connection:
            marked = set(connection.execute(sql.select(_shown.c.number)).scalars())
            for number in sorted({step.number for step in steps} - marked):
                connection.execute(_shown.insert().values(number=number, at=at))

    def _follow(self, connection: sql.Connection) -> list[Transition]:
        """Return the rows, every head computed again."""
        found: list[Transition] = []
        last = ""
        for row in connection.execute(sql.select(_transitions).order_by(_transitions.c.number)).mappings():
            step = Transition(**{**row, "at": read_moment(row["at"], f"{self.shown}: transition {row['number']}")})
            where = f"{self.shown}: transition {step.number} of {step.name}, {moment_text(step.at)}"
            if step.number != len(found) + 1 or step.previous != last:
                raise DataRefused(f"{where}, does not follow {len(found)}: rows were deleted or added; {RESTORE}")
            if step.digest != step.head:
                raise DataRefused(f"{where}, was changed: its digest is {short(step.digest)}, not "
                                  f"{short(step.head)}; {RESTORE}")  # fmt: skip
            found.append(step)
            last = step.head
        return found

    def _fold(self, found: list[Transition]) -> dict[tuple[str, str], State]:
        try:
            return fold(found)
        except PromotionRefused as error:
            raise DataRefused(f"{self.shown}: holds a step that was never allowed ({error}); {RESTORE}") from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sql.Connection | None]:
        """Open the record as it is at this moment, or give None where nothing was ever recorded."""
        if self._store.file is not None and not self._store.file.exists():
            yield None
            return
        with self._store.explained(), self._engine().connect() as connection:
            yield connection if sql.inspect(connection).has_table(_shown.name) else None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sql.Connection]:
        """Open the record alone, and commit at the end; nothing is written where something is raised."""
        with self._store.explained(), self._store.alone(self._engine(), "lifecycle") as connection:
            _TABLES.create_all(connection)
            yield connection

    def _engine(self) -> sql.Engine:
        if self._known is None:
            self._known = self._store.engine()
        return self._known


def _row(step: Transition) -> dict[str, Any]:
    return {**asdict(step), "at": moment_text(step.at)}
