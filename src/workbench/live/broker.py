"""What the runner asks of a broker, whichever it is; one conformance suite (tests/conformance) holds for all of them.

No call answers with nothing to mean that it failed: it raises ``Disconnected``, ``Unanswered`` or ``OrderRejected``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from workbench.trading import Account, Fill, Instrument, Margin, Order, Position, Quote, Working

Update = Fill | Working


def nothing() -> None:
    """Require nothing."""


class Broker(Protocol):
    """One account at one broker, seen through one connection."""

    @property
    def account_id(self) -> str:
        """The account's name; IB's paper accounts begin with DU."""
        ...

    @property
    def embedded(self) -> bool:
        """Whether it lives in this process and trades nothing real."""
        ...

    def connect(self) -> None:
        """Connect as the same client as before; being accepted means that the broker has let go of the old session."""
        ...

    def close(self) -> None:
        """Disconnect; orders stay where they are."""
        ...

    def now(self) -> datetime:
        """Return the broker's own time: the heartbeat."""
        ...

    def account(self) -> Account:
        """Return what the account is worth and can do."""
        ...

    def positions(self) -> tuple[Position, ...]:
        """Return what is held, whoever bought it."""
        ...

    def open_orders(self) -> tuple[Working, ...]:
        """Return every order that may still fill, those of other clients too."""
        ...

    def completed_orders(self) -> tuple[Working, ...]:
        """Return today's orders that cannot fill any more."""
        ...

    def fills(self, since: datetime) -> tuple[Fill, ...]:
        """Return today's executions since a moment, each once and as last corrected."""
        ...

    def instrument(self, symbol: str) -> Instrument:
        """Return the one instrument that a symbol means; several or none is refused."""
        ...

    def quotes(self, symbols: Iterable[str]) -> Mapping[str, Quote]:
        """Return the last prices of each symbol, None where the broker has none."""
        ...

    def next_order_id(self, floor: int) -> int:
        """Return an id that no order has had: the broker's next, and at least ``floor``."""
        ...

    def what_if(self, order: Order) -> Margin:
        """Return what an order would change, without sending it."""
        ...

    def make_room(self, orders: int) -> None:
        """Wait until so many orders may leave at once; what is placed leaves in that moment or never."""
        ...

    def place(self, order: Order, order_id: int) -> Working:
        """Send an order and return it as acknowledged; ``Unanswered`` means that it may be there."""
        ...

    def place_bracket(
        self, orders: Iterable[tuple[Order, int]], require: Callable[[], None] = nothing
    ) -> tuple[Working, ...]:
        """Send a parent and its children so that none works before all are there.

        ``require`` is asked right before they are let go; where it raises, what is there is taken back.
        """
        ...

    def cancel(self, key: str) -> None:
        """Ask for a cancel; what became of it comes as an update."""
        ...

    def cancel_all(self) -> None:
        """Ask for the cancel of every order of the account."""
        ...

    def updates(self, timeout: float) -> tuple[Update, ...]:
        """Return what happened since the last call, waiting at most ``timeout`` seconds for something."""
        ...
