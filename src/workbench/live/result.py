"""What a session brought one strategy, and whether its decision, made again from the same data, is the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from workbench.live.book import Book
from workbench.live.deciding import weights_of
from workbench.live.decision import Decision
from workbench.live.exits import obeyed
from workbench.live.report import Result
from workbench.live.session import Desk, Seat
from workbench.orders import attribute


def results_of(desk: Desk, made: Mapping[str, float]) -> tuple[Result, ...]:
    """Return what the session brought each strategy, by the profit that is known of each.

    Who left the desk before its end is there, too, and where nobody sat at it all day, who did last and still holds.
    """
    past, here = desk.journal.book.past, {seat.name for seat in desk.seats}
    gone = {name: facts for name, facts in past.seats.items() if name not in here and (past.seated or made.get(name))}
    return (
        *(result_of(desk, seat, made.get(seat.name, 0.0)) for seat in desk.seats),
        *(_of_gone(desk.journal.book, name, facts, made.get(name, 0.0)) for name, facts in gone.items()),
    )


def result_of(desk: Desk, seat: Seat, pnl: float) -> Result:
    """Return what the session brought a strategy at the desk, whose profit is known."""
    book, decision = desk.journal.book, desk.journal.book.past.decision
    held = dict(book.books.get(seat.name, {}))
    capital = seat.allotted(book.past.equity_at_open or 0.0)
    mine = decision.session == desk.session if decision else False
    equal, explained = _equal(desk, decision, seat, held) if decision and mine and desk.recompute else (None, False)
    trades = _trades(book, seat.name)
    return Result(seat.name, seat.version, seat.pack, seat.stage, capital, pnl, trades, held, equal, explained)


def _of_gone(book: Book, name: str, facts: Mapping[str, Any], pnl: float) -> Result:
    """Return the result of who is not at the desk, by what was written of its seat; nothing is computed again."""
    own, most = facts.get("share", 0.0) * (book.past.equity_at_open or 0.0), facts.get("capital")
    return Result(
        name, int(facts.get("version", 0)), str(facts.get("pack", "")), str(facts.get("stage", "")),
        own if most is None else min(own, most), pnl, _trades(book, name), dict(book.books.get(name, {})), None,
    )  # fmt: skip


def _trades(book: Book, name: str) -> int:
    return sum(bool(book.of_order(key)) and name in book.orders[key].intent.asked.shares for key in book.past.today)


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
    short = same or _only_short(desk.journal.book, decision, seat.name, expected, held)
    asked = past.signal.of(seat.name) if past.signal and past.signal.session == desk.session else None
    if asked is None or past.signal is None or asked.closing:
        return same, short and not same
    again = weights_of(seat, desk.data(datetime.fromisoformat(past.signal.id.replace("Z", "+00:00"))))
    agreed = obeyed(again, asked.legs) == dict(asked.weights)
    return same and agreed, short and agreed and not same


def _only_short(book: Book, decision: Decision, strategy: str, expected: dict[str, int], held: dict[str, int]) -> bool:
    """Whether what differs is just what this decision's orders have not brought: what filled is held, and no more."""
    short = dict(expected)
    for line in decision.lines:
        tracked, whole = book.orders.get(line.key), sum(line.shares.values()) == line.signed
        if strategy in line.shares:
            filled = min(max(tracked.filled, 0), line.quantity) if tracked and whole else 0
            brought = attribute(line.shares, filled * line.side.sign)[strategy] if filled else 0
            short[line.symbol] = short.get(line.symbol, 0) - line.shares[strategy] + brought
    return {name: count for name, count in short.items() if count} == held
