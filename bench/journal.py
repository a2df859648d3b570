"""What the journal costs an order, and what a crash costs: intents written one by one, then recovered by the thousand.

    python bench/journal.py --orders 1000

The peer of an intent is the least that a durable row costs on this disk: one INSERT and one synced commit. Recovery is
from a process that was killed with all orders open: open the journal, ask the (paper) broker, adopt, reconcile.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from figure import report, seconds

from workbench.alerts.outbox import Outbox
from workbench.live.gate.facts import Asked
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.paper import PaperBroker, PushedMarket
from workbench.live.reconcile import reconcile
from workbench.live.recovery import recover
from workbench.params import Paths, Settings
from workbench.trading import Order, OrderType, Side

AT = datetime(2024, 3, 5, 15, tzinfo=UTC)
ACCOUNT = "PAPER"


def clock() -> datetime:
    """Return a moment of a session."""
    return AT


def bare(folder: Path, rows: int) -> list[float]:
    """Return how long each synced row takes in a plain SQLite file."""
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, data TEXT)")
    times = []
    for number in range(rows):
        start = time.perf_counter()
        database.execute("INSERT INTO rows VALUES (?, ?)", (number, "x" * 600))
        times.append(time.perf_counter() - start)
    database.close()
    return times


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    orders = parser.parse_args().orders
    with tempfile.TemporaryDirectory() as name:
        folder, settings = Path(name), Settings()
        paths = Paths(folder)
        lease = Lease.acquire(settings, paths, ACCOUNT)
        journal = Journal.open(settings, paths, ACCOUNT, lease=lease, clock=clock)
        broker = PaperBroker(folder / "paper.db", PushedMarket(clock, {"AAA": 100.0}))
        broker.connect()
        journal.begin()
        asked = [
            Asked(Order(journal.next_key(), "AAA", Side.BUY, 1, OrderType.LIMIT, limit=50.0), shares={"one": 1})
            for _ in range(orders)
        ]
        times = []
        for one in asked:
            start = time.perf_counter()
            with journal.sending():
                (intent,) = journal.intend([one], 1)
            times.append(time.perf_counter() - start)
            broker.place(intent.order, intent.order_id)  # its answer is lost: the process is dead by now
        plain, size = bare(folder, orders), {"orders": orders}
        for figure, place in (("journal_intent_p50", 0.50), ("journal_intent_p99", 0.99)):
            value, peer = (statistics.quantiles(one, n=100)[round(place * 100) - 1] for one in (times, plain))
            report(figure, value, "sqlite_synced_row", peer, size, target="p50 5 ms, p99 20 ms")
        journal.close()

        start = time.perf_counter()
        journal = Journal.open(settings, paths, ACCOUNT, lease=lease, clock=clock)
        journal.begin()
        outbox = Outbox.open(settings, paths, clock=clock)
        found = recover(journal, broker, outbox)
        clean = reconcile(journal, broker, outbox).clean
        assert clean
        assert len(found) == orders
        report("recovery_of_open_orders", time.perf_counter() - start, None, None, size, target="3 s with 1,000")
        report("journal_verify", seconds(journal.verify, 3), None, None, {"events": journal.verify()})
        journal.close()
        broker.close()
        lease.release()


if __name__ == "__main__":
    main()
