"""Strategies beside a person's own shares: what is traded after these were explained is ours, on either side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.live.conftest import wanted
from tests.live.test_book import fill, fold
from tests.live.test_exits import seat as exit_seat
from tests.live.test_owners import by_hand
from tests.live.test_service import FRIDAY, Office
from tests.live.test_service import bars as gateway_bars  # noqa: F401 (the fixture)
from workbench.errors import InputRefused
from workbench.live import dispatch
from workbench.live.book import NOBODY
from workbench.live.gate.facts import Origin
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import intent_data
from workbench.live.paper.ledger import Ledger
from workbench.live.protection import pointless
from workbench.live.reconcile import adopt, explain, reconcile
from workbench.live.report import SessionReport
from workbench.live.service import Service
from workbench.live.trading_state import TradingState
from workbench.strategies.exits import Exits
from workbench.trading import OrderStatus, Side
from workbench.tws import Simulator
from workbench.types import Bars

OWN = {"AAA": (7, 100.0), "BBB": (7, 50.0)}


@contextmanager
def beside(
    folder: Path, bars: Bars, weights: dict[str, float], *, noted: bool = True, aaa: int = 7
) -> Iterator[Service]:
    """Begin beside some AAA and seven BBB of a person's own that were explained; ``noted`` as it is said now."""
    own = {**OWN, "AAA": (aaa, 100.0)}
    with Simulator(factor=1, symbols={"AAA": 100.0, "BBB": 50.0}, holdings=own) as sim:
        office = Office(folder, sim, bars, weights)
        service = office.open()
        service.journal.begin()
        reconcile(service.journal, service.broker, service.outbox)
        for symbol in OWN:
            if noted:
                explain(service.journal, service.broker, symbol, "ada", "bought by hand long ago, stays")
            else:
                facts = {"action": "explain", "shares_explained": 7, "unlocked": True}
                service.journal.append(Draft(Kind.OPERATOR, facts, symbol=symbol))
        service.office, service.sim = office, sim  # type: ignore[attr-defined]
        try:
            yield service
        finally:
            office.close(service)


def bound(service: Service, **limits: float) -> None:
    """Write other limits into the file that the account reads."""
    file = service.office.paths.root / "params" / "risk" / "sample.yaml"  # type: ignore[attr-defined]
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | limits))
    service.limits.poll()


def later(service: Service) -> SessionReport:
    """Decide once more, two minutes later."""
    clock = service.clock
    service.clock = lambda: clock() + timedelta(minutes=2)
    (report,) = list(service.run(once=True))
    return report


def test_a_strategy_goes_long_beside_shares_of_a_persons_own_and_not_short(tmp_path, gateway_bars):  # noqa: F811
    weights = {"AAA": 0.2, "BBB": -0.1}
    with beside(tmp_path, gateway_bars, weights, noted=False) as service:  # as a journal of earlier says it
        (report,) = list(service.run(once=True))
        assert [(one.symbol, one.signed > 0) for one in report.orders] == [("AAA", True)]
        (denied,) = report.denied
        assert denied.reason.startswith("EXPLAINED_AGAINST: symbol=BBB, explained=7, after=-")
        assert service.sim.positions()["BBB"] == 7
        explain(service.journal, service.broker, "BBB", "ada", "all of it is there")
        order = later(service).orders[-1]
        assert (order.symbol, order.signed < 0) == ("BBB", True)
        assert service.sim.positions()["BBB"] == 7 + order.signed


def test_a_holding_is_turned_beside_shares_of_a_persons_own_and_the_books_agree(tmp_path, gateway_bars):  # noqa: F811
    with beside(tmp_path, gateway_bars, {"AAA": 0.2}) as service:
        list(service.run(once=True))
        service.office.seats[0].strategy.wanted[FRIDAY] = {"AAA": -0.1}
        report = later(service)
        assert ([one.reason for one in report.denied], report.differences) == ([], ())
        assert report.orders[-1].signed < -2_500
        book = service.journal.book
        assert book.books["one"]["AAA"] == book.positions["AAA"] < 0
        assert service.sim.positions()["AAA"] == book.positions["AAA"] + 7
        service.office.seats[0].strategy.wanted[FRIDAY] = {}
        assert later(service).differences == ()
        assert (service.sim.positions()["AAA"], book.positions, book.explained["AAA"]) == (7, {}, 7)


def test_one_of_two_strategies_closes_what_the_other_holds_against_beside_a_persons_own(tmp_path, gateway_bars):  # noqa: F811
    exits = Exits(stop_atr=2.0, target_atr=3.0)
    with beside(tmp_path, gateway_bars, {}) as service:
        one, two = (exit_seat("one", {FRIDAY: {"AAA": 0.4}}, None, share=0.5),
                    exit_seat("two", {FRIDAY: {"AAA": -0.2}}, exits, share=0.5))  # fmt: skip
        service.office.seats = (one, two)
        list(service.run(once=True))
        one.strategy.wanted[FRIDAY] = {}
        report = later(service)
        book = service.journal.book
        assert ([each.reason for each in report.denied], report.differences) == ([], ())
        assert service.sim.positions()["AAA"] == book.books["two"]["AAA"] + 7 < 0
        working = [each.order for each in book.open_orders if each.protects]
        assert {(each.side, each.quantity) for each in working} == {(Side.BUY, -book.books["two"]["AAA"])}
        assert len(working) == 2


@pytest.mark.parametrize(("limit", "denial"), [
    ("max_order_value", "NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=25,000, notional="),
    ("max_position_value", "POSITION_EXCEEDS_MAX: max_position=25,000, position="),
    ("confirm_above", "WAITS_FOR_CONFIRMATION: confirm_above=25,000, notional="),
])  # fmt: skip
def test_a_short_beside_many_shares_of_a_persons_own_is_held_against_every_limit(
    tmp_path,
    gateway_bars,  # noqa: F811
    limit,
    denial,
):
    with beside(tmp_path, gateway_bars, {"AAA": -0.2}, aaa=5000) as service:
        bound(service, **{limit: 25_000.0})
        (report,) = list(service.run(once=True))
        (denied,) = report.denied
        assert denied.reason.startswith(denial)
        assert (service.sim.positions()["AAA"], service.journal.book.books) == (5000, {})


def test_a_short_beside_many_shares_of_a_persons_own_is_opened_by_nobody_who_may_only_reduce(tmp_path, gateway_bars):  # noqa: F811
    with beside(tmp_path, gateway_bars, {"AAA": -0.2}, aaa=5000) as service:
        service.journal.set_state(TradingState.REDUCING, "the data is doubtful")
        (report,) = list(service.run(once=True))
        (denied,) = report.denied
        assert denied.reason.startswith("NOT_REDUCING: because=trading state, held=0, pending=0, order=-")
        assert (service.sim.positions()["AAA"], service.journal.book.books) == (5000, {})


def test_what_is_short_beside_many_shares_of_a_persons_own_is_protected_and_closed(tmp_path, gateway_bars):  # noqa: F811
    exits = Exits(stop_atr=2.0, target_atr=3.0)
    with beside(tmp_path, gateway_bars, {}, aaa=5000) as service:
        one, two = (exit_seat("one", {FRIDAY: {"AAA": -0.1}}, exits, share=0.5),
                    exit_seat("two", {FRIDAY: {"AAA": -0.1}}, None, share=0.5))  # fmt: skip
        service.office.seats = (one, two)
        list(service.run(once=True))
        book = service.journal.book
        of_one = book.books["one"]["AAA"]
        assert of_one < -100
        bound(service, max_order_value=1_000.0, confirm_above=500.0)  # nothing that closes is asked for them
        service.journal.set_state(TradingState.REDUCING, "the data is doubtful")
        two.strategy.wanted[FRIDAY] = {}
        report = later(service)
        assert ([each.reason for each in report.denied], report.differences) == ([], ())
        assert book.books == {"one": {"AAA": of_one}}
        working = [each.order for each in book.open_orders if each.protects]
        assert {(each.side, each.quantity) for each in working} == {(Side.BUY, -of_one)}
        one.strategy.wanted[FRIDAY] = {"AAA": -0.3}
        (denied,) = later(service).denied
        assert denied.signed < 0
        assert book.books == {"one": {"AAA": of_one}}
        assert len([each for each in book.open_orders if each.protects]) == 2
        one.strategy.wanted[FRIDAY] = {}
        later(service)
        assert (service.sim.positions()["AAA"], book.books, book.open_orders) == (5000, {}, ())


@pytest.fixture
def outbox(project):
    return project.outbox()


def short(journal, venue, outbox, shares: int) -> None:
    dispatch.send(journal, venue.broker, [wanted("k1", shares, Side.SELL)])
    venue.move("AAA", 101.0)
    dispatch.record(journal, outbox, venue.broker.updates(0.0))


def short_beside_seven(journal, venue, outbox) -> None:
    """Let the account hold 993 short: 1,000 of strategy one, and seven of a person's own."""
    reconcile(journal, venue.broker, outbox)
    Ledger(venue.project.paths.root / "paper.db").hold("AAA", 7, 100.0, 0.0)
    explain(journal, venue.broker, "AAA", "ada", "of my own")
    short(journal, venue, outbox, 1000)
    assert (reconcile(journal, venue.broker, outbox).clean, journal.book.explained) == (True, {"AAA": 7})
    assert journal.book.positions == {"AAA": -1000}


def sides(journal) -> tuple[dict[str, int], int]:
    """Return who holds how much of AAA, and how much of it is explained."""
    books = {name: own["AAA"] for name, own in journal.book.books.items() if "AAA" in own}
    return books, journal.book.explained.get("AAA", 0)


@pytest.mark.parametrize("sold", [3, 7, 27])
def test_of_shares_against_ours_a_person_sells_and_explains_it(journal, venue, outbox, sold):
    short_beside_seven(journal, venue, outbox)
    by_hand(venue, Side.SELL, sold)
    explain(journal, venue.broker, "AAA", "ada", "of my own")
    assert sides(journal) == ({"one": -1000}, 7 - sold)
    assert reconcile(journal, venue.broker, outbox).clean


@pytest.mark.parametrize(("side", "shares", "left"), [
    (Side.SELL, 3, ({"one": -1000}, 4)), (Side.SELL, 27, ({"one": -1000, NOBODY: -20}, 0)),
    (Side.BUY, 20, ({"one": -980}, 7)), (Side.BUY, 1000, ({}, 7)),
])  # fmt: skip
def test_what_is_adopted_beside_shares_against_ours_is_theirs_first_and_what_is_gone_is_ours(
    journal, venue, outbox, side, shares, left
):
    short_beside_seven(journal, venue, outbox)
    by_hand(venue, side, shares)
    if side is Side.BUY:
        with pytest.raises(InputRefused, match="shares that are gone are adopted, not explained"):
            explain(journal, venue.broker, "AAA", "ada", "of my own")
    adopt(journal, venue.broker, "AAA", "ada", "traded by hand")
    assert sides(journal) == left
    assert reconcile(journal, venue.broker, outbox).clean


def test_what_protects_shares_that_a_persons_own_lie_against_is_not_pointless(journal, venue, outbox):
    reconcile(journal, venue.broker, outbox)
    Ledger(venue.project.paths.root / "paper.db").hold("AAA", 7, 100.0, 0.0)
    explain(journal, venue.broker, "AAA", "ada", "of my own")
    short(journal, venue, outbox, 7)
    stop = wanted("stop", 7, Side.BUY, stop=110.0, shares={"one": 7}, origin=Origin.PROTECTION)
    journal.intend([stop], 70)
    assert venue.broker.positions() == ()
    assert reconcile(journal, venue.broker, outbox).clean
    assert pointless(journal.book, {}, venue.project.clock()) == ()
    (found,) = pointless(journal.book, {"AAA": 7}, venue.project.clock())
    assert found.order.key == stop.order.key


def stopped(held: int, explained: dict[str, object], *filled: int):
    """Return the book after the emergency stop closed what an account held: one's shares and seven explained."""
    order, side = abs(held), Side.of(-held)
    entry = wanted("k1", abs(held - 7), Side.of(held - 7), shares={"one": held - 7})
    asked = wanted("k2", order, side, shares={}, origin=Origin.EMERGENCY)
    return fold(
        Draft(Kind.OPERATOR, {"shares_explained": 7, **explained}, symbol="AAA"),
        Draft(Kind.INTENT, intent_data(entry, 7), "k1", "AAA"),
        fill("x1", abs(held - 7), 100.0, "k1", side=entry.order.side),
        Draft(Kind.INTENT, intent_data(asked, 8), "k2", "AAA"),
        *(fill(f"y{number}", shares, 100.0, "k2", side=side) for number, shares in enumerate(filled)),
    )


@pytest.mark.parametrize("held", [2009, -993])
@pytest.mark.parametrize("first", [0, 1, 400, 992])
def test_the_emergency_stop_closes_what_is_explained_with_the_rest(held, first):
    parts = [part for part in (first, abs(held) - first) if part]
    book = stopped(held, {"beside": True}, *parts)
    assert (book.positions, book.books, book.explained, book.beside) == ({}, {}, {}, set())
    assert [flag.text for flag in book.flags] == []
    begun = stopped(held, {"beside": True}, *parts[:1])
    left = begun.positions.get("AAA", 0) + begun.explained.get("AAA", 0)
    assert left == held - parts[0] * (1 if held > 0 else -1)


def test_a_journal_of_earlier_folds_to_what_it_said():
    book = stopped(2009, {}, 2009)
    assert (book.positions, book.books) == ({"AAA": -7}, {NOBODY: {"AAA": -7}})
    assert (book.explained, book.beside) == ({"AAA": 7}, set())
    assert book.orders["k2"].status is OrderStatus.FILLED
