"""From weights to wishes: what each strategy holds and has reached, what may be traded, and what may only shrink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.live.book import Book, Tracked
from workbench.live.session import Seat
from workbench.orders import Wish, attribute, whole_shares


@dataclass(frozen=True)
class Wishes:
    """One strategy's wish as it was meant, and ``clipped`` to what can be traded: priced, and only less where told."""

    weights: Mapping[str, float]
    before: Mapping[str, float]
    held: Mapping[str, int]
    clipped: Wish
    unpriced: tuple[str, ...]


def wishes_of(
    seats: Sequence[Seat],
    weights: Mapping[str, Mapping[str, float]],
    book: Book,
    prices: Mapping[str, float],
    equity: float,
) -> tuple[Wishes, ...]:
    """Return the wish of every seat; shares that an open order may still bring count as held."""
    return tuple(_wish(seat, weights[seat.name], book, prices, equity) for seat in seats)


def _wish(seat: Seat, weights: Mapping[str, float], book: Book, prices: Mapping[str, float], equity: float) -> Wishes:
    before, held = book.past.reached(seat.name, book), held_by(seat.name, book)
    touched = weights.keys() | before.keys() | held.keys()
    asked = {name for name in touched if _trades(name, weights, before, held, seat.rebalance)}
    unpriced = tuple(sorted(asked - prices.keys()))
    wish = Wish(
        seat.name, seat.money(equity), _without(weights, unpriced), _without(before, unpriced),
        {name: count for name, count in held.items() if name not in unpriced}, seat.rebalance,
    )  # fmt: skip
    return Wishes(weights, before, held, _shrinking(wish, prices) if seat.reduce_only else wish, unpriced)


def held_by(strategy: str, book: Book) -> dict[str, int]:
    """Return a strategy's shares, with those that open orders may still bring; what protects them is left out."""
    held = dict(book.books.get(strategy, {}))
    for one in book.open_orders:
        order = one.order
        if not (order.parent or one.protects):
            held[order.symbol] = held.get(order.symbol, 0) + rest_of(one, strategy)
    return {name: count for name, count in held.items() if count}


def rest_of(one: Tracked, strategy: str) -> int:
    """Return the shares that an open order may still bring a strategy, or take from it."""
    shares = one.intent.asked.shares
    if strategy not in shares:
        return 0
    return shares[strategy] - attribute(shares, one.filled * one.order.side.sign)[strategy]


def _trades(
    name: str, weights: Mapping[str, float], before: Mapping[str, float], held: Mapping[str, int], rebalance: str
) -> bool:
    """Whether a symbol may be traded, so that its price must be known."""
    weight = weights.get(name, 0.0)
    again = rebalance == "every_bar" and bool(weight)
    return again or weight != before.get(name, 0.0) or (not weight and bool(held.get(name)))


def _shrinking(wish: Wish, prices: Mapping[str, float]) -> Wish:
    """Return a wish that opens nothing: a target on the other side closes, a larger one leaves what is held."""
    weights, before = dict(wish.weights), dict(wish.before)
    for name in weights.keys() | wish.held.keys():
        held, weight = wish.held.get(name, 0), weights.get(name, 0.0)
        target = whole_shares(weight * wish.equity, prices[name]) if name in prices else held
        if held * target <= 0:
            weights[name] = 0.0
        elif abs(target) >= abs(held):
            before[name] = weight
    return replace(wish, weights=weights, before=before, rebalance="on_change")


def _without(values: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name not in names}
