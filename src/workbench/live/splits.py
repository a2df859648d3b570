"""Stops and targets of before a split: they are of another price, so nothing of their symbol is sent any more.

Nobody scales them: what the broker makes of a split differs with its kind, and a stop at the old price sells everything
at once. A person closes what is held, and the strategy begins anew.
"""

from __future__ import annotations

from workbench.alerts.outbox import Severity
from workbench.live.book import Book
from workbench.live.decision import Leg
from workbench.live.journal.event import Draft, Kind
from workbench.live.session import Desk


def before_split(strategy: str, symbol: str, leg: Leg, book: Book) -> bool:
    """Whether a strategy holds a symbol between levels that were laid before the symbol was split."""
    return _between(strategy, symbol, leg, book) and leg.opened < book.splits.get(symbol, "")


def split_symbols(book: Book) -> dict[str, str]:
    """Return the symbols that some strategy holds between levels of before a split, each with who does."""
    wanted = book.past.decision.wanted if book.past.decision else ()
    return {
        symbol: one.strategy
        for one in wanted
        for symbol, leg in one.legs.items()
        if before_split(one.strategy, symbol, leg, book)
    }


def lock_splits(desk: Desk) -> None:
    """Write down which symbols were split since their levels were laid, lock them, and tell a person."""
    journal = desk.journal
    wanted = journal.book.past.decision.wanted if journal.book.past.decision else ()
    held = {
        symbol for one in wanted for symbol, leg in one.legs.items()
        if _between(one.strategy, symbol, leg, journal.book)
    }  # fmt: skip
    if not held:
        return
    known = {symbol: str(day) for symbol, day in desk.data(desk.clock()).splits.items() if symbol in held}
    if new := {symbol: day for symbol, day in known.items() if day > journal.book.splits.get(symbol, "")}:
        journal.append(Draft(Kind.RECONCILE, {"splits": new}))
    texts = {
        symbol: f"{symbol}: it was split on {journal.book.splits[symbol]}, after the stop or target of {strategy} was "
        "laid: nothing of it is sent, nor put back; close it by hand, then workbench reconcile "
        f'{symbol} --adopt --strategy {strategy} --reason "…"'
        for symbol, strategy in split_symbols(journal.book).items()
    }
    if texts.keys() - journal.book.locked.keys():
        journal.append(Draft(Kind.RECONCILE, {"locked": texts}))
    for symbol, text in texts.items():
        desk.outbox.post(Severity.CRITICAL, "split", text, cooldown=f"split {symbol}", symbol=symbol)


def _between(strategy: str, symbol: str, leg: Leg, book: Book) -> bool:
    held = book.books.get(strategy, {}).get(symbol, 0)
    return held * leg.side > 0 and not (leg.stop is None and leg.target is None)
