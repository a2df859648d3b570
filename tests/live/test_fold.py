"""A fold over any journal comes to an end: facts that are odd are applied, facts that are missing are flagged."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.live.conftest import wanted
from tests.live.test_book import fill, fold, intent, said
from workbench.live.decision import Decision, Line, Wanted
from workbench.live.journal.event import Draft, Kind
from workbench.live.journal.facts import fill_data, intent_data
from workbench.live.trading_state import TradingState
from workbench.orders import Crossing
from workbench.trading import Fill, OrderStatus, Side

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)
KEYS = st.sampled_from(["k1", "k2", "k3", ""])
SIDES = st.sampled_from([Side.BUY, Side.SELL])
STATUSES = st.sampled_from([status.value for status in OrderStatus])
COUNT = st.integers(1, 300)


@st.composite
def intents(draw: st.DrawFn) -> Draft:
    key, shares = draw(KEYS), draw(st.dictionaries(st.sampled_from(["one", "two"]), st.integers(-200, 200)))
    asked = wanted(key, draw(COUNT), draw(SIDES), shares=shares)
    return Draft(Kind.INTENT, intent_data(asked, draw(COUNT)), key, "AAA")


@st.composite
def fills(draw: st.DrawFn) -> Draft:
    number = draw(st.integers(1, 6))
    key = f"k{number % 4}" if number % 4 else ""  # an execution is of one order, whatever is corrected of it
    one = Fill(f"e{number}", draw(st.integers(1, 3)), key, "AAA", draw(SIDES), draw(COUNT),
               draw(st.floats(0.01, 1e4)), AT, "PAPER", 7, 70, draw(st.none() | st.floats(0, 9)))  # fmt: skip
    return Draft(Kind.FILL, fill_data(one), key, "AAA")


@st.composite
def decisions(draw: st.DrawFn) -> Draft:
    closing, flatten = draw(st.booleans()), draw(st.integers(0, 3))
    one = Wanted("one", "p", 1, "paper", "active", 1e5, {"AAA": 0.1}, {}, {}, closing, flatten)
    lines = tuple(Line(key, "AAA", draw(st.integers(-9, 9)) or 1, 10.0, {"one": 1}, 0) for key in ("k1", "k2"))
    crossings = (Crossing("BBB", 5.0, {"one": 3, "two": -3}),)
    return Draft(Kind.DECISION, Decision("2024-03-05T14:31Z", date(2024, 3, 5), (one,), lines, crossings).data)


ODD = st.one_of(
    intents(),
    fills(),
    decisions(),
    st.builds(lambda key: Draft(Kind.SENT, {"text": "x"}, key, "AAA"), KEYS),
    st.builds(lambda key: Draft(Kind.CANCEL, {"reason": "x"}, key), KEYS),
    st.builds(lambda key, status: Draft(Kind.ACKNOWLEDGED, {"status": status, "permanent_id": 1}, key), KEYS, STATUSES),
    st.builds(lambda e, paid: Draft(Kind.COMMISSION, {"execution": e, "commission": paid}, "k1"),
              st.sampled_from(["e1", "e2", "e9"]), st.floats(0, 9)),
    st.builds(lambda key, status: Draft(Kind.RECONCILE, {"status": status, "text": "x"}, key), KEYS, STATUSES),
    st.builds(lambda key: Draft(Kind.OPERATOR, {"confirmed": True}, key), KEYS),
    st.builds(lambda key, outcome: Draft(Kind.DENIAL, {"outcome": outcome, "reasons": ["X: a=1"]}, key),
              KEYS, st.sampled_from(["waits", "denied"])),
    st.just(Draft(Kind.SESSION, {"date": "2024-03-06", "equity": 1e5})),
)  # fmt: skip


@given(st.lists(ODD, max_size=25))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_events_in_any_order_are_folded_and_every_share_is_somebodys(drafts: list[Draft]) -> None:
    seen: set[str] = set()  # the journal itself refuses a second intent of one key
    drafts = [one for one in drafts if one.kind is not Kind.INTENT or not (one.key in seen or seen.add(one.key))]
    book = fold(*drafts)
    owned: dict[str, int] = {}
    for shares in book.books.values():
        for symbol, count in shares.items():
            owned[symbol] = owned.get(symbol, 0) + count
    assert {symbol: count for symbol, count in owned.items() if count} == book.positions
    assert not [flag for flag in book.flags if "cannot be read" in flag.text]


ANY: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = [
    "order", "order_id", "origin", "shares", "packs", "decision", "planned", "status", "permanent_id", "text", "id",
    "execution", "commission", "opening", "differences", "locked", "accepted", "closing", "adopted", "state", "reason",
    "outcome", "reasons", "confirmed", "emergency", "noted", "date", "equity", "lines", "wanted", "crossings",
    "unlocked", "cash_explained", "shares_explained", "beside",
    "by_others", "explained_fills", "action",
]  # fmt: skip
BROKEN = st.builds(
    lambda kind, data, key: Draft(kind, data, key, "AAA"),
    st.sampled_from(list(Kind)), st.dictionaries(st.sampled_from(WORDS), ANY, max_size=6), KEYS,
)  # fmt: skip


@given(st.lists(ODD | BROKEN, max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_an_event_says_it_never_raises(drafts: list[Draft]) -> None:
    book = fold(*drafts)
    assert (book.last.number if book.last else 0) == len(drafts)


def test_a_denial_without_its_order_is_of_nothing_that_is_known():
    book = fold(Draft(Kind.DENIAL, {"outcome": "denied", "reasons": ["X: a=1"]}, "k1", "AAA"))
    assert (book.past.denied, book.flags) == ({}, [])
    bare = fold(Draft(Kind.DENIAL, {}, "k1", "AAA"))
    assert (bare.past.denied, bare.flags) == ({}, [])


def test_a_fill_to_the_other_side_than_its_order_is_applied_and_is_nobodys():
    book = fold(intent(), said(OrderStatus.WORKING), fill("e1", 10, 10.0, side=Side.SELL))
    assert (book.positions, book.books) == ({"AAA": -10}, {"": {"AAA": -10}})


@pytest.mark.parametrize("data", [{}, {"state": "open", "reason": "x"}, {"state": None}])
def test_a_trading_state_that_cannot_be_read_halts(data):
    book = fold(Draft(Kind.STATE, data))
    assert book.state is TradingState.HALTED
    assert book.because.startswith("event 1 says ")


def test_an_event_that_lacks_its_facts_is_flagged_by_its_number():
    book = fold(intent(), Draft(Kind.FILL, {"id": "e1"}, "k1", "AAA"))
    (flag,) = book.flags
    assert (flag.number, flag.key) == (2, "k1")
    assert flag.text.startswith("event 2, fill, cannot be read (")
    assert book.positions == {}
