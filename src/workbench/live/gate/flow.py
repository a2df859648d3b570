"""Rules 16 to 20: how often, how much of one decision, against whom, and in which direction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from workbench.live.gate.facts import Asked, GateState, Origin, Unknown, known
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.live.trading_state import TradingState
from workbench.trading import Order, OrderType, Side

RESTING = (OrderType.MARKET, OrderType.LIMIT)


def _rate(asked: Asked, state: GateState) -> Iterator[Denial]:
    sent, limits = known(state.sent, "orders sent"), state.limits
    windows = (("SECOND", 1, limits.max_orders_per_second), ("MINUTE", 60, limits.max_orders_per_minute))
    for name, seconds, most in windows:
        count = 1 + sum(state.now - one.at < timedelta(seconds=seconds) for one in sent)
        if count > most:
            yield deny(f"ORDERS_EXCEED_MAX_PER_{name}", max_orders=most, orders=count)
    count = 1 + sum(not one.reducing for one in sent)
    if count > limits.max_orders_per_day and not state.reduces(asked):
        yield deny("ORDERS_EXCEED_MAX_PER_DAY", max_orders=limits.max_orders_per_day, orders=count)


def _duplicate(asked: Asked, state: GateState) -> Iterator[Denial]:
    order, window = asked.order, state.limits.min_duplicate_seconds
    asked_for = (order.symbol, order.side, order.quantity, order.limit, order.stop)
    twins = asked.origin is not Origin.PROTECTION  # taken back for a trade, it is put there again
    for one in known(state.sent, "orders sent"):
        age = (state.now - one.at).total_seconds()
        if one.key == order.key:
            yield deny("KEY_ALREADY_SENT", key=order.key, seconds_ago=age)
        elif twins and asked_for == (one.symbol, one.side, one.quantity, one.limit, one.stop) and age < window:
            yield deny("DUPLICATE_ORDER", min_seconds=window, seconds_ago=age, key=one.key)


def _repeats(asked: Asked, state: GateState) -> Iterator[Denial]:
    order, limits = asked.order, state.limits
    since = state.now - timedelta(minutes=limits.min_repeat_minutes)
    same = {
        fill.key or fill.id
        for fill in known(state.fills, "executions")
        if (fill.symbol, fill.side) == (order.symbol, order.side) and fill.at > since
    }
    if len(same) >= limits.max_repeats and not state.reduces(asked):
        yield deny(
            "REPEATED_EXECUTION", max_repeats=limits.max_repeats, repeats=len(same), minutes=limits.min_repeat_minutes
        )
    if order.parent:  # an exit: bounded by its entry
        return
    if asked.origin is Origin.STRATEGY and not (asked.decision and asked.planned > 0):
        raise Unknown("no decision is named that it is a part of")
    if asked.decision:
        worked = known(state.worked, "shares worked").get(asked.decision, 0)
        if worked + order.quantity > asked.planned:
            yield deny("DECISION_EXCEEDED", planned=asked.planned, worked=worked, quantity=order.quantity)


def _self_cross(asked: Asked, state: GateState) -> Iterator[Denial]:
    order = asked.order
    if order.type not in RESTING:
        return  # it rests at the broker until its price is reached
    for working in known(state.open_orders, "open orders"):
        other = working.order
        opposite = other.symbol == order.symbol and other.side is not order.side and working.remaining > 0
        related = order.parent == other.key or other.parent == order.key
        if opposite and not related and other.type in RESTING and _meet(order, other):
            yield deny("SELF_CROSS", resting=other.key, resting_price=_price(other), price=_price(order))


def _meet(one: Order, other: Order) -> bool:
    if one.limit is None or other.limit is None:
        return True
    buy, sell = (one, other) if one.side is Side.BUY else (other, one)
    return (buy.limit or 0.0) >= (sell.limit or 0.0)


def _price(order: Order) -> object:
    return "market" if order.limit is None else order.limit


def _reduce_only(asked: Asked, state: GateState) -> Iterator[Denial]:
    order = asked.order
    bound = {
        "trading state": state.trading is TradingState.REDUCING,
        "emergency stop": asked.origin is Origin.EMERGENCY,
    }
    because = [name for name, applies in bound.items() if applies]
    if because and not state.reduces(asked):
        held, pending = state.ours(asked), state.pending(order.symbol, order.side, beside=order)
        yield deny("NOT_REDUCING", because=because[0], held=held, pending=pending, order=order.signed)
    for strategy, shares in asked.shares.items():
        if strategy in state.reduce_only:
            own, pending = state.own(strategy, order.symbol), state.ordered_of(strategy, order.symbol, Side.of(shares))
            if not (own * shares < 0 and abs(shares) <= abs(own) - pending):
                bound_by = f"{strategy} may only reduce"
                yield deny("NOT_REDUCING", because=bound_by, held=own, pending=pending, order=shares)


RULES = (
    Rule(16, "RATE", _rate),
    Rule(17, "DUPLICATE", _duplicate),
    Rule(18, "REPEATS", _repeats),
    Rule(19, "SELF_CROSS", _self_cross),
    Rule(20, "REDUCE_ONLY", _reduce_only, always=True),
)
