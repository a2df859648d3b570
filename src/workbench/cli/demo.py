"""The demo: the whole way in one command."""

from __future__ import annotations

import time


def demo() -> None:
    """Show the whole way on the sample market: each command as a person types it, really run."""
    from rich.console import Console

    from workbench.demo.acts import MINUTES, acts, has_client
    from workbench.demo.stage import Act, play, set_the_stage
    from workbench.params import Paths

    paths = Paths()
    console, started = Console(highlight=False, soft_wrap=True), time.monotonic()
    console.print(
        f"[bold]From the sample market to production and the emergency stop[/bold] · about {MINUTES} minutes, offline"
    )
    stage = set_the_stage(paths)
    console.print(f"In a project of its own, with its own git, runs, ledger and keys: {paths.short(stage.project)}")

    def announce(number: int, act: Act) -> None:
        console.print(f"\n[bold cyan]{number}. {act.why}[/bold cyan]\n[bold]$ {act.typed}[/bold]")

    if not has_client():
        console.print("The acts at a gateway are left out: they need the extra `live`, pip install -e '.[live]'")
    play(stage, acts(stage), announce, lambda line: console.print(f"  {line}", markup=False))
    where = paths.short(stage.project)
    console.print(
        f"\n[bold]Done in {time.monotonic() - started:.0f} s.[/bold] All of it was real: the runs, the pack and the "
        f"signatures lie in {where}\n"
        f"Look at them:  WORKBENCH_ROOT={where} .venv/bin/workbench ui\n"
        "Do it with your own:  make new-strategy NAME=breakout · make backtest STRATEGY=breakout · "
        "make evidence STRATEGY=breakout"
    )
