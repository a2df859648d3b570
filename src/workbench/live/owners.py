"""Whose the shares are that a person takes into the books: those of who held them, as far as that is beyond doubt."""

from __future__ import annotations

from workbench.errors import InputRefused
from workbench.live.book import NOBODY, Book
from workbench.orders import attribute


def owners(book: Book, symbol: str, given: int, strategy: str) -> dict[str, int]:
    """Return to whom shares are given, or from whom they are taken.

    A strategy that is named gets all of them. Where none is, they are nobody's; but what the account lost is taken from
    who held it, else what protects it would trade a second time. Where that may be one of several, it is asked for.
    """
    if strategy:
        if strategy not in (known := strategies(book)):
            names = ", ".join(sorted(known)) or "none before the runner begins its first session"
            raise InputRefused(f"{symbol}: no strategy of the books is called '{strategy}'; there is: {names}")
        return {strategy: given}
    held = against(book, symbol, given)
    named = {name: count for name, count in held.items() if name != NOBODY}
    if not named or abs(held.get(NOBODY, 0)) >= abs(given):
        return {NOBODY: given}
    enough = [name for name, count in named.items() if abs(count) >= abs(given)]
    if enough and len(named) > 1:
        whose = ", ".join(f"{name} holds {count:+d}" for name, count in sorted(named.items()))
        raise InputRefused(f"{symbol}: whose were the {abs(given)} shares? {whose}; {what_to_type(symbol, enough)}")
    if enough:
        return {enough[0]: given}
    total = -sum(held.values())
    parts = attribute({name: -count for name, count in held.items()}, given if abs(given) < abs(total) else total)
    parts[NOBODY] = parts.get(NOBODY, 0) + given - sum(parts.values())  # more than anybody held
    return {name: count for name, count in parts.items() if count}


def against(book: Book, symbol: str, given: int) -> dict[str, int]:
    """Return who holds what shares make less, where they make less of what the account holds."""
    if book.positions.get(symbol, 0) * given >= 0:
        return {}
    return {name: own[symbol] for name, own in book.books.items() if own.get(symbol, 0) * given < 0}


def strategies(book: Book) -> frozenset[str]:
    """Return every strategy that the books know: who was seated, who holds something, who ordered."""
    ordered = (name for one in book.orders.values() for name in one.intent.asked.shares)
    return frozenset({*book.seats, *book.books, *ordered} - {NOBODY})


def what_to_type(symbol: str, names: list[str]) -> str:
    """Return the line that adopts a symbol for one of some strategies."""
    lines = (f'workbench reconcile {symbol} --adopt --strategy {name} --reason "…"' for name in sorted(names))
    return " or ".join(lines)
