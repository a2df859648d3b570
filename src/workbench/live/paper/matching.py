"""When an order fills, and at which price: pure, and on the careful side where a bar does not tell.

Purchases pay half the spread above the price, sales get half of it less. A limit fills where the price with its half
spread reaches it; a stop fills at its own price less half the spread, or at the open where that is worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workbench.errors import DataRefused
from workbench.live.paper.market import Print
from workbench.trading import Order, OrderType


@dataclass(frozen=True)
class Match:
    """What a print does to an order: the price it fills at, or None; and whether its stop has been reached."""

    price: float | None
    triggered: bool


def match(order: Order, since: datetime, triggered: bool, seen: Print, half: float) -> Match:
    """Return what a print does to an order that has rested since a moment."""
    sign = order.side.sign
    paid = seen.price * (1 + sign * half)
    moved = since <= seen.start and seen.low != seen.high  # only then did the order see what was between
    if order.type is OrderType.MARKET:
        return Match(paid, triggered)
    if order.type is OrderType.LIMIT or (order.type is OrderType.STOP_LIMIT and triggered):
        best = (seen.low if sign > 0 else seen.high) if moved else seen.price
        reached = sign * (best * (1 + sign * half) - _price(order, order.limit)) <= 0
        return Match((order.limit if moved else paid) if reached else None, triggered)
    stop = _price(order, order.stop)
    worst = (seen.high if sign > 0 else seen.low) if moved else seen.price
    if sign * (worst - stop) < 0:
        return Match(None, triggered=False)
    stopped = stop * (1 + sign * half) if moved else paid
    if order.type is OrderType.STOP or sign * (stopped - _price(order, order.limit)) <= 0:
        return Match(stopped, triggered=True)
    return Match(None, triggered=True)


def _price(order: Order, price: float | None) -> float:
    if price is None:
        raise DataRefused(f"order {order.key}: a {order.type} order without its price cannot be filled")
    return price
