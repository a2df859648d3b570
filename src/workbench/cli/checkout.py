"""This checkout and what stands beside it: a new strategy's files, the check of the machine, the MLflow UI."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.edge import Set, read_settings
from workbench.errors import WorkbenchError


def new_strategy(name: Annotated[str, typer.Argument()] = "") -> None:
    """Write a strategy, its parameters and its test."""
    from workbench.params import Paths
    from workbench.scaffold import new_strategy as write

    paths = Paths()
    for file in write(name, paths):
        print(f"wrote {paths.short(file)}")
    print(f"\nNext: make backtest STRATEGY={name}   then edit weights() in the first file and run it again")


def doctor() -> None:
    """Check this machine and clone, and say what to mend."""
    from rich.console import Console
    from rich.table import Table

    from workbench.doctor import examine
    from workbench.params import Paths

    findings = examine(Paths())
    table = Table(box=None, show_header=False, padding=(0, 1))
    for finding in findings:
        sign = "[red]✗[/]" if finding.mend else "[green]✓[/]"
        table.add_row(sign, finding.what, finding.found + (f"  → {finding.mend}" if finding.mend else ""))
    Console().print(table)
    wrong = sum(1 for finding in findings if finding.mend)
    if wrong:
        raise WorkbenchError(f"{wrong} to mend, see the arrows above")
    print("\nAll well. Next: make backtest")


def ui(port: int = 5000, browser: bool = True, set_: Set = None) -> None:
    """Start the MLflow UI on the comparison of the newest runs."""
    from workbench.registry.ui import serve

    paths, settings = read_settings(set_)
    serve(paths, settings, port=port, open_browser=browser)
