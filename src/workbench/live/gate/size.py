"""Rules 10 to 12: how much an order, a position and a strategy may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workbench.live.gate.facts import Asked, GateState, known, total, worth
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.trading import Side


def _quantity(asked: Asked, state: GateState) -> Iterator[Denial]:
    quantity = asked.order.quantity
    if type(quantity) is not int or quantity < 1:
        yield deny("QUANTITY_NOT_WHOLE", min_quantity=1, quantity=quantity)
    elif quantity > state.limits.max_order_quantity and not state.reduces(asked):
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
            most, capital = state.capital[strategy], _capital(strategy, order.symbol, shares, state)
            if capital is not None and not capital <= most:
                yield deny("CAPITAL_EXCEEDS_STAGE", strategy=strategy, max_capital=most, capital=capital)


def _capital(strategy: str, symbol: str, shares: int, state: GateState) -> float | None:
    """Return what a strategy may have at work with these shares, once its orders fill; None where they add none."""
    then = replace(state, ordered=(*state.ordered, (strategy, symbol, shares)))
    if then.at_work(strategy, symbol) <= state.at_work(strategy, symbol):
        return None
    ordered = {of for name, of, _ in then.ordered if name == strategy}
    symbols = ordered | known(state.books, "books").get(strategy, {}).keys()
    counts = {name: count for name in symbols if (count := then.at_work(strategy, name))}
    return total((count * state.mark(name) for name, count in counts.items()), f"book of {strategy}")


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
    """Return the largest holding of a symbol, long or short, that there may be: in the account, or of ours."""
    ends, theirs = reach(symbol, state, asked), state.theirs.get(symbol, 0)
    return max(abs(end - beside) for end in ends for beside in (0, theirs))


RULES = (
    Rule(10, "QUANTITY", _quantity, always=True),
    Rule(11, "NOTIONAL", _notional, growing=True),
    Rule(12, "POSITION", _position, growing=True),
)
