"""A reconciliation by hand, on the embedded account: it finds out and writes down, and sends nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.live.conftest import wanted
from workbench.live.connect import EMBEDDED_ACCOUNT, embedded_file
from workbench.live.journal.journal import Journal
from workbench.live.lease import Lease
from workbench.live.paper import PaperBroker, PushedMarket, SteppedClock
from workbench.params import Paths, Settings
from workbench.trading import OrderStatus


def test_an_order_that_was_written_and_never_sent_is_not_sent_by_a_reconciliation(desk):
    """The runner died between the two; what it wanted is decided again, through the gate."""
    clock = SteppedClock(datetime(2024, 7, 2, 15, tzinfo=UTC))
    paths, settings = Paths(desk.root), Settings()
    broker = PaperBroker(embedded_file(settings, paths), PushedMarket(clock, {"AAA": 100.0}), account=EMBEDDED_ACCOUNT,
                         client_id=17)  # fmt: skip
    broker.connect()
    lease = Lease.acquire(settings, paths, EMBEDDED_ACCOUNT)
    journal = Journal.open(settings, paths, EMBEDDED_ACCOUNT, lease=lease, clock=clock)
    journal.begin()
    (intent,) = journal.intend([wanted(journal.next_key())], broker.next_order_id(1))
    journal.close()
    lease.release()
    done = desk.type("reconcile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert broker.open_orders() == broker.completed_orders() == ()
    broker.close()
    again = Journal.open(settings, paths, EMBEDDED_ACCOUNT)
    again.close()
    assert again.book.orders[intent.order.key].status is OrderStatus.CANCELLED
