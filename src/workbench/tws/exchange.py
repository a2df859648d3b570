"""The matching engine: resting and arriving orders against the simulated book, second by second."""

from __future__ import annotations

import zlib
from datetime import date
from typing import Protocol

import numpy as np

from workbench.tws.account import Account
from workbench.tws.blotter import Blotter
from workbench.tws.hours import Hours
from workbench.tws.market import Book, Market
from workbench.tws.order import (
    CANCELLED,
    FILLED,
    MARKET,
    PRESUBMITTED,
    STOP,
    SUBMITTED,
    Execution,
    Order,
)
from workbench.tws.store import Store

LEVELS = 5  # of the book that one order may sweep within a second


class Listener(Protocol):
    """Who passes on what happens at the exchange."""

    def opened(self, order: Order) -> None:
        """An order was taken or changed."""

    def moved(self, order: Order) -> None:
        """An order has a new status."""

    def executed(self, order: Order, execution: Execution) -> None:
        """An order was filled, in part or whole."""

    def corrected(self, order: Order, execution: Execution) -> None:
        """An execution was replaced by a corrected one."""

    def refused(self, client_id: int, order_id: int, code: int, text: str) -> None:
        """Something about an order is wrong, or is to be told."""


class Exchange:
    """Orders in time, all state written to the store as it changes."""

    def __init__(self, market: Market, account: Account, store: Store, seed: int, at: float) -> None:
        self.market = market
        self.account = account
        self.store = store
        self.seed = seed
        self.listener: Listener
        self.at = int(float(store.meta("at", str(at))))
        self.orders = {order.perm_id: order for order in store.orders()}
        self.blotter = Blotter(account, store, seed)
        self.alive: dict[int, Order] = {}
        self.working: dict[str, dict[int, Order]] = {}  # by symbol, those that can be matched
        for order in self.orders.values():
            self.rest(order)
        self.next_perm = max(self.orders, default=1_000_000_000 + zlib.crc32(str(seed).encode()) % 500_000_000) + 1
        self.used: dict[str, tuple[int, dict[str, int]]] = {}
        self.dirty: set[str] = set()
        self.holding = False  # a fault: nothing is matched
        self.largest = 0  # a fault: shares of one execution at most

    @property
    def executions(self) -> list[Execution]:
        """Every execution, corrections included."""
        return self.blotter.executions

    @property
    def hours(self) -> Hours:
        """The sessions of the exchange."""
        return self.market.hours

    def mark(self, symbol: str) -> float:
        """Return the last price now."""
        return self.market.mark(symbol, self.at)

    def draw(self, *what: object) -> float:
        """Return a number from 0 to 1 that follows from the seed and these words alone."""
        return zlib.crc32(repr((self.seed, what)).encode()) / 2**32

    def save(self, order: Order) -> None:
        """Write an order, and remember that its symbol must be looked at again."""
        self.store.save_order(order)
        self.dirty.add(order.symbol)

    def rest(self, order: Order) -> None:
        """Put an order where its status says: among the living, among those that can be matched, or nowhere."""
        if order.dead:
            self.alive.pop(order.perm_id, None)
        else:
            self.alive[order.perm_id] = order
        mine = self.working.setdefault(order.symbol, {})
        if order.status in (SUBMITTED, PRESUBMITTED) and "child" not in order.why_held:
            mine[order.perm_id] = order
        else:
            mine.pop(order.perm_id, None)

    def move(self, order: Order, status: str, why_held: str = "") -> None:
        """Give an order another status and tell it."""
        order.status, order.why_held = status, why_held
        if order.dead:
            order.done = float(self.at)
        self.rest(order)
        self.save(order)
        self.listener.moved(order)

    def begin(self, order: Order) -> None:
        """Let an order work: from now on, or from the opening where the exchange is closed."""
        order.queue = -1
        if order.is_stop:
            self.move(order, PRESUBMITTED, "trigger")
        elif not self.hours.is_open(self.at):
            self.move(order, PRESUBMITTED)
        else:
            self.move(order, SUBMITTED)
        self.match_now(order)

    def match_now(self, order: Order) -> None:
        """Match one order against the book of this second."""
        if self.hours.is_open(self.at) and order.perm_id in self.working.get(order.symbol, {}):
            self.match(order.symbol, self.market.book(order.symbol, self.at), only=order)

    def advance(self, to: float) -> None:
        """Let time pass, with every fill, opening and close at its own second."""
        goal = int(to)
        while self.at < goal:
            day = self.hours.last_day(self.at)
            if self.hours.is_open(self.at):
                close = self.hours.open_of(day) + self.hours.seconds
                self.match_seconds(day, self.at + 1, min(goal, close - 1))
                self.at = min(goal, close)
                if goal >= close:
                    self.end_session()
                if self.hours.is_open(self.at) and self.at == close:  # around the clock
                    self.begin_session()
            else:
                opening = self.hours.next_open(self.at)
                self.at = min(goal, opening)
                if goal >= opening:
                    self.begin_session()
        self.store.set_meta("at", self.at)

    def begin_session(self) -> None:
        """Open: orders that waited for it become active."""
        day = self.hours.last_day(self.at)
        self.account.begin_day(day, self.mark)
        for order in sorted(
            (one for mine in self.working.values() for one in mine.values()), key=lambda one: one.perm_id
        ):
            if order.status == PRESUBMITTED and not order.is_stop:
                self.move(order, SUBMITTED)
            order.queue = -1  # who waited over night arrives anew: a gap is filled at the opening, not at the limit
            self.match_now(order)

    def end_session(self) -> None:
        """Close: orders for the day end."""
        for order in list(self.alive.values()):
            if order.tif == "DAY" and order.status in (SUBMITTED, PRESUBMITTED):
                self.cancel(order)

    def match_seconds(self, day: date, start: int, stop: int) -> None:
        """Match all symbols from one second to another, each fill in the order of time."""
        opened = self.hours.open_of(day)
        self.dirty.clear()
        due = {symbol: self.next_second(symbol, day, start - opened, stop - opened) for symbol in self.working}
        while not self.holding:
            waiting = [(second, symbol) for symbol, second in due.items() if second is not None]
            if not waiting:
                break
            second, symbol = min(waiting)
            self.at = opened + second
            self.match(symbol, self.market.path(symbol, day).at(second))
            for again in {symbol, *self.dirty}:
                due[again] = self.next_second(again, day, second + 1, stop - opened)
            self.dirty.clear()

    def next_second(self, symbol: str, day: date, start: int, stop: int) -> int | None:
        """Return the first second, up to the last, at which an order of a symbol can be matched."""
        orders = self.working.get(symbol)
        if not orders or start > stop:
            return None
        below, above, ticks = -1, 2**31 - 1, self.market.instruments[symbol].ticks
        for order in orders.values():
            if order.is_stop:
                level = ticks(order.aux or 0.0)
                down = order.sign < 0
            elif order.type in (MARKET, STOP):
                return start
            else:
                level = ticks(order.limit or 0.0)
                down = order.sign > 0
            if down:
                below = max(below, level)
            else:
                above = min(above, level)
        last = self.market.path(symbol, day).last(start, stop + 1)
        hit = (last <= below) | (last >= above)
        first = int(np.argmax(hit))
        return start + first if hit[first] else None

    def match(self, symbol: str, book: Book, only: Order | None = None) -> None:
        """Match the orders of one symbol, oldest first, against one second of the book."""
        if self.holding:
            return
        second, used = self.used.get(symbol, (-1, {}))
        if second != self.at:
            used = {"BUY": 0, "SELL": 0, "traded": 0}
            self.used[symbol] = (self.at, used)
        for order in [only] if only else [self.working[symbol][perm] for perm in sorted(self.working[symbol])]:
            if order.perm_id not in self.working[symbol]:
                continue
            if order.is_stop:
                level = self.market.instruments[symbol].ticks(order.aux or 0.0)
                if (book.last - level) * order.sign < 0:
                    continue
                order.triggered = True
                self.move(order, SUBMITTED)
            if order.type in (MARKET, STOP):
                self.sweep(order, book, used, limit=None)
            else:
                self.match_limit(order, book, used)
            if order.tif == "IOC" and not order.dead:
                self.cancel(order)

    def match_limit(self, order: Order, book: Book, used: dict[str, int]) -> None:
        """Match a limit order: against the other side where it crosses, else behind the queue at its price."""
        limit = self.market.instruments[order.symbol].ticks(order.limit or 0.0)
        near, far = (book.bid, book.ask) if order.sign > 0 else (book.ask, book.bid)
        if (far - limit) * order.sign <= 0:
            # Who waited is filled at the own price; who arrives takes what is shown, the better price first.
            self.sweep(order, book, used, limit=limit, at_limit=order.queue >= 0)
            return
        if order.queue < 0:  # it arrives, and stands last at its price
            better = (limit - near) * order.sign > 0
            size = book.bid_size if order.sign > 0 else book.ask_size
            order.queue = 0 if better else size
            self.store.save_order(order)
            return
        if (book.last - limit) * order.sign > 0:
            return
        traded = book.volume - used["traded"]
        ahead = min(order.queue, traded)
        order.queue -= ahead
        shares = min(order.remaining, traded - ahead)
        used["traded"] += ahead + max(shares, 0)
        if shares > 0:
            self.fill(order, shares, self.market.instruments[order.symbol].price(limit), liquidity=1)
        elif ahead:
            self.store.save_order(order)

    def sweep(self, order: Order, book: Book, used: dict[str, int], limit: int | None, at_limit: bool = False) -> None:
        """Take what the other side shows, level by level, each as deep as the first."""
        best, size = (book.ask, book.ask_size) if order.sign > 0 else (book.bid, book.bid_size)
        price = self.market.instruments[order.symbol].price
        while not order.dead and order.remaining:
            level, taken = divmod(used[order.action], size)
            ticks = best + level * order.sign
            if level >= LEVELS or (limit is not None and (ticks - limit) * order.sign > 0):
                return
            shares = min(order.remaining, size - taken, self.largest or size)
            used[order.action] += shares
            self.fill(order, shares, price(limit if at_limit and limit is not None else ticks), 1 if at_limit else 2)
            if self.largest:
                return

    def fill(self, order: Order, shares: int, price: float, liquidity: int = 2) -> Execution:
        """Execute shares of an order."""
        execution = self.blotter.book(order, shares, price, self.at, liquidity)
        if not order.remaining:
            order.status, order.why_held, order.done = FILLED, "", float(self.at)
        else:
            order.status, order.why_held = SUBMITTED, ""
        self.rest(order)
        self.save(order)
        self.listener.executed(order, execution)
        self.follow_group(order, shares)
        if order.dead:
            self.follow_parent(order)
        return execution

    def correct(self, exec_id: str, shares: int | None, price: float | None) -> Execution:
        """Replace an execution by one with other shares or another price, as an exchange does after the fact."""
        execution = self.blotter.correct(exec_id, shares, price)
        self.listener.corrected(self.orders[execution.perm_id], execution)
        return execution

    def cancel(self, order: Order, code: int = 202, text: str = "Order Canceled - reason:") -> None:
        """Cancel an order and tell it: first the status, then the error that is none."""
        self.move(order, CANCELLED)
        self.listener.refused(order.client_id, order.order_id, code, text)
        self.follow_parent(order)

    def forget(self, order: Order) -> None:
        """Lose an order: nothing is told, and nobody finds a trace of it."""
        del self.orders[order.perm_id]
        self.alive.pop(order.perm_id, None)
        self.working.get(order.symbol, {}).pop(order.perm_id, None)
        self.store.drop_order(order)

    def follow_group(self, order: Order, shares: int) -> None:
        """Of a one-cancels-all group, cancel the others or reduce them by what was filled."""
        if not order.oca_group:
            return
        for other in list(self.alive.values()):
            if other is order or other.dead or other.oca_group != order.oca_group or other.account != order.account:
                continue
            if order.oca_type == 1 or other.remaining <= shares:
                self.cancel(other)
            else:
                other.quantity -= shares
                self.save(other)
                self.listener.opened(other)
                self.listener.moved(other)

    def follow_parent(self, parent: Order) -> None:
        """Start the children of a filled parent, for as many shares; drop them where nothing was filled."""
        for child in list(self.alive.values()):
            if child.parent_perm != parent.perm_id or child.dead:
                continue
            if not parent.filled:
                self.cancel(child)
            elif "child" in child.why_held:
                child.quantity = min(child.quantity, parent.filled)
                self.begin(child)
