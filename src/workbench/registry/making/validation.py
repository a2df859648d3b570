"""What validation says of the tables that a run read: every rule asked again of the published rows.

A batch met the rules before it was published; the whole version is asked here, with the rules of today, so that the
proof does not hang on how and when its rows came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.data import quality
from workbench.data.datasets import dataset
from workbench.data.inventory import kept_out
from workbench.data.lake import Lake
from workbench.data.log import states
from workbench.data.rules import Bounds, rules
from workbench.errors import DataRefused

# What bars are made of: the tables that a walk-forward reads.
OF_BARS = ("symbols", "actions", "prices_daily")


def validation_facts(lake: Lake, versions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return by table whether its suite passed on this version, what was asked, what broke and what was kept out.

    A table that was published to since the versions were pinned is refused: what was read is not what would be asked.
    """
    _require_newest(lake, versions)
    away: dict[str, dict[str, int]] = {}
    for name, rule, rows, _ in kept_out(lake):
        away.setdefault(name, {})[rule] = rows
    found = {
        audited.dataset: {
            "version": audited.version,
            "passed": audited.broken == 0,
            "rows": audited.rows,
            "files": audited.files,
            "rules": list(dict.fromkeys(rule.name for rule in rules(dataset(audited.dataset), Bounds()))),
            "broken": {"rows": audited.broken, "rules": list(audited.rules)},
            "released": audited.released,
            "quarantined": away.get(audited.dataset, {}),
        }
        for audited in quality.audit(lake)
    }
    _require_newest(lake, versions)
    return {name: found[name] for name in versions}


def table_facts(lake: Lake, versions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Return by table the version that was read, the table's id, its content's digest and its rows."""
    known = states(lake.root / lake.market, versions)
    found = {}
    for name, version in versions.items():
        snapshot = lake.snapshot(name, version)
        found[name] = {
            "version": version,
            "id": known[name]["id"],
            "digest": snapshot.digest,
            "rows": snapshot.rows,
        }
    return found


def _require_newest(lake: Lake, versions: Mapping[str, int]) -> None:
    now = lake.versions()
    for name, version in versions.items():
        if now.get(name) != version:
            raise DataRefused(
                f"{name}: version {version} was pinned, and version {now.get(name, 'none')} is there now; "
                "somebody published meanwhile, so run it again: make evidence"
            )
