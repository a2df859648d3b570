"""What a session brought one strategy, and whether its decision, made again from the same data, is the same."""

from __future__ import annotations

from datetime import datetime

from workbench.live.deciding import weights_of
from workbench.live.decision import Decision, Wanted
from workbench.live.exits import obeyed
from workbench.live.report import Result
from workbench.live.session import Desk, Seat


def result_of(desk: Desk, seat: Seat, pnl: float) -> Result:
    """Return what the session brought a strategy, whose profit is known."""
    book, decision = desk.journal.book, desk.journal.book.past.decision
    held = dict(book.books.get(seat.name, {}))
    trades = sum(
        bool(book.of_order(key)) and seat.name in book.orders[key].intent.asked.shares for key in book.past.today
    )
    capital = seat.allotted(book.past.equity_at_open or 0.0)
    mine = decision.session == desk.session if decision else False
    equal, explained = _equal(desk, decision, seat, held) if decision and mine and desk.recompute else (None, False)
    return Result(seat.name, seat.version, seat.pack, seat.stage, capital, pnl, trades, held, equal, explained)


def _equal(desk: Desk, decision: Decision, seat: Seat, held: dict[str, int]) -> tuple[bool | None, bool]:
    """Compute the session's weights again from the data of its moment, and the shares that they ask for.

    The second says of shares that differ whether the same weights asked for them and were not obeyed in full.
    """
    past, wanted = desk.journal.book.past, decision.of(seat.name)
    if wanted is None:
        return None, False
    expected = dict(wanted.held)
    moved = [(line.symbol, line.shares.get(seat.name, 0)) for line in decision.lines]
    moved += [(crossing.symbol, crossing.shares.get(seat.name, 0)) for crossing in decision.crossings]
    for symbol, shares in (*moved, *past.exits_since(seat.name, desk.journal.book).items()):
        expected[symbol] = expected.get(symbol, 0) + shares
    same = {name: count for name, count in expected.items() if count} == held
    short = same or _only_short(desk, decision, wanted, expected, held)
    asked = past.signal.of(seat.name) if past.signal and past.signal.session == desk.session else None
    if asked is None or past.signal is None or asked.closing:
        return same, short and not same
    again = weights_of(seat, desk.data(datetime.fromisoformat(past.signal.id.replace("Z", "+00:00"))))
    agreed = obeyed(again, asked.legs) == dict(asked.weights)
    return same and agreed, short and agreed and not same


def _only_short(desk: Desk, decision: Decision, wanted: Wanted, expected: dict[str, int], held: dict[str, int]) -> bool:
    """Whether every share that differs lies between what was held before and what an order not filled whole asked."""
    book, undone = desk.journal.book, set[str]()
    for line in decision.lines:
        tracked = book.orders.get(line.key)
        if wanted.strategy in line.shares and (tracked is None or tracked.filled < line.quantity):
            undone.add(line.symbol)
    for name in expected.keys() | held.keys():
        before, asked, now = wanted.held.get(name, 0), expected.get(name, 0), held.get(name, 0)
        if now != asked and not (name in undone and min(before, asked) <= now <= max(before, asked)):
            return False
    return True
