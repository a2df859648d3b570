"""One shared cash account walked through its bars: what the simulator does, in one pass and without its arrays.

At each bar: 1. wishes become orders where a price is known  2. equity at those prices says how many shares
3. sales first, then purchases, as far as the cash goes  4. the close says what the account is worth

Costs that depend on an order's size are taken at the order. Only where cash cuts a purchase short do size and costs
depend on each other: that bar is then traded again, with the costs of the sizes found, until both agree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.backtest.kernel.compiled import compiled
from workbench.backtest.kernel.tariff import Tariff

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

# vectorbt's tolerances: amounts nearer than this are the same, smaller orders are not sent.
RELATIVE, ABSOLUTE, SMALLEST_ORDER = 1e-9, 1e-12, 1e-8
# A bar whose costs and sizes still disagree after this many tries has an order that the last cents decide: from then
# on it may only shrink.
TRIES = 20


class Market(NamedTuple):
    """What can be traded at which price (``tape.Tape``): rows are bars, columns symbols."""

    price: Array
    close: Array
    shares_ratio: Array
    volume: Array
    daily_volatility: Array
    last_row: Rows
    months: Rows


class Account(NamedTuple):
    """How weights are traded."""

    cash: float
    lag_bars: int
    every_bar: bool
    whole_shares: bool
    rows_per_session: int = 1


class Series(NamedTuple):
    """What came of a walk, a number a bar: the net return, currency traded and spent, round trips closed."""

    returns: Array
    traded: Array
    commission: Array
    spread: Array
    impact: Array
    borrow: Array  # as a share of the equity before
    closed: Array


@compiled
def near(a: float, b: float) -> bool:
    """Tell whether two amounts are the same but for rounding."""
    return a == b or abs(a - b) <= max(RELATIVE * max(abs(a), abs(b)), ABSOLUTE)


@compiled
def less(a: float, b: float) -> float:
    """Return a - b, and zero where the two are the same but for rounding."""
    return 0.0 if near(a, b) else a - b


@compiled
def walk(weights: Array, market: Market, account: Account, tariff: Tariff, series: Series) -> None:
    """Trade weights through all bars and add what came of it to ``series``, zeros before."""
    bars, symbols = weights.shape
    # What the next order may spend, and what the books say at the end of a bar: vectorbt drops what is too little to
    # matter after each order in the one, after each bar in the other.
    lag, cash, booked = account.lag_bars, account.cash, account.cash
    held, valued = np.zeros(symbols), np.zeros(symbols)
    pending = np.zeros(symbols, dtype=np.bool_)
    column, target = np.empty(symbols, dtype=np.int64), np.empty(symbols)
    worth_asked, asked, filled = np.empty(symbols), np.empty(symbols), np.empty(symbols)
    fee, slip = np.empty(symbols), np.empty(symbols)
    places, spare = np.empty(symbols, dtype=np.int64), np.empty(symbols, dtype=np.int64)
    nothing = np.zeros(symbols)
    # Without minimums, tiers and impact an order costs a share of its value, whatever its size.
    plain = not tariff.per_order and tariff.impact == 0.0
    value_before, short_before = cash, 0.0
    month, month_shares = -1, 0.0

    for t in range(bars):
        # 1. wishes and equity
        now = weights[t - lag] if t >= lag else nothing
        before = weights[t - lag - 1] if t > lag else nothing
        orders, value = 0, cash
        for c in range(symbols):
            if now[c] != before[c] or (account.every_bar and now[c] != 0.0):
                pending[c] = True
            price = market.price[t, c]
            if price == price:
                valued[c] = price
                leaves = t == market.last_row[c]  # paid out
                if pending[c] or leaves:
                    column[orders], target[orders] = c, 0.0 if leaves else now[c]
                    orders += 1
                    pending[c] = False
            if held[c] != 0.0:
                value += held[c] * valued[c]

        # 2. and 3.
        if market.months[t] != month:
            month, month_shares = market.months[t], 0.0
        if orders and value > ABSOLUTE:
            for n in range(orders):
                c = column[n]
                worth = held[c] * valued[c] if held[c] != 0.0 else 0.0
                worth_asked[n] = target[n] * value - worth
                size = target[n] * value / valued[c] - (held[c] if abs(held[c]) > ABSOLUTE else 0.0)
                if account.whole_shares and target[n] != 0.0:
                    lot = 1.0 / market.shares_ratio[t, c]
                    size = np.sign(size) * (np.floor(abs(size) / lot) * lot)
                asked[n] = size
            sequence = _in_order(worth_asked, orders, places, spare)
            for n in range(orders):
                filled[n] = asked[n]
            settled = False
            tries = 0
            while not settled:
                _charge(t, orders, column, filled, market, tariff, month_shares, fee, slip)
                left, settled = _trade(
                    t, sequence, column, target, asked, filled, market, account, tariff, fee, slip, cash
                )
                settled = settled or plain
                tries += 1
                if tries > TRIES:
                    for n in range(orders):
                        if abs(filled[n]) < abs(asked[n]):
                            asked[n] = filled[n]
            cash, flow = left, 0.0
            for n in range(orders):
                size = filled[n]
                if size == 0.0:
                    continue
                c = column[n]
                worth = abs(size) * market.price[t, c]
                paid = worth * (1.0 + slip[n] if size > 0.0 else 1.0 - slip[n])
                month_shares += abs(size) * market.shares_ratio[t, c]
                series.traded[t] += worth
                charged = paid * tariff.rate + fee[n]
                flow += -paid - charged if size > 0.0 else paid - charged
                series.commission[t] += charged
                series.spread[t] += worth * tariff.half_spread
                series.impact[t] += worth * (slip[n] - tariff.half_spread)
                after = less(held[c], -size)
                if held[c] != 0.0 and held[c] * after <= 0.0:
                    series.closed[t] += 1.0
                held[c] = after
            booked = less(booked, -flow)

        # 4. the close
        value, short = booked, 0.0
        for c in range(symbols):
            if held[c] != 0.0:
                worth = held[c] * market.close[t, c]
                value += worth
                if worth < 0.0:
                    short -= worth
        borrowed = short_before * tariff.borrow_per_session if t % account.rows_per_session == 0 else 0.0
        series.borrow[t] = borrowed
        series.returns[t] = value / value_before - 1.0 - borrowed
        value_before, short_before = value, short / value


@compiled
def _in_order(values: Array, count: int, places: Rows, spare: Rows) -> Rows:
    """Return the places of the first ``count`` values from low to high, equal ones in the order they have.

    Merges runs of twice the length each round.
    """
    for n in range(count):
        places[n] = n
    width = 1
    while width < count:
        for left in range(0, count, 2 * width):
            middle, right = min(left + width, count), min(left + 2 * width, count)
            i, j = left, middle
            for n in range(left, right):
                if i < middle and (j >= right or values[places[i]] <= values[places[j]]):
                    spare[n] = places[i]
                    i += 1
                else:
                    spare[n] = places[j]
                    j += 1
        places, spare = spare, places
        width *= 2
    return places[:count]


@compiled
def _charge(
    t: int,
    orders: int,
    column: Rows,
    filled: Array,
    market: Market,
    tariff: Tariff,
    month_shares: float,
    fee: Array,
    slip: Array,
) -> None:
    """Fill in what orders of these sizes cost: the share of the price lost, and the commission."""
    for n in range(orders):
        c, size = column[n], abs(filled[n])
        lost = 0.0
        if tariff.impact != 0.0 and size > 0.0:
            participation = size / market.volume[t, c]
            if participation == participation and market.daily_volatility[t, c] == market.daily_volatility[t, c]:
                lost = tariff.impact * market.daily_volatility[t, c] * np.sqrt(participation)
        slip[n] = tariff.half_spread + lost
        fee[n] = 0.0
        if tariff.per_order and size > 0.0:
            shares = size * market.shares_ratio[t, c]
            sold = filled[n] < 0.0
            paid = size * market.price[t, c] * (1.0 - slip[n] if sold else 1.0 + slip[n])
            fee[n] = _commission(tariff, shares, paid, sold, month_shares)
            month_shares += shares


@compiled
def _commission(tariff: Tariff, shares: float, value: float, sold: bool, month_shares: float) -> float:
    """Return the commission of one order after ``month_shares`` shares in the same month."""
    amount, left, at = 0.0, shares, month_shares
    for tier in range(len(tariff.tier_rates)):
        room = tariff.tier_bounds[tier + 1] - at
        if room > 0.0:
            taken = min(left, room)
            amount += taken * tariff.tier_rates[tier]
            left -= taken
            at += taken
    # Where the largest share of the value is below the minimum, IB charges that share.
    charged = min(max(amount, tariff.minimum), tariff.maximum_share * value) + shares * tariff.passed_on_per_share
    if sold:
        charged += value * tariff.sec_per_value + min(shares * tariff.finra_per_share, tariff.finra_maximum)
    return charged


@compiled
def _trade(
    t: int,
    sequence: Rows,
    column: Rows,
    target: Array,
    asked: Array,
    filled: Array,
    market: Market,
    account: Account,
    tariff: Tariff,
    fee: Array,
    slip: Array,
    cash: float,
) -> tuple[float, bool]:
    """Send the orders one after another and fill in their sizes; return the cash left and whether no size moved."""
    settled = True
    for n in sequence:
        price, size = market.price[t, column[n]], asked[n]
        if abs(size) <= ABSOLUTE or abs(size) < SMALLEST_ORDER:
            size = 0.0
        elif size < 0.0:
            gained = -size * price * (1.0 - slip[n])
            gained = less(gained, gained * tariff.rate + fee[n])
            if gained < 0.0:
                size = 0.0
            else:
                cash += gained
        else:
            each = price * (1.0 + slip[n])
            need = size * each
            need += need * tariff.rate + fee[n]
            if need <= cash or near(need, cash):
                cash = less(cash, need)
            else:
                room = less(cash, fee[n]) / (1.0 + tariff.rate)
                size = room / each if room > 0.0 else 0.0
                need = cash
                if account.whole_shares and target[n] != 0.0:
                    lot = 1.0 / market.shares_ratio[t, column[n]]
                    size = np.floor(size / lot) * lot
                    need = size * each
                    need += need * tariff.rate + fee[n]
                if size < SMALLEST_ORDER:
                    size = 0.0
                else:
                    cash = less(cash, need)
            if cash <= ABSOLUTE:
                cash = 0.0
        if abs(size - filled[n]) > 1e-14 * abs(size):
            settled = False
        filled[n] = size
    return cash, settled
