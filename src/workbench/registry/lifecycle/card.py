"""What MLflow shows of a version: tags to search by, and a description in Markdown with the gates' table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.clock import kind_of_time
from workbench.errors import PackRefused
from workbench.registry.lifecycle.models import HEAD
from workbench.registry.lifecycle.stages import REDUCE_ONLY
from workbench.registry.lifecycle.state import State
from workbench.registry.packs.canonical import short
from workbench.registry.packs.pack import Pack

SIGNS = {"pass": "✓ pass", "warn": "! warn", "review": "? review", "fail": "✗ fail"}


def deflated_sharpe(pack: Pack) -> float | None:
    """Return the pack's deflated Sharpe ratio, or None where there is none."""
    found = _statistics(pack).get("dsr")
    return float(found) if isinstance(found, (int, float)) else None


def trials(pack: Pack) -> int | None:
    """Return how many trials the pack counts, or None where there is no such count."""
    found = _statistics(pack).get("trials")
    return int(found) if isinstance(found, (int, float)) else None


def pack_tags(pack: Pack) -> dict[str, str]:
    """Return the tags that follow from the pack alone."""
    dsr, count = deflated_sharpe(pack), trials(pack)
    return {
        "kind": pack.kind,
        "market": pack.market,
        "deflated_sharpe": "unknown" if dsr is None else f"{dsr:.3f}",
        "trials": "unknown" if count is None else str(count),
        "made_by": pack.made_by,
        "expires": f"{pack.expires_at:%Y-%m-%d}",
        "time": kind_of_time(pack.simulated),
    }


def state_tags(state: State, version: int, names: Iterable[str]) -> dict[str, str]:
    """Return the tags that follow from the record and the approvals."""
    known = state.versions[version]
    return {
        "stage": known.stage,
        "mode": known.mode,
        "approvals": ", ".join(names) or "none",
        "forced": known.forced or "no",
        HEAD: state.last.head if state.last else "",
    }


def description(
    pack: Pack, state: State | None, version: int, verdicts: Iterable[Mapping[str, Any]], names: str
) -> str:
    """Return a version's description: where it stands, who approved, and what each gate said."""
    known = state.versions.get(version) if state else None
    stamp = "**SAMPLE MARKET: made data, never for a live account.**\n\n" if pack.market == "sample" else ""
    stamp += "**SIMULATED TIME: counts for nothing outside of its project.**\n\n" if pack.simulated else ""
    stands = f"Stands at **{known.stage}**" if known else "Stands at **backtest**"
    if known and known.mode == REDUCE_ONLY:
        stands += f", **reduce-only**: {known.reason}"
    forced = f"**Forced into paper: {known.forced}**\n\n" if known and known.forced else ""
    rows = [
        f"| {_cell(row['gate'])} | {_cell(row['asked'])} | {_cell(row['measured'])} | {SIGNS.get(row['outcome'], '?')} "
        f"| {_cell(row['why'])} |"
        for row in verdicts
    ]
    table = "\n".join(["| gate | asked | measured | verdict | why |", "|---|---|---|---|---|", *rows])
    return (
        f"{stamp}{forced}{stands}. Approved by: {names or 'nobody yet'}. Pack `{short(pack.digest)}`, made by "
        f"{pack.made_by} on {pack.made_at:%Y-%m-%d}, valid until {pack.expires_at:%Y-%m-%d}.\n\n{table}\n"
    )[:5000]


def pack_verdicts(pack: Pack) -> list[Mapping[str, Any]]:
    """Return the verdicts that were made with the pack."""
    try:
        return list(pack.json("gates.json")["verdicts"])
    except (PackRefused, KeyError, TypeError):
        return []


def _statistics(pack: Pack) -> Mapping[str, Any]:
    """Return what the pack says about overfitting; a pack of weights, limits or a prompt says nothing."""
    try:
        found = pack.json("statistics.json")["overfitting"]
    except (PackRefused, KeyError, TypeError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _cell(text: Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
