"""Cost, profit and margin worked by hand, and what the account tells its subscribers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.tws.account import commission
from workbench.tws.order import Execution, Holding, latest
from workbench.tws.simulator import Simulator

ONE = Execution("0000e0d5.00000001.01.01", 1, 1, 1, "DU1", "A", 1, "BOT", 100, 10.0, 0.0, 100, 10.0, 1.0, None, "", 2)


@pytest.mark.parametrize(
    ("shares", "price", "paid"),
    [(100, 50.0, 1.0), (300, 50.0, 1.5), (10_000, 50.0, 50.0), (10, 2.0, 0.2)],  # the last: one per cent of 20 dollars
)
def test_a_commission_is_half_a_cent_a_share_within_its_bounds(shares, price, paid):
    assert commission(shares, shares * price) == pytest.approx(paid)


@pytest.mark.parametrize(
    ("fills", "quantity", "average", "realized"),
    [
        ([(100, 10.0, 1.0)], 100, 10.01, 0.0),
        ([(100, 10.0, 0.0), (100, 12.0, 0.0)], 200, 11.0, 0.0),
        ([(100, 10.0, 0.0), (-40, 12.0, 0.0)], 60, 10.0, 80.0),
        ([(100, 10.0, 1.0), (-100, 12.0, 1.0)], 0, 0.0, 198.0),  # 200 of profit, two dollars paid
        ([(100, 10.0, 0.0), (-150, 12.0, 0.0)], -50, 12.0, 200.0),
        ([(-100, 10.0, 0.0)], -100, 10.0, 0.0),
        ([(-100, 10.0, 0.0), (100, 9.0, 0.0)], 0, 0.0, 100.0),
    ],
)
def test_a_holding_keeps_cost_and_profit(fills, quantity, average, realized):
    holding = Holding("A")
    for signed, price, fee in fills:
        holding.take(signed, price, fee)
    assert (holding.quantity, holding.average, holding.realized) == pytest.approx((quantity, average, realized))


def test_of_an_execution_the_highest_revision_holds():
    second = replace(ONE, exec_id="0000e0d5.00000002.01.01")
    corrected = replace(ONE, exec_id="0000e0d5.00000001.01.02", price=11.0)
    assert latest([ONE, second, corrected]) == [corrected, second]


def test_margin_is_half_of_the_value_and_buying_power_twice_what_is_free(sim, wire):
    wire.place(1)
    wire.until("59")
    account = sim.account()
    value = 100 * sim.quote("AAPL")["last"]
    assert account["InitMarginReq"] == pytest.approx(value / 2, abs=0.01)
    assert account["MaintMarginReq"] == pytest.approx(value / 4, abs=0.01)
    assert account["BuyingPower"] == pytest.approx(2 * (account["NetLiquidation"] - value / 2), abs=0.02)
    assert account["NetLiquidation"] == pytest.approx(account["cash"] + value, abs=0.01)


def test_subscribers_hear_of_positions_and_values_as_they_change(sim, wire):
    wire.send(61, 1)
    wire.send(6, 2, 1, "DU1234567")
    wire.send(62, 1, 5, "All", "TotalCashValue")
    wire.send(92, 6, "DU1234567", "")
    wire.quiet()
    wire.got.clear()
    wire.place(1)
    wire.quiet()
    assert [fields[14] for fields in wire.got if fields[0] == "61"] == ["100"]
    assert [fields[13] for fields in wire.got if fields[0] == "7"] == ["100"]
    cash = f"{1_000_000 - 18_945 - 1:.2f}"
    assert [fields[5] for fields in wire.got if fields[0] == "63"] == [cash]
    assert next(fields for fields in wire.got if fields[:3] == ["6", "2", "TotalCashValue"])[3] == cash
    # 100 shares at the last price of 189.41, four cents below what they cost, and a dollar paid
    assert [float(fields[2]) for fields in wire.got if fields[0] == "94"][-1] == pytest.approx(-5.0)


def test_a_subscription_ends(sim, wire):
    wire.send(61, 1)
    wire.send(64, 1)
    wire.quiet()
    wire.got.clear()
    wire.place(1)
    wire.quiet()
    assert [fields for fields in wire.got if fields[0] == "61"] == []


def test_an_account_starts_with_what_it_is_given():
    with Simulator(factor=0, cash=5_000.0, holdings={"KO": (10, 55.0)}) as sim:
        assert sim.positions() == {"KO": 10}
        assert sim.account()["cash"] == 5_000.0
