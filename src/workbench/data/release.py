"""Rows that a person lets into the lake although they broke a rule: named, with a reason, and found again for ever.

>>> kept_out = lake.quarantine("prices_daily").filter(pl.col("symbol") == "ACME")
>>> release(lake, "prices_daily", kept_out, "ACME fell 60 % on 2024-03-07, see its filing of that day")
>>> lake.released("prices_daily")           # the rows, with reason, person and moment
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import polars as pl

from workbench.data.datasets import dataset
from workbench.data.facts import fact_name, shaped
from workbench.data.lake import Lake, Published
from workbench.data.validated import Validated
from workbench.errors import InputRefused

# These rules ask whether a row is likely; what breaks any other is impossible, and no reason makes it right.
OF_JUDGEMENT = ("jump", "no_session", "second_source")


def release(lake: Lake, name: str, rows: pl.DataFrame, reason: str, *, by: str = "") -> Published:
    """Publish rows of the quarantine that are right all the same; ``known_at`` may be later than it was, never earlier.

    The reason and the person (``by``, the user of this machine unless told) are stored with the version.
    """
    contract, kept = dataset(name), lake.quarantine(name)
    if not reason.strip():
        raise InputRefused(f"{name}: release without a reason; write why the rows are right, it is kept with them")
    rows = shaped(contract, rows.drop("rule", "batch", "quarantined_at", strict=False))
    same = [column for column in contract.schema if column != "known_at"]
    found = rows.with_row_index("row").join(kept, on=same, how="inner", nulls_equal=True, suffix="_kept")
    found = found.filter(pl.col("known_at") >= pl.col("known_at_kept"))
    strangers = rows.with_row_index("row").join(found, on="row", how="anti")
    if len(strangers):
        raise InputRefused(
            f"{name}: {fact_name(contract, strangers)} is not in quarantine as it is here ({len(strangers)} such "
            "rows); release rows as lake.quarantine gives them, and stage all others: lake.stage"
        )
    ahead = rows.filter(pl.col("known_at") > datetime.now(UTC))
    if len(ahead):
        raise InputRefused(f"{name}: known_at {ahead['known_at'][0]} lies in the future; write the moment of today")
    broken = found.with_columns(pl.col("rule").str.split(",")).explode("rule")
    impossible = broken.filter(~pl.col("rule").is_in(OF_JUDGEMENT))
    if len(impossible):
        raise InputRefused(
            f"{name}: {fact_name(contract, impossible)} breaks '{impossible['rule'][0]}', and no reason makes that "
            f"right (only {', '.join(OF_JUDGEMENT)} can be judged); ask the source for a correction"
        )
    rules = ", ".join(broken["rule"].unique().sort())
    return lake.publish(Validated(name, rows, f"{reason.strip()} (against {rules})", by.strip() or _user()))


def unreleased(lake: Lake, name: str) -> pl.DataFrame:
    """Return the rows of the quarantine that nobody released."""
    kept, released = lake.quarantine(name), lake.released(name)
    same = [column for column in dataset(name).schema if column != "known_at"]
    return kept.join(released, on=same, how="anti", nulls_equal=True, maintain_order="left")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError) as error:  # a user without a name, as in some containers
        raise InputRefused("release: this machine does not know who you are; add by='your name'") from error
