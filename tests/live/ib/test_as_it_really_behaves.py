"""How ib_async and the gateway really behave, and what the adapter makes of it; numbered as in docs/live.md."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime

import pytest
from ib_async import IB, LimitOrder, Stock

from tests.live.ib.conftest import limit, market, told, until
from workbench.errors import DataRefused, Disconnected, InputRefused, NoData, OrderRejected, Unanswered
from workbench.live.ib import IBBroker
from workbench.live.ib.wire import FIRST_REQUEST
from workbench.params import LiveParams
from workbench.trading import Fill, Order, OrderStatus, OrderType, Side, Working

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def fills_in(updates) -> list[Fill]:
    return [one for one in updates if isinstance(one, Fill)]


def statuses_in(updates) -> list[OrderStatus]:
    return [one.status for one in updates if isinstance(one, Working)]


def test_1_a_fill_while_disconnected_gives_no_event_and_no_order_stays_submitted_for_ever(sim, broker):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    sim.fault("abort")
    until(lambda: not broker.connected)
    sim.fault("fill", client=17, order_id=number, price=89.5)
    with pytest.raises(Disconnected):
        told(broker)
    broker.connect()
    (fill,) = broker.fills(LONG_AGO)
    assert (fill.key, fill.quantity, fill.price, fill.commission) == ("k1", 100, 89.5, 1.0)
    assert broker.open_orders() == ()
    assert [one.status for one in broker.completed_orders()] == [OrderStatus.FILLED]
    assert [(one.symbol, one.quantity) for one in broker.positions()] == [("AAA", 100)]


@pytest.mark.parametrize("code", [100, 103, 161, 200, 201, 202, 321, 322, 399, 404, 2109, 10147, 10349, 9999])
def test_2_no_error_code_makes_a_working_order_cancelled(sim, broker, code):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    told(broker, 0.1)
    sim.fault("notice", code=code, text="something is said", request=number)
    assert statuses_in(told(broker, 0.2)) == []
    assert [(one.order.key, one.status) for one in broker.open_orders()] == [("k1", OrderStatus.WORKING)]


def test_2_ib_async_alone_calls_it_cancelled(sim):
    """The control: the library's own state is what the adapter must not use."""

    async def state() -> str:
        ib = IB()
        await ib.connectAsync("127.0.0.1", sim.port, clientId=5)
        (contract,) = await ib.qualifyContractsAsync(Stock("AAA", "SMART", "USD"))
        trade = ib.placeOrder(contract, LimitOrder("BUY", 100, 90.0, tif="DAY"))
        await asyncio.sleep(0.1)
        sim.fault("notice", code=10349, text="time in force was set by a preset", request=trade.order.orderId)
        await asyncio.sleep(0.1)
        ib.disconnect()
        return str(trade.orderStatus.status)

    assert asyncio.run(state()) == "Cancelled"
    assert [one["status"] for one in sim.orders()] == ["Submitted"]


@pytest.mark.parametrize("code", [110, 321, 434, 9999])
def test_3_a_refused_order_is_no_phantom_live_order(sim, broker, code):
    sim.fault("error", message="placeOrder", code=code, text="not valid")
    with pytest.raises(OrderRejected, match=str(code)) as refused:
        broker.place(limit("k1", 90.0), broker.next_order_id(1))
    assert refused.value.code == code
    assert broker.open_orders() == broker.completed_orders() == ()


def test_3_an_order_with_an_error_that_is_there_all_the_same_is_acknowledged(sim, broker):
    sim.fault("error", message="placeOrder", code=9999, text="who knows", when="after")
    placed = broker.place(limit("k1", 90.0), broker.next_order_id(1))
    assert (placed.order.key, placed.status) == ("k1", OrderStatus.WORKING)


def test_3_a_note_about_closed_doors_is_no_refusal(sim, broker):
    sim.advance(8 * 3600)  # six in the evening
    placed = broker.place(limit("k1", 90.0), broker.next_order_id(1))
    assert placed.status is OrderStatus.ACCEPTED
    assert [one.order.key for one in broker.open_orders()] == ["k1"]


@pytest.mark.parametrize("end", ["openOrderEnd", "execDetailsEnd", "completedOrdersEnd"])
def test_4_a_missing_reply_is_not_connected(sim, make, end):
    sim.fault("drop", message=end)
    with pytest.raises(Disconnected, match="not answered"):
        make(connect_seconds=0.1, answer_seconds=0.3)


def test_4_no_answer_is_an_error_and_never_an_empty_list(sim, broker):
    sim.fault("drop", message="contractDetailsEnd")
    with pytest.raises(Unanswered, match="contract AAA"):
        broker.instrument("AAA")
    sim.fault("drop", message="positionEnd")
    with pytest.raises(Unanswered, match="reqPositions"):
        broker.positions()
    # A late answer without a number could be taken for that of the next question: the connection is gone.
    with pytest.raises(Disconnected):
        broker.open_orders()


def test_4_the_stop_gets_in_where_answers_are_missing(sim, broker):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    for end in ("openOrderEnd", "execDetailsEnd", "completedOrdersEnd", "positionEnd"):
        sim.fault("drop", message=end)
    stop = IBBroker(broker.params, broker.params.kill_client_id)
    try:
        stop.connect()
        stop.cancel_all()
        until(lambda: [one["status"] for one in sim.orders()] == ["Cancelled"])
    finally:
        stop.close()


def test_5_a_global_cancel_follows_two_hundred_orders_at_once_and_none_comes_after_it(sim, broker):
    broker.place(limit("k0", 90.0), broker.next_order_id(1))
    (tool, contract), (ears, loop) = broker._instruments["AAA"], (broker._ears, broker._loop)

    async def flood() -> None:  # without waiting for acknowledgements; ib_async would hold back what is above 45
        for number in range(200):
            ears.desk._send(limit(f"f{number}", 80.0), 1000 + number, tool, contract, transmit=True, parent_id=0)

    loop.run(flood(), 5.0)
    asked = time.monotonic()
    broker.cancel_all()
    until(lambda: any(one["kind"] == "reqGlobalCancel" for one in sim.log()))
    time.sleep(1.3)  # longer than ib_async holds messages back
    log = sim.log()
    (cancel,) = [one for one in log if one["kind"] == "reqGlobalCancel"]
    assert cancel["monotonic"] - asked < 0.5
    assert not [one for one in log if one["kind"] == "placeOrder" and one["number"] > cancel["number"]]
    assert broker.open_orders() == ()


def test_6_a_gateway_without_its_broker_is_not_connected_though_the_socket_is_open(sim, broker):
    broker.instrument("AAA")
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    told(broker, 0.1)
    sim.fault("link", state="down")
    until(lambda: not broker.connected)
    for ask in (broker.now, broker.positions, lambda: broker.place(limit("k2", 91.0), number + 1)):
        with pytest.raises(Disconnected, match="1100"):
            ask()
    sim.fault("fill", client=17, order_id=number, price=90.0)
    sim.fault("link", state="kept")
    until(lambda: broker.connected)
    assert [one.quantity for one in fills_in(told(broker))][:1] == [100]
    assert [one["ref"] for one in sim.orders()] == ["k1"]


def test_6_a_cancel_passes_while_the_gateway_has_no_broker(sim, broker):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    sim.fault("link", state="down")
    until(lambda: not broker.connected)
    broker.cancel_all()
    sim.fault("link", state="kept")
    until(lambda: [one["status"] for one in sim.orders()] == ["Cancelled"])


@pytest.mark.parametrize("fault", ["corrupt_length", "freeze", "drop"])
def test_7_a_silent_stall_is_found_by_the_heartbeat(sim, broker, fault):
    sim.fault(fault, message="currentTime", times=1 if fault != "drop" else -1)
    start = time.monotonic()
    until(lambda: not broker.connected)
    assert time.monotonic() - start < 3.0  # 0.3 s and 0.5 s here
    with pytest.raises(Disconnected, match="reqCurrentTime"):
        broker.positions()


def test_7_the_defaults_find_a_stall_within_ten_seconds():
    params = LiveParams()
    assert params.heartbeat_seconds + params.heartbeat_answer_seconds < 10.0
    bounds = [LiveParams.model_fields[name].metadata for name in ("heartbeat_seconds", "heartbeat_answer_seconds")]
    assert sum(one.le for metadata in bounds for one in metadata if hasattr(one, "le")) < 10.0


def test_8_a_damaged_execution_is_asked_for(sim, broker):
    sim.fault("truncate", message="execDetails", count=12, times=1)
    broker.place(market("k1"), broker.next_order_id(1))
    updates = told(broker, 1.0)
    assert OrderStatus.FILLED in statuses_in(updates)
    assert {(one.key, one.quantity) for one in fills_in(updates)} == {("k1", 100)}
    assert sum(one.quantity for one in broker.fills(LONG_AGO)) == 100


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        ("openOrder", lambda broker: broker.open_orders()),
        ("completedOrder", lambda broker: broker.completed_orders()),
        ("execDetails", lambda broker: broker.fills(LONG_AGO)),
        ("position", lambda broker: broker.positions()),
        ("contractDetails", lambda broker: broker.instrument("BBB")),
    ],
)
def test_8_an_answer_of_which_a_part_cannot_be_read_is_none(sim, broker, message, ask):
    broker.place(market("k1"), broker.next_order_id(1))
    broker.place(limit("k2", 90.0), broker.next_order_id(1))
    told(broker, 0.2)
    sim.fault("truncate", message=message, count=9, times=1)
    with pytest.raises(DataRefused, match="cannot be read"):
        ask(broker)
    assert ask(broker)  # the next one is whole, over the same connection


def test_8_a_connection_begins_with_whole_answers(sim, broker):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    sim.fault("abort")
    until(lambda: not broker.connected)
    sim.fault("truncate", message="openOrder", count=9, times=1)
    broker.connect()
    assert [one.order.key for one in broker.open_orders()] == ["k1"]


def test_9_a_correction_replaces_what_it_corrects_and_a_duplicate_changes_nothing(sim, broker):
    sim.fault("hold", state=True)
    number = broker.next_order_id(1)
    broker.place(market("k1"), number)
    first = sim.fault("fill", client=17, order_id=number, price=100.0)
    told(broker, 0.2)
    sim.fault("correct", exec_id=first, shares=90, price=99.5)
    sim.fault("repeat", exec_id=first)  # the old one once more, late
    updates = fills_in(told(broker, 0.2))
    assert {(one.revision, one.quantity, one.price) for one in updates} == {(2, 90, 99.5)}
    (fill,) = broker.fills(LONG_AGO)
    assert (fill.id + ".02", fill.revision, fill.quantity, fill.price) == (sim.executions()[-1]["exec_id"], 2, 90, 99.5)
    assert fill.commission == 1.0
    assert [(one.symbol, one.quantity) for one in broker.positions()] == [("AAA", 90)]


def test_9_a_trade_that_the_exchange_takes_back_is_a_correction_to_no_shares(sim, broker):
    broker.place(market("k1"), broker.next_order_id(1))
    (first,) = {one.id for one in fills_in(told(broker))}
    sim.fault("correct", exec_id=f"{first}.01", shares=0)
    assert {(one.id, one.revision, one.quantity) for one in fills_in(told(broker))} == {(first, 2, 0)}
    assert broker.positions() == ()
    broker.cut()
    broker.connect()  # which asks for everything once more
    assert [(one.id, one.revision, one.quantity) for one in broker.fills(LONG_AGO)] == [(first, 2, 0)]
    assert [one.filled for one in broker.completed_orders()] == [100]  # as the order's own status said


def test_10_ids_do_not_come_again_when_the_gateway_forgets_them(sim, broker):
    number = broker.next_order_id(40)
    assert number == 40
    broker.place(limit("k1", 90.0), number)
    sim.fault("rollback", count=30)
    sim.fault("abort")
    until(lambda: not broker.connected)
    broker.connect()
    assert broker.next_order_id(1) > 40
    assert broker.next_order_id(700) == 700


def test_11_two_living_orders_under_one_id_are_two_by_their_permanent_ids(sim, broker):
    number = broker.next_order_id(1)
    first = broker.place(limit("k1", 90.0), number)
    sim.fault("split", state=True)
    broker.place(limit("k1", 90.0), number)
    found = broker.open_orders()
    assert [one.order_id for one in found] == [number, number]
    assert len({one.permanent_id for one in found} | {first.permanent_id}) == 2


def test_12_a_client_id_in_use_is_tried_again_and_never_changed(sim, broker):
    sim.fault("linger", seconds=1.0)
    sim.fault("abort")
    until(lambda: not broker.connected)
    start = time.monotonic()
    broker.connect()
    assert 0.5 < time.monotonic() - start < 5.0
    assert [one["client_id"] for one in sim.sessions()] == [17]


def test_12_a_client_id_that_stays_in_use_is_named(sim, broker, make):
    with pytest.raises(Disconnected, match=r"326 .*client id"):
        make(connect_seconds=0.5)
    assert broker.now()  # who was there first stays


def test_13_after_1101_everything_is_subscribed_again(sim, broker):
    before = broker.quotes(["AAA", "BBB"])
    sim.fault("link", state="down")
    until(lambda: not broker.connected)
    sim.fault("link", state="lost")
    until(lambda: broker.connected)
    sim.advance(600)
    after = broker.quotes(["AAA", "BBB"])
    assert {symbol: quote.last for symbol, quote in after.items()} == {s: sim.quote(s)["last"] for s in ("AAA", "BBB")}
    assert after["AAA"].at > before["AAA"].at


def test_13_without_a_data_farm_there_are_orders_but_no_quotes(sim, broker):
    assert broker.quotes(["AAA"])["AAA"].last is not None
    sim.fault("notice", code=2103, text="Market data farm connection is broken:usfarm")
    until(lambda: broker.quotes(["AAA"])["AAA"].last is None)
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    sim.fault("notice", code=2104, text="Market data farm connection is OK:usfarm")
    until(lambda: broker.quotes(["AAA"])["AAA"].last is not None)


def test_14_a_what_if_without_margins_does_not_hang(sim, broker):
    sim.fault("drop", message="openOrder", times=1)
    with pytest.raises(Unanswered, match="what-if of k1"):
        broker.what_if(market("k1"))
    assert broker.what_if(market("k1")).initial_change == pytest.approx(5000.0, rel=0.01)  # half of 100 at 100
    assert sim.orders() == []


@pytest.mark.parametrize("value", ["nan", "0", "-1", "negative", "inf", "1e308"])
def test_15_a_tick_that_is_no_price_is_none(sim, broker, value):
    assert broker.quotes(["AAA"])["AAA"].mid is not None
    sim.fault("bad_tick", value=value)
    sim.advance(1)
    until(lambda: broker.quotes(["AAA"])["AAA"].last is None)
    quote = broker.quotes(["AAA"])["AAA"]
    assert (quote.bid, quote.ask, quote.last, quote.mid) == (None, None, None, None)


def test_16_too_late_to_cancel_is_a_missed_fill(sim, broker):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    told(broker, 0.1)
    rules = [
        sim.fault("drop", message=kind) for kind in ("execDetails", "orderStatus", "openOrder", "commissionReport")
    ]
    sim.fault("fill", client=17, order_id=number, price=90.0)
    for rule in rules:
        sim.clear(rule)
    assert told(broker, 0.1) == []
    broker.cancel("k1")
    updates = told(broker)
    assert [(one.key, one.quantity) for one in fills_in(updates)][:1] == [("k1", 100)]
    assert OrderStatus.CANCELLED not in statuses_in(updates)
    assert OrderStatus.FILLED in statuses_in(updates)


def test_17_what_one_question_leaves_out_another_one_tells(sim, make):
    runner, other = make(), make(client_id=30)
    filled = runner.next_order_id(1)
    runner.place(market("k1"), filled)
    other.place(limit("", 80.0), other.next_order_id(1))
    sim.fault("manual", symbol="BBB", action="BUY", shares=7)
    runner.close()
    fresh = make()
    by_key = {one.order.key: one for one in fresh.completed_orders()}
    assert (by_key["k1"].client_id, by_key[""].client_id) == (17, 0)
    price = sim.executions()[0]["price"]
    assert (by_key["k1"].order_id, by_key["k1"].average_price, by_key["k1"].ours) == (filled, price, True)
    assert not by_key[""].ours
    assert [(one.client_id, one.ours) for one in fresh.open_orders()] == [(30, False)]
    assert {(one.symbol, one.quantity) for one in fresh.positions()} == {("AAA", 100), ("BBB", 7)}
    assert sorted((one.key, one.quantity) for one in fresh.fills(LONG_AGO)) == [("", 7), ("k1", 100)]


@pytest.mark.parametrize("quantity", [0, -5, 1.5, True])
def test_18_a_fraction_of_a_share_does_not_leave(sim, broker, quantity):
    with pytest.raises(InputRefused, match="whole number"):
        broker.place(Order("k1", "AAA", Side.BUY, quantity), broker.next_order_id(1))
    assert sim.log() == []


def test_18_history_that_is_not_there_or_was_asked_too_often_is_an_error(sim, make):
    broker = make(heartbeat_answer_seconds=5.0)  # the simulator is busy while it makes so many bars
    assert len(broker.history("AAA", "5 D")) == 5
    with pytest.raises(NoData, match="162"):
        broker.history("AAA", "2 D", "1 secs")
    sim.fault("drop", message="reqHistoricalData")

    def say() -> None:
        for request in range(FIRST_REQUEST, FIRST_REQUEST + 20):
            sim.fault("notice", code=162, text="API historical data query pacing violation", request=request)

    later = threading.Timer(0.2, say)
    later.start()
    with pytest.raises(Unanswered, match="60 requests in ten minutes"):
        broker.history("AAA", "5 D")
    later.join()


def test_an_account_value_that_is_missing_is_never_zero(sim, broker):
    sim.fault("drop", message="accountSummary", times=1)
    with pytest.raises(DataRefused, match=r"DU1234567: \w+ is ''"):
        broker.account()


def test_prices_leave_on_the_tick_and_never_worse_for_us(sim, broker):
    bought = broker.place(limit("k1", 90.019), broker.next_order_id(1))
    sold = broker.place(limit("k2", 150.011, side=Side.SELL), broker.next_order_id(1))
    stop = Order("k3", "AAA", Side.SELL, 5, OrderType.STOP, stop=50.003)
    assert (bought.order.limit, sold.order.limit) == (90.01, 150.02)
    assert broker.place(stop, broker.next_order_id(1)).order.stop == 50.01


def test_a_change_of_the_shares_at_the_bid_keeps_a_quote_fresh(broker):
    broker.quotes(["AAA"])
    ((request, line),) = broker.board.lines.items()

    async def heard_after(ears) -> float:
        line.heard -= 100.0
        ears.connection.client.decoder.interpret(["2", "1", str(request), "0", "300"])
        return time.monotonic() - line.heard

    assert broker._run(heard_after) < 5.0
