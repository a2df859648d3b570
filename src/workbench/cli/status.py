"""One look at everything: what stands where, and how the account that trades it is."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.clock import show_time
from workbench.cli.edge import Set, read_settings, show_table
from workbench.cli.promotion import show_promotions
from workbench.cli.risk import account_time
from workbench.errors import InputRefused, WorkbenchError

if TYPE_CHECKING:
    from workbench.live.journal.journal import Journal
    from workbench.live.past import Stopped
    from workbench.params import Paths, Settings

EVERY_SECONDS, LEAST_SECONDS = 5.0, 0.2


def status(
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks of --watch.")] = EVERY_SECONDS,
    set_: Set = None,
) -> None:
    """Show what stands where, who approved it, and how the account that trades it is."""
    if every < LEAST_SECONDS:
        raise InputRefused(f"--every {every:g}: look every {LEAST_SECONDS:g} seconds at most")
    if watch:
        _watch(lambda: _show(kind, set_, account_first=True), every)
    else:
        _show(kind, set_, account_first=False)


def _show(kind: str, set_: list[str] | None, *, account_first: bool) -> None:
    """Show both parts, each also where the other cannot be read; on a low screen the account is what stays."""
    paths, settings = read_settings(set_)
    show_time(settings, paths)
    parts: list[Callable[[], object]] = [lambda: show_promotions(kind, set_), lambda: _show_account(settings, paths)]
    failed: list[WorkbenchError] = []
    for part in reversed(parts) if account_first else parts:
        try:
            part()
        except WorkbenchError as error:
            failed.append(error)
    for other in failed[1:]:
        print(f"! {other}")
    if failed:
        raise failed[0]


def _watch(show: Callable[[], None], every: float) -> None:
    """Keep one view on the screen and renew it; what cannot be read now is said in it, and looked at again."""
    from datetime import datetime

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()

    def look() -> Text:
        written = io.StringIO()
        try:
            with redirect_stdout(written):
                show()
        except WorkbenchError as error:
            written.write(f"! cannot be read now: {error}\n")
        return Text(f"{written.getvalue()}\n{datetime.now().astimezone():%T} · every {every:g} s · Ctrl-C ends it")

    with (
        suppress(KeyboardInterrupt),
        Live(look(), console=console, screen=console.is_terminal, auto_refresh=False) as view,
    ):
        while True:
            time.sleep(every)
            view.update(look(), refresh=True)


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
        _show_books(journal, settings, paths)
    finally:
        journal.close()
    _show_alerts(settings, paths)


def _show_books(journal: Journal, settings: Settings, paths: Paths) -> None:
    from workbench.live.book import CASH
    from workbench.live.operator import waiting

    book = journal.book
    closing = book.past.closing
    state = f"HALTED ({journal.halted})" if journal.halted else str(book.state)
    state += f" ({book.because})" if book.because and not journal.halted else ""
    last = f"{closing.session}, equity {closing.equity:,.2f}" if closing else "none was closed yet"
    print(f"Account {journal.account} · {settings.live.mode} · {state}")
    stopped = _stopped(journal, paths)
    before = " before the stop" if stopped else ""
    print(
        f"  last session {last} · {len(book.positions)} positions{before} · {len(book.open_orders)} open orders{before}"
    )
    if stopped:
        print(f"! emergency stop of {stopped.at:%F %T}Z, as the broker confirmed it: {stopped.text}")
        print("! the books below are of before it, until: workbench reconcile")
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
        show_table(f"By strategy{before}", ["strategy", "holds", "worth", "made"], rows)
    for key, (asked, confirmed) in waiting(journal, account_time(journal, settings, paths)).items():
        what = f"{asked.order.signed:+,} {asked.order.symbol}"
        print(
            f"! {what} is confirmed, and not sent yet"
            if confirmed
            else f"! waits for a person: {what}: workbench confirm {key}"
        )
    for symbol, why in sorted(book.locked.items()):
        then = "only what shrinks a position is sent" if symbol == CASH else "nothing of it is sent"
        print(f"! {symbol or 'CASH'} is locked: {why}; {then} until: workbench reconcile {symbol or 'CASH'}")
    for flag in book.flags[-3:]:
        print(f"! order {flag.key}: {flag.text}")


def _stopped(journal: Journal, paths: Paths) -> Stopped | None:
    """Return the stop that the books do not know of yet: in the journal, or in the file beside it."""
    from workbench.live.halt import HaltFile
    from workbench.live.past import Stopped

    found = journal.book.past.stopped
    for facts in HaltFile(paths, journal.account).noted():
        found = Stopped.read(facts) or found
    return found


def _value(shares: Mapping[str, int], marks: Mapping[str, float]) -> float:
    return sum(abs(count) * marks.get(symbol, 0.0) for symbol, count in shares.items())


def _show_alerts(settings: Settings, paths: Paths) -> None:
    from workbench.alerts.outbox import Outbox

    waiting = Outbox.open(settings, paths).pending()
    if waiting:
        critical = sum(one.severity == "critical" for one in waiting)
        print(f"! {len(waiting)} alerts wait, {critical} of them critical: workbench alerts")
