"""How long a holding lies bare: while what resizes it hangs, or waits for its turn, over the real client."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.live.ib.conftest import until
from tests.live.test_exits import WORKING, make, resting, seat  # noqa: F401 (the fixture: bars by hand)
from tests.live.test_protection import Held, held  # noqa: F401 (the fixture: a service that holds AAA)
from tests.live.test_runner import WIDE, Stage, last_days
from tests.live.test_service import Office, running, sim  # noqa: F401 (the fixture: a simulated gateway)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.live import runner
from workbench.live.halt import HaltFile
from workbench.live.limits import Limits
from workbench.trading import OrderType


def decide_again(held: Held, minutes: float = 2, **weights: float) -> None:  # noqa: F811
    """Let the service decide once more, in its own thread: some minutes later, or now as if it were later."""
    service, clock, due = held.service, held.service.clock, [1]
    held.office.seats[0].strategy.wanted[held.day] = weights
    later = service._desk.moments[0] + timedelta(minutes=minutes)
    if minutes >= 2:
        service.clock = service._desk.clock = lambda: clock() + timedelta(minutes=minutes, seconds=1)
    protect = service._protect

    def first(desk) -> None:
        if due:
            due.clear()
            runner.trade(desk, later)
        protect(desk)

    service._protect = first


@pytest.mark.parametrize(("weight", "side", "leaves"), [(0.3, "BUY", 0), (0.1, "SELL", 1)])
def test_while_a_resize_hangs_what_it_cannot_take_away_has_a_stop(held, weight, side, leaves):  # noqa: F811
    with held.trading() as service:
        service._desk.patience = 1.0
        shares = service.journal.book.positions["AAA"]
        held.sim.fault("hold", state=True)  # a halt in this share: nothing fills
        decide_again(held, AAA=weight)
        until(lambda: {one["type"] for one in held.working()} == {"MKT", "STP"}, 20)
        (order, stop) = sorted(held.settled(2.0))
        assert order[:2] == ("MKT", side)
        assert stop == ("STP", "SELL", shares - leaves * order[2])
        held.sim.fault("hold", state=False)
        until(lambda: {one["type"] for one in held.working()} == {"LMT", "STP"}, 20)
        now = service.journal.book.positions["AAA"]
        assert held.settled(1.0) == [("LMT", "SELL", now), ("STP", "SELL", now)]
    assert now == dict(held.sim.positions())["AAA"] == pytest.approx(shares * weight / 0.2, abs=10)
    assert held.told() == []


def test_what_an_order_that_hangs_buys_has_a_stop_of_its_own_within_a_minute(held):  # noqa: F811
    with held.trading() as service:
        service._desk.patience = 1.0
        shares = held.sim.positions()["AAA"]
        held.sim.fault("hold", state=True)
        decide_again(held, AAA=0.3)
        until(lambda: {one["type"] for one in held.working()} == {"MKT", "STP"}, 20)
        order = next(one for one in held.working() if one["type"] == "MKT")
        held.sim.fault("fill", client=order["client_id"], order_id=order["order_id"], shares=600, price=100.0)
        until(lambda: service.journal.book.positions["AAA"] == shares + 600)
        clock = service.clock
        service.clock = service._desk.clock = lambda: clock() + timedelta(seconds=61)
        until(lambda: len(held.working()) == 3, 20)
        (buys, *stops) = held.settled(2.0)
        assert buys == ("MKT", "BUY", order["quantity"])
        assert stops == [("STP", "SELL", 600), ("STP", "SELL", shares)]
        assert len(held.cancels()) == 2  # what protected it before it was traded, and no stop since
        held.sim.fault("hold", state=False)
        until(lambda: {one["type"] for one in held.working()} == {"LMT", "STP"}, 20)
        now = held.sim.positions()["AAA"]
        assert held.settled(1.0) == [("LMT", "SELL", now), ("STP", "SELL", now)]
    assert held.told() == []


def test_what_waits_for_the_orders_of_a_minute_keeps_its_stop_until_its_turn_has_come(tmp_path, make):  # noqa: F811
    bars = make()
    days = last_days(bars, 3)
    wanted = {days[0]: {"AAA": 0.5, "BBB": 0.4}, days[1]: {"AAA": 0.25, "BBB": 0.2}}
    few = WIDE.model_copy(update={"max_orders_per_minute": 4})  # and each of the two sales takes three
    stage = Stage(tmp_path, bars, (seat("one", wanted),), limits=few, count=2)
    rehearsal = stage.open()
    rehearsal.trade(rehearsal.sessions[0])
    seen: list[tuple[dict[str, int], dict[str, int]]] = []
    pause = rehearsal._pause

    def pausing(seconds: float) -> None:
        stops = {symbol: -facts[0] for (symbol, kind), facts in resting(rehearsal).items() if kind is OrderType.STOP}
        seen.append((stops, dict(rehearsal.journal.book.positions)))
        pause(seconds)

    rehearsal._pause = pausing  # type: ignore[method-assign]
    report = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert seen  # it did wait
    assert [stops for stops, _ in seen] == [positions for _, positions in seen]
    assert [(order.symbol, order.filled) for order in report.orders[:1]] == [("AAA", 250)]
    assert report.results[0].held == {"AAA": 250, "BBB": 400}
    assert report.results[0].equal


def test_what_waits_to_be_sold_keeps_its_stop_while_what_was_sold_before_it_is_seen_to(tmp_path, make):  # noqa: F811
    bars = make()
    days = last_days(bars, 3)
    seats = (seat("one", {days[0]: {"AAA": 0.5, "BBB": 0.4}, days[1]: {}}),)
    rehearsal = Stage(tmp_path, bars, seats, count=2).open()
    rehearsal.trade(rehearsal.sessions[0])
    rehearsal.limits = WIDE.model_copy(update={"max_orders_per_minute": 1})
    seen: list[tuple[dict[str, int], dict[str, int]]] = []
    pause = rehearsal._pause

    def pausing(seconds: float) -> None:
        stops = {symbol: -facts[0] for (symbol, kind), facts in resting(rehearsal).items() if kind is OrderType.STOP}
        seen.append((stops, dict(rehearsal.journal.book.positions)))
        pause(seconds)

    rehearsal._pause = pausing  # type: ignore[method-assign]
    report = rehearsal.trade(rehearsal.sessions[1])
    rehearsal.close()
    assert {"BBB": 800} in [positions for _, positions in seen]  # it did wait
    assert [stops for stops, _ in seen] == [positions for _, positions in seen]
    assert report.results[0].held == {}


@pytest.mark.parametrize("per_minute", [1000, 5])
def test_what_passes_from_one_strategy_to_another_is_protected_for_its_new_owner_alone(
    tmp_path,
    sim,  # noqa: F811
    gateway_bars,  # noqa: F811
    per_minute,
):
    day = str(gateway_bars.index[-1].date())
    office = Office(tmp_path, sim, gateway_bars, {})
    office.seats = (seat("one", {day: {"AAA": 0.2}}, share=0.5), seat("two", {day: {}}, share=0.5))
    service = office.open()

    def lying() -> list[tuple[str, str, int]]:
        return sorted((one["symbol"], one["type"], one["quantity"]) for one in sim.orders() if one["status"] in WORKING)

    with running(service):
        book = service.journal.book
        until(lambda: len(lying()) == 2 and book.positions == dict(sim.positions()), 20)
        shares = book.positions["AAA"]
        few = WIDE.model_copy(update={"max_orders_per_minute": per_minute})
        service._desk.limits = lambda: few
        office.seats[0].strategy.wanted[day], office.seats[1].strategy.wanted[day] = {"BBB": 0.2}, {"AAA": 0.2}
        seen, pause, protect, due = [], service._desk.pause, service._protect, [1]

        def pausing(seconds: float) -> None:
            seen.append((lying(), dict(book.books["one"])))
            pause(0.2)
            if len(seen) == 2:  # the minute is over
                service._desk.limits = lambda: WIDE

        def first(desk) -> None:
            if due:
                due.clear()
                runner.trade(desk, desk.moments[0] + timedelta(minutes=1))
            protect(desk)

        service._desk.pause, service._protect = pausing, first
        until(lambda: "BBB" in dict(sim.positions()) and len(lying()) == 4, 20)
    owners = {(one.order.symbol, *one.intent.asked.shares) for one in book.open_orders}
    assert owners == {("AAA", "two"), ("BBB", "one")}
    assert book.books == {"one": {"BBB": sim.positions()["BBB"]}, "two": {"AAA": shares}}
    assert all(lies == [("AAA", "LMT", shares), ("AAA", "STP", shares)] for lies, _ in seen)
    assert len(seen) == (2 if per_minute == 5 else 0)
    assert [alert.kind for alert in service.outbox.all()] == []
    office.close(service)


def test_a_halt_that_comes_while_a_decision_waits_for_its_turn_leaves_the_stops_where_they_are(held):  # noqa: F811
    with held.trading() as service:
        few = WIDE.model_copy(update={"max_orders_per_minute": 5})
        service._desk.limits = lambda: few
        lies, pause, waited = held.settled(0.0), service._desk.pause, []

        def pausing(seconds: float) -> None:
            waited.append(seconds)
            HaltFile(held.office.paths).write("stop all", "ada", service.clock())
            pause(0.2)
            service._desk.limits = lambda: WIDE  # the minute is over

        service._desk.pause = pausing
        decide_again(held, 1, AAA=0.3)
        until(lambda: waited, 20)
        until(lambda: held.told("halted"), 20)
        assert held.settled(1.0) == lies
        assert held.cancels() == []
    assert held.told("denied") == []


def test_who_is_told_to_end_while_a_holding_lies_bare_ends_when_it_is_protected_again(held):  # noqa: F811
    few = WIDE.model_copy(update={"max_orders_per_minute": 1})
    with held.trading() as service:
        bare, pause, shares = [], service._desk.pause, held.sim.positions()["AAA"]

        def pausing(seconds: float) -> None:
            bare.append(held.working() == [])
            service.ending.set()
            pause(seconds)

        def limits() -> Limits:
            """Leave no room once it has bought, until it is told to end."""
            return few if held.sim.positions()["AAA"] > shares and not service.ending.is_set() else WIDE

        service._desk.limits = limits
        service._desk.pause = pausing
        decide_again(held, 1, AAA=0.3)
        until(lambda: service.ending.is_set(), 20)
    now = held.sim.positions()["AAA"]
    assert bare[0]
    assert now > shares
    assert held.settled(0.0) == [("LMT", "SELL", now), ("STP", "SELL", now)]


def test_while_orders_wait_the_account_is_watched_and_tighter_limits_hold(held):  # noqa: F811
    with held.trading() as service:
        done: list[float] = []
        watched, protect = service._ticked, service._protect

        def first(desk) -> None:
            if not done:
                done.append(0.0)
                file = held.office.paths.params / "risk" / "sample.yaml"
                file.write_text(file.read_text().replace("max_position: 1.0", "max_position: 0.05"))
                service._ticked = 0.0
                desk.pause(0.3)
                done[0] = service._ticked
            protect(desk)

        service._protect = first
        until(lambda: done and done[0], 20)
        assert done[0] > watched
        assert service.limits.limits.max_position == 0.05


def test_an_error_without_a_name_in_a_look_within_a_decision_leaves_no_holding_bare(held):  # noqa: F811
    with held.trading() as service:
        service._desk.patience = 3.0
        held.sim.fault("hold", state=True)
        doubt, failed = service._sight._doubt, []

        def doubting(*facts) -> None:
            if not failed:
                failed.append(1)
                raise KeyError("AAA")
            doubt(*facts)

        service._sight._doubt = doubting
        decide_again(held, AAA=0.3)
        until(lambda: "MKT" in {one["type"] for one in held.working()}, 20)
        service._ticked = 0.0
        until(lambda: failed, 20)
        held.sim.fault("hold", state=False)
        until(lambda: len(held.working()) == 2 and {one["type"] for one in held.working()} == {"LMT", "STP"}, 20)
        now = held.sim.positions()["AAA"]
        assert held.settled(1.0) == [("LMT", "SELL", now), ("STP", "SELL", now)]
        assert service._desk.seats != ()
    assert held.told("watch") == ["KeyError: 'AAA'"]
    assert held.told("fault") == []


def test_while_an_order_hangs_the_account_is_watched(held):  # noqa: F811
    with held.trading() as service:
        service._desk.patience = 4.0
        held.sim.fault("hold", state=True)
        decide_again(held, AAA=0.3)
        until(lambda: "MKT" in {one["type"] for one in held.working()}, 20)
        sent, service._ticked = time.monotonic(), 0.0
        until(lambda: service._ticked, 20)
        assert service._ticked - sent < 3.5  # before its patience is over
