"""Whatever the world is, no order that breaks a limit passes: random worlds, held against plain arithmetic.

The arithmetic here tries every set of open orders that may fill, one by one; the gate sums them up.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from random import Random

import pytest

from workbench.live.gate import Day, Origin, Sent, decide
from workbench.live.limits import Limits
from workbench.live.trading_state import TradingState
from workbench.trading import Margin, Side

LIMITS = Limits(
    max_order_value=9_000.0,
    confirm_above=9_000.0,
    max_order_quantity=80,
    max_position=0.10,
    max_position_value=9_500.0,
    max_positions=2,
    max_gross=0.15,
    max_net=0.10,
    max_sector=0.12,
    max_orders_per_day=3,
    max_orders_per_second=2,
)
SYMBOLS = ("AAA", "BBB", "CCC")
# What may be wrong with a world; most of the time little is.
WRONG = (None, math.nan, math.inf, -math.inf, -1.0, 0.0)


def random_case(w, draw: Random):
    def often(value, *other, odds=12):
        return draw.choice(other) if draw.randrange(odds) == 0 else value

    price = {name: draw.choice((50.0, 90.0, 100.0, 110.0)) for name in SYMBOLS}
    quotes = {
        name: w.quote(name, often(price[name], *WRONG, odds=40), age=often(1.0, 61.0, -9.0, odds=40))
        for name in SYMBOLS
    }
    working = tuple(
        w.working(
            draw.randrange(1, 60),
            draw.choice(tuple(Side)),
            draw.choice(SYMBOLS),
            f"w{n}",
            limit=draw.choice((None, 100.0)),
        )
        for n in range(draw.choice((0, 0, 1, 2, 3)))
    )
    limit = draw.choice((None, None, 90.0, 100.0, 106.0, 100.004, math.nan))
    asked = w.asked(
        often(draw.randrange(1, draw.choice((30, 110))), 0, -5, 2.5, odds=30), draw.choice(tuple(Side)), limit=limit,
        planned=often(200, 40), origin=often(Origin.STRATEGY, Origin.OPERATOR, Origin.ALERT),
    )  # fmt: skip
    positions = {name: draw.choice((0, 0, 0, 0, 20, 50, 80, -20, -50, -80)) for name in SYMBOLS}
    state = w.state(
        limits=LIMITS,
        trading=draw.choice((*[TradingState.ACTIVE] * 4, *[TradingState.REDUCING] * 4, TradingState.HALTED, None)),
        reconciled=often(True, False, None, odds=30),
        connected=often(True, False, None, odds=30),
        quotes=quotes,
        closes=dict.fromkeys(SYMBOLS, 100.0),
        positions=positions,
        booked=often(positions, {**positions, "AAA": positions["AAA"] - 20}, None, odds=90),
        open_orders=working,
        sectors=dict(zip(SYMBOLS, draw.choice((("T", "T", "F"), ("T", "F", "H"))), strict=True)),
        account=w.account(equity=often(100_000.0, *WRONG, odds=40), buying_power=often(1e6, 4_000.0, *WRONG)),
        what_if=often(Margin(5_000.0, 5_000.0, 100_000.0, 1.0), None, Margin(95e3, 95e3, 1e5, 1.0), odds=20),
        day=often(Day(100_000.0, -100.0), Day(100_000.0, -3_000.0), Day(100_000.0, math.nan), None),
        sent=tuple(
            Sent(w.now, f"s{n}", "AAA", Side.BUY, 7) for n in range(draw.choice((0, 0, 0, 1, 2, 3)))
        ),
    )  # fmt: skip
    return asked, state


def reached(asked, state):
    """Yield what may be held of every symbol, for every set of open orders that may fill, the order itself filled."""
    for fills in product((False, True), repeat=len(state.open_orders)):
        held = dict(state.positions)
        for filled, one in zip(fills, state.open_orders, strict=True):
            held[one.order.symbol] += one.order.signed if filled else 0
        held[asked.order.symbol] += asked.order.signed
        yield held


def same_side_reached(asked, state):
    """Yield what the symbol's position may be just before the order, if only orders of its own side fill."""
    ours = [one.order for one in state.open_orders if one.order.symbol == asked.order.symbol]
    ours = [order.signed for order in ours if order.side is asked.order.side]
    for fills in product((0, 1), repeat=len(ours)):
        yield state.positions[asked.order.symbol] + sum(n * filled for n, filled in zip(ours, fills, strict=True))


def shrinks(asked, state) -> bool:
    """Whether the order brings the position towards zero and never beyond, whichever other orders fill first."""
    signed = asked.order.signed
    return all(before * signed < 0 and abs(signed) <= abs(before) for before in same_side_reached(asked, state))


def breaks(w, asked, state) -> list[str]:
    """Return the limits that this order would break, by arithmetic of its own."""
    order, found = asked.order, []
    quote, account = state.quotes["AAA"], state.account
    prices = [price for price in (quote.bid, quote.ask, quote.last) if price is not None]
    age = (w.now - quote.at).total_seconds()
    found += [] if prices and all(0 < price < math.inf for price in prices) else ["price"]
    found += [] if -5 <= age <= 60 else ["age"]
    found += [] if (state.reconciled, state.connected) == (True, True) else ["standing"]
    if asked.origin is not Origin.OPERATOR:
        found += [] if (state.booked or {}).get("AAA") == state.positions["AAA"] else ["booked"]
    found += [] if isinstance(order.quantity, int) and order.quantity > 0 else ["quantity"]
    found += ["tick"] if order.limit is not None and order.limit not in (90.0, 100.0, 106.0) else []
    found += ["rate"] if len(state.sent) >= 2 else []
    if asked.origin is Origin.STRATEGY:
        found += ["decision"] if order.quantity > asked.planned else []
    if shrinks(asked, state):
        return found + (["halted"] if state.trading not in (TradingState.ACTIVE, TradingState.REDUCING) else [])
    found += [] if state.trading is TradingState.ACTIVE else ["not active"]
    found += [] if 0 < (account.equity if account.equity is not None else -1) < math.inf else ["equity"]
    found += [] if state.day is not None and state.day.pnl > -3_000.0 else ["loss"]
    found += [] if state.what_if is not None and state.what_if.initial_change <= 90_000 else ["margin"]
    if found:
        return found
    marks = {name: quote.mid for name, quote in state.quotes.items()}
    used = (
        {"AAA"} | {name for name in SYMBOLS if state.positions[name]} | {one.order.symbol for one in state.open_orders}
    )
    if any(marks[name] is None or not 0 < marks[name] < math.inf for name in used):
        return ["a mark"]
    value = order.quantity * max(marks["AAA"], order.limit or 0.0)
    found += ["value"] if value > 9_000 or order.quantity > 80 else []
    found += ["power"] if not value <= (account.buying_power if account.buying_power is not None else -1) else []
    found += ["positions"] if len(used) > 2 else []
    for held in reached(asked, state):
        values = {name: shares * marks[name] for name, shares in held.items() if shares}
        found += ["position"] if abs(values.get("AAA", 0.0)) > 9_500 else []
        found += ["gross"] if math.fsum(map(abs, values.values())) > 15_000 else []
        found += ["net"] if order.side.sign * sum(values.values()) > 10_000 else []
        alike = [abs(v) for name, v in values.items() if state.sectors[name] == state.sectors["AAA"]]
        found += ["sector"] if sum(alike) > 12_000 else []
    return found


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_world_no_order_that_breaks_a_limit_passes(world, seed):
    draw, grew, shrank = Random(seed), 0, 0
    for _ in range(2_500):
        asked, state = random_case(world, draw)
        decision = decide(asked, state)
        if not decision.passes:
            assert decision.reasons
            continue
        assert breaks(world, asked, state) == [], (asked, state)
        shrank += shrinks(asked, state)
        grew += not shrinks(asked, state)
    assert grew > 20  # the property is not about nothing
    assert shrank > 40


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_world_an_order_that_closes_passes_while_reducing(world, seed):
    draw, closed = Random(seed), 0
    for _ in range(1_000):
        _, state = random_case(world, draw)
        sound = world.state(limits=LIMITS, positions=state.positions, account=state.account, day=state.day,
                            trading=TradingState.REDUCING, what_if=state.what_if)  # fmt: skip
        held = sound.positions["AAA"]
        if held:
            close = world.asked(abs(held), Side.of(-held), planned=200)
            assert decide(close, sound).passes
            over = world.asked(abs(held) + 1, Side.of(-held), planned=200)
            assert not decide(over, sound).passes
            closed += 1
    assert closed > 200


@pytest.mark.parametrize("missing", ["trading", "reconciled", "connected", "verified", "whitelist", "instruments",
                                     "hours", "quotes", "closes", "account", "positions", "open_orders", "sectors",
                                     "day", "sent", "fills", "worked", "what_if"])  # fmt: skip
def test_whatever_one_thing_is_not_known_the_order_is_denied(world, missing):
    assert decide(world.asked(), world.state()).passes
    decision = decide(world.asked(), replace(world.state(), **{missing: None}))
    assert not decision.passes
    assert any("cannot be evaluated" in reason for reason in decision.reasons)
