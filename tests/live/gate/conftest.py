"""A world in which an order passes: each test changes the one thing that it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workbench.live.gate import Asked, Day, GateState, Hours, Origin
from workbench.live.limits import Limits
from workbench.live.trading_state import TradingState
from workbench.trading import (
    Account,
    Fill,
    Instrument,
    Margin,
    Order,
    OrderStatus,
    OrderType,
    Quote,
    Side,
    Working,
)

NOW = datetime(2024, 7, 2, 15, 0, tzinfo=UTC)
SYMBOLS = ("AAA", "BBB", "CCC")


def make_quote(symbol: str = "AAA", price: float | None = 100.0, age: float = 1.0, **changes: Any) -> Quote:
    given = {"bid": price, "ask": price, "last": price} | changes
    return Quote(symbol, at=NOW - timedelta(seconds=age), **given)


def make_account(**changes: Any) -> Account:
    """An account of 100,000 dollars, all of it free."""
    return replace(Account("DU1", "USD", 100_000.0, 100_000.0, 400_000.0, 0.0, 0.0, NOW), **changes)


def make_state(**changes: Any) -> GateState:
    """Return a state in which an order for AAA passes."""
    waves = np.array([1.0, -1.0] * 30), np.array([1.0, 1.0, -1.0, -1.0] * 15), np.array([1.0] * 30 + [-1.0] * 30)
    sound = GateState(
        now=NOW,
        limits=Limits(),
        trading=TradingState.ACTIVE,
        reconciled=True,
        connected=True,
        verified={"trend": "a" * 64},
        whitelist=frozenset(SYMBOLS),
        instruments={name: Instrument(name, 7, "SMART", "NYSE", "USD", 0.01) for name in SYMBOLS},
        hours=Hours(datetime(2024, 7, 2, 13, 30, tzinfo=UTC), datetime(2024, 7, 2, 20, 0, tzinfo=UTC)),
        quotes={name: make_quote(name) for name in SYMBOLS},
        closes=dict.fromkeys(SYMBOLS, 100.0),
        account=make_account(),
        positions={},
        open_orders=(),
        books={"trend": {}},
        sectors={"AAA": "Technology", "BBB": "Finance", "CCC": "Health"},
        returns=dict(zip(SYMBOLS, (wave * 0.01 for wave in waves), strict=True)),
        day=Day(100_000.0, 0.0),
        sent=(),
        fills=(),
        worked={},
        what_if=Margin(5_000.0, 5_000.0, 100_000.0, 1.0),
    )
    return replace(sound, **{"booked": changes.get("positions") or {}} | changes)


def make_asked(
    quantity: Any = 50, side: Side = Side.BUY, symbol: str = "AAA", key: str = "k1", **changes: Any
) -> Asked:
    """Return a strategy's order, at the market where no price is given."""
    whole = {
        name: changes.pop(name) for name in ("origin", "shares", "packs", "decision", "planned") if name in changes
    }
    limit, stop = changes.get("limit"), changes.get("stop")
    kinds = {(False, False): OrderType.MARKET, (True, False): OrderType.LIMIT, (False, True): OrderType.STOP}
    changes.setdefault("type", kinds.get((limit is not None, stop is not None), OrderType.STOP_LIMIT))
    order = Order(key, symbol, side, quantity, **changes)
    given = {
        "origin": Origin.STRATEGY,
        "shares": {"trend": order.signed},
        "packs": {"trend": "a" * 64},
        "decision": "d1",
        "planned": 1_000_000,
    } | whole
    return Asked(order, **given)


def make_working(
    quantity: int = 50, side: Side = Side.BUY, symbol: str = "AAA", key: str = "w1", filled: int = 0, **changes: Any
) -> Working:
    status = changes.pop("status", OrderStatus.WORKING)
    order = make_asked(quantity, side, symbol, key, **changes).order
    return Working(order, 1, 1, status, filled, 100.0 if filled else 0.0, 1)


def make_fill(key: str = "w1", minutes_ago: float = 5.0, side: Side = Side.BUY, symbol: str = "AAA") -> Fill:
    return Fill(f"x{key}", 1, key, symbol, side, 10, 100.0, NOW - timedelta(minutes=minutes_ago), "DU1")


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    """The makers of all of these."""
    return SimpleNamespace(
        now=NOW,
        quote=make_quote,
        account=make_account,
        state=make_state,
        asked=make_asked,
        working=make_working,
        fill=make_fill,
    )
