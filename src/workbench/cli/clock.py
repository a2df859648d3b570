"""What time it is here, and simulated time for a project of the sample market."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.edge import Set, read_settings
from workbench.errors import InputRefused

if TYPE_CHECKING:
    from workbench.params import Paths, Settings


def clock(
    simulate: Annotated[
        str, typer.Option(metavar="MOMENT", help="From now on, for good: simulated time from 2024-08-30T20:00:00Z on.")
    ] = "",
    set_: Set = None,
) -> None:
    """Show what time it is here, or put a project of the sample market on simulated time."""
    from workbench.clock import simulate as begin
    from workbench.registry.lifecycle.record import Lifecycle

    paths, settings = read_settings(set_)
    if simulate:
        record = Lifecycle.open(settings, paths)
        if steps := record.transitions():
            raise InputRefused(
                f"clock: {record.shown} holds {len(steps)} steps of real time, the last by {steps[-1].who}; simulated "
                "time needs a clone of its own"
            )
        begin(settings.market, paths, _moment(simulate))
    show_time(settings, paths, always=True)


def show_time(settings: Settings, paths: Paths, *, always: bool = False) -> None:
    """Print that time is simulated, where it is; ``always``: real time, too."""
    from workbench.clock import read_clock

    known = read_clock(settings.market, paths)
    if known.simulated:
        print(
            f"SIMULATED TIME: it is {known.now():%F %H:%M} UTC here. Everything made in it says so, "
            "and counts for nothing outside of this project."
        )
    elif always:
        print(f"real time: it is {known.now():%F %H:%M} UTC")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputRefused(f"--simulate '{text}' is no moment; write 2024-08-30T20:00:00Z") from error
    if found.tzinfo is None:
        raise InputRefused(f"--simulate '{text}' has no time zone; write 2024-08-30T20:00:00Z")
    return found
