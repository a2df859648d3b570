"""Our books held against the broker's: what differs, whose it is, and how a person ends it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.live.conftest import minutes, wanted
from workbench.errors import AlreadyRunning, InputRefused, NoData
from workbench.live import dispatch
from workbench.live.journal.event import Draft, Kind
from workbench.live.paper.ledger import Ledger
from workbench.live.reconcile import Of, adopt, compare, explain, reconcile, resolve
from workbench.live.recovery import recover
from workbench.trading import Order, OrderStatus, OrderType, Position, Side


@pytest.fixture
def outbox(project):
    return project.outbox()


@pytest.fixture
def traded(journal, venue, outbox):
    """100 AAA bought at 101 for strategy one, everything reconciled."""
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1")])
    venue.move("AAA", 101.0)
    dispatch.record(journal, outbox, venue.broker.updates(0.0))
    return journal


def ledger(venue) -> Ledger:
    return Ledger(venue.project.paths.root / "paper.db")


def test_both_sides_agree_after_trading(traded, venue, outbox):
    found = reconcile(traded, venue.broker, outbox)
    assert (found.clean, found.differences) == (True, ())
    assert traded.book.cash == pytest.approx(1_000_000 - 10_100 - 1)
    assert outbox.all() == ()


def test_reconciling_again_writes_nothing_new(traded, venue, outbox):
    count = traded.verify()
    reconcile(traded, venue.broker, outbox)
    reconcile(traded, venue.broker, outbox)
    assert traded.verify() == count


def test_an_order_that_is_open_at_the_broker_and_refused_in_the_books_locks_its_symbol(journal, venue, outbox):
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    refused = {"status": OrderStatus.REJECTED.value, "permanent_id": 0, "text": "201"}
    journal.append(Draft(Kind.ACKNOWLEDGED, refused, "k1", "AAA"))
    (difference,) = reconcile(journal, venue.broker, outbox).unexplained
    assert (difference.of, difference.ours) == (Of.ORDER, True)
    assert difference.text == "AAA: order k1 is open at the broker, and rejected in the journal"
    assert list(journal.book.locked) == ["AAA"]


def test_a_position_that_nothing_explains_locks_its_symbol_and_is_told_once(traded, venue, outbox):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    found = reconcile(traded, venue.broker, outbox)
    (difference,) = found.unexplained
    assert (difference.of, difference.symbol, difference.ours) == (Of.POSITION, "AAA", True)
    assert difference.text == "AAA: +100 shares in the journal, +107 at the broker; nothing explains it"
    assert list(traded.book.locked) == ["AAA"]
    reconcile(traded, venue.broker, outbox)
    assert [(one.severity, one.kind) for one in outbox.all()] == [("critical", "reconcile_position")]


def test_a_manual_trade_is_not_ours_and_explains_its_position(traded, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.SELL, 30), 1)
    venue.move("BBB", 50.0)
    found = reconcile(traded, venue.broker, outbox)
    assert {(one.of, one.symbol, one.ours) for one in found.unexplained} == {
        (Of.EXECUTION, "BBB", False), (Of.POSITION, "BBB", False),
    }  # fmt: skip
    assert list(traded.book.locked) == ["BBB"]
    assert {one.severity for one in outbox.pending()} == {"warning"}


def hold(venue, monkeypatch, *held: Position) -> None:
    """Let the broker tell of positions that the paper broker has no words for."""
    monkeypatch.setattr(type(venue.broker), "positions", lambda _: held)


def test_half_a_share_locks_its_symbol_only_and_is_not_ours(traded, venue, outbox, monkeypatch):
    hold(venue, monkeypatch, Position("AAA", 100, 101.0), Position("DRIP", 0, 10.0, part=0.5))
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert (difference.of, difference.symbol, difference.ours) == (Of.POSITION, "DRIP", False)
    assert difference.text.startswith("DRIP: +0.5 shares at the broker beyond whole shares")
    assert list(traded.book.locked) == ["DRIP"]
    assert [(one.kind, one.severity) for one in outbox.pending()] == [("reconcile_position", "warning")]


def test_a_part_of_a_share_that_was_explained_stays_so_while_whole_ones_are_traded(traded, venue, outbox, monkeypatch):
    hold(venue, monkeypatch, Position("AAA", 100, 101.0, part=0.3))
    reconcile(traded, venue.broker, outbox)
    explain(traded, venue.broker, "AAA", "ada", "a dividend was reinvested")
    assert traded.book.locked == {}
    monkeypatch.undo()
    dispatch.send(traded, venue.broker, [wanted("k2", 20)])
    venue.move("AAA", 101.0)
    recover(traded, venue.broker, outbox)
    hold(venue, monkeypatch, Position("AAA", 120, 101.0, part=0.3))
    assert reconcile(traded, venue.broker, outbox).clean
    hold(venue, monkeypatch, Position("AAA", 120, 101.0, part=0.6))
    assert not reconcile(traded, venue.broker, outbox).clean


def test_what_somebody_holds_in_parts_is_adopted_in_whole_shares(traded, venue, outbox, monkeypatch):
    hold(venue, monkeypatch, Position("AAA", 100, 101.0), Position("BBB", 10, 50.0, part=0.5))
    found = reconcile(traded, venue.broker, outbox).unexplained
    assert [(one.symbol, one.ours) for one in found] == [("BBB", False), ("BBB", False)]
    adopt(traded, venue.broker, "BBB", "ada", "bought by hand")
    assert traded.book.positions == {"AAA": 100, "BBB": 10}
    assert reconcile(traded, venue.broker, outbox).clean


def test_a_position_that_cannot_be_read_is_a_difference_of_its_symbol(traded, venue, outbox, monkeypatch):
    hold(venue, monkeypatch, Position("AAA", 100, 101.0), Position("ODD", 0, math.nan, part=math.nan))
    reconcile(traded, venue.broker, outbox)
    assert list(traded.book.locked) == ["ODD"]
    explain(traded, venue.broker, "ODD", "ada", "the broker said what it is")
    assert reconcile(traded, venue.broker, outbox).clean


def test_a_manual_order_is_not_ours(traded, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.BUY, 30, OrderType.LIMIT, limit=1.0), 1)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert (difference.of, difference.ours) == (Of.ORDER, False)
    assert list(traded.book.locked) == ["BBB"]


def test_an_order_of_ours_that_is_there_twice_is_ours(traded, venue, outbox):
    dispatch.send(traded, venue.broker, [wanted("k2", limit=90.0)])
    venue.broker.place(wanted("k2", limit=90.0).order, 99)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert (difference.of, difference.ours) == (Of.ORDER, True)
    assert "k2 is there a second time under number 99" in difference.text


def test_adopting_takes_executions_position_and_cash(traded, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.SELL, 30), 1)
    venue.move("BBB", 50.0)
    reconcile(traded, venue.broker, outbox)
    adopt(traded, venue.broker, "BBB", "ada", "sold by hand")
    found = reconcile(traded, venue.broker, outbox)
    assert (found.clean, traded.book.locked) == (True, {})
    assert traded.book.positions == {"AAA": 100, "BBB": -30}
    assert traded.book.books == {"one": {"AAA": 100}, "": {"BBB": -30}}
    assert traded.book.cash == pytest.approx(venue.broker.account().cash)


def test_adopting_may_give_the_shares_to_a_strategy(traded, venue, outbox):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    venue.stranger().place(Order("", "AAA", Side.BUY, 20), 1)
    venue.move("AAA", 101.0)
    adopt(traded, venue.broker, "AAA", "ada", "a split, and bought by hand", strategy="one")
    assert traded.book.books == {"one": {"AAA": 127}}
    assert traded.book.positions == {"AAA": 127}
    assert reconcile(traded, venue.broker, outbox).clean


def test_explaining_lets_it_stay_until_it_changes(traded, venue, outbox):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    reconcile(traded, venue.broker, outbox)
    explain(traded, venue.broker, "AAA", "ada", "seven shares of my own")
    found = reconcile(traded, venue.broker, outbox)
    assert (found.clean, len(found.differences), traded.book.locked) == (True, 1, {})
    ledger(venue).hold("AAA", 1, 100.0, 0.0)
    assert not reconcile(traded, venue.broker, outbox).clean
    assert list(traded.book.locked) == ["AAA"]


def test_shares_that_were_explained_stay_so_while_others_are_traded_and_are_told_once_they_are_gone(
    traded, venue, outbox
):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    reconcile(traded, venue.broker, outbox)
    explain(traded, venue.broker, "AAA", "ada", "seven shares of my own")
    dispatch.send(traded, venue.broker, [wanted("k2", 50)])
    venue.move("AAA", 102.0)
    dispatch.record(traded, outbox, venue.broker.updates(0.0))
    assert (reconcile(traded, venue.broker, outbox).clean, traded.book.locked) == (True, {})
    assert (traded.book.positions, traded.book.explained) == ({"AAA": 150}, {"AAA": 7})
    ledger(venue).hold("AAA", -7, 100.0, 0.0)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert difference.text == (
        "AAA: +150 shares in the journal and +7 explained, +150 at the broker; nothing explains it"
    )
    explain(traded, venue.broker, "AAA", "ada", "and sold by hand")
    assert (reconcile(traded, venue.broker, outbox).differences, traded.book.explained) == ((), {})
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    assert not reconcile(traded, venue.broker, outbox).clean
    adopt(traded, venue.broker, "AAA", "ada", "back again", "one")
    assert (reconcile(traded, venue.broker, outbox).clean, traded.book.positions) == (True, {"AAA": 157})


def test_a_new_trade_by_hand_beside_one_that_was_explained_is_not_ours(traded, venue, outbox):
    for number, shares in enumerate((7, 1), 1):
        venue.stranger().place(Order("", "AAA", Side.BUY, shares), number)
        venue.move("AAA", 101.0)
        found = reconcile(traded, venue.broker, outbox).unexplained
        assert {(one.of, one.ours) for one in found} == {(Of.EXECUTION, False), (Of.POSITION, False)}
        explain(traded, venue.broker, "AAA", "ada", "of my own")
        assert reconcile(traded, venue.broker, outbox).clean
    assert traded.book.explained == {"AAA": 8}


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_trade_by_hand_that_was_explained_is_explained_with_its_cash_and_hides_no_other(traded, venue, outbox, side):
    """100 shares at 100 dollars are 1 % of the account: ten times the cash that may differ."""
    venue.stranger().place(Order("", "BBB", side, 100), 1)
    venue.move("BBB", 100.0)
    reconcile(traded, venue.broker, outbox)
    explain(traded, venue.broker, "BBB", "ada", "a hundred shares of my own")
    assert traded.book.cash_explained == pytest.approx(-side.sign * 10_000.0, abs=2.0)
    assert reconcile(traded, venue.broker, outbox).clean
    more_cash(venue, -40_000.0)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert (difference.of, difference.ours) == (Of.CASH, True)
    assert reconcile(traded, venue.broker, outbox).missing_cash == pytest.approx(40_000.0)
    adopt(traded, venue.broker, "", "ada", "taken out")
    project = venue.project
    project.clock.set(project.clock() + minutes(25 * 60))  # the broker tells of it no more
    venue.move("BBB", 100.0)
    assert (reconcile(traded, venue.broker, outbox).clean, traded.book.locked) == (True, {})


def test_the_commission_of_a_trade_by_hand_that_was_explained_may_be_on_its_way(traded, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.BUY, 100), 1)
    venue.move("BBB", 100.0)
    whole = venue.broker.fills
    venue.broker.fills = lambda since: tuple(  # type: ignore[method-assign]
        replace(one, commission=None) if one.symbol == "BBB" else one for one in whole(since)
    )
    explain(traded, venue.broker, "BBB", "ada", "a hundred shares of my own")
    more_cash(venue, -90.0)
    assert reconcile(traded, venue.broker, outbox).clean
    more_cash(venue, -20.0)
    assert not reconcile(traded, venue.broker, outbox).clean


def more_cash(venue, dollars: float) -> None:
    book = ledger(venue)
    book.set_fact("cash", book.fact("cash") + dollars)


def test_a_little_cash_that_differs_is_told_and_adopted(traded, venue, outbox):
    more_cash(venue, 250.0)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert (difference.of, difference.ours) == (Of.CASH, False)
    assert difference.text.endswith("dividends, interest or fees?")
    assert traded.book.locked == {}
    assert [(one.severity, one.kind) for one in outbox.all()] == [("warning", "reconcile_cash")]
    adopt(traded, venue.broker, "", "ada", "dividend")
    assert reconcile(traded, venue.broker, outbox).clean


def test_much_cash_that_differs_locks_the_account_to_reducing_until_a_person_has_looked(traded, venue, outbox):
    """The account is worth 999,999, then 0.1 % more: at 1,000.99 the difference is within it, above it is not."""
    more_cash(venue, 1_000.0)
    assert reconcile(traded, venue.broker, outbox).unexplained[0].ours is False
    more_cash(venue, 2.0)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert difference.ours
    assert difference.text.endswith("More than 1,001.00: only what shrinks a position is sent until it is explained")
    assert list(traded.book.locked) == [""]
    assert [one.severity for one in outbox.all()] == ["warning", "critical"]
    more_cash(venue, -1_002.0)
    assert reconcile(traded, venue.broker, outbox).clean
    assert list(traded.book.locked) == [""]  # that it went away explains nothing
    explain(traded, venue.broker, "", "ada", "a transfer that was booked twice")
    assert traded.book.locked == {}


def test_cash_that_was_explained_stays_so_while_trades_change_both_sides(traded, venue, outbox):
    more_cash(venue, 2_000.0)
    reconcile(traded, venue.broker, outbox)
    explain(traded, venue.broker, "", "ada", "interest of the quarter")
    dispatch.send(traded, venue.broker, [wanted("k2")])
    venue.move("AAA", 102.0)
    dispatch.record(traded, outbox, venue.broker.updates(0.0))
    assert reconcile(traded, venue.broker, outbox).clean
    more_cash(venue, 30.0)
    (difference,) = reconcile(traded, venue.broker, outbox).unexplained
    assert difference.broker - difference.journal == pytest.approx(30.0)
    adopt(traded, venue.broker, "", "ada", "all of it is interest")
    assert reconcile(traded, venue.broker, outbox).clean
    assert traded.book.cash == pytest.approx(venue.broker.account().cash)


def test_a_commission_on_its_way_hides_its_own_amount_only_and_for_a_day(project, journal, venue, outbox):
    """100 shares at 101: one percent of their value is 101 dollars."""
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1")])
    venue.move("AAA", 101.0)
    told = [replace(one, commission=None) if hasattr(one, "price") else one for one in venue.broker.updates(0.0)]
    venue.broker.fills = lambda since: ()  # type: ignore[method-assign]
    dispatch.record(journal, outbox, told)
    assert (journal.book.commissions, compare(journal, venue.broker).clean) == ({}, True)
    more_cash(venue, -90.0)
    assert compare(journal, venue.broker).clean
    more_cash(venue, -50_000.0)
    (difference,) = compare(journal, venue.broker).unexplained
    assert (difference.of, difference.ours) == (Of.CASH, True)
    more_cash(venue, 50_000.0)
    project.clock.set(project.clock() + minutes(24 * 60))
    (difference,) = compare(journal, venue.broker).unexplained
    assert (difference.of, difference.ours) == (Of.CASH, False)
    adopt(journal, venue.broker, "", "ada", "a fee that was never told")
    assert compare(journal, venue.broker).clean


def test_the_commission_of_an_adopted_trade_comes_into_the_books_when_it_is_told(traded, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.BUY, 7), 1)
    venue.move("BBB", 50.0)
    whole = venue.broker.fills
    venue.broker.fills = lambda since: tuple(  # type: ignore[method-assign]
        replace(one, commission=None) if one.symbol == "BBB" else one for one in whole(since)
    )
    adopt(traded, venue.broker, "BBB", "ada", "bought by hand")
    venue.broker.fills = whole  # type: ignore[method-assign]
    assert reconcile(traded, venue.broker, outbox).clean
    assert traded.book.cash == pytest.approx(venue.broker.account().cash)
    count = traded.verify()
    assert reconcile(traded, venue.broker, outbox).clean
    assert traded.verify() == count


@pytest.mark.parametrize("say", [adopt, explain])
@pytest.mark.parametrize(
    ("flow", "opened", "peak", "opened_then", "peak_then"),
    [
        # The account is worth 999,999 without it. 5,000 lost since the open, then 40,000 taken out.
        (-40_000.0, 1_004_999.0, 1_050_000.0, 964_999.0, 1_010_000.0),
        # Taken out before the open: what was lost since counts no more, and nothing is won.
        (-40_000.0, 960_999.0, 1_050_000.0, 959_999.0, 1_010_000.0),
        (-40_000.0, 950_000.0, 959_999.0, 950_000.0, 959_999.0),
        # Paid in before the open, or since: it is no gain, and never makes a loss.
        (40_000.0, 1_039_999.0, 1_039_999.0, 1_039_999.0, 1_039_999.0),
        (40_000.0, 990_000.0, 1_100_000.0, 1_030_000.0, 1_100_000.0),
    ],
)
def test_losses_are_counted_from_where_money_that_came_or_went_put_the_account(
    traded, venue, say, flow, opened, peak, opened_then, peak_then
):
    traded.begin(date="2024-03-04", equity=peak)
    traded.begin(date="2024-03-05", equity=opened)
    more_cash(venue, flow)
    say(traded, venue.broker, "", "ada", "a transfer")
    past = traded.book.past
    assert (past.equity_at_open, past.peak_equity) == (pytest.approx(opened_then), pytest.approx(peak_then))


@pytest.mark.parametrize("say", [adopt, explain])
@pytest.mark.parametrize(
    ("before", "since", "peak", "opened_then", "peak_then"),
    [
        # The account is worth 999,999 as it is; 5,000 more at the open. Taken out before the open, nothing since.
        (-40_000.0, 0.0, 1_050_000.0, 964_999.0, 1_010_000.0),
        # Since the open alone: yesterday's peak, and one that the open is.
        (0.0, -40_000.0, 1_050_000.0, 964_999.0, 1_010_000.0),
        (0.0, -40_000.0, 900_000.0, 964_999.0, 964_999.0),
        # Some before, some since.
        (-40_000.0, -10_000.0, 900_000.0, 954_999.0, 954_999.0),
        # Paid in before the open, and since: what was lost is lost, also where the account is worth more than ever.
        (40_000.0, 0.0, 900_000.0, 1_044_999.0, 1_044_999.0),
        (0.0, 40_000.0, 1_004_000.0, 1_044_999.0, 1_044_999.0),
        (40_000.0, 10_000.0, 1_050_000.0, 1_054_999.0, 1_100_000.0),
    ],
)
def test_an_equity_moves_with_what_came_or_went_after_it_and_with_nothing_that_was_in_it(
    traded, venue, outbox, say, before, since, peak, opened_then, peak_then
):
    traded.begin(date="2024-03-04", equity=peak, cash=0.0)
    reconcile(traded, venue.broker, outbox)
    more_cash(venue, before)
    opened = venue.broker.account().equity + 5_000.0  # which the trades lose from here
    traded.begin(date="2024-03-05", equity=opened, cash=0.0)
    reconcile(traded, venue.broker, outbox)
    more_cash(venue, since)
    traded.begin(date="2024-03-05", equity=900_000.0, cash=0.0)  # who starts again measures nothing anew
    assert reconcile(traded, venue.broker, outbox).gap == pytest.approx(before + since)
    say(traded, venue.broker, "", "ada", "a transfer")
    past = traded.book.past
    assert (past.equity_at_open, past.peak_equity) == (pytest.approx(opened_then), pytest.approx(peak_then))
    more_cash(venue, -1_000.0)
    say(traded, venue.broker, "", "ada", "and another one")
    assert past.equity_at_open == pytest.approx(opened_then - 1_000.0)


def test_the_cash_of_an_open_is_held_against_the_books_once_they_know_what_filled_while_nobody_listened(
    traded, venue, outbox
):
    reconcile(traded, venue.broker, outbox)
    dispatch.send(traded, venue.broker, [wanted("k2", 50)])
    venue.move("AAA", 102.0)  # and the process dies before it hears of it
    venue.stranger().place(Order("", "BBB", Side.BUY, 7), 1)
    venue.move("BBB", 50.0)
    traded.begin(date="2024-03-05", equity=venue.broker.account().equity, cash=venue.broker.account().cash)
    found = reconcile(traded, venue.broker, outbox)
    assert (found.gap, traded.book.past.gap_at_open) == (pytest.approx(0.0), pytest.approx(0.0))


def test_a_closing_keeps_what_the_broker_had_beyond_the_books_where_it_is_the_peak(traded, venue, outbox):
    traded.begin(date="2024-03-05", equity=990_000.0, cash=0.0)
    reconcile(traded, venue.broker, outbox)
    more_cash(venue, 40_000.0)
    told = reconcile(traded, venue.broker, outbox)
    closing = {"date": "2024-03-05", "equity": 1_039_999.0, "gap": told.gap, "marks": {}, "worth": {}}
    traded.append(Draft(Kind.RECONCILE, {"closing": closing}))
    adopt(traded, venue.broker, "", "ada", "a transfer")
    past = traded.book.past
    assert (past.equity_at_open, past.peak_equity) == (pytest.approx(1_030_000.0), 1_039_999.0)


def test_cash_is_missing_only_where_the_shares_agree(traded, venue, outbox, monkeypatch):
    more_cash(venue, -40_000.0)
    assert reconcile(traded, venue.broker, outbox).missing_cash == pytest.approx(40_000.0)
    hold(venue, monkeypatch, Position("AAA", 90, 101.0))
    assert reconcile(traded, venue.broker, outbox).missing_cash == 0.0
    hold(venue, monkeypatch, Position("AAA", 100, 101.0))
    more_cash(venue, 50_000.0)
    assert reconcile(traded, venue.broker, outbox).missing_cash == 0.0


def test_cents_are_no_difference(traded, venue, outbox):
    book = ledger(venue)
    book.set_fact("cash", book.fact("cash") + 0.5)
    assert reconcile(traded, venue.broker, outbox).clean


def test_a_correction_at_the_broker_comes_into_the_books(traded, venue, outbox):
    book = ledger(venue)
    (fill,) = venue.broker.fills(venue.project.clock() - minutes(60))
    book.keep_fill(replace(fill, revision=2, price=102.0))
    book.set_fact("cash", book.fact("cash") - 100.0)
    assert reconcile(traded, venue.broker, outbox).clean
    assert traded.book.cash == pytest.approx(1_000_000 - 10_200 - 1)


def test_a_trade_that_the_exchange_took_back_leaves_the_books_with_its_commission(traded, venue, outbox, monkeypatch):
    (fill,) = venue.broker.fills(venue.project.clock() - minutes(60))
    book = ledger(venue)
    book.set_fact("cash", book.fact("cash") + 10_100.0)  # what was paid comes back, the dollar of commission does not
    monkeypatch.setattr(type(venue.broker), "fills", lambda *_: (replace(fill, revision=2, quantity=0, price=0.0),))
    hold(venue, monkeypatch)
    assert reconcile(traded, venue.broker, outbox).clean
    assert (traded.book.positions, traded.book.books) == ({}, {})
    assert traded.book.cash == pytest.approx(1_000_000 - 1)
    assert traded.book.past.cash == {"one": pytest.approx(-1.0)}  # the commission is still whose the trade was
    assert [one.kind for one in outbox.pending()] == ["odd_fill"]
    assert "order k1: corrected from 100 to 0 shares when it was filled" in outbox.pending()[0].text


def test_an_adopted_correction_of_a_forgotten_order_brings_the_books_to_the_broker(
    project, traded, venue, outbox, monkeypatch
):
    (fill,) = traded.book.fills.values()
    for days in (1, 20, 1):
        project.clock.set(project.clock() + minutes(days * 24 * 60))
        traded.begin(date=str(project.clock().date()), equity=1.0, seats={})
    assert "k1" not in traded.book.orders
    assert traded.book.books == {"one": {"AAA": 100}}
    monkeypatch.setattr(type(venue.broker), "fills", lambda *_: (replace(fill, revision=2, quantity=90),))
    hold(venue, monkeypatch, Position("AAA", 90, 101.0))
    assert {one.of for one in reconcile(traded, venue.broker, outbox).unexplained} == {Of.EXECUTION, Of.POSITION}
    adopt(traded, venue.broker, "AAA", "ada", "the exchange corrected it", "one")
    assert (traded.book.positions, traded.book.books) == ({"AAA": 90}, {"one": {"AAA": 90}})
    assert reconcile(traded, venue.broker, outbox).clean


def test_what_was_there_before_the_first_session_is_not_ours(journal, venue, outbox):
    venue.stranger().place(Order("", "BBB", Side.BUY, 30), 1)
    venue.move("BBB", 50.0)
    found = reconcile(journal, venue.broker, outbox)
    assert [(one.of, one.symbol) for one in found.unexplained] == [(Of.POSITION, "BBB")]
    adopt(journal, venue.broker, "BBB", "ada", "mine from before")
    assert reconcile(journal, venue.broker, outbox).clean
    assert journal.book.cash == pytest.approx(venue.broker.account().cash)


def test_a_missing_order_is_resolved_by_a_person(traded, venue, outbox):
    dispatch.send(traded, venue.broker, [wanted("k2", limit=90.0)])
    ledger(venue)._connection.execute("DELETE FROM orders WHERE key = 'k2'")
    recover(traded, venue.broker, outbox)
    assert list(traded.book.locked) == ["AAA"]
    with pytest.raises(InputRefused, match="k1: it is filled; only a missing order is resolved"):
        resolve(traded, "k1", OrderStatus.CANCELLED, "ada", "gone")
    with pytest.raises(InputRefused, match="k2: cannot be resolved as working"):
        resolve(traded, "k2", OrderStatus.WORKING, "ada", "gone")
    resolve(traded, "k2", OrderStatus.CANCELLED, "ada", "the broker lost it, says its support")
    assert (traded.book.orders["k2"].status, traded.book.locked) == (OrderStatus.CANCELLED, {})


def test_an_order_that_is_gone_at_the_broker_is_compared_with_what_to_type_and_not_called_missing_at_one_look(
    traded, venue, outbox
):
    dispatch.send(traded, venue.broker, [wanted("k2", limit=90.0)])
    ledger(venue)._connection.execute("DELETE FROM orders WHERE key = 'k2'")
    found = reconcile(traded, venue.broker, outbox)
    assert (found.clean, found.unseen, traded.book.locked) == (True, {"k2"}, {})
    gone = 'not open at the broker; did it end? workbench reconcile --cancelled k2 --reason "…"'
    (difference,) = compare(traded, venue.broker).unexplained
    assert difference.text == f"AAA: order k2 is working in the journal, and {gone}"
    recover(traded, venue.broker, outbox, permit=None)
    (difference,) = compare(traded, venue.broker).unexplained
    assert difference.text == f"AAA: order k2 is missing in the journal, and {gone}"
    assert reconcile(traded, venue.broker, outbox).unseen == frozenset()


def test_a_person_has_a_name_and_a_reason(traded, venue):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    with pytest.raises(InputRefused, match="who and why are not both given"):
        explain(traded, venue.broker, "AAA", "ada", " ")
    with pytest.raises(NoData, match="BBB: nothing differs"):
        adopt(traded, venue.broker, "BBB", "ada", "why not")


def test_an_operator_needs_no_lease(project, traded, venue, outbox):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    reconcile(traded, venue.broker, outbox)
    adopt(project.journal(), venue.broker, "AAA", "ada", "split")
    traded.sync()
    assert (traded.book.positions, traded.book.locked) == ({"AAA": 107}, {})


def test_what_is_compared_beside_a_runner_writes_nothing(project, traded, venue):
    ledger(venue).hold("AAA", 7, 100.0, 0.0)
    count = traded.verify()
    found = compare(project.journal(), venue.broker)
    assert [one.text for one in found.unexplained] == [
        "AAA: +100 shares in the journal, +107 at the broker; nothing explains it"
    ]
    assert (traded.verify(), traded.sync().locked) == (count, {})


def test_a_fill_that_the_runner_is_yet_to_hear_of_is_not_adopted_as_a_difference(project, traded, venue, outbox):
    dispatch.send(traded, venue.broker, [wanted("k2")])
    venue.move("AAA", 102.0)
    with pytest.raises(AlreadyRunning, match="is not in the journal"):
        adopt(project.journal(), venue.broker, "AAA", "ada", "it differs")
    dispatch.record(traded, outbox, venue.broker.updates(0.0))
    with pytest.raises(NoData, match="nothing differs"):
        adopt(project.journal(), venue.broker, "AAA", "ada", "it differs")
    assert traded.book.positions == {"AAA": 200}
