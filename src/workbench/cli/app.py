"""All commands as one program. Everything heavy is imported where it is used: ``workbench --help`` stays fast."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from workbench.cli import (
    books,
    checkout,
    clock,
    demo,
    drill,
    evidence,
    live,
    market,
    parity,
    pipelines,
    promotion,
    research,
    risk,
    signing,
    status,
    tws,
)
from workbench.errors import WorkbenchError
from workbench.paths import require_own_code

STOPPED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="The quant workbench. `make help` lists the same jobs as make targets.",
)
# In the order of the help.
app.command()(pipelines.backtest)
app.command()(research.sweep)
app.command()(pipelines.run)
app.command()(market.data)
app.command()(market.validate)
app.command()(pipelines.report)
app.command()(checkout.ui)
app.command()(research.lookahead)
app.command()(evidence.evidence)
app.add_typer(evidence.pack, name="pack")
app.command()(signing.verify)
app.command()(promotion.promote)
app.command()(promotion.approve)
app.command()(promotion.rollback)
app.command()(promotion.demote)
app.command()(promotion.retire)
app.command()(status.status)
app.command()(clock.clock)
app.add_typer(signing.keys, name="keys")
app.command()(live.paper)
app.command()(live.live)
app.command(name="paper-drill")(drill.paper_drill)
app.command()(parity.parity)
app.command()(books.why)
app.command()(books.reconcile)
app.command()(books.alerts)
app.command()(risk.kill)
app.command()(risk.flatten)
app.command()(risk.resume)
app.command()(risk.confirm)
app.command()(risk.limits)
app.command()(demo.demo)
app.command(name="new-strategy")(checkout.new_strategy)
app.command()(checkout.doctor)
app.command()(pipelines.runs)
app.command()(pipelines.repeat)
app.command()(research.trials)
app.command()(market.lake)
app.command(name="tws-sim")(tws.tws_sim)


def main() -> NoReturn:
    """Run a command; an error of ours is one line and an exit code."""
    try:
        require_own_code()
        code = app(standalone_mode=False)
        if code == STOPPED:  # typer takes Ctrl-C for a result
            raise KeyboardInterrupt
    except WorkbenchError as error:
        fail(str(error), error.exit_code)
    except typer.Abort:
        fail("stopped", STOPPED)
    except KeyboardInterrupt:
        fail("stopped; what was finished is kept, and the next run goes on from there", STOPPED)
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):  # a wrong option, in click's own words
            fail(_told(error), 2)
        raise
    sys.exit(0)


def _told(error: Exception) -> str:
    """Return what click says of a wrong argument, and the help of the command that it was for."""
    formed = getattr(error, "format_message", None)
    said = str(formed() if formed else error)
    named, context = "", getattr(error, "ctx", None)
    while context is not None and context.parent is not None:
        named, context = f" {context.info_name}{named}", context.parent
    return f"{said if said.endswith(('.', '?')) else said + '.'} See: workbench{named} --help"


def fail(message: str, code: int) -> NoReturn:
    """End with one line on stderr."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
