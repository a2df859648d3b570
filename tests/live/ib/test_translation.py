"""Our words and the broker's, worked by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import pytest
from ib_async import BarData, Contract, ContractDetails, Execution, Stock
from ib_async import Order as WireOrder
from ib_async import Position as WirePosition

from workbench.errors import DataRefused, InputRefused, OrderRejected
from workbench.live.codes import CODES, CodeClass, code_of
from workbench.live.ib.history import candle_of
from workbench.live.ib.quotes import Board
from workbench.live.ib.translation import (
    account_of,
    amount,
    fill_of,
    instrument_of,
    own_order,
    position_of,
    price,
    status_of,
    stock,
    symbol_of,
    wire_order,
)
from workbench.trading import Account, Instrument, Order, OrderStatus, OrderType, Position, Quote, Side

UNSET = 1.7976931348623157e308


def details(contract_id: int = 1, tick: float = 0.01, **changes: str) -> ContractDetails:
    contract = Contract(conId=contract_id, symbol="AAA", secType="STK", currency="USD", primaryExchange="NYSE")
    for name, value in changes.items():
        setattr(contract, name, value)
    return ContractDetails(contract=contract, minTick=tick)


def execution(**changes: object) -> Execution:
    found = Execution(
        execId="0000e0d5.1234.01.02", time=datetime(2026, 1, 5, 15, tzinfo=UTC), acctNumber="DU1", side="SLD",
        shares=30.0, price=101.5, permId=9, clientId=17, orderId=4, orderRef="k1",
    )  # fmt: skip
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("value", "expected"), [("12.5", 12.5), ("-3", -3.0), ("", None), ("nan", None), ("inf", None), (str(UNSET), None)]
)
def test_what_is_not_set_is_no_number(value, expected):
    assert amount(value) == expected


@pytest.mark.parametrize("value", [-1.0, 0.0, -0.01, math.nan, math.inf, -math.inf, UNSET])
def test_what_cannot_be_a_price_is_none(value):
    assert price(value) is None


def test_a_price_is_itself():
    assert (price(0.0001), price(612_000.0)) == (0.0001, 612_000.0)


def test_share_classes_are_written_in_two_ways():
    assert stock("BRK.B").symbol == "BRK B"
    assert symbol_of(Stock("BRK B", "SMART", "USD")) == "BRK.B"


@pytest.mark.parametrize(
    ("contract", "symbol"),
    [
        (Contract(secType="OPT", symbol="SPY", localSymbol="SPY   261218C00600000", currency="USD"),
         "SPY 261218C00600000 OPT USD"),
        (Contract(secType="STK", symbol="VOD", localSymbol="VOD", currency="GBP"), "VOD STK GBP"),
        (Contract(secType="CASH", symbol="EUR", localSymbol="EUR.USD", currency="USD"), "EUR.USD CASH USD"),
    ],
)  # fmt: skip
def test_what_is_no_us_stock_is_never_taken_for_one(contract, symbol):
    assert symbol_of(contract) == symbol


def test_one_contract_is_one_instrument_though_it_is_told_twice():
    tool, contract = instrument_of("AAA", [details(), details()])
    assert tool == Instrument("AAA", 1, "SMART", "NYSE", "USD", 0.01)
    assert (contract.conId, contract.exchange, contract.primaryExchange) == (1, "SMART", "NYSE")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], "knows no USD stock"),
        ([details(currency="EUR")], "knows no USD stock"),
        ([details(symbol="AAAB")], "knows no USD stock"),
        ([details(1), details(2)], "2 contracts fit"),
    ],
)
def test_none_and_several_contracts_are_refused(found, words):
    with pytest.raises(OrderRejected, match=words) as refused:
        instrument_of("AAA", found)
    assert refused.value.code == 200


@pytest.mark.parametrize("tick", [0.0, -0.01, math.nan, UNSET])
def test_a_contract_without_a_tick_cannot_be_traded(tick):
    with pytest.raises(DataRefused, match="tick size"):
        instrument_of("AAA", [details(tick=tick)])


def test_every_type_of_order_is_sent_with_its_prices_only():
    def sent(kind: OrderType) -> tuple[object, ...]:
        wire = wire_order(Order("k", "AAA", Side.BUY, 7, kind, limit=10.0, stop=11.0), 0.01, "DU1")
        return wire.orderType, wire.lmtPrice, wire.auxPrice

    assert sent(OrderType.MARKET) == ("MKT", UNSET, UNSET)
    assert sent(OrderType.LIMIT) == ("LMT", 10.0, UNSET)
    assert sent(OrderType.STOP) == ("STP", UNSET, 11.0)
    assert sent(OrderType.STOP_LIMIT) == ("STP LMT", 10.0, 11.0)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (Order("k", "AAA", Side.BUY, 1, OrderType.LIMIT), "limit None"),
        (Order("k", "AAA", Side.BUY, 1, OrderType.LIMIT, limit=math.nan), "limit nan"),
        (Order("k", "AAA", Side.BUY, 1, OrderType.STOP, stop=0.0), "stop 0.0"),
        (Order("k", "AAA", Side.BUY, 1, tif=""), "time in force ''"),
        (Order("k" * 33, "AAA", Side.BUY, 1), "at most 32"),
    ],
)
def test_an_order_that_is_not_whole_is_refused(order, words):
    with pytest.raises(InputRefused, match=words):
        wire_order(order, 0.01, "DU1")


def test_an_order_of_others_is_told_carefully():
    wire = WireOrder(action="SELL", totalQuantity=0.5, orderType="MIDPRICE", tif="GTC", orderRef="")
    assert own_order(wire, Stock("AAA", "SMART", "USD")) == Order("", "AAA", Side.SELL, 1, OrderType.MARKET, tif="GTC")


@pytest.mark.parametrize("action", ["SELL", "SSHORT", "SLONG"])
def test_every_way_to_sell_is_a_sale(action):
    wire = WireOrder(action=action, totalQuantity=5, orderType="LMT", lmtPrice=9.5, tif="DAY")
    assert own_order(wire, Stock("AAA", "SMART", "USD")).signed == -5


def test_an_unknown_status_counts_as_open():
    assert status_of("Thinking") is OrderStatus.ACCEPTED
    assert not status_of("PendingCancel").terminal


def test_an_execution_is_a_fill_with_its_revision():
    fill = fill_of(Stock("AAA", "SMART", "USD"), execution(), "k1", 1.25)
    assert (fill.id, fill.revision, fill.signed, fill.price) == ("0000e0d5.1234.01", 2, -30, 101.5)
    assert (fill.key, fill.order_id, fill.permanent_id, fill.commission) == ("k1", 4, 9, 1.25)


@pytest.mark.parametrize(
    "changes",
    [
        {"shares": 0.5}, {"shares": -3.0}, {"price": 0.0}, {"price": -1.0}, {"price": math.nan},
        {"shares": math.nan}, {"shares": math.inf}, {"shares": 0.0, "execId": "0000e0d5.1234.01.01"}, {"shares": -0.5},
        {"side": "?"}, {"execId": "12"}, {"execId": "a.b"}, {"time": datetime(2026, 1, 5, 15)},
    ],
)  # fmt: skip
def test_an_execution_that_cannot_be_is_refused(changes):
    with pytest.raises(DataRefused):
        fill_of(Stock("AAA", "SMART", "USD"), execution(**changes), "k1", None)


@pytest.mark.parametrize(("price", "told"), [(101.5, 101.5), (0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0)])
def test_a_correction_to_no_shares_is_a_bust(price, told):
    fill = fill_of(Stock("AAA", "SMART", "USD"), execution(shares=0.0, price=price), "k1", 1.0)
    assert (fill.id, fill.revision, fill.signed, fill.price) == ("0000e0d5.1234.01", 2, 0, told)


VALUES = {
    "NetLiquidation": ("1000.5", "USD"), "TotalCashValue": ("-20", "USD"), "BuyingPower": ("4000", "USD"),
    "InitMarginReq": ("500", "USD"), "MaintMarginReq": ("250", "USD"),
}  # fmt: skip
NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)


def test_an_account_has_every_value():
    assert account_of("DU1", VALUES, NOW) == Account("DU1", "USD", 1000.5, -20.0, 4000.0, 500.0, 250.0, NOW)


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("NetLiquidation", ("1000", "EUR"), "in 'EUR', prices are in USD"),
        ("BuyingPower", ("", "USD"), "BuyingPower is ''"),
        ("MaintMarginReq", (str(UNSET), "USD"), "MaintMarginReq is"),
    ],
)
def test_an_account_with_a_value_that_cannot_be_used_is_refused(tag, value, words):
    with pytest.raises(DataRefused, match=words):
        account_of("DU1", VALUES | {tag: value}, NOW)


@pytest.mark.parametrize(
    ("size", "whole", "part"),
    [(-30.0, -30, 0.0), (0.5, 0, 0.5), (100.3, 100, 0.3), (-7.25, -7, -0.25), (99.99999999, 100, 0.0)],
)
def test_a_position_is_whole_shares_and_what_is_beyond_them(size, whole, part):
    contract = Contract(conId=7, symbol="AAA", secType="STK", currency="USD")
    assert position_of(WirePosition("DU1", contract, size, 99.5)) == Position("AAA", whole, 99.5, 7, part)


@pytest.mark.parametrize("size", [math.nan, math.inf, UNSET])
def test_a_position_that_cannot_be_read_is_named_and_hides_no_other(size):
    contract = Contract(conId=7, symbol="AAA", secType="STK", currency="USD")
    found = position_of(WirePosition("DU1", contract, size, UNSET))
    assert (found.symbol, found.quantity) == ("AAA", 0)
    assert math.isnan(found.part)
    assert math.isnan(found.average_cost)


def test_a_daily_bar_begins_at_midnight_in_new_york():
    candle = candle_of(BarData(date(2026, 7, 1), 10.0, 12.0, 9.0, 11.0, 500.0), "history of AAA")
    assert candle.at == datetime(2026, 7, 1, 4, tzinfo=UTC)  # four hours behind in summer


@pytest.mark.parametrize(
    "prices", [(10.0, 9.0, 9.0, 11.0), (10.0, 12.0, 10.5, 11.0), (-1.0, 12.0, -1.0, 11.0), (10.0, math.nan, 9.0, 11.0)]
)
def test_a_bar_that_cannot_be_is_refused(prices):
    with pytest.raises(DataRefused, match="cannot be"):
        candle_of(BarData(date(2026, 7, 1), *prices, 500.0), "history of AAA")


def test_a_quote_ages_by_the_steady_clock_and_is_timed_by_the_brokers():
    steady = [100.0]
    board = Board(lambda: steady[0])
    board.add(1, "AAA")
    board.ticked(1, 1, 99.9)
    board.ticked(1, 2, 100.1)
    steady[0] = 107.0
    now = datetime(2026, 1, 5, 15, 0, 10, tzinfo=UTC)
    assert board.quote("AAA", now) == Quote("AAA", 99.9, 100.1, None, datetime(2026, 1, 5, 15, 0, 3, tzinfo=UTC))
    board.ticked(1, 1, -1.0)  # the bid is gone
    assert board.quote("AAA", now).bid is None
    assert board.quote("BBB", now) == Quote("BBB", None, None, None, now)


@pytest.mark.parametrize(
    ("kind", "size", "age"),
    [(0, 300.0, 0.0), (3, 300.0, 0.0), (69, 300.0, 0.0), (0, 0.0, 90.0), (0, math.nan, 90.0), (5, 300.0, 90.0),
     (8, 300.0, 90.0)],
)  # fmt: skip
def test_a_quiet_quote_is_heard_again_when_the_shares_at_its_price_change(kind, size, age):
    """Bid and ask are known and no last price: the size of a trade, or the volume of the day, says nothing of them."""
    steady = [100.0]
    board = Board(lambda: steady[0])
    board.add(1, "AAA")
    board.ticked(1, 1, 99.9)
    board.ticked(1, 2, 100.1)
    steady[0] = 190.0
    board.sized(1, kind, size)
    now = datetime(2026, 1, 5, 15, 0, 10, tzinfo=UTC)
    assert (now - board.quote("AAA", now).at).total_seconds() == age


def test_a_size_without_its_price_is_no_quote():
    board = Board(lambda: 100.0)
    board.add(1, "AAA")
    board.sized(1, 0, 300.0)
    board.sized(2, 0, 300.0)
    now = datetime(2026, 1, 5, 15, 0, 10, tzinfo=UTC)
    assert board.quote("AAA", now) == Quote("AAA", None, None, None, now)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (201, CodeClass.REJECTS), (399, CodeClass.WARNING), (404, CodeClass.WARNING), (10349, CodeClass.WARNING),
        (2109, CodeClass.WARNING), (2199, CodeClass.WARNING), (321, CodeClass.ASK), (110, CodeClass.ASK),
        (202, CodeClass.CANCELLED), (10147, CodeClass.NOT_CANCELLED), (10148, CodeClass.NOT_CANCELLED),
        (326, CodeClass.IN_USE), (1100, CodeClass.LOST), (1101, CodeClass.BACK_EMPTY), (1102, CodeClass.BACK),
        (2103, CodeClass.DATA_LOST), (2105, CodeClass.DATA_LOST), (2104, CodeClass.DATA_BACK),
        (2106, CodeClass.DATA_BACK), (2158, CodeClass.DATA_BACK), (162, CodeClass.NO_DATA), (100, CodeClass.PACING),
        (10243, CodeClass.REJECTS), (31337, CodeClass.UNKNOWN), (502, CodeClass.FATAL),
    ],
)  # fmt: skip
def test_what_a_code_means(number, kind):
    assert code_of(number).kind is kind


def test_every_code_is_in_one_class_only_and_has_a_meaning():
    assert all(number == code.number and code.meaning for number, code in CODES.items())
    listed = [number for number in CODES if CODES[number].kind is CodeClass.REJECTS]
    assert not {399, 404, 492, 2109, 10349} & set(listed)
