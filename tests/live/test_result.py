"""What a session's shares are explained by: orders that brought less than was asked, and by just so much."""

from __future__ import annotations

from datetime import date

import pytest

from tests.live.test_book import fill, fold, intent, said
from workbench.live.decision import Decision, Line
from workbench.live.result import _only_short
from workbench.trading import OrderStatus, Side


def explained(signed: int, filled: int, held: int, before: int = 0) -> bool:
    """Whether an order that filled in part explains what strategy one holds after it."""
    side = Side.of(signed)
    events = [intent(quantity=abs(signed), side=side), said(OrderStatus.WORKING)]
    book = fold(*events, *([fill("e1", filled, 10.0, side=side)] if filled else []), said(OrderStatus.CANCELLED))
    line = Line("k1", "AAA", signed, 10.0, {"one": signed}, before)
    decision = Decision("d1", date(2024, 3, 5), (), (line,))
    return _only_short(book, decision, "one", {"AAA": before + signed}, {"AAA": held} if held else {})


@pytest.mark.parametrize("held", [0, 30, 49, 51, 99])
def test_an_order_of_which_half_filled_explains_half_and_no_other_number(held):
    assert explained(100, 50, 50)
    assert not explained(100, 50, held)


def test_an_order_that_did_not_fill_explains_what_was_held_before():
    assert explained(-100, 0, 100, before=100)
    assert not explained(-100, 0, 60, before=100)


def test_a_sale_of_which_a_part_filled_explains_the_rest():
    assert explained(-100, 40, 60, before=100)
    assert not explained(-100, 40, 0, before=100)


def test_each_strategy_of_an_order_has_its_part_of_what_filled():
    book = fold(intent(quantity=60, shares={"one": 100, "two": -40}), fill("e1", 30, 10.0), said(OrderStatus.CANCELLED))
    line = Line("k1", "AAA", 60, 10.0, {"one": 100, "two": -40}, 40)
    decision = Decision("d1", date(2024, 3, 5), (), (line,))
    assert _only_short(book, decision, "one", {"AAA": 100}, {"AAA": 50})
    assert _only_short(book, decision, "two", {}, {"AAA": 20})
    assert not _only_short(book, decision, "two", {}, {"AAA": 30})
