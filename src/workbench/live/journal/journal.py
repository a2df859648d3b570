"""The journal of one account: events appended in one transaction each, synced to disk before anything is done."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sql

from workbench.clock import read_clock
from workbench.errors import AlreadyRunning, DataRefused, InputRefused, TradingHalted
from workbench.live.book import Book
from workbench.live.gate.facts import Asked, Origin
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Event, Kind
from workbench.live.journal.facts import Intent, intent_data
from workbench.live.lease import Lease, lock_file
from workbench.live.trading_state import TradingState
from workbench.params import Paths, Settings
from workbench.registry.packs.canonical import sha256, short
from workbench.state.schema import require_schema
from workbench.state.store import Store

_TABLES = sql.MetaData()
_journal = sql.Table(
    "journal",
    _TABLES,
    sql.Column("account", sql.Text, primary_key=True),
    sql.Column("number", sql.Integer, primary_key=True),
    *(sql.Column(name, sql.Text) for name in ("at", "session", "kind", "key", "symbol", "data", "previous", "head")),
)
_intents = sql.Table(
    "intents", _TABLES, *(sql.Column(name, sql.Text) for name in ("account", "key")),
    *(sql.Column(name, sql.BigInteger) for name in ("order_id", "number")),
)  # fmt: skip
_executions = sql.Table(
    "executions", _TABLES, *(sql.Column(name, sql.Text) for name in ("account", "execution")),
    *(sql.Column(name, sql.Integer) for name in ("revision", "number")),
)  # fmt: skip
# What anybody may write who opens the journal, beside its one writer.
FREE = {Kind.OPERATOR, Kind.STATE, Kind.ALERT, Kind.CANCEL}
STRICTNESS = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)
# How long a halt waits for the order that is just being sent; after that it halts beside it.
HALT_SECONDS = 0.5
SEND_SECONDS = 30.0


class Journal:
    """Every order is an intent here before it is sent; ``book`` is what stands after the last event read."""

    def __init__(
        self, store: Store, paths: Paths, account: str, lease: Lease | None, clock: Callable[[], datetime]
    ) -> None:
        self.account = account
        self.lease = lease
        self.book = Book()
        self.session = ""
        self._store = store
        self._engine = store.engine(kept=True)
        self._clock = clock
        self._orders = 0  # keys given in this session
        self._writing = threading.RLock()
        self._sending = threading.RLock()
        self._depth = 0
        self._halt_file = HaltFile(paths, account)
        self._gate = lock_file(paths, account, "sending").open("a")

    @classmethod
    def open(
        cls,
        settings: Settings,
        paths: Paths,
        account: str,
        *,
        lease: Lease | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> Journal:
        """Return the journal of an account, read to its end; without a lease only people's events can be written.

        Without a clock of its own it goes by the project's.
        """
        store = Store.named(settings, paths)
        journal = cls(store, paths, account, lease, clock or read_clock(settings.market, paths).now)
        try:
            require_schema(store, journal._engine)
            journal.sync()
        except BaseException:
            journal.close()
            raise
        return journal

    def close(self) -> None:
        """Let go of the database; the lease is whoever's took it."""
        self._engine.dispose()
        self._gate.close()

    @property
    def halted(self) -> str:
        """Why nothing may be sent but what the emergency stop closes with; empty where trading is not halted."""
        return (self.book.because if self.book.halted else "") or self._halt_file.reason

    def sync(self) -> Book:
        """Read what other processes have written, and return the book."""
        with self._writing, self._store.explained(), self._engine.connect() as connection:
            self._follow(connection)
        return self.book

    def events(self, after: int = 0) -> Iterator[Event]:
        """Return the events after a number, each checked to follow from the one before."""
        last: Event | None = None
        with self._store.explained(), self._engine.connect() as connection:
            for last in self._rows(connection, None):
                if last.number > after:
                    yield last
        if self.book.last and (last is None or last.number < self.book.last.number):
            raise DataRefused(f"{self._store.shown}: the end of the journal of {self.account} was cut off")

    def whole(self) -> Book:
        """Return a book of every order that ever was: ``book`` keeps those of the last days."""
        book = Book(remembers=None)
        for event in self.events():
            book.apply(event)
        return book

    def verify(self, head: str = "") -> int:
        """Return how many events there are, or raise with the first broken link; ``head`` is one kept elsewhere."""
        heads = [event.head for event in self.events()]
        if head and head not in heads:
            raise DataRefused(
                f"{self._store.shown}: event {short(head)} is gone from the journal of {self.account}, which has "
                f"{len(heads)}; restore the database from a backup, then reconcile"
            )
        return len(heads)

    def begin(self, **facts: Any) -> str:
        """Write that a session begins, and return its name, from which the keys of its orders are made."""

        def first(book: Book, at: datetime) -> list[Draft]:
            root = book.root or sha256(f"{self.account} {at.isoformat()}".encode())[:4]
            self.session, self._orders = f"{at:%y%m%d}-{_base36(book.sessions + 1)}-{root}", 0
            return [Draft(Kind.SESSION, facts)]

        self._write(first)
        return self.session

    def next_key(self) -> str:
        """Return a key that no order has had, in this journal or in one that was deleted."""
        if not self.session:
            raise InputRefused("journal: no session has begun; begin one before an order is made")
        self._orders += 1
        return f"{self.session}-{self._orders}"

    def append(self, *drafts: Draft) -> tuple[Event, ...]:
        """Write events in one transaction; executions that are known already are left out."""
        if any(draft.kind is Kind.INTENT for draft in drafts):
            raise InputRefused("journal: an intent is written by intend, which reserves its number")
        return self._write(lambda book, _: list(drafts))

    def intend(self, asked: Sequence[Asked], broker_next: int) -> tuple[Intent, ...]:
        """Write orders that are about to be sent, with the numbers that are theirs from now on, or raise."""
        made: list[Intent] = []

        def reserve(book: Book, _: datetime) -> list[Draft]:
            first = max(broker_next, book.highest_order_id + 1)
            made[:] = [Intent(one, first + place) for place, one in enumerate(asked)]
            for intent in made:
                _permit(book, intent.asked)
            return [
                Draft(Kind.INTENT, intent_data(one.asked, one.order_id), one.order.key, one.order.symbol)
                for one in made
            ]

        self._write(reserve)
        return tuple(made)

    def set_state(self, state: TradingState, reason: str, who: str = "") -> None:
        """Tighten or loosen what may be traded; once a halt is written, no order begins to be sent.

        Anything may tighten. Only a person loosens: ``who``.
        """
        if not reason.strip():
            raise InputRefused(f"trading state {state}: no reason is given; say why, it stays in the journal")

        def change(book: Book, _: datetime) -> list[Draft]:
            if STRICTNESS.index(state) < STRICTNESS.index(book.state) and not who:
                raise TradingHalted(
                    f"account {self.account}: {book.state} ({book.because}); only a person loosens it: make resume"
                )
            return [Draft(Kind.STATE, {"state": state.value, "reason": reason, "who": who})]

        locked = self._lock_sending(HALT_SECONDS)
        try:
            self._write(change)
        finally:
            if locked:
                self._unlock_sending()

    @contextmanager
    def sending(self, *, emergency: bool = False) -> Iterator[Callable[[], None]]:
        """Hold off a halt while an order is written and sent; raise where one was written before.

        A halt is not held off for long: whoever waits between the first bytes and the last asks what this yields again.
        """
        locked = self._lock_sending(HALT_SECONDS if emergency else SEND_SECONDS)
        if not (locked or emergency):
            raise AlreadyRunning(
                f"account {self.account}: another process has been sending for more than {SEND_SECONDS:.0f} s; "
                "nothing was sent; look whether it hangs: make status"
            )

        def require() -> None:
            if emergency:
                return
            self._halt_file.require_none()
            _permit_state(self.sync())
            self._halt_file.require_none()  # to read the journal may have taken its time

        try:
            self.sync()
            require()
            yield require
        finally:
            if locked:
                self._unlock_sending()

    def _write(self, build: Callable[[Book, datetime], list[Draft]]) -> tuple[Event, ...]:
        """Append what is built on the book as it is now; nothing is applied that the database did not keep."""
        with self._writing:
            with self._store.explained(), self._store.alone(self._engine, "journal") as connection:
                if self.lease:
                    self.lease.check(connection)
                self._follow(connection)
                at = self._clock()
                drafts = [draft for draft in build(self.book, at) if not self._known(draft)]
                self._require_lease(drafts)
                placed = self._chain(drafts, at)
                self._insert(connection, placed)
            for event in placed:
                self.book.apply(event)
            return tuple(placed)

    def _require_lease(self, drafts: Sequence[Draft]) -> None:
        kinds = sorted({draft.kind for draft in drafts} - FREE)
        if kinds and self.lease is None:
            raise AlreadyRunning(
                f"account {self.account}: {', '.join(kinds)} is written by the holder of the lease only; acquire it"
            )

    def _chain(self, drafts: Sequence[Draft], at: datetime) -> list[Event]:
        placed: list[Event] = []
        seen: set[tuple[str, int]] = set()
        for draft in drafts:
            if draft.kind is Kind.FILL:
                execution = (draft.data["id"], draft.data["revision"])
                if execution in seen:
                    continue
                seen.add(execution)
            placed.append(Event.after(placed[-1] if placed else self.book.last, draft, self.account, self.session, at))
        return placed

    def _insert(self, connection: sql.Connection, placed: Sequence[Event]) -> None:
        if not placed:
            return
        intents = [
            {"account": self.account, "key": event.key, "order_id": event.data["order_id"], "number": event.number}
            for event in placed
            if event.kind is Kind.INTENT
        ]
        fills = [
            {"account": self.account, "execution": event.data["id"], "revision": event.data["revision"],
             "number": event.number}
            for event in placed
            if event.kind is Kind.FILL
        ]  # fmt: skip
        try:
            for table, rows in ((_intents, intents), (_executions, fills)):
                if rows:
                    connection.execute(table.insert(), rows)
        except sql.exc.IntegrityError as error:
            keys = ", ".join(f"{row['key']} ({row['order_id']})" for row in intents) or "an execution"
            raise DataRefused(f"{self._store.shown}: {keys}: was journaled before; nothing was written") from error
        connection.execute(_journal.insert(), [event.row for event in placed])

    def _known(self, draft: Draft) -> bool:
        """Whether it says nothing new: an execution or a commission that was written before."""
        if draft.kind is Kind.FILL:
            return self.book.revision(draft.data["id"]) >= int(draft.data["revision"])
        if draft.kind is Kind.COMMISSION:
            return bool(self.book.commissions.get(draft.data["execution"]) == draft.data["commission"])
        return False

    def _follow(self, connection: sql.Connection) -> None:
        for event in self._rows(connection, self.book.last):
            self.book.apply(event)

    def _rows(self, connection: sql.Connection, last: Event | None) -> Iterator[Event]:
        mine = (_journal.c.account == self.account) & (_journal.c.number > (last.number if last else 0))
        for row in connection.execute(sql.select(_journal).where(mine).order_by(_journal.c.number)).mappings():
            last = Event.read(dict(row), last, self._store.shown)
            yield last

    def _lock_sending(self, seconds: float) -> bool:
        """Lock the door to the broker for this thread of this process; False where it took longer than ``seconds``."""
        until = time.monotonic() + seconds
        if not self._sending.acquire(timeout=seconds):
            return False
        while self._depth == 0:
            try:
                fcntl.flock(self._gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    self._sending.release()
                    return False
                time.sleep(0.005)
        self._depth += 1
        return True

    def _unlock_sending(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            fcntl.flock(self._gate, fcntl.LOCK_UN)
        self._sending.release()


def _permit(book: Book, asked: Asked) -> None:
    if asked.origin is not Origin.EMERGENCY:
        _permit_state(book)
    if asked.order.key in book.orders:
        raise DataRefused(f"order {asked.order.key}: was journaled before; make a new key for a new order")


def _permit_state(book: Book) -> None:
    if book.halted:
        raise TradingHalted(f"trading is halted ({book.because}); nothing is sent until a person resumes: make resume")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
