"""The drill on the user's own paper account: connect, order, cut, find again, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import Set, read_settings
from workbench.errors import InputRefused, WorkbenchError

if TYPE_CHECKING:
    from workbench.live.drill import Step


def paper_drill(
    symbol: Annotated[str, typer.Option(help="What one share of is asked for, far below the market.")] = "SPY",
    patience: Annotated[float, typer.Option(min=1.0, help="Seconds until the broker must show what was asked.")] = 15.0,
    set_: Set = None,
) -> None:
    """Try your gateway on a paper account: a far-away order, the connection cut, found again, cancelled."""
    from workbench.alerts.outbox import Outbox
    from workbench.cli.trading import hold
    from workbench.clock import read_clock
    from workbench.interrupt import terminated_as_interrupted
    from workbench.live.drill import Drill, Steps, require_paper_account
    from workbench.live.ib import IBBroker
    from workbench.live.operator import watch_limits

    paths, settings = read_settings(set_)
    if settings.live.mode == "live":
        raise InputRefused("live.mode is live: a drill is for paper accounts, DU…: --set live.mode=paper")
    live = settings.live.model_copy(update={"mode": "paper"})
    settings = settings.model_copy(update={"live": live})
    clock, broker, steps = read_clock(settings.market, paths), IBBroker(live), Steps(_say)
    print(f"drill on {live.host}:{live.port} as client {live.client_id}")
    try:
        with terminated_as_interrupted():
            steps.take("connect", lambda: require_paper_account(broker))
            with hold(settings, paths, broker, "paper-drill", clock) as (journal, _):
                journal.begin(by="paper-drill")
                limits = watch_limits(journal, settings, paths, clock.now).poll().limits
                Drill(broker, journal, Outbox.open(settings, paths), limits, steps, symbol, patience).run()
    except WorkbenchError as error:
        raise WorkbenchError(f"the drill failed: {' '.join(str(error).split())}") from error
    finally:
        broker.close()
    print(f"the drill passed: {len(steps.done)} steps; nothing is left at the broker")


def _say(step: Step) -> None:
    print(f"  {'✓' if step.ok else '✗'} {step.seconds:6.2f} s  {step.name:<14}  {step.text}", flush=True)
