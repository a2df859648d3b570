"""Rule 13: what is at risk together: all of it, one way, in one sector, or in things that move alike."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.live.gate.facts import Asked, GateState, Unknown, known, total
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.live.gate.size import largest, reach


def _exposure(asked: Asked, state: GateState) -> Iterator[Denial]:
    equity = state.equity()
    values = {name: largest(name, state, asked) * state.mark(name) for name in state.symbols | {asked.order.symbol}}
    yield from _bound("GROSS_EXCEEDS_MAX", total(values.values(), "gross"), equity * state.limits.max_gross)
    yield from _bound("NET_EXCEEDS_MAX", _net(asked, state, set(values)), equity * state.limits.max_net)
    sectors = known(state.sectors, "sectors")
    for name in values:
        known(sectors.get(name), f"sector of {name}")
    ours = sectors[asked.order.symbol]
    alike = total((value for name, value in values.items() if sectors[name] == ours), f"exposure to {ours}")
    yield from _bound("SECTOR_EXCEEDS_MAX", alike, equity * state.limits.max_sector, sector=ours)
    yield from _correlation(asked, state, sorted(values.keys() - {asked.order.symbol}))


def _bound(code: str, value: float, most: float, **more: object) -> Iterator[Denial]:
    if not value <= most:
        yield deny(code, **more, max_exposure=most, exposure=value)


def _net(asked: Asked, state: GateState, symbols: set[str]) -> float:
    """Return how far all may lean to the side of the order, if only orders of that side fill."""
    sign = asked.order.side.sign
    reached = {name: reach(name, state, asked) for name in symbols}
    return total(
        (sign * (most if sign > 0 else least) * state.mark(name) for name, (most, least) in reached.items()),
        "net exposure",
    )


def _correlation(asked: Asked, state: GateState, others: list[str]) -> Iterator[Denial]:
    """Deny what wins and loses with something that is held; two that move against each other are no concentration."""
    order, most = asked.order, state.limits.max_correlation
    ours = _moves(order.symbol, state) if others else np.empty(0)
    for other in others:
        theirs = _moves(other, state)
        if len(ours) != len(theirs):
            raise Unknown(f"returns of {order.symbol} and {other} are of {len(ours)} and {len(theirs)} sessions")
        both = float(ours @ theirs) / math.sqrt(float(ours @ ours) * float(theirs @ theirs))
        long, short = reach(other, state, asked)
        together = max(order.side.sign * both * (1 if way > 0 else -1) for way in (long, short) if way)
        if not together <= most:
            yield deny("CORRELATION_EXCEEDS_MAX", held=other, max_correlation=most, correlation=together)


def _moves(symbol: str, state: GateState) -> NDArray[np.float64]:
    """Return a symbol's returns less their mean."""
    found = known(state.returns, "returns").get(symbol)
    row, least = np.asarray(known(found, f"returns of {symbol}"), dtype=float), state.limits.min_correlation_sessions
    if len(row) < least:
        raise Unknown(f"returns of {symbol}: {len(row)} sessions, {least} are needed")
    if not np.isfinite(row).all() or row.min() == row.max():
        raise Unknown(f"returns of {symbol} are not finite, or never move")
    moves: NDArray[np.float64] = row - row.mean()
    return moves


RULES = (Rule(13, "EXPOSURE", _exposure, growing=True),)
