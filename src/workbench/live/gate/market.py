"""Rules 7 to 9: prices that can be believed, and an order's prices held against them."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.live.gate.facts import Asked, GateState, known, positive, prices_asked
from workbench.live.gate.rule import Denial, Rule, deny
from workbench.live.gate.standing import tick_of
from workbench.trading import OrderType, Side

CLOCKS_APART_SECONDS = 5.0
ON_TICK = 1e-6  # of a tick


def _quote(asked: Asked, state: GateState) -> Iterator[Denial]:
    symbol = asked.order.symbol
    quote = known(known(state.quotes, "quotes").get(symbol), f"quote of {symbol}")
    for name, price in (("bid", quote.bid), ("ask", quote.ask), ("last", quote.last)):
        if price is not None:
            positive(price, f"{name} of {symbol}")
    positive(quote.mid, f"price of {symbol}")
    if quote.bid is not None and quote.ask is not None and quote.bid > quote.ask:
        yield deny("QUOTE_CROSSED", symbol=symbol, bid=quote.bid, ask=quote.ask)
    age = (state.now - quote.at).total_seconds()
    if not age <= state.limits.max_quote_age_seconds:
        yield deny("QUOTE_STALE", symbol=symbol, max_age_seconds=state.limits.max_quote_age_seconds, age_seconds=age)
    if not age >= -CLOCKS_APART_SECONDS:
        yield deny("QUOTE_FROM_AHEAD", symbol=symbol, max_ahead_seconds=CLOCKS_APART_SECONDS, ahead_seconds=-age)


def _collar(asked: Asked, state: GateState) -> Iterator[Denial]:
    order, most = asked.order, state.limits.max_price_collar
    mid = state.mark(order.symbol)
    close = positive(known(state.closes, "last closes").get(order.symbol), f"last close of {order.symbol}")
    gap, widest = abs(mid - close), state.limits.max_gap
    if not gap <= widest * close:
        yield deny("QUOTE_FAR_FROM_CLOSE", max_gap=widest, gap=gap / close, quote=mid, close=close)
    prices_asked(order)
    # A limit reaches through the market upwards for a purchase; a stop that the market has passed is a market order.
    limit_from = order.stop if order.type is OrderType.STOP_LIMIT else mid
    if order.limit is not None and order.type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        yield from _through("limit", order.limit, limit_from or mid, order.side, most)
    if order.stop is not None and order.type in (OrderType.STOP, OrderType.STOP_LIMIT) and not state.reduces(asked):
        yield from _through("stop", order.stop, mid, _other(order.side), most)


def _through(name: str, price: float, market: float, side: Side, most: float) -> Iterator[Denial]:
    through = side.sign * (price - market)
    if not through <= most * market:
        yield deny("PRICE_OUTSIDE_COLLAR", max_through=most, through=through / market, market=market, **{name: price})


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _tick(asked: Asked, state: GateState) -> Iterator[Denial]:
    tick = tick_of(asked.order.symbol, state)
    for price in prices_asked(asked.order):
        steps = price / tick
        if not abs(steps - round(steps)) <= ON_TICK * max(1.0, steps * 1e-6):
            yield deny("PRICE_OFF_TICK", tick=tick, price=price)


RULES = (
    Rule(7, "QUOTE", _quote),
    Rule(8, "PRICE_COLLAR", _collar),
    Rule(9, "TICK", _tick),
)
