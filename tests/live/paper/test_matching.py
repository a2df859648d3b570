"""When an order fills and at which price, worked by hand: half a spread of 10 bps, so 0.1 % either way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workbench.errors import DataRefused
from workbench.live.paper.market import Print
from workbench.live.paper.matching import Match, match
from workbench.trading import Order, OrderType, Side

OPEN = datetime(2024, 3, 5, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(hours=6.5)
EARLY, LATE = OPEN - timedelta(minutes=5), OPEN + timedelta(minutes=5)
HALF = 0.001
POINT = Print.of("AAA", OPEN, 100.0)
BAR = Print("AAA", CLOSE, price=100.0, low=90.0, high=110.0, start=OPEN)


def order(kind: OrderType, side: Side = Side.BUY, limit: float | None = None, stop: float | None = None) -> Order:
    return Order("k", "AAA", side, 100, kind, limit, stop)


@pytest.mark.parametrize(
    ("asked", "seen", "since", "expected"),
    [
        # a market order pays half the spread, whenever it came
        (order(OrderType.MARKET), POINT, EARLY, Match(100.1, False)),
        (order(OrderType.MARKET, Side.SELL), POINT, EARLY, Match(99.9, False)),
        (order(OrderType.MARKET), BAR, LATE, Match(100.1, False)),
        # a limit fills where the price with its half spread reaches it, at no worse than the limit
        (order(OrderType.LIMIT, limit=100.05), POINT, EARLY, Match(None, False)),
        (order(OrderType.LIMIT, limit=100.10), POINT, EARLY, Match(100.1, False)),
        (order(OrderType.LIMIT, limit=105.0), POINT, EARLY, Match(100.1, False)),
        (order(OrderType.LIMIT, Side.SELL, limit=95.0), POINT, EARLY, Match(99.9, False)),
        (order(OrderType.LIMIT, Side.SELL, limit=99.95), POINT, EARLY, Match(None, False)),
        # within a bar it fills at the limit, if it rested before: 90 × 1.001 = 90.09
        (order(OrderType.LIMIT, limit=90.09), BAR, EARLY, Match(90.09, False)),
        (order(OrderType.LIMIT, limit=90.05), BAR, EARLY, Match(None, False)),
        (order(OrderType.LIMIT, limit=95.0), BAR, LATE, Match(None, False)),
        (order(OrderType.LIMIT, Side.SELL, limit=109.0), BAR, EARLY, Match(109.0, False)),
        # a stop is reached by the price, and then pays half the spread
        (order(OrderType.STOP, stop=101.0), POINT, EARLY, Match(None, False)),
        (order(OrderType.STOP, stop=99.0), POINT, EARLY, Match(100.1, True)),
        (order(OrderType.STOP, stop=105.0), BAR, EARLY, Match(105.105, True)),
        (order(OrderType.STOP, Side.SELL, stop=95.0), BAR, EARLY, Match(94.905, True)),
        (order(OrderType.STOP, Side.SELL, stop=95.0), BAR, LATE, Match(None, False)),
        (order(OrderType.STOP, Side.SELL, stop=89.0), BAR, EARLY, Match(None, False)),
        # a stop-limit may be reached and not fill
        (order(OrderType.STOP_LIMIT, stop=105.0, limit=106.0), BAR, EARLY, Match(105.105, True)),
        (order(OrderType.STOP_LIMIT, stop=105.0, limit=105.05), BAR, EARLY, Match(None, True)),
        (order(OrderType.STOP_LIMIT, stop=99.0, limit=99.5), POINT, EARLY, Match(None, True)),
    ],
)
def test_a_print_fills_an_order_at(asked, seen, since, expected):
    found = match(asked, since, False, seen, HALF)
    assert found.triggered is expected.triggered
    assert found.price == (None if expected.price is None else pytest.approx(expected.price))


def test_a_stop_limit_that_was_reached_is_a_limit():
    asked = order(OrderType.STOP_LIMIT, stop=120.0, limit=106.0)
    assert match(asked, EARLY, True, POINT, HALF) == Match(100.1, True)


def test_a_limit_without_its_price_is_refused():
    with pytest.raises(DataRefused, match="order k: a limit order without its price"):
        match(order(OrderType.LIMIT), EARLY, False, POINT, HALF)
