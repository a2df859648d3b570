"""Trading: session by session on the embedded account, or day by day at a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import MADE, Set, read_settings, show_folding, show_table
from workbench.errors import InputRefused

if TYPE_CHECKING:
    from workbench.live.preview import Preview
    from workbench.live.rehearsal import Rehearsal
    from workbench.live.report import SessionReport
    from workbench.live.session import Seat
    from workbench.params import Paths, Settings
    from workbench.trading import Fill

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the orders and what the gate says; write nothing.")]
Once = Annotated[bool, typer.Option("--once", help="Decide now (embedded: one session), close the books, and end.")]
ORDERS_SHOWN = 20


def paper(
    sessions: Annotated[int, typer.Option(help="How many of the market's last sessions to trade.")] = 40,
    dry_run: DryRun = False,
    once: Once = False,
    set_: Set = None,
) -> None:
    """Trade what stands at paper: session by session on the embedded account, or at IB where live.mode is paper."""
    paths, settings = read_settings(set_)
    if settings.live.mode == "live":
        raise InputRefused("live.mode is live: make paper trades no money; set live.mode to embedded or paper")
    if settings.live.mode == "paper":
        _serve(settings, paths, dry_run=dry_run, once=once)
        return
    _rehearse(settings, paths, sessions, dry_run=dry_run, once=once)


def live(
    account: Annotated[str, typer.Option(help="The very id of live.account: the second key.")] = "",
    dry_run: DryRun = False,
    once: Once = False,
    set_: Set = None,
) -> None:
    """Trade what stands in production and staged live, with money: live.mode must be live, and the account named."""
    paths, settings = read_settings(set_)
    if settings.live.mode != "live":
        raise InputRefused(
            f"live.mode is {settings.live.mode}: real money needs two keys, live.mode: live in params/base.yaml and "
            "--account; to trade without money: make paper"
        )
    if account != settings.live.account:
        raise InputRefused(
            f"--account '{account}' is not live.account '{settings.live.account}'; name the very account that trades"
        )
    _serve(settings, paths, dry_run=dry_run, once=once)


def _rehearse(settings: Settings, paths: Paths, count: int, *, dry_run: bool, once: bool) -> None:
    from workbench.cli.rules import judge_seats
    from workbench.cli.track import write_records
    from workbench.cli.trading import open_rehearsal
    from workbench.clock import read_clock

    clock = read_clock(settings.market, paths)
    with open_rehearsal(settings, paths, count, copied=dry_run) as rehearsal:
        if not rehearsal.sessions:
            done = rehearsal.journal.book.past.closing
            assert done is not None
            print(
                f"account {rehearsal.broker.account_id} has traded every session up to {done.session}; for a new one "
                f"from cash: workbench paper --set live.account={rehearsal.broker.account_id}2"
            )
            return
        _say_seats(rehearsal.seats, settings.market, rehearsal.broker.account_id, simulated=clock.simulated)
        if dry_run:
            _show_preview(rehearsal.preview(rehearsal.sessions[0]))
            return
        sessions = rehearsal.sessions[: 1 if once else None]
        for number, session in enumerate(sessions, 1):
            report = rehearsal.trade(session)
            clock.advance(rehearsal.clock())
            write_records(paths, rehearsal.seats, report, rehearsal.journal, settings)
            _say_session(report, number, len(sessions))
        _show_end(rehearsal)
        judge_seats(paths, rehearsal.seats, settings, rehearsal.outbox)


def _serve(settings: Settings, paths: Paths, *, dry_run: bool, once: bool) -> None:
    from workbench.cli.rules import keep_session
    from workbench.cli.trading import open_service
    from workbench.live.preview import preview
    from workbench.live.service import handle_signals

    with open_service(settings, paths) as service:
        if dry_run:
            now = service.clock()
            _show_preview(preview(service.desk(service.session(once=True), (now,), once=True), now))
            return
        handle_signals(service)
        print(f"account {service.broker.account_id}: trading until SIGTERM or Ctrl-C; orders stay at the broker then")
        service.keep = lambda report: keep_session(
            paths, service.sat(report), report, service.journal, settings, service.outbox
        )
        for report in service.run(once=once):
            _say_session(report, 1, 1)
    print("ended; the journal has everything. Next: make status")


def _say_seats(seats: tuple[Seat, ...], market: str, account: str, *, simulated: bool) -> None:
    may = ["may only reduce" if seat.reduce_only else f"{seat.share:.0%}" for seat in seats]
    who = ", ".join(f"{seat.name} version {seat.version} ({what})" for seat, what in zip(seats, may, strict=True))
    print(f"account {account} · {market} market{' · simulated time' if simulated else ''} · {who}")
    if market == "sample":
        print(MADE)


def _say_session(report: SessionReport, number: int, of: int) -> None:
    filled = sum(order.filled for order in report.orders)
    print(
        f"{number:>4}/{of} {report.session}  {len(report.orders):>3} orders  {report.fills:>3} fills  "
        f"{filled:>8,} shares  {len(report.denied):>3} denied  equity {report.equity:>14,.2f}  {report.pnl:>+12,.2f}",
        flush=True,
    )
    for reason in dict.fromkeys(one.reason.partition(":")[0] for one in report.denied):
        some = [one for one in report.denied if one.reason.startswith(reason)]
        print(f"          denied {len(some)}: {some[0].symbol} {some[0].signed:+,}: {some[0].reason}")
    for one in report.differences:
        print(f"          differs: {one.text}")
    if report.halted:
        print(f"          halted: {report.halted}")


def _show_preview(found: Preview) -> None:
    rows = [
        [line.symbol, f"{line.signed:+,}", f"{line.price:,.2f}", f"{line.quantity * line.price:,.0f}",
         ", ".join(f"{name} {share:+,}" for name, share in line.shares.items()), verdict.reason or "passes"]
        for line, verdict in found.verdicts
    ]  # fmt: skip
    show_folding(f"Would be sent for {found.decision.id}", ["symbol", "shares", "price", "value", "for", "gate"], rows)
    for crossing in found.decision.crossings:
        print(f"{crossing.symbol}: strategies pass shares to each other, no order")
    for strategy, symbol, leg in found.protected:
        levels = [f"{word} {price:,.2f}" for word, price in (("stop", leg.stop), ("target", leg.target)) if price]
        print(f"{symbol} of {strategy}, {'long' if leg.side > 0 else 'short'} since {leg.opened}: {', '.join(levels)}")
    passing = sum(verdict.passes for _, verdict in found.verdicts)
    print(
        f"{len(rows)} orders, {passing} pass, {len(rows) - passing} are denied; nothing was sent or written (--dry-run)"
    )


def _show_end(rehearsal: Rehearsal) -> None:
    from workbench.live.report import slippage

    book = rehearsal.journal.whole()  # the runner's own forgets what ended long ago
    rows = []
    for seat in rehearsal.seats:
        fills, bps = slippage(book, seat)
        worth = book.past.closing.worth.get(seat.name, 0.0) if book.past.closing else 0.0
        costs = ["" if cost is None else f"{cost:.2f}" for cost in (bps, seat.model_bps)]
        rows.append([seat.name, f"{worth:+,.2f}", str(len(book.books.get(seat.name, {}))), f"{fills:,}", *costs])
    show_table("By strategy", ["strategy", "made", "holds", "fills", "slippage bps", "model"], rows)
    last = [key for key in book.past.prices if key in book.orders][-ORDERS_SHOWN:]
    orders = [book.orders[key] for key in last]
    show_table(
        f"The last {len(orders)} orders",
        ["order", "symbol", "shares", "status", "filled", "decided at", "paid"],
        [
            [one.order.key, one.order.symbol, f"{one.order.signed:+,}", one.status, f"{one.filled:,}",
             f"{book.past.prices[one.order.key]:,.2f}", _paid(book.of_order(one.order.key))]
            for one in orders
        ],
        numbers_from=2,
    )  # fmt: skip
    if fill := next((fill for one in reversed(orders) for fill in book.of_order(one.order.key)), None):
        print(f"Why a fill: workbench why {fill.id} · next: make status")


def _paid(fills: tuple[Fill, ...]) -> str:
    quantity = sum(fill.quantity for fill in fills)
    return f"{sum(fill.quantity * fill.price for fill in fills) / quantity:,.2f}" if quantity else ""
