"""From target weights to orders: one rounding rule for live, replay and backtest, strategies netted on one account.

Each strategy has a book of its own (the shares that were bought for it). A wish is traded when it changed, as the
backtest does it by default; shares are whole and rounded towards zero, and a target of zero closes everything::

    # wish:  A buys 100 XYZ, B sells 40 XYZ      order: BUY 60 XYZ
    # of a fill of 30 shares A gets +50, B gets -20: what they cross they trade at the same price
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.errors import DataRefused
from workbench.trading import Side

# Shares that are this near to the next whole one are that one: 0.1 * 30 is 3, not 2.9999999999999996.
NEAR = 1e-9


@dataclass(frozen=True)
class Wish:
    """What one strategy wants: its share of the account's equity, its weights now, those it traded last, its shares."""

    strategy: str
    equity: float
    weights: Mapping[str, float]
    before: Mapping[str, float]
    held: Mapping[str, int]
    rebalance: str = "on_change"


@dataclass(frozen=True)
class Planned:
    """One order to be made, and for whom: ``shares`` has each strategy's signed quantity, and sums to ``signed``."""

    symbol: str
    signed: int
    price: float
    shares: Mapping[str, int]

    @property
    def side(self) -> Side:
        """Which way it goes."""
        return Side.of(self.signed)

    @property
    def quantity(self) -> int:
        """How many shares."""
        return abs(self.signed)

    @property
    def value(self) -> float:
        """What it is worth at the price it was planned at."""
        return self.quantity * self.price


@dataclass(frozen=True)
class Crossing:
    """Shares that strategies pass to each other where no order is left after netting."""

    symbol: str
    price: float
    shares: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """All orders of a session, sales before purchases, and what needs none."""

    orders: tuple[Planned, ...]
    crossings: tuple[Crossing, ...]


def plan(wishes: Sequence[Wish], prices: Mapping[str, float]) -> Plan:
    """Return the orders that bring every book to its wish: the union of targets and holdings."""
    deltas: dict[str, dict[str, int]] = {}
    for wish in wishes:
        for symbol in sorted(wish.weights.keys() | wish.held.keys() | wish.before.keys()):
            if delta := _delta(wish, symbol, prices):
                deltas.setdefault(symbol, {})[wish.strategy] = delta
    orders, crossings = [], []
    for symbol, shares in deltas.items():
        signed = sum(shares.values())
        if signed:
            orders.append(Planned(symbol, signed, prices[symbol], shares))
        else:
            crossings.append(Crossing(symbol, prices[symbol], shares))
    return Plan(tuple(sorted(orders, key=lambda order: (order.signed > 0, order.symbol))), tuple(crossings))


def attribute(shares: Mapping[str, int], filled: int) -> dict[str, int]:
    """Return what each strategy has of the first ``filled`` shares (signed as the order) of an order for ``shares``.

    By largest remainder, so that whole shares sum to the fill, and a full fill gives everyone what was planned.
    Of two partial fills the second's part is the difference of two calls: nothing is lost to rounding.

    >>> attribute({"A": 100, "B": -40}, 30)
    {'A': 50, 'B': -20}
    """
    total = sum(shares.values())
    if total == 0 or filled * total < 0 or abs(filled) > abs(total):
        raise DataRefused(f"fill of {filled:+d} shares for an order of {total:+d}; the broker and the journal disagree")
    exact = {name: own * filled / total for name, own in shares.items()}
    whole = {name: math.floor(value + NEAR) for name, value in exact.items()}
    for name in _by_remainder(exact, whole)[: filled - sum(whole.values())]:
        whole[name] += 1
    return whole


def round_to_tick(price: float, tick: float, side: Side) -> float:
    """Return a limit price on the tick that is not worse for us: down for a purchase, up for a sale."""
    if not (math.isfinite(price) and price > 0 and tick > 0):
        raise DataRefused(f"price {price!r} with tick {tick!r}: both must be positive numbers")
    steps = price / tick
    whole = (
        math.floor(steps + NEAR * max(1.0, steps)) if side is Side.BUY else math.ceil(steps - NEAR * max(1.0, steps))
    )
    digits = max(0, -math.floor(math.log10(tick) + NEAR)) + 2
    return round(whole * tick, digits)


def whole_shares(value: float, price: float) -> int:
    """Return the whole shares that a signed value buys, rounded towards zero."""
    shares = value / price
    return int(math.copysign(math.floor(abs(shares) + NEAR), shares))


def _delta(wish: Wish, symbol: str, prices: Mapping[str, float]) -> int:
    weight, held = wish.weights.get(symbol, 0.0), wish.held.get(symbol, 0)
    if not math.isfinite(weight):
        raise DataRefused(f"{wish.strategy}: weight of {symbol} is {weight}; a weight must be a finite number")
    changed = weight != wish.before.get(symbol, 0.0)
    if not changed and not (wish.rebalance == "every_bar" and weight):
        return 0 if weight or not held else -held  # left over from a sale that was cut short: close it
    if weight == 0.0:
        return -held
    price = prices.get(symbol, math.nan)
    if not (math.isfinite(price) and price > 0):
        raise DataRefused(f"{wish.strategy}: no usable price of {symbol} ({price}); it cannot be sized")
    return whole_shares(weight * wish.equity - held * price, price)


def _by_remainder(exact: Mapping[str, float], whole: Mapping[str, int]) -> list[str]:
    names: Iterable[str] = exact
    return sorted(names, key=lambda name: (whole[name] - exact[name], name))
