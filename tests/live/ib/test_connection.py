"""Which account is let in, and what a connection lives through."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from ib_async import OrderState

from tests.live.ib.conftest import QUICK, limit, market, told, until
from workbench.errors import Disconnected, InputRefused, ParamsRefused
from workbench.live.ib import IBBroker
from workbench.live.ib.translation import margin_of as what_if_margin
from workbench.live.ib.translation import require_paper
from workbench.live.view import margin_of
from workbench.params import LiveParams, read_section
from workbench.trading import Margin, Order, OrderType, Side
from workbench.tws import Simulator

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"mode": "live"}, "very id"),
        ({"mode": "live", "account": "DU1234567"}, "very id"),
        ({"mode": "paper", "account": "U1234567"}, "begin with DU"),
        ({"client_id": 18}, "one of its own"),
        ({"client_id": 0}, "greater than or equal to 1"),
        ({"heartbeat_seconds": 9}, "less than or equal to 4"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(content, words):
    with pytest.raises(ParamsRefused, match=words):
        read_section(LiveParams, content, "params/base.yaml")


@pytest.mark.parametrize(
    ("mode", "wanted", "accounts"),
    [
        ("paper", "", ["U1234567"]),
        ("paper", "", ["DU1234567", "U1234567"]),  # a global cancel would reach the real one
        ("paper", "DU1", ["DU2"]),
        ("paper", "", ["DU1", "DU2"]),
        ("paper", "", []),
        ("live", "", ["U1234567"]),
        ("live", "U1", ["U2"]),
        ("live", "U1", ["DU1"]),
        ("live", "DU1", ["DU1"]),
        ("embedded", "U1", ["U1"]),
        ("embedded", "", ["DU1"]),
    ],
)
def test_an_account_that_was_not_asked_for_is_refused(mode, wanted, accounts):
    with pytest.raises(InputRefused, match=r"live\.(account|mode)"):
        require_paper(mode, wanted, accounts)


def test_the_accounts_that_are_let_in():
    assert require_paper("paper", "", ["DU1"]) == "DU1"
    assert require_paper("paper", "DU2", ["DU1", "DU2"]) == "DU2"
    assert require_paper("live", "U1", ["U1", "U2"]) == "U1"


def test_real_money_asked_for_and_a_paper_login_found_is_refused_at_once(sim):
    broker = IBBroker(LiveParams(mode="live", account="U1234567", port=sim.port, **QUICK))
    with pytest.raises(InputRefused, match="U1234567: the login manages DU1234567"):
        broker.connect()
    until(lambda: sim.sessions() == [])
    broker.close()


def test_before_connecting_nothing_is_answered(make):
    broker = make(connect=False)
    for ask in (broker.now, broker.positions, lambda: broker.account_id, lambda: broker.updates(0.0)):
        with pytest.raises(Disconnected, match="not connected"):
            ask()
    broker.close()


def test_no_gateway_at_the_port_is_told_in_one_line(make):
    with pytest.raises(Disconnected) as refused:
        make(port=9, connect_seconds=0.5)
    assert "\n" not in str(refused.value)
    assert "127.0.0.1:9 as client 17" in str(refused.value)
    assert "Is the gateway up" in str(refused.value)


def test_a_gateway_that_comes_back_is_found(sim, broker):
    sim.fault("restart", seconds=1.0, rollback=1)
    until(lambda: not broker.connected)
    broker.connect()
    assert broker.account_id == "DU1234567"


def test_connecting_waits_while_the_gateway_has_no_broker(sim, broker):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    (before,) = sim.sessions()
    sim.fault("link", state="down")
    until(lambda: not broker.connected)
    sim.fault("fill", client=17, order_id=number, price=90.0)
    later = threading.Timer(0.5, lambda: sim.fault("link", state="kept"))
    later.start()
    broker.connect()
    later.join()
    assert broker.connected
    assert sim.sessions() == [before]  # the same socket
    assert [one.key for one in broker.fills(LONG_AGO)] == ["k1"]


def test_another_account_behind_the_same_port_is_refused(sim, make):
    with Simulator(factor=0, account="DU7654321") as other:
        broker = make(connect_seconds=0.5)
        sim.fault("abort")
        until(lambda: not broker.connected)
        broker.params = broker.params.model_copy(update={"port": other.port})
        with pytest.raises(Disconnected, match="DU7654321 now, and it was DU1234567"):
            broker.connect()


def test_a_gateway_that_gets_no_broker_back_is_told(sim, make):
    broker = make(connect_seconds=0.3)
    sim.fault("link", state="down")
    until(lambda: not broker.connected)
    with pytest.raises(Disconnected, match="1100"):
        broker.connect()
    sim.fault("link", state="kept")
    broker.connect()  # over a new socket: the word of being back may have been lost with the old one
    assert broker.now()


def test_what_was_told_before_the_end_is_told_and_then_the_end(sim, broker):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    broker.updates(0.1)
    sim.fault("fill", client=17, order_id=number, price=90.0)
    until(lambda: not broker._updates.empty())
    sim.fault("abort")
    until(lambda: not broker.connected)
    assert broker.updates(0.0)
    while not broker._updates.empty():
        broker.updates(0.0)
    with pytest.raises(Disconnected):
        broker.updates(0.0)


def test_two_threads_may_ask_at_once(broker):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for ask in [broker.positions, broker.open_orders, broker.now, broker.account] * 5]
        assert all(one.result(10) is not None for one in asked)


def test_account_values_and_costs_are_the_brokers(sim, broker):
    broker.place(market("k1"), broker.next_order_id(1))
    until(lambda: broker.positions())
    account, truth = broker.account(), sim.account()
    assert (account.cash, account.equity) == (pytest.approx(truth["cash"]), truth["NetLiquidation"])
    assert (account.buying_power, account.initial_margin) == (truth["BuyingPower"], truth["InitMarginReq"])
    assert account.maintenance_margin == truth["MaintMarginReq"]
    assert account.at == broker.now() == datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
    (held,) = broker.positions()
    paid = sum(one["price"] * one["shares"] + one["commission"] for one in sim.executions())
    assert (held.quantity, held.average_cost) == (100, pytest.approx(paid / 100))


def test_the_account_is_asked_again_and_again(broker):
    for _ in range(5):  # a gateway allows two account summaries at a time
        assert broker.account().equity == 1_000_000.0


def test_farms_that_come_and_go_leave_one_line_a_symbol_and_room_for_orders(make):
    symbols = {f"S{number:02d}": 50.0 for number in range(40)}
    with Simulator(factor=0, symbols=symbols) as sim:
        broker = make(port=sim.port)
        assert all(quote.last for quote in broker.quotes(symbols).values())
        for _ in range(3):
            sim.fault("notice", code=2103, text="Market data farm connection is broken:usfarm")
            sim.fault("notice", code=2104, text="Market data farm connection is OK:usfarm")
        time.sleep(0.6)  # the new subscriptions are under way
        start = time.monotonic()
        broker.place(Order("k1", "S00", Side.BUY, 1, OrderType.LIMIT, limit=40.0), broker.next_order_id(1))
        assert time.monotonic() - start < 0.9  # a full queue would hold it for a second
        until(lambda: all(quote.last for quote in broker.quotes(symbols).values()), 10.0)
        assert sorted(line.symbol for line in broker.board.lines.values()) == sorted(symbols)


def test_delayed_prices_are_timed_as_what_they_are(make):
    broker = make(market_data="delayed")
    quote = broker.quotes(["AAA"])["AAA"]
    assert quote.last is not None
    assert (broker.now() - quote.at).total_seconds() >= 900


def test_a_symbol_that_was_struck_off_has_no_price_and_keeps_no_other_one_from_having_one(broker):
    quotes = broker.quotes(["AAA", "GONE"])
    assert quotes["AAA"].mid == pytest.approx(100.0, abs=0.5)
    assert (quotes["GONE"].bid, quotes["GONE"].ask, quotes["GONE"].last) == (None, None, None)
    assert set(broker.quotes(["GONE"])) == {"GONE"}


def test_a_connection_that_is_cut_by_hand_is_gone_and_comes_back_as_the_same_client(sim, broker):
    placed = broker.place(limit("k1", 90.0), broker.next_order_id(1))
    broker.cut()
    until(lambda: not broker.connected)
    with pytest.raises(Disconnected, match="cut by hand"):
        broker.now()
    broker.connect()
    assert [(one.order.key, one.permanent_id) for one in broker.open_orders()] == [("k1", placed.permanent_id)]
    assert [session["client_id"] for session in sim.sessions()] == [broker.client_id]


class TellsTooLittle:
    """A broker whose what-if lacks a margin, as the adapter says it."""

    def what_if(self, order: Order) -> Margin:
        return what_if_margin(order, OrderState(initMarginChange="100.0", maintMarginChange=""))


def test_a_what_if_that_tells_too_little_is_no_margin_and_ends_no_session():
    assert margin_of(SimpleNamespace(broker=TellsTooLittle()), market("k1")) is None


def test_a_connection_that_lasts_for_days_forgets_the_orders_of_days_ago(sim, broker):
    sent = [market("k1"), market("k2"), limit("k3", 90.0, tif="GTC")]
    known = []
    for order in sent:
        broker.place(order, broker.next_order_id(1))
        told(broker, 0.2)
        sim.advance(24 * 3600)
        broker.connect()
        assert broker.connected
        known.append([one.order.key for one in broker._book.orders.values()])
    assert known == [["k1"], ["k2"], ["k3"]]
