"""Executions in the adapter's book: one message alone is not enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from ib_async import CommissionReport, Contract, Execution, ExecutionFilter, OrderState
from ib_async import Order as WireOrder
from ib_async.objects import Fill as WireFill

from tests.live.ib.conftest import market, told, until
from workbench.errors import DataRefused
from workbench.live.ib.book import Book
from workbench.live.ib.wire import Gateway
from workbench.trading import Fill

STOCK = Contract(secType="STK", symbol="AAA", exchange="SMART", currency="USD")
FIRST = Execution(
    execId="0000e0d5.1234.01.01", time=datetime(2026, 1, 5, 15, tzinfo=UTC), acctNumber="DU1", side="BOT", shares=40.0,
    price=10.0, permId=9, clientId=17, orderId=4, orderRef="k1", cumQty=40.0, avgPrice=10.0,
)  # fmt: skip
SECOND = replace(FIRST, execId="0000e0d5.1235.01.01", shares=60.0, price=11.0, cumQty=100.0, avgPrice=10.6)


@pytest.fixture
def book() -> Book:
    """An order to buy 100 AAA, taken by the broker."""
    made = Book("DU1", 17, (17, 18))
    wire = WireOrder(orderId=4, clientId=17, permId=9, action="BUY", totalQuantity=100, orderType="MKT", orderRef="k1")
    made.opened(STOCK, wire, OrderState(status="Submitted").status)
    made.take()
    return made


def held(book: Book) -> list[tuple[int, float]]:
    return [(one.quantity, one.price) for one in book.fills.values()]


def test_an_execution_counts_when_its_commission_names_it(book):
    assert book.executed(STOCK, FIRST, live=True) is None
    assert (book.take(), book.unsure) == ((), {FIRST.execId})
    book.paid(FIRST.execId, 1.0)
    (fill,) = book.take()
    assert isinstance(fill, Fill)
    assert (fill.quantity, fill.commission, book.unsure) == (40, 1.0, frozenset())


def test_a_commission_that_names_another_one_does_not_count(book):
    book.executed(STOCK, replace(FIRST, execId="0000e0d5.1934.01.01"), live=True)  # a byte of it is wrong
    book.paid(FIRST.execId, 1.0)
    assert book.fills == {}


def test_an_order_is_forgotten_two_days_after_its_end_and_known_anew_where_it_is_told_again(book):
    book.begin(date(2026, 1, 5))
    book.executed(STOCK, FIRST, live=True)
    book.paid(FIRST.execId, 1.0)
    book.begin(date(2026, 1, 6))
    assert len(book.orders) == 1  # it is still worked
    book.executed(STOCK, SECOND, live=True)
    book.paid(SECOND.execId, 1.0)
    book.moved(4, "Filled", 100.0, 10.6, 9, 17)
    for day in (7, 7, 8):
        assert len(book.orders) == 1
        book.begin(date(2026, 1, day))
    assert (book.orders, book.fills, book.of_key("k1"), book.of_id(4)) == ({}, {}, (), None)
    book.take()
    book.executed(STOCK, FIRST, live=False)
    book.paid(FIRST.execId, 1.0)
    assert [one.quantity for one in book.take()] == [40]


@pytest.mark.parametrize("wrong", [{"shares": 30.0}, {"price": 19.0}, {"cumQty": 41.0}, {"avgPrice": 10.1}])
def test_an_execution_that_contradicts_its_own_total_waits_for_a_second_message(book, wrong):
    book.executed(STOCK, replace(FIRST, **wrong), live=True)
    book.paid(FIRST.execId, 1.0)
    assert book.fills == {}
    book.executed(STOCK, FIRST, live=False)  # asked for: whole, and named by its commission
    assert held(book) == [(40, 10.0)]


def test_what_is_told_twice_alike_counts_without_a_commission(book):
    assert book.executed(STOCK, FIRST, live=False) is None
    assert book.executed(STOCK, FIRST, live=False) is not None
    assert held(book) == [(40, 10.0)]


def test_executions_whose_commissions_come_in_another_order_all_count(book):
    book.executed(STOCK, FIRST, live=True)
    book.executed(STOCK, SECOND, live=True)
    book.paid(SECOND.execId, 0.5)  # its total needs the first
    assert book.fills == {}
    book.paid(FIRST.execId, 1.0)
    assert held(book) == [(40, 10.0), (60, 11.0)]
    assert book.missing == set()


def test_a_damaged_answer_does_not_replace_what_is_known(book):
    book.executed(STOCK, FIRST, live=True)
    book.paid(FIRST.execId, 1.0)
    book.executed(STOCK, replace(FIRST, price=90.0), live=False)
    assert (held(book), book.unsure) == ([(40, 10.0)], {FIRST.execId})
    book.executed(STOCK, FIRST, live=False)  # whole again
    assert (held(book), book.unsure) == ([(40, 10.0)], frozenset())


STRANGE = [{"shares": 0.5}, {"shares": 10.5}, {"price": 0.0}, {"price": -1.25}, {"side": "?"}]
THEIRS = {"clientId": 0, "orderId": 0, "permId": 77, "orderRef": "", "execId": "0000e0d5.9999.01.01"}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("live", [True, False])
def test_an_execution_of_somebody_else_that_has_no_words_here_is_left_out_and_logged_once(book, caplog, strange, live):
    for _ in range(2):
        assert book.executed(STOCK, replace(FIRST, **THEIRS, **strange), live=live) is None
    assert (book.fills, book.unsure, book.doubts) == ({}, frozenset(), [])
    (line,) = caplog.messages
    assert line.startswith("execution 0000e0d5.9999.01.01: ")
    assert line.endswith("not ours, and left out: what it changed shows in the positions")


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("ours", [{}, {"clientId": 0}, {"clientId": 0, "orderId": 0, "orderRef": ""}])
def test_an_execution_of_an_order_of_ours_is_never_left_out(book, strange, ours):
    told = replace(FIRST, **ours, **strange)
    with pytest.raises(DataRefused, match=r"0000e0d5\.1234\.01\.01"):
        book.executed(STOCK, told, live=False)
    assert book.executed(STOCK, told, live=True) is None
    assert len(book.doubts) == 1  # the broker is asked


def test_a_strange_execution_of_somebody_else_keeps_no_runner_from_connecting(sim, broker, monkeypatch):
    broker.place(market("k1"), broker.next_order_id(1))
    told(broker)
    whole = Gateway.reqExecutionsAsync

    async def more(gateway: Gateway, which: ExecutionFilter) -> list[WireFill]:
        found = list(await whole(gateway, which))
        theirs = replace(FIRST, acctNumber=broker.account_id, **THEIRS, shares=0.5)
        return [*found, WireFill(STOCK, theirs, CommissionReport(), theirs.time)]

    monkeypatch.setattr(Gateway, "reqExecutionsAsync", more)
    broker.cut()
    broker.connect()
    assert [(one.key, one.quantity) for one in broker.fills(datetime(2020, 1, 1, tzinfo=UTC))] == [("k1", 100)]


def test_an_execution_without_its_commission_is_asked_for(sim, broker):
    sim.fault("drop", message="commissionReport", times=1)
    broker.place(market("k1"), broker.next_order_id(1))
    fills = [one for one in told(broker, 1.0) if isinstance(one, Fill)]
    assert [(one.quantity, one.commission) for one in fills] == [(100, 1.0)]


def test_a_status_that_cannot_be_read_is_asked_for(sim, broker):
    sim.fault("hold", state=True)
    sim.fault("truncate", message="orderStatus", count=9, times=1)
    sim.fault("drop", message="openOrder", times=1)
    broker.place(market("k1"), broker.next_order_id(1))  # the broker's word comes when it is asked
    until(lambda: [one.order.key for one in broker.open_orders()] == ["k1"])
