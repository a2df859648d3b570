"""What the paper broker knows, in its own SQLite file: it outlives every process, as a real broker does."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import CannotWrite
from workbench.trading import Fill, Order, OrderStatus, OrderType, Position, Side, Working

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    order_id INTEGER, client INTEGER, permanent INTEGER PRIMARY KEY, key TEXT, symbol TEXT, data TEXT, status TEXT,
    filled INTEGER, average REAL, since TEXT, accepted TEXT, triggered INTEGER, active INTEGER, changed INTEGER,
    changed_at TEXT, UNIQUE (client, order_id));
CREATE INDEX IF NOT EXISTS orders_changed ON orders (changed);
CREATE INDEX IF NOT EXISTS orders_open ON orders (status);
CREATE TABLE IF NOT EXISTS fills (
    execution TEXT, revision INTEGER, symbol TEXT, quantity INTEGER, at TEXT, data TEXT, changed INTEGER,
    PRIMARY KEY (execution, revision));
CREATE INDEX IF NOT EXISTS fills_changed ON fills (changed);
CREATE TABLE IF NOT EXISTS positions (symbol TEXT PRIMARY KEY, quantity INTEGER, cost REAL);
"""
_ENDED = tuple(status.value for status in OrderStatus if status.terminal)
_OPEN = f"status NOT IN ({', '.join('?' * len(_ENDED))})"
LOCK_SECONDS = 10.0


@dataclass(frozen=True)
class Resting:
    """An order at the broker. ``since`` is when it began to rest, ``active`` whether its parent has filled."""

    order: Order
    order_id: int
    client: int
    permanent_id: int
    status: OrderStatus
    filled: int
    average: float
    since: datetime
    accepted: datetime
    triggered: bool
    active: bool

    def working(self, client: int) -> Working:
        """Return the order as a client sees it."""
        return Working(
            self.order, self.order_id, self.permanent_id, self.status, self.filled, self.average, self.client,
            ours=self.client == client,
        )  # fmt: skip


class Ledger:
    """The file. Every change is one transaction; readers see whole ones only."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._alone = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                file, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise CannotWrite(f"{file.name}: {error}; the paper broker keeps its account there") from error

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Change several things at once, or none of them; two threads change one after the other."""
        with self._alone:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def fact(self, name: str, default: float = 0.0) -> float:
        """Return a number of the account."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else default

    def set_fact(self, name: str, value: float) -> None:
        """Keep a number of the account."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def count(self, name: str) -> int:
        """Return the next of a row of numbers."""
        number = int(self.fact(name)) + 1
        self.set_fact(name, number)
        return number

    def open_orders(self, symbol: str = "") -> list[Resting]:
        """Return every order that may still fill, the oldest first; of one symbol, or of all."""
        mine, value = ("symbol = ?", symbol) if symbol else ("? = ''", "")
        return self._orders(f"{_OPEN} AND {mine} ORDER BY permanent", (*_ENDED, value))

    def open_symbols(self) -> set[str]:
        """Return the symbols of the orders that may still fill."""
        sql = f"SELECT DISTINCT symbol FROM orders WHERE {_OPEN}"  # noqa: S608 (only our own words)
        return {row[0] for row in self._connection.execute(sql, _ENDED)}

    def ended_orders(self, after: datetime) -> list[Resting]:
        """Return the orders that ended after a moment."""
        marks = ", ".join("?" * len(_ENDED))
        return self._orders(f"status IN ({marks}) AND changed_at >= ? ORDER BY permanent", (*_ENDED, _text(after)))

    def changed_orders(self, after: int) -> list[tuple[int, Resting]]:
        """Return the orders that changed after a number, with their numbers."""
        rows = self._connection.execute("SELECT changed, permanent FROM orders WHERE changed > ?", (after,)).fetchall()
        return [(changed, self._orders("permanent = ?", (permanent,))[0]) for changed, permanent in rows]

    def order(self, client: int, order_id: int) -> Resting | None:
        """Return the order that a client sent under a number."""
        found = self._orders("client = ? AND order_id = ?", (client, order_id))
        return found[0] if found else None

    def orders_of(self, key: str) -> list[Resting]:
        """Return the orders with this key; a careless client has sent it more than once."""
        return self._orders("key = ? ORDER BY permanent", (key,))

    def highest_id(self, client: int) -> int:
        """Return the highest number that a client has used."""
        row = self._connection.execute("SELECT max(order_id) FROM orders WHERE client = ?", (client,)).fetchone()
        return row[0] or 0

    def keep_order(self, resting: Resting, at: datetime) -> Resting:
        """Keep an order as it is now."""
        order = resting.order
        self._connection.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (resting.order_id, resting.client, resting.permanent_id, order.key, order.symbol, json.dumps(asdict(order)),
             resting.status.value, resting.filled, resting.average, _text(resting.since), _text(resting.accepted),
             resting.triggered, resting.active, self.count("change"), _text(at)),
        )  # fmt: skip
        return resting

    def fills(self, after: datetime) -> list[Fill]:
        """Return the executions after a moment, each as last corrected."""
        return self._fills("at >= ?", _text(after))

    def changed_fills(self, after: int) -> list[tuple[int, Fill]]:
        """Return the executions after a number, with their numbers."""
        sql = "SELECT changed, data FROM fills WHERE changed > ? ORDER BY changed"
        return [(changed, _fill(data)) for changed, data in self._connection.execute(sql, (after,))]

    def traded(self, symbol: str, since: datetime) -> int:
        """Return the shares of a symbol that filled since a moment."""
        sql = "SELECT sum(quantity) FROM fills WHERE symbol = ? AND at >= ?"
        return self._connection.execute(sql, (symbol, _text(since))).fetchone()[0] or 0

    def keep_fill(self, fill: Fill) -> None:
        """Keep an execution, or a correction of one."""
        data = json.dumps({**asdict(fill), "at": _text(fill.at)})
        self._connection.execute(
            "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?, ?)",
            (fill.id, fill.revision, fill.symbol, fill.quantity, _text(fill.at), data, self.count("change")),
        )

    def positions(self) -> tuple[Position, ...]:
        """Return what is held."""
        rows = self._connection.execute("SELECT symbol, quantity, cost FROM positions ORDER BY symbol")
        return tuple(Position(*row) for row in rows)

    def hold(self, symbol: str, shares: int, price: float, commission: float) -> None:
        """Add signed shares at a price; the average cost has the commission in it, as the broker's has."""
        held = next((one for one in self.positions() if one.symbol == symbol), Position(symbol, 0, 0.0))
        quantity = held.quantity + shares
        if held.quantity * shares >= 0:
            cost = (held.average_cost * held.quantity + price * shares + commission) / quantity if quantity else 0.0
        else:  # less of what was held costs the same a share; beyond zero it is a new position
            cost = held.average_cost if held.quantity * quantity > 0 else price
        self._connection.execute("DELETE FROM positions WHERE symbol = ?", (symbol,))
        if quantity:
            self._connection.execute("INSERT INTO positions VALUES (?, ?, ?)", (symbol, quantity, cost))

    def _orders(self, where: str, values: tuple[object, ...]) -> list[Resting]:
        columns = "data, order_id, client, permanent, status, filled, average, since, accepted, triggered, active"
        sql = f"SELECT {columns} FROM orders WHERE {where}"  # noqa: S608 (only our own words are put together)
        return [_resting(row) for row in self._connection.execute(sql, values)]

    def _fills(self, where: str, value: str) -> list[Fill]:
        sql = f"SELECT data FROM fills WHERE {where} ORDER BY changed"  # noqa: S608 (as above)
        found: dict[str, Fill] = {}
        for (data,) in self._connection.execute(sql, (value,)):
            fill = _fill(data)
            found[fill.id] = fill
        return list(found.values())


def _resting(row: tuple[object, ...]) -> Resting:
    data, order_id, client, permanent, status, filled, average, since, accepted, triggered, active = row
    facts = json.loads(str(data))
    order = Order(**{**facts, "side": Side(facts["side"]), "type": OrderType(facts["type"])})
    return Resting(
        order, order_id, client, permanent, OrderStatus(str(status)), filled, average,  # type: ignore[arg-type]
        datetime.fromisoformat(str(since)), datetime.fromisoformat(str(accepted)), bool(triggered), bool(active),
    )  # fmt: skip


def _fill(data: str) -> Fill:
    facts = json.loads(data)
    return Fill(**{**facts, "side": Side(facts["side"]), "at": datetime.fromisoformat(facts["at"])})


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
