"""Rules 10 to 12: how much an order, a position and a strategy may be."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.live.gate.facts import Asked, GateState, known, total, worth
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.trading import Side


def _quantity(asked: Asked, state: GateState) -> Iterator[Denial]:
    quantity = asked.order.quantity
    if type(quantity) is not int or quantity < 1:
        yield deny("QUANTITY_NOT_WHOLE", min_quantity=1, quantity=quantity)
    elif quantity > state.limits.max_order_quantity and not state.reduces(asked.order):
        yield deny("QUANTITY_EXCEEDS_MAX_PER_ORDER", max_quantity=state.limits.max_order_quantity, quantity=quantity)


def _notional(asked: Asked, state: GateState) -> Iterator[Denial]:
    notional, most = worth(asked.order, state), state.limits.max_order_value
    if not notional <= most:
        yield deny("NOTIONAL_EXCEEDS_MAX_PER_ORDER", max_notional=most, notional=notional)


def _position(asked: Asked, state: GateState) -> Iterator[Denial]:
    order, limits = asked.order, state.limits
    value, most = largest(order.symbol, state, asked) * state.mark(order.symbol), limits.max_position * state.equity()
    if not value <= min(most, limits.max_position_value):
        yield deny("POSITION_EXCEEDS_MAX", max_position=min(most, limits.max_position_value), position=value)
    count = len(state.symbols | {order.symbol})
    if count > limits.max_positions:
        yield deny("POSITIONS_EXCEED_MAX", max_positions=limits.max_positions, positions=count)
    for strategy, shares in asked.shares.items():
        if strategy in state.capital:
            book = dict(known(state.books, "books").get(strategy, {}))
            before, book[order.symbol] = abs(book.get(order.symbol, 0)), book.get(order.symbol, 0) + shares
            at_work = total((abs(n) * state.mark(symbol) for symbol, n in book.items() if n), f"book of {strategy}")
            if abs(book[order.symbol]) > before and not at_work <= state.capital[strategy]:
                yield deny(
                    "CAPITAL_EXCEEDS_STAGE", strategy=strategy, max_capital=state.capital[strategy], capital=at_work
                )


def reach(symbol: str, state: GateState, asked: Asked) -> tuple[int, int]:
    """Return the most and the least shares that there may be of a symbol once orders fill, this one included."""
    most, least = extremes(symbol, state)
    order = asked.order
    if order.symbol != symbol:
        return most, least
    return (most + order.quantity, least) if order.side.sign > 0 else (most, least - order.quantity)


def extremes(symbol: str, state: GateState) -> tuple[int, int]:
    """Return the most and the least shares that open orders may make of what is held."""
    held = state.held(symbol)
    return held + state.pending(symbol, Side.BUY), held - state.pending(symbol, Side.SELL)


def largest(symbol: str, state: GateState, asked: Asked) -> int:
    """Return the largest holding, long or short, that there may be of a symbol."""
    return max(map(abs, reach(symbol, state, asked)))


RULES = (
    Rule(10, "QUANTITY", _quantity, always=True),
    Rule(11, "NOTIONAL", _notional, growing=True),
    Rule(12, "POSITION", _position, growing=True),
)
