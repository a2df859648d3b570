"""How a day begins for who watches: its losses are its own, whatever fails before the first decision."""

from __future__ import annotations

from dataclasses import replace

from tests.live.ib.conftest import until
from tests.live.test_exits import seat
from tests.live.test_runner import WIDE
from tests.live.test_service import FRIDAY, MONDAY, Office, running, sim, told  # noqa: F401 (sim: the fixture)
from tests.live.test_service import bars as gateway_bars  # noqa: F401
from workbench.errors import Unanswered
from workbench.live.reconcile import reconcile
from workbench.live.service import Service
from workbench.strategies.exits import Exits
from workbench.trading import Account


def after_a_loss(office: Office, lost: float, **limits: float) -> Service:
    """Return a service whose books have a Friday that opened so much higher than the account is worth on Monday."""
    mine = WIDE.model_copy(update={"max_daily_loss": 0.03, **limits})
    file = office.paths.params / "risk" / "sample.yaml"
    file.write_text("\n".join(f"{name}: {value}" for name, value in mine.model_dump().items()))
    service = office.open()
    service.limits.limits = mine
    now = service.broker.account()
    service.journal.begin(date=FRIDAY, equity=now.equity * (1.0 + lost), cash=now.cash, seats={}, limits="")
    reconcile(service.journal, service.broker, service.outbox)
    return service


def test_one_answer_that_is_late_as_the_day_begins_counts_no_loss_of_the_day_before(tmp_path, sim, gateway_bars):  # noqa: F811
    """Friday opened 3.55 % higher, and 3 % may be lost in a day: Monday has lost nothing."""
    office = Office(tmp_path, sim, gateway_bars, {"AAA": 0.2})
    service = after_a_loss(office, 0.0355)
    account, asked = service.broker.account, []

    def once_late() -> Account:
        asked.append(1)
        if len(asked) == 1:
            raise Unanswered("account values: no answer within 5 s")
        return account()

    service.broker.account = once_late  # type: ignore[method-assign]
    with running(service):
        until(lambda: "AAA" in service.journal.book.positions, 20)
    assert office.stopped == []
    assert "broker" in told(service)
    assert "daily_loss_reached" not in told(service)
    office.close(service)


def test_who_is_refused_as_the_day_begins_is_watched_from_its_own_open(tmp_path, sim, gateway_bars):  # noqa: F811
    """It wants to be closed a minute before the end, when nothing passes any more: refused at every try of the day."""
    office = Office(tmp_path, sim, gateway_bars, {})
    office.seats = (seat("one", {FRIDAY: {"AAA": 0.2}}, Exits(minutes_before_close=1.0)),)
    service = after_a_loss(office, 0.05, min_minutes_before_close=1.0)
    account, lost = service.broker.account, [0.0]
    service.broker.account = lambda: replace(account(), equity=account().equity - lost[0])  # type: ignore[method-assign]
    with running(service):
        until(lambda: "trouble" in told(service)[1:], 20)  # the first is of Friday's books
        until(lambda: service._monitor is not None and service._monitor._seen, 20)
        assert service.journal.book.past.session == MONDAY
        assert office.stopped == []
        lost[0] = 31_000.0
        service._ticked = 0.0
        until(lambda: office.stopped, 20)
        assert office.stopped[0].startswith("DAILY_LOSS_REACHED: max_loss=30,000, loss=31,000")
    assert sim.orders() == []
    office.close(service)
