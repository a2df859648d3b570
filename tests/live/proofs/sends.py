"""Sends orders in three ways, only one of which is right; run under strace, which sees what reaches disk and wire.

python -m tests.live.proofs.sends FOLDER PORT ORDERS
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from workbench.live import dispatch
from workbench.live.gate.facts import Asked
from workbench.live.ib import IBBroker
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.params import LiveParams, Paths, Settings
from workbench.trading import Order, OrderType, Side

ACCOUNT = "DU1234567"


def main() -> None:
    """Send so many orders a way, and print the keys of each."""
    paths, settings, orders = Paths(Path(sys.argv[1])), Settings(), int(sys.argv[3])
    broker = IBBroker(LiveParams(mode="paper", port=int(sys.argv[2])))
    broker.connect()
    lease = Lease.acquire(settings, paths, ACCOUNT)
    journal = Journal.open(settings, paths, ACCOUNT, lease=lease, clock=lambda: datetime.now(UTC))
    journal.begin()

    def asked() -> Asked:
        key = journal.next_key()
        return Asked(Order(key, "AAA", Side.BUY, 1, OrderType.LIMIT, limit=50.0), shares={"one": 1})

    def right() -> str:
        (placed,) = dispatch.send(journal, broker, [asked()])
        return placed.intent.order.key

    def hasty() -> str:
        one, number = asked(), broker.next_order_id(journal.book.highest_order_id + 1)
        broker.place(one.order, number)
        journal.intend([one], number)
        return one.order.key

    found = {"right": [right() for _ in range(orders)], "hasty": [hasty() for _ in range(3)]}
    kept = journal._engine.raw_connection()
    kept.driver_connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
    kept.close()  # back to the pool
    found["unsynced"] = [right() for _ in range(3)]
    print(json.dumps(found))
    journal.close()
    lease.release()
    broker.close()


if __name__ == "__main__":
    main()
