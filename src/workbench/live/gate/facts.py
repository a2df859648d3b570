"""What the gate is asked, and all that its rules may look at: frozen, so that a verdict can be told again later."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from workbench.live.limits import Limits
from workbench.live.trading_state import TradingState
from workbench.trading import (
    Account,
    Fill,
    Instrument,
    Margin,
    Order,
    OrderStatus,
    OrderType,
    Quote,
    Side,
    Working,
)

_Known = TypeVar("_Known")


class Unknown(Exception):
    """A rule lacks what it needs: the order is denied."""


class Origin(StrEnum):
    """Who wants an order."""

    STRATEGY = "strategy"
    ALERT = "alert"
    OPERATOR = "operator"
    PROTECTION = "protection"  # the stop or the target beside what a strategy holds
    EMERGENCY = "emergency"  # the emergency stop: it only closes, and nothing but that may be asked of it


@dataclass(frozen=True)
class Asked:
    """An order that somebody wants sent. ``packs`` names the evidence that each strategy decided by.

    ``decision`` is what it is a part of, ``planned`` how many shares that decision may trade at most.
    """

    order: Order
    origin: Origin = Origin.STRATEGY
    shares: Mapping[str, int] = field(default_factory=dict)  # strategy -> signed shares of this order
    packs: Mapping[str, str] = field(default_factory=dict)  # strategy -> digest of its pack
    decision: str = ""
    planned: int = 0


@dataclass(frozen=True)
class Cancel:
    """A wish to take an order back; it always passes."""

    key: str


@dataclass(frozen=True)
class Hours:
    """When the session of now opens and closes, or where none is on, the next one."""

    opens: datetime
    closes: datetime


@dataclass(frozen=True)
class Day:
    """What the day has brought so far; ``pnl`` includes what is not realised."""

    equity_at_open: float
    pnl: float


@dataclass(frozen=True)
class Sent:
    """An order that left today; ``reducing`` orders are not counted against the orders of a day."""

    at: datetime
    key: str
    symbol: str
    side: Side
    quantity: int
    limit: float | None = None
    stop: float | None = None
    reducing: bool = False


@dataclass(frozen=True)
class GateState:
    """The world as the rules see it. What is None is not known, and what is not known denies.

    ``positions`` and ``open_orders`` are the account's, whoever's they are; ``booked`` is what the journal has of the
    same positions, with the differences that a person explained. Of these ``explained`` has what nobody saw beside all
    of ours, and ``theirs`` what was seen there, on either side of ours. ``worked`` has the shares of each
    decision that were sent and are filled or may still be; ``reduce_only`` the strategies that may only shrink what
    they hold; ``books`` each strategy's own shares, ``ordered`` what its open orders may still trade beside those that
    protect, as strategy, symbol and signed shares; ``capital`` the most that it may have at work, where its stage
    bounds it.
    """

    now: datetime
    limits: Limits
    trading: TradingState | None = None
    halted_because: str = ""
    reconciled: bool | None = None
    locked: frozenset[str] = frozenset()
    connected: bool | None = None
    verified: Mapping[str, str] | None = None
    reduce_only: frozenset[str] = frozenset()
    whitelist: frozenset[str] | None = None
    instruments: Mapping[str, Instrument] | None = None
    hours: Hours | None = None
    quotes: Mapping[str, Quote] | None = None
    closes: Mapping[str, float] | None = None
    account: Account | None = None
    positions: Mapping[str, int] | None = None
    booked: Mapping[str, int] | None = None
    explained: Mapping[str, int] = field(default_factory=dict)
    theirs: Mapping[str, int] = field(default_factory=dict)
    open_orders: tuple[Working, ...] | None = None
    books: Mapping[str, Mapping[str, int]] | None = None
    ordered: tuple[tuple[str, str, int], ...] = ()
    capital: Mapping[str, float] = field(default_factory=dict)
    sectors: Mapping[str, str] | None = None
    returns: Mapping[str, Sequence[float]] | None = None
    day: Day | None = None
    sent: tuple[Sent, ...] | None = None
    fills: tuple[Fill, ...] | None = None
    worked: Mapping[str, int] | None = None
    what_if: Margin | None = None
    confirmed: frozenset[str] = frozenset()

    def held(self, symbol: str) -> int:
        """Return the shares held of a symbol."""
        return known(self.positions, "positions").get(symbol, 0)

    def booked_of(self, symbol: str) -> int:
        """Return the shares that the journal has of a symbol."""
        return known(self.booked, "positions in the journal").get(symbol, 0)

    def ours_after(self, order: Order) -> int:
        """Return the shares that are ours, without what a person explained, once an order and those at work fill."""
        ours = self.held(order.symbol) - self.explained.get(order.symbol, 0)
        at_work = sum(shares for _, symbol, shares in self.ordered if symbol == order.symbol)
        return ours + at_work + order.signed

    def pending(self, symbol: str, side: Side, beside: Order | None = None) -> int:
        """Return the shares that open orders of a side may still trade, leaving out the group of ``beside``.

        Of orders of which one fills, the largest counts. An exit that waits for its entry closes only what that has
        bought.
        """
        groups = self._groups.get((symbol, side), {})
        return sum(groups.values()) - (groups.get(group(beside), 0) if beside else 0)

    def own(self, strategy: str, symbol: str) -> int:
        """Return the shares that a strategy has of a symbol."""
        return known(self.books, "books").get(strategy, {}).get(symbol, 0)

    def ordered_of(self, strategy: str, symbol: str, side: Side) -> int:
        """Return the shares that a strategy's open orders may still trade on a side, beside those that protect."""
        ours = (shares * side.sign for name, of, shares in self.ordered if (name, of) == (strategy, symbol))
        return sum(shares for shares in ours if shares > 0)

    def at_work(self, strategy: str, symbol: str) -> int:
        """Return the most shares, long or short, that a strategy may come to have of a symbol by its open orders."""
        own = self.own(strategy, symbol)
        most, least = (own + side.sign * self.ordered_of(strategy, symbol, side) for side in (Side.BUY, Side.SELL))
        return max(abs(most), abs(least))

    @cached_property
    def _working(self) -> tuple[Working, ...]:
        return tuple(working for working in known(self.open_orders, "open orders") if working.remaining > 0)

    @cached_property
    def _entries(self) -> dict[str, Working]:
        return {working.order.key: working for working in self._working if working.order.key}

    @cached_property
    def _groups(self) -> dict[tuple[str, Side], dict[str, int]]:
        """The shares that may still trade: by symbol and side, and by what fills only once."""
        found: dict[tuple[str, Side], dict[str, int]] = {}
        for working in self._working:
            order, entry = working.order, self._entries.get(working.order.parent)
            name = group(order) or f"#{working.permanent_id} {working.client_id} {working.order_id}"  # made by hand
            shares = min(working.remaining, entry.filled) if entry else working.remaining
            groups = found.setdefault((order.symbol, order.side), {})
            groups[name] = max(groups.get(name, 0), shares)
        return found

    def entry_of(self, order: Order) -> Working | None:
        """Return the open order that must fill before this one wakes."""
        return self._entries.get(order.parent) if order.parent else None

    @cached_property
    def symbols(self) -> frozenset[str]:
        """The symbols that are held, or may be once open orders fill."""
        held = {symbol for symbol, shares in known(self.positions, "positions").items() if shares}
        return frozenset(held | {one.order.symbol for one in self._working})

    def mark(self, symbol: str) -> float:
        """Return the price that a symbol is valued at."""
        quote = known(self.quotes, "quotes").get(symbol)
        return positive(None if quote is None else quote.mid, f"price of {symbol}")

    def equity(self) -> float:
        """Return the account's equity, as long as it is of now."""
        account = known(self.account, "account")
        age = (self.now - account.at).total_seconds()
        if not age <= self.limits.max_account_age_seconds:
            raise Unknown(
                f"account values are {age:,.0f} s old, max_account_age_seconds={self.limits.max_account_age_seconds:g}"
            )
        return positive(account.equity, "equity")

    def after(self, asked: Asked) -> GateState:
        """Return the state once an order is on its way, so that the next one of a session is held against it."""
        order = asked.order
        working = Working(order, 0, 0, OrderStatus.INTENDED, 0, 0.0, 0)
        sent = Sent(
            self.now, order.key, order.symbol, order.side, order.quantity, order.limit, order.stop, self.reduces(asked)
        )
        worked = dict(self.worked or {})
        if asked.decision and not order.parent:  # an exit is bounded by its entry
            worked[asked.decision] = worked.get(asked.decision, 0) + order.quantity
        ordered = [(strategy, order.symbol, shares) for strategy, shares in asked.shares.items()]
        return replace(
            self,
            open_orders=(*(self.open_orders or ()), working),
            sent=(*(self.sent or ()), sent),
            worked=worked,
            ordered=self.ordered if asked.origin is Origin.PROTECTION else (*self.ordered, *ordered),
            what_if=None,
        )

    def ours(self, asked: Asked) -> int:
        """Return the shares that an order is measured by: without a person's own, unless it is theirs or closes all."""
        held = self.held(asked.order.symbol)
        everything = asked.origin in (Origin.OPERATOR, Origin.EMERGENCY)
        return held if everything else held - self.theirs.get(asked.order.symbol, 0)

    def reduces(self, asked: Asked) -> bool:
        """Return whether an order can only shrink what is ours, whatever else fills: never through zero."""
        order = asked.order
        entry = self.entry_of(order)
        if entry is not None:
            opened = entry.order
            return opened.symbol == order.symbol and opened.side is not order.side and order.quantity <= opened.quantity
        ours = self.ours(asked)
        left = abs(ours) - self.pending(order.symbol, order.side, beside=order)
        return ours * order.side.sign < 0 and 0 < order.quantity <= left


def group(order: Order) -> str:
    """Return the name of what an order belongs to: of an OCA group, or of a bracket's exits, one fills."""
    return order.oca or order.parent or order.key


def known(value: _Known | None, what: str) -> _Known:
    """Return a value that is known, or raise."""
    if value is None:
        raise Unknown(f"{what} unknown")
    return value


def finite(value: float | None, what: str) -> float:
    """Return a finite number, or raise: no comparison may be decided by NaN."""
    number = known(value, what)
    if not math.isfinite(number):
        raise Unknown(f"{what} is {number}")
    return number


def positive(value: float | None, what: str) -> float:
    """Return a finite number above zero, or raise."""
    number = finite(value, what)
    if number <= 0:
        raise Unknown(f"{what} is {number:g}")
    return number


def prices_asked(order: Order) -> tuple[float, ...]:
    """Return the limit and stop prices that an order of its type must have."""
    wanted = {
        OrderType.MARKET: (),
        OrderType.LIMIT: (order.limit,),
        OrderType.STOP: (order.stop,),
        OrderType.STOP_LIMIT: (order.limit, order.stop),
    }[order.type]
    return tuple(positive(price, f"price of a {order.type} order") for price in wanted)


def worth(order: Order, state: GateState) -> float:
    """Return what an order is worth at the highest price that is known of it."""
    return order.quantity * max((state.mark(order.symbol), *prices_asked(order)))


def total(values: Iterable[float], what: str) -> float:
    """Return a sum that is a number."""
    return finite(math.fsum(values), what)
