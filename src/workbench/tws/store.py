"""The broker's state in SQLite: it outlives the simulator, also one that was killed."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from workbench.tws.order import Execution, Holding, Order
from workbench.tws.refused import SimulatorRefused

TABLES = """
create table if not exists meta (name text primary key, value text not null);
create table if not exists orders (
    perm_id integer primary key, client_id integer not null, order_id integer not null, body text not null);
create table if not exists executions (
    number integer primary key, exec_id text not null unique, perm_id integer not null, body text not null);
create table if not exists holdings (symbol text primary key, body text not null);
create table if not exists ids (client_id integer primary key, next integer not null);
create table if not exists log (
    number integer primary key, monotonic real not null, wall real not null, simulated real not null,
    session integer not null, client_id integer not null, kind text not null, order_id integer not null,
    fate text not null, body text not null);
"""
LOG = ("monotonic", "wall", "simulated", "session", "client_id", "kind", "order_id", "fate", "body")
LAYOUT = "1"


class Store:
    """Reads everything once, then writes through; nothing is told to a client before it is committed."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self.base = sqlite3.connect(file or ":memory:", isolation_level=None, check_same_thread=False, timeout=1)
            self.base.execute("pragma locking_mode=exclusive")  # one simulator a file
            # A killed process loses nothing that was committed; only a dead machine could, and it is a simulator.
            self.base.execute("pragma journal_mode=wal")
            self.base.execute("pragma synchronous=off")
            self.base.executescript(TABLES)
            self.open = False
            layout = self.meta("layout", LAYOUT)
            self.set_meta("layout", layout)
            self.commit()
        except (sqlite3.Error, OSError) as error:
            said = f"{file}: not usable as the broker's state: {error}"
            raise SimulatorRefused(f"{said}; end the simulator that uses it, or give another file") from None
        if layout != LAYOUT:
            raise SimulatorRefused(
                f"{file}: written as layout {layout}, this simulator knows {LAYOUT}; give a new file"
            )

    def write(self, statement: str, values: tuple[Any, ...]) -> None:
        """Write within the open transaction."""
        if not self.open:
            self.base.execute("begin")
            self.open = True
        self.base.execute(statement, values)

    def commit(self) -> None:
        """Make everything written so far durable."""
        if self.open:
            self.base.execute("commit")
            self.open = False

    def close(self) -> None:
        """Commit and let go of the file."""
        self.commit()
        self.base.close()

    def meta(self, name: str, default: str = "") -> str:
        """Return one remembered value."""
        row = self.base.execute("select value from meta where name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_meta(self, name: str, value: object) -> None:
        """Remember one value."""
        self.write("insert or replace into meta values (?, ?)", (name, str(value)))

    def orders(self) -> list[Order]:
        """Return every order, oldest first."""
        rows = self.base.execute("select body from orders order by perm_id")
        return [Order(**json.loads(body)) for (body,) in rows]

    def save_order(self, order: Order) -> None:
        """Write one order as it stands."""
        body = json.dumps(order.__dict__)
        self.write(
            "insert or replace into orders values (?, ?, ?, ?)", (order.perm_id, order.client_id, order.order_id, body)
        )

    def drop_order(self, order: Order) -> None:
        """Take one order out."""
        self.write("delete from orders where perm_id = ?", (order.perm_id,))

    def executions(self) -> list[Execution]:
        """Return every execution, oldest first."""
        rows = self.base.execute("select body from executions order by number")
        return [Execution(**json.loads(body)) for (body,) in rows]

    def add_execution(self, execution: Execution) -> None:
        """Write one execution."""
        values = (execution.exec_id, execution.perm_id, json.dumps(execution.__dict__))
        self.write("insert into executions (exec_id, perm_id, body) values (?, ?, ?)", values)

    def holdings(self) -> dict[str, Holding]:
        """Return what is held."""
        rows = self.base.execute("select body from holdings order by symbol")
        return {holding.symbol: holding for holding in (Holding(**json.loads(body)) for (body,) in rows)}

    def save_holding(self, holding: Holding) -> None:
        """Write one holding as it stands."""
        self.write("insert or replace into holdings values (?, ?)", (holding.symbol, json.dumps(holding.__dict__)))

    def next_ids(self) -> dict[int, int]:
        """Return the next order id of every client."""
        return dict(self.base.execute("select client_id, next from ids").fetchall())

    def save_next_id(self, client_id: int, following: int) -> None:
        """Write the next order id of a client."""
        self.write("insert or replace into ids values (?, ?)", (client_id, following))

    def log(
        self, session: int, client_id: int, kind: str, order_id: int, fate: str, body: object, simulated: float
    ) -> None:
        """Write down an order message the moment it arrived."""
        self.write(
            "insert into log values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (time.monotonic(), time.time(), simulated, session, client_id, kind, order_id, fate, json.dumps(body)),
        )

    def log_rows(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the log from a row number on."""
        rows = self.base.execute("select * from log where number > ? order by number", (after,))
        return [dict(zip(("number", *LOG), row, strict=True)) | {"body": json.loads(row[-1])} for row in rows]
