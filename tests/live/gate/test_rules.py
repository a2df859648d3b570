"""Every rule has orders that it must deny, with the text that a person reads, and one at the bound that must pass.

All numbers are worked by hand: an account of 100,000 dollars, prices of 100, and the default limits.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from workbench.live.gate import RULES, Cancel, Day, Origin, Outcome, Sent, check, decide
from workbench.live.limits import Limits
from workbench.live.trading_state import TradingState
from workbench.trading import Instrument, Margin, Order, OrderStatus, Side

SELL = Side.SELL
WIDE = Limits(max_positions=100, max_correlation=1.0, max_sector=10.0, max_position=1.0, max_position_value=1e9,
              max_gross=10.0, max_net=10.0, max_order_value=1e9, confirm_above=1e9)  # fmt: skip


def sent(w, seconds, key="s1", quantity=50, **changes):
    return Sent(w.now - timedelta(seconds=seconds), key, "AAA", Side.BUY, quantity, **changes)


def at(hour, minute, second=0):
    return datetime(2024, 7, 2, hour, minute, second, tzinfo=UTC)


def clock(w, moment):
    """The same world at another moment: quotes and account are of then."""
    quotes = {name: replace(quote, at=moment) for name, quote in w.state().quotes.items()}
    return w.state(now=moment, quotes=quotes, account=w.account(at=moment))


def quoted(w, price=100.0, age=1.0, limits=None, **changes):
    return w.state(quotes=w.state().quotes | {"AAA": w.quote(price=price, age=age, **changes)}, limits=limits or WIDE)


def twins(flipped):
    """Return 80 returns of ±1 twice, the first few with the other sign in the second: (80 - 2 × flipped) / 80."""
    first = [1.0, -1.0] * 40
    return {"AAA": first, "BBB": [-value for value in first[:flipped]] + first[flipped:]}


def listed(sessions):
    """Return 120 sessions in which BBB, listed for the last few only, moves exactly with AAA; CCC moves apart."""
    moves = [0.01, -0.01] * 60
    return {"AAA": moves, "BBB": [float("nan")] * (120 - sessions) + moves[120 - sessions :],
            "CCC": [0.01, 0.01, -0.01, -0.01] * 30}  # fmt: skip


def still():
    """Return 60 sessions of AAA, in which BBB never moved: it was halted."""
    return {"AAA": [0.01, -0.01] * 30, "BBB": [0.0] * 60}


# rule, what is asked in which world, the first line of the denial; None passes
ROWS = [
    (1, lambda w: (w.asked(), w.state(trading=TradingState.HALTED, halted_because="kill by ada")),
     "TRADING_HALTED: state=halted, because=kill by ada"),
    (1, lambda w: (w.asked(), w.state(trading=None)), "TRADING_STATE: cannot be evaluated: trading state unknown"),
    (1, lambda w: (w.asked(), w.state(trading="open")), "TRADING_HALTED: state=open, because=not told"),
    (1, lambda w: (w.asked(), w.state(trading=TradingState.ACTIVE)), None),
    (1, lambda w: (w.asked(50, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 50})), None),
    (2, lambda w: (w.asked(), w.state(reconciled=False)), "NOT_RECONCILED: symbol=AAA"),
    (2, lambda w: (w.asked(), w.state(reconciled=None)), "RECONCILED: cannot be evaluated: reconciliation unknown"),
    (2, lambda w: (w.asked(), w.state(locked=frozenset({"AAA", "BBB"}))), "SYMBOL_LOCKED: symbol=AAA, locked=2"),
    (2, lambda w: (w.asked(), w.state(locked=frozenset({"BBB"}))), None),
    (2, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION, stop=96.0), w.state(booked={"AAA": 50})),
     "POSITION_DIFFERS: symbol=AAA, journal=50, broker=0"),
    (2, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION, stop=96.0),
                   w.state(reconciled=False, positions={"AAA": 50})), None),
    (2, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION, stop=96.0), w.state(reconciled=None)),
     "RECONCILED: cannot be evaluated: reconciliation unknown"),
    (2, lambda w: (w.asked(20, SELL), w.state(positions={"AAA": 20}, booked={"AAA": 50})),
     "POSITION_DIFFERS: symbol=AAA, journal=50, broker=20"),
    (2, lambda w: (w.asked(10, SELL, origin=Origin.ALERT), w.state(positions={"AAA": 50}, booked={})),
     "POSITION_DIFFERS: symbol=AAA, journal=0, broker=50"),
    (2, lambda w: (w.asked(), w.state(booked=None)),
     "RECONCILED: cannot be evaluated: positions in the journal unknown"),
    (2, lambda w: (w.asked(), w.state(positions=None)), "RECONCILED: cannot be evaluated: positions unknown"),
    (2, lambda w: (w.asked(20, SELL, origin=Origin.OPERATOR), w.state(positions={"AAA": 20}, booked={"AAA": 50})),
     None),
    (2, lambda w: (w.asked(), w.state(booked={"BBB": 50})), None),
    (2, lambda w: (w.asked(50, SELL), w.state(positions={"AAA": 7}, explained={"AAA": 7})),
     "EXPLAINED_AGAINST: symbol=AAA, explained=7, after=-50"),
    (2, lambda w: (w.asked(50), w.state(positions={"AAA": -7}, explained={"AAA": -7})),
     "EXPLAINED_AGAINST: symbol=AAA, explained=-7, after=50"),
    (2, lambda w: (w.asked(50, SELL), w.state(positions={"AAA": 57}, explained={"AAA": 7},
                                              ordered=(("trend", "AAA", -10),))),
     "EXPLAINED_AGAINST: symbol=AAA, explained=7, after=-10"),
    (2, lambda w: (w.asked(50, SELL), w.state(positions={"AAA": 57}, explained={"AAA": 7})), None),
    (2, lambda w: (w.asked(50), w.state(positions={"AAA": 7}, explained={"AAA": 7})), None),
    (2, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION, stop=96.0),
                   w.state(positions={"AAA": 7}, explained={"AAA": 7})), None),
    (3, lambda w: (w.asked(), w.state(connected=False)), "NOT_CONNECTED: connected=False"),
    (3, lambda w: (w.asked(), w.state(connected=None)), "CONNECTED: cannot be evaluated: connection unknown"),
    (3, lambda w: (w.asked(), w.state(connected=True)), None),
    (4, lambda w: (w.asked(packs={"trend": "b" * 64}), w.state()),
     "PACK_NOT_VERIFIED: strategy=trend, verified=aaaaaaaaaaaa, decided=bbbbbbbbbbbb"),
    (4, lambda w: (w.asked(), w.state(verified={})),
     "PACK_NOT_VERIFIED: strategy=trend, verified=none, decided=aaaaaaaaaaaa"),
    (4, lambda w: (w.asked(packs={"trend": ""}), w.state(verified={"trend": ""})),
     "PACK_NOT_VERIFIED: strategy=trend, verified=none, decided=none"),
    (4, lambda w: (w.asked(shares={}), w.state()), "PACK: cannot be evaluated: no strategy is named that wants it"),
    (4, lambda w: (w.asked(shares={"trend": 49}), w.state()),
     "PACK: cannot be evaluated: the strategies want +49 shares, the order +50"),
    (4, lambda w: (w.asked(shares={}, packs={}, decision="", origin=Origin.OPERATOR), w.state()), None),
    (5, lambda w: (w.asked(), w.state(whitelist=frozenset({"BBB"}))),
     "SYMBOL_NOT_WHITELISTED: symbol=AAA, whitelisted=1"),
    (5, lambda w: (w.asked(), w.state(instruments={})), "CONTRACT_NOT_QUALIFIED: symbol=AAA, contract=none"),
    (5, lambda w: (w.asked(), w.state(instruments={"AAA": Instrument("AAA", 0, "SMART", "NYSE", "USD", 0.01)})),
     "CONTRACT_NOT_QUALIFIED: symbol=AAA, contract=0"),
    (5, lambda w: (w.asked(), w.state(instruments={"AAA": Instrument("AAA", 7, "SMART", "TSE", "CAD", 0.01)})),
     "CURRENCY_DIFFERS: account=USD, contract=CAD"),
    (5, lambda w: (w.asked(50, SELL), w.state(whitelist=frozenset(), positions={"AAA": 50})), None),
    # New York opens at 13:30 UTC in July: orders from 13:00 to the minute before the close at 20:00.
    (6, lambda w: (w.asked(), clock(w, at(12, 59, 59))),
     "SESSION_CLOSED: first=2024-07-02T13:00:00Z, last=2024-07-02T19:59:00Z, now=2024-07-02T12:59:59Z"),
    (6, lambda w: (w.asked(), clock(w, at(19, 59))),
     "SESSION_CLOSED: first=2024-07-02T13:00:00Z, last=2024-07-02T19:59:00Z, now=2024-07-02T19:59:00Z"),
    (6, lambda w: (w.asked(), w.state(hours=None)), "SESSION: cannot be evaluated: session hours unknown"),
    (6, lambda w: (w.asked(), clock(w, at(13, 0))), None),
    (6, lambda w: (w.asked(), clock(w, at(19, 58, 59))), None),
    (7, lambda w: (w.asked(), w.state(quotes={})), "QUOTE: cannot be evaluated: quote of AAA unknown"),
    (7, lambda w: (w.asked(), quoted(w, None)), "QUOTE: cannot be evaluated: price of AAA unknown"),
    (7, lambda w: (w.asked(), quoted(w, bid=float("nan"))), "QUOTE: cannot be evaluated: bid of AAA is nan"),
    (7, lambda w: (w.asked(), quoted(w, ask=float("inf"))), "QUOTE: cannot be evaluated: ask of AAA is inf"),
    (7, lambda w: (w.asked(), quoted(w, last=0.0)), "QUOTE: cannot be evaluated: last of AAA is 0"),
    (7, lambda w: (w.asked(), quoted(w, -1.0)), "QUOTE: cannot be evaluated: bid of AAA is -1"),
    (7, lambda w: (w.asked(), quoted(w, bid=100.5, ask=100.0)), "QUOTE_CROSSED: symbol=AAA, bid=100.5, ask=100"),
    (7, lambda w: (w.asked(), quoted(w, age=60.5)), "QUOTE_STALE: symbol=AAA, max_age_seconds=60, age_seconds=60.5"),
    (7, lambda w: (w.asked(), quoted(w, age=-6.0)),
     "QUOTE_FROM_AHEAD: symbol=AAA, max_ahead_seconds=5, ahead_seconds=6"),
    (7, lambda w: (w.asked(), quoted(w, age=60.0)), None),
    (7, lambda w: (w.asked(), quoted(w, age=-5.0)), None),
    (7, lambda w: (w.asked(), quoted(w, bid=None, ask=None, last=100.0)), None),
    (8, lambda w: (w.asked(limit=105.01), w.state(limits=WIDE)),
     "PRICE_OUTSIDE_COLLAR: max_through=0.05, through=0.0501, market=100, limit=105.01"),
    (8, lambda w: (w.asked(50, SELL, limit=94.99), w.state(limits=WIDE)),
     "PRICE_OUTSIDE_COLLAR: max_through=0.05, through=0.0501, market=100, limit=94.99"),
    (8, lambda w: (w.asked(stop=94.99), w.state(limits=WIDE)),
     "PRICE_OUTSIDE_COLLAR: max_through=0.05, through=0.0501, market=100, stop=94.99"),
    (8, lambda w: (w.asked(stop=110.0, limit=116.0), w.state(limits=WIDE)),
     "PRICE_OUTSIDE_COLLAR: max_through=0.05, through=0.05454545, market=110, limit=116"),
    (8, lambda w: (w.asked(), quoted(w, 1_000.0)), "QUOTE_FAR_FROM_CLOSE: max_gap=0.2, gap=9, quote=1,000, close=100"),
    (8, lambda w: (w.asked(), w.state(closes={})), "PRICE_COLLAR: cannot be evaluated: last close of AAA unknown"),
    (8, lambda w: (w.asked(limit=105.0), w.state(limits=WIDE)), None),
    (8, lambda w: (w.asked(50, SELL, limit=95.0), w.state(limits=WIDE)), None),
    (8, lambda w: (w.asked(limit=40.0), w.state(limits=WIDE)), None),  # far away on the harmless side
    (8, lambda w: (w.asked(stop=110.0, limit=115.5), w.state(limits=WIDE)), None),
    (8, lambda w: (w.asked(), w.state(closes={"AAA": 125.0}, limits=WIDE)), None),  # 100 of 125 is a gap of 0.2
    (9, lambda w: (w.asked(limit=100.005), w.state()), "PRICE_OFF_TICK: tick=0.01, price=100.005"),
    (9, lambda w: (w.asked(limit=float("nan")), w.state()),
     "PRICE_COLLAR: cannot be evaluated: price of a limit order is nan"),
    (9, lambda w: (w.asked(limit=99.97), w.state()), None),
    (10, lambda w: (w.asked(0), w.state()), "QUANTITY_NOT_WHOLE: min_quantity=1, quantity=0"),
    (10, lambda w: (w.asked(-5), w.state()), "QUANTITY_NOT_WHOLE: min_quantity=1, quantity=-5"),
    (10, lambda w: (w.asked(2.5), w.state()), "QUANTITY_NOT_WHOLE: min_quantity=1, quantity=2.5"),
    (10, lambda w: (w.asked(True), w.state()), "QUANTITY_NOT_WHOLE: min_quantity=1, quantity=True"),
    (10, lambda w: (w.asked(10_001), w.state(limits=WIDE, account=w.account(equity=1e9, buying_power=1e9),
                                             what_if=Margin(5_000.0, 5_000.0, 1e9, None))),
     "QUANTITY_EXCEEDS_MAX_PER_ORDER: max_quantity=10,000, quantity=10,001"),
    (10, lambda w: (w.asked(10_000), w.state(limits=WIDE, account=w.account(equity=1e9, buying_power=1e9),
                                             what_if=Margin(5_000.0, 5_000.0, 1e9, None))), None),
    (10, lambda w: (w.asked(20_000, SELL), w.state(positions={"AAA": 20_000})), None),
    (11, lambda w: (w.asked(124), w.state(limits=WIDE.model_copy(update={"max_order_value": 10_000.0}))),
     "NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=10,000, notional=12,400"),
    (11, lambda w: (w.asked(100, limit=100.01), w.state(limits=WIDE.model_copy(update={"max_order_value": 10_000.0}))),
     "NOTIONAL_EXCEEDS_MAX_PER_ORDER: max_notional=10,000, notional=10,001"),
    (11, lambda w: (w.asked(100), w.state(limits=WIDE.model_copy(update={"max_order_value": 10_000.0}))), None),
    (11, lambda w: (w.asked(500, SELL), w.state(positions={"AAA": 500})), None),  # a way out is never too large
    (12, lambda w: (w.asked(101), w.state()), "POSITION_EXCEEDS_MAX: max_position=10,000, position=10,100"),
    (12, lambda w: (w.asked(51), w.state(positions={"AAA": 50})),
     "POSITION_EXCEEDS_MAX: max_position=10,000, position=10,100"),
    (12, lambda w: (w.asked(51), w.state(open_orders=(w.working(80, filled=30),))),
     "POSITION_EXCEEDS_MAX: max_position=10,000, position=10,100"),
    (12, lambda w: (w.asked(51, SELL), w.state(positions={"AAA": -50})),
     "POSITION_EXCEEDS_MAX: max_position=10,000, position=10,100"),
    (12, lambda w: (w.asked(10), w.state(limits=Limits(max_positions=2), positions={"BBB": 1, "CCC": 1})),
     "POSITIONS_EXCEED_MAX: max_positions=2, positions=3"),
    (12, lambda w: (w.asked(10), w.state(limits=Limits(max_position_value=999.0))),
     "POSITION_EXCEEDS_MAX: max_position=999, position=1,000"),
    (12, lambda w: (w.asked(11), w.state(capital={"trend": 2_000.0}, books={"trend": {"BBB": 10}})),
     "CAPITAL_EXCEEDS_STAGE: strategy=trend, max_capital=2,000, capital=2,100"),
    (12, lambda w: (w.asked(origin=Origin.OPERATOR), w.state(positions=None)),
     "POSITION: cannot be evaluated: positions unknown"),
    (12, lambda w: (w.asked(), w.state(open_orders=None)), "POSITION: cannot be evaluated: open orders unknown"),
    (12, lambda w: (w.asked(), w.state(account=w.account(at=w.now - timedelta(seconds=201)))),
     "POSITION: cannot be evaluated: account values are 201 s old, max_account_age_seconds=200"),
    (12, lambda w: (w.asked(100), w.state()), None),
    (12, lambda w: (w.asked(50), w.state(open_orders=(w.working(80, filled=30),))), None),
    (12, lambda w: (w.asked(10), w.state(limits=Limits(max_positions=3), positions={"BBB": 1, "CCC": 1})), None),
    (12, lambda w: (w.asked(10), w.state(capital={"trend": 2_000.0}, books={"trend": {"BBB": 10}})), None),
    (13, lambda w: (w.asked(51), w.state(limits=WIDE.model_copy(update={"max_gross": 0.2}), positions={"BBB": -150})),
     "GROSS_EXCEEDS_MAX: max_exposure=20,000, exposure=20,100"),
    (13, lambda w: (w.asked(51), w.state(limits=WIDE.model_copy(update={"max_net": 0.2}), positions={"BBB": 150})),
     "NET_EXCEEDS_MAX: max_exposure=20,000, exposure=20,100"),
    (13, lambda w: (w.asked(51, SELL), w.state(limits=WIDE.model_copy(update={"max_net": 0.2}),
                                               positions={"BBB": -150})),
     "NET_EXCEEDS_MAX: max_exposure=20,000, exposure=20,100"),
    (13, lambda w: (w.asked(101), w.state(limits=WIDE.model_copy(update={"max_sector": 0.3}), positions={"BBB": -200},
                                          sectors=dict.fromkeys(("AAA", "BBB"), "Energy"))),
     "SECTOR_EXCEEDS_MAX: sector=Energy, max_exposure=30,000, exposure=30,100"),
    (13, lambda w: (w.asked(), w.state(sectors={})), "EXPOSURE: cannot be evaluated: sector of AAA unknown"),
    (13, lambda w: (w.asked(), w.state(positions={"BBB": 10}, returns=twins(0))),
     "CORRELATION_EXCEEDS_MAX: held=BBB, max_correlation=0.7, correlation=1"),
    (13, lambda w: (w.asked(50, SELL), w.state(positions={"BBB": -10}, returns=twins(10))),
     "CORRELATION_EXCEEDS_MAX: held=BBB, max_correlation=0.7, correlation=0.75"),
    (13, lambda w: (w.asked(), w.state(open_orders=(w.working(5, symbol="BBB"),), returns=twins(10))),
     "CORRELATION_EXCEEDS_MAX: held=BBB, max_correlation=0.7, correlation=0.75"),
    (13, lambda w: (w.asked(), w.state(returns=None, positions={"BBB": 10})),
     "EXPOSURE: cannot be evaluated: returns unknown"),
    (13, lambda w: (w.asked(), w.state(positions={"BBB": 10}, returns={"AAA": [0.01] * 60, "BBB": [0.01] * 61})),
     "EXPOSURE: cannot be evaluated: returns of AAA and BBB are of 60 and 61 sessions"),
    # 50 AAA are 5,000. BBB is listed for 59 sessions: it counts as if it moved with AAA, 30 % of 100,000 in all.
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 251}, returns=listed(59))),
     "CORRELATION_UNKNOWN_EXCEEDS_MAX: held=BBB, unknown=1, max_exposure=30,000, exposure=30,100"),
    (13, lambda w: (w.asked(50, SELL), w.state(positions={"BBB": 251}, returns=listed(59))),  # a hedge, or not
     "CORRELATION_UNKNOWN_EXCEEDS_MAX: held=BBB, unknown=1, max_exposure=30,000, exposure=30,100"),
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 130, "CCC": 121}, returns={})),
     "CORRELATION_UNKNOWN_EXCEEDS_MAX: held=BBB, unknown=2, max_exposure=30,000, exposure=30,100"),
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 251}, returns=still())),
     "CORRELATION_UNKNOWN_EXCEEDS_MAX: held=BBB, unknown=1, max_exposure=30,000, exposure=30,100"),
    # Its own sector is in the group: 5,000 of AAA, 2,000 of CCC, 23,100 of BBB.
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 231, "CCC": 20}, returns=listed(59), sectors={
        "AAA": "Technology", "CCC": "Technology", "BBB": "Finance"})),
     "CORRELATION_UNKNOWN_EXCEEDS_MAX: held=BBB, unknown=1, max_exposure=30,000, exposure=30,100"),
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 10}, returns=listed(60))),  # it is known from here on
     "CORRELATION_EXCEEDS_MAX: held=BBB, max_correlation=0.7, correlation=1"),
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 250}, returns=listed(59))), None),
    (13, lambda w: (w.asked(50), w.state(positions={"BBB": 250}, returns=still())), None),
    (13, lambda w: (w.asked(50), w.state(limits=WIDE.model_copy(update={"max_gross": 0.2, "max_net": 0.2}),
                                         positions={"BBB": 150})), None),
    (13, lambda w: (w.asked(100), w.state(limits=WIDE.model_copy(update={"max_sector": 0.3}), positions={"BBB": -200},
                                          sectors=dict.fromkeys(("AAA", "BBB"), "Energy"))), None),
    (13, lambda w: (w.asked(50, SELL), w.state(positions={"BBB": 10}, returns=twins(0))), None),  # a hedge
    (13, lambda w: (w.asked(), w.state(positions={"BBB": 10}, returns=twins(12))), None),  # 56 of 80: 0.7
    (14, lambda w: (w.asked(), w.state(account=w.account(buying_power=4_999.0))),
     "BUYING_POWER_EXCEEDED: buying_power=4,999, needed=5,000"),
    (14, lambda w: (w.asked(), w.state(account=w.account(buying_power=6_999.0),
                                       open_orders=(w.working(20, symbol="BBB"),))),
     "BUYING_POWER_EXCEEDED: buying_power=6,999, needed=7,000"),
    (14, lambda w: (w.asked(), w.state(what_if=None)),
     "BUYING_POWER: cannot be evaluated: answer of the broker's what-if unknown"),
    (14, lambda w: (w.asked(), w.state(what_if=Margin(float("nan"), 1.0, 100_000.0, None))),
     "BUYING_POWER: cannot be evaluated: change of margin is nan"),
    (14, lambda w: (w.asked(), w.state(what_if=Margin(50_001.0, 1.0, 100_000.0, None),
                                       account=w.account(initial_margin=40_000.0))),
     "MARGIN_EXCEEDED: min_free_equity=10,000, free_equity=9,999, margin=90,001"),
    (14, lambda w: (w.asked(), w.state(account=w.account(buying_power=5_000.0))), None),
    (14, lambda w: (w.asked(), w.state(account=w.account(buying_power=5_000.0), positions={"BBB": 20},
                                       open_orders=(w.working(20, SELL, "BBB"),))), None),  # a way out needs none
    (14, lambda w: (w.asked(), w.state(what_if=Margin(50_000.0, 1.0, 100_000.0, None),
                                       account=w.account(initial_margin=40_000.0))), None),
    (15, lambda w: (w.asked(), w.state(day=Day(100_000.0, -3_000.0))),
     "DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000"),
    (15, lambda w: (w.asked(), w.state(day=Day(200_000.0, -5_000.0))),
     "DAILY_LOSS_REACHED: max_loss=5,000, loss=5,000"),
    (15, lambda w: (w.asked(), w.state(day=None)), "DAILY_LOSS: cannot be evaluated: result of the day unknown"),
    (15, lambda w: (w.asked(), w.state(day=Day(100_000.0, float("nan")))),
     "DAILY_LOSS: cannot be evaluated: result of the day is nan"),
    (15, lambda w: (w.asked(), w.state(day=Day(100_000.0, -2_999.99))), None),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 0.5, f"s{n}", 50 + n + 1) for n in range(5)))),
     "ORDERS_EXCEED_MAX_PER_SECOND: max_orders=5, orders=6"),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 59, f"s{n}") for n in range(10)),
                                       limits=Limits(max_orders_per_day=20))),
     "ORDERS_EXCEED_MAX_PER_MINUTE: max_orders=10, orders=11"),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 3_600, f"s{n}") for n in range(10)))),
     "ORDERS_EXCEED_MAX_PER_DAY: max_orders=10, orders=11"),
    (16, lambda w: (w.asked(), w.state(sent=None)), "RATE: cannot be evaluated: orders sent unknown"),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 0.5, f"s{n}", 50 + n + 1) for n in range(4)))), None),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 60, f"s{n}") for n in range(9)))), None),
    (16, lambda w: (w.asked(), w.state(sent=tuple(sent(w, 3_600, f"s{n}", reducing=True) for n in range(10)))), None),
    (16, lambda w: (w.asked(50, SELL), w.state(positions={"AAA": 50},
                                               sent=tuple(sent(w, 3_600, f"s{n}") for n in range(10)))), None),
    (17, lambda w: (w.asked(), w.state(sent=(sent(w, 9.9),))),
     "DUPLICATE_ORDER: min_seconds=10, seconds_ago=9.9, key=s1"),
    (17, lambda w: (w.asked(), w.state(sent=(sent(w, -3.0),))),
     "DUPLICATE_ORDER: min_seconds=10, seconds_ago=-3, key=s1"),
    (17, lambda w: (w.asked(), w.state(sent=(sent(w, 3_600, "k1", 7),))),
     "KEY_ALREADY_SENT: key=k1, seconds_ago=3,600"),
    (17, lambda w: (w.asked(), w.state(sent=(sent(w, 10.0),))), None),
    # A stop that was taken back for a trade is put there again at once; the same key is not.
    (17, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION), w.state(positions={"AAA": 50}, sent=(
        replace(sent(w, 1.0), side=SELL),))), None),
    (17, lambda w: (w.asked(50, SELL, origin=Origin.PROTECTION), w.state(positions={"AAA": 50}, sent=(
        sent(w, 1.0, "k1"),))), "KEY_ALREADY_SENT: key=k1, seconds_ago=1"),
    (17, lambda w: (w.asked(), w.state(sent=(sent(w, 5.0, quantity=49),))), None),
    (18, lambda w: (w.asked(), w.state(fills=tuple(w.fill(f"f{n}", 29.0) for n in range(3)))),
     "REPEATED_EXECUTION: max_repeats=3, repeats=3, minutes=30"),
    (18, lambda w: (w.asked(50, planned=100), w.state(worked={"d1": 51})),
     "DECISION_EXCEEDED: planned=100, worked=51, quantity=50"),
    (18, lambda w: (w.asked(decision=""), w.state()),
     "REPEATS: cannot be evaluated: no decision is named that it is a part of"),
    (18, lambda w: (w.asked(), w.state(fills=tuple(w.fill(f"f{n}", 30.0) for n in range(3)))), None),
    (18, lambda w: (w.asked(), w.state(fills=tuple(w.fill("f1", 1.0) for _ in range(9)))), None),  # one order, in parts
    (18, lambda w: (w.asked(50, planned=100), w.state(worked={"d1": 50})), None),
    (19, lambda w: (w.asked(limit=100.0), w.state(open_orders=(w.working(5, SELL, limit=100.0),))),
     "SELF_CROSS: resting=w1, resting_price=100, price=100"),
    (19, lambda w: (w.asked(), w.state(open_orders=(w.working(5, SELL, limit=110.0),))),
     "SELF_CROSS: resting=w1, resting_price=110, price=market"),
    (19, lambda w: (w.asked(50, SELL, limit=99.0), w.state(open_orders=(w.working(5, limit=99.0),),
                                                   positions={"AAA": 50})),
     "SELF_CROSS: resting=w1, resting_price=99, price=99"),
    (19, lambda w: (w.asked(limit=99.99), w.state(open_orders=(w.working(5, SELL, limit=100.0),))), None),
    (19, lambda w: (w.asked(), w.state(open_orders=(w.working(5, SELL, stop=90.0),))), None),
    (19, lambda w: (w.asked(), w.state(open_orders=(w.working(5, SELL, status=OrderStatus.CANCELLED),))), None),
    (20, lambda w: (w.asked(10), w.state(trading=TradingState.REDUCING)),
     "NOT_REDUCING: because=trading state, held=0, pending=0, order=10"),
    (20, lambda w: (w.asked(51, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 50})),
     "NOT_REDUCING: because=trading state, held=50, pending=0, order=-51"),
    (20, lambda w: (w.asked(30, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 50},
                                               open_orders=(w.working(21, SELL),))),
     "NOT_REDUCING: because=trading state, held=50, pending=21, order=-30"),
    (20, lambda w: (w.asked(10), w.state(reduce_only=frozenset({"trend"}))),
     "NOT_REDUCING: because=trend may only reduce, held=0, pending=0, order=10"),
    (20, lambda w: (w.asked(50, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 50})), None),
    (20, lambda w: (w.asked(50), w.state(trading=TradingState.REDUCING, positions={"AAA": -50})), None),
    (20, lambda w: (w.asked(57), w.state(trading=TradingState.REDUCING, positions={"AAA": -50},
                                         theirs={"AAA": 7})), None),  # seven of a person's own, 57 short are ours
    (20, lambda w: (w.asked(58), w.state(trading=TradingState.REDUCING, positions={"AAA": -50},
                                         theirs={"AAA": 7})),
     "NOT_REDUCING: because=trading state, held=-57, pending=0, order=58"),
    (20, lambda w: (w.asked(50), w.state(trading=TradingState.REDUCING, positions={"AAA": 30}, theirs={"AAA": 80})),
     None),
    (20, lambda w: (w.asked(51), w.state(trading=TradingState.REDUCING, positions={"AAA": 30}, theirs={"AAA": 80})),
     "NOT_REDUCING: because=trading state, held=-50, pending=0, order=51"),
    (20, lambda w: (w.asked(30, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 80},
                                               theirs={"AAA": 80})),
     "NOT_REDUCING: because=trading state, held=0, pending=0, order=-30"),
    (20, lambda w: (w.asked(30, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 90},
                                               theirs={"AAA": 80})),
     "NOT_REDUCING: because=trading state, held=10, pending=0, order=-30"),
    (20, lambda w: (w.asked(80, SELL, origin=Origin.OPERATOR),
                    w.state(trading=TradingState.REDUCING, positions={"AAA": 80}, theirs={"AAA": 80})), None),
    (20, lambda w: (w.asked(80, SELL, origin=Origin.EMERGENCY),
                    w.state(trading=TradingState.REDUCING, positions={"AAA": 80}, theirs={"AAA": 80})), None),
    (20, lambda w: (w.asked(29, SELL), w.state(trading=TradingState.REDUCING, positions={"AAA": 50},
                                               open_orders=(w.working(21, SELL),))), None),
    (20, lambda w: (w.asked(10, SELL), w.state(reduce_only=frozenset({"trend"}), positions={"AAA": 10},
                                               books={"trend": {"AAA": 10}})), None),
]  # fmt: skip


@pytest.mark.parametrize(("number", "make", "expected"), ROWS, ids=[f"{n}-{t or 'passes'}"[:60] for n, _, t in ROWS])
def test_an_order_is_denied_with_numbers_or_passes_at_the_bound(world, number, make, expected):
    asked, state = make(world)
    assert check(asked, state) == expected


def test_there_are_twenty_rules_in_order_and_each_has_rows_of_both_kinds():
    assert [rule.number for rule in RULES] == list(range(1, 21))
    assert len({rule.code for rule in RULES}) == 20
    for number in range(1, 21):
        assert {expected is None for n, _, expected in ROWS if n == number} == {True, False}


def test_all_denials_are_collected_and_the_first_is_the_reason(world):
    decision = decide(world.asked(0), world.state(connected=False, day=Day(100_000.0, -3_000.0)))
    assert decision.outcome is Outcome.DENIED
    assert decision.reasons == (
        "NOT_CONNECTED: connected=False",
        "QUANTITY_NOT_WHOLE: min_quantity=1, quantity=0",
        "DAILY_LOSS_REACHED: max_loss=3,000, loss=3,000",
    )
    assert decision.reason == "NOT_CONNECTED: connected=False"


def test_a_rule_that_raises_denies_with_its_code(world):
    class Broken(dict):
        def get(self, *_):
            raise KeyError("the map is gone")

    assert check(world.asked(), world.state(instruments=Broken())).startswith(
        "CONTRACT: cannot be evaluated: KeyError 'the map is gone'"
    )


def test_nothing_known_denies_everything_that_needs_it_by_name(world):
    nothing = type(world.state())(now=world.now, limits=Limits())
    reasons = decide(world.asked(), nothing).reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "TRADING_STATE", "RECONCILED", "CONNECTED", "PACK", "CONTRACT", "SESSION", "QUOTE", "PRICE_COLLAR", "TICK",
        "NOTIONAL", "POSITION", "EXPOSURE", "BUYING_POWER", "DAILY_LOSS", "RATE", "DUPLICATE", "REPEATS", "SELF_CROSS",
    ]  # fmt: skip
    assert all("cannot be evaluated" in reason for reason in reasons)


def test_a_cancel_always_passes(world):
    nothing = type(world.state())(now=world.now, limits=Limits(), trading=TradingState.HALTED, connected=False)
    assert check(Cancel("k1"), nothing) is None


def test_a_large_order_waits_until_a_person_confirms_its_key(world):
    limits = Limits(confirm_above=4_999.0)
    decision = decide(world.asked(50), world.state(limits=limits))
    assert decision.outcome is Outcome.WAITS
    assert decision.reason == ("WAITS_FOR_CONFIRMATION: confirm_above=4,999, notional=5,000; workbench confirm k1")
    assert decide(world.asked(50), world.state(limits=limits, confirmed=frozenset({"k1"}))).passes
    assert decide(world.asked(50), world.state(limits=limits, confirmed=frozenset({"k2"}))).outcome is Outcome.WAITS
    assert decide(world.asked(50), world.state(limits=Limits(confirm_above=5_000.0))).passes
    assert decide(world.asked(50, SELL), world.state(limits=limits, positions={"AAA": 50})).passes
    denied = world.state(limits=limits, confirmed=frozenset({"k1"}), connected=False)
    assert decide(world.asked(50), denied).outcome is Outcome.DENIED


def test_what_protects_one_strategy_of_several_waits_for_nobody_though_the_account_holds_less(world):
    """A holds +100 and B -50, so the account +50: A's stop is for 100 and cannot be told from one that only shrinks."""
    books = {"trend": {"AAA": 100}, "other": {"AAA": -50}}
    state = world.state(limits=Limits(confirm_above=4_999.0), positions={"AAA": 50}, books=books)
    stop = {"decision": "", "planned": 0, "stop": 96.0, "tif": "GTC"}
    assert decide(world.asked(100, SELL, origin=Origin.PROTECTION, **stop), state).reasons == ()
    other = world.asked(100, SELL, origin=Origin.OPERATOR, **stop)
    assert decide(other, state).outcome is Outcome.WAITS
    halted = replace(state, trading=TradingState.HALTED)
    assert decide(world.asked(100, SELL, origin=Origin.PROTECTION, **stop), halted).outcome is Outcome.DENIED


def test_a_way_out_is_open_when_the_day_is_lost_the_account_full_and_the_symbol_struck_off(world):
    state = world.state(
        trading=TradingState.REDUCING, positions={"AAA": 900}, whitelist=frozenset(), day=Day(100_000.0, -9_000.0),
        account=world.account(buying_power=0.0), what_if=None, sectors={}, returns={}, capital={"trend": 1.0},
    )  # fmt: skip
    assert decide(world.asked(900, SELL), state).passes


def test_the_emergency_stop_closes_while_halted_and_does_nothing_else(world):
    halted = world.state(
        trading=TradingState.HALTED, reconciled=False, locked=frozenset({"AAA"}), hours=None, quotes={},
        positions={"AAA": 900}, booked=None, sent=None, fills=None,
    )  # fmt: skip
    close = {"origin": Origin.EMERGENCY, "shares": {}, "packs": {}, "decision": "", "planned": 0}
    assert check(world.asked(900, SELL, **close), halted) is None
    assert check(world.asked(901, SELL, **close), halted) == (
        "NOT_REDUCING: because=emergency stop, held=900, pending=0, order=-901"
    )
    assert check(world.asked(1, symbol="BBB", **close), halted).startswith("NOT_REDUCING")
    waiting = replace(halted, open_orders=(world.working(900, SELL),))
    assert check(world.asked(900, SELL, **close), waiting).startswith("NOT_REDUCING")
    assert check(world.asked(900, SELL, **close), replace(halted, connected=False)) == (
        "NOT_CONNECTED: connected=False"
    )


def test_of_a_bracket_s_exits_one_counts_and_they_wake_with_their_entry(world):
    entry = world.working(100, key="e1", filled=0)
    stop = world.working(100, SELL, key="x1", parent="e1", stop=96.0)
    target = world.working(100, SELL, key="x2", parent="e1", limit=106.0)
    asleep = world.state(open_orders=(entry, stop, target))
    assert (asleep.pending("AAA", Side.BUY), asleep.pending("AAA", SELL)) == (100, 0)
    half = world.state(open_orders=(replace(entry, filled=40), stop, target), positions={"AAA": 40})
    assert (half.pending("AAA", Side.BUY), half.pending("AAA", SELL)) == (60, 40)
    awake = world.state(open_orders=(stop, target), positions={"AAA": 100})
    assert awake.pending("AAA", SELL) == 100


def test_orders_made_by_hand_have_no_key_and_each_counts(world):
    by_hand = [replace(world.working(20, SELL, key=""), permanent_id=number) for number in (7, 8)]
    state = world.state(open_orders=tuple(by_hand), positions={"AAA": 50}, trading=TradingState.REDUCING)
    assert state.pending("AAA", SELL) == 40
    assert decide(world.asked(10, SELL), state).reasons == ()
    assert decide(world.asked(11, SELL), state).reasons == (
        "NOT_REDUCING: because=trading state, held=50, pending=40, order=-11",
    )


def test_a_bracket_passes_whole_and_its_exits_are_no_second_part_of_the_decision(world):
    state, limits = world.state(), Limits(confirm_above=1.0)
    entry = world.asked(50, key="e1", planned=50)
    assert decide(entry, state).passes
    state = replace(state.after(entry), limits=limits)
    for key, price in (("x1", {"stop": 96.0}), ("x2", {"limit": 106.0})):
        leg = world.asked(50, SELL, key=key, parent="e1", planned=50, **price)
        assert decide(leg, state).passes, decide(leg, state).reasons
        state = state.after(leg)
    assert state.worked == {"d1": 50}
    too_much = world.asked(51, SELL, key="x3", parent="e1", planned=50, stop=96.0)
    assert not decide(too_much, replace(state, trading=TradingState.REDUCING)).passes


def test_a_strategy_that_may_only_reduce_keeps_stop_and_target_and_sells_nothing_twice(world):
    state = world.state(limits=WIDE, positions={"AAA": 100}, books={"trend": {"AAA": 100}},
                        reduce_only=frozenset({"trend"}))  # fmt: skip
    exit_ = {"tif": "GTC", "oca": "g", "origin": Origin.PROTECTION, "decision": "", "planned": 0}
    stop = world.asked(100, SELL, key="s1", stop=95.0, **exit_)
    target = world.asked(100, SELL, key="s2", limit=106.0, **exit_)
    assert check(stop, state) is None
    assert check(target, state.after(stop)) is None
    sale = world.asked(60, SELL, key="e1")
    assert check(sale, state) is None
    assert check(world.asked(50, SELL, key="e2", decision="d2"), replace(state, ordered=(("trend", "AAA", -60),))) == (
        "NOT_REDUCING: because=trend may only reduce, held=100, pending=60, order=-50"
    )


CAPITAL = WIDE.model_copy(update={"max_sector": 1.0})
OVER = "CAPITAL_EXCEEDS_STAGE: strategy=trend, max_capital=10,000, capital=18,000"


def test_what_is_ordered_counts_against_the_capital_of_a_stage_and_its_stop_frees_nothing(world):
    state = world.state(limits=CAPITAL, capital={"trend": 10_000.0})
    entry, second = world.asked(90, key="e1"), world.asked(90, symbol="BBB", key="e2", decision="d2")
    stop = world.asked(90, SELL, key="s1", stop=95.0, parent="e1", tif="GTC", origin=Origin.PROTECTION, decision="")
    assert check(entry, state) is None
    ordered = replace(state.after(entry), what_if=state.what_if)
    assert check(second, ordered) == OVER
    assert check(stop, ordered) is None
    guarded = replace(ordered.after(stop), what_if=state.what_if)
    assert check(second, guarded) == OVER


def test_an_open_sale_frees_no_capital_of_a_stage_until_it_has_filled(world):
    books = {"trend": {"AAA": 90}}
    state = world.state(limits=CAPITAL, capital={"trend": 10_000.0}, positions={"AAA": 90}, books=books)
    sale, second = world.asked(90, SELL, key="e1"), world.asked(90, symbol="BBB", key="e2", decision="d2")
    assert check(sale, state) is None
    assert check(second, replace(state.after(sale), what_if=state.what_if)) == OVER
    sold = world.state(limits=CAPITAL, capital={"trend": 10_000.0}, books={"trend": {}})
    assert check(second, sold) is None


def test_orders_of_one_session_are_held_against_those_before_them(world):
    state = world.state()
    first = world.asked(60, key="k1", decision="d1", planned=60)
    assert check(first, state) is None
    second = world.asked(60, key="k2", decision="d2", planned=60)
    later = replace(state.after(first), what_if=Margin(5_000.0, 5_000.0, 100_000.0, 1.0), now=world.now)
    assert decide(second, later).reasons == (
        "POSITION_EXCEEDS_MAX: max_position=10,000, position=12,000",
        "DUPLICATE_ORDER: min_seconds=10, seconds_ago=0, key=k1",
    )


def test_an_order_without_its_price_is_no_order(world):
    order = Order("k1", "AAA", Side.BUY, 50, type="limit")
    asked = replace(world.asked(), order=order)
    assert check(asked, world.state()) == "PRICE_COLLAR: cannot be evaluated: price of a limit order unknown"
