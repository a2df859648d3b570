"""What the runner relies on, held against every broker there is."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.conformance.broker.desk import Desk
from workbench.errors import Disconnected, OrderRejected, TradingHalted
from workbench.live.broker import Broker
from workbench.trading import Fill, Order, OrderStatus, OrderType, Side, Working


def order(key: str, quantity: int = 100, side: Side = Side.BUY, symbol: str = "AAA", **more: object) -> Order:
    return Order(key, symbol, side, quantity, **more)  # type: ignore[arg-type]


def limit(key: str, price: float, quantity: int = 100, side: Side = Side.BUY, **more: object) -> Order:
    return order(key, quantity, side, type=OrderType.LIMIT, limit=price, **more)


def collected(broker: Broker, enough, seconds: float = 5.0) -> list[Fill | Working]:
    """Return updates until there are enough of them."""
    found: list[Fill | Working] = []
    until = time.monotonic() + seconds
    while not enough(found) and time.monotonic() < until:
        found += broker.updates(0.05)
    assert enough(found), found
    return found


def has_fill(found: list[Fill | Working]) -> bool:
    return any(isinstance(one, Fill) for one in found)


def has(status: OrderStatus):
    return lambda found: any(isinstance(one, Working) and one.status is status for one in found)


def fills(broker: Broker) -> tuple[Fill, ...]:
    return broker.fills(broker.now() - timedelta(hours=6))


def position(broker: Broker, symbol: str = "AAA") -> int:
    return {one.symbol: one.quantity for one in broker.positions()}.get(symbol, 0)


def test_a_new_account_holds_cash_only(broker):
    account = broker.account()
    assert account.id == broker.account_id
    assert (account.currency, account.cash, account.equity) == ("USD", 1_000_000.0, 1_000_000.0)
    assert broker.positions() == ()
    assert broker.open_orders() == broker.completed_orders() == ()
    assert fills(broker) == ()


def test_an_order_is_acknowledged_and_shown_with_its_key_and_number(broker):
    number = broker.next_order_id(1)
    placed = broker.place(limit("k1", 90.0), number)
    assert placed.order.key == "k1"
    assert (placed.order_id, placed.filled, placed.ours) == (number, 0, True)
    assert not placed.status.terminal
    (shown,) = broker.open_orders()
    assert (shown.order.key, shown.order.limit, shown.order.quantity) == ("k1", 90.0, 100)
    assert shown.permanent_id == placed.permanent_id != 0


def test_numbers_start_at_the_floor_and_are_never_given_again(broker):
    assert broker.next_order_id(700) >= 700
    broker.place(limit("k1", 90.0), 700)
    assert broker.next_order_id(1) >= 701


def test_a_market_order_fills_at_the_market_with_a_commission(broker, desk):
    broker.place(order("k1"), broker.next_order_id(1))
    desk.move("AAA", 101.0)
    found = collected(broker, has(OrderStatus.FILLED))
    assert has_fill(found) or fills(broker)
    (fill,) = fills(broker)
    assert (fill.key, fill.symbol, fill.side, fill.quantity, fill.price) == ("k1", "AAA", Side.BUY, 100, 101.0)
    assert (fill.revision, fill.account) == (1, broker.account_id)
    assert fill.commission == pytest.approx(1.0)  # 0.005 × 100 is below IB's minimum
    assert position(broker) == 100
    assert broker.account().cash == pytest.approx(1_000_000 - 10_100 - 1)
    assert broker.open_orders() == ()
    (done,) = broker.completed_orders()
    assert (done.order.key, done.status) == ("k1", OrderStatus.FILLED)


def test_a_limit_waits_for_its_price(broker, desk):
    broker.place(limit("k1", 95.0), broker.next_order_id(1))
    desk.move("AAA", 96.0)
    assert fills(broker) == ()
    desk.move("AAA", 94.0)
    collected(broker, has(OrderStatus.FILLED))
    assert fills(broker)[0].price <= 95.0


def test_a_stop_waits_for_its_price(broker, desk):
    broker.place(order("k1", type=OrderType.STOP, stop=105.0), broker.next_order_id(1))
    desk.move("AAA", 104.0)
    assert fills(broker) == ()
    desk.move("AAA", 106.0)
    collected(broker, has(OrderStatus.FILLED))
    assert fills(broker)[0].price >= 105.0


def test_a_stop_limit_does_not_fill_beyond_its_limit(broker, desk):
    broker.place(order("k1", type=OrderType.STOP_LIMIT, stop=105.0, limit=105.5), broker.next_order_id(1))
    desk.move("AAA", 110.0)  # reached, but too dear
    assert fills(broker) == ()
    desk.move("AAA", 105.2)
    collected(broker, has(OrderStatus.FILLED))
    assert fills(broker)[0].price <= 105.5


def test_a_partial_fill_leaves_the_rest_working(broker, desk):
    broker.place(limit("k1", 100.0), broker.next_order_id(1))
    desk.move("AAA", 99.0, volume=30)
    collected(broker, has_fill)
    (shown,) = broker.open_orders()
    assert (shown.filled, shown.remaining, shown.status) == (30, 70, OrderStatus.WORKING)
    assert position(broker) == 30
    desk.move("AAA", 99.0)
    collected(broker, has(OrderStatus.FILLED))
    assert [one.quantity for one in fills(broker)] == [30, 70]
    assert len({one.id for one in fills(broker)}) == 2


def test_a_cancel_ends_an_order_and_comes_as_an_update(broker):
    broker.place(limit("k1", 90.0), broker.next_order_id(1))
    broker.updates(0.0)
    broker.cancel("k1")
    collected(broker, has(OrderStatus.CANCELLED))
    assert broker.open_orders() == ()
    assert [one.status for one in broker.completed_orders()] == [OrderStatus.CANCELLED]


def test_a_filled_order_is_not_cancelled(broker, desk):
    broker.place(order("k1"), broker.next_order_id(1))
    desk.move("AAA", 100.0)
    collected(broker, has(OrderStatus.FILLED))
    with pytest.raises(OrderRejected):
        broker.cancel("k1")
    assert position(broker) == 100


def test_an_order_that_nobody_knows_is_not_cancelled(broker):
    with pytest.raises(OrderRejected, match="nothing"):
        broker.cancel("nothing")


def test_the_same_order_under_the_same_number_is_one_order(broker):
    number = broker.next_order_id(1)
    broker.place(limit("k1", 90.0), number)
    broker.place(limit("k1", 90.0), number)
    assert [one.order.key for one in broker.open_orders()] == ["k1"]


def test_the_number_of_a_filled_order_is_refused_and_nothing_is_doubled(broker, desk):
    number = broker.next_order_id(1)
    broker.place(order("k1"), number)
    desk.move("AAA", 100.0)
    collected(broker, has(OrderStatus.FILLED))
    with pytest.raises(OrderRejected) as refused:
        broker.place(order("k1"), number)
    assert refused.value.code in (103, 104)
    desk.move("AAA", 100.0)
    assert position(broker) == 100


def test_a_symbol_that_does_not_exist_is_refused(broker):
    with pytest.raises(OrderRejected, match="NOPE"):
        broker.instrument("NOPE")
    with pytest.raises(OrderRejected):
        broker.place(order("k1", symbol="NOPE"), broker.next_order_id(1))
    assert broker.open_orders() == ()


def test_an_order_beyond_the_account_is_refused_in_words(broker):
    with pytest.raises(OrderRejected) as refused:
        broker.place(order("k1", quantity=50_000), broker.next_order_id(1))  # 5,000,000 with 1,000,000
    assert str(refused.value)
    assert broker.open_orders() == ()


def test_what_if_tells_margins_and_sends_nothing(broker):
    margin = broker.what_if(order("k1"))
    assert margin.initial_change > margin.maintenance_change > 0
    assert broker.open_orders() == broker.completed_orders() == ()


def test_an_instrument_has_a_tick_and_a_contract(broker):
    found = broker.instrument("AAA")
    assert (found.symbol, found.currency, found.tick) == ("AAA", "USD", 0.01)
    assert found.contract_id > 0


def test_a_quote_has_both_sides(broker, desk):
    desk.move("AAA", 100.0)
    quote = broker.quotes(["AAA", "BBB"])["AAA"]
    assert quote.mid == pytest.approx(100.0, rel=0.01)
    assert quote.bid <= quote.ask


def test_a_bracket_waits_for_its_parent_and_one_exit_ends_the_other(broker, desk):
    first = broker.next_order_id(1)
    group = [
        order("entry"),
        limit("target", 110.0, side=Side.SELL, parent="entry", oca="x1"),
        order("stop", side=Side.SELL, type=OrderType.STOP, stop=95.0, parent="entry", oca="x1"),
    ]
    placed = broker.place_bracket([(one, first + place) for place, one in enumerate(group)])
    assert [one.order.key for one in placed] == ["entry", "target", "stop"]
    assert len(broker.open_orders()) == 3
    desk.move("AAA", 100.0)
    collected(broker, has(OrderStatus.FILLED))
    assert position(broker) == 100
    assert {one.order.key for one in broker.open_orders()} == {"target", "stop"}
    desk.move("AAA", 94.0)
    collected(broker, has(OrderStatus.CANCELLED))
    assert position(broker) == 0
    assert broker.open_orders() == ()
    ended = {one.order.key: one.status for one in broker.completed_orders()}
    assert ended == {
        "entry": OrderStatus.FILLED, "target": OrderStatus.CANCELLED, "stop": OrderStatus.FILLED,
    }  # fmt: skip


def test_exits_end_with_an_entry_that_is_cancelled(broker):
    first = broker.next_order_id(1)
    group = [limit("entry", 90.0), limit("target", 110.0, side=Side.SELL, parent="entry")]
    broker.place_bracket([(one, first + place) for place, one in enumerate(group)])
    broker.cancel("entry")
    collected(broker, has(OrderStatus.CANCELLED))
    assert broker.open_orders() == ()


def test_a_bracket_that_may_not_be_let_go_any_more_leaves_nothing(broker, desk):
    def refuse() -> None:
        raise TradingHalted("trading is halted (a test of it)")

    first = broker.next_order_id(1)
    group = [order("entry"), limit("target", 110.0, side=Side.SELL, parent="entry")]
    with pytest.raises(TradingHalted, match="a test of it"):
        broker.place_bracket([(one, first + place) for place, one in enumerate(group)], refuse)
    desk.move("AAA", 100.0)
    assert broker.open_orders() == ()
    assert broker.positions() == ()
    assert fills(broker) == ()


def test_what_fills_while_away_is_not_told_but_known(desk: Desk):
    away = desk.client(1)
    desk.client(2)
    away.place(order("k1"), away.next_order_id(1))
    away.updates(0.0)
    away.close()
    with pytest.raises(Disconnected):
        away.open_orders()
    away.connect()
    desk.move("AAA", 100.0)
    away.close()
    away.connect()
    assert [one.key for one in fills(away)] == ["k1"]
    assert not has_fill(list(away.updates(0.0)))


def test_orders_of_others_are_seen_and_not_ours(desk: Desk):
    ours, other = desk.client(1), desk.client(9)
    other.place(limit("", 90.0), other.next_order_id(1))
    (shown,) = ours.open_orders()
    assert not shown.ours
    assert other.open_orders()[0].ours
    other.place(order("", symbol="BBB"), other.next_order_id(1))
    desk.move("BBB", 50.0)
    assert position(ours, "BBB") == 100
    (fill,) = fills(ours)
    assert (fill.key, fill.symbol) == ("", "BBB")


def test_cancel_all_ends_the_orders_of_everybody(desk: Desk):
    ours, other = desk.client(1), desk.client(9)
    ours.place(limit("k1", 90.0), ours.next_order_id(1))
    other.place(limit("", 91.0), other.next_order_id(1))
    ours.cancel_all()
    collected(ours, lambda found: sum(isinstance(one, Working) for one in found) >= 2)
    assert ours.open_orders() == other.open_orders() == ()


@pytest.mark.parametrize("ask", ["now", "account", "positions", "open_orders", "completed_orders", "cancel_all"])
def test_nothing_is_answered_without_a_connection(broker, ask):
    broker.close()
    with pytest.raises(Disconnected):
        getattr(broker, ask)()
