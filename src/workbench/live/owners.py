"""Whose the shares are that a person takes into the books: those of who held them, as far as that is beyond doubt."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.errors import InputRefused
from workbench.live.book import NOBODY, Book
from workbench.orders import attribute


def owners(book: Book, symbol: str, given: int, strategy: str, explained: int = 0) -> dict[str, int]:
    """Return to whom shares are given, or from whom they are taken.

    A strategy that is named gets all of them. Where none is, they are nobody's; but what the account lost is taken from
    who held it, else what protects it would trade a second time. Where that may be one of several, or of what a person
    ``explained``, it is asked for.
    """
    if strategy:
        if strategy not in (known := strategies(book)):
            names = ", ".join(sorted(known)) or "none before the runner begins its first session"
            raise InputRefused(f"{symbol}: no strategy of the books is called '{strategy}'; there is: {names}")
        return {strategy: given}
    held, asked = _held(book, symbol, given)
    if not held:
        return {NOBODY: given}
    whose = ", ".join(f"{name or 'nobody'} holds {count:+d}" for name, count in sorted(held.items()))
    if given * explained < 0 and abs(given) <= abs(explained):
        lines = f'workbench reconcile {symbol} --explain --reason "…" where they were, else {adopting(symbol, held)}'
        raise InputRefused(f"{symbol}: were the {abs(given)} shares of the {explained:+d} explained? {whose}; {lines}")
    if asked:
        raise InputRefused(f"{symbol}: whose were the {abs(given)} shares? {whose}; {adopting(symbol, asked)}")
    total = -sum(held.values())
    parts = attribute({name: -count for name, count in held.items()}, given if abs(given) < abs(total) else total)
    parts[NOBODY] = parts.get(NOBODY, 0) + given - sum(parts.values())  # more than anybody held
    return {name: count for name, count in parts.items() if count}


def what_to_type(book: Book, symbol: str, gone: int) -> str:
    """Return the line that takes shares that are gone out of the books, by the names of whose they may have been."""
    return adopting(symbol, _held(book, symbol, gone)[1] or [NOBODY])


def adopting(symbol: str, names: Iterable[str]) -> str:
    """Return the line that adopts a symbol for one of these, or for whom the books say."""
    named = (f" --strategy {name}" if name else "" for name in sorted(names))
    return " or ".join(f'workbench reconcile {symbol} --adopt{one} --reason "…"' for one in named)


def within(ours: int, held: int) -> bool:
    """Whether all our shares can be among those that an account holds; where they are not, some are gone."""
    return min(held, 0) <= ours <= max(held, 0)


def all_there(book: Book, symbol: str, held: int) -> bool:
    """Whether all our shares of a symbol can be in an account that holds so many, where others lie against them."""
    return within(book.positions.get(symbol, 0), held - book.against(symbol))


def still_explained(book: Book, symbol: str, held: int) -> int:
    """Return how many of the shares that a person explained can be among those that the account holds."""
    if against := book.against(symbol):
        return min(max(held - book.positions.get(symbol, 0), min(against, 0)), max(against, 0))
    return min(max(book.explained.get(symbol, 0), min(held, 0)), max(held, 0))


def strategies(book: Book) -> frozenset[str]:
    """Return every strategy that the books know: who was seated, who holds something, who ordered."""
    ordered = (name for one in book.orders.values() for name in one.intent.asked.shares)
    return frozenset({*book.seats, *book.books, *ordered} - {NOBODY})


def _held(book: Book, symbol: str, given: int) -> tuple[dict[str, int], list[str]]:
    """Return of whom shares are that make the account's less, and the strategies of which a person names one."""
    if book.positions.get(symbol, 0) * given >= 0:
        return {}, []
    held = {name: own[symbol] for name, own in book.books.items() if own.get(symbol, 0) * given < 0}
    named = {name: count for name, count in held.items() if name != NOBODY}
    if not named or abs(held.get(NOBODY, 0)) >= abs(given):
        return {}, []
    enough = [name for name, count in named.items() if abs(count) >= abs(given)]
    if len(named) > 1:
        return held, enough
    return named if enough else held, []
