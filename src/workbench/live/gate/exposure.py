"""Rule 13: what is at risk together: all of it, one way, in one sector, or in things that move alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from workbench.live.gate.facts import Asked, GateState, Unknown, known, total
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.live.gate.size import largest, reach


def _exposure(asked: Asked, state: GateState) -> Iterator[Denial]:
    equity = state.equity()
    values = {name: largest(name, state, asked) * state.mark(name) for name in state.symbols | {asked.order.symbol}}
    yield from _bound("GROSS_EXCEEDS_MAX", total(values.values(), "gross"), equity * state.limits.max_gross)
    yield from _bound("NET_EXCEEDS_MAX", _net(asked, state, set(values)), equity * state.limits.max_net)
    sectors, symbol = known(state.sectors, "sectors"), asked.order.symbol
    for name in values:
        known(sectors.get(name), f"sector of {name}")
    ours = {name for name in values if sectors[name] == sectors[symbol]}
    most, alike = equity * state.limits.max_sector, _sum(values, ours)
    yield from _bound("SECTOR_EXCEEDS_MAX", alike, most, sector=sectors[symbol])
    others = sorted(values.keys() - {symbol})
    together = {name: _correlation(symbol, name, state) for name in others}
    yield from _concentrated(asked, state, together)
    unknown = {name for name, correlation in together.items() if correlation is None}
    if unknown - ours:  # as if they moved with the order: one group with its sector
        first = min(unknown - ours)
        group = _sum(values, ours | unknown)
        yield from _bound("CORRELATION_UNKNOWN_EXCEEDS_MAX", group, most, held=first, unknown=len(unknown))


def _bound(code: str, value: float, most: float, **more: object) -> Iterator[Denial]:
    if not value <= most:
        yield deny(code, **more, max_exposure=most, exposure=value)


def _sum(values: Mapping[str, float], names: Iterable[str]) -> float:
    return total((values[name] for name in names), "exposure of a group")


def _net(asked: Asked, state: GateState, symbols: set[str]) -> float:
    """Return how far all may lean to the side of the order, if only orders of that side fill."""
    sign = asked.order.side.sign
    reached = {name: reach(name, state, asked) for name in symbols}
    return total(
        (sign * (most if sign > 0 else least) * state.mark(name) for name, (most, least) in reached.items()),
        "net exposure",
    )


def _concentrated(asked: Asked, state: GateState, together: Mapping[str, float | None]) -> Iterator[Denial]:
    """Deny what wins and loses with something that is held; two that move against each other are no concentration."""
    order, most = asked.order, state.limits.max_correlation
    for other, both in together.items():
        long, short = reach(other, state, asked)
        ways = [1 if way > 0 else -1 for way in (long, short) if way]
        if both is not None and ways:
            alike = max(order.side.sign * both * way for way in ways)
            if not alike <= most:
                yield deny("CORRELATION_EXCEEDS_MAX", held=other, max_correlation=most, correlation=alike)


def _correlation(one: str, other: str, state: GateState) -> float | None:
    """Return how two symbols move together; None where too few sessions tell of both, or one of them never moves."""
    returns = known(state.returns, "returns")
    first, second = (np.asarray(returns.get(name, ()), dtype=float) for name in (one, other))
    if len(first) and len(second) and len(first) != len(second):
        raise Unknown(f"returns of {one} and {other} are of {len(first)} and {len(second)} sessions")
    if not (len(first) and len(second)):
        return None
    both = np.isfinite(first) & np.isfinite(second)
    if int(both.sum()) < state.limits.min_correlation_sessions:
        return None
    first, second = first[both], second[both]
    if first.min() == first.max() or second.min() == second.max():
        return None
    first, second = first - first.mean(), second - second.mean()
    return float(first @ second) / math.sqrt(float(first @ first) * float(second @ second))


RULES = (Rule(13, "EXPOSURE", _exposure, growing=True),)
