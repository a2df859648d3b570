"""An account's books: why something was traded, what differs from the broker, what a person must hear of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import Set, read_settings, show_folding
from workbench.cli.risk import By, login, open_journal
from workbench.errors import InputRefused, WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workbench.live.decision import Decision, Line
    from workbench.live.difference import Difference

CASH = "CASH"


def why(
    name: Annotated[str, typer.Argument(metavar="FILL", help="A fill's id, or an order's key.")], set_: Set = None
) -> None:
    """Show the way from a fill to its order, its decision, the data, and the notebooks and code behind it."""
    from workbench.cli.evidence_of import evidence_lines
    from workbench.live.why import why as lead

    paths, settings = read_settings(set_)
    journal = open_journal(settings, paths)
    try:
        found = lead(journal, name)
    finally:
        journal.close()
    for fill in found.fills:
        fee = "" if fill.commission is None else f", commission {fill.commission:,.2f}"
        what = f"{fill.side} {fill.quantity:,} {fill.symbol} at {fill.price:,.4f}{fee}"
        print(f"fill      {fill.id}: {what}, {fill.at:%F %T}Z")
    order = found.order.order
    print(f"order     {order.key}: {order.side} {order.quantity:,} {order.symbol}, {order.type}, {found.order.status}")
    if found.decision is None or found.line is None:
        print(f"asked by  {found.order.intent.asked.origin}: no strategy decided it")
    else:
        print("\n".join(_decision_lines(found.decision, found.line)))
        for wanted in found.decision.wanted:
            if wanted.strategy in found.line.shares:
                print("\n".join(evidence_lines(settings, paths, wanted.strategy, wanted.version, wanted.pack)))
    for event in found.events:
        print(f"journal   {event.number} {event.at:%F %T}Z {event.kind} {event.head[:12]}")


def reconcile(
    symbol: Annotated[str, typer.Argument(help="A symbol, or CASH; without it, everything is compared.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="The difference may stay; needs --reason.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take the broker's side; needs --reason.")] = False,
    strategy: Annotated[
        str, typer.Option(help="Whose the adopted shares are; without it, whoever's are gone, or nobody's.")
    ] = "",
    cancelled: Annotated[str, typer.Option(metavar="KEY", help="A missing order: it was cancelled.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays in the journal.")] = "",
    by: By = "",
    set_: Set = None,
) -> None:
    """Hold the books against the broker's, and say what becomes of what differs."""
    from workbench.cli.trading import at_desk
    from workbench.live import reconcile as side
    from workbench.live.recovery import recover
    from workbench.trading import OrderStatus

    if (explain or adopt) and not symbol:
        raise InputRefused("reconcile: name the symbol that is explained or adopted, or CASH")
    paths, settings = read_settings(set_)
    who, name = by or login(), "" if symbol == CASH else symbol
    with at_desk(settings, paths, "reconcile") as (journal, broker, outbox):
        account, beside = broker.account_id, journal.lease is None
        if not beside:  # what filled of our own is in the books before a difference is adopted
            recover(
                journal, broker, outbox, permit=lambda _: "a reconciliation sends nothing; the runner decides again"
            )
        if adopt:
            _say("adopted", side.adopt(journal, broker, name, who, reason, strategy))
        elif explain:
            _say("explained", side.explain(journal, broker, name, who, reason))
        if cancelled:
            side.resolve(journal, cancelled, OrderStatus.CANCELLED, who, reason)
            print(f"order {cancelled}: was cancelled, says {who}")
        if not beside:
            side.reconcile(journal, broker, outbox)
        told = side.compare(journal, broker)
    if beside:
        print(f"account {account}: a runner trades it, and takes up within a minute what was said here")
    rows = [
        [one.symbol or CASH, one.of, f"{one.journal:,.2f}", f"{one.broker:,.2f}", one.text] for one in told.unexplained
    ]
    if not rows:
        explained = f" ({len(told.differences)} differences are explained)" if told.differences else ""
        print(f"account {account}: the journal and the broker agree{explained}")
        return
    show_folding(f"Differences of {account}", ["symbol", "of", "journal", "broker", "what"], rows)
    raise WorkbenchError(
        f"account {account}: {len(rows)} differences; what does not say what to type is adopted or explained: "
        f'workbench reconcile {rows[0][0]} --adopt --reason "…"'
    )


def alerts(
    acknowledge: Annotated[int, typer.Option("--ack", metavar="NUMBER", help="Somebody has seen it.")] = 0,
    everything: Annotated[bool, typer.Option("--all", help="Those that were acknowledged, too.")] = False,
    by: By = "",
    set_: Set = None,
) -> None:
    """Show what a person must hear of, and acknowledge it."""
    from workbench.alerts.outbox import Outbox

    paths, settings = read_settings(set_)
    outbox = Outbox.open(settings, paths)
    if acknowledge:
        seen = outbox.acknowledge(acknowledge, by or login())
        print(f"alert {seen.id}: acknowledged by {seen.acknowledged_by}: {seen.text}")
        return
    found = outbox.all() if everything else outbox.pending()
    if not found:
        print("no alert waits")
        return
    rows = [
        [str(one.id), one.severity, f"{one.raised_at:%F %T}Z", one.kind, one.text, one.acknowledged_by] for one in found
    ]
    show_folding("Alerts", ["no", "severity", "raised", "kind", "what", "seen by"], rows)
    print("somebody has seen one: workbench alerts --ack NUMBER")


def _decision_lines(decision: Decision, line: Line) -> list[str]:
    inputs, price = decision.inputs, f"planned at {line.price:,.4f}"
    lines = [f"decision  {decision.id}: {price}, {line.held:+,} held, equity {inputs['equity']:,.2f}"]
    for wanted in decision.wanted:
        if share := line.shares.get(wanted.strategy):
            was, now = wanted.before.get(line.symbol, 0.0), wanted.weights.get(line.symbol, 0.0)
            who = f"{wanted.strategy} version {wanted.version} at {wanted.stage}"
            held = wanted.held.get(line.symbol, 0)
            lines.append(f"strategy  {who}: weight {was:.4f} → {now:.4f}, {share:+,} shares to {held:+,} held")
    versions = ", ".join(f"{table} {version}" for table, version in sorted(inputs["versions"].items()))
    lines.append(
        f"data      bars to {inputs['until']}, digest {inputs['bars'][:12]}; tables: {versions or 'none named'}"
    )
    return [*lines, f"limits    {inputs['limits'][:12]}"]


def _say(what: str, differences: Iterable[Difference]) -> None:
    for one in differences:
        print(f"{what}: {one.text}")
