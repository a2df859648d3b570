"""The checker itself: a history made by hand passes, and each thing that can be wrong with one is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.live.conftest import wanted
from tests.live.history import BrokerSide, Order, violations
from workbench.live.book import Book
from workbench.live.gate.facts import Origin
from workbench.live.journal.event import Draft, Event, Kind
from workbench.live.journal.facts import fill_data, intent_data
from workbench.trading import Fill, OrderStatus, Side

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)
FILL = Fill("e1", 1, "k1", "AAA", Side.BUY, 100, 10.0, AT, "PAPER", commission=1.0)
OPENING = Draft(Kind.RECONCILE, {"opening": {"cash": 5_000.0}})
INTENT = Draft(Kind.INTENT, intent_data(wanted("k1"), 7), "k1", "AAA")
FILLED = Draft(Kind.FILL, fill_data(FILL), "k1", "AAA")
HALT = Draft(Kind.STATE, {"state": "halted", "reason": "x", "who": ""})
GOOD = (OPENING, INTENT, FILLED)
ACCEPTED = AT + timedelta(seconds=1.5)  # an event a second, so after the intent
BROKER = BrokerSide((Order("k1", 7, ACCEPTED),), frozenset({("e1", 1)}), {"AAA": 100}, 3_999.0)


def history(*drafts: Draft) -> list[Event]:
    events: list[Event] = []
    for number, draft in enumerate(drafts):
        last = events[-1] if events else None
        events.append(Event.after(last, draft, "PAPER", "s", AT + timedelta(seconds=number)))
    return events


def test_a_history_in_order_passes():
    assert violations(history(*GOOD), BROKER) == []


@pytest.mark.parametrize(
    ("broker", "told"),
    [
        (replace(BROKER, orders=(*BROKER.orders, Order("k1", 8, ACCEPTED))), "order k1: 2 times at the broker"),
        (replace(BROKER, orders=(*BROKER.orders, Order("k9", 8, ACCEPTED))), "k9: at the broker without an intent"),
        (replace(BROKER, orders=(Order("k1", 7, AT),)), "order k1: accepted at 2024-03-05 15:00:00+00:00 before its"),
        (replace(BROKER, orders=(Order("k1", 8, ACCEPTED),)), "order k1: number 8 at the broker, 7 in its intent"),
        (replace(BROKER, executions=frozenset()), "execution ('e1', 1) is not at the broker"),
        (replace(BROKER, executions=frozenset({("e1", 1), ("e1", 2)})), "execution ('e1', 2) is not in the journal"),
        (replace(BROKER, positions={"AAA": 90}), "positions: {'AAA': 100} in the journal, {'AAA': 90} at the broker"),
        (replace(BROKER, cash=3_999.02), "cash: 3999.00 in the journal, 3999.02 at the broker"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_at_the_broker_is_found(broker, told):
    (found,) = [line for line in violations(history(*GOOD), broker) if told in line] or [""]
    assert found, violations(history(*GOOD), broker)


def test_shares_that_nobody_owns_are_found(monkeypatch):
    monkeypatch.setattr(Book, "_own", lambda *_: None)
    assert violations(history(*GOOD), BROKER) == ["the strategies own {} of {'AAA': 100}"]


def test_an_order_that_leaves_a_state_that_is_for_ever_is_found(monkeypatch):
    again = Draft(Kind.ACKNOWLEDGED, {"status": "working"}, "k1", "AAA")
    assert violations(history(*GOOD, again), BROKER) == []  # flagged, and filled it stays

    def move(book: Book, event: Event, status: OrderStatus) -> None:
        book.orders[event.key] = replace(book.orders[event.key], status=status)

    monkeypatch.setattr(Book, "_move", move)
    assert violations(history(*GOOD, again), BROKER) == [
        "order k1: working after filled, event 4", "order k1: working at the end, and it was filled"
    ]  # fmt: skip


def test_of_an_execution_that_was_corrected_while_nobody_listened_the_newest_counts():
    corrected = Draft(Kind.FILL, fill_data(replace(FILL, revision=2)), "k1", "AAA")
    broker = replace(BROKER, executions=frozenset({("e1", 1), ("e1", 2)}))
    assert violations(history(OPENING, INTENT, corrected), broker) == []
    assert violations(history(*GOOD), broker) == [
        "execution ('e1', 2) is not in the journal", "execution ('e1', 1) is not at the broker"
    ]  # fmt: skip


def test_every_message_counts_and_a_what_if_does_not():
    early = replace(BROKER, sent=(Order("k1", 7, AT), Order("k1", 7, ACCEPTED)))
    (found,) = violations(history(*GOOD), early)
    assert found.startswith("order k1: accepted at 2024-03-05 15:00:00+00:00 before its intent")
    asked_for = replace(BROKER, sent=(Order("k1", 6, AT), Order("k1", 7, ACCEPTED)))
    assert violations(history(*GOOD), asked_for) == []


def test_what_is_sent_while_halted_is_found_unless_it_is_the_emergency_stop():
    halted = history(OPENING, INTENT, HALT, FILLED)
    late = replace(BROKER, orders=(Order("k1", 7, AT + timedelta(seconds=2.5)),))
    assert violations(halted, late) == [
        "order k1: sent at 2024-03-05 15:00:02.500000+00:00 while halted since 2024-03-05 15:00:02+00:00"
    ]
    stop = Draft(Kind.INTENT, intent_data(wanted("k1", origin=Origin.EMERGENCY), 7), "k1", "AAA")
    assert violations(history(OPENING, stop, HALT, FILLED), late) == []
    resumed = Draft(Kind.STATE, {"state": "active", "reason": "x", "who": "ada"})
    after = replace(BROKER, orders=(Order("k1", 7, AT + timedelta(seconds=3.5)),))
    assert violations(history(OPENING, INTENT, HALT, resumed, FILLED), after) == []
