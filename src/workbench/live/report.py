"""What a session came to, from the books: orders, fills, and what each strategy made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from workbench.live.book import Book, Tracked
from workbench.live.difference import Difference
from workbench.live.past import Denied
from workbench.live.reconcile import Reconciled
from workbench.live.session import Seat


@dataclass(frozen=True)
class Traded:
    """One order of the session and what became of it."""

    key: str
    symbol: str
    signed: int
    status: str
    filled: int
    average: float | None
    shares: Mapping[str, int]
    text: str


@dataclass(frozen=True)
class Result:
    """One strategy's session; ``equal``: its shares are those that its weights, computed again, ask for.

    ``explained``: they are not, only because orders were denied or not filled.
    """

    strategy: str
    version: int
    pack: str
    stage: str
    capital: float
    pnl: float
    trades: int
    held: Mapping[str, int]
    equal: bool | None
    explained: bool = False


@dataclass(frozen=True)
class SessionReport:
    """A session from its start to its closing; ``halted`` says why nothing was sent, where that is so."""

    account: str
    session: date
    equity: float
    pnl: float
    orders: tuple[Traded, ...]
    denied: tuple[Denied, ...]
    fills: int
    results: tuple[Result, ...]
    differences: tuple[Difference, ...]
    halted: str
    head: str


def report(
    book: Book, session: date, account: str, told: Reconciled, results: tuple[Result, ...], halted: str
) -> SessionReport:
    """Return the report of a session that was closed in the books."""
    closing, before = book.past.closing, book.past.equity_at_open
    assert closing is not None
    assert book.last is not None
    orders = [book.orders[key] for key in book.past.today]
    return SessionReport(
        account, session, closing.equity, closing.equity - (before or closing.equity),
        tuple(_traded(one, book) for one in orders), tuple(book.past.denied.values()),
        sum(len(book.of_order(one.order.key)) for one in orders), results, told.unexplained, halted, book.last.head,
    )  # fmt: skip


def slippage(book: Book, seat: Seat) -> tuple[int, float | None]:
    """Return a strategy's fills under its pack, and what they cost beside the price decided on: bps, by value."""
    found = book.past.slippage(seat.name, seat.pack, book)
    return found.fills, found.cost / found.value * 1e4 if found.value else None


def _traded(one: Tracked, book: Book) -> Traded:
    fills = book.of_order(one.order.key)
    quantity = sum(fill.quantity for fill in fills)
    average = sum(fill.quantity * fill.price for fill in fills) / quantity if quantity else None
    return Traded(
        one.order.key, one.order.symbol, one.order.signed, one.status.value, one.filled, average,
        one.intent.asked.shares, one.text,
    )  # fmt: skip
