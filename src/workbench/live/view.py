"""The world as the gate sees it, read from broker, book and data at one moment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from workbench.errors import BrokerError, DataRefused, OrderRejected
from workbench.live.book import CASH, Book, Tracked
from workbench.live.difference import Difference, Of
from workbench.live.gate import Asked, Day, GateState, Sent
from workbench.live.owners import all_there
from workbench.live.session import Data, Desk
from workbench.live.splits import split_symbols
from workbench.live.trading_state import TradingState
from workbench.orders import attribute
from workbench.trading import Instrument, Margin, Order

DAY = timedelta(days=1)
RETURNS = 120  # sessions that correlations are computed over


def view(desk: Desk, data: Data, symbols: Iterable[str], *, beside: Collection[str] = ()) -> GateState:
    """Return the state of now for orders of some symbols; ``beside`` are keys that are left out: their own."""
    broker, book = desk.broker, desk.journal.book
    now = broker.now()
    apart = now - desk.clock()  # the journal's times are of this machine: how old an order is, one clock says
    account = broker.account()
    positions = {one.symbol: one.quantity for one in broker.positions() if one.quantity}
    orders = broker.open_orders()
    near = {*symbols, *positions, *(one.order.symbol for one in orders)}
    today = [book.orders[key] for key in book.past.today if key not in beside]
    halted = desk.journal.halted
    opened = book.past.equity_at_open if book.past.session == desk.session else None
    equity_at_open = account.equity if opened is None else opened
    return GateState(
        now=now,
        limits=desk.limits(),
        trading=_trading(book, halted),
        halted_because=halted,
        reconciled=not book.differs,
        locked=frozenset((book.locked.keys() - {CASH}) | split_symbols(book).keys()),
        connected=True,
        verified={seat.name: seat.pack for seat in desk.seats},
        reduce_only=frozenset(seat.name for seat in desk.seats if seat.reduce_only),
        whitelist=frozenset(symbol for seat in desk.seats for symbol in seat.strategy.symbols),
        instruments=_instruments(desk, near),
        hours=desk.hours,
        quotes=broker.quotes(sorted(near)),
        closes=_closes(data),
        account=account,
        positions=positions,
        booked=_booked(book, positions),
        explained={name: shares for name, shares in book.explained.items() if name not in book.beside},
        theirs={name: book.explained[name] for name in book.beside},
        open_orders=orders,
        books=book.books,
        ordered=tuple(_ordered(book, beside)),
        capital={seat.name: seat.capital for seat in desk.seats if seat.capital is not None},
        sectors=data.bars.sectors,
        returns=_returns(data, near),
        day=Day(equity_at_open, account.equity - equity_at_open),
        sent=sent_today(desk, beside, apart),
        fills=broker.fills(now - DAY),
        worked=_worked(today),
        confirmed=frozenset(book.past.confirmed),
    )


def sent_today(desk: Desk, beside: Collection[str] = (), apart: timedelta = timedelta()) -> tuple[Sent, ...]:
    """Return the orders of this session, some left out by their keys, by a clock that is so far apart from ours."""
    book = desk.journal.book
    return tuple(_sent(book.orders[key], book, apart) for key in book.past.today if key not in beside)


def margin_of(desk: Desk, order: Order) -> Margin | None:
    """Return the broker's what-if of an order; None where it does not tell, and then the gate denies."""
    try:
        return desk.broker.what_if(order)
    except (BrokerError, DataRefused):
        return None


def rate_wait(state: GateState, more: int = 1) -> float:
    """Return the seconds until so many more orders are within the orders of a second and of a minute."""
    times = sorted(one.at for one in state.sent or ())
    limits, longest = state.limits, 0.0
    for seconds, most in ((1, limits.max_orders_per_second), (60, limits.max_orders_per_minute)):
        recent = [at for at in times if state.now - at < timedelta(seconds=seconds)]
        room = max(most - more, 0)  # what is sent together goes alone where it is more than the limit
        if len(recent) > room:
            longest = max(longest, seconds - (state.now - recent[-room - 1]).total_seconds())
    return longest


def _booked(book: Book, positions: Mapping[str, int]) -> dict[str, int]:
    """Return what the journal has of the account, and with it what a person explained that the broker has beyond it.

    Where the broker has less than the journal, no word of a person puts the shares there: it stays a difference.
    """
    found = dict(book.positions)
    for symbol in positions.keys() | book.explained.keys():
        ours, held = found.get(symbol, 0), positions.get(symbol, 0)
        before = Difference(Of.POSITION, symbol, ours, held, "").id in book.accepted  # as it was written once
        explained = before or ours + book.explained.get(symbol, 0) == held
        if explained and all_there(book, symbol, held):
            found[symbol] = held
    return found


def _trading(book: Book, halted: str) -> TradingState:
    """Return what may be traded: while the cash differs by more than a little, only what shrinks a position."""
    state = TradingState.HALTED if halted else book.state
    return TradingState.REDUCING if CASH in book.locked and state is TradingState.ACTIVE else state


def _instruments(desk: Desk, symbols: Iterable[str]) -> dict[str, Instrument]:
    found = {}
    for symbol in symbols:
        try:
            found[symbol] = desk.instrument(symbol)
        except (OrderRejected, DataRefused):  # no such contract, several, or a damaged one: the gate says so
            continue
    return found


def _closes(data: Data) -> Mapping[str, float]:
    last = data.bars.last_close().iloc[-1].dropna()
    return dict(zip(map(str, last.index), last.to_numpy(dtype=float).tolist(), strict=True))


def _returns(data: Data, symbols: Iterable[str]) -> Mapping[str, Sequence[float]]:
    bars = data.bars
    known = [symbol for symbol in sorted(symbols) if symbol in bars.close.columns]
    closes = bars.close[known].iloc[-RETURNS - 1 :].ffill()  # on a day of a halt nothing moved
    rows = closes.pct_change(fill_method=None).iloc[1:].to_numpy(dtype=float)
    return {symbol: rows[:, column].tolist() for column, symbol in enumerate(known)}


def _sent(one: Tracked, book: Book, apart: timedelta) -> Sent:
    order = one.order
    return Sent(
        one.at + apart, order.key, order.symbol, order.side, order.quantity, order.limit, order.stop,
        order.key in book.past.reducing,
    )  # fmt: skip


def _ordered(book: Book, beside: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Give what each strategy's open orders may still trade, but for those that protect."""
    for one in book.open_orders:
        order, shares = one.order, one.intent.asked.shares
        if one.protects or order.key in beside or sum(shares.values()) != order.signed:
            continue
        done = attribute(shares, min(max(one.filled, 0), order.quantity) * order.side.sign)
        for strategy, count in shares.items():
            yield strategy, order.symbol, count - done[strategy]


def _worked(orders: Iterable[Tracked]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in orders:
        asked: Asked = one.intent.asked
        if asked.decision and not one.order.parent:
            shares = one.filled if one.status.terminal else max(one.order.quantity, one.filled)
            found[asked.decision] = found.get(asked.decision, 0) + shares
    return found
