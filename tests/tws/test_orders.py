"""Orders at the simulated gateway, spoken in bytes; prices stand still unless a test lets time pass.

With seed 7 the book of AAPL at the start is 189.41 bid, 189.45 asked; 500 shares are offered a level.
"""

from __future__ import annotations

import pytest

from tests.tws.wire import Wire
from workbench.tws import Simulator, SimulatorRefused

FAR = 150.0
DAY = 86_400


def test_a_market_order_is_filled_at_the_other_side_with_its_commission(sim, wire):
    wire.place(1, quantity=300, ref="a-1")
    commission = wire.until("59")
    # half a cent a share for 300 shares
    assert commission[3] == "1.5"
    execution = next(fields for fields in wire.got if fields[0] == "11")
    assert (execution[18], execution[19], execution[20], execution[26]) == ("BOT", "300", "189.45", "a-1")
    assert wire.statuses()[-1] == ("1", "Filled", "300")
    assert sim.positions() == {"AAPL": 300}
    assert sim.account()["cash"] == pytest.approx(1_000_000 - 300 * 189.45 - 1.5)


def test_an_order_larger_than_a_level_takes_the_next_level_a_tick_worse(sim, wire):
    wire.place(1, quantity=700)
    wire.until("59")
    wire.until("59")
    assert [(one["shares"], one["price"]) for one in sim.executions()] == [(500, 189.45), (200, 189.46)]


def test_what_the_book_does_not_hold_waits_for_the_next_second(sim, wire):
    wire.place(1, quantity=5_000)  # five levels of 500 are shown
    wire.quiet()
    assert sim.positions() == {"AAPL": 2_500}
    sim.advance(10)
    wire.quiet()
    assert sim.positions() == {"AAPL": 5_000}
    assert wire.statuses()[-1] == ("1", "Filled", "5000")


def test_a_limit_order_rests_and_is_filled_at_its_price_or_better(sim, wire):
    wire.place(1, kind="LMT", limit=FAR)
    wire.place(2, kind="LMT", limit=188.9)
    wire.quiet()
    assert wire.statuses() == [("1", "Submitted", "0"), ("2", "Submitted", "0")]
    for _ in range(100):
        sim.advance(600)
        if sim.executions():
            break
    (execution,) = sim.executions()
    assert (execution["order_id"], execution["price"], execution["liquidity"]) == (2, 188.9, 1)


def test_a_resting_order_waits_behind_the_queue_at_its_price(sim, wire):
    wire.place(1, kind="LMT", limit=189.41)  # at the bid, where 100 shares are shown
    wire.quiet()
    (order,) = sim.orders()
    assert (order["queue"], order["filled"]) == (100, 0)


def test_a_stop_rests_as_presubmitted_until_its_price_trades(sim, wire):
    wire.place(1, action="SELL", kind="STP", aux=188.0, tif="GTC")
    wire.quiet()
    status = next(fields for fields in wire.got if fields[0] == "3")
    assert (status[2], status[10]) == ("PreSubmitted", "trigger")
    for _ in range(40):
        sim.advance(DAY)
        if sim.executions():
            break
    (execution,) = sim.executions()
    assert execution["side"] == "SLD"
    assert execution["price"] <= 188.0


def test_a_cancel_is_a_status_and_then_error_202(wire):
    wire.place(1, kind="LMT", limit=FAR)
    wire.until("3")
    wire.got.clear()
    wire.send(4, 1, 1, "")
    wire.quiet()
    assert [(fields[0], fields[2] if fields[0] == "3" else fields[3]) for fields in wire.got] == [
        ("3", "Cancelled"),
        ("4", "202"),
    ]


def test_a_known_order_id_is_a_modification_a_filled_one_104_a_dead_one_103(sim, wire):
    wire.place(1, kind="LMT", limit=FAR)
    wire.place(1, kind="LMT", limit=FAR + 1, quantity=200)
    wire.quiet()
    (order,) = sim.orders()
    assert (order["limit"], order["quantity"], order["status"]) == (151.0, 200, "Submitted")
    wire.send(4, 1, 1, "")
    wire.place(1, kind="LMT", limit=FAR)
    wire.place(5)
    wire.place(5)
    wire.place(4)
    wire.quiet()
    assert wire.errors() == [
        ("1", "202"),
        ("1", "103"),
        ("5", "104"),
        ("4", "103"),  # below the floor
    ]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"symbol": "NOPE"}, "200"),
        ({"quantity": 1.5}, "10243"),
        ({"quantity": 0}, "434"),
        ({"kind": "LMT", "limit": 150.001}, "110"),
        ({"kind": "LMT"}, "321"),
        ({"kind": "TRAIL"}, "387"),
        ({"tif": "GTX"}, "201"),
        ({"account": "DU999"}, "321"),
        ({"parent": 77}, "135"),
        ({"action": "HOLD"}, "321"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_leaves_nothing(sim, wire, terms, code):
    wire.place(1, **terms)
    error = wire.until("4")
    assert (error[2], error[3]) == ("1", code)
    assert sim.orders() == []


def test_an_order_beyond_the_margin_is_refused_with_201_and_goes_inactive(sim, wire):
    wire.place(1, quantity=20_000)  # 3.8 million, half of it margin, on one million
    wire.quiet()
    assert ("1", "201") in wire.errors()
    assert wire.statuses()[-1] == ("1", "Inactive", "0")
    assert sim.positions() == {}


def test_a_what_if_tells_the_margin_and_leaves_nothing(sim, wire):
    wire.place(1, what_if=1)
    fields = wire.until("5")
    # 100 shares at 189.45, half of it
    assert "9472.50" in fields
    assert sim.orders() == []


def bracket(wire, first=1):
    wire.place(first, kind="LMT", limit=190.0, transmit=0)
    wire.place(first + 1, action="SELL", kind="LMT", limit=230.0, parent=first, transmit=0)
    assert wire.quiet() == []
    wire.place(first + 2, action="SELL", kind="STP", aux=150.0, parent=first)
    wire.quiet()


def test_a_bracket_is_silent_until_its_last_order_and_its_children_follow_the_parent(sim, wire):
    bracket(wire)
    assert [order["status"] for order in sim.orders()] == ["Filled", "Submitted", "PreSubmitted"]
    assert sim.positions() == {"AAPL": 100}
    sim.fault("fill", order_id=2, client=1)
    wire.quiet()
    assert [order["status"] for order in sim.orders()] == ["Filled", "Filled", "Cancelled"]
    assert sim.positions() == {}


def test_the_children_of_a_cancelled_parent_are_cancelled(sim, wire):
    wire.place(1, kind="LMT", limit=FAR, transmit=0)
    wire.place(2, action="SELL", kind="LMT", limit=230.0, parent=1)
    wire.quiet()
    assert sim.orders()[1]["why_held"] == "child"
    wire.send(4, 1, 1, "")
    wire.quiet()
    assert [order["status"] for order in sim.orders()] == ["Cancelled", "Cancelled"]


def test_a_child_covers_only_what_its_cancelled_parent_had_filled(sim, wire):
    wire.place(1, kind="LMT", limit=FAR, transmit=0)
    wire.place(2, action="SELL", kind="LMT", limit=230.0, parent=1)
    wire.quiet()
    sim.fault("fill", order_id=1, client=1, shares=40)
    wire.send(4, 1, 1, "")
    wire.quiet()
    assert [(order["status"], order["quantity"]) for order in sim.orders()] == [("Cancelled", 100), ("Submitted", 40)]


@pytest.mark.parametrize(("kind", "left"), [(1, ("Cancelled", 100)), (3, ("Submitted", 70))])
def test_of_a_group_the_others_are_cancelled_or_reduced(sim, wire, kind, left):
    wire.place(1, kind="LMT", limit=FAR, oca="g", oca_type=kind)
    wire.place(2, kind="LMT", limit=FAR + 1, oca="g", oca_type=kind)
    wire.quiet()
    sim.fault("fill", order_id=1, client=1, shares=30)
    order = sim.orders()[1]
    assert (order["status"], order["quantity"]) == left


def test_a_global_cancel_reaches_every_client(sim, wire):
    with Wire(sim.port, client_id=2) as other:
        wire.place(1, kind="LMT", limit=FAR)
        other.place(1, kind="LMT", limit=FAR)
        wire.until("3")
        other.until("3")
        wire.send(58, 1)
        wire.quiet()
        assert other.until("3")[2] == "Cancelled"
    assert [order["status"] for order in sim.orders()] == ["Cancelled", "Cancelled"]


def test_a_cancel_of_what_is_filled_or_unknown_is_told_apart(wire):
    wire.place(1)
    wire.until("59")
    wire.send(4, 1, 1, "")
    wire.send(4, 1, 2, "")
    wire.quiet()
    assert wire.errors() == [("1", "10148"), ("2", "10147")]
    assert next(fields for fields in wire.got if fields[3:4] == ["10148"])[4].endswith("state: Filled.")


def test_own_and_all_open_orders_and_those_that_ended_today(sim, wire):
    with Wire(sim.port, client_id=2) as other:
        other.place(1, kind="LMT", limit=FAR)
        other.until("3")
        wire.place(1, kind="LMT", limit=FAR, ref="mine")
        wire.place(2, ref="done")
        wire.quiet()
        wire.got.clear()
        wire.send(5, 1)
        wire.until("53")
        assert [fields[1] for fields in wire.got if fields[0] == "5"] == ["1"]
        wire.got.clear()
        wire.send(16, 1)
        wire.until("53")
        assert sorted(fields[24] for fields in wire.got if fields[0] == "5") == ["1", "2"]  # client ids
        wire.send(99, 0)
        assert wire.until("101")[22] == "done"
        wire.until("102")


def test_an_order_for_the_day_ends_at_the_close_and_a_standing_one_does_not(sim, wire):
    wire.place(1, kind="LMT", limit=FAR)
    wire.place(2, kind="LMT", limit=FAR, tif="GTC")
    wire.quiet()
    sim.advance(6 * 3_600)  # 16:00 in New York
    assert [order["status"] for order in sim.orders()] == ["Cancelled", "Submitted"]


def test_an_order_after_the_close_is_warned_of_and_filled_at_the_opening(sim, wire):
    sim.advance(7 * 3_600)
    wire.place(1)
    wire.quiet()
    assert ("1", "399") in wire.errors()
    assert wire.statuses() == [("1", "PreSubmitted", "0")]
    sim.advance(17 * 3_600)
    (execution,) = sim.executions()
    assert execution["at"] == 1_767_709_800.0  # 2026-01-06 14:30 UTC, 09:30 in New York
    assert sim.executions(since=execution["at"]) == [execution]
    assert sim.executions(since=execution["at"] + 1.0) == []


def test_a_limit_far_through_the_opening_is_filled_at_the_opening_price(sim, wire):
    sim.advance(7 * 3_600)
    wire.place(1, kind="LMT", limit=210.0)
    wire.place(2, action="SELL", kind="STP LMT", aux=230.0, limit=170.0, quantity=10)  # triggered at once
    wire.quiet()
    sim.advance(17 * 3_600)
    quote = sim.quote("AAPL")
    first, second = sim.executions()
    assert first["at"] == second["at"] == 1_767_709_800.0
    assert 0.9 * quote["bid"] < second["price"] < first["price"] < 1.1 * quote["ask"]


def test_a_resting_order_is_filled_at_the_better_price_of_an_opening_gap(tmp_path):
    bars = "date,symbol,open,high,low,close\n2024-03-07,AAA,100,101,99,100\n2024-03-08,AAA,90,91,89,90\n"
    (tmp_path / "bars.csv").write_text(bars)
    start = "2024-03-07T20:59:00+00:00"  # a minute before the close
    with Simulator(market=str(tmp_path / "bars.csv"), start=start, factor=0) as sim, Wire(sim.port) as wire:
        wire.place(1, symbol="AAA", kind="LMT", limit=95.0, tif="GTC", quantity=10)
        wire.quiet()
        sim.advance(24 * 3_600)
        (execution,) = sim.executions()
    assert execution["price"] == pytest.approx(90.0, abs=0.02)


def test_the_broker_outlives_a_killed_simulator(tmp_path):
    with Simulator(state=tmp_path / "broker.db", factor=0, process=True) as sim:
        with Wire(sim.port) as wire:
            wire.place(1, kind="LMT", limit=FAR, ref="rests")
            wire.place(2)
            wire.until("59")
        before = sim.orders(), sim.executions(), sim.account()
        sim.kill()
        sim.start()
        assert (sim.orders(), sim.executions(), sim.account()) == before
        with Wire(sim.port) as wire:
            assert next(fields for fields in wire.got if fields[0] == "9")[2] == "3"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"account": "DU2"}, "belongs to account DU1234567, asked for was DU2"),
        ({"symbols": {"BBB": 10.0}}, "has 'AAA', which the market does not know. Known: BBB."),
    ],
)
def test_a_state_of_another_account_or_market_is_refused(tmp_path, settings, said):
    with Simulator(state=tmp_path / "broker.db", symbols={"AAA": 50.0}, factor=0) as sim, Wire(sim.port) as wire:
        wire.place(1, symbol="AAA")
        wire.until("59")
    with pytest.raises(SimulatorRefused) as refused:
        Simulator(state=tmp_path / "broker.db", **settings).start()
    assert said in str(refused.value)


@pytest.mark.parametrize("process", [False, True])
def test_two_simulators_never_share_a_state(tmp_path, process):
    locked = pytest.raises(SimulatorRefused, match="database is locked; end the simulator that uses it")
    with Simulator(state=tmp_path / "broker.db", process=process), locked:
        Simulator(state=tmp_path / "broker.db").start()


def test_holdings_of_an_unknown_symbol_are_refused():
    with pytest.raises(SimulatorRefused, match="there is 'ZZZ', which the market does not know"):
        Simulator(symbols={"AAA": 50.0}, holdings={"ZZZ": (1, 1.0)}).start()


def test_a_file_that_is_no_state_is_refused_in_one_line(tmp_path):
    (tmp_path / "broker.db").write_text("this is not a database at all" * 50)
    with pytest.raises(SimulatorRefused, match="not usable as the broker's state"):
        Simulator(state=tmp_path / "broker.db").start()


def test_the_same_seed_and_orders_give_the_same_executions():
    def run(seed):
        with Simulator(seed=seed, factor=0) as sim, Wire(sim.port) as wire:
            for number in range(1, 6):
                wire.place(number, quantity=900, action="SELL" if number % 2 else "BUY")
                sim.advance(30)
            wire.quiet()
            return sim.executions()

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_every_order_message_is_logged_with_its_moment(sim, wire):
    wire.place(1, kind="LMT", limit=FAR)
    wire.send(4, 1, 1, "")
    wire.send(58, 1)
    wire.quiet()
    log = sim.log()
    assert [(row["kind"], row["order_id"], row["client_id"], row["fate"]) for row in log] == [
        ("placeOrder", 1, 1, "taken"),
        ("cancelOrder", 1, 1, "taken"),
        ("reqGlobalCancel", 0, 1, "taken"),
    ]
    assert log[0]["monotonic"] <= log[1]["monotonic"] <= log[2]["monotonic"]
