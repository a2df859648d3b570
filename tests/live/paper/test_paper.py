"""The paper broker on bars, and what it keeps: worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests.live.conftest import AT
from workbench.errors import DataRefused, OrderRejected
from workbench.live.paper import BarMarket, PaperBroker, Print, PushedMarket, SteppedClock
from workbench.params import CostParams
from workbench.trading import Order, OrderStatus, OrderType, Side

FREE = CostParams(schedule="none", spread_bps=0.0)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2020, 1, day, hour, minute, tzinfo=UTC)  # New York is five hours behind


@pytest.fixture
def bars(bars_of):
    """Three sessions, 2020-01-02, 03 and 06: opens 10, 11, 12; closes 10.5, 11.5, 12.5."""
    return bars_of(
        np.array([10.5, 11.5, 12.5]), ["AAA"], open=np.array([[10.0], [11.0], [12.0]]),
        low=np.array([[9.0], [10.0], [11.0]]), high=np.array([[11.0], [12.0], [13.0]]),
        volume=np.array([[1000.0], [2000.0], [3000.0]]),
    )  # fmt: skip


@pytest.fixture
def clock():
    return SteppedClock(at(2, 22))  # after the close of the first session


@pytest.fixture
def paper(bars, clock, tmp_path):
    def make(**more):
        broker = PaperBroker(tmp_path / "paper.db", BarMarket(bars, clock), cash=10_000.0, **{"costs": FREE, **more})
        broker.connect()
        made.append(broker)
        return broker

    made: list[PaperBroker] = []
    yield make
    for broker in made:
        broker.close()


def prices(broker) -> list[tuple[str, int, float]]:
    return [(one.key, one.quantity, one.price) for one in broker._run().fills(at(1, 0))]


def test_an_order_placed_after_the_close_fills_at_the_next_open(paper, clock):
    broker = paper()
    broker.place(Order("k1", "AAA", Side.BUY, 10), 1)
    clock.set(at(3, 14, 29))
    assert prices(broker) == []
    clock.set(at(3, 14, 30))
    assert prices(broker) == [("k1", 10, 11.0)]
    assert broker.fills(at(1, 0))[0].at == at(3, 14, 30)


def test_an_order_placed_during_the_session_fills_at_its_close(paper, clock):
    broker = paper()
    clock.set(at(3, 16))
    broker.place(Order("k1", "AAA", Side.BUY, 10), 1)
    clock.set(at(3, 21))
    assert prices(broker) == [("k1", 10, 11.5)]


def test_an_order_for_the_day_ends_with_its_session_and_one_for_good_does_not(paper, clock):
    broker = paper()
    broker.place(Order("day", "AAA", Side.BUY, 10, OrderType.LIMIT, limit=5.0), 1)
    broker.place(Order("good", "AAA", Side.BUY, 10, OrderType.LIMIT, limit=5.0, tif="GTC"), 2)
    clock.set(at(3, 20, 59))
    assert len(broker.open_orders()) == 2
    clock.set(at(3, 21))
    assert [one.order.key for one in broker.open_orders()] == ["good"]
    assert [(one.order.key, one.status) for one in broker.completed_orders()] == [("day", OrderStatus.CANCELLED)]


def test_a_stop_counts_what_was_between_low_and_high_before_a_limit_does(paper, clock):
    broker = paper(participation=1.0)
    broker.place(Order("entry", "AAA", Side.BUY, 10), 1)
    clock.set(at(3, 14, 31))
    broker.place_bracket([
        (Order("target", "AAA", Side.SELL, 10, OrderType.LIMIT, limit=12.5, tif="GTC", oca="x"), 2),
        (Order("stop", "AAA", Side.SELL, 10, OrderType.STOP, stop=11.2, tif="GTC", oca="x"), 3),
    ])  # fmt: skip
    clock.set(at(3, 21))  # 10 to 12, close 11.5: both came after the open, so they see the close only
    assert prices(broker) == [("entry", 10, 11.0)]
    clock.set(at(6, 21))  # opens at 12.0, then 11 to 13: both are reached, the careful one counts
    assert prices(broker)[1:] == [("stop", 10, 11.2)]
    assert broker.open_orders() == ()


def test_a_tenth_of_the_volume_fills_and_no_more(paper, clock):
    broker = paper(participation=0.1)  # of 2,000 shares in the second session, 3,000 in the third
    broker.place(Order("k1", "AAA", Side.BUY, 350, tif="GTC"), 1)
    clock.set(at(3, 21))
    assert prices(broker) == [("k1", 200, 11.0)]  # all that the session gives is taken at its open
    clock.set(at(6, 14, 30))
    assert prices(broker) == [("k1", 200, 11.0), ("k1", 150, 12.0)]


def test_spread_commission_cash_cost_and_margin_by_hand(paper, clock):
    broker = paper(costs=CostParams(schedule="ib_fixed", spread_bps=20.0), participation=1.0)
    broker.place(Order("k1", "AAA", Side.BUY, 100), 1)
    clock.set(at(3, 14, 30))
    (fill,) = broker.fills(at(1, 0))
    assert fill.price == pytest.approx(11.011)  # 11 and half of 20 bps
    assert fill.commission == pytest.approx(1.0)
    account, (position,) = broker.account(), broker.positions()
    assert account.cash == pytest.approx(10_000 - 1_101.1 - 1.0)
    assert position.average_cost == pytest.approx(11.021)  # (1,101.10 + 1) / 100
    assert account.equity == pytest.approx(10_000 - 1_101.1 - 1.0 + 1_100)
    assert (account.initial_margin, account.maintenance_margin) == (pytest.approx(550.0), pytest.approx(275.0))
    assert account.buying_power == pytest.approx((account.equity - 550.0) * 2)
    margin = broker.what_if(Order("k2", "AAA", Side.SELL, 300))  # from +100 to -200: 100 shares more
    assert margin.initial_change == pytest.approx(550.0)


def test_selling_through_zero_costs_the_new_price(paper, clock):
    broker = paper(participation=1.0)
    for number, order in enumerate([Order("b", "AAA", Side.BUY, 10), Order("s", "AAA", Side.SELL, 30)], start=1):
        broker.place(order, number)
        clock.set(at((2, 3, 6)[number], 14, 30))
        broker.now()
    (position,) = broker.positions()
    assert (position.quantity, position.average_cost) == (-20, 11.5)  # sold during the session: at its close
    assert broker.account().cash == pytest.approx(10_000 - 10 * 11.0 + 30 * 11.5)


def test_the_account_outlives_the_process_and_fills_what_came_meanwhile(paper, clock):
    first = paper()
    first.place(Order("k1", "AAA", Side.BUY, 10), 1)
    first.close()
    clock.set(at(6, 22))
    second = paper()
    assert [(one.symbol, one.quantity) for one in second.positions()] == [("AAA", 10)]
    assert prices(second) == [("k1", 10, 11.0)]
    assert second.fills(at(1, 0)) == ()  # the broker tells of today only
    assert second.updates(0.0) == ()
    assert second.next_order_id(1) == 2


def test_the_same_orders_make_the_same_history(bars, tmp_path):
    def run(name: str) -> list[object]:
        clock = SteppedClock(at(2, 22))
        broker = PaperBroker(tmp_path / name, BarMarket(bars, clock), cash=10_000.0)
        broker.connect()
        broker.place(Order("k1", "AAA", Side.BUY, 10), 1)
        clock.set(at(3, 16))
        broker.place(Order("k2", "AAA", Side.SELL, 10, OrderType.LIMIT, limit=12.0, tif="GTC"), 2)
        clock.set(at(6, 22))
        found = [broker._run().fills(at(1, 0)), broker.account(), broker.positions(), broker.updates(0.0)]
        broker.close()
        return found

    assert run("one.db") == run("two.db")


def test_a_quote_is_of_now_while_the_symbol_trades_and_of_its_last_bar_after(bars_of, tmp_path):
    clock = SteppedClock(at(3, 14, 30))
    quiet = bars_of(np.array([10.5, np.nan, np.nan]), ["AAA"])
    broker = PaperBroker(tmp_path / "paper.db", BarMarket(quiet, clock), costs=FREE)
    broker.connect()
    quote = broker.quotes(["AAA"])["AAA"]
    assert (quote.last, quote.at) == (10.5, at(2, 21))
    broker.close()
    trading = PaperBroker(
        tmp_path / "other.db", BarMarket(bars_of(np.array([10.5, 11.0]), ["AAA"]), clock),
        costs=CostParams(spread_bps=20.0),
    )  # fmt: skip
    trading.connect()
    quote = trading.quotes(["AAA"])["AAA"]
    assert (quote.bid, quote.ask, quote.at) == (pytest.approx(10.4895), pytest.approx(10.5105), at(3, 14, 30))
    trading.close()


@pytest.mark.parametrize(
    ("order", "code", "told"),
    [
        (Order("k", "AAA", Side.BUY, 0), 201, "quantity 0; whole shares only"),
        (Order("k", "AAA", Side.BUY, 10, OrderType.LIMIT), 201, "limit order with price None"),
        (Order("k", "AAA", Side.BUY, 10, OrderType.LIMIT, limit=float("nan")), 201, "price nan"),
        (Order("k", "AAA", Side.BUY, 10, OrderType.LIMIT, limit=9.995), 110, "9.995 is not on the tick 0.01"),
        (Order("k", "AAA", Side.BUY, 10, tif="IOC"), 201, "tif IOC; DAY or GTC"),
        (Order("k", "AAA", Side.BUY, 10, parent="p"), 201, "its parent p is not working"),
        (Order("k", "AAA", Side.BUY, 5_000), 201, "insufficient equity"),
        (Order("k", "QQQ9", Side.BUY, 10), 200, "no such symbol"),
    ],
)
def test_what_a_real_broker_refuses_is_refused(paper, order, code, told):
    broker = paper()
    with pytest.raises(OrderRejected, match=told) as refused:
        broker.place(order, 1)
    assert refused.value.code == code
    assert broker.open_orders() == ()


def test_a_bracket_of_which_one_is_refused_is_refused_whole(paper):
    broker = paper()
    entry, odd = Order("entry", "AAA", Side.BUY, 10), Order("odd", "AAA", Side.SELL, 0, parent="entry")
    with pytest.raises(OrderRejected):
        broker.place_bracket([(entry, 1), (odd, 2)])
    assert broker.open_orders() == ()


def test_an_exit_is_no_larger_than_what_its_entry_filled(tmp_path):
    clock = SteppedClock(AT)
    market = PushedMarket(clock, {"AAA": 100.0})
    broker = PaperBroker(tmp_path / "paper.db", market, costs=FREE, participation=1.0)
    broker.connect()
    entry = Order("entry", "AAA", Side.BUY, 100, OrderType.LIMIT, limit=100.0)
    stop = Order("stop", "AAA", Side.SELL, 100, OrderType.STOP, stop=95.0, parent="entry")
    broker.place_bracket([(entry, 1), (stop, 2)])
    market.push(Print.of("AAA", AT, 99.0, volume=40))
    broker.now()
    broker.cancel("entry")
    (left,) = broker.open_orders()
    assert (left.order.key, left.order.quantity, left.status) == ("stop", 40, OrderStatus.WORKING)
    market.push(Print.of("AAA", AT, 94.0))
    assert broker.positions() == ()
    broker.close()


def test_a_clock_does_not_go_back():
    clock = SteppedClock(AT)
    with pytest.raises(DataRefused, match="simulated time does not go back"):
        clock.set(AT - timedelta(seconds=1))


def test_intraday_bars_begin_and_end_by_their_step(tmp_path, bars_of):
    from dataclasses import replace

    import pandas as pd

    daily = bars_of(np.array([10.5, 11.5]), ["AAA"], open=np.array([[10.0], [11.0]]))
    index = pd.DatetimeIndex([at(3, 15, 0), at(3, 15, 5)])
    frames = {
        name: getattr(daily, name).set_axis(index)
        for name in ("open", "high", "low", "close", "volume", "traded_close")
    }
    clock = SteppedClock(at(3, 15, 0))
    broker = PaperBroker(tmp_path / "paper.db", BarMarket(replace(daily, **frames), clock), costs=FREE)
    broker.connect()
    broker.place(Order("k1", "AAA", Side.BUY, 10), 1)
    clock.set(at(3, 15, 5))  # the first bar ends as the second begins
    assert prices(broker) == [("k1", 10, 10.5)]
    broker.close()
