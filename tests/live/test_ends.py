"""What the broker ends by itself and not at once: a person hears of a strategy's order, and of none that was to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.live.conftest import minutes, wanted
from tests.live.ib.conftest import until
from tests.live.test_protection import connected, look
from tests.live.test_service import Office, running, sim  # noqa: F401 (the fixture: a simulated gateway)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.live import dispatch
from workbench.live.gate.facts import Origin
from workbench.live.halt import HaltFile
from workbench.live.journal.event import Draft, Kind
from workbench.live.reconcile import reconcile
from workbench.live.service import Service
from workbench.trading import OrderStatus


@pytest.fixture
def outbox(project):
    return project.outbox()


@pytest.fixture
def working(journal, venue, outbox):
    """100 AAA wanted at 90, which the broker has."""
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    return journal


def hear(journal, venue, outbox, status: OrderStatus, *, filled: int = 0, left: float = 360.0) -> list[str]:
    """Hear from the broker of the order's end, and return what is told."""
    (one,) = venue.broker.open_orders()
    events = dispatch.record(journal, outbox, [replace(one, status=status, filled=filled)])
    dispatch.tell_ends(journal, outbox, (event.key for event in events), minutes(left))
    assert journal.book.orders["k1"].status is status
    return [one.text for one in outbox.all()]


CANCELLED = "BUY 100 AAA: the broker cancelled it, {} filled; this runner did not ask for it"


@pytest.mark.parametrize(
    ("status", "filled", "text"),
    [
        (OrderStatus.REJECTED, 0, "BUY 100 AAA: the broker refused it"),
        (OrderStatus.CANCELLED, 0, CANCELLED.format("nothing")),
        (OrderStatus.CANCELLED, 60, CANCELLED.format(60)),
    ],
)
def test_an_order_that_the_broker_ends_after_it_had_taken_it_is_told_once(working, venue, outbox, status, filled, text):
    for _ in range(2):
        assert hear(working, venue, outbox, status, filled=filled) == [text]
    assert [(one.severity, one.kind) for one in outbox.all()] == [("warning", "rejected")]


def test_an_order_that_this_runner_took_back_is_no_news(working, venue, outbox):
    working.append(Draft(Kind.CANCEL, {"reason": "its symbol is traded"}, "k1"))
    assert hear(working, venue, outbox, OrderStatus.CANCELLED) == []


@pytest.mark.parametrize("left", [0.5, -0.5])
def test_an_order_that_ended_with_its_day_is_no_news(working, venue, outbox, left):
    assert hear(working, venue, outbox, OrderStatus.CANCELLED, left=left) == []


def test_an_order_that_ended_with_its_day_is_no_news_the_next_morning(working, venue, outbox):
    working.begin(date="2024-03-06", equity=1.0, seats={})
    assert hear(working, venue, outbox, OrderStatus.CANCELLED) == []


def test_that_a_halt_ended_it_is_no_news(project, working, venue, outbox):
    HaltFile(project.paths).write("stop", "ada", project.clock())
    assert hear(working, venue, outbox, OrderStatus.CANCELLED) == []


def test_that_the_emergency_stop_ended_it_is_no_news_after_a_resume(working, venue, outbox):
    working.append(Draft(Kind.OPERATOR, {"emergency": "stopped", "text": "flat"}))
    assert hear(working, venue, outbox, OrderStatus.CANCELLED) == []


def test_of_what_protects_a_holding_somebody_else_tells(journal, venue, outbox):
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0, origin=Origin.PROTECTION)])
    assert hear(journal, venue, outbox, OrderStatus.REJECTED) == []


@contextmanager
def order_held(office: Office) -> Iterator[Service]:
    """Run a service whose order the gateway has taken and does not fill."""
    service = office.open()
    office.sim.fault("hold", state=True)
    with running(service):
        until(lambda: any(one.permanent_id for one in service.journal.book.orders.values()), 20)
        yield service


@pytest.mark.parametrize("away", [False, True])
def test_a_running_service_tells_what_the_gateway_cancels_also_while_it_was_away(
    tmp_path, sim, gateway_bars, away  # noqa: F811
):  # fmt: skip
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    with order_held(office) as service:
        with connected(office) as hand:
            if away:
                sim.fault("drop", message="orderStatus", times=9)
            hand.cancel_all()
        if away:
            sim.fault("abort")
        until(lambda: service.outbox.all(), 20)
    assert ("warning", "rejected") in [(one.severity, one.kind) for one in service.outbox.all()]
    assert any(one.text == CANCELLED.format("nothing").replace("100", "2002") for one in service.outbox.all())
    office.close(service)


def test_a_cancel_of_the_broker_whose_word_was_lost_is_told_when_a_look_finds_it(tmp_path, sim, gateway_bars):  # noqa: F811
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    with order_held(office) as service:
        with connected(office) as hand:
            sim.fault("drop", message="orderStatus", times=9)
            hand.cancel_all()
        clock = service.clock
        look(service, clock, 1)
        assert service.outbox.all() == ()
        look(service, clock, 2)
        (order,) = service.journal.book.orders.values()
        assert order.status is OrderStatus.CANCELLED
    (told,) = [one for one in service.outbox.all() if one.kind == "rejected"]
    assert (told.severity, told.text) == ("warning", CANCELLED.format("nothing").replace("100", "2002"))
    office.close(service)
