"""The fold: what stands after each event, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.live.conftest import wanted
from workbench.live.book import Book
from workbench.live.journal.event import Draft, Event, Kind
from workbench.live.journal.facts import fill_data, intent_data
from workbench.live.trading_state import TradingState
from workbench.trading import Fill, OrderStatus, Side

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)


def fold(*drafts: Draft) -> Book:
    book = Book()
    for draft in drafts:
        book.apply(Event.after(book.last, draft, "PAPER", "s", AT))
    return book


def intent(key: str = "k1", quantity: int = 100, side: Side = Side.BUY, number: int = 7, **more) -> Draft:
    return Draft(Kind.INTENT, intent_data(wanted(key, quantity, side, **more), number), key, "AAA")


def fill(execution: str, quantity: int, price: float, key: str = "k1", revision: int = 1, side: Side = Side.BUY,
         commission: float | None = None) -> Draft:  # fmt: skip
    one = Fill(execution, revision, key, "AAA", side, quantity, price, AT, "PAPER", 7, 70, commission)
    return Draft(Kind.FILL, fill_data(one), key, "AAA")


def said(status: OrderStatus, key: str = "k1") -> Draft:
    return Draft(Kind.ACKNOWLEDGED, {"status": status.value, "permanent_id": 70, "text": ""}, key, "AAA")


OPENING = Draft(Kind.RECONCILE, {"opening": {"cash": 10_000.0}})


def test_an_intent_is_open_and_owns_its_number():
    book = fold(intent())
    assert [one.order.key for one in book.open_orders] == ["k1"]
    assert (book.orders["k1"].status, book.highest_order_id) == (OrderStatus.INTENDED, 7)


def test_two_partial_fills_make_position_cash_and_books():
    book = fold(
        OPENING, intent(shares={"one": 140, "two": -40}), said(OrderStatus.WORKING), fill("e1", 30, 10.0),
        fill("e2", 70, 10.1, commission=0.35), Draft(Kind.COMMISSION, {"execution": "e1", "commission": 0.15}),
    )  # fmt: skip
    assert book.positions == {"AAA": 100}
    assert book.books == {"one": {"AAA": 140}, "two": {"AAA": -40}}
    assert book.cash == pytest.approx(10_000 - 300 - 707 - 0.5)
    assert book.orders["k1"].status is OrderStatus.FILLED
    assert book.open_orders == ()
    assert book.flags == []


def test_a_part_is_attributed_by_largest_remainder():
    book = fold(intent(shares={"one": 140, "two": -40}), fill("e1", 30, 10.0))
    assert book.books == {"one": {"AAA": 42}, "two": {"AAA": -12}}
    assert (book.orders["k1"].status, book.orders["k1"].filled) == (OrderStatus.WORKING, 30)


def test_the_same_execution_twice_changes_nothing():
    once = fold(OPENING, intent(), fill("e1", 30, 10.0))
    twice = fold(OPENING, intent(), fill("e1", 30, 10.0), fill("e1", 30, 10.0))
    assert (twice.positions, twice.cash, twice.books) == (once.positions, once.cash, once.books)


def test_a_correction_takes_the_place_of_what_it_corrects():
    book = fold(OPENING, intent(), fill("e1", 30, 10.0, commission=1.0), fill("e1", 20, 11.0, revision=2))
    assert book.positions == {"AAA": 20}
    assert book.cash == pytest.approx(10_000 - 220 - 1)
    assert book.books == {"one": {"AAA": 20}}
    late = fold(OPENING, intent(), fill("e1", 20, 11.0, revision=2), fill("e1", 30, 10.0))
    assert late.positions == {"AAA": 20}  # the older one, told late, changes nothing


def test_a_commission_told_again_is_charged_once():
    again = Draft(Kind.COMMISSION, {"execution": "e1", "commission": 1.5})
    book = fold(OPENING, intent(), fill("e1", 100, 10.0, commission=1.0), again, again)
    assert book.cash == pytest.approx(10_000 - 1_000 - 1.5)


@pytest.mark.parametrize("end", [OrderStatus.CANCELLED, OrderStatus.REJECTED])
def test_a_late_fill_is_applied_and_flagged_and_the_end_stays(end):
    book = fold(intent(), said(end), fill("e1", 30, 10.0))
    assert book.positions == {"AAA": 30}
    assert book.books == {"one": {"AAA": 30}}
    assert book.orders["k1"].status is end
    assert [flag.text for flag in book.flags] == [f"30 shares filled when it was {end}"]


def test_a_fill_that_was_told_with_the_cancel_is_no_late_one_and_what_is_beyond_it_is():
    told = Draft(Kind.ACKNOWLEDGED, {"status": "cancelled", "permanent_id": 1, "filled": 30}, "k1", "AAA")
    book = fold(intent(), told, fill("e1", 30, 10.0))
    assert (book.positions, book.flags) == ({"AAA": 30}, [])
    beyond = fold(intent(), told, fill("e1", 30, 10.0), fill("e2", 5, 10.0))
    assert [flag.text for flag in beyond.flags] == ["5 shares filled when it was cancelled"]


@pytest.mark.parametrize("end", [OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED])
def test_there_is_no_way_back_from_an_end(end):
    book = fold(intent(), said(end), said(OrderStatus.WORKING))
    assert book.orders["k1"].status is end
    assert book.open_orders == ()
    assert len(book.flags) == 1


def test_more_than_was_ordered_is_nobodys_and_flagged():
    book = fold(intent(quantity=50), fill("e1", 60, 10.0))
    assert book.positions == {"AAA": 60}
    assert book.books == {"one": {"AAA": 50}, "": {"AAA": 10}}
    assert [flag.text for flag in book.flags] == ["60 of 50 shares filled"]


def test_a_correction_of_a_filled_order_is_flagged():
    book = fold(intent(), fill("e1", 100, 10.0), fill("e1", 90, 10.0, revision=2))
    assert book.orders["k1"].status is OrderStatus.FILLED
    assert book.books == {"one": {"AAA": 90}}
    assert [flag.text for flag in book.flags] == ["corrected from 100 to 90 shares when it was filled"]


def test_a_sale_takes_shares_and_brings_cash():
    book = fold(OPENING, intent(side=Side.SELL), fill("e1", 100, 10.0, side=Side.SELL, commission=1.0))
    assert book.positions == {"AAA": -100}
    assert book.books == {"one": {"AAA": -100}}
    assert book.cash == pytest.approx(10_999.0)


def test_shares_that_strategies_pass_to_each_other_move_no_position():
    crossing = {"symbol": "AAA", "price": 10.0, "shares": {"one": 40, "two": -40}}
    book = fold(intent(), fill("e1", 100, 10.0), Draft(Kind.DECISION, {"crossings": [crossing]}))
    assert book.books == {"one": {"AAA": 140}, "two": {"AAA": -40}}
    assert book.positions == {"AAA": 100}


def test_a_filled_order_of_which_no_execution_came_has_no_shares():
    book = fold(intent(), said(OrderStatus.FILLED))
    assert (book.positions, book.orders["k1"].filled) == ({}, 0)
    later = fold(intent(), said(OrderStatus.FILLED), fill("e1", 100, 10.0))
    assert (later.positions, later.flags) == ({"AAA": 100}, [])


def test_a_missing_order_locks_and_may_be_found_again():
    missing = Draft(Kind.RECONCILE, {"status": "missing", "locked": {"AAA": "gone"}}, "k1", "AAA")
    book = fold(intent(), said(OrderStatus.WORKING), missing)
    assert book.locked == {"AAA": "gone"}
    assert [one.status for one in book.open_orders] == [OrderStatus.MISSING]
    found = fold(intent(), said(OrderStatus.WORKING), missing, said(OrderStatus.WORKING))
    assert found.orders["k1"].status is OrderStatus.WORKING
    assert found.locked == {"AAA": "gone"}  # a person unlocks


def test_the_trading_state_is_the_last_one_written():
    halt = Draft(Kind.STATE, {"state": "halted", "reason": "loss", "who": ""})
    book = fold(halt, intent())
    assert (book.state, book.because, book.halted) == (TradingState.HALTED, "loss", True)


@pytest.mark.parametrize("revised", [10, 4])
def test_a_fill_told_before_its_order_is_owned_once_however_it_is_corrected(revised):
    told_first = fold(fill("e1", 10, 50.0), intent(shares={"one": 100}), fill("e1", revised, 50.0, revision=2))
    assert told_first.positions == {"AAA": revised}
    assert told_first.books == {"one": {"AAA": revised}}


def days(*told: tuple[int, Draft], **more) -> Book:
    book = Book(**more)
    for day, draft in told:
        book.apply(Event.after(book.last, draft, "PAPER", "s", AT + timedelta(days=day)))
    return book


BEGIN, NEXT = (Draft(Kind.SESSION, {"date": f"2024-04-{day}", "equity": 10_000.0, "seats": {}}) for day in (10, 11))
LONG_AGO = (
    (0, OPENING), (0, intent("k1", shares={"one": 100})), (0, fill("e1", 100, 10.0, commission=1.0)),
    (0, intent("k2", number=8)), (0, said(OrderStatus.WORKING, "k2")),
    (0, intent("k3", number=9)), (0, fill("e3", 100, 11.0, "k3")),
    (1, Draft(Kind.SESSION, {"date": "2024-03-06", "equity": 10_000.0, "seats": {}})),
)  # fmt: skip


def test_what_ended_long_ago_is_forgotten_and_what_it_left_is_not():
    whole, book = days(*LONG_AGO, (25, BEGIN), remembers=None), days(*LONG_AGO, (25, BEGIN))
    assert set(whole.orders) == {"k1", "k2", "k3"}
    assert set(book.orders) == {"k2", "k3"}  # one is open, and nobody said what the other cost
    assert set(book.fills) == {"e3"}
    assert (book.positions, book.books, book.cash) == (whole.positions, whole.books, whole.cash)
    assert book.past.cash == whole.past.cash
    assert book.highest_order_id == 9
    assert days(*LONG_AGO, (9, BEGIN)).orders.keys() == {"k1", "k2", "k3"}


def test_an_execution_of_a_forgotten_order_counts_once_whatever_is_told_of_it():
    again = (26, fill("e1", 100, 10.0)), (26, Draft(Kind.COMMISSION, {"execution": "e1", "commission": 1.0}))
    book, before = days(*LONG_AGO, (25, BEGIN), *again), days(*LONG_AGO, (25, BEGIN))
    assert (book.positions, book.books, book.cash, book.flags) == (before.positions, before.books, before.cash, [])
    assert book.revision("e1") == 1


def test_a_correction_of_a_forgotten_order_is_left_to_the_reconciliation_and_flagged():
    book = days(*LONG_AGO, (25, BEGIN), (26, fill("e1", 90, 10.0, revision=2)))
    assert book.positions == {"AAA": 200}
    assert [flag.key for flag in book.flags] == ["k1"]
    assert "corrected long after its end" in book.flags[0].text


def test_what_is_told_of_an_order_after_its_end_keeps_it():
    cancelled = (0, intent()), (0, said(OrderStatus.CANCELLED)), (20, fill("e1", 5, 10.0, commission=1.0))
    assert "k1" in days(*cancelled, (20, BEGIN), (25, NEXT)).orders
    assert "k1" not in days(*cancelled, (20, BEGIN), (31, NEXT)).orders


def test_what_fills_cost_is_known_after_their_orders_are_forgotten():
    asked = replace(wanted("k1", 100, Side.BUY, shares={"one": 100}), packs={"one": "p"})
    told = (
        (0, Draft(Kind.INTENT, intent_data(asked, 7), "k1", "AAA")), (0, fill("e1", 100, 10.0, commission=1.0)),
        (1, BEGIN), (25, NEXT),
    )  # fmt: skip
    slipped = []
    for remembers in (None, timedelta(days=10)):
        book = Book(remembers=remembers)
        book.past.prices["k1"] = 9.5
        for day, draft in told:
            book.apply(Event.after(book.last, draft, "PAPER", "s", AT + timedelta(days=day)))
        slipped.append(book.past.slippage("one", "p", book))
    assert slipped[0] == slipped[1]
    assert (slipped[0].fills, slipped[0].cost, slipped[0].value) == (1, 50.0, 950.0)
    assert "k1" not in book.past.prices
