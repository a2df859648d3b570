"""A broker that is asked while orders fill: what was told a moment before is no difference, and more than that is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.live.conftest import wanted
from workbench.errors import AlreadyRunning
from workbench.live import dispatch
from workbench.live.journal.event import Draft, Kind
from workbench.live.reconcile import Of, adopt, reconcile
from workbench.trading import Fill, Position, Side


@pytest.fixture
def outbox(project):
    return project.outbox()


@pytest.fixture
def buying(journal, venue, outbox):
    """100 AAA ordered and none of them bought yet."""
    reconcile(journal, venue.broker, outbox)
    dispatch.send(journal, venue.broker, [wanted("k1", limit=90.0)])
    return journal


def trickle(venue, monkeypatch, *, key: str = "k1", shares: int = 0, cash: float = 0.0) -> None:
    """Let a share fill at 90 with each question for fills; positions and cash differ by so much beside it."""
    told: list[Fill] = []
    opened, at, kind = venue.broker.account(), venue.project.clock(), type(venue.broker)

    def fills(*_) -> tuple[Fill, ...]:
        told.append(Fill(f"e{len(told)}", 1, key, "AAA", Side.BUY, 1, 90.0, at, "PAPER", commission=0.0))
        return tuple(told)

    monkeypatch.setattr(kind, "fills", fills)
    monkeypatch.setattr(kind, "positions", lambda _: (Position("AAA", len(told) + shares, 90.0),))
    monkeypatch.setattr(kind, "account", lambda _: replace(opened, cash=opened.cash - 90.0 * len(told) + cash))


def test_what_fills_while_the_broker_is_asked_is_no_difference(buying, venue, outbox, monkeypatch):
    trickle(venue, monkeypatch)
    assert reconcile(buying, venue.broker, outbox).differences == ()
    assert (buying.book.positions, buying.book.locked, outbox.all()) == ({"AAA": 6}, {}, ())


@pytest.mark.parametrize("shares", [-1, 2])
def test_a_share_more_than_what_fills_meanwhile_is_one(buying, venue, outbox, monkeypatch, shares):
    trickle(venue, monkeypatch, shares=shares)
    (difference,) = [one for one in reconcile(buying, venue.broker, outbox).unexplained if one.of is Of.POSITION]
    assert (difference.ours, list(buying.book.locked)) == (True, ["AAA"])


@pytest.mark.parametrize(("cash", "differs"), [(0.0, False), (-100.0, True), (-2_000.0, True)])
def test_cash_that_is_gone_beside_it_is_told(buying, venue, outbox, monkeypatch, cash, differs):
    trickle(venue, monkeypatch, cash=cash)
    found = reconcile(buying, venue.broker, outbox).unexplained
    assert [one.of for one in found] == [Of.CASH] * differs


def test_a_difference_that_a_person_has_not_looked_at_is_not_ended_by_what_fills(buying, venue, outbox, monkeypatch):
    buying.append(Draft(Kind.RECONCILE, {"locked": {"AAA": "a share is gone"}}))
    trickle(venue, monkeypatch)
    assert [one.of for one in reconcile(buying, venue.broker, outbox).unexplained] == [Of.POSITION]


def test_what_somebody_else_buys_meanwhile_is_not_ours(buying, venue, outbox, monkeypatch):
    trickle(venue, monkeypatch, key="")
    found = reconcile(buying, venue.broker, outbox).unexplained
    assert {(one.of, one.ours) for one in found} == {(Of.EXECUTION, False), (Of.POSITION, False)}


def test_nothing_is_adopted_while_something_fills_at_every_look(buying, venue, monkeypatch):
    monkeypatch.setattr("workbench.live.reconcile.time.sleep", lambda _: None)
    trickle(venue, monkeypatch, key="")
    with pytest.raises(AlreadyRunning, match="something fills"):
        adopt(buying, venue.broker, "AAA", "ada", "bought by hand")
