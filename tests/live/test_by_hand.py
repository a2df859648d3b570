"""A trade by hand: what it brought is known when a person sees to it days later, and what a correction of it brings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.live.conftest import Venue
from tests.live.test_reconcile import outbox, traded  # noqa: F401 (the fixtures)
from workbench.alerts.outbox import Outbox
from workbench.live.journal.journal import Journal
from workbench.live.reconcile import Of, adopt, compare, explain, reconcile
from workbench.trading import Order, Side

Told = tuple[Journal, Venue, Outbox]


def by_hand(venue: Venue, side: Side, shares: int, number: int = 1) -> None:
    venue.stranger().place(Order("", "BBB", side, shares), number)
    venue.move("BBB", 100.0)


@pytest.fixture
def told(traded, venue, outbox) -> Told:  # noqa: F811
    """Four hundred BBB bought by hand at 100 for a dollar more, which a look has seen."""
    by_hand(venue, Side.BUY, 400)
    reconcile(traded, venue.broker, outbox)
    return traded, venue, outbox


def next_day(told: Told) -> None:
    """Let a day pass, after which the broker tells none of its executions any more."""
    journal, venue, _ = told
    venue.project.clock.set(venue.project.clock() + timedelta(hours=25))
    assert venue.broker.fills(venue.broker.now() - timedelta(days=1)) == ()
    journal.begin(date="2024-03-06", equity=venue.broker.account().equity, cash=venue.broker.account().cash)


def changed(monkeypatch: pytest.MonkeyPatch, venue: Venue, shares: int, cash: float) -> None:
    """Let the broker correct what was traded by hand to so many shares, its cash being so much more for it."""
    kind: Any = type(venue.broker)
    fills, held, account = (vars(kind)[name] for name in ("fills", "positions", "account"))
    monkeypatch.setattr(kind, "fills", lambda self, since: tuple(
        replace(one, quantity=shares, revision=one.revision + 1) if one.symbol == "BBB" else one
        for one in fills(self, since)
    ))  # fmt: skip
    monkeypatch.setattr(kind, "positions", lambda self: tuple(
        replace(one, quantity=shares) if one.symbol == "BBB" else one for one in held(self)
    ))  # fmt: skip
    monkeypatch.setattr(kind, "account", lambda self: replace(account(self), cash=account(self).cash + cash))


@pytest.mark.parametrize(("see_to", "held"), [(explain, {"AAA": 100}), (adopt, {"AAA": 100, "BBB": 400})])
def test_a_trade_by_hand_is_not_ours_on_the_next_day_either_and_brings_its_cash(told, see_to, held):
    journal, venue, outbox = told  # noqa: F811
    next_day(told)
    found = reconcile(journal, venue.broker, outbox)
    assert [(one.of, one.symbol, one.ours) for one in found.unexplained] == [
        (Of.EXECUTION, "BBB", False), (Of.POSITION, "BBB", False)
    ]  # fmt: skip
    assert found.unexplained[-1].text.endswith("+400 at the broker; trades that are not ours explain it")
    assert (found.gap, journal.book.past.gap_at_open) == (0.0, 0.0)
    see_to(journal, venue.broker, "BBB", "ada", "four hundred of my own")
    found = reconcile(journal, venue.broker, outbox)
    assert (found.clean, journal.book.locked, journal.book.positions) == (True, {}, held)
    assert journal.book.cash + journal.book.cash_explained == venue.broker.account().cash
    assert journal.book.by_others == {}


def test_a_trade_by_hand_is_written_once(told):
    journal, venue, outbox = told  # noqa: F811
    count = journal.verify()
    reconcile(journal, venue.broker, outbox)
    next_day(told)
    reconcile(journal, venue.broker, outbox)
    written = [event for event in journal.events() if "by_others" in event.data]
    assert [len(event.data["by_others"]) for event in written] == [1]
    again = journal.verify()
    reconcile(journal, venue.broker, outbox)
    assert (journal.verify(), again > count) == (again, True)


def test_money_that_goes_beside_a_trade_by_hand_of_the_day_before_is_told(told, monkeypatch):
    journal, venue, outbox = told  # noqa: F811
    next_day(told)
    kind: Any = type(venue.broker)
    account = kind.account
    monkeypatch.setattr(kind, "account", lambda self: replace(account(self), cash=account(self).cash - 5_000.0))
    found = reconcile(journal, venue.broker, outbox)
    (cash,) = [one for one in found.unexplained if one.of is Of.CASH]
    assert (cash.broker - cash.journal, cash.ours) == (-5_000.0, True)
    adopt(journal, venue.broker, "", "ada", "taken out")
    explain(journal, venue.broker, "BBB", "ada", "four hundred of my own")
    assert reconcile(journal, venue.broker, outbox).clean


def test_what_was_bought_and_sold_by_hand_is_no_cash_that_nobody_explains(told, monkeypatch):
    journal, venue, outbox = told  # noqa: F811
    venue.stranger().place(Order("", "BBB", Side.SELL, 400), 2)
    venue.move("BBB", 90.0)  # at a loss of 4,000
    reconcile(journal, venue.broker, outbox)
    next_day(told)
    assert {one.of for one in reconcile(journal, venue.broker, outbox).unexplained} == {Of.EXECUTION}
    with monkeypatch.context() as patched:
        kind: Any = type(venue.broker)
        account = kind.account
        patched.setattr(kind, "account", lambda self: replace(account(self), cash=account(self).cash - 5_000.0))
        assert compare(journal, venue.broker).missing_cash == pytest.approx(5_000.0)
    explain(journal, venue.broker, "BBB", "ada", "in and out by hand")
    found = reconcile(journal, venue.broker, outbox)
    assert (found.clean, journal.book.explained) == (True, {})
    assert journal.book.cash_explained == pytest.approx(-4_000.0 - 5.0672)  # with the fees of both


def test_a_trade_by_hand_that_the_broker_took_back_over_night_is_forgotten(told, monkeypatch):
    journal, venue, outbox = told  # noqa: F811
    next_day(told)
    kind: Any = type(venue.broker)
    held, account = kind.positions, kind.account
    monkeypatch.setattr(kind, "positions", lambda self: tuple(one for one in held(self) if one.symbol != "BBB"))
    monkeypatch.setattr(kind, "account", lambda self: replace(account(self), cash=account(self).cash + 40_002.0))
    found = reconcile(journal, venue.broker, outbox)
    assert (found.clean, found.gap) == (True, 0.0)
    assert compare(journal, venue.broker).differences == ()


@pytest.mark.parametrize("see_to", [explain, adopt])
def test_the_correction_of_an_explained_trade_brings_what_differs_from_it_and_is_not_ours(told, monkeypatch, see_to):
    journal, venue, outbox = told  # noqa: F811
    explain(journal, venue.broker, "BBB", "ada", "four hundred of my own")
    assert journal.book.cash_explained == -40_002.0
    with monkeypatch.context() as patched:
        changed(patched, venue, 390, 1_000.0)
        found = reconcile(journal, venue.broker, outbox)
        assert [(one.of, one.ours) for one in found.unexplained] == [(Of.EXECUTION, False), (Of.POSITION, False)]
        see_to(journal, venue.broker, "BBB", "ada", "ten fewer")
        assert reconcile(journal, venue.broker, outbox).clean
        assert (journal.book.explained, journal.book.cash_explained) == ({"BBB": 390}, -39_002.0)
        assert journal.book.locked == {}
    changed(monkeypatch, venue, 400, 0.0)  # and back again
    assert [one.ours for one in reconcile(journal, venue.broker, outbox).unexplained] == [False]
    explain(journal, venue.broker, "BBB", "ada", "four hundred after all")
    assert reconcile(journal, venue.broker, outbox).clean
    assert (journal.book.explained, journal.book.cash_explained) == ({"BBB": 400}, -40_002.0)


def test_the_correction_of_an_adopted_trade_changes_what_was_adopted(told, monkeypatch):
    journal, venue, outbox = told  # noqa: F811
    adopt(journal, venue.broker, "BBB", "ada", "for the strategy", "one")
    changed(monkeypatch, venue, 390, 1_000.0)
    assert [one.ours for one in reconcile(journal, venue.broker, outbox).unexplained] == [False, False]
    adopt(journal, venue.broker, "BBB", "ada", "ten fewer", "one")
    assert reconcile(journal, venue.broker, outbox).clean
    assert journal.book.books == {"one": {"AAA": 100, "BBB": 390}}


def test_what_a_person_explained_is_kept_as_long_as_corrections_come(told):
    journal, venue, _ = told
    explain(journal, venue.broker, "BBB", "ada", "four hundred of my own")
    assert [one.signed for one in journal.book.explained_fills.values()] == [400]
    venue.project.clock.set(venue.project.clock() + timedelta(days=11))
    journal.begin(date="2024-03-18", equity=1.0, cash=1.0)
    assert (journal.book.explained_fills, journal.book.explained) == ({}, {"BBB": 400})
    assert len(journal.whole().explained_fills) == 1
