"""Alerts are kept until somebody acknowledges them, and the same trouble is told once an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workbench.alerts.outbox import Outbox, Severity
from workbench.errors import InputRefused, NoData
from workbench.params import Paths, Settings

AT = datetime(2024, 3, 5, 15, 0, tzinfo=UTC)


@pytest.fixture
def times() -> list[datetime]:
    return [AT]


@pytest.fixture
def outbox(tmp_path, times) -> Outbox:
    return Outbox.open(Settings(), Paths(tmp_path), clock=lambda: times[-1])


def test_an_alert_stays_until_it_is_acknowledged(outbox, tmp_path):
    number = outbox.post(Severity.CRITICAL, "missing_order", "AAA: order k1 is missing", key="k1")
    again = Outbox.open(Settings(), Paths(tmp_path), clock=lambda: AT + timedelta(minutes=5))
    (alert,) = again.pending()
    assert (alert.id, alert.severity, alert.kind) == (number, Severity.CRITICAL, "missing_order")
    assert (alert.text, dict(alert.data), alert.raised_at) == ("AAA: order k1 is missing", {"key": "k1"}, AT)
    assert alert.acknowledged_at is None
    seen = again.acknowledge(number, "ada")
    assert (seen.acknowledged_by, seen.acknowledged_at) == ("ada", AT + timedelta(minutes=5))
    assert outbox.pending() == ()
    assert len(outbox.all()) == 1
    assert again.acknowledge(number, "ben").acknowledged_by == "ada"


def test_the_same_trouble_is_told_once_an_hour(outbox, times):
    first = outbox.post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale AAA")
    assert outbox.post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale AAA") is None
    assert outbox.post(Severity.WARNING, "stale", "BBB is stale", cooldown="stale BBB")
    times.append(AT + timedelta(minutes=61))
    assert outbox.post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale AAA")
    assert first == 1
    assert len(outbox.all()) == 3


def test_what_was_acknowledged_is_told_again_when_it_comes_again(outbox):
    first = outbox.post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale AAA")
    outbox.acknowledge(first, "ada")
    assert outbox.post(Severity.WARNING, "stale", "AAA is stale", cooldown="stale AAA")


def test_without_a_key_everything_is_told(outbox):
    assert outbox.post(Severity.INFO, "done", "session 1 ended") == 1
    assert outbox.post(Severity.INFO, "done", "session 1 ended") == 2


def test_an_alert_is_one_line_and_has_somebody_who_saw_it(outbox):
    with pytest.raises(InputRefused, match="write one line"):
        outbox.post(Severity.INFO, "done", "two\nlines")
    with pytest.raises(InputRefused, match="say who you are"):
        outbox.acknowledge(1, " ")
    with pytest.raises(NoData, match="alert 7: there is none"):
        outbox.acknowledge(7, "ada")
