"""Who sees to stops and targets where trading stops: while another symbol differs, after an error without a name."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from tests.live.ib.conftest import until
from tests.live.test_bare import decide_again
from tests.live.test_protection import Held, held  # noqa: F401 (the fixture: a service that holds AAA)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from tests.live.test_service import running, sim, told  # noqa: F401 (sim: the fixture)
from workbench.errors import DataRefused, Disconnected
from workbench.live import runner
from workbench.live.service import Service
from workbench.trading import Position, Quote


def differing(service: Service) -> None:
    """Let the account hold one BBB that nobody knows of."""
    asked = service.broker.positions
    service.broker.positions = lambda: (*asked(), Position("BBB", 1, 50.0))


def restarted(held: Held) -> Service:  # noqa: F811
    """Let it end, the broker end its stop and its target, and another service find that, and what differs."""
    with held.trading():
        pass
    held.office.close(held.service)
    held.cancel_all()
    held.service = held.office.open()
    differing(held.service)
    return held.service


def both(held: Held) -> list[tuple[str, str, int]]:  # noqa: F811
    """Return the stop and the target for all that is held."""
    shares = dict(held.sim.positions())["AAA"]
    return [("LMT", "SELL", shares), ("STP", "SELL", shares)]


def test_what_ended_over_night_is_put_back_while_another_symbol_differs(held):  # noqa: F811
    restarted(held)
    with running(held.service):
        until(lambda: len(held.working()) == 2, 20)
        until(lambda: "reconcile" in told(held.service), 20)
        assert held.settled(0.5) == both(held)
    (text,) = held.told()
    assert text.startswith("AAA: the broker ended ")
    assert "BBB" not in held.service.journal.book.positions


def test_what_was_taken_back_is_put_back_though_the_connection_was_cut_and_another_symbol_differs(held, monkeypatch):  # noqa: F811
    take_back, done = runner.take_back, []
    with held.trading() as service:

        def taking(desk, symbols):
            found = take_back(desk, symbols)
            if not done:
                done.append(1)
                differing(service)
                held.sim.fault("abort")
                time.sleep(0.3)
            return found

        monkeypatch.setattr(runner, "take_back", taking)
        decide_again(held, 1, AAA=0.3)
        until(lambda: done and len(held.working()) == 2, 20)
        until(lambda: "reconcile" in told(service), 20)
        assert held.settled(0.5) == both(held)
    assert {one["type"] for one in held.sim.orders()[3:]} == {"LMT", "STP"}


def test_that_nobody_can_put_it_back_is_told_beside_what_differs(held):  # noqa: F811
    service = restarted(held)

    def none(symbols) -> dict[str, Quote]:
        raise DataRefused("quotes: none")

    service.broker.quotes = none  # type: ignore[method-assign]
    with running(service):
        until(lambda: "reconcile" in told(service), 20)
        assert held.told()[-1] == "while the account differs nobody puts back what protects other symbols: quotes: none"
    assert held.settled(0.0) == []


@pytest.mark.parametrize("when", ["as it looks", "before it sends", "after it sent"])
def test_an_error_without_a_name_in_a_decision_leaves_no_holding_bare(held, monkeypatch, when):  # noqa: F811
    with held.trading() as service:
        view, place, failed = runner.view, service.broker.place, []

        def fail() -> None:
            if not failed:
                failed.append(1)
                raise KeyError("sector")

        def looking(*facts, **named):
            if when == "as it looks":
                fail()
            return view(*facts, **named)

        def placing(*facts):
            if when == "before it sends":
                fail()
            placed = place(*facts)
            if when == "after it sent":
                fail()
            return placed

        monkeypatch.setattr(runner, "view", looking)
        service.broker.place = placing  # type: ignore[method-assign]
        bought = held.sim.positions()["AAA"]
        decide_again(held, 1, AAA=0.3)
        until(lambda: failed and service._desk.seats == (), 20)
        assert held.settled(0.5) == both(held)
        assert (held.sim.positions()["AAA"] > bought) is (when == "after it sent")
    assert service.journal.book.positions == dict(held.sim.positions())
    assert [text.startswith("KeyError: 'sector'; until then nobody") for text in held.told("fault")] == [True]
    assert held.told() == []


def test_that_an_error_lasts_and_a_holding_lies_bare_is_told(held, monkeypatch):  # noqa: F811
    with held.trading() as service:

        def failing(*facts, **named):
            raise KeyError("sector")

        monkeypatch.setattr(runner, "view", failing)
        decide_again(held, 1, AAA=0.3)
        until(lambda: held.told(), 20)
        until(lambda: service._desk.seats == (), 20)
    (text,) = held.told()
    assert text == "what was taken back of the stops and targets of AAA could not be put back: KeyError: 'sector'"
    assert held.settled(0.0) == []


def test_who_decides_once_and_ends_by_an_error_leaves_the_stop_and_the_target_there(held, monkeypatch):  # noqa: F811
    service, clock = held.service, held.service.clock
    list(service.run(once=True))
    held.office.seats[0].strategy.wanted[held.day] = {"AAA": 0.3}
    service.clock = lambda: clock() + timedelta(minutes=2)
    carry_out = runner.carry_out

    def failing(desk, *facts):
        monkeypatch.setattr(runner, "carry_out", carry_out)
        raise KeyError("sector")

    monkeypatch.setattr(runner, "carry_out", failing)
    with pytest.raises(KeyError):
        list(service.run(once=True))
    assert len(held.cancels()) == 2
    assert held.settled(0.5) == both(held)
    assert told(service) == ["ended"]


def test_that_nothing_lies_bare_is_not_told_as_bare_where_an_error_cannot_be_left(held, monkeypatch):  # noqa: F811
    with held.trading() as service:
        view, connect, failed = runner.view, service.broker.connect, []

        def failing(*facts, **named):
            if not failed:
                failed.append(1)
                raise KeyError("sector")
            return view(*facts, **named)

        def away():
            if len(failed) == 1:
                failed.append(2)
                raise Disconnected("the gateway is away")
            return connect()

        monkeypatch.setattr(runner, "take_back", lambda desk, symbols: frozenset())  # nothing was taken back
        monkeypatch.setattr(runner, "view", failing)
        service.broker.connect = away  # type: ignore[method-assign]
        decide_again(held, 1, AAA=0.3)
        until(lambda: len(failed) == 2 and held.told("fault"), 20)
        until(lambda: service._desk.seats == (), 20)
        assert held.settled(0.5) == both(held)
    assert held.told() == []


def test_an_order_that_the_broker_cancelled_is_told_though_an_error_ended_the_decision(held):  # noqa: F811
    with held.trading() as service:
        place, sent = service.broker.place, []

        def placing(*facts):
            sent.append(1)
            if len(sent) == 2:  # the stop of AAA, when both orders are there
                held.cancel_all()
                time.sleep(0.5)
                raise KeyError("sector")
            return place(*facts)

        service.broker.place = placing  # type: ignore[method-assign]
        held.sim.fault("hold", state=True)
        decide_again(held, 1, AAA=0.3, BBB=0.1)
        until(lambda: held.told("rejected"), 20)
        held.sim.fault("hold", state=False)
    why = "the broker cancelled it, nothing filled; this runner did not ask for it"
    until(lambda: len(held.told("rejected")) == 2, 5)  # of AAA and of BBB
    assert [text.split(": ", 1)[1] for text in held.told("rejected")] == [why, why]
    assert held.settled(0.5) == both(held)
