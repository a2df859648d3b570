"""The facts of trading: what is asked of a broker and what it answers, the same for every broker.

Money is in the account's currency, quantities are whole shares, a short position is negative, times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Side(StrEnum):
    """Which way an order goes."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a purchase, -1 for a sale."""
        return 1 if self is Side.BUY else -1

    @classmethod
    def of(cls, quantity: float) -> Side:
        """Return the side of a signed quantity."""
        return cls.BUY if quantity > 0 else cls.SELL


class OrderType(StrEnum):
    """How an order may be filled."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class OrderStatus(StrEnum):
    """Where an order stands; from a terminal status there is no way back."""

    INTENDED = "intended"  # in the journal, perhaps not sent
    ACCEPTED = "accepted"  # the broker knows it
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    MISSING = "missing"  # the journal says it was accepted, the broker has no trace: a person decides

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen to it."""
        return self in (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED)


@dataclass(frozen=True)
class Instrument:
    """What can be traded, as the broker knows it: ``tick`` is the smallest step of a price."""

    symbol: str
    contract_id: int
    exchange: str
    primary_exchange: str
    currency: str
    tick: float


@dataclass(frozen=True)
class Order:
    """What is asked for. ``key`` names it for ever: it is the broker's order reference and safe to send again.

    ``parent`` is the key of the order that must fill first (a bracket), ``oca`` the group of which one fills.
    """

    key: str
    symbol: str
    side: Side
    quantity: int
    type: OrderType = OrderType.MARKET
    limit: float | None = None
    stop: float | None = None
    tif: str = "DAY"
    parent: str = ""
    oca: str = ""

    @property
    def signed(self) -> int:
        """The quantity, negative for a sale."""
        return self.side.sign * self.quantity


@dataclass(frozen=True)
class Working:
    """An order as the broker has it; ``ours`` is False for one that this runner's client did not send."""

    order: Order
    order_id: int
    permanent_id: int
    status: OrderStatus
    filled: int
    average_price: float
    client_id: int
    ours: bool = True

    @property
    def remaining(self) -> int:
        """Shares that may still be filled."""
        return self.order.quantity - self.filled if not self.status.terminal else 0


@dataclass(frozen=True)
class Fill:
    """One execution. ``id`` is the same for its corrections, of which the highest ``revision`` holds."""

    id: str
    revision: int
    key: str  # of the order; empty where the order was not ours
    symbol: str
    side: Side
    quantity: int
    price: float
    at: datetime
    account: str
    order_id: int = 0
    permanent_id: int = 0
    commission: float | None = None  # None until the broker reports it

    @property
    def signed(self) -> int:
        """The quantity, negative for a sale."""
        return self.side.sign * self.quantity


@dataclass(frozen=True)
class Position:
    """What is held, in whole shares; ``average_cost`` is per share, commissions included as the broker does.

    ``part`` is what is held beyond them and cannot be traded here: half a share of a dividend that was reinvested; NaN
    where the broker's number cannot be read.
    """

    symbol: str
    quantity: int
    average_cost: float  # NaN where the broker does not say
    contract_id: int = 0
    part: float = 0.0


@dataclass(frozen=True)
class Account:
    """What the broker says of the account now."""

    id: str
    currency: str
    equity: float
    cash: float
    buying_power: float
    initial_margin: float
    maintenance_margin: float
    at: datetime


@dataclass(frozen=True)
class Quote:
    """The last known prices of one symbol; None where there is none."""

    symbol: str
    bid: float | None
    ask: float | None
    last: float | None
    at: datetime

    @property
    def mid(self) -> float | None:
        """The middle of bid and ask, else the last price."""
        if self.bid is not None and self.ask is not None:
            return (self.bid + self.ask) / 2
        return self.last


@dataclass(frozen=True)
class Margin:
    """What an order would change, by the broker's own what-if."""

    initial_change: float
    maintenance_change: float
    equity_after: float
    commission: float | None
