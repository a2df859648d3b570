"""Every fault on demand does what it says: a rule on a message, an event, from a file and by the control socket."""

from __future__ import annotations

import json
import math
import socket
import time

import pytest

from tests.tws.wire import Wire
from workbench.tws import Simulator, SimulatorRefused
from workbench.tws.faults import read_faults

FAR = 150.0


def rests(wire, order_id=1, **terms):
    wire.place(order_id, kind="LMT", limit=FAR, **terms)


def connect_when_free(port, client_id, seconds=8.0):
    """Return a connection once the gateway takes the client id again, and how often it did not."""
    end = time.monotonic() + seconds
    refused = 0
    while time.monotonic() < end:
        try:
            wire = Wire(port, client_id, start=False)
            wire.send(71, 2, client_id, "")
            if wire.read()[0] == "15":
                return wire, refused
            wire.close()
            refused += 1
        except (OSError, EOFError):
            pass
        time.sleep(0.1)
    raise TimeoutError(client_id)


def test_an_order_dropped_before_it_is_processed_leaves_only_the_log(sim, wire):
    sim.fault("drop", message="placeOrder", times=1)
    rests(wire)
    assert wire.quiet() == []
    assert sim.orders() == []
    assert [(row["kind"], row["fate"]) for row in sim.log()] == [("placeOrder", "drop before")]
    rests(wire)
    assert wire.until("3")[2] == "Submitted"


def test_an_order_dropped_after_it_is_processed_works_in_silence(sim, wire):
    sim.fault("drop", message="placeOrder", when="after", times=1)
    wire.place(1)
    assert wire.quiet() == []
    assert sim.positions() == {"AAPL": 100}
    wire.send(7, 3, 9, 0, "", "", "", "", "", "")
    assert wire.until("11")[1] == "9"


@pytest.mark.parametrize(("when", "placed"), [("before", 0), ("after", 1)])
def test_a_reset_before_or_after_an_order(sim, wire, when, placed):
    sim.fault("reset", message="placeOrder", when=when, times=1)
    rests(wire)
    with pytest.raises(ConnectionResetError):
        wire.read()
    assert len(sim.orders()) == placed
    with Wire(sim.port) as again:
        assert next(fields for fields in again.got if fields[0] == "9")[2] == str(1 + placed)


def test_a_connection_closed_at_a_reply_was_told_all_before_it(sim, wire):
    sim.fault("close", message="orderStatus", times=1)
    rests(wire)
    assert wire.until("5")[1] == "1"
    with pytest.raises(EOFError):
        wire.read()
    assert sim.orders()[0]["status"] == "Submitted"


def test_a_muted_kind_is_missing_and_the_rest_comes(sim, wire):
    sim.fault("drop", message="commissionReport")
    wire.place(1)
    kinds = {fields[0] for fields in wire.quiet()}
    assert "11" in kinds
    assert "59" not in kinds


@pytest.mark.parametrize(
    ("message", "ask", "end"),
    [
        ("openOrderEnd", (16, 1), "53"),
        ("execDetailsEnd", (7, 3, 9, 0, "", "", "", "", "", ""), "55"),
        ("positionEnd", (61, 1), "62"),
        ("completedOrdersEnd", (99, 0), "102"),
        ("accountDownloadEnd", (6, 2, 1, "DU1234567"), "54"),
    ],
)
def test_an_end_marker_can_be_missing(sim, wire, message, ask, end):
    sim.fault("drop", message=message, times=1)
    wire.send(*ask)
    assert end not in {fields[0] for fields in wire.quiet()}
    wire.send(*ask)
    wire.until(end)


def test_a_delayed_execution_comes_after_its_status(sim, wire):
    sim.fault("delay", message="execDetails", seconds=0.3)
    wire.place(1)
    wire.until("11")
    kinds = [fields[0] for fields in wire.got]
    assert kinds.index("59") < kinds.index("11")
    assert ("1", "Filled", "100") in wire.statuses()


def test_a_delayed_request_is_processed_later(sim, wire):
    sim.fault("delay", message="placeOrder", seconds=0.3, times=1)
    rests(wire)
    assert wire.quiet(0.1) == []
    assert wire.until("3")[2] == "Submitted"


def test_any_error_code_instead_of_an_order(sim, wire):
    sim.fault("error", message="placeOrder", code=201, text="Order rejected", times=1)
    rests(wire)
    error = wire.until("4")
    assert (error[2], error[3], error[4]) == ("1", "201", "Order rejected")
    assert sim.orders() == []


def test_an_error_besides_is_a_false_alarm_after_what_the_order_says(sim, wire):
    sim.fault("error", message="placeOrder", code=201, when="besides", times=1)
    rests(wire)
    assert wire.until("3")[2] == "Submitted"
    assert wire.until("4")[3] == "201"
    assert sim.orders()[0]["status"] == "Submitted"


def test_an_error_after_is_all_that_is_told_of_an_order_that_works(sim, wire):
    sim.fault("error", message="placeOrder", code=201, when="after", times=1)
    rests(wire)
    assert [fields[0] for fields in wire.quiet()] == ["4"]
    assert sim.orders()[0]["status"] == "Submitted"


def test_executions_come_twice_late_corrected_and_in_parts(sim, wire):
    sim.fault("duplicate", message="execDetails", times=1)
    sim.fault("partial", count=30)
    wire.place(1)
    for _ in range(4):
        sim.advance(1)
    wire.quiet()
    shares = [fields[19] for fields in wire.got if fields[0] == "11"]
    assert shares == ["30", "30", "30", "30", "10"]  # the first one twice
    assert sim.positions() == {"AAPL": 100}
    wire.got.clear()
    last = sim.fault("correct", price=190.0, shares=20)
    execution = wire.until("11")
    assert execution[14] == last
    assert last.endswith(".02")
    assert sim.positions() == {"AAPL": 110}
    assert sim.fault("repeat", exec_id=last) == last
    assert wire.until("11")[14] == last


def test_a_correction_moves_cash_and_cost_as_if_it_had_been_so_from_the_start(sim, wire):
    wire.place(1)  # 100 at 189.45, one dollar of commission
    wire.until("59")
    sim.fault("correct", price=189.00)
    assert sim.account()["cash"] == pytest.approx(1_000_000 - 18_900 - 1)
    wire.send(61, 1)
    # 18,901 dollars for 100 shares
    assert float(wire.until("61")[15]) == pytest.approx(189.01)


def test_truncated_and_mutated_messages_keep_their_frame(sim, wire):
    rests(wire)
    whole = len(wire.until("3"))
    sim.fault("truncate", message="orderStatus", count=3, times=1)
    wire.send(5, 1)
    assert len(wire.until("3")) == whole - 3
    wire.until("53")
    sim.fault("mutate", message="openOrder", count=5, times=1)
    wire.got.clear()
    wire.send(5, 1)
    wire.until("53")  # the frame after it is whole: only bytes were changed, no length
    assert len(wire.got) == 3


def test_a_corrupt_length_swallows_what_follows(sim, wire):
    sim.fault("corrupt_length", message="currentTime", times=1)
    wire.send(49, 1)
    wire.send(49, 1)
    assert wire.quiet() == []
    assert len(wire.buffer) > 4


def test_a_half_open_session_answers_nothing_and_keeps_its_client_id(sim, wire):
    sim.fault("freeze", message="reqCurrentTime")
    wire.send(49, 1)
    rests(wire)
    assert wire.quiet() == []
    assert sim.orders() == []
    sim.clear()
    wire.close()
    again, refused = connect_when_free(sim.port, 1)
    again.close()
    assert refused > 3


def test_a_half_open_session_is_given_up_after_the_seconds_asked_for(sim, wire):
    sim.fault("freeze", message="reqCurrentTime", seconds=0.3, times=1)
    start = time.monotonic()
    wire.send(49, 1)
    with pytest.raises((EOFError, ConnectionResetError)):
        wire.until("49")
    assert 0.2 < time.monotonic() - start < 3.0


def test_an_order_that_the_broker_forgets_is_gone_without_a_word(sim, wire):
    rests(wire)
    wire.until("3")
    wire.quiet()
    sim.fault("forget", client=1, order_id=1)
    assert wire.quiet() == []
    assert sim.orders() == []
    wire.got.clear()
    wire.send(16, 1)
    wire.until("53")
    assert [fields[0] for fields in wire.got] == ["53"]
    wire.place(1, kind="LMT", limit=FAR)
    assert wire.until("4")[3] == "103"  # its number stays used
    with pytest.raises(SimulatorRefused, match="not open"):
        sim.fault("forget", client=1, order_id=1)


def test_a_client_id_lingers_after_its_session(sim, wire):
    sim.fault("linger", seconds=0.5)
    sim.fault("abort")
    with Wire(sim.port, start=False) as second:
        second.send(71, 2, 1, "")
        assert second.read()[3] == "326"
        with pytest.raises(EOFError):
            second.read()
    again, _ = connect_when_free(sim.port, 1)
    again.close()


def test_a_client_id_in_use_is_refused_and_the_first_session_lives(sim, wire):
    with Wire(sim.port, start=False) as second:
        second.send(71, 2, 1, "")
        assert second.read()[3] == "326"
    wire.send(49, 1)
    wire.until("49")


def test_the_next_valid_id_can_roll_back(sim, wire):
    for number in range(1, 6):
        rests(wire, number)
    wire.quiet()
    sim.fault("rollback", count=3)
    wire.send(8, 1, 1)
    assert wire.until("9")[2] == "3"


def test_a_lost_link_is_told_and_orders_wait_for_it(sim, wire):
    rests(wire)
    wire.until("3")
    sim.fault("link", state="down")
    assert wire.until("4")[3] == "1100"
    wire.place(2)
    assert wire.quiet() == []
    sim.fault("fill", order_id=1, client=1)
    assert wire.quiet() == []
    sim.fault("link", state="kept")
    assert wire.until("4")[3] == "1102"
    wire.quiet()
    assert ("1", "Filled", "100") in wire.statuses()
    assert ("2", "Filled", "100") in wire.statuses()


@pytest.mark.parametrize(("state", "code", "ticks"), [("kept", "1102", True), ("lost", "1101", False)])
def test_market_data_outlives_the_link_or_not(sim, wire, state, code, ticks):
    wire.send(1, 11, 5, 0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
    wire.quiet()
    sim.fault("link", state="down")
    sim.fault("link", state=state)
    assert wire.until("4")[3] == "1100"
    assert wire.until("4")[3] == code
    wire.quiet()
    wire.got.clear()
    sim.advance(120)
    assert ("1" in {fields[0] for fields in wire.quiet()}) is ticks


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("nan", math.isnan),
        ("0", lambda price: price == 0),
        ("-1", lambda price: price == -1),
        ("negative", lambda price: -200 < price < -180),
        ("inf", math.isinf),
        ("1e308", lambda price: price == 1e308),
        ("x10", lambda price: 1_800 < price < 2_000),
    ],
)
def test_bad_ticks_are_sent_as_asked_and_nothing_is_filled_at_them(sim, wire, value, wrong):
    sim.fault("bad_tick", symbol="AAPL", value=value)
    wire.send(1, 11, 5, 0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
    prices = {fields[3]: float(fields[4]) for fields in wire.quiet() if fields[0] == "1"}
    assert all(wrong(prices[kind]) for kind in ("1", "2", "4"))
    wire.place(1)
    assert wire.until("11")[20] == "189.45"


def test_a_crossed_book_has_its_bid_above_its_ask(sim, wire):
    sim.fault("bad_tick", value="crossed")
    wire.send(1, 11, 5, 0, "AAPL", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", 0, 0, "")
    prices = {fields[3]: float(fields[4]) for fields in wire.quiet() if fields[0] == "1"}
    assert prices["1"] > prices["2"]


def test_a_gateway_restarts_with_its_orders_and_lower_ids(tmp_path):
    with Simulator(state=tmp_path / "broker.db", factor=0) as sim:
        wire = Wire(sim.port)
        rests(wire)
        rests(wire, 2)
        wire.quiet()
        sim.fault("restart", seconds=0.3, rollback=2)
        with pytest.raises((EOFError, ConnectionResetError)):
            wire.until("3")
        wire.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", sim.port), 1).close()
        again, _ = connect_when_free(sim.port, 1)
        assert again.until("9")[2] == "1"
        again.send(5, 1)
        again.until("53")
        assert len([fields for fields in again.got if fields[0] == "5"]) == 2
        again.close()


def test_too_many_messages_a_second_are_refused_with_100(sim, wire):
    sim.fault("rate", count=10)
    for _ in range(15):
        wire.send(49, 1)
    wire.quiet()
    assert [fields[3] for fields in wire.got if fields[0] == "4"] == ["100"] * 5


def test_a_modification_can_leave_two_live_orders_under_one_id(sim, wire):
    rests(wire)
    wire.quiet()
    sim.fault("split")
    rests(wire, quantity=50)
    wire.quiet()
    assert [(order["order_id"], order["quantity"], order["status"]) for order in sim.orders()] == [
        (1, 100, "Submitted"),
        (1, 50, "Submitted"),
    ]
    assert len({order["perm_id"] for order in sim.orders()}) == 2


def test_held_orders_are_matched_once_they_are_released(sim, wire):
    sim.fault("hold")
    wire.place(1)
    wire.quiet()
    assert wire.statuses()[-1] == ("1", "Submitted", "0")
    sim.fault("hold", state=False)
    sim.advance(1)
    assert sim.positions() == {"AAPL": 100}


def test_a_trade_by_hand_belongs_to_no_client(sim, wire):
    sim.fault("manual", symbol="KO", action="BUY", shares=10)
    (execution,) = sim.executions()
    assert (execution["client_id"], execution["order_id"], execution["ref"]) == (0, 0, "")
    assert wire.quiet() == []
    wire.send(7, 3, 9, 0, "", "", "", "", "", "")
    assert wire.until("11")[4] == "KO"


def test_the_gateway_can_tell_a_wrong_time(sim, wire):
    sim.fault("skew", seconds=-3_600)
    wire.send(49, 1)
    assert wire.until("49")[2] == str(1_767_625_200 - 3_600)


def test_a_rule_skips_counts_and_is_taken_away(sim, wire):
    number = sim.fault("drop", message="currentTime", skip=1, times=2)
    for _ in range(4):
        wire.send(49, 1)
    assert len(wire.quiet()) == 2  # the first and the last
    assert sim.rules()[0]["fired"] == 2
    sim.clear(number)
    assert sim.rules() == []


def test_chance_follows_from_the_seed():
    def run(seed):
        with Simulator(seed=seed, factor=0) as sim, Wire(sim.port) as wire:
            sim.fault("drop", message="placeOrder", chance=0.5)
            for number in range(1, 21):
                rests(wire, number)
            wire.quiet()
            return [order["order_id"] for order in sim.orders()]

    first = run(1)
    assert first == run(1)
    assert first != run(2)
    assert 2 < len(first) < 18


@pytest.mark.parametrize("name", ["faults.yaml", "faults.json"])
def test_faults_come_from_a_file_and_at_their_time(tmp_path, name):
    rules = [{"do": "drop", "message": "currentTime", "times": 1}, {"do": "notice", "code": 1100, "at": 60}]
    file = tmp_path / name
    text = json.dumps(rules)
    if name.endswith("yaml"):
        text = "faults:\n- {do: drop, message: currentTime, times: 1}\n- {do: notice, code: 1100, at: 60}\n"
    file.write_text(text)
    with Simulator(factor=0, faults=read_faults(file)) as sim, Wire(sim.port) as wire:
        wire.send(49, 1)
        assert wire.quiet() == []
        sim.advance(59)
        assert wire.quiet() == []
        sim.advance(1)
        assert wire.until("4")[3] == "1100"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"do": "dorp"}, "fault 'dorp' is not known. Did you mean 'drop'?"),
        ({"do": "drop", "message": "placeOrdr"}, "no message 'placeOrdr'. Did you mean 'placeOrder'?"),
        ({"do": "drop", "mesage": "placeOrder"}, "unknown word 'mesage'. Did you mean 'message'?"),
        ({"do": "drop", "when": "later"}, "when 'later' is one of before, after"),
        ({"do": "delay", "seconds": "soon"}, "seconds 'soon' is not a number"),
        ({"do": "error"}, "no code"),
        ({"do": "bad_tick", "value": "big"}, "value 'big'"),
        ({"do": "link", "state": "gone"}, "state 'gone'"),
        ({"do": "correct"}, "execution '' is not known"),
        ({"do": "fill", "order_id": 9}, "order 9 of client 0 is not open"),
        ({"do": "manual", "symbol": "NOPE", "action": "BUY", "shares": 1}, "a known symbol"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_in_one_line(sim, given, said):
    with pytest.raises(SimulatorRefused) as refused:
        sim.fault(**given)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_control_socket_answers_lines_of_json(sim):
    with socket.create_connection(("127.0.0.1", sim.control_port), 5) as control, control.makefile("rw") as lines:
        for asked, answer in [
            ('{"do": "now"}', {"ok": 1_767_625_200.0}),
            ('{"do": "nwo"}', {"error": "command 'nwo' is not known. Did you mean 'now'?"}),
            ("[]", {"error": 'a command is an object like {"do": "now"}'}),
            ('{"do": "advance", "seconds": -1}', {"error": "advance: -1 seconds; time only goes forward"}),
        ]:
            lines.write(asked + "\n")
            lines.flush()
            assert json.loads(lines.readline()) == answer
        lines.write("not json\n")
        lines.flush()
        assert "error" in json.loads(lines.readline())
