"""Whose turn it is: what protects a symbol is taken back only when its orders, and new stops, may leave at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from workbench.live.decision import Decision, Leg, Line
from workbench.live.gate import GateState
from workbench.live.session import Desk
from workbench.live.view import rate_wait, sent_today

# Whoever is told to end in a pause so short ends later: what was taken back is put beside its holding first.
BRIEF_SECONDS = 1.0


def turn_of(desk: Desk, decision: Decision, lines: Sequence[Line]) -> Sequence[Line]:
    """Return the orders to go on with, all sales or none, once one may leave with what protects its symbol after it."""
    lines = [line for line in lines if (line.signed < 0) is (lines[0].signed < 0)]
    make_room(desk, decision, [lines[0].symbol])
    fits = (at_once(desk, decision, {line.symbol for line in lines[:count]}) for count in range(2, len(lines) + 1))
    return lines[: 1 + sum(fits)]


def make_room(desk: Desk, decision: Decision, symbols: Collection[str]) -> None:
    """Wait until the orders in these symbols may leave, with what protects them; meanwhile nothing is taken back."""
    count = sum(_orders(decision, symbol) for symbol in symbols)
    while count and (seconds := rate_wait(_rate(desk), count)) > 0:
        desk.pause(seconds)


def at_once(desk: Desk, decision: Decision, symbols: Iterable[str]) -> bool:
    """Whether there is room in a minute for the orders in these symbols, and for what protects them after it."""
    count = sum(_orders(decision, symbol) for symbol in symbols)
    return count <= desk.limits().max_orders_per_minute and rate_wait(_rate(desk), count) <= BRIEF_SECONDS


def _orders(decision: Decision, symbol: str) -> int:
    """Return how many orders trading a symbol takes: one, and for each strategy's leg its stop and its target."""
    legs = [one.legs.get(symbol, Leg()) for one in decision.wanted]
    return 1 + sum((leg.stop is not None) + (leg.target is not None) for leg in legs)


def _rate(desk: Desk) -> GateState:
    return GateState(desk.clock(), desk.limits(), sent=sent_today(desk))
