"""What protects a holding, over the real client to a simulated gateway: messages that come late, in parts, or lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.live.ib.conftest import until
from tests.live.test_exits import BRACKET, WORKING, seat
from tests.live.test_runner import WIDE
from tests.live.test_service import Office, running, sim  # noqa: F401 (the fixture: a simulated gateway)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.live.ib import IBBroker
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.journal import Journal
from workbench.live.reconcile import adopt, compare, resolve
from workbench.live.runner import begin, guard, put_in_order
from workbench.live.service import Service
from workbench.strategies.exits import Exits
from workbench.trading import Fill, OrderStatus, Position, Side
from workbench.tws import Simulator
from workbench.types import Bars


class Held:
    """A service that has bought AAA for one strategy, with its stop and its target at the gateway."""

    def __init__(self, folder: Path, sim: Simulator, bars: Bars, exits: Exits = BRACKET) -> None:  # noqa: F811
        self.sim = sim
        self.day = str(bars.index[-1].date())
        self.office = Office(folder, sim, bars, {})
        self.office.seats = (seat("one", {self.day: {"AAA": 0.2}}, exits),)
        self.service: Service = self.office.open()

    @contextmanager
    def trading(self) -> Iterator[Service]:
        """Let it trade until what it bought is protected."""
        with running(self.service):
            book = self.service.journal.book
            until(lambda: len(self.working()) == 2 and book.positions == dict(self.sim.positions()), 20)
            time.sleep(0.5)
            yield self.service

    def working(self) -> list[dict[str, Any]]:
        return [one for one in self.sim.orders() if one["status"] in WORKING]

    def of_type(self, kind: str) -> dict[str, Any]:
        """Return the first order of a type that was sent."""
        return next(one for one in self.sim.orders() if one["type"] == kind)

    def fill_stop(self, **facts: Any) -> None:
        self.fill("STP", 95.0, **facts)

    def fill(self, kind: str, price: float, **facts: Any) -> None:
        order = self.of_type(kind)
        self.sim.fault("fill", client=order["client_id"], order_id=order["order_id"], price=price, **facts)

    def cancel_all(self) -> None:
        """Cancel all at the gateway, as a person or the broker does: the runner did not ask for it."""
        with connected(self.office) as hand:
            hand.cancel_all()

    def settled(self, seconds: float = 3.0) -> list[tuple[str, str, int]]:
        """Return what works at the gateway after some seconds: by now whatever would be sent has been."""
        time.sleep(seconds)
        return sorted((one["type"], one["action"], one["quantity"]) for one in self.working())

    def told(self, kind: str = "unprotected") -> list[str]:
        return [alert.text for alert in self.service.outbox.all() if alert.kind == kind]

    def cancels(self) -> list[int]:
        return [one["order_id"] for one in self.sim.log() if one["kind"] == "cancelOrder"]


@contextmanager
def connected(office: Office) -> Iterator[IBBroker]:
    hand = IBBroker(office.live, office.live.kill_client_id)
    hand.connect()
    try:
        yield hand
    finally:
        hand.close()


@pytest.fixture
def held(tmp_path, sim, gateway_bars) -> Iterator[Held]:  # noqa: F811
    made = Held(tmp_path, sim, gateway_bars)
    yield made
    made.office.close(made.service)


@pytest.mark.parametrize("late", ["never told", "told late"])
def test_a_stop_that_filled_is_not_put_back_before_its_execution_is_counted(held, late):
    with held.trading() as service:
        if late == "never told":
            held.sim.fault("drop", message="commissionReport", times=1)
        else:
            held.sim.fault("delay", message="commissionReport", seconds=0.7)
        held.fill_stop()
        until(lambda: not service.journal.book.positions)
        time.sleep(2.0)
    assert len(held.sim.orders()) == 3
    assert held.sim.positions() == {}
    assert held.told() == []


def test_a_market_that_runs_through_a_stop_leaves_no_short_position(tmp_path, sim, gateway_bars):  # noqa: F811
    held = Held(tmp_path, sim, gateway_bars, Exits(stop_atr=0.03, target_atr=50.0))
    with held.trading() as service:
        sim.fault("delay", message="commissionReport", seconds=0.7)
        sim.speed(0)
        end = time.monotonic() + 60
        while time.monotonic() < end and held.of_type("STP")["status"] != "Filled":
            sim.advance(10 if sim.quote("AAA")["last"] > 99.80 else 1)
            time.sleep(0.03)
        until(lambda: not service.journal.book.positions)
        time.sleep(2.0)
    held.office.close(held.service)
    assert held.of_type("STP")["status"] == "Filled"
    assert sim.positions() == {}
    assert len(sim.orders()) == 3


def test_a_stop_that_fills_while_it_is_taken_back_is_not_sold_again(held):
    list(held.service.run(once=True))
    held.office.seats = (seat("one", {held.day: {"AAA": 0.0}}),)
    clock, cancel, done = held.service.clock, held.service.broker.cancel, []
    held.service.clock = lambda: clock() + timedelta(minutes=2)

    def late(key: str) -> None:
        if not done:
            done.append(key)
            held.sim.fault("delay", message="commissionReport", seconds=1.5)
            held.fill_stop()
            time.sleep(0.2)
        cancel(key)

    held.service.broker.cancel = late
    (report,) = held.service.run(once=True)
    assert done
    assert held.sim.positions() == {}
    assert len(held.sim.orders()) == 3
    assert report.results[0].held == {}


def test_an_entry_whose_commission_is_late_keeps_the_stop_and_target_it_was_sent_with(held):
    held.sim.fault("delay", message="commissionReport", seconds=0.4)
    with held.trading():
        time.sleep(2.0)
    assert held.cancels() == []
    assert len(held.sim.orders()) == 3
    assert held.told() == []


def test_a_stop_in_the_middle_of_filling_is_left_alone(held):
    with held.trading() as service:
        held.fill_stop(shares=100)
        until(lambda: len(held.working()) == 1)  # the gateway ends the target
        before = held.sim.positions()["AAA"]
        until(lambda: service.journal.book.positions == {"AAA": before})
        time.sleep(2.0)
        (left,) = held.working()
        assert (left["type"], left["filled"]) == ("STP", 100)
    assert held.cancels() == []
    assert held.told() == []


def test_what_a_target_that_filled_in_part_left_without_its_stop_gets_one_when_nothing_more_fills(held):
    clock = held.service.clock
    with held.trading() as service:
        held.fill("LMT", 110.0, shares=100)
        until(lambda: len(held.working()) == 1)  # the gateway ends the stop
        left = held.sim.positions()["AAA"]
        until(lambda: service.journal.book.positions == {"AAA": left})
        time.sleep(1.0)
        assert held.cancels() == []
        service._desk.clock = lambda: clock() + timedelta(seconds=31)
        until(lambda: len(held.working()) == 2)
    assert sorted((one["type"], one["quantity"]) for one in held.working()) == [("LMT", left), ("STP", left)]
    assert held.told() == []


def test_what_a_person_closed_by_hand_gets_no_stop(held):
    with held.trading() as service:
        shares = service.journal.book.positions["AAA"]
        held.sim.fault("manual", symbol="AAA", action="SELL", shares=shares)
        time.sleep(0.3)
        held.cancel_all()
        assert held.settled() == []
    assert held.sim.positions() == {}
    assert f"SELL {shares} AAA: POSITION_DIFFERS: symbol=AAA, journal={shares:,}, broker=0" in held.told()


def test_a_stop_that_is_called_inactive_and_lives_on_gets_no_twin(held):
    with held.trading() as service:
        stop = held.of_type("STP")
        told = service.broker._ears.moved

        async def inactive() -> None:
            told(stop["order_id"], "Inactive", 0.0, 0.0, stop["perm_id"], stop["client_id"])

        service.broker._loop.run(inactive(), 1.0)
        until(lambda: held.told())
        assert [kind for kind, *_ in held.settled()] == ["LMT", "STP"]
    why = f"AAA: order {stop['ref']} was told to be rejected and works at the broker; nothing more is put beside it"
    assert held.told()[0].startswith(why)
    assert held.cancels() == []
    assert len(held.sim.orders()) == 3


def test_what_is_called_inactive_and_listed_no_more_is_cancelled_and_its_twin_is_laid_in_its_group(held):
    """It may come alive again: the gateway works on it all the while, and does not tell so when it is asked."""
    with held.trading() as service:
        first = {kind: held.of_type(kind) for kind in ("STP", "LMT")}
        numbers = {one["order_id"] for one in first.values()}
        told, asked = service.broker._ears.moved, service.broker.open_orders
        service.broker.open_orders = lambda: tuple(one for one in asked() if one.order_id not in numbers)

        async def inactive() -> None:
            for one in first.values():
                told(one["order_id"], "Inactive", 0.0, 0.0, one["perm_id"], one["client_id"])

        service.broker._loop.run(inactive(), 1.0)
        until(lambda: len(held.sim.orders()) == 5 and len(held.working()) == 2)
        new = held.working()
    assert sorted(held.cancels()) == sorted(numbers)
    assert {one["order_id"] for one in new} & numbers == set()
    assert {one["oca_group"] for one in new} == {first["STP"]["oca_group"]}
    assert [kind for kind, *_ in held.settled(0.5)] == ["LMT", "STP"]


def test_what_the_broker_ends_again_and_again_is_put_back_three_times_a_minute_apart(held):
    clock = held.service.clock
    with held.trading() as service:
        for minutes in range(7):
            service.clock = service._desk.clock = lambda late=timedelta(seconds=61 * minutes): clock() + late
            held.cancel_all()
            until(lambda: not held.working() or len(held.sim.orders()) == 9)
            time.sleep(1.5)
            if minutes == 0:
                assert len(held.sim.orders()) == 5  # at once the first time
                held.cancel_all()
                assert held.settled(2.0) == []  # and then a minute later
        assert len(held.sim.orders()) == 9
        assert held.settled() == []
    texts = held.told()
    assert len(texts) == 2
    assert "the broker ended" in texts[0]
    assert texts[1].startswith("AAA: the broker has ended what was put back 3 times in this session; nothing more is")


def test_what_was_denied_is_put_back_when_its_symbol_is_unlocked(held):
    with held.trading() as service:
        service.journal.append(Draft(Kind.RECONCILE, {"locked": {"AAA": "a difference"}}))
        held.cancel_all()
        assert held.settled() == []
        service.journal.append(Draft(Kind.OPERATOR, {"unlocked": True, "who": "ada", "reason": "looked"}, "", "AAA"))
        until(lambda: len(held.working()) == 2)
    assert any("SYMBOL_LOCKED" in text for text in held.told())


def test_what_was_denied_is_asked_for_again_each_minute_and_journaled_once(held):
    clock = held.service.clock
    with held.trading() as service:
        service._desk.limits = lambda: WIDE.model_copy(update={"min_minutes_before_close": 389.0})
        held.cancel_all()
        assert held.settled() == []
        service._desk.limits = lambda: WIDE
        assert held.settled() == []  # not before the minute is over
        denials = [event.data["reasons"][0] for event in service.journal.events() if event.kind is Kind.DENIAL]
        assert [text.split(":")[0] for text in denials] == ["SESSION_CLOSED"]
        service.clock = lambda: clock() + timedelta(seconds=61)
        until(lambda: len(held.working()) == 2)
    assert len(held.sim.orders()) == 5


def test_beside_a_stop_that_is_still_there_only_the_target_is_put_back_in_its_group(held):
    with held.trading() as service:
        stop, target = held.of_type("STP"), held.of_type("LMT")
        service.broker.cancel(target["ref"])  # nothing of it is in the journal
        until(lambda: len(held.sim.orders()) == 4)
        assert [kind for kind, *_ in held.settled()] == ["LMT", "STP"]
        both = {one["order_id"]: one["oca_group"] for one in held.working()}
    assert stop["order_id"] in both
    assert target["order_id"] not in both
    assert set(both.values()) == {stop["oca_group"]}
    assert held.cancels() == [target["order_id"]]


def look(service: Service, clock: Callable[[], datetime], number: int) -> None:
    """Let the look of a minute come now, at its time."""
    late = timedelta(seconds=61 * number)
    service.clock = service._desk.clock = lambda: clock() + late
    ticked, service._ticked = service._ticked, 0.0
    until(lambda: service._ticked > ticked)
    time.sleep(0.5)


def test_what_protects_shares_that_a_person_sold_by_hand_is_taken_back_and_beside_a_part_of_them_it_stays(held):
    clock = held.service.clock
    with held.trading() as service:
        shares = service.journal.book.positions["AAA"]
        held.sim.fault("manual", symbol="AAA", action="SELL", shares=shares - 2)
        look(service, clock, 1)
        look(service, clock, 2)
        assert held.settled(0.5) == [("LMT", "SELL", shares), ("STP", "SELL", shares)]
        held.sim.fault("manual", symbol="AAA", action="SELL", shares=2)
        look(service, clock, 3)
        assert held.cancels() == []
        look(service, clock, 4)
        until(lambda: held.working() == [])
        with connected(held.office) as hand:
            adopt(service.journal, hand, "AAA", "ada", "sold by hand", "one")
        assert held.settled(1.0) == []
    assert held.sim.positions() == {}
    assert service.journal.book.books == {}
    assert len(held.sim.orders()) == 5


@pytest.mark.parametrize("sold", [False, True])
def test_that_shares_are_gone_is_believed_where_trades_or_cash_say_so_too(held, sold):
    clock = held.service.clock
    with held.trading() as service:
        shares = service.journal.book.positions["AAA"]
        lies, broker = held.settled(0.0), service.broker
        account = broker.account
        broker.positions = lambda: ()  # as when they were sold before the executions that the broker still tells of
        broker.account = lambda: replace(account(), cash=account().cash + sold * shares * 100.0)
        for number in (1, 2):
            look(service, clock, number)
        assert held.settled(0.5) == ([] if sold else lies)
        assert held.cancels() == ([] if not sold else [one["order_id"] for one in held.sim.orders()][1:])


def test_a_small_dividend_is_no_sale_where_two_answers_lack_what_is_held(held):
    clock = held.service.clock
    with held.trading() as service:
        lies, broker = held.settled(0.0), service.broker
        asked, account = broker.positions, broker.account
        broker.account = lambda: replace(account(), cash=account().cash + 12.0)
        look(service, clock, 1)
        broker.positions = lambda: ()
        for number in (2, 3):
            look(service, clock, number)
        broker.positions = asked
        assert held.settled(0.5) == lies
    assert held.cancels() == []


def test_what_was_sold_where_the_broker_tells_no_execution_is_believed_beside_a_trade_by_hand_and_money_taken_out(held):
    clock = held.service.clock
    with held.trading() as service:
        shares, broker, at = service.journal.book.positions["AAA"], service.broker, service.clock()
        fills, account = broker.fills, broker.account
        bought = Fill("x1", 1, "", "BBB", Side.BUY, 1, 50.0, at, "DU1234567", commission=0.0)
        cash = -150_000.0  # taken out, and not explained yet
        broker.account = lambda: replace(account(), cash=account().cash + cash)
        look(service, clock, 1)
        cash += shares * 100.0 - 50.0
        broker.positions = lambda: (Position("BBB", 1, 50.0),)
        broker.fills = lambda since: (*fills(since), bought)
        look(service, clock, 2)
        assert held.cancels() == []
        look(service, clock, 3)
        assert held.settled(0.5) == []


def test_a_stop_that_is_gone_from_the_broker_is_missing_at_the_second_look_and_no_look_before(held):
    clock = held.service.clock
    with held.trading() as service:
        stop = held.of_type("STP")
        held.sim.fault("forget", client=stop["client_id"], order_id=stop["order_id"])
        with connected(held.office) as hand:
            beside = Journal.open(held.office.settings, held.office.paths, "DU1234567")
            (difference,) = compare(beside, hand).unexplained
            beside.close()
        assert difference.text.startswith(f"AAA: order {stop['ref']} is accepted in the journal, and not open at the b")
        for number in (1, 2):
            look(service, clock, number)
            assert list(service.journal.book.locked) == ([] if number == 1 else ["AAA"])
        (told,) = held.told("missing_order")
        assert told.startswith(f"AAA: order {stop['ref']} is missing: accepted before, and no trace at the broker")
        resolve(service.journal, stop["ref"], OrderStatus.CANCELLED, "ada", "the broker lost it")
        until(lambda: len(held.working()) == 2)
    assert [kind for kind, *_ in held.settled(0.5)] == ["LMT", "STP"]


def test_an_end_that_is_heard_while_another_one_is_put_back_does_not_wait_for_a_minute(held):
    with held.trading() as service:
        stop, target = held.of_type("STP"), held.of_type("LMT")
        orders, done = service.broker.open_orders, []

        def while_it_is_put_back():
            found = orders()
            if not done and service.journal.book.orders[stop["ref"]].status.terminal:
                done.append(target["ref"])
                service.broker.cancel(target["ref"])  # nothing of it is in the journal: the broker ends it just now
                time.sleep(0.2)
            return found

        service.broker.open_orders = while_it_is_put_back
        service.broker.cancel(stop["ref"])
        until(lambda: done and [kind for kind, *_ in held.settled(0.1)] == ["LMT", "STP"], 20)
        assert [kind for kind, *_ in held.settled(1.0)] == ["LMT", "STP"]
    assert {stop["ref"], target["ref"]}.isdisjoint(one["ref"] for one in held.working())


def test_what_the_broker_ended_while_nobody_was_there_is_told_when_it_is_put_back(held):
    list(held.service.run(once=True))
    held.office.close(held.service)
    held.cancel_all()
    held.service = held.office.open()
    list(held.service.run(once=True))
    assert [kind for kind, *_ in held.settled(0.1)] == ["LMT", "STP"]
    (text,) = held.told()
    assert text.startswith(f"AAA: the broker ended {held.of_type('STP')['ref']}, which protected it")


def test_what_the_broker_ended_is_told_where_the_answer_to_the_next_question_is_lost(held):
    with held.trading():
        held.sim.fault("drop", message="openOrderEnd", times=1)
        held.cancel_all()
        until(lambda: len(held.sim.orders()) == 5 and len(held.working()) == 2, 30)
        until(held.told)
    assert len(held.told()) == 1


def test_what_the_broker_ended_while_the_market_was_closed_is_told_before_it_opens(held):
    clock = held.service.clock
    list(held.service.run(once=True))
    held.office.close(held.service)
    held.cancel_all()
    held.service = held.office.open()
    desk = held.service.desk(held.service.session(once=True), (), once=True)
    desk.clock = lambda: clock() - timedelta(hours=1)  # it is ten: an hour earlier the market is closed
    begin(desk)
    put_in_order(desk)
    guard(desk)
    assert len(held.told()) == 1
    assert held.settled(0.1) == []


@pytest.mark.parametrize("place", ["entry", "stop", "target"])
def test_a_bracket_that_is_refused_while_nothing_is_held_is_one_warning(held, place):
    skip = 1 + ["entry", "stop", "target"].index(place)  # the what-if passes
    held.sim.fault(
        "error", message="placeOrder", code=201, text="Order rejected - reason: no margin", skip=skip, times=1
    )
    (report,) = list(held.service.run(once=True))
    assert report.results[0].held == {}
    assert held.settled(0.5) == []
    (alert,) = held.service.outbox.all()
    assert (alert.severity, alert.kind) == ("warning", "rejected")
    assert alert.text.startswith("BUY 2002 AAA: ")
    assert "no margin" in alert.text


def test_an_order_that_the_broker_refuses_is_told(tmp_path, sim, gateway_bars):  # noqa: F811
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    service = office.open()
    sim.fault("error", message="placeOrder", code=201, text="Order rejected - reason: no margin", skip=1, times=1)
    list(service.run(once=True))
    assert [(alert.severity, alert.kind) for alert in service.outbox.all()] == [("warning", "rejected")]
    office.close(service)


def test_a_part_that_filled_before_its_order_was_cancelled_is_counted_late_and_without_an_alarm(
    tmp_path, sim, gateway_bars  # noqa: F811
):  # fmt: skip
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    service = office.open()
    sim.fault("hold", state=True)
    with running(service):
        until(lambda: any(one.permanent_id for one in service.journal.book.orders.values()), 20)
        (order,) = sim.orders()
        sim.fault("delay", message="commissionReport", seconds=0.7)
        sim.fault("fill", client=order["client_id"], order_id=order["order_id"], shares=100, price=100.0)
        with connected(office) as hand:
            hand.cancel_all()
        until(lambda: service.journal.book.positions == {"AAA": 100}, 20)
    assert [(alert.severity, alert.kind, alert.text) for alert in service.outbox.all()] == [
        ("warning", "rejected", "BUY 2002 AAA: the broker cancelled it, 100 filled; this runner did not ask for it")
    ]  # and no odd fill
    office.close(service)
