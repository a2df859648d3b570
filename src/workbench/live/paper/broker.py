"""The broker itself: accepts and refuses as a real one does, fills what the market reaches, and forgets nothing.

It does not know keys apart: the same order sent twice under two numbers is two orders, as at a real broker.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from workbench.commissions import Fills, commission, half_spread
from workbench.errors import DataRefused, Disconnected, OrderRejected
from workbench.live.broker import Update, nothing
from workbench.live.paper.ledger import Ledger, Resting
from workbench.live.paper.market import Market, Print
from workbench.live.paper.matching import match
from workbench.params import CostParams
from workbench.sessions import Calendar
from workbench.trading import (
    Account,
    Fill,
    Instrument,
    Margin,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Quote,
    Side,
    Working,
)

TICK = 0.01
INITIAL, MAINTENANCE = 0.5, 0.25  # of what is held, either way (Regulation T)
ZONE = ZoneInfo("America/New_York")
LOOK_SECONDS = 0.02
# Numbers of the broker that it takes after, so that one table of codes serves both.
UNKNOWN_CONTRACT, DUPLICATE_ID, FILLED, TICK_SIZE, REFUSED, NOT_FOUND, CANNOT_CANCEL = (
    200, 103, 104, 110, 201, 10147, 10148,
)  # fmt: skip


class PaperBroker:
    """One paper account in one file, seen by one client."""

    embedded = True

    def __init__(
        self,
        file: Path,
        market: Market,
        *,
        account: str = "PAPER",
        cash: float = 1_000_000.0,
        costs: CostParams | None = None,
        participation: float | None = None,
        client_id: int = 1,
    ) -> None:
        self.account_id = account
        self.client_id = client_id
        self._file, self._market, self._cash = file, market, cash
        self._costs = costs or CostParams()
        self._participation = self._costs.max_participation if participation is None else participation
        self._half, self._commission = half_spread(self._costs), commission(self._costs)
        self._calendar = Calendar()
        self._open: Ledger | None = None
        self._seen = 0

    def connect(self) -> None:
        """Open the account, and fill what the market reached meanwhile."""
        if self._open is not None:
            return
        ledger = Ledger(self._file)
        with ledger.change():
            if not ledger.fact("opened"):
                ledger.set_fact("opened", 1)
                ledger.set_fact("cash", self._cash)
                ledger.set_fact("seen", self._market.now().timestamp())
        self._open = ledger
        self._run()
        self._seen = int(ledger.fact("change"))  # what happened while away is not told: it must be asked for

    def close(self) -> None:
        """Close the account's file; orders stay where they are."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def now(self) -> datetime:
        """Return the market's time."""
        self._run()
        return self._market.now()

    def account(self) -> Account:
        """Return what the account is worth."""
        ledger = self._run()
        held = sum(abs(one.quantity) * self._price(one.symbol) for one in ledger.positions())
        equity, initial = self._equity(ledger), INITIAL * held
        return Account(
            self.account_id, "USD", equity, ledger.fact("cash"), max(0.0, equity - initial) / INITIAL, initial,
            MAINTENANCE * held, self._market.now(),
        )  # fmt: skip

    def positions(self) -> tuple[Position, ...]:
        """Return what is held."""
        return self._run().positions()

    def open_orders(self) -> tuple[Working, ...]:
        """Return every order that may still fill."""
        return tuple(one.working(self.client_id) for one in self._run().open_orders())

    def completed_orders(self) -> tuple[Working, ...]:
        """Return the orders that ended today, New York time."""
        return tuple(one.working(self.client_id) for one in self._run().ended_orders(self._today()))

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        """Return today's executions since a moment."""
        return tuple(self._run().fills(max(since, self._today())))

    def instrument(self, symbol: str) -> Instrument:
        """Return a symbol as an instrument; its contract's number is its place among the symbols."""
        symbols = self._market.symbols()
        if symbol not in symbols:
            raise OrderRejected(f"{symbol}: the paper market has no such symbol", UNKNOWN_CONTRACT)
        return Instrument(symbol, symbols.index(symbol) + 1, "PAPER", "PAPER", "USD", TICK)

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the last price of each symbol with half the spread on either side."""
        self._run()
        return {symbol: self._quote(symbol) for symbol in symbols}

    def next_order_id(self, floor: int) -> int:
        """Return one more than this client has used, and at least ``floor``."""
        return max(self._run().highest_id(self.client_id) + 1, floor)

    def what_if(self, order: Order) -> Margin:
        """Return what an order would change."""
        ledger = self._run()
        self._check(order)
        price = self._price(order.symbol)
        fee = self._fee(order.quantity, price, order.side)
        held = next((one.quantity for one in ledger.positions() if one.symbol == order.symbol), 0)
        more = (abs(held + order.signed) - abs(held)) * price
        return Margin(INITIAL * more, MAINTENANCE * more, self._equity(ledger) - fee, fee)

    def make_room(self, orders: int) -> None:
        """Return at once: nothing here keeps a pace."""

    def place(self, order: Order, order_id: int) -> Working:
        """Accept an order, or raise with the broker's number for why not."""
        return self.place_bracket([(order, order_id)])[0]

    def place_bracket(
        self, orders: Iterable[tuple[Order, int]], require: Callable[[], None] = nothing
    ) -> tuple[Working, ...]:
        """Accept all of these orders or none."""
        ledger = self._run()
        require()
        with ledger.change():
            taken = [self._accept(ledger, order, order_id) for order, order_id in orders]
        return tuple(one.working(self.client_id) for one in taken)

    def cancel(self, key: str) -> None:
        """Cancel the orders with a key, whichever client sent them."""
        ledger = self._run()
        found = ledger.orders_of(key)
        live = [one for one in found if not one.status.terminal]
        if not found:
            raise OrderRejected(f"order {key}: there is none to cancel", NOT_FOUND)
        if not live:
            raise OrderRejected(f"order {key}: cannot be cancelled, state: {found[-1].status}", CANNOT_CANCEL)
        with ledger.change():
            for one in live:
                self._end(ledger, one, OrderStatus.CANCELLED, self._market.now())

    def cancel_all(self) -> None:
        """Cancel every order of the account."""
        ledger = self._run()
        with ledger.change():
            for one in ledger.open_orders():
                self._end(ledger, one, OrderStatus.CANCELLED, self._market.now())

    def updates(self, timeout: float) -> tuple[Update, ...]:
        """Return what happened since the last call, whoever caused it."""
        until = time.monotonic() + timeout
        while True:
            ledger = self._run()
            orders = [(number, one.working(self.client_id)) for number, one in ledger.changed_orders(self._seen)]
            changed: list[tuple[int, Update]] = [*orders, *ledger.changed_fills(self._seen)]
            if changed or time.monotonic() >= until:
                self._seen = max((number for number, _ in changed), default=self._seen)
                return tuple(update for _, update in sorted(changed, key=lambda one: one[0]))
            time.sleep(LOOK_SECONDS)

    def _accept(self, ledger: Ledger, order: Order, order_id: int) -> Resting:
        known = ledger.order(self.client_id, order_id)
        if known is not None and known.order == order and not known.status.terminal:
            return known  # the same order under the same number changes nothing
        if known is not None and known.status is OrderStatus.FILLED:
            raise OrderRejected(f"order {order_id}: cannot be modified, it is filled", FILLED)
        if known is not None or order_id <= ledger.highest_id(self.client_id):
            raise OrderRejected(f"order {order_id}: duplicate order id", DUPLICATE_ID)
        self._check(order)
        if not order.parent:  # an exit needs no margin of its own
            self._check_margin(ledger, order)
        now = self._market.now()
        parent = ledger.orders_of(order.parent)[-1] if order.parent and ledger.orders_of(order.parent) else None
        if order.parent and (parent is None or parent.status in (OrderStatus.CANCELLED, OrderStatus.REJECTED)):
            raise OrderRejected(f"order {order.key}: its parent {order.parent} is not working", REFUSED)
        active = parent is None or parent.status is OrderStatus.FILLED
        status = OrderStatus.WORKING if active else OrderStatus.ACCEPTED
        ledger.set_fact("until", min(ledger.fact("until"), self._closes(now).timestamp()))
        permanent = ledger.count("permanent")
        taken = Resting(
            order, order_id, self.client_id, permanent, status, 0, 0.0, now, now, triggered=False, active=active
        )
        return ledger.keep_order(taken, now)

    def _check(self, order: Order) -> None:
        self.instrument(order.symbol)
        if type(order.quantity) is not int or order.quantity < 1:
            raise OrderRejected(f"order {order.key}: quantity {order.quantity}; whole shares only", REFUSED)
        needed = {
            OrderType.MARKET: (), OrderType.LIMIT: (order.limit,), OrderType.STOP: (order.stop,),
            OrderType.STOP_LIMIT: (order.limit, order.stop),
        }[order.type]  # fmt: skip
        for price in needed:
            if price is None or not (math.isfinite(price) and price > 0):
                raise OrderRejected(f"order {order.key}: a {order.type} order with price {price}", REFUSED)
            if abs(price / TICK - round(price / TICK)) > 1e-6:
                raise OrderRejected(f"order {order.key}: price {price} is not on the tick {TICK}", TICK_SIZE)
        if order.tif not in ("DAY", "GTC"):
            raise OrderRejected(f"order {order.key}: tif {order.tif}; DAY or GTC", REFUSED)

    def _check_margin(self, ledger: Ledger, order: Order) -> None:
        margin, equity = self.what_if(order), self._equity(ledger)
        held = sum(abs(one.quantity) * self._price(one.symbol) for one in ledger.positions())
        if margin.initial_change > 0 and INITIAL * held + margin.initial_change > equity:
            raise OrderRejected(
                f"order {order.key}: insufficient equity, {equity:,.2f} with margin "
                f"{INITIAL * held + margin.initial_change:,.2f}", REFUSED,
            )  # fmt: skip

    def _run(self) -> Ledger:
        """Let the market go on until now."""
        ledger = self._open
        if ledger is None:
            raise Disconnected("paper broker: not connected; connect first")
        with ledger.change():
            seen = datetime.fromtimestamp(ledger.fact("seen"), UTC)
            at = seen
            for one in self._market.prints(seen, ledger.open_symbols()):
                if one.at != at:
                    self._expire(ledger, one.at, strictly=True)
                self._print(ledger, one)
                at = one.at
            self._expire(ledger, self._market.now(), strictly=False)
            ledger.set_fact("seen", max(self._market.now(), seen).timestamp())
        return ledger

    def _print(self, ledger: Ledger, seen: Print) -> None:
        """Fill what a price reaches, stops before limits; each fill may end, shrink or wake other orders."""
        waiting = ledger.open_orders(seen.symbol)
        waiting.sort(key=lambda one: (one.order.type not in (OrderType.STOP, OrderType.STOP_LIMIT), one.permanent_id))
        for first in waiting:
            one = ledger.order(first.client, first.order_id)
            if one is None or one.status.terminal or not one.active or one.since > seen.at:
                continue
            found = match(one.order, one.since, one.triggered, seen, self._half)
            if found.triggered and not one.triggered:
                one = ledger.keep_order(replace(one, triggered=True), seen.at)
            quantity = min(one.order.quantity - one.filled, self._offered(ledger, seen))
            if found.price is not None and quantity > 0:
                self._fill(ledger, one, quantity, found.price, seen.at)

    def _offered(self, ledger: Ledger, seen: Print) -> int:
        if seen.volume is None:
            return 2**62
        most = seen.volume * self._participation if math.isfinite(seen.volume) else 0.0
        return max(0, math.floor(most) - ledger.traded(seen.symbol, seen.start))

    def _fill(self, ledger: Ledger, one: Resting, quantity: int, price: float, at: datetime) -> None:
        fee = self._fee(quantity, price, one.order.side)
        number = ledger.count("execution")
        fill = Fill(
            f"0000e0d5.{number:08x}.01", 1, one.order.key, one.order.symbol, one.order.side, quantity, price, at,
            self.account_id, one.order_id, one.permanent_id, fee,
        )  # fmt: skip
        ledger.keep_fill(fill)
        ledger.hold(fill.symbol, fill.signed, price, fee)
        ledger.set_fact("cash", ledger.fact("cash") - fill.signed * price - fee)
        filled = one.filled + quantity
        average = (one.average * one.filled + price * quantity) / filled
        whole = filled >= one.order.quantity
        status = OrderStatus.FILLED if whole else OrderStatus.WORKING
        done = ledger.keep_order(replace(one, filled=filled, average=average, status=status), at)
        self._shrink_group(ledger, done, quantity, at)
        if whole:
            self._wake(ledger, done, at)

    def _shrink_group(self, ledger: Ledger, done: Resting, quantity: int, at: datetime) -> None:
        """Take what filled off the orders of the same group; nothing of them is left where all filled."""
        for other in ledger.open_orders() if done.order.oca else []:
            if other.order.oca == done.order.oca and other.permanent_id != done.permanent_id:
                left = other.order.quantity - quantity
                if left <= other.filled:
                    self._end(ledger, other, OrderStatus.CANCELLED, at)
                else:
                    ledger.keep_order(replace(other, order=replace(other.order, quantity=left)), at)

    def _wake(self, ledger: Ledger, parent: Resting, at: datetime) -> None:
        for child in ledger.open_orders():
            if child.order.parent == parent.order.key and not child.active:
                ledger.keep_order(replace(child, active=True, since=at, status=OrderStatus.WORKING), at)

    def _end(self, ledger: Ledger, one: Resting, status: OrderStatus, at: datetime) -> None:
        """End an order; its children end with it, or are left with what it filled."""
        ledger.keep_order(replace(one, status=status), at)
        for child in ledger.open_orders():
            if child.order.parent == one.order.key and not child.active:
                if one.filled:
                    smaller = replace(child.order, quantity=min(child.order.quantity, one.filled))
                    woken = replace(child, order=smaller, active=True, since=at, status=OrderStatus.WORKING)
                    ledger.keep_order(woken, at)
                else:
                    self._end(ledger, child, status, at)

    def _expire(self, ledger: Ledger, now: datetime, *, strictly: bool) -> None:
        """End the day's orders once the session they were for is over."""
        if now.timestamp() < ledger.fact("until"):  # no order of the day ends before this
            return
        later = [math.inf]
        for one in ledger.open_orders():
            current = ledger.order(one.client, one.order_id)
            if one.order.tif != "DAY" or current is None or current.status.terminal:
                continue
            closes = self._closes(one.accepted)
            if closes < now or (closes == now and not strictly):
                self._end(ledger, current, OrderStatus.CANCELLED, closes)
            else:
                later.append(closes.timestamp())
        ledger.set_fact("until", min(later))

    def _closes(self, accepted: datetime) -> datetime:
        """Return the end of the session that an order of this moment is for."""
        day = accepted.astimezone(ZONE).date()
        if self._calendar.is_session(day) and self._calendar.closes(day) > accepted:
            return self._calendar.closes(day)
        return self._calendar.closes(self._calendar.next(day).date())

    def _fee(self, shares: int, price: float, side: Side) -> float:
        one = Fills(np.array([float(shares)]), np.array([shares * price]), np.array([side is Side.SELL]), np.array([0]))
        return float(self._commission(one)[0])

    def _equity(self, ledger: Ledger) -> float:
        return ledger.fact("cash") + sum(one.quantity * self._price(one.symbol) for one in ledger.positions())

    def _price(self, symbol: str) -> float:
        last = self._market.last(symbol)
        if last is None:
            raise DataRefused(f"{symbol}: the paper market has no price of it yet")
        return last[0]

    def _quote(self, symbol: str) -> Quote:
        self.instrument(symbol)
        last = self._market.last(symbol)
        if last is None:
            return Quote(symbol, None, None, None, self._market.now())
        price, at = last
        return Quote(symbol, price * (1 - self._half), price * (1 + self._half), price, at)

    def _today(self) -> datetime:
        local = self._market.now().astimezone(ZONE)
        return (local - timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)).replace(microsecond=0)
