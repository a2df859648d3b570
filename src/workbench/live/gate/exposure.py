"""Rule 13: what is at risk together: all of it, one way, in one sector, or in things that move alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    sectors, symbol = known(state.sectors, "sectors"), asked.order.symbol
    for name in values:
        known(sectors.get(name), f"sector of {name}")
    ours = {name for name in values if sectors[name] == sectors[symbol]}
    most, alike = equity * state.limits.max_sector, _sum(values, ours)
    yield from _bound("SECTOR_EXCEEDS_MAX", alike, most, sector=sectors[symbol])
    others = sorted(values.keys() - {symbol})
    together = _correlations(symbol, others, state)
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


def _correlations(symbol: str, others: Sequence[str], state: GateState) -> dict[str, float | None]:
    """Return how others move with a symbol; None where too few sessions tell of both, or one of them never moves."""
    found: dict[str, float | None] = dict.fromkeys(others)
    returns = known(state.returns, "returns") if others else {}
    ours = np.asarray(returns.get(symbol, ()), dtype=float)
    told = [name for name in others if len(ours) and len(returns.get(name, ()))]
    for name in told:
        if len(returns[name]) != len(ours):
            raise Unknown(f"returns of {symbol} and {name} are of {len(ours)} and {len(returns[name])} sessions")
    if not told:
        return found
    theirs = np.array([returns[name] for name in told], dtype=float)
    both = np.isfinite(theirs) & np.isfinite(ours)
    counts = both.sum(axis=1)
    rows = np.where(both, ours, np.nan), np.where(both, theirs, np.nan)
    enough = counts >= state.limits.min_correlation_sessions
    for row in rows:
        enough &= np.fmin.reduce(row, axis=1) < np.fmax.reduce(row, axis=1)  # not so where nothing is known
    first, second = (np.where(both, row - _mean(row, both, counts), 0.0) for row in rows)
    products = ((first * second).sum(axis=1), (first * first).sum(axis=1), (second * second).sum(axis=1))
    for name, known_one, xy, xx, yy in zip(told, enough, *products, strict=True):
        found[name] = float(xy) / math.sqrt(float(xx) * float(yy)) if known_one else None
    return found


def _mean(rows: NDArray[np.float64], both: NDArray[np.bool_], counts: NDArray[np.int_]) -> NDArray[np.float64]:
    sums = np.where(both, rows, 0.0).sum(axis=1)
    means: NDArray[np.float64] = (sums / np.maximum(counts, 1))[:, None]
    return means


RULES = (Rule(13, "EXPOSURE", _exposure, growing=True),)
