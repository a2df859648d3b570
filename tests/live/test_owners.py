"""Whose the shares are that a person adopts: who held what is gone, whoever is named, or nobody."""

from __future__ import annotations

import pytest

from tests.live.conftest import wanted
from workbench.errors import InputRefused
from workbench.live import dispatch
from workbench.live.journal.event import Draft, Kind
from workbench.live.paper.ledger import Ledger
from workbench.live.reconcile import adopt, explain, reconcile
from workbench.trading import Order, Side


@pytest.fixture
def outbox(project):
    return project.outbox()


def hold(journal, venue, outbox, shares: dict[str, int]) -> None:
    """Buy AAA for strategies, everything reconciled."""
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1", sum(shares.values()), shares=shares)])
    venue.move("AAA", 101.0)
    dispatch.record(journal, outbox, venue.broker.updates(0.0))
    assert journal.book.books == {name: {"AAA": count} for name, count in shares.items()}


def by_hand(venue, side: Side, shares: int, number: int = 1) -> None:
    venue.stranger().place(Order("", "AAA", side, shares), number)
    venue.move("AAA", 101.0)


@pytest.mark.parametrize(
    ("sold", "given", "books"),
    [(100, "one -100", {}), (30, "one -30", {"one": 70}), (130, "one -100, nobody -30", {"": -30})],
)
def test_what_was_sold_by_hand_is_taken_from_the_strategy_that_held_it_when_none_is_named(
    journal, venue, outbox, sold, given, books
):
    hold(journal, venue, outbox, {"one": 100})
    by_hand(venue, Side.SELL, sold)
    told = adopt(journal, venue.broker, "AAA", "ada", "sold by hand")
    assert journal.book.books == {name: {"AAA": count} for name, count in books.items()}
    assert [one.text.endswith(f"; given: {given}") for one in told] == [False, True]
    assert reconcile(journal, venue.broker, outbox).clean


def test_what_was_sold_by_hand_and_may_be_of_two_strategies_is_asked_for_by_the_line_to_type(journal, venue, outbox):
    hold(journal, venue, outbox, {"one": 100, "two": 50})
    by_hand(venue, Side.SELL, 40)
    line = 'workbench reconcile AAA --adopt --strategy {} --reason "…"'
    with pytest.raises(InputRefused) as refused:
        adopt(journal, venue.broker, "AAA", "ada", "sold by hand")
    assert str(refused.value) == (
        "AAA: whose were the 40 shares? one holds +100, two holds +50; "
        f"{line.format('one')} or {line.format('two')}"
    )  # fmt: skip
    assert journal.book.books == {"one": {"AAA": 100}, "two": {"AAA": 50}}
    adopt(journal, venue.broker, "AAA", "ada", "sold by hand", "two")
    assert journal.book.books == {"one": {"AAA": 100}, "two": {"AAA": 10}}


@pytest.mark.parametrize(("sold", "left"), [(150, {}), (120, {"one": 20, "two": 10})])
def test_what_was_sold_by_hand_and_no_strategy_held_alone_is_taken_from_each(journal, venue, outbox, sold, left):
    hold(journal, venue, outbox, {"one": 100, "two": 50})
    by_hand(venue, Side.SELL, sold)
    adopt(journal, venue.broker, "AAA", "ada", "all of it was sold by hand")
    assert journal.book.books == {name: {"AAA": count} for name, count in left.items()}
    assert reconcile(journal, venue.broker, outbox).clean


def test_what_a_person_bought_and_adopted_is_nobodys_and_so_is_its_sale(journal, venue, outbox):
    hold(journal, venue, outbox, {"one": 100})
    by_hand(venue, Side.BUY, 7)
    adopt(journal, venue.broker, "AAA", "ada", "of my own")
    assert journal.book.books == {"one": {"AAA": 100}, "": {"AAA": 7}}
    by_hand(venue, Side.SELL, 7, 2)
    adopt(journal, venue.broker, "AAA", "ada", "sold again")
    assert journal.book.books == {"one": {"AAA": 100}}


def test_shares_are_given_to_no_strategy_that_the_books_do_not_know(journal, venue, outbox):
    hold(journal, venue, outbox, {"one": 100})
    journal.begin(date="2024-03-05", equity=1.0, seats={"new": {}})
    by_hand(venue, Side.SELL, 100)
    with pytest.raises(InputRefused, match=r"^AAA: no strategy of the books is called 'onee'; there is: new, one$"):
        adopt(journal, venue.broker, "AAA", "ada", "sold by hand", "onee")
    assert not reconcile(journal, venue.broker, outbox).clean
    adopt(journal, venue.broker, "AAA", "ada", "sold by hand", "one")
    by_hand(venue, Side.BUY, 5, 2)
    adopt(journal, venue.broker, "AAA", "ada", "bought for it", "new")
    assert journal.book.books == {"new": {"AAA": 5}}


def explained(journal, venue, outbox, shares: int) -> None:
    """Let strategy one hold 100 AAA, and a person some beside it that the account had."""
    hold(journal, venue, outbox, {"one": 100})
    Ledger(venue.project.paths.root / "paper.db").hold("AAA", shares, 100.0, 0.0)
    explain(journal, venue.broker, "AAA", "ada", "of my own")
    assert (reconcile(journal, venue.broker, outbox).clean, journal.book.explained) == (True, {"AAA": shares})


@pytest.mark.parametrize("strategy", ["", "one"])
@pytest.mark.parametrize(
    ("sold", "books", "stays"), [(100, {}, {"AAA": 7}), (107, {}, {}), (60, {"one": 40}, {"AAA": 7})]
)
def test_what_was_explained_stays_a_persons_own_where_a_strategys_shares_are_adopted(
    journal, venue, outbox, strategy, sold, books, stays
):
    explained(journal, venue, outbox, 7)
    by_hand(venue, Side.SELL, sold)
    adopt(journal, venue.broker, "AAA", "ada", "sold by hand", strategy)
    assert journal.book.books == {name: {"AAA": count} for name, count in books.items()}
    assert journal.book.explained == stays
    found = reconcile(journal, venue.broker, outbox)
    assert (found.clean, journal.book.locked) == (True, {})


def test_shares_that_may_be_a_persons_own_or_a_strategys_are_asked_for(journal, venue, outbox):
    explained(journal, venue, outbox, 7)
    by_hand(venue, Side.SELL, 7)
    with pytest.raises(InputRefused) as refused:
        adopt(journal, venue.broker, "AAA", "ada", "sold by hand")
    assert str(refused.value) == (
        "AAA: were the 7 shares of the +7 explained? one holds +100; "
        'workbench reconcile AAA --explain --reason "…" where they were, '
        'else workbench reconcile AAA --adopt --strategy one --reason "…"'
    )
    explain(journal, venue.broker, "AAA", "ada", "they were my own")
    assert (journal.book.books, journal.book.explained) == ({"one": {"AAA": 100}}, {})
    assert reconcile(journal, venue.broker, outbox).clean


def test_shares_that_are_gone_are_not_explained_and_the_line_says_what_to_type(journal, venue, outbox):
    hold(journal, venue, outbox, {"one": 100})
    by_hand(venue, Side.SELL, 60)
    text = "AAA: +100 shares in the journal, +40 at the broker; trades that are not ours explain it"
    line = 'workbench reconcile AAA --adopt --reason "…"'
    assert [one.text for one in reconcile(journal, venue.broker, outbox).unexplained][-1] == f"{text}: {line}"
    with pytest.raises(InputRefused) as refused:
        explain(journal, venue.broker, "AAA", "ada", "I sold a part of it")
    assert str(refused.value) == (
        "shares that are gone are adopted, not explained, or what protects them trades them a second time; "
        f"{text}: {line}"
    )  # fmt: skip
    assert (list(journal.book.locked), journal.book.explained) == (["AAA"], {})
    adopt(journal, venue.broker, "AAA", "ada", "I sold a part of it")
    assert (reconcile(journal, venue.broker, outbox).clean, journal.book.books) == (True, {"one": {"AAA": 40}})


def test_the_line_names_the_strategies_where_shares_of_several_may_be_gone(journal, venue, outbox):
    hold(journal, venue, outbox, {"one": 100, "two": 50})
    by_hand(venue, Side.SELL, 60)
    text = reconcile(journal, venue.broker, outbox).unexplained[-1].text
    assert text.endswith(': workbench reconcile AAA --adopt --strategy one --reason "…"')


def test_an_explanation_of_earlier_that_says_shares_are_gone_holds_no_more_and_is_ended_by_adopting(
    journal, venue, outbox
):
    hold(journal, venue, outbox, {"one": 100})
    Ledger(venue.project.paths.root / "paper.db").hold("AAA", -60, 100.0, 0.0)
    journal.append(Draft(Kind.OPERATOR, {"shares_explained": -60, "unlocked": True}, symbol="AAA"))
    (difference,) = reconcile(journal, venue.broker, outbox).unexplained
    assert difference.ours
    assert list(journal.book.locked) == ["AAA"]
    adopt(journal, venue.broker, "AAA", "ada", "sold by hand")
    assert (reconcile(journal, venue.broker, outbox).clean, journal.book.books) == (True, {"one": {"AAA": 40}})
    assert journal.book.explained == {}
