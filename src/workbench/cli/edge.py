"""What every command shares: its options, its settings, a pipeline run by name, a table in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import InputRefused

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from workbench.params import Paths, Settings
    from workbench.pipeline import RunResult

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one setting.")]
Strategies = Annotated[list[str] | None, typer.Option("--strategy", help="Only this strategy; repeat for several.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every step, also what has not changed.")]
MARKS = {"pass": "✓ pass", "warn": "! warn", "review": "? review", "fail": "✗ fail"}  # of a gate
MADE = "The sample market is made, with planted effects: it tests the method, it says nothing about real markets."


def read_settings(overrides: list[str] | None, strategies: list[str] | None = None) -> tuple[Paths, Settings]:
    """Return where everything lies and the settings of this command, checked as far as they tell by themselves."""
    from workbench.params import Paths, load_settings, load_strategy_params
    from workbench.registry.store import tracking_uri

    paths = Paths()
    settings = load_settings(paths, overrides or [])
    if strategies:
        settings = settings.model_copy(update={"strategies": tuple(dict.fromkeys(strategies))})
    as_of, now = settings.data.as_of, datetime.now(UTC)
    if as_of is not None and as_of > now:
        raise InputRefused(
            f"data.as_of {as_of:%Y-%m-%dT%H:%M:%SZ}: lies after now, {now:%Y-%m-%dT%H:%M:%SZ}, and what will be known "
            "then is not known yet; leave it out for everything that is known"
        )
    for name in settings.strategies:
        load_strategy_params(name, paths)
    tracking_uri(settings, paths)
    return paths, settings


def run_named(name: str, settings: Settings, paths: Paths, fresh: bool) -> RunResult:
    """Run a pipeline of pipelines/, recorded in MLflow."""
    from workbench.data.log import states
    from workbench.params import lake_root
    from workbench.pipeline import run_pipeline
    from workbench.plan import read_pipeline
    from workbench.registry.store import check_store, tracking_uri

    walks = any("strategies" in step.foreach.values() for step in read_pipeline(name, paths).steps.values())
    if walks and not settings.strategies:
        raise InputRefused(
            "strategies: the list is empty, so there is nothing to walk forward; "
            "name one: make backtest STRATEGY=sma_cross, or fill strategies in params/base.yaml"
        )

    def check() -> None:
        from workbench.cli.asked import check_walks

        check_store(tracking_uri(settings, paths), paths)
        if walks:
            check_walks(settings, paths)

    def recorder() -> Callable[[RunResult], object]:
        from workbench.registry.runs import PIPELINES, Tracking

        tracking = Tracking(settings, paths)
        tracking.experiment_id(PIPELINES)  # MLflow takes seconds to import and to make its tables
        return tracking.record_pipeline

    versions = partial(states, lake_root(settings, paths) / settings.market)
    return run_pipeline(
        name,
        settings,
        paths,
        table_versions=versions,
        fresh=fresh,
        recorder=recorder,
        check=check,
    )


def show_table(title: str, columns: list[str], rows: list[list[str]], numbers_from: int = 1) -> None:
    """Print a table; the columns from ``numbers_from`` on stand right.

    Where the terminal is too narrow, what does not fit stands in a table below, beside the first columns once more.
    """
    from rich.console import Console

    console = Console(markup=False, highlight=False)  # a cell says what was written, brackets included
    # Piped into a file or a log, a table is as wide as it needs to be.
    console = console if console.is_terminal else Console(width=160, markup=False, highlight=False)
    rest = list(range(numbers_from, len(columns)))
    table, taken = _fitting(console, title, columns, rows, numbers_from, rest)
    console.print(table)
    while rest := rest[taken:]:
        table, taken = _fitting(console, "", columns, rows, numbers_from, rest)
        console.print(table)


def _fitting(
    console: Console, title: str, columns: list[str], rows: list[list[str]], first: int, rest: list[int]
) -> tuple[Table, int]:
    """Return a table of the first columns and as many of the rest as the terminal is wide, and how many these are."""
    unbounded = console.options.update(max_width=10_000)
    for taken in range(len(rest), -1, -1):
        which = [*range(first), *rest[:taken]]
        table = _table(title, [columns[n] for n in which], [[row[n] for n in which] for row in rows], first)
        if taken <= 1 or console.measure(table, options=unbounded).maximum <= console.width:
            break
    return table, taken


def _table(title: str, columns: list[str], rows: list[list[str]], numbers_from: int) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number >= numbers_from else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def show_folding(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table of sentences: a narrow terminal folds the cells, and nothing is cut off."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    (console if console.is_terminal else Console(width=180, markup=False, highlight=False)).print(table)


def show_verdicts(title: str, verdicts: Iterable[Mapping[str, Any]]) -> None:
    """Print what each gate asked, measured and said, and below it what to do about each that did not pass."""
    verdicts = list(verdicts)
    rows = [[row["gate"], row["asked"], row["measured"], MARKS[str(row["outcome"])]] for row in verdicts]
    show_folding(title, ["gate", "asked", "measured", "verdict"], rows)
    for row in verdicts:
        if row["outcome"] != "pass":
            told = "; ".join(text for text in (row["why"], row["remedy"] and f"do: {row['remedy']}") if text)
            print(f"  {row['gate']}: {told}")
