"""What clients that nobody here wrote decode from the simulator's bytes: one suite, the client is the parameter.

With seed 7 the book of AAPL at the start is 189.41 bid, 189.45 asked, and its contract id follows from its name.
"""

from __future__ import annotations

import pytest

from tests.conformance.tws.conftest import CHOICES, started
from workbench.tws import Simulator


def of(events, kind):
    return [event for event in events if event["event"] == kind]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_client_connects_at_its_version(choice):
    client = started(choice)
    with Simulator(seed=7, factor=0, server_version=choice.version) as sim:
        assert client.ask("connect", port=sim.port, client_id=3) == choice.version
    client.close()


def test_the_account_and_its_positions_arrive(client, sim):
    sim.fault("manual", symbol="KO", action="BUY", shares=50)
    client.ask("positions")
    position = of(client.collect("positionEnd"), "position")[-1]
    assert (position["symbol"], position["quantity"], position["account"]) == ("KO", 50, "DU1234567")
    client.ask("summary", id=900)
    summary = {event["tag"]: float(event["value"]) for event in of(client.collect("accountSummaryEnd"), "summary")}
    # one dollar of commission, and half the spread of 50 shares of KO
    assert summary["NetLiquidation"] == pytest.approx(1_000_000, abs=2.0)
    client.ask("account", name="DU1234567")
    events = client.collect("accountDownloadEnd")
    assert float({event["tag"]: event["value"] for event in of(events, "account")}["TotalCashValue"]) < 998_000
    assert {(event["symbol"], event["quantity"]) for event in of(events, "portfolio")} == {("KO", 50)}


def test_a_contract_is_known_with_its_tick_and_an_unknown_one_is_error_200(client):
    client.ask("contract", id=901, symbol="AAPL")
    (contract,) = of(client.collect("contractDetailsEnd"), "contract")
    assert (contract["symbol"], contract["tick"], contract["primary"]) == ("AAPL", 0.01, "NASDAQ")
    assert contract["con_id"] > 0
    client.ask("contract", id=902, symbol="NOPE")
    error = client.collect("error")[-1]
    assert (error["id"], error["code"]) == (902, 200)


def test_a_market_order_is_placed_filled_and_paid_for(client, sim):
    client.ask("place", id=1, action="BUY", quantity=300, type="MKT", ref="a-1")
    events = client.collect("commission")
    opened = of(events, "open")[0]
    assert (opened["id"], opened["action"], opened["quantity"], opened["type"]) == (1, "BUY", 300, "MKT")
    assert (opened["ref"], opened["tif"], opened["status"], opened["client"]) == ("a-1", "DAY", "PreSubmitted", 3)
    (execution,) = of(events, "execution")
    assert (execution["id"], execution["side"], execution["shares"], execution["price"]) == (1, "BOT", 300, 189.45)
    assert (execution["ref"], execution["cumulative"], execution["account"]) == ("a-1", 300, "DU1234567")
    assert execution["perm"] == opened["perm"] == sim.orders()[0]["perm_id"]
    (commission,) = of(events, "commission")
    assert (commission["exec"], commission["amount"]) == (execution["exec"], 1.5)
    last = of(events + client.collect(), "status")[-1]
    assert (last["status"], last["filled"], last["remaining"], last["average"]) == ("Filled", 300, 0, 189.45)


def test_a_limit_order_rests_is_changed_and_cancelled(client):
    client.ask("place", id=1, action="BUY", quantity=100, type="LMT", limit=150.25, tif="GTC", ref="b-1")
    events = client.collect("status")
    assert (of(events, "open")[0]["limit"], of(events, "open")[0]["tif"]) == (150.25, "GTC")
    assert of(events, "status")[0]["status"] == "Submitted"
    client.ask("place", id=1, action="BUY", quantity=200, type="LMT", limit=151.5, tif="GTC", ref="b-1")
    changed = of(client.collect("status"), "open")[-1]
    assert (changed["quantity"], changed["limit"]) == (200, 151.5)
    client.ask("cancel", id=1)
    events = client.collect("error")
    assert of(events, "status")[-1]["status"] == "Cancelled"
    assert (events[-1]["id"], events[-1]["code"]) == (1, 202)


def test_a_stop_waits_for_its_trigger(client):
    client.ask("place", id=1, action="SELL", quantity=100, type="STP", stop=180.5)
    client.ask("place", id=2, action="SELL", quantity=100, type="STP LMT", stop=180.5, limit=180.25)
    events = client.collect()
    assert [(event["status"], event["why"]) for event in of(events, "status")] == [("PreSubmitted", "trigger")] * 2
    assert [(event["stop"], event["type"]) for event in of(events, "open")] == [(180.5, "STP"), (180.5, "STP LMT")]


def test_a_bracket_is_silent_until_its_last_order(client, sim):
    client.ask("place", id=1, action="BUY", quantity=100, type="LMT", limit=190.0, transmit=False)
    client.ask("place", id=2, action="SELL", quantity=100, type="LMT", limit=230.0, parent=1, transmit=False)
    assert of(client.collect(), "status") == []
    client.ask("place", id=3, action="SELL", quantity=100, type="STP", stop=150.0, parent=1, transmit=True)
    events = client.collect()
    assert {event["id"]: event["status"] for event in of(events, "status")} == {
        1: "Filled",
        2: "Submitted",
        3: "PreSubmitted",
    }
    assert {event["id"]: event["parent"] for event in of(events, "open")} == {1: 0, 2: 1, 3: 1}
    groups = {event["oca"] for event in of(events, "open") if event["id"] != 1}
    assert groups == {str(sim.orders()[0]["perm_id"])}
    sim.fault("fill", order_id=2, client=3)
    assert {event["id"]: event["status"] for event in of(client.collect(), "status")} == {2: "Filled", 3: "Cancelled"}


def test_a_what_if_returns_margin_and_commission_and_sends_nothing(client, sim):
    client.ask("place", id=1, action="BUY", quantity=100, type="MKT", what_if=True)
    opened = client.collect("open")[-1]
    # half of 100 shares at 189.45; the least commission is a dollar
    assert (float(opened["margin"]), float(opened["fee"])) == (9_472.5, 1.0)
    assert opened["what_if"]
    assert sim.orders() == []


def test_open_completed_and_executed_orders_are_found_again(client):
    client.ask("place", id=1, action="BUY", quantity=100, type="MKT", ref="c-1")
    client.ask("place", id=2, action="BUY", quantity=100, type="LMT", limit=150.0, ref="c-2")
    client.ask("place", id=3, action="BUY", quantity=100, type="LMT", limit=151.0, ref="c-3")
    client.ask("cancel", id=3)
    client.collect("error")
    for words in ("open_orders", "all_open_orders"):
        client.ask(words)
        opened = of(client.collect("openOrderEnd"), "open")
        assert [(event["id"], event["ref"], event["status"]) for event in opened] == [(2, "c-2", "Submitted")]
    client.ask("completed")
    completed = of(client.collect("completedOrdersEnd"), "completed")
    assert [(event["ref"], event["status"], event["filled"]) for event in completed] == [
        ("c-1", "Filled", 100),
        ("c-3", "Cancelled", 0),
    ]
    assert completed[0]["said"] == "Filled Size: 100"
    assert completed[0]["at"] == "20260105 10:00:00 America/New_York"
    client.ask("executions", id=903)
    events = client.collect("execDetailsEnd")
    assert [(event["request"], event["ref"], event["shares"]) for event in of(events, "execution")] == [
        (903, "c-1", 100)
    ]
    assert len(of(events, "commission")) == 1


def test_a_global_cancel_ends_every_order(client, sim):
    for id in range(1, 6):
        client.ask("place", id=id, action="BUY", quantity=100, type="LMT", limit=150.0)
    client.collect(seconds=0.3)
    client.ask("global_cancel")
    events = client.collect()
    assert [event["status"] for event in of(events, "status")] == ["Cancelled"] * 5
    assert [event["code"] for event in of(events, "error")] == [202] * 5


def test_wrong_order_ids_and_fractions_are_refused_with_their_codes(client):
    client.ask("place", id=5, action="BUY", quantity=100, type="MKT")
    client.collect("commission")
    client.collect(seconds=0.2)
    client.ask("place", id=5, action="BUY", quantity=100, type="MKT")
    assert client.collect("error")[-1]["code"] == 104
    client.ask("place", id=4, action="BUY", quantity=100, type="MKT")
    assert client.collect("error")[-1]["code"] == 103
    client.ask("cancel", id=99)
    assert client.collect("error")[-1]["code"] == 10147


def test_a_correction_repeats_its_execution_with_the_next_revision(client, sim):
    client.ask("place", id=1, action="BUY", quantity=100, type="MKT")
    first = of(client.collect("commission"), "execution")[0]
    client.collect(seconds=0.2)
    sim.fault("correct", price=189.0)
    second = of(client.collect("commission"), "execution")[0]
    assert first["exec"].endswith(".01")
    assert second["exec"] == first["exec"][:-1] + "2"
    assert (second["price"], second["shares"]) == (189.0, 100)


def test_what_was_filled_while_no_client_was_there_is_found_by_the_next(client, sim, choice):
    client.ask("place", id=1, action="BUY", quantity=100, type="LMT", limit=150.0, tif="GTC", ref="d-1")
    client.collect("status")
    client.close()
    sim.fault("fill", order_id=1, client=3, shares=60)
    second = started(choice)
    try:
        assert second.ask("connect", port=sim.port, client_id=3) == choice.version
        second.collect("nextValidId")
        second.collect(seconds=0.2)
        second.ask("open_orders")
        assert [event["ref"] for event in of(second.collect("openOrderEnd"), "open")] == ["d-1"]
        second.ask("executions", id=911)
        execution = of(second.collect("execDetailsEnd"), "execution")[-1]
        assert (execution["shares"], execution["ref"], execution["id"]) == (60, "d-1", 1)
        sim.fault("fill", order_id=1, client=3)
        assert of(second.collect("commission"), "execution")[-1]["cumulative"] == 100
    finally:
        second.close()


def test_bars_of_history_arrive_whole(client):
    client.ask("history", id=904, symbol="AAPL", duration="2 D", size="1 hour")
    bars = of(client.collect("historicalDataEnd"), "bar")
    assert len(bars) == 8  # seven hours of Friday, one begun on Monday
    assert all(
        bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"] for bar in bars
    )
    client.ask("history", id=905, symbol="AAPL", duration="1 M", size="1 day")
    days = of(client.collect("historicalDataEnd"), "bar")
    assert len(days) == 21
    assert days[-1]["date"].replace("-", "") == "20260105"
    assert days[-1]["close"] == 189.41  # the last price of the moment
    client.ask("history", id=906, symbol="AAPL", duration="1 D", size="7 mins")
    assert client.collect("error")[-1]["code"] == 321


def test_a_growing_bar_is_kept_up_to_date(client, sim):
    client.ask("history", id=907, symbol="AAPL", duration="1 D", size="5 mins", keep=True)
    client.collect("historicalDataEnd")
    sim.advance(30)
    update = client.collect("update")[-1]
    assert (
        update["low"] <= min(update["open"], update["close"]) <= max(update["open"], update["close"]) <= update["high"]
    )
    assert update["close"] == sim.quote("AAPL")["last"]


def test_ticks_follow_the_book(client, sim):
    client.ask("ticks", id=908, symbol="AAPL")
    prices = {event["kind"]: event["price"] for event in of(client.collect(), "tick")}
    assert (prices[1], prices[2], prices[4]) == (189.41, 189.45, 189.41)
    sim.advance(60)
    ticks = {event["kind"]: event["price"] for event in of(client.collect(), "tick")}
    quote = sim.quote("AAPL")
    assert (prices | ticks)[1] == quote["bid"]
    assert (prices | ticks)[2] == quote["ask"]


def test_a_snapshot_ends(client):
    client.ask("ticks", id=909, symbol="AAPL", snapshot=True)
    events = client.collect("tickSnapshotEnd")
    assert {1, 2, 4} <= {event["kind"] for event in of(events, "tick")}


def test_the_time_is_the_simulated_one_and_profit_arrives(client, sim):
    client.ask("time")
    assert client.collect("time")[-1]["value"] == 1_767_625_200  # 2026-01-05 15:00 UTC
    client.ask("profit", id=910, name="DU1234567")
    assert client.collect("profit")[-1]["daily"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("code", "text"), [(1100, "lost"), (1101, "restored, data lost"), (1102, "restored"), (2103, "farm is broken")]
)
def test_notices_carry_their_code(client, sim, code, text):
    sim.fault("notice", code=code, text=text)
    assert code in [event["code"] for event in of(client.collect("error"), "error")]
