"""One look at everything: what stands where, and how the account that trades it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import Set, read_settings, show_table
from workbench.cli.promotion import show_promotions

if TYPE_CHECKING:
    from workbench.live.journal.journal import Journal
    from workbench.params import Paths, Settings

EVERY_SECONDS = 5.0


def status(
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Again every five seconds, until Ctrl-C.")] = False,
    set_: Set = None,
) -> None:
    """Show what stands where, who approved it, and how the account that trades it is."""
    from rich.console import Console

    while True:
        if watch:
            Console().clear()
        show_promotions(kind, set_)
        paths, settings = read_settings(set_)
        _show_account(settings, paths)
        if not watch:
            return
        time.sleep(EVERY_SECONDS)


def _show_account(settings: Settings, paths: Paths) -> None:
    """Show the account as its journal has it; where nothing was traded yet, nothing is opened for it."""
    from workbench.cli.risk import open_journal
    from workbench.live.connect import account_of
    from workbench.live.lease import lock_file

    account = account_of(settings)
    traded = lock_file(paths, account, "sending").exists() if account else any(paths.state.glob(".DU*.sending.lock"))
    if not traded:
        print("nothing was traded yet: make paper")
        return
    journal = open_journal(settings, paths)
    try:
        _show_books(journal, settings)
    finally:
        journal.close()
    _show_alerts(settings, paths)


def _show_books(journal: Journal, settings: Settings) -> None:
    book, past = journal.book, journal.book.past
    closing = past.closing
    state = f"HALTED ({journal.halted})" if journal.halted else str(book.state)
    state += f" ({book.because})" if book.because and not journal.halted else ""
    last = f"{closing.session}, equity {closing.equity:,.2f}" if closing else "none was closed yet"
    print(f"Account {journal.account} · {settings.live.mode} · {state}")
    print(f"  last session {last} · {len(book.positions)} positions · {len(book.open_orders)} open orders")
    if book.last:
        print(f"  journal: {book.last.number:,} events, the last {book.last.at:%F %T}Z, head {book.last.head[:12]}")
    marks, worth = (closing.marks, closing.worth) if closing else ({}, {})
    rows = [
        [
            name or "nobody's",
            str(len(book.books.get(name, {}))),
            f"{_value(book.books.get(name, {}), marks):,.0f}",
            f"{worth.get(name, 0.0):+,.2f}",
        ]
        for name in sorted({*worth, *book.books})
    ]
    if rows:
        show_table("By strategy", ["strategy", "holds", "worth", "made"], rows)
    waiting = [one for key, one in past.denied.items() if one.waits and key not in book.orders]
    for one in waiting:
        print(f"! waits for a person: {one.signed:+,} {one.symbol}: workbench confirm {one.key}")
    for symbol, why in sorted(book.locked.items()):
        print(f"! {symbol} is locked: {why}: workbench reconcile")
    for flag in book.flags[-3:]:
        print(f"! order {flag.key}: {flag.text}")


def _value(shares: Mapping[str, int], marks: Mapping[str, float]) -> float:
    return sum(abs(count) * marks.get(symbol, 0.0) for symbol, count in shares.items())


def _show_alerts(settings: Settings, paths: Paths) -> None:
    from workbench.alerts.outbox import Outbox

    waiting = Outbox.open(settings, paths).pending()
    if waiting:
        critical = sum(one.severity == "critical" for one in waiting)
        print(f"! {len(waiting)} alerts wait, {critical} of them critical: workbench alerts")
