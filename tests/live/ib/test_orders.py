"""Orders over the wire: brackets, lost answers, what is sent and what is never sent twice."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.live.conftest import wanted
from tests.live.ib.conftest import limit, market, told, until
from workbench.errors import Disconnected, InputRefused, OrderRejected, Unanswered
from workbench.live.dispatch import send
from workbench.live.ib import IBBroker
from workbench.live.ib.wire import FIRST_REQUEST, LAST_ORDER
from workbench.trading import Order, OrderStatus, OrderType, Side, Working

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def bracket(entry: Order) -> list[Order]:
    out = Side.SELL if entry.side is Side.BUY else Side.BUY
    target = Order("target", "AAA", out, entry.quantity, OrderType.LIMIT, limit=120.0, parent=entry.key)
    return [entry, target, Order("stop", "AAA", out, entry.quantity, OrderType.STOP, stop=80.0, parent=entry.key)]


def numbered(broker: IBBroker, orders: list[Order]) -> list[tuple[Order, int]]:
    return [(order, broker.next_order_id(1)) for order in orders]


def test_every_order_names_its_key_its_account_and_its_time_in_force(sim, broker):
    number = broker.next_order_id(1)
    broker.place(replace(limit("261121-1a-7", 90.0), tif="GTC"), number)
    (sent,) = sim.orders()
    assert (sent["ref"], sent["account"], sent["tif"]) == ("261121-1a-7", "DU1234567", "GTC")
    assert (sent["order_id"], sent["client_id"], sent["type"], sent["limit"]) == (number, 17, "LMT", 90.0)


@pytest.mark.parametrize("version", [157, 176, 178])
def test_the_whole_way_of_an_order_at_every_server_version(version):
    from tests.live.ib.conftest import QUICK
    from workbench.params import LiveParams
    from workbench.tws import Simulator

    with Simulator(factor=0, symbols={"AAA": 100.0}, server_version=version) as sim:
        broker = IBBroker(LiveParams(mode="paper", port=sim.port, **QUICK))
        broker.connect()
        number = broker.next_order_id(1)
        assert broker.what_if(market("k1")).initial_change > 0
        broker.place(market("k1"), number + 1)
        until(lambda: [one.quantity for one in broker.fills(LONG_AGO)] == [100])
        assert [one.order.key for one in broker.completed_orders()] == ["k1"]
        broker.close()


def test_a_resting_order_may_be_cancelled_by_its_key(sim, broker):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    broker.cancel("k1")
    until(lambda: [one["status"] for one in sim.orders()] == ["Cancelled"])
    with pytest.raises(OrderRejected, match="cancelled") as refused:
        until(lambda: broker.updates(0.05) and broker.cancel("k1"))
    assert refused.value.code == 10148


def test_a_cancel_finds_an_order_of_an_earlier_process(sim, broker, make):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    broker.close()
    make().cancel("k1")
    until(lambda: [one["status"] for one in sim.orders()] == ["Cancelled"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_order_without_an_answer_is_unanswered_and_can_be_sent_again(sim, broker, when):
    sim.fault("drop", message="placeOrder", when=when, times=1)
    number = broker.next_order_id(1)
    with pytest.raises(Unanswered, match=rf"k1 \(id {number}\).*look it up"):
        broker.place(limit("k1", 90.0), number)
    assert [one.order.key for one in broker.open_orders()] == ([] if when == "before" else ["k1"])
    assert broker.place(limit("k1", 90.0), number).order.key == "k1"  # the same id and key: still one order
    assert [one["ref"] for one in sim.orders()] == ["k1"]


@pytest.mark.parametrize(("when", "there"), [("before", []), ("after", ["k1"])])
def test_an_order_whose_connection_ends_under_way_is_unanswered(sim, broker, when, there):
    sim.fault("reset", message="placeOrder", when=when, times=1)
    number = broker.next_order_id(1)
    with pytest.raises(Unanswered, match="look it up"):
        broker.place(limit("k1", 90.0), number)
    broker.connect()
    assert [one.order.key for one in broker.open_orders()] == there


def test_nothing_is_sent_without_a_connection(sim, broker):
    number = broker.next_order_id(1)
    broker.instrument("AAA")
    sim.fault("abort")
    until(lambda: not broker.connected)
    with pytest.raises(Disconnected, match="connect again"):
        broker.place(limit("k1", 90.0), number)
    assert sim.log() == []


def test_a_bracket_is_let_go_whole(sim, broker):
    placed = broker.place_bracket(numbered(broker, bracket(limit("entry", 90.0))))
    assert [one.order.parent for one in placed] == ["", "entry", "entry"]
    first, *children = [one for one in sim.log() if one["kind"] == "placeOrder"]
    entry, target, stop = sim.orders()
    assert (first["order_id"], [one["parent_id"] for one in (entry, target, stop)]) == (
        entry["order_id"],
        [0, entry["order_id"], entry["order_id"]],
    )
    assert len(children) == 2
    assert (target["why_held"], stop["why_held"]) == ("child", "child,trigger")


@pytest.mark.parametrize("refused", [0, 1, 2])
@pytest.mark.parametrize("code", [201, 9999])
def test_of_a_bracket_with_one_refused_order_nothing_works(sim, broker, refused, code):
    sim.fault("error", message="placeOrder", code=code, text="no", skip=refused, times=1)
    with pytest.raises(OrderRejected, match=f"{code} no"):
        broker.place_bracket(numbered(broker, bracket(market("entry"))))
    until(lambda: all(one["status"] == "Cancelled" for one in sim.orders()))
    assert broker.fills(LONG_AGO) == ()
    assert broker.positions() == ()


def test_a_bracket_of_which_a_part_filled_and_another_was_refused_is_looked_up(sim, broker):
    sim.fault("hold", state=True)
    family = numbered(broker, bracket(market("entry")))
    sim.fault("drop", message="openOrder")  # no word comes until the exchange speaks
    sim.fault("drop", message="orderStatus")

    def speak() -> None:
        sim.fault("fill", client=17, order_id=family[0][1], price=100.0)
        sim.fault("notice", code=201, text="no", request=family[2][1])

    later = threading.Timer(0.3, speak)
    later.start()
    with pytest.raises(Unanswered, match="100 shares of entry are filled"):
        broker.place_bracket(family)
    later.join()
    assert [one.key for one in broker.fills(LONG_AGO)] == ["entry"]


def test_a_bracket_of_which_a_part_is_refused_after_it_was_taken_is_taken_back(sim, broker):
    family = bracket(limit("entry", 90.0, quantity=50_000))  # of 100 each: the account has a million
    with pytest.raises(OrderRejected, match="201"):
        broker.place_bracket(numbered(broker, family))
    until(lambda: all(one["status"] in ("Cancelled", "Inactive") for one in sim.orders()))


def test_a_bracket_cut_off_under_way_does_not_work_in_part(sim, broker):
    sim.fault("reset", message="placeOrder", skip=2, times=1)
    with pytest.raises(Unanswered, match="look it up"):
        broker.place_bracket(numbered(broker, bracket(market("entry"))))
    broker.connect()
    assert broker.open_orders() == ()
    assert broker.fills(LONG_AGO) == ()


def test_a_child_is_tied_to_a_parent_that_is_there_already(sim, broker):
    entry = limit("entry", 90.0)
    parent = broker.place(entry, broker.next_order_id(1))
    child = broker.place(bracket(entry)[1], broker.next_order_id(1))
    assert child.order.parent == "entry"
    assert [one["parent_id"] for one in sim.orders()] == [0, parent.order_id]
    with pytest.raises(OrderRejected, match="nobody") as refused:
        broker.place(replace(bracket(entry)[1], parent="nobody"), broker.next_order_id(1))
    assert refused.value.code == 135


def test_a_bracket_with_an_impossible_price_does_not_leave(sim, broker):
    entry, target, stop = bracket(market("entry"))
    with pytest.raises(InputRefused, match="stop None"):
        broker.place_bracket(numbered(broker, [entry, target, replace(stop, stop=None)]))
    assert sim.log() == []


def test_what_the_broker_calls_alive_when_asked_is_alive(sim, broker):
    placed = broker.place(limit("k1", 90.0), broker.next_order_id(1))
    book = broker._book
    book.moved(placed.order_id, "Cancelled", 0.0, 0.0, placed.permanent_id, 17)  # as from a damaged message
    assert [(one.order.key, one.status) for one in broker.open_orders()] == [("k1", OrderStatus.WORKING)]


def test_what_the_stop_sends_is_ours_to_the_runner(sim, broker):
    stop = IBBroker(broker.params, broker.params.kill_client_id)
    stop.connect()
    stop.place(market("stop-1"), stop.next_order_id(1))
    stop.place(limit("stop-2", 90.0), stop.next_order_id(1))
    until(lambda: [(one.key, one.quantity) for one in broker.fills(LONG_AGO)] == [("stop-1", 100)])
    assert [(one.order.key, one.client_id, one.ours) for one in broker.open_orders()] == [("stop-2", 18, True)]
    with pytest.raises(OrderRejected, match="client 17 has no such order"):
        broker.cancel("stop-2")  # only the client that sent it can
    stop.close()


def test_a_bracket_of_strangers_is_refused(broker):
    with pytest.raises(InputRefused, match="naming the parent's key"):
        broker.place_bracket([(limit("a", 90.0), 1), (limit("b", 91.0), 2)])


def test_of_a_group_one_filled_order_cancels_the_others(sim, broker):
    sim.fault("hold", state=True)
    broker.place(replace(limit("a", 90.0), oca="g"), broker.next_order_id(1))
    number = broker.next_order_id(1)
    broker.place(replace(limit("b", 91.0), oca="g"), number)
    sim.fault("fill", client=17, order_id=number, price=91.0)
    ended = {one.order.key: one.status for one in told(broker) if isinstance(one, Working)}
    assert ended == {"a": OrderStatus.CANCELLED, "b": OrderStatus.FILLED}


def test_fills_in_parts_carry_their_commission_when_it_comes(sim, broker):
    sim.fault("hold", state=True)
    number = broker.next_order_id(1)
    broker.place(market("k1", 300), number)
    for shares in (100, 50, 150):
        sim.fault("fill", client=17, order_id=number, shares=shares, price=100.0)
    assert [one.quantity for one in broker.fills(LONG_AGO)] == [100, 50, 150]
    # 0.005 a share of 300 shares is 1.50: one dollar at first, the rest when it is due.
    assert sum(one.commission for one in broker.fills(LONG_AGO)) == pytest.approx(1.5)
    assert [one.price for one in broker.fills(LONG_AGO)] == [100.0] * 3


def test_an_order_id_of_the_requests_is_refused(broker):
    with pytest.raises(InputRefused, match="order id"):
        broker.place(limit("k1", 90.0), FIRST_REQUEST)


def test_a_client_goes_on_from_order_ids_that_another_program_took_from_the_clock(sim, broker):
    broker.place(limit("k1", 90.0), 1_763_750_000)
    number = broker.next_order_id(1)
    placed = broker.place(limit("k2", 91.0), number)
    assert (number, placed.order_id) == (1_763_750_001, 1_763_750_001)
    assert [one.order.key for one in broker.open_orders()] == ["k1", "k2"]


def test_order_ids_that_are_used_up_are_told_before_anything_is_written_down(broker, journal):
    broker.place(limit("k1", 90.0), LAST_ORDER)
    with pytest.raises(InputRefused, match="its next order id is 2130705433, and 2130705432 is the last one used here"):
        send(journal, broker, [wanted("k2")])
    assert dict(journal.book.orders) == {}
    broker.place_bracket([(limit("k3", 90.0), LAST_ORDER + 2)])  # what was begun has room


def test_requests_and_orders_never_share_a_number(sim, broker):
    for number in range(1, 6):
        broker.positions()
        broker.account()
        broker.fills(LONG_AGO)
        broker.place(limit(f"k{number}", 90.0), number)
    sim.fault("notice", code=201, text="rejected", request=3)
    assert len(broker.fills(LONG_AGO)) == 0
    assert len(broker.open_orders()) == 5


def crowd(broker: IBBroker, messages: int = 120) -> None:
    """Ask for more than the 45 messages a second that ib_async lets through: the rest waits in its queue."""

    async def ask(ears) -> None:
        for _ in range(messages):
            ears.connection.client.reqMarketDataType(1)

    broker._run(ask)


def waiting(broker: IBBroker) -> int:
    return len(broker._ears.connection.client._msgQ)


def test_an_order_and_a_cancel_wait_in_no_queue_from_which_they_could_leave_too_late(sim, broker):
    broker.instrument("AAA")
    number = broker.next_order_id(1)
    crowd(broker)
    assert not broker.place(limit("k1", 90.0), number).status.terminal
    broker.cancel_all()
    until(lambda: [one["status"] for one in sim.orders()] == ["Cancelled"], 0.5)
    assert waiting(broker) > 0


def test_room_for_an_order_is_waited_for_before_it_is_placed(broker):
    crowd(broker)
    assert waiting(broker) > 70
    broker.make_room(3)
    assert waiting(broker) == 0
    broker.cut()
    with pytest.raises(Disconnected):
        broker.make_room(1)
