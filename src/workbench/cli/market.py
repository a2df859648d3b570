"""The market's data: ingest it, audit it, show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.cli.edge import Fresh, Set, read_settings, run_named, show_table
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.params import Paths, Settings


def data(set_: Set = None, fresh: Fresh = False) -> None:
    """Ingest the market, validate it, publish what is good and show the lake."""
    paths, settings = read_settings(set_)
    run_named("data", settings, paths, fresh)
    _show_lake(settings, paths)


def validate(set_: Set = None) -> None:
    """Audit the published tables again: files, rules, and what is in quarantine."""
    from workbench.backtest.text import percent
    from workbench.data.datasets import dataset
    from workbench.data.inventory import kept_out
    from workbench.data.lake import open_lake
    from workbench.data.quality import audit
    from workbench.data.second_source import RULE, differences

    paths, settings = read_settings(set_)
    lake = open_lake(settings, paths)
    reports = audit(lake)
    show_table(
        f"Audit of the lake · {settings.market} market",
        ["dataset", "version", "files", "rows", "released", "broken rows", "rules broken"],
        [
            [
                r.dataset,
                *(f"{n:,}" for n in (r.version, r.files, r.rows, r.released, r.broken)),
                ", ".join(r.rules) or "none",
            ]
            for r in reports
        ],
    )
    quarantined = [[name, rule, f"{rows:,}", newest] for name, rule, rows, newest in kept_out(lake)]
    if quarantined:
        show_table("In quarantine, never repaired", ["dataset", "rule", "rows", "newest"], quarantined, numbers_from=2)
    for name in dict.fromkeys(name for name, rule, *_ in quarantined if rule == RULE):
        widest = differences(lake, dataset(name)).head(10)
        rows = [
            ["" if value is None else str(value) for value in (*row[:-1], percent(row[-1], 2))] for row in widest.rows()
        ]
        show_table(
            f"{name}: a second source says otherwise, the widest first",
            widest.columns,
            rows,
            numbers_from=len(widest.columns) - 1,
        )
    if any(r.broken for r in reports):
        raise WorkbenchError("the lake holds rows that break a rule (see above); publish a correction: docs/lake.md")


def lake(set_: Set = None) -> None:
    """Show the tables of the lake: versions, rows, dates, quarantine."""
    paths, settings = read_settings(set_)
    _show_lake(settings, paths)


def _show_lake(settings: Settings, paths: Paths) -> None:
    from workbench.data.inventory import inventory
    from workbench.data.lake import open_lake

    lake = open_lake(settings, paths)
    rows = [
        [f.dataset, str(f.version), f"{f.rows:,}", f.first, f.last, f"{f.size_mb:.1f}", f"{f.quarantined:,}"]
        for f in inventory(lake)
    ]
    if not rows:
        first = "make data" if settings.market == "sample" else "stage what you have, then make data (docs/lake.md)"
        print(f"the lake of the {settings.market} market is empty: {first}")
        return
    show_table(
        f"The lake · {settings.market} market · {paths.short(lake.root / lake.market)}/",
        ["dataset", "version", "rows", "first", "last", "MB", "quarantined"],
        rows,
    )
